//! Work per customer over rows that come customer by customer is done as they come.
//!
//! The planner knows the order of a [walk](crate::walk) and leaves out sorts and shuffles by itself;
//! this rule then puts operators without tables of groups in the place of the engine's.

use crate::walk::{
    CustomerAggregateExec, CustomerDistinctExec, CustomerJoinExec, SessionizeExec,
    filter_of_labels, projection_of_labels, with_label_columns,
};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use std::sync::Arc;

/// The rule.
#[derive(Debug)]
pub(crate) struct CustomerWalks;

impl PhysicalOptimizerRule for CustomerWalks {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let found = plan.transform_up(|node| {
            Ok(match instead_of(&node)? {
                Some(own) => Transformed::yes(own),
                None => Transformed::no(node),
            })
        });
        Ok(found?.data)
    }

    fn name(&self) -> &str {
        "customer_walks"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Our operator for the same work; the node's input has been looked at before.
fn instead_of(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        return projection_of_labels(projection);
    }
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        return filter_of_labels(filter);
    }
    if let Some(aggregation) = node.downcast_ref::<AggregateExec>() {
        return instead_of_aggregation(aggregation);
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let own = CustomerJoinExec::instead_of(join);
        return Ok(own.map(|own| Arc::new(own) as Arc<dyn ExecutionPlan>));
    }
    let sessions = SessionizeExec::instead_of(node);
    Ok(sessions.map(|own| Arc::new(own) as Arc<dyn ExecutionPlan>))
}

fn instead_of_aggregation(aggregation: &AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(own) = CustomerAggregateExec::instead_of(aggregation) {
        return Ok(Some(Arc::new(with_label_columns(own)?)));
    }
    if let Some(own) = CustomerDistinctExec::instead_of(aggregation)? {
        return Ok(Some(Arc::new(own)));
    }
    let distinct = aggregation.input().downcast_ref::<CustomerDistinctExec>();
    let counted = distinct.and_then(|distinct| distinct.counted(aggregation));
    Ok(counted.map(|own| Arc::new(own) as Arc<dyn ExecutionPlan>))
}
