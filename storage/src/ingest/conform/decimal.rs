//! Amounts and quantities of any shape become `DECIMAL(18,4)`.
//!
//! Integers and decimals are exact. A float counts as the shortest decimal text that denotes it:
//! 0.1 is one tenth. More than four decimals are rounded half away from zero. Text is an optional
//! sign, digits with an optional point, and an optional exponent; nothing else, so `1,234.50`
//! and `€ 5` are rejected and not guessed.

use super::faults::{Faults, quoted};
use crate::error::{Error, Result};
use crate::event;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use std::sync::Arc;

const DECIMALS: i32 = 4;
const UNITS_MAX: i128 = 999_999_999_999_999_999;

/// Brings a column to `DECIMAL(18,4)`. Faulty rows are NULL and told to `faults`.
pub(crate) fn decimals(array: &ArrayRef, name: &str, faults: &mut Faults) -> Result<ArrayRef> {
    let by_row = |faults: &mut Faults, of_row: &dyn Fn(usize) -> Result<Option<i128>, String>| {
        let values: Decimal128Array = (0..array.len())
            .map(|row| match array.is_valid(row).then(|| of_row(row)) {
                Some(Ok(units)) => units,
                Some(Err(reason)) => {
                    faults.add(row, || format!("{name} {reason}"));
                    None
                }
                None => None,
            })
            .collect();
        values.with_precision_and_scale(18, 4).map(|array| Arc::new(array) as ArrayRef)
    };
    let arrow_error = |error| Error::Arrow {
        during: format!("bringing column {name:?} to a decimal"),
        source: Arc::new(error),
    };
    match array.data_type() {
        t if *t == event::decimal_type() => Ok(Arc::clone(array)),
        DataType::Dictionary(_, values) => {
            decimals(&cast(array, values).map_err(arrow_error)?, name, faults)
        }
        t if t.is_integer() || t.is_decimal() || *t == DataType::Null => {
            let cast = cast(array, &event::decimal_type()).map_err(arrow_error)?;
            for row in (0..array.len()).filter(|&row| array.is_valid(row) && cast.is_null(row)) {
                faults.add(row, || format!("{name} {TOO_LARGE}"));
            }
            Ok(cast)
        }
        t if t.is_floating() => {
            // The shortest text of a 32-bit float is shorter than that of the same 64-bit one.
            let is_narrow = !matches!(t, DataType::Float64);
            let narrow = is_narrow.then(|| cast(array, &DataType::Float32)).transpose();
            let narrow = narrow.map_err(arrow_error)?;
            let wide = cast(array, &DataType::Float64).map_err(arrow_error)?;
            let wide = wide.as_primitive::<Float64Type>();
            by_row(faults, &|row| match &narrow {
                None => of_float(wide.value(row)).map(Some),
                Some(narrow) => {
                    let narrow = narrow.as_primitive::<arrow::datatypes::Float32Type>();
                    of_float_text(&narrow.value(row).to_string()).map(Some)
                }
            })
            .map_err(arrow_error)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let text = cast(array, &DataType::Utf8).map_err(arrow_error)?;
            let text = text.as_string::<i32>();
            by_row(faults, &|row| of_text(text.value(row))).map_err(arrow_error)
        }
        other => by_row(faults, &|_| Err(format!("is a {other}, a number is wanted")))
            .map_err(arrow_error),
    }
}

const TOO_LARGE: &str = "has more than 14 digits before the point";

fn of_float(value: f64) -> Result<i128, String> {
    let units = value * 1e4;
    let nearest = units.round();
    // Far from a tie, and small enough for the product to be exact to less than the distance.
    if value.abs() < 1e9 && (units - nearest).abs() < 0.499 {
        return Ok(nearest as i128);
    }
    of_float_text(&value.to_string())
}

fn of_float_text(text: &str) -> Result<i128, String> {
    parse(text).unwrap_or_else(|| Err(format!("is {text}, a number is wanted")))
}

/// Empty text is NULL: that is how CSV writes it.
fn of_text(text: &str) -> Result<Option<i128>, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(None);
    }
    let parsed = parse(trimmed);
    let parsed = parsed.unwrap_or_else(|| Err(format!("{} is not a number", quoted(text))));
    parsed.map(Some)
}

/// `None` when it is not a number; an error when it is too large a one.
fn parse(text: &str) -> Option<Result<i128, String>> {
    let (is_negative, unsigned) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(place) => (&unsigned[..place], unsigned[place + 1..].parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    // The value is 0.digits × 10^point; `kept` digits stand before the last decimal.
    let zeros = i64::try_from(whole.len() + fraction.len() - digits.len()).ok()?;
    let point = i64::try_from(whole.len()).ok()? - zeros + i64::from(exponent);
    let kept = point + i64::from(DECIMALS);
    if digits.is_empty() || kept < 0 {
        return Some(Ok(0));
    }
    if kept > 18 {
        return Some(Err(TOO_LARGE.into()));
    }
    let kept = usize::try_from(kept).ok()?;
    let digit = |place: usize| i128::from(digits.as_bytes().get(place).map_or(0, |d| d - b'0'));
    let mut units = (0..kept).fold(0_i128, |sum, place| sum * 10 + digit(place));
    if digit(kept) >= 5 {
        units += 1;
    }
    if units > UNITS_MAX {
        return Some(Err(TOO_LARGE.into()));
    }
    Some(Ok(if is_negative { -units } else { units }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Float32Array, Float64Array, Int64Array, StringArray};
    use arrow::datatypes::Decimal128Type;
    use proptest::prelude::*;

    fn ref_of(array: impl Array + 'static) -> ArrayRef {
        Arc::new(array)
    }

    fn read(array: &ArrayRef) -> Vec<Result<Option<i128>, String>> {
        let mut faults = Faults::default();
        let units = decimals(array, "amount", &mut faults).unwrap();
        assert_eq!(units.data_type(), &event::decimal_type());
        let mut reasons = faults.into_reasons();
        let units = units.as_primitive::<Decimal128Type>();
        (0..units.len())
            .map(|row| match reasons.remove(&row) {
                Some(reason) => Err(reason),
                None => Ok(units.is_valid(row).then(|| units.value(row))),
            })
            .collect()
    }

    fn read_text(text: &str) -> Result<Option<i128>, String> {
        read(&ref_of(StringArray::from(vec![text]))).remove(0)
    }

    #[test]
    fn texts_are_exact() {
        for (text, units) in [
            ("0", 0),
            ("-0.00", 0),
            ("12.34", 123_400),
            ("-12.34", -123_400),
            ("+.5", 5_000),
            ("5.", 50_000),
            ("1e3", 10_000_000),
            ("1.5E-3", 15),
            ("0.00005", 1),
            ("0.00004999", 0),
            ("-0.00005", -1),
            ("99999999999999.9999", 999_999_999_999_999_999),
            ("0000000000000000000000001", 10_000),
            ("1e-400", 0),
        ] {
            assert_eq!(read_text(text), Ok(Some(units)), "{text}");
        }
        assert_eq!(read_text(" "), Ok(None));
    }

    #[test]
    fn what_is_no_number_is_rejected() {
        for text in ["abc", "1,234.50", "€ 5", "1.2.3", ".", "-", "e5", "1e", "NaN", "inf", "--1"]
        {
            assert!(read_text(text).is_err(), "{text}");
        }
        for text in ["100000000000000", "99999999999999.99995", "1e30", "1e2000000000"] {
            assert!(read_text(text).is_err_and(|why| why.contains("digits")), "{text}");
        }
    }

    #[test]
    fn floats_are_what_they_read_as() {
        let floats = vec![0.1 + 0.2, 1.00005, -2.5, 19.99, 1e13, 1e15, f64::NAN, f64::INFINITY];
        let answers = read(&ref_of(Float64Array::from(floats)));
        let units: Vec<_> = answers[..5].iter().map(|a| a.clone().unwrap().unwrap()).collect();
        assert_eq!(units, [3_000, 10_001, -25_000, 199_900, 100_000_000_000_000_000]);
        assert!(answers[5..].iter().all(Result::is_err));
        assert_eq!(read(&ref_of(Float32Array::from(vec![0.1]))), [Ok(Some(1_000))]);
    }

    #[test]
    fn integers_keep_their_value_and_booleans_are_no_numbers() {
        let answers = read(&ref_of(Int64Array::from(vec![Some(-3), None, Some(i64::MAX)])));
        assert_eq!(answers[..2], [Ok(Some(-30_000)), Ok(None)]);
        assert!(answers[2].is_err());
        assert!(read(&ref_of(BooleanArray::from(vec![true])))[0].is_err());
    }

    proptest! {
        #[test]
        fn every_amount_survives_text_and_float(units in -9_999_999_999_i64..9_999_999_999) {
            let sign = if units < 0 { "-" } else { "" };
            let magnitude = units.unsigned_abs();
            let text = format!("{sign}{}.{:04}", magnitude / 10_000, magnitude % 10_000);
            prop_assert_eq!(read_text(&text), Ok(Some(i128::from(units))));
            let float: f64 = text.parse().unwrap();
            prop_assert_eq!(of_float(float), Ok(i128::from(units)));
        }

        #[test]
        fn any_text_is_an_answer(text in "[-+.0-9eE ]{0,30}") {
            let _ = read_text(&text);
        }
    }
}
