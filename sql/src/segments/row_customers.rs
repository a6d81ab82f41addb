//! The customers in the first column of the rows of a query.

use crate::error::{Error, Result};
use crate::session::Pinned;
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use roaring::RoaringBitmap;

/// Whose each row of a batch is: the customer of today, or nobody's.
pub(super) struct RowCustomers {
    customers: Vec<Option<u32>>,
}

impl RowCustomers {
    /// Of all rows; NULL is nobody.
    ///
    /// # Errors
    /// For a number that never was a customer.
    pub(super) fn of(batch: &RecordBatch, pinned: &Pinned) -> Result<Self> {
        let numbers = cast(batch.column(0), &DataType::Int64);
        let numbers = numbers.map_err(|error| Error::from_datafusion(error.into(), ""))?;
        let map = pinned.identities().as_slice();
        let customer = |number: Option<i64>| {
            let Some(number) = number else {
                return Ok(None);
            };
            // A number that rests since a merge is today's customer.
            let customer = usize::try_from(number).ok().and_then(|place| map.get(place));
            let never = || {
                let reason = format!("customer {number} came, and nobody ever had that number");
                Error::invalid("the query of a segment", reason)
            };
            customer.copied().map(Some).ok_or_else(never)
        };
        let customers = numbers.as_primitive::<Int64Type>().iter().map(customer);
        Ok(Self { customers: customers.collect::<Result<_>>()? })
    }

    /// Everybody.
    pub(super) fn all(&self) -> RoaringBitmap {
        bitmap_of(self.customers.iter().flatten().copied().collect())
    }

    /// Those of the rows for which this is TRUE.
    pub(super) fn of_true(&self, says: &BooleanArray) -> RoaringBitmap {
        let rows = says.values().set_indices().filter(|&row| says.is_valid(row));
        bitmap_of(rows.filter_map(|row| self.customers[row]).collect())
    }
}

/// The numbers as a set. Rows mostly come by customer: then they are not even sorted.
fn bitmap_of(mut customers: Vec<u32>) -> RoaringBitmap {
    if !customers.is_sorted() {
        customers.sort_unstable();
    }
    customers.dedup();
    let mut bitmap = RoaringBitmap::new();
    // What is strictly ascending is always taken.
    let _ = bitmap.append(customers);
    bitmap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_any_order_and_twice_are_a_set() {
        let rows = RowCustomers { customers: vec![Some(70_000), None, Some(3), Some(70_000)] };
        assert_eq!(rows.all().iter().collect::<Vec<_>>(), [3, 70_000]);
        let says = BooleanArray::from(vec![Some(false), Some(true), Some(true), None]);
        assert_eq!(rows.of_true(&says).iter().collect::<Vec<_>>(), [3]);
    }
}
