//! Optimizer rules of ours.

mod bitmap_pruning;
mod customer_walk;
mod json_members;
mod ntile_without_sort;
mod segment_bitmap;
mod yielding_joins;

use datafusion::execution::SessionStateBuilder;
use datafusion::optimizer::Optimizer;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use std::sync::Arc;

/// The builder with our rules among the engine's.
///
/// Those about segments go first: filters that they make are then pushed down like any other.
pub(crate) fn with_our_rules(builder: SessionStateBuilder) -> SessionStateBuilder {
    let mut rules = Optimizer::new().rules;
    rules.insert(0, Arc::new(bitmap_pruning::BitmapPruning));
    let decorrelated = rules.iter().position(|rule| rule.name() == AFTER);
    let place = decorrelated.map_or(rules.len(), |place| place + 1);
    rules.insert(place, Arc::new(bitmap_pruning::BitmapPruning));
    rules.push(Arc::new(json_members::JsonMembers));
    let mut physical = PhysicalOptimizer::new().rules;
    let last = physical.iter().position(|rule| rule.name() == BEFORE);
    let last = last.unwrap_or(physical.len());
    physical.insert(last, Arc::new(customer_walk::CustomerWalks));
    physical.insert(last, Arc::new(segment_bitmap::SegmentBitmaps));
    physical.insert(last, Arc::new(ntile_without_sort::NtileWithoutSort));
    physical.push(Arc::new(yielding_joins::YieldingJoins));
    builder.with_optimizer_rules(rules).with_physical_optimizer_rules(physical)
}

/// The rule from which on plans only get what they need to run.
const BEFORE: &str = "EnsureCooperative";

/// The rule that turns EXISTS into joins, which are membership too.
const AFTER: &str = "extract_equijoin_predicate";
