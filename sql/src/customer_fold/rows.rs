//! Rows of a batch, customer by customer.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{cast, partition};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use std::ops::Range;

/// Rows of one customer that stand side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CustomerRange {
    /// Whether they go on with the customer of the rows before.
    pub(super) continues: bool,
    pub(super) rows: Range<usize>,
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
    /// The rows of a batch by the customers in its first column.
    pub(super) fn of<'a>(&mut self, batch: &'a RecordBatch) -> Result<CustomerRows<'a>> {
        let keys = batch.column(0);
        let mut ranges = Vec::new();
        if batch.num_rows() == 0 {
            return Ok(CustomerRows { batch, ranges });
        }
        let continues = self.last == Some(ScalarValue::try_from_array(keys, 0)?);
        let found = match keys.as_primitive_opt::<Int64Type>() {
            Some(numbers) if numbers.null_count() == 0 => equal_ranges(numbers),
            _ => partition(std::slice::from_ref(keys))?.ranges(),
        };
        for (place, rows) in found.into_iter().enumerate() {
            if keys.is_valid(rows.start) {
                ranges.push(CustomerRange { continues: continues && place == 0, rows });
            }
        }
        self.last = Some(ScalarValue::try_from_array(keys, batch.num_rows() - 1)?);
        Ok(CustomerRows { batch, ranges })
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
    use std::sync::Arc;

    fn ranges(customers: &mut Customers, keys: ArrayRef) -> Vec<(bool, Range<usize>)> {
        let batch = RecordBatch::try_from_iter([("customer", keys)]).unwrap();
        let rows = customers.of(&batch).unwrap();
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
    fn customers_may_be_texts() {
        let keys = Arc::new(StringArray::from(vec![Some("a"), Some("a"), Some("b"), None]));
        assert_eq!(ranges(&mut Customers::default(), keys), [(false, 0..2), (false, 2..3)]);
    }
}
