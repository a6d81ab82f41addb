//! Points in time of any column type as whole numbers in the column's own precision.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, UInt64Type};
use datafusion::common::{Result, ScalarValue};

use crate::arguments::Wording;

const NANOSECONDS_PER_SECOND: i128 = 1_000_000_000;
const NANOSECONDS_PER_DAY: i128 = 86_400 * NANOSECONDS_PER_SECOND;

/// What one step of a time column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeScale {
    /// A timestamp or a date: nanoseconds in one step, and in one unit of a plain number.
    Clock { step: i128, plain_unit: i128 },
    /// A signed integer of no stated unit.
    Signed,
    /// An unsigned integer of no stated unit.
    Unsigned,
}

impl TimeScale {
    /// The scale of a `ts` column; an error for a type that is no time.
    pub(crate) fn of(data_type: &DataType, wording: Wording) -> Result<Self> {
        let seconds = |step| Self::Clock { step, plain_unit: NANOSECONDS_PER_SECOND };
        let days = |step| Self::Clock { step, plain_unit: NANOSECONDS_PER_DAY };
        Ok(match data_type {
            DataType::Timestamp(TimeUnit::Second, _) => seconds(NANOSECONDS_PER_SECOND),
            DataType::Timestamp(TimeUnit::Millisecond, _) => seconds(1_000_000),
            DataType::Timestamp(TimeUnit::Microsecond, _) => seconds(1_000),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => seconds(1),
            // A column of nothing but NULL has no type of its own; none of its rows count.
            DataType::Null => seconds(1_000),
            DataType::Date32 => days(NANOSECONDS_PER_DAY),
            DataType::Date64 => days(1_000_000),
            DataType::UInt64 => Self::Unsigned,
            other if other.is_integer() => Self::Signed,
            other => {
                return Err(wording.wrong("ts", other, "a timestamp, a date or an integer"));
            }
        })
    }

    /// A length of time in steps of this scale, rounded down: whole steps compare the same.
    pub(crate) fn length(self, name: &str, value: &ScalarValue, wording: Wording) -> Result<i64> {
        let wanted = match self {
            Self::Clock { .. } => "an interval without months or a whole number, not negative",
            _ => "a whole number, not negative, because ts is an integer",
        };
        let wrong = || wording.wrong(name, value, wanted);
        let nanoseconds = interval_nanoseconds(value);
        let steps = match (self, nanoseconds, whole_number(value)) {
            (Self::Clock { step, .. }, Some(length), _) if length >= 0 => length / step,
            (Self::Clock { step, plain_unit }, _, Some(number)) if number >= 0 => {
                number.saturating_mul(plain_unit) / step
            }
            (Self::Signed | Self::Unsigned, None, Some(number)) if number >= 0 => number,
            _ => return Err(wrong()),
        };
        Ok(i64::try_from(steps).unwrap_or(i64::MAX))
    }

    /// The column's values in steps of this scale, in the same order; NULL stays NULL.
    pub(crate) fn steps(self, column: &ArrayRef) -> Result<Int64Array> {
        if self == Self::Unsigned {
            // Flipping the highest bit keeps order and distances when read as signed.
            let flipped = |value: u64| (value ^ (1 << 63)).cast_signed();
            return Ok(column.as_primitive::<UInt64Type>().unary(flipped));
        }
        if column.data_type() == &DataType::Null {
            return Ok(Int64Array::new_null(column.len()));
        }
        let numbers = cast(column, &DataType::Int64)?;
        Ok(numbers.as_primitive().clone())
    }
}

/// How many steps of a column of times of this type an interval is, rounded down; a whole number
/// counts seconds, or days beside a date. `None` for what is no length of time, or no time.
pub fn length_in_steps(ts_type: &DataType, length: &ScalarValue) -> Option<i64> {
    const WORDING: Wording = Wording { function: "length", example: "INTERVAL '7' DAY" };
    let scale = TimeScale::of(ts_type, WORDING).ok()?;
    scale.length("length", length, WORDING).ok()
}

/// An interval's or duration's length; `None` for other types, NULL, and intervals of months.
fn interval_nanoseconds(value: &ScalarValue) -> Option<i128> {
    match value {
        ScalarValue::IntervalMonthDayNano(Some(interval)) if interval.months == 0 => {
            Some(i128::from(interval.days) * NANOSECONDS_PER_DAY + i128::from(interval.nanoseconds))
        }
        ScalarValue::IntervalDayTime(Some(interval)) => Some(
            i128::from(interval.days) * NANOSECONDS_PER_DAY
                + i128::from(interval.milliseconds) * 1_000_000,
        ),
        ScalarValue::DurationSecond(Some(length)) => {
            Some(i128::from(*length) * NANOSECONDS_PER_SECOND)
        }
        ScalarValue::DurationMillisecond(Some(length)) => Some(i128::from(*length) * 1_000_000),
        ScalarValue::DurationMicrosecond(Some(length)) => Some(i128::from(*length) * 1_000),
        ScalarValue::DurationNanosecond(Some(length)) => Some(i128::from(*length)),
        _ => None,
    }
}

fn whole_number(value: &ScalarValue) -> Option<i128> {
    match value {
        ScalarValue::UInt64(number) => number.map(i128::from),
        value if value.data_type().is_integer() => {
            let number = value.cast_to(&DataType::Int64).ok()?;
            i64::try_from(number).ok().map(i128::from)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::UInt64Array;
    use arrow::datatypes::IntervalMonthDayNano;

    use super::*;

    const WORDING: Wording = Wording { function: "f", example: "f(1)" };

    fn days(days: i32) -> ScalarValue {
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, days, 0)))
    }

    fn length(data_type: &DataType, value: &ScalarValue) -> Result<i64> {
        TimeScale::of(data_type, WORDING)?.length("window", value, WORDING)
    }

    #[test]
    fn plain_number_means_seconds_days_or_raw_units() {
        let number = ScalarValue::Int64(Some(2));
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(length(&micros, &number).unwrap(), 2_000_000);
        assert_eq!(length(&DataType::Timestamp(TimeUnit::Second, None), &number).unwrap(), 2);
        assert_eq!(length(&DataType::Date32, &number).unwrap(), 2);
        assert_eq!(length(&DataType::Date64, &number).unwrap(), 2 * 86_400_000);
        assert_eq!(length(&DataType::Int32, &number).unwrap(), 2);
    }

    #[test]
    fn interval_is_rounded_down_to_whole_steps() {
        let half_a_day = IntervalMonthDayNano::new(0, 1, 43_200_000_000_000);
        let value = ScalarValue::IntervalMonthDayNano(Some(half_a_day));
        assert_eq!(length(&DataType::Date32, &value).unwrap(), 1);
        assert_eq!(length(&DataType::Date64, &value).unwrap(), 129_600_000);
    }

    #[test]
    fn huge_length_saturates() {
        let nanoseconds = DataType::Timestamp(TimeUnit::Nanosecond, None);
        assert_eq!(length(&nanoseconds, &days(i32::MAX)).unwrap(), i64::MAX);
        assert_eq!(length(&DataType::UInt64, &ScalarValue::UInt64(Some(u64::MAX))).unwrap(), {
            i64::MAX
        });
    }

    #[test]
    fn months_negatives_nulls_and_other_types_are_refused() {
        let month = IntervalMonthDayNano::new(1, 0, 0);
        let refused = [
            (DataType::Date32, ScalarValue::IntervalMonthDayNano(Some(month))),
            (DataType::Date32, ScalarValue::Int64(Some(-1))),
            (DataType::Date32, days(-1)),
            (DataType::Date32, ScalarValue::Int64(None)),
            (DataType::Date32, ScalarValue::Float64(Some(1.0))),
            (DataType::Int64, days(1)),
        ];
        for (data_type, value) in refused {
            let error = length(&data_type, &value).unwrap_err().to_string();
            assert!(error.contains("wrong argument `window`"), "{error}");
        }
        assert!(TimeScale::of(&DataType::Utf8, WORDING).is_err());
    }

    #[test]
    fn unsigned_numbers_keep_their_order_and_distance() {
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![0, 7, u64::MAX]));
        let steps = TimeScale::Unsigned.steps(&column).unwrap();
        assert_eq!(steps.values()[1] - steps.values()[0], 7);
        assert_eq!((steps.value(0), steps.value(2)), (i64::MIN, i64::MAX));
    }
}
