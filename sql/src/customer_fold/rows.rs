//! Rows of a batch, customer by customer.

use crate::walk::{Owners, rows_known_to_be_owned};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{cast, partition};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use std::ops::Range;
use std::sync::Arc;

/// Rows of one customer that stand side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CustomerRange {
    /// Whose they are, if customers are numbers.
    pub(super) customer: Option<i64>,
    /// Whether they go on with the customer of the rows before.
    pub(super) continues: bool,
    pub(super) rows: Range<usize>,
}

/// A batch, and the customers of its rows where the plan knows them: then their column says nothing.
pub(super) struct CustomerBatch {
    pub(super) batch: RecordBatch,
    owners: Option<Owners>,
}

pub(super) type CustomerBatches = BoxStream<'static, Result<CustomerBatch>>;

/// The rows of a partition; their first column are the customers.
pub(super) fn batches_of(
    input: &Arc<dyn ExecutionPlan>,
    partition: usize,
    context: &Arc<TaskContext>,
) -> Result<CustomerBatches> {
    if let Some(rows) = rows_known_to_be_owned(input, 0, partition, context)? {
        let rows =
            rows.map_ok(|rows| CustomerBatch { batch: rows.batch, owners: Some(rows.owners) });
        return Ok(rows.boxed());
    }
    let batches = input.execute(partition, context.clone())?;
    Ok(batches.map_ok(|batch| CustomerBatch { batch, owners: None }).boxed())
}

/// A batch with its customers.
pub(super) struct CustomerRows<'a> {
    pub(super) batch: &'a RecordBatch,
    /// Those of nobody are left out.
    pub(super) ranges: Vec<CustomerRange>,
}

/// Finds the customers of batch after batch.
#[derive(Default)]
pub(super) struct Customers {
    last: Option<ScalarValue>,
}

impl Customers {
    /// The rows of a batch by their customers.
    pub(super) fn of<'a>(&mut self, rows: &'a CustomerBatch) -> Result<CustomerRows<'a>> {
        let batch = &rows.batch;
        let ranges = match &rows.owners {
            Some(owners) => self.of_owners(owners),
            None => self.of_keys(batch.column(0))?,
        };
        Ok(CustomerRows { batch, ranges })
    }

    fn of_owners(&mut self, owners: &Owners) -> Vec<CustomerRange> {
        let Some((first, last)) = owners.first().zip(owners.last()) else {
            return Vec::new();
        };
        let continues = self.last == Some(ScalarValue::Int64(first.0));
        self.last = Some(ScalarValue::Int64(last.0));
        let mut ranges = Vec::with_capacity(owners.len());
        let mut from = 0;
        for (place, &(customer, rows)) in owners.iter().enumerate() {
            let rows = from..from + rows;
            from = rows.end;
            if customer.is_some() {
                ranges.push(CustomerRange { customer, continues: continues && place == 0, rows });
            }
        }
        ranges
    }

    fn of_keys(&mut self, keys: &ArrayRef) -> Result<Vec<CustomerRange>> {
        let mut ranges = Vec::new();
        if keys.is_empty() {
            return Ok(ranges);
        }
        let continues = self.last == Some(ScalarValue::try_from_array(keys, 0)?);
        let numbers = keys.as_primitive_opt::<Int64Type>();
        let found = match numbers {
            Some(numbers) if numbers.null_count() == 0 => equal_ranges(numbers),
            _ => partition(std::slice::from_ref(keys))?.ranges(),
        };
        for (place, rows) in found.into_iter().enumerate() {
            if keys.is_valid(rows.start) {
                let customer = numbers.map(|numbers| numbers.value(rows.start));
                ranges.push(CustomerRange { customer, continues: continues && place == 0, rows });
            }
        }
        self.last = Some(ScalarValue::try_from_array(keys, keys.len() - 1)?);
        Ok(ranges)
    }
}

fn equal_ranges(numbers: &Int64Array) -> Vec<Range<usize>> {
    let mut from = 0;
    let ranges = numbers.values().chunk_by(|a, b| a == b).map(|same| {
        let rows = from..from + same.len();
        from = rows.end;
        rows
    });
    ranges.collect()
}

/// A column of times in its own steps.
pub(super) fn steps(times: &ArrayRef) -> Result<Int64Array> {
    Ok(cast(times, &DataType::Int64)?.as_primitive().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

    fn ranges(customers: &mut Customers, keys: ArrayRef) -> Vec<(bool, Range<usize>)> {
        let batch = RecordBatch::try_from_iter([("customer", keys)]).unwrap();
        let rows = CustomerBatch { batch, owners: None };
        let rows = customers.of(&rows).unwrap();
        rows.ranges.into_iter().map(|range| (range.continues, range.rows)).collect()
    }

    #[test]
    fn a_customer_may_go_on_in_the_next_batch_and_nobody_is_left_out() {
        let mut customers = Customers::default();
        let first = ranges(&mut customers, Arc::new(Int64Array::from(vec![1, 1, 2])));
        assert_eq!(first, [(false, 0..2), (false, 2..3)]);
        let next = Int64Array::from(vec![Some(2), Some(3), None, None]);
        assert_eq!(ranges(&mut customers, Arc::new(next)), [(true, 0..1), (false, 1..2)]);
        assert_eq!(ranges(&mut customers, Arc::new(Int64Array::from(vec![3]))), [(false, 0..1)]);
    }

    #[test]
    fn owners_say_the_same_as_their_column() {
        let mut customers = Customers::default();
        let mut known = Customers::default();
        let batches =
            [vec![Some(1), Some(1), Some(2)], vec![Some(2), None, None], vec![Some(3)], vec![]];
        for keys in batches {
            let owners = keys.chunk_by(|a, b| a == b).map(|same| (same[0], same.len()));
            let owners = Some(owners.collect());
            let keys = Arc::new(Int64Array::from(keys)) as ArrayRef;
            let batch = RecordBatch::try_from_iter([("customer", keys)]).unwrap();
            let told = CustomerBatch { batch: batch.clone(), owners };
            let read = CustomerBatch { batch, owners: None };
            let told = known.of(&told).unwrap().ranges;
            assert_eq!(told, customers.of(&read).unwrap().ranges);
        }
    }

    #[test]
    fn customers_may_be_texts() {
        let keys = Arc::new(StringArray::from(vec![Some("a"), Some("a"), Some("b"), None]));
        assert_eq!(ranges(&mut Customers::default(), keys), [(false, 0..2), (false, 2..3)]);
    }
}
