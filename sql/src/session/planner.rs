//! From logical plans to physical ones: the engine's planner, which also knows our own nodes.

use crate::customer_fold::FoldPlanner;
use crate::table_functions::ComponentsPlanner;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use std::sync::Arc;

/// The planner of all our sessions.
#[derive(Debug)]
pub(super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let ours: Vec<Arc<dyn ExtensionPlanner + Send + Sync>> =
            vec![Arc::new(FoldPlanner), Arc::new(ComponentsPlanner)];
        let planner = DefaultPhysicalPlanner::with_extension_planners(ours);
        planner.create_physical_plan(logical_plan, session).await
    }
}
