//! A segment is a bitmap already: `bitmap_agg(customer_id)` over all its members takes that, instead
//! of making rows of it and a bitmap of the rows.

use crate::segments::SegmentScanExec;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use std::sync::Arc;

/// The rule.
#[derive(Debug)]
pub(crate) struct SegmentBitmaps;

impl PhysicalOptimizerRule for SegmentBitmaps {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let found = plan.transform_down(|node| {
            Ok(match node.downcast_ref::<AggregateExec>().and_then(bitmap) {
                Some(bitmap) => Transformed::yes(Arc::new(bitmap) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        });
        Ok(found?.data)
    }

    fn name(&self) -> &str {
        "segment_bitmaps"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The scan that answers what this aggregation does, if one can.
fn bitmap(aggregation: &AggregateExec) -> Option<SegmentScanExec> {
    let is_last = matches!(
        aggregation.mode(),
        AggregateMode::Single | AggregateMode::SinglePartitioned | AggregateMode::Final
    );
    if !is_last || !is_bitmap_of_all(aggregation) {
        return None;
    }
    let mut input = aggregation.input();
    while let Some(below) = below(input) {
        input = below;
    }
    input.downcast_ref::<SegmentScanExec>()?.as_bitmap(&aggregation.schema())
}

/// Whether it makes nothing but the bitmap of all rows' only column.
fn is_bitmap_of_all(aggregation: &AggregateExec) -> bool {
    let [function] = aggregation.aggr_expr() else {
        return false;
    };
    let [argument] = &function.expressions()[..] else {
        return false;
    };
    aggregation.group_expr().expr().is_empty()
        && aggregation.filter_expr().iter().all(Option::is_none)
        && aggregation.limit_options().is_none()
        && function.fun().name() == "bitmap_agg"
        && argument.downcast_ref::<Column>().is_some_and(|column| column.index() == 0)
}

/// What is below a node that only passes rows on, or adds them up for the last step.
fn below(node: &Arc<dyn ExecutionPlan>) -> Option<&Arc<dyn ExecutionPlan>> {
    if let Some(partial) = node.downcast_ref::<AggregateExec>() {
        let is_first = *partial.mode() == AggregateMode::Partial;
        return (is_first && is_bitmap_of_all(partial)).then(|| partial.input());
    }
    let passes = node.is::<CoalescePartitionsExec>() || node.is::<RepartitionExec>();
    passes.then(|| node.children().first().copied()).flatten()
}
