//! Many definitions in one pass over the events.
//!
//! A definition of the shape
//!
//! ```sql
//! SELECT customer_id FROM events WHERE w GROUP BY customer_id HAVING h
//! ```
//!
//! is the same as a yes or no for each customer: whether some event passes `w`, and `h` with each of
//! its aggregates over the events that pass. So several of them are one aggregation of all events,
//! each aggregate under the filter of its own definition, and each segment a column of the answer.

use crate::error::Result;
use crate::events::EventsTable;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, Projection,
    TableScan, col, lit,
};
use habitue_storage::event::CUSTOMER_ID;

/// A definition of the shape above, its columns named without a relation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Simple {
    scan: TableScan,
    /// Which events count; `None` is all.
    events: Option<Expr>,
    /// The aggregates that `having` names, by the columns that they make.
    aggregates: Vec<(String, Expr)>,
    /// Which customers are members; `None` is all that have such an event.
    having: Option<Expr>,
}

impl Simple {
    /// The parts of a definition as it was planned, if it has this shape.
    pub(super) fn of(plan: &LogicalPlan) -> Option<Self> {
        match plan {
            LogicalPlan::Projection(projection) => Self::of_projection(projection),
            LogicalPlan::Distinct(Distinct::All(input)) => Self::of(input),
            LogicalPlan::SubqueryAlias(alias) => Self::of(&alias.input),
            _ => None,
        }
    }

    fn of_projection(projection: &Projection) -> Option<Self> {
        let [Expr::Column(column)] = projection.expr.as_slice() else {
            return None;
        };
        if column.name != CUSTOMER_ID {
            return None;
        }
        let (having, input) = filtered(&projection.input);
        if let LogicalPlan::Aggregate(aggregate) = input {
            return Self::of_aggregate(aggregate, having);
        }
        let (events, scan) = filtered_scan(&projection.input)?;
        Some(Self { scan: scan.clone(), events, aggregates: Vec::new(), having: None })
    }

    fn of_aggregate(aggregate: &Aggregate, having: Option<&Expr>) -> Option<Self> {
        let [Expr::Column(group)] = aggregate.group_expr.as_slice() else {
            return None;
        };
        if group.name != CUSTOMER_ID {
            return None;
        }
        let is_plain = |aggregate: &Expr| matches!(aggregate, Expr::AggregateFunction(_));
        if !aggregate.aggr_expr.iter().all(is_plain) {
            return None;
        }
        let (events, scan) = filtered_scan(&aggregate.input)?;
        let names = aggregate.schema.fields().iter().skip(1).map(|field| field.name().clone());
        let expressions = aggregate.aggr_expr.iter().map(without_relations);
        let aggregates = names.zip(expressions.collect::<Option<Vec<_>>>()?).collect();
        let having = match having {
            Some(having) => Some(without_relations(having)?),
            None => None,
        };
        Some(Self { scan: scan.clone(), events, aggregates, having })
    }
}

/// The filter over a plan and what it filters.
fn filtered(plan: &LogicalPlan) -> (Option<&Expr>, &LogicalPlan) {
    match plan {
        LogicalPlan::Filter(filter) => (Some(&filter.predicate), &filter.input),
        other => (None, other),
    }
}

/// A scan of `events`, under another name or not, and the filter over it.
fn filtered_scan(plan: &LogicalPlan) -> Option<(Option<Expr>, &TableScan)> {
    let (filter, mut input) = filtered(plan);
    if let LogicalPlan::SubqueryAlias(alias) = input {
        input = &alias.input;
    }
    let LogicalPlan::TableScan(scan) = input else {
        return None;
    };
    let provider = source_as_provider(&scan.source).ok()?;
    provider.downcast_ref::<EventsTable>()?;
    if !scan.filters.is_empty() || scan.fetch.is_some() {
        return None;
    }
    match filter {
        Some(filter) => Some((Some(without_relations(filter)?), scan)),
        None => Some((None, scan)),
    }
}

/// The same over columns named without a relation; `None` if it asks a query of its own.
fn without_relations(expression: &Expr) -> Option<Expr> {
    let asks = |part: &Expr| {
        Ok(matches!(
            part,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
        ))
    };
    if expression.exists(asks).unwrap_or(true) {
        return None;
    }
    let renamed = expression.clone().transform_up(|part| {
        Ok(match part {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::from_name(column.name))),
            part => Transformed::no(part),
        })
    });
    renamed.ok().map(|renamed| renamed.data)
}

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

fn any_of(filters: Vec<Expr>) -> Option<Expr> {
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
struct Aggregates {
    bare: Vec<Expr>,
    expressions: Vec<Expr>,
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
        let mut columns = Vec::with_capacity(definition.aggregates.len());
        for (name, aggregate) in &definition.aggregates {
            let aggregate = under(aggregate.clone(), definition.events.as_ref());
            columns.push((name, self.column(aggregate)));
        }
        let having = match &definition.having {
            None => None,
            Some(having) => Some(having.clone().transform_up(|part| {
                let column = match &part {
                    Expr::Column(column) => columns.iter().find(|(name, _)| **name == column.name),
                    _ => None,
                };
                Ok(match column {
                    Some((_, column)) => Transformed::yes(column.clone()),
                    None => Transformed::no(part),
                })
            })?),
        };
        let having = having.map(|having| having.data);
        let Some(events) = &definition.events else {
            return Ok(having.unwrap_or_else(|| lit(true)));
        };
        let seen = count(lit(1_i64)).filter(events.clone()).build()?;
        let seen = self.column(seen).gt(lit(0_i64));
        Ok(match having {
            Some(having) => seen.and(having),
            None => seen,
        })
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
