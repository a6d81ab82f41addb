//! `properties->>'country'` over `events` becomes a column of the scan, so that a walk can keep it,
//! and of files that have a column for it nothing else is read.
//!
//! The engine moves such expressions into a projection right above the scan; this rule comes last
//! and takes them into it.

use crate::events::{EventsTable, JSON_AS_TEXT};
use arrow::datatypes::DataType;
use datafusion::catalog::default_table_source::{provider_as_source, source_as_provider};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, TableReference};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, TableScan, TableScanBuilder, cast};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use habitue_storage::data_file::text_column;
use habitue_storage::event::PROPERTIES;
use std::sync::Arc;

/// The rule; it holds nothing.
#[derive(Debug)]
pub(crate) struct JsonMembers;

impl OptimizerRule for JsonMembers {
    fn name(&self) -> &str {
        "json_members"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        if let LogicalPlan::Projection(projection) = &plan
            && let LogicalPlan::TableScan(scan) = projection.input.as_ref()
            && let Some(own) = with_members(projection, scan)?
        {
            return Ok(Transformed::yes(LogicalPlan::Projection(own)));
        }
        Ok(Transformed::no(plan))
    }
}

/// The projection over a scan that gives the members it asks for; `None` when it asks for none, or
/// also for `properties` as a whole.
fn with_members(projection: &Projection, scan: &TableScan) -> Result<Option<Projection>> {
    let mut keys = Vec::new();
    let mut expressions = Vec::new();
    for expression in &projection.expr {
        let name = NamePreserver::new_for_projection().save(expression);
        let rewritten = rewritten(expression.clone(), &mut keys)?;
        expressions.push(name.restore(rewritten));
    }
    let mut columns = expressions.iter().flat_map(Expr::column_refs);
    let asks_for_all = columns.any(|column| column.name() == PROPERTIES);
    if keys.is_empty() || asks_for_all || scan.fetch.is_some() {
        return Ok(None);
    }
    let provider = source_as_provider(&scan.source)?;
    let (Some(table), Some(given)) = (provider.downcast_ref::<EventsTable>(), &scan.projection)
    else {
        return Ok(None);
    };
    let first = scan.source.schema().fields().len();
    let properties = scan.source.schema().index_of(PROPERTIES)?;
    let kept = given.iter().copied().filter(|column| *column != properties);
    let wanted = kept.chain(first..first + keys.len()).collect::<Vec<_>>();
    let source = provider_as_source(Arc::new(table.with_members(&keys)));
    let scan = TableScanBuilder::new(scan.table_name.clone(), source)
        .with_projection(Some(wanted))
        .with_filters(scan.filters.clone())
        .build()?;
    Ok(Some(Projection::try_new(expressions, Arc::new(LogicalPlan::TableScan(scan)))?))
}

/// The expression with columns in the place of members, whose keys are added to those known.
fn rewritten(expression: Expr, keys: &mut Vec<String>) -> Result<Expr> {
    let found = expression.transform_down(|part| {
        let Some((relation, key)) = member_in(&part) else {
            return Ok(Transformed::no(part));
        };
        let member = Column::new(relation, text_column(&key));
        if !keys.contains(&key) {
            keys.push(key);
        }
        let text = cast(Expr::Column(member), DataType::Utf8);
        Ok(Transformed::new(text, true, TreeNodeRecursion::Jump))
    });
    Ok(found?.data)
}

/// Whose properties are asked for which member.
fn member_in(part: &Expr) -> Option<(Option<TableReference>, String)> {
    let Expr::ScalarFunction(call) = part else {
        return None;
    };
    match call.args.as_slice() {
        [Expr::Column(column), Expr::Literal(key, _)]
            if call.name() == JSON_AS_TEXT && column.name() == PROPERTIES =>
        {
            Some((column.relation.clone(), key.try_as_str()??.to_owned()))
        }
        _ => None,
    }
}
