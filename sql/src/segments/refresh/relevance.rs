//! Which new events can change who is a member.
//!
//! A relation follows from the events that pass the filters of its scans; the others could as well
//! not be there. Of a [simple](Simple) definition more is known: an event changes nothing but
//! the aggregates that see it, and which way those turn the condition is often known too.

use crate::events::EventsTable;
use crate::segments::refresh::condition::Condition;
use crate::segments::refresh::simple::{Simple, SimpleAggregate, without_relations};
use crate::segments::refresh::together::any_of;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Distinct, Expr, Join, JoinType, LogicalPlan, TableScan, lit};
use std::collections::HashSet;

/// Which new events matter, as filters over the columns of `events`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Relevance {
    /// Without such an event nobody becomes a member.
    pub(super) enter: Expr,
    /// Without such an event no member ceases to be one.
    pub(super) leave: Expr,
}

impl Relevance {
    /// Of a simple definition.
    pub(super) fn of_simple(definition: &Simple) -> Self {
        let condition = Condition::of(definition);
        let seen_by = |tests: Vec<&Expr>| {
            let columns = tests.into_iter().flat_map(Expr::column_refs).collect::<HashSet<_>>();
            let is_asked = |aggregate: &&SimpleAggregate| {
                columns.iter().any(|column| column.name == aggregate.column)
            };
            let asked = definition.aggregates.iter().filter(is_asked);
            either(asked.map(|aggregate| seen(&aggregate.expression)).collect())
        };
        let counted = |filter: Expr| match &definition.events {
            Some(events) => both(events.clone(), filter),
            None => filter,
        };
        let enter = match condition.may_hold_at_first() {
            // That there is an event may be enough.
            true => lit(true),
            false => seen_by(condition.tests_turning_on()),
        };
        let leave = seen_by(condition.tests_turning_off());
        Self { enter: counted(enter), leave: counted(leave) }
    }

    /// Of any local definition, by its optimised plan.
    pub(super) fn of_plan(plan: &LogicalPlan) -> Self {
        let mut filters = Vec::new();
        let walked = plan.apply(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && is_events(scan)
            {
                filters.push(passing(scan));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        let enter = match walked {
            Ok(_) => either(filters),
            Err(_) => lit(true),
        };
        let leave = match only_grows(plan) {
            true => lit(false),
            false => enter.clone(),
        };
        Self { enter, leave }
    }
}

/// The events that an aggregate sees: those that pass its filter, and of which its argument is not
/// NULL, if it is one that leaves these out.
fn seen(aggregate: &Expr) -> Expr {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = aggregate else {
        return lit(true);
    };
    let filter = params.filter.as_deref().cloned().unwrap_or_else(|| lit(true));
    match (func.name(), params.args.as_slice()) {
        ("count" | "sum" | "avg" | "min" | "max", [argument @ Expr::Column(_)]) => {
            both(filter, argument.clone().is_not_null())
        }
        _ => filter,
    }
}

/// The events that pass the filters of a scan.
fn passing(scan: &TableScan) -> Expr {
    let filters = scan.filters.iter().map(|filter| {
        // To let more events pass is safe.
        without_relations(filter).unwrap_or_else(|| lit(true))
    });
    filters.reduce(both).unwrap_or_else(|| lit(true))
}

fn is_events(scan: &TableScan) -> bool {
    source_as_provider(&scan.source)
        .is_ok_and(|provider| provider.downcast_ref::<EventsTable>().is_some())
}

/// Whether more events can only mean more rows: no row asks that another is absent, and none holds
/// anything computed from several.
fn only_grows(plan: &LogicalPlan) -> bool {
    let is_positive = match plan {
        LogicalPlan::TableScan(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => true,
        LogicalPlan::Aggregate(aggregate) => aggregate.aggr_expr.is_empty(),
        LogicalPlan::Join(Join { join_type, null_aware, .. }) => {
            use JoinType::{Inner, LeftSemi, RightSemi};
            matches!(join_type, Inner | LeftSemi | RightSemi) && !null_aware
        }
        _ => false,
    };
    is_positive && plan.inputs().into_iter().all(only_grows)
}

fn either(filters: Vec<Expr>) -> Expr {
    match filters.contains(&lit(true)) {
        true => lit(true),
        false => any_of(filters).unwrap_or_else(|| lit(false)),
    }
}

fn both(one: Expr, other: Expr) -> Expr {
    match (one == lit(true), other == lit(true)) {
        _ if one == lit(false) || other == lit(false) => lit(false),
        (true, _) => other,
        (_, true) => one,
        _ => one.and(other),
    }
}
