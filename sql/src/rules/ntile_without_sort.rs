//! `ntile(n) OVER (ORDER BY …)` needs no sort, unless somebody relies on the order of its rows.

use crate::ntile::NtileExec;
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::windows::WindowAggExec;
use std::sync::Arc;

/// The rule.
#[derive(Debug)]
pub(crate) struct NtileWithoutSort;

impl PhysicalOptimizerRule for NtileWithoutSort {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // An ORDER BY may have been left out because a window's rows came in that order already.
        without_sorts(plan, true)
    }

    fn name(&self) -> &str {
        "ntile_without_sort"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The plan, in which no `ntile` sorts whose order of rows does not matter.
fn without_sorts(
    node: Arc<dyn ExecutionPlan>,
    order_matters: bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let window = node.downcast_ref::<WindowAggExec>().filter(|_| !order_matters);
    let node = match window.and_then(NtileExec::instead_of) {
        Some(ntile) => Arc::new(ntile),
        None => node,
    };
    let required = node.required_input_ordering();
    let kept = node.maintains_input_order();
    let children = node.children().into_iter().enumerate().map(|(place, child)| {
        let matters = required[place].is_some() || (order_matters && kept[place]);
        without_sorts(child.clone(), matters)
    });
    let children = children.collect::<Result<_>>()?;
    replace_children_if_necessary(node, children)
}
