//! Conditions of a row as one bit each.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::DataType;
use datafusion::common::Result;

use crate::arguments::{Argument, Wording};

/// The most conditions of one call: they share a 32-bit mask.
pub(crate) const CONDITIONS_MAX: usize = 32;

/// Checks number and types of the conditions `c1 …` and answers how many there are.
pub(crate) fn check(arguments: &[Argument], wording: Wording) -> Result<usize> {
    let came = arguments.len();
    if came == 0 || came > CONDITIONS_MAX {
        let wanted = format!("1 to {CONDITIONS_MAX} conditions");
        return Err(wording.wrong("c1, c2, …", format!("{came} conditions"), wanted));
    }
    for (index, argument) in arguments.iter().enumerate() {
        if !matches!(argument.data_type, DataType::Boolean | DataType::Null) {
            let name = format!("c{}", index + 1);
            return Err(wording.wrong(name, &argument.data_type, "a condition (boolean)"));
        }
    }
    Ok(came)
}

/// The rows for which a condition is true; NULL counts as false.
pub fn true_rows(condition: &BooleanArray) -> BooleanBuffer {
    match condition.null_count() {
        0 => condition.values().clone(),
        _ => prep_null_mask_filter(condition).values().clone(),
    }
}

/// Bit `i` of a row's mask tells whether condition `i` is true; NULL counts as false.
pub(crate) fn masks(columns: &[ArrayRef], rows: usize) -> Vec<u32> {
    let mut masks = vec![0; rows];
    for (condition, column) in columns.iter().enumerate() {
        let Some(column) = column.as_boolean_opt() else {
            continue; // a column of type NULL: no row is true
        };
        let bit = 1 << condition;
        for row in column.values().set_indices() {
            if column.is_valid(row) {
                masks[row] |= bit;
            }
        }
    }
    masks
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::NullArray;

    use super::*;

    #[test]
    fn null_is_false() {
        let first = BooleanArray::from(vec![Some(true), None, Some(false)]);
        let third = BooleanArray::from(vec![true, true, false]);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(first), Arc::new(NullArray::new(3)), Arc::new(third)];
        assert_eq!(masks(&columns, 3), [0b101, 0b100, 0]);
        assert_eq!(true_rows(columns[0].as_boolean()).set_indices().collect::<Vec<_>>(), [0]);
    }
}
