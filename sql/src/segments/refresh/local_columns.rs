//! Which columns of a local relation hold its customers, and which the times of their events.

use crate::segments::refresh::locality::Proven;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Window};
use habitue_storage::log::computation::WholeReason;
use std::collections::BTreeSet;

/// The columns of a local relation by their places.
#[derive(Clone, Debug, Default)]
pub(super) struct Local {
    /// Hold the row's customer, or NULL.
    pub(super) customers: BTreeSet<usize>,
    /// Hold the time of an event of the row's customer, or NULL.
    pub(super) times: BTreeSet<usize>,
}

pub(super) fn is_column(expression: &Expr, schema: &DFSchema, place: usize) -> bool {
    match expression {
        Expr::Column(column) => schema.index_of_column(column).is_ok_and(|found| found == place),
        Expr::Alias(alias) => is_column(&alias.expr, schema, place),
        // The same numbers in another type are the same customers.
        Expr::Cast(cast) if cast.field.data_type().is_integer() => {
            is_column(&cast.expr, schema, place)
        }
        _ => false,
    }
}

/// The places of expressions that are one of these columns.
pub(super) fn places_of(
    expressions: &[Expr],
    schema: &DFSchema,
    wanted: &BTreeSet<usize>,
) -> BTreeSet<usize> {
    let is_wanted =
        |expression: &Expr| wanted.iter().any(|&place| is_column(expression, schema, place));
    let places = expressions.iter().enumerate();
    places.filter(|(_, expression)| is_wanted(expression)).map(|(place, _)| place).collect()
}

pub(super) fn projected(expressions: &[Expr], schema: &DFSchema, local: &Local) -> Local {
    Local {
        customers: places_of(expressions, schema, &local.customers),
        times: places_of(expressions, schema, &local.times),
    }
}

pub(super) fn aggregated(aggregate: &Aggregate, schema: &DFSchema, local: &Local) -> Proven<Local> {
    let groups = &aggregate.group_expr;
    let mut out = projected(groups, schema, local);
    if out.customers.is_empty() {
        return Err(WholeReason::AcrossCustomers);
    }
    for (place, expression) in aggregate.aggr_expr.iter().enumerate() {
        if is_extreme_of_time(expression, schema, local) {
            out.times.insert(groups.len() + place);
        }
    }
    Ok(out)
}

/// Whether an aggregate answers the time of one of the events that it saw.
fn is_extreme_of_time(expression: &Expr, schema: &DFSchema, local: &Local) -> bool {
    match expression {
        Expr::Alias(alias) => is_extreme_of_time(&alias.expr, schema, local),
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            let is_time = |argument: &Expr| {
                local.times.iter().any(|&place| is_column(argument, schema, place))
            };
            matches!(func.name(), "min" | "max") && params.args.iter().all(is_time)
        }
        _ => false,
    }
}

pub(super) fn windowed(window: &Window, schema: &DFSchema, local: Local) -> Proven<Local> {
    let within_customer = |expression: &Expr| match expression.clone().unalias() {
        Expr::WindowFunction(function) => {
            let parts = function.params.partition_by;
            !places_of(&parts, schema, &local.customers).is_empty()
        }
        _ => false,
    };
    match window.window_expr.iter().all(within_customer) {
        true => Ok(local),
        false => Err(WholeReason::AcrossCustomers),
    }
}

/// Whether a customer of a relation may be NULL.
pub(super) fn may_be_null(plan: &LogicalPlan, local: &Local) -> bool {
    local.customers.iter().any(|&place| plan.schema().field(place).is_nullable())
}

/// Places of the left side, and those of the right side behind its columns.
pub(super) fn beside(
    left: &BTreeSet<usize>,
    right: &BTreeSet<usize>,
    width: usize,
) -> BTreeSet<usize> {
    left.iter().copied().chain(right.iter().map(|place| place + width)).collect()
}

/// Places in one schema as those of the same columns in another.
pub(super) fn kept(places: &BTreeSet<usize>, from: &DFSchema, to: &DFSchema) -> BTreeSet<usize> {
    let place_in = |place: &usize| {
        let (relation, field) = from.qualified_field(*place);
        to.index_of_column(&Column::new(relation.cloned(), field.name())).ok()
    };
    places.iter().filter_map(place_in).collect()
}
