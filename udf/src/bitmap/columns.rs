//! Columns of bitmaps and of their elements, and what may stand in them.

use arrow::array::{ArrayRef, AsArray, BinaryArray, UInt64Array};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::{DataFusionError, Result};

use crate::arguments::Wording;
use crate::bitmap::aggregate::Input;
use crate::bitmap::portable::Bitmap;

/// Checks that a column can hold what is wanted.
pub(super) fn check_input(input: Input, data_type: &DataType, wording: Wording) -> Result<()> {
    let fits = match input {
        Input::Number => data_type.is_integer(),
        Input::Bitmap => {
            matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
        }
    };
    if fits || data_type == &DataType::Null {
        return Ok(());
    }
    Err(match input {
        Input::Number => wording.wrong("number", data_type, "a column of whole numbers"),
        Input::Bitmap => wording.wrong("bitmap", data_type, "a bitmap (binary)"),
    })
}

/// A column of bitmaps, whatever kind of binary it is.
pub(super) fn binary_column(column: &ArrayRef) -> Result<BinaryArray> {
    Ok(cast(column, &DataType::Binary)?.as_binary::<i32>().clone())
}

/// A column of elements; an error when one of them is negative.
pub(super) fn number_column(column: &ArrayRef, wording: Wording) -> Result<UInt64Array> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let numbers = cast_with_options(column, &DataType::UInt64, &strict)
        .map_err(|error| wording.wrong("number", error, "whole numbers that are not negative"))?;
    Ok(numbers.as_primitive::<UInt64Type>().clone())
}

/// A bitmap from its bytes.
pub(super) fn decode(bytes: &[u8], wording: Wording) -> Result<Bitmap> {
    Bitmap::from_bytes(bytes).map_err(|malformed| {
        DataFusionError::Execution(format!("{}: {malformed}", wording.function))
    })
}
