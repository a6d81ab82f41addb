//! Membership in a segment becomes `in_segment(…)`, however it is written.
//!
//! ```text
//! customer_id IN (SELECT customer_id FROM segment('vip'))      in_segment(customer_id, 'vip')
//! customer_id NOT IN (SELECT customer_id FROM segment('vip'))  NOT in_segment(customer_id, 'vip')
//! EXISTS / LEFT SEMI JOIN                                      a filter in place of the join
//! NOT EXISTS / LEFT ANTI JOIN                                  a filter in place of the join
//! JOIN segment('vip') USING (customer_id)                      the join, and a filter before it
//! ```
//!
//! As a filter over `events` it leaves out files and rows; and a bitmap is cheaper than a hash table.

use crate::segments::{SegmentTable, is_in_segment};
use datafusion::catalog::default_table_source::DefaultTableSource;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType};
use datafusion::error::Result;
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, TableScan, lit, not};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use habitue_storage::event::CUSTOMER_ID;
use std::sync::Arc;

/// The rule; it holds nothing.
#[derive(Debug)]
pub(crate) struct BitmapPruning;

impl OptimizerRule for BitmapPruning {
    fn name(&self) -> &str {
        "bitmap_pruning"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Join(join) => rewrite_join(join),
            LogicalPlan::Filter(_) | LogicalPlan::Projection(_) => {
                plan.map_expressions(|expression| expression.transform_up(rewrite_subquery))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// `IN` and `NOT IN` over a segment, anywhere in an expression.
fn rewrite_subquery(expression: Expr) -> Result<Transformed<Expr>> {
    let Expr::InSubquery(InSubquery { expr, subquery, negated }) = &expression else {
        return Ok(Transformed::no(expression));
    };
    match segment_of(&subquery.subquery) {
        // Only a plain column is certain to be the BIGINT that the function takes.
        Some(segment) if matches!(expr.as_ref(), Expr::Column(_)) => {
            Ok(Transformed::yes(membership(expr, segment, *negated)))
        }
        _ => Ok(Transformed::no(expression)),
    }
}

/// `NULL NOT IN (nothing)` is true and `NULL IN (nothing)` false, so an empty segment is special.
fn membership(customer: &Expr, segment: &SegmentTable, negated: bool) -> Expr {
    let members = segment.pinned().members(segment.key());
    if members.is_some_and(|members| members.today().is_empty()) {
        return lit(negated);
    }
    let is_member = is_in_segment(customer.clone(), segment.key(), segment.pinned());
    if negated { not(is_member) } else { is_member }
}

/// The segment, if a plan answers exactly its members.
fn segment_of(plan: &LogicalPlan) -> Option<&SegmentTable> {
    match plan {
        LogicalPlan::TableScan(scan) => segment_scanned(scan),
        LogicalPlan::SubqueryAlias(alias) => segment_of(&alias.input),
        LogicalPlan::Distinct(distinct) => segment_of(distinct.input()),
        LogicalPlan::Projection(projection) => match projection.expr.as_slice() {
            [expression] => match expression.clone().unalias() {
                Expr::Column(_) => segment_of(&projection.input),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn segment_scanned(scan: &TableScan) -> Option<&SegmentTable> {
    if !scan.filters.is_empty() || scan.fetch.is_some() {
        return None;
    }
    let source = scan.source.downcast_ref::<DefaultTableSource>()?;
    source.table_provider.downcast_ref::<SegmentTable>()
}

fn rewrite_join(join: Join) -> Result<Transformed<LogicalPlan>> {
    if join.filter.is_some() {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let [(left, right)] = join.on.as_slice() else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let (Expr::Column(left), Expr::Column(right)) = (left, right) else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let rewritten = match join.join_type {
        JoinType::LeftSemi => semi_join(&join.left, left, &join.right),
        JoinType::RightSemi => semi_join(&join.right, right, &join.left),
        JoinType::LeftAnti => anti_join(&join, left),
        JoinType::Inner => return filtered_join(join.clone(), left, right),
        _ => None,
    };
    match rewritten {
        Some(plan) => Ok(Transformed::yes(plan?)),
        None => Ok(Transformed::no(LogicalPlan::Join(join))),
    }
}

fn semi_join(
    input: &Arc<LogicalPlan>,
    customer: &Column,
    members: &LogicalPlan,
) -> Option<Result<LogicalPlan>> {
    let segment = segment_of(members)?;
    let is_member = membership(&Expr::Column(customer.clone()), segment, false);
    Some(filter(is_member, input))
}

/// `NOT EXISTS` keeps rows without a customer; `NOT IN`, the null-aware kind, does not.
fn anti_join(join: &Join, customer: &Column) -> Option<Result<LogicalPlan>> {
    let segment = segment_of(&join.right)?;
    let customer = Expr::Column(customer.clone());
    let is_stranger = membership(&customer, segment, true);
    let kept = match join.null_aware {
        true => is_stranger,
        false => is_stranger.or(customer.is_null()),
    };
    Some(filter(kept, &join.left))
}

/// An inner join with a segment stays, for its columns; the other side is filtered before it.
fn filtered_join(
    mut join: Join,
    left: &Column,
    right: &Column,
) -> Result<Transformed<LogicalPlan>> {
    let (segment, other, customer) = match (segment_of(&join.left), segment_of(&join.right)) {
        (None, Some(segment)) => (segment, &join.left, left),
        (Some(segment), None) => (segment, &join.right, right),
        _ => return Ok(Transformed::no(LogicalPlan::Join(join))),
    };
    if customer.name != CUSTOMER_ID || is_filtered(other) {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let is_member = is_in_segment(Expr::Column(customer.clone()), segment.key(), segment.pinned());
    let filtered = Arc::new(filter(is_member, other)?);
    match segment_of(&join.left).is_some() {
        true => join.right = filtered,
        false => join.left = filtered,
    }
    Ok(Transformed::yes(LogicalPlan::Join(join)))
}

/// Whether the filter that [`filtered_join`] adds is there already, somewhere below.
fn is_filtered(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = plan.apply(|node| {
        let _ = node.apply_expressions(|expression| {
            found |= expression.to_string().contains("in_segment(");
            Ok(TreeNodeRecursion::Continue)
        });
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

fn filter(predicate: Expr, input: &Arc<LogicalPlan>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Filter(Filter::try_new(predicate, input.clone())?))
}
