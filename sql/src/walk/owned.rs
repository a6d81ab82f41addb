//! Rows that come customer by customer, with whose they are.

use crate::walk::exec::CustomerWalkExec;
use crate::walk::output::WalkColumn;
use crate::walk::sessions::SessionizeExec;
use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::sync::Arc;

/// Rows that stand side by side.
pub(super) struct OwnedRows {
    pub(super) batch: RecordBatch,
    /// The customers in their order, each with the number of rows; `None` is nobody's.
    pub(super) owners: Vec<(Option<i64>, usize)>,
}

/// The rows of a partition of a plan that is sorted by `key`; `reads` are all expressions that are
/// evaluated over the batches. A walk knows whose its rows are: then the key is not even made,
/// unless somebody reads it.
pub(super) fn owned_rows<'a>(
    input: &Arc<dyn ExecutionPlan>,
    key: &Arc<dyn PhysicalExpr>,
    reads: impl Iterator<Item = &'a Arc<dyn PhysicalExpr>>,
    partition: usize,
    context: Arc<TaskContext>,
) -> Result<BoxStream<'static, Result<OwnedRows>>> {
    let place = key.downcast_ref::<Column>().map(Column::index);
    let mut reads = reads.flat_map(collect_columns);
    let reads_key = reads.any(|column| Some(column.index()) == place);
    rows_of(input, key, reads_key, partition, context)
}

/// The same, when it is known whether the column of the key is read.
pub(super) fn rows_of(
    input: &Arc<dyn ExecutionPlan>,
    key: &Arc<dyn PhysicalExpr>,
    reads_key: bool,
    partition: usize,
    context: Arc<TaskContext>,
) -> Result<BoxStream<'static, Result<OwnedRows>>> {
    if let Some(place) = key.downcast_ref::<Column>().map(Column::index) {
        if let Some(walk) = input.downcast_ref::<CustomerWalkExec>()
            && matches!(walk.columns()[place], WalkColumn::Customer)
        {
            return Ok(walk.owned_rows(partition, &context, reads_key));
        }
        // Its input's columns come first in its rows.
        if let Some(sessions) = input.downcast_ref::<SessionizeExec>()
            && sessions.key().eq(key)
        {
            return sessions.owned_rows(partition, context, reads_key);
        }
    }
    let key = key.clone();
    let rows = input.execute(partition, context)?.map(move |batch| {
        let batch = batch?;
        let keys = key.evaluate(&batch)?.into_array(batch.num_rows())?;
        Ok(OwnedRows { owners: owners(keys.as_primitive::<Int64Type>()), batch })
    });
    Ok(rows.boxed())
}

/// The keys that differ from the one before, each with the number of its rows.
fn owners(keys: &Int64Array) -> Vec<(Option<i64>, usize)> {
    if keys.null_count() == 0 {
        let same = keys.values().chunk_by(|a, b| a == b);
        return same.map(|same| (Some(same[0]), same.len())).collect();
    }
    let mut owners: Vec<(Option<i64>, usize)> = Vec::new();
    for key in keys {
        match owners.last_mut().filter(|(last, _)| *last == key) {
            Some((_, rows)) => *rows += 1,
            None => owners.push((key, 1)),
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_that_stand_side_by_side_are_one_owner() {
        assert_eq!(owners(&Int64Array::from(vec![3, 3, 5])), [(Some(3), 2), (Some(5), 1)]);
        let with_nobody = Int64Array::from(vec![Some(3), None, None, Some(3)]);
        assert_eq!(owners(&with_nobody), [(Some(3), 1), (None, 2), (Some(3), 1)]);
        assert_eq!(owners(&Int64Array::from(Vec::<i64>::new())), []);
    }
}
