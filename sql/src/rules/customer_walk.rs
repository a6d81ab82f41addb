//! Work per customer over rows that come customer by customer is done as they come.
//!
//! The planner knows the order of a [walk](crate::walk) and leaves out sorts and shuffles by itself;
//! this rule then puts operators without tables of groups in the place of the engine's.

use crate::walk::{CustomerAggregateExec, SessionizeExec, with_label_columns};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
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
            let aggregation = node.downcast_ref::<AggregateExec>();
            if let Some(own) = aggregation.and_then(CustomerAggregateExec::instead_of) {
                let own = with_label_columns(own)?;
                return Ok(Transformed::yes(Arc::new(own) as Arc<dyn ExecutionPlan>));
            }
            if let Some(own) = SessionizeExec::instead_of(&node) {
                return Ok(Transformed::yes(Arc::new(own) as Arc<dyn ExecutionPlan>));
            }
            Ok(Transformed::no(node))
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
