//! `calendar_period`, `calendar_start`, `calendar_date`: the calendar as functions.
//!
//! ```sql
//! SELECT calendar_period('week', TIMESTAMP '2024-05-01 10:00:00', 'Europe/Athens') AS period,
//!        calendar_date('week', 2835) AS monday,
//!        calendar_start('week', 2835, 'Europe/Athens') AS start;
//! +--------+------------+----------------------+
//! | period | monday     | start                |
//! +--------+------------+----------------------+
//! | 2835   | 2024-04-29 | 2024-04-28T21:00:00Z |
//! +--------+------------+----------------------+
//! ```

use super::{Calendar, CalendarUnit};
use arrow::array::{
    ArrayRef, AsArray, Date32Array, Int64Array, PrimitiveArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    ArrowTimestampType, DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::{Arc, LazyLock};

const MICROSECONDS: i64 = 1_000_000;

/// Which of the three functions this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    /// `calendar_period(unit, ts[, zone])`: the number of the period that ts lies in.
    Period,
    /// `calendar_start(unit, period[, zone])`: the first instant of the period.
    Start,
    /// `calendar_date(unit, period)`: the first day of the period.
    Date,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CalendarFunction {
    question: Question,
    signature: Signature,
}

fn function(question: Question) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(CalendarFunction { question, signature }))
}

/// `calendar_period(unit, ts[, zone])` → BIGINT, the number of the day, week or month of `ts`.
pub fn calendar_period_udf() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function(Question::Period));
    Arc::clone(&FUNCTION)
}

/// `calendar_start(unit, period[, zone])` → TIMESTAMP, the first instant of a period.
pub fn calendar_start_udf() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function(Question::Start));
    Arc::clone(&FUNCTION)
}

/// `calendar_date(unit, period)` → DATE, the first day of a period.
pub fn calendar_date_udf() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function(Question::Date));
    Arc::clone(&FUNCTION)
}

impl ScalarUDFImpl for CalendarFunction {
    fn name(&self) -> &str {
        match self.question {
            Question::Period => "calendar_period",
            Question::Start => "calendar_start",
            Question::Date => "calendar_date",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.question {
            Question::Period => DataType::Int64,
            Question::Start => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Question::Date => DataType::Date32,
        })
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let most = if self.question == Question::Date { 2 } else { 3 };
        if types.len() < 2 || types.len() > most {
            return plan_err!(
                "{} takes a unit, {} and {}. came={} arguments, example: {}",
                self.name(),
                self.subject(),
                if most == 3 { "perhaps a time zone" } else { "nothing else" },
                types.len(),
                self.example()
            );
        }
        let mut wanted = vec![DataType::Utf8, self.subject_type(&types[1])?];
        wanted.extend(types.get(2).map(|_| DataType::Utf8));
        Ok(wanted)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let unit = text(&args.args[0]).and_then(CalendarUnit::named);
        let Some(unit) = unit else {
            return exec_err!(
                "{} does not know this unit. wanted='day', 'week' or 'month', example: {}",
                self.name(),
                self.example()
            );
        };
        let zone = args.args.get(2).map_or(Some("UTC"), text).unwrap_or_default();
        let Some(calendar) = Calendar::new(unit, zone) else {
            return exec_err!(
                "{} does not know this time zone. came='{zone}', example: 'Europe/Athens'",
                self.name()
            );
        };
        let is_scalar = matches!(args.args[1], ColumnarValue::Scalar(_));
        let values = args.args[1].to_array(if is_scalar { 1 } else { args.number_rows })?;
        let answer = match self.question {
            Question::Period => Arc::new(periods(&values, unit, &calendar)?) as ArrayRef,
            Question::Start => Arc::new(starts(values.as_primitive(), &calendar)),
            Question::Date => Arc::new(dates(values.as_primitive(), unit)),
        };
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?));
        }
        Ok(ColumnarValue::Array(answer))
    }
}

impl CalendarFunction {
    fn subject(&self) -> &'static str {
        match self.question {
            Question::Period => "a timestamp or date",
            Question::Start | Question::Date => "the number of a period",
        }
    }

    fn example(&self) -> &'static str {
        match self.question {
            Question::Period => "calendar_period('week', ts, 'Europe/Athens')",
            Question::Start => "calendar_start('week', 2835, 'Europe/Athens')",
            Question::Date => "calendar_date('week', 2835)",
        }
    }

    fn subject_type(&self, came: &DataType) -> Result<DataType> {
        let is_period = self.question == Question::Period;
        match came {
            DataType::Timestamp(..) | DataType::Date32 if is_period => Ok(came.clone()),
            DataType::Date64 if is_period => Ok(DataType::Date32),
            DataType::Null if is_period => Ok(DataType::Date32),
            number if !is_period && (number.is_integer() || number.is_null()) => {
                Ok(DataType::Int64)
            }
            _ => plan_err!(
                "{} wants {} as its second argument. came={came}, example: {}",
                self.name(),
                self.subject(),
                self.example()
            ),
        }
    }
}

fn text(value: &ColumnarValue) -> Option<&str> {
    match value {
        ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten(),
        ColumnarValue::Array(_) => None,
    }
}

fn periods(values: &ArrayRef, unit: CalendarUnit, calendar: &Calendar) -> Result<Int64Array> {
    Ok(match values.data_type() {
        DataType::Date32 => {
            values.as_primitive::<Date32Type>().unary(|day| unit.period_of_day(i64::from(day)))
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            timestamp_periods::<TimestampSecondType>(values.as_primitive(), 1, calendar)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            timestamp_periods::<TimestampMillisecondType>(values.as_primitive(), 1_000, calendar)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = values.as_primitive::<TimestampMicrosecondType>();
            timestamp_periods(values, MICROSECONDS, calendar)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let values = values.as_primitive::<TimestampNanosecondType>();
            timestamp_periods(values, 1_000_000_000, calendar)
        }
        other => return exec_err!("calendar_period wants a timestamp or date. came={other}"),
    })
}

fn timestamp_periods<T: ArrowTimestampType>(
    values: &PrimitiveArray<T>,
    per_second: i64,
    calendar: &Calendar,
) -> Int64Array {
    values.unary::<_, Int64Type>(|value| calendar.period_of(value.div_euclid(per_second)))
}

fn starts(periods: &Int64Array, calendar: &Calendar) -> TimestampMicrosecondArray {
    let start = |period| calendar.start_of(period)?.checked_mul(MICROSECONDS);
    periods.unary_opt::<_, TimestampMicrosecondType>(start).with_timezone("UTC")
}

fn dates(periods: &Int64Array, unit: CalendarUnit) -> Date32Array {
    periods.unary_opt::<_, Date32Type>(|period| i32::try_from(unit.first_day(period)?).ok())
}
