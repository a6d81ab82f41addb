//! Many definitions in one pass over the events.
//!
//! Several [simple](super::simple) definitions are one aggregation of all events, each aggregate
//! under the filter of its own definition, and each segment a column of the answer.

use crate::error::Result;
use crate::segments::refresh::simple::Simple;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, col, lit};
use habitue_storage::event::CUSTOMER_ID;

/// One plan for all of them: `customer_id`, then for each definition whether the customer is in it.
pub(super) fn together(definitions: &[Simple]) -> Result<LogicalPlan> {
    let mut wanted = Aggregates::default();
    let mut members = Vec::with_capacity(definitions.len());
    for (place, definition) in definitions.iter().enumerate() {
        members.push(wanted.membership(definition)?.alias(format!("is_member_{place}")));
    }
    let scan = LogicalPlan::TableScan(definitions[0].scan.clone());
    let mut plan = LogicalPlanBuilder::from(scan);
    // Events that count for nobody need not be read.
    let counted = definitions.iter().map(|definition| definition.events.clone());
    if let Some(any) = counted.collect::<Option<Vec<_>>>().and_then(any_of) {
        plan = plan.filter(any)?;
    }
    let columns = std::iter::once(col(CUSTOMER_ID)).chain(members);
    Ok(plan.aggregate([col(CUSTOMER_ID)], wanted.expressions)?.project(columns)?.build()?)
}

pub(super) fn any_of(filters: Vec<Expr>) -> Option<Expr> {
    let mut different = Vec::<Expr>::new();
    for filter in filters {
        if !different.contains(&filter) {
            different.push(filter);
        }
    }
    different.into_iter().reduce(Expr::or)
}

/// The aggregates of all definitions, each once.
#[derive(Default)]
pub(super) struct Aggregates {
    bare: Vec<Expr>,
    pub(super) expressions: Vec<Expr>,
}

impl Aggregates {
    /// The column of an aggregate.
    fn column(&mut self, aggregate: Expr) -> Expr {
        let known = self.bare.iter().position(|known| *known == aggregate);
        let place = known.unwrap_or_else(|| {
            self.expressions
                .push(aggregate.clone().alias(format!("aggregate_{}", self.bare.len())));
            self.bare.push(aggregate);
            self.bare.len() - 1
        });
        col(format!("aggregate_{place}"))
    }

    /// Whether a customer is in a segment, over the columns of the aggregates.
    fn membership(&mut self, definition: &Simple) -> Result<Expr> {
        let seen = self.any(definition.events.as_ref())?;
        Ok(match &definition.having {
            Some(having) => seen.and(self.condition(having.clone(), definition)?),
            None => seen,
        })
    }

    /// Whether any of a customer's events passes.
    pub(super) fn any(&mut self, filter: Option<&Expr>) -> Result<Expr> {
        let Some(filter) = filter.filter(|filter| **filter != lit(true)) else {
            return Ok(lit(true));
        };
        if *filter == lit(false) {
            return Ok(lit(false));
        }
        let passing = count(lit(1_i64)).filter(filter.clone()).build()?;
        Ok(self.column(passing).gt(lit(0_i64)))
    }

    /// A condition about the aggregates of a definition.
    pub(super) fn condition(&mut self, condition: Expr, definition: &Simple) -> Result<Expr> {
        let condition = condition.transform_up(|part| {
            let named = match &part {
                Expr::Column(column) => definition.aggregate(&column.name),
                _ => None,
            };
            Ok(match named {
                Some(aggregate) => {
                    let expression = aggregate.expression.clone();
                    let column = self.column(under(expression, definition.events.as_ref()));
                    Transformed::yes(column)
                }
                None => Transformed::no(part),
            })
        });
        Ok(condition?.data)
    }
}

/// An aggregate over those of its events that pass.
fn under(aggregate: Expr, events: Option<&Expr>) -> Expr {
    let (Expr::AggregateFunction(function), Some(events)) = (&aggregate, events) else {
        return aggregate;
    };
    let AggregateFunction { func, params } = function.clone();
    let mut params = params;
    let filter = match params.filter.take() {
        Some(filter) => events.clone().and(*filter),
        None => events.clone(),
    };
    params.filter = Some(Box::new(filter));
    Expr::AggregateFunction(AggregateFunction { func, params })
}
