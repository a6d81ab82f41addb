//! What must be read from the store before a plan can be optimised and run without waiting.

use crate::functions::CUSTOMER_OF;
use crate::segments::{IN_SEGMENT, SegmentTable, segment_key};
use crate::session::{Pinned, SegmentKey};
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};
use std::collections::BTreeSet;

/// The segments and the dictionary, if a plan reads them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PlanNeeds {
    pub(crate) segments: BTreeSet<SegmentKey>,
    pub(crate) dictionary: bool,
}

/// What a plan reads, its subqueries included.
pub(crate) fn needs_of(plan: &LogicalPlan) -> Result<PlanNeeds> {
    let mut needs = PlanNeeds::default();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(segment) = provider.downcast_ref::<SegmentTable>()
        {
            needs.segments.insert(segment.key().clone());
        }
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                add_needs_of_call(part, &mut needs)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(needs)
}

fn add_needs_of_call(expression: &Expr, needs: &mut PlanNeeds) -> Result<()> {
    if let Expr::ScalarFunction(call) = expression {
        match call.name() {
            IN_SEGMENT => {
                needs.segments.insert(segment_key(&call.args)?);
            }
            CUSTOMER_OF => needs.dictionary = true,
            _ => {}
        }
    }
    Ok(())
}

impl PlanNeeds {
    /// Reads it all.
    pub(crate) async fn load(&self, pinned: &Pinned) -> crate::Result<()> {
        for segment in &self.segments {
            pinned.load_segment(segment).await?;
        }
        if self.dictionary {
            pinned.load_dictionary().await?;
        }
        Ok(())
    }
}
