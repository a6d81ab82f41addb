//! Scalars of any type become text: a number as an id is its digits.

use super::faults::Faults;
use crate::error::{Error, Result};
use crate::event;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use std::sync::Arc;

/// Up to here every integer has a float of its own: 2⁵³.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Brings a column to text. Faulty rows are NULL and told to `faults`.
///
/// Whole floats become integers: `42.0` is how tools without nullable integers write the id 42.
pub(crate) fn texts(array: &ArrayRef, name: &str, faults: &mut Faults) -> Result<ArrayRef> {
    let failed = |error| Error::Arrow {
        during: format!("bringing column {name:?} to text"),
        source: Arc::new(error),
    };
    match array.data_type() {
        DataType::Utf8 => Ok(Arc::clone(array)),
        DataType::Dictionary(_, values) if !matches!(**values, DataType::Utf8) => {
            texts(&cast(array, values).map_err(failed)?, name, faults)
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let is_narrow = *array.data_type() != DataType::Float64;
            let wide = cast(array, &DataType::Float64).map_err(failed)?;
            let plain = cast(array, &DataType::Utf8).map_err(failed)?;
            let wide = wide.as_primitive();
            Ok(Arc::new(float_texts(wide, plain.as_string(), is_narrow)))
        }
        other if is_scalar(other) => {
            let text = cast(array, &DataType::Utf8).map_err(failed)?;
            let is_lost = |&row: &usize| array.is_valid(row) && text.is_null(row);
            for row in (0..array.len()).filter(is_lost) {
                faults.add(row, || format!("{name} is not text: its bytes are not UTF-8"));
            }
            Ok(text)
        }
        other => {
            for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
                faults.add(row, || format!("{name} is a {other}, text is wanted"));
            }
            Ok(Arc::new(StringArray::new_null(array.len())))
        }
    }
}

/// Brings a column to a label: text behind a dictionary.
pub(crate) fn labels(array: &ArrayRef, name: &str, faults: &mut Faults) -> Result<ArrayRef> {
    let has_null_names = array
        .as_any_dictionary_opt()
        .is_some_and(|dictionary| dictionary.values().null_count() > 0);
    if *array.data_type() == event::label_type() && !has_null_names {
        return Ok(Arc::clone(array));
    }
    let text = texts(array, name, faults)?;
    cast(&text, &event::label_type()).map_err(|error| Error::Arrow {
        during: format!("bringing column {name:?} to a label"),
        source: Arc::new(error),
    })
}

fn is_scalar(data_type: &DataType) -> bool {
    data_type.is_primitive()
        || matches!(
            data_type,
            DataType::Null
                | DataType::Boolean
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::Dictionary(..)
        )
}

fn float_texts(values: &Float64Array, plain: &StringArray, is_narrow: bool) -> StringArray {
    let exact_max = if is_narrow { 16_777_216.0 } else { EXACT_INTEGER_MAX };
    (0..values.len())
        .map(|row| {
            let value = values.is_valid(row).then(|| values.value(row))?;
            let is_whole = value.fract() == 0.0 && value.abs() <= exact_max;
            Some(if is_whole { (value as i64).to_string() } else { plain.value(row).to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, BooleanArray, Int64Array, ListArray};
    use arrow::datatypes::Int64Type;

    fn ref_of(array: impl Array + 'static) -> ArrayRef {
        Arc::new(array)
    }

    fn read(array: &ArrayRef) -> (Vec<Option<String>>, usize) {
        let mut faults = Faults::default();
        let text = texts(array, "user_id", &mut faults).unwrap();
        let text = text.as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect();
        (text, faults.into_reasons().len())
    }

    // If this fails, the same customer gets two ids, one from each tool that exported him.
    #[test]
    fn whole_floats_are_integers() {
        let floats = Float64Array::from(vec![Some(42.0), Some(-1.0), Some(0.5), None, Some(1e300)]);
        let (texts, faults) = read(&ref_of(floats));
        assert_eq!(texts[..4], [Some("42".into()), Some("-1".into()), Some("0.5".into()), None]);
        assert!(texts[4].is_some());
        assert_eq!(faults, 0);
    }

    #[test]
    fn scalars_are_text_and_lists_are_not() {
        assert_eq!(read(&ref_of(Int64Array::from(vec![7]))).0, [Some("7".into())]);
        assert_eq!(read(&ref_of(BooleanArray::from(vec![true]))).0, [Some("true".into())]);
        let bytes = BinaryArray::from(vec![Some(b"ok".as_slice()), Some(b"\xff"), None]);
        assert_eq!(read(&ref_of(bytes)), (vec![Some("ok".into()), None, None], 1));
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)]), None]);
        assert_eq!(read(&ref_of(lists)), (vec![None, None], 1));
    }
}
