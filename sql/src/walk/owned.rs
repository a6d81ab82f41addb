//! Rows that come customer by customer, with whose they are.

use crate::walk::exec::CustomerWalkExec;
use crate::walk::output::WalkColumn;
use crate::walk::sessions::SessionizeExec;
use arrow::array::{Array, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::Int64Type;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::sync::Arc;

/// Rows that stand side by side.
pub(crate) struct OwnedRows {
    pub(crate) batch: RecordBatch,
    /// The customers in their order, each with the number of rows; `None` is nobody's.
    pub(crate) owners: Owners,
}

pub(crate) type Owners = Vec<(Option<i64>, usize)>;

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
        if let Some(projection) = input.downcast_ref::<ProjectionExec>()
            && knows_owners(input, place)
        {
            return projected_rows(projection, place, reads_key, partition, context);
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

/// The rows of a plan that knows, without a look at this column, whose they are; the column then
/// says nothing. `None` for other plans.
pub(crate) fn rows_known_to_be_owned(
    input: &Arc<dyn ExecutionPlan>,
    place: usize,
    partition: usize,
    context: &Arc<TaskContext>,
) -> Result<Option<BoxStream<'static, Result<OwnedRows>>>> {
    if !knows_owners(input, place) {
        return Ok(None);
    }
    let key: Arc<dyn PhysicalExpr> = Arc::new(Column::new_with_schema(
        input.schema().field(place).name(),
        input.schema().as_ref(),
    )?);
    rows_of(input, &key, false, partition, context.clone()).map(Some)
}

/// Whether the column at this place is that of a walk's customers.
fn knows_owners(input: &Arc<dyn ExecutionPlan>, place: usize) -> bool {
    if let Some(walk) = input.downcast_ref::<CustomerWalkExec>() {
        return matches!(walk.columns().get(place), Some(WalkColumn::Customer));
    }
    if let Some(sessions) = input.downcast_ref::<SessionizeExec>() {
        let key = sessions.key().downcast_ref::<Column>().map(Column::index);
        return key == Some(place) && knows_owners(sessions.input(), place);
    }
    input.downcast_ref::<ProjectionExec>().is_some_and(|projection| {
        key_below(projection, place).is_some_and(|below| knows_owners(projection.input(), below))
    })
}

/// The column of the input that a projection gives at this place.
fn key_below(projection: &ProjectionExec, place: usize) -> Option<usize> {
    projection.expr().get(place)?.expr.downcast_ref::<Column>().map(Column::index)
}

fn projected_rows(
    projection: &ProjectionExec,
    place: usize,
    reads_key: bool,
    partition: usize,
    context: Arc<TaskContext>,
) -> Result<BoxStream<'static, Result<OwnedRows>>> {
    let input = projection.input();
    let below = key_below(projection, place);
    let expressions = projection.expr().iter().map(|one| one.expr.clone()).collect::<Vec<_>>();
    let others = expressions.iter().enumerate().filter(|(other, _)| *other != place);
    let mut others = others.flat_map(|(_, expression)| collect_columns(expression));
    let reads_key = reads_key || others.any(|column| Some(column.index()) == below);
    let (key, schema) = (expressions[place].clone(), projection.schema());
    let rows = rows_of(input, &key, reads_key, partition, context)?.map(move |rows| {
        let OwnedRows { batch, owners } = rows?;
        let column = |expression: &Arc<dyn PhysicalExpr>| {
            expression.evaluate(&batch)?.into_array(batch.num_rows())
        };
        let columns = expressions.iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
        Ok(OwnedRows { batch, owners })
    });
    Ok(rows.boxed())
}

/// The keys that differ from the one before, each with the number of its rows.
fn owners(keys: &Int64Array) -> Owners {
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
