//! The logical node of `connected_components`, and the way to the physical one.

use super::exec::ConnectedComponentsExec;
use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError, Result};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The components of the links of a relation, whose two columns have one type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ComponentsNode {
    links: LogicalPlan,
    schema: DFSchemaRef,
}

impl ComponentsNode {
    /// The plan of the components of these links.
    pub fn plan(links: LogicalPlan) -> Result<LogicalPlan> {
        let schema = schema(links.schema().field(0).data_type());
        let schema = Arc::new(DFSchema::try_from(schema)?);
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(Self { links, schema }) }))
    }
}

/// What the answer looks like.
pub(super) fn schema(value: &DataType) -> SchemaRef {
    let field = |name| Field::new(name, value.clone(), false);
    Arc::new(Schema::new(vec![field("id"), field("component")]))
}

impl PartialOrd for ComponentsNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.links
            .partial_cmp(&other.links)
            .filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for ComponentsNode {
    fn name(&self) -> &str {
        "ConnectedComponents"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.links]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectedComponents")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let [links] = <[_; 1]>::try_from(inputs)
            .map_err(|_| DataFusionError::Internal("ConnectedComponents has one input".into()))?;
        Ok(Self { links, schema: Arc::clone(&self.schema) })
    }
}

/// Knows how [`ComponentsNode`] is computed.
#[derive(Debug)]
pub(crate) struct ComponentsPlanner;

#[async_trait]
impl ExtensionPlanner for ComponentsPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let is_ours = node.as_any().is::<ComponentsNode>();
        let [links] = physical_inputs else {
            return Ok(None);
        };
        Ok(is_ours.then(|| Arc::new(ConnectedComponentsExec::new(links.clone())) as _))
    }
}
