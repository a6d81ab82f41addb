//! Definitions of the usual shape, taken apart.
//!
//! ```sql
//! SELECT customer_id FROM events WHERE w GROUP BY customer_id HAVING h
//! ```
//!
//! Who is a member follows from a yes or no for each customer: whether some event passes `w`, and
//! `h` with each of its aggregates over the events that pass.

use crate::events::EventsTable;
use arrow::datatypes::DataType;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan, Projection, TableScan};
use habitue_storage::event::CUSTOMER_ID;

/// A definition of this shape, its columns named without a relation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Simple {
    pub(super) scan: TableScan,
    /// Which events count; `None` is all.
    pub(super) events: Option<Expr>,
    /// The aggregates that `having` names.
    pub(super) aggregates: Vec<SimpleAggregate>,
    /// Which customers are members; `None` is all that have such an event.
    pub(super) having: Option<Expr>,
}

/// An aggregate and the column that it makes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SimpleAggregate {
    pub(super) column: String,
    pub(super) data_type: DataType,
    pub(super) expression: Expr,
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

    /// The aggregate that makes this column.
    pub(super) fn aggregate(&self, column: &str) -> Option<&SimpleAggregate> {
        self.aggregates.iter().find(|aggregate| aggregate.column == column)
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
        let columns = aggregate.schema.fields().iter().skip(1);
        let aggregates = columns.zip(&aggregate.aggr_expr).map(|(field, expression)| {
            Some(SimpleAggregate {
                column: field.name().clone(),
                data_type: field.data_type().clone(),
                expression: without_relations(expression)?,
            })
        });
        let aggregates = aggregates.collect::<Option<Vec<_>>>()?;
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
pub(super) fn without_relations(expression: &Expr) -> Option<Expr> {
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
