//! Timestamps of any shape become µs UTC.
//!
//! | comes as | is understood as |
//! |---|---|
//! | timestamp of any unit | the instant; without a zone it is UTC; finer than 1 µs is cut off |
//! | date | its midnight UTC |
//! | integer, or text of digits | `YYYYMMDD` with 8 digits; else seconds, ms, µs or ns since the epoch, whichever lies in 1990 to 2100: these ranges do not overlap. Other integers are rejected |
//! | float | seconds or ms since the epoch in 1990 to 2100, rounded to µs |
//! | text | RFC 3339; `YYYY-MM-DD`, with `HH:MM[:SS[.f…]]` after `T` or a space, and `Z`, `UTC` or an offset; without one it is UTC |
//!
//! Whatever lies outside the years 1900 to 2200 is rejected.

use super::faults::{Faults, quoted};
use crate::error::{Error, Result};
use crate::event;
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use chrono::NaiveDate;
use std::sync::Arc;

/// 1900-01-01T00:00:00Z.
const EARLIEST_US: i64 = -2_208_988_800_000_000;
/// 2201-01-01T00:00:00Z, the first instant that is too late.
const TOO_LATE_US: i64 = 7_289_654_400_000_000;
/// 1990-01-01 and 2100-01-01 in seconds: where a bare number is taken for a time.
const NUMBER_SECONDS: std::ops::Range<i64> = 631_152_000..4_102_444_800;

/// What becomes of a row whose timestamp is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MissingTime {
    /// It is rejected.
    Reject,
    /// It gets this time, µs.
    Fill(i64),
}

/// Brings a column to µs UTC. Faulty rows hold 0 and are told to `faults`.
pub(crate) fn timestamps(
    array: &ArrayRef,
    name: &str,
    missing: MissingTime,
    faults: &mut Faults,
) -> Result<ArrayRef> {
    let parsed = parse(array, name, faults)?;
    let micros = parsed.as_primitive::<TimestampMicrosecondType>();
    let values = micros.values();
    let in_range = |us: &i64| (EARLIEST_US..TOO_LATE_US).contains(us);
    if micros.null_count() == 0 && values.iter().all(in_range) {
        return Ok(parsed);
    }
    let checked: Vec<i64> = micros
        .iter()
        .enumerate()
        .map(|(row, us)| match (us, missing) {
            (Some(us), _) if in_range(&us) => us,
            (Some(us), _) => {
                faults.add(row, || format!("{name} is {} the years 1900 to 2200", side(us)));
                0
            }
            (None, MissingTime::Fill(us)) if array.is_null(row) => us,
            (None, _) => {
                faults.add(row, || format!("{name} is missing"));
                0
            }
        })
        .collect();
    Ok(Arc::new(TimestampMicrosecondArray::from(checked).with_timezone("UTC")))
}

fn side(us: i64) -> &'static str {
    if us < EARLIEST_US { "before" } else { "after" }
}

/// Values that cannot be parsed become NULL and a fault.
fn parse(array: &ArrayRef, name: &str, faults: &mut Faults) -> Result<ArrayRef> {
    let by_row = |faults: &mut Faults, of_row: &dyn Fn(usize) -> Result<i64, String>| {
        let values: TimestampMicrosecondArray = (0..array.len())
            .map(|row| match array.is_valid(row).then(|| of_row(row)) {
                Some(Ok(us)) => Some(us),
                Some(Err(reason)) => {
                    faults.add(row, || format!("{name} {reason}"));
                    None
                }
                None => None,
            })
            .collect();
        Arc::new(values.with_timezone("UTC")) as ArrayRef
    };
    let arrow_error = |error| Error::Arrow {
        during: format!("bringing column {name:?} to a timestamp"),
        source: Arc::new(error),
    };
    let data_type = array.data_type();
    Ok(match data_type {
        t if *t == event::timestamp_type() => Arc::clone(array),
        DataType::Dictionary(_, values) => {
            return parse(&cast(array, values).map_err(arrow_error)?, name, faults);
        }
        DataType::Null | DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            let cast = cast(array, &event::timestamp_type()).map_err(arrow_error)?;
            for row in (0..array.len()).filter(|&row| array.is_valid(row) && cast.is_null(row)) {
                faults.add(row, || format!("{name} is outside the years 1900 to 2200"));
            }
            cast
        }
        t if t.is_integer() => {
            let wide = cast(array, &DataType::Int64).map_err(arrow_error)?;
            let wide = wide.as_primitive::<Int64Type>();
            by_row(faults, &|row| {
                let number = wide.is_valid(row).then(|| wide.value(row));
                number.and_then(of_integer).ok_or_else(|| not_a_time(number))
            })
        }
        t if t.is_floating() => {
            let wide = cast(array, &DataType::Float64).map_err(arrow_error)?;
            let wide = wide.as_primitive::<Float64Type>();
            by_row(faults, &|row| {
                let number = wide.value(row);
                of_float(number).ok_or_else(|| format!("{number} is not a time, {WANTED}"))
            })
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let text = cast(array, &DataType::Utf8).map_err(arrow_error)?;
            let text = text.as_string::<i32>();
            by_row(faults, &|row| of_text(text.value(row)))
        }
        other => by_row(faults, &|_| Err(format!("is a {other}, {WANTED}"))),
    })
}

const WANTED: &str = "a timestamp like 2025-01-31T12:00:00Z is wanted";

fn not_a_time(number: Option<i64>) -> String {
    match number {
        Some(number) => format!("{number} is not a time, {WANTED}"),
        None => format!("is a very large number, {WANTED}"),
    }
}

fn of_integer(number: i64) -> Option<i64> {
    if (19_000_101..=22_001_231).contains(&number) {
        let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
        return date_us(year as i32, month as u32, day as u32);
    }
    [(1, 1_000_000), (1_000, 1_000), (1_000_000, 1)]
        .into_iter()
        .find(|(per_second, _)| NUMBER_SECONDS.contains(&number.div_euclid(*per_second)))
        .map(|(_, micros)| number * micros)
        .or_else(|| {
            let is_ns = NUMBER_SECONDS.contains(&number.div_euclid(1_000_000_000));
            is_ns.then(|| number.div_euclid(1_000))
        })
}

fn of_float(number: f64) -> Option<i64> {
    [1_000_000.0, 1_000.0]
        .into_iter()
        .find(|micros| NUMBER_SECONDS.contains(&((number * micros / 1e6).floor() as i64)))
        .map(|micros| (number * micros).round() as i64)
}

fn date_us(year: i32, month: u32, day: u32) -> Option<i64> {
    let date = NaiveDate::from_ymd_opt(year, month, day)?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
}

fn of_text(text: &str) -> Result<i64, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err("is missing".into());
    }
    let all_digits = trimmed.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if all_digits {
        trimmed.parse().ok().and_then(of_integer)
    } else {
        Cursor { rest: trimmed.as_bytes() }.timestamp()
    };
    parsed.ok_or_else(|| format!("{} is not a time, {WANTED}", quoted(text)))
}

/// Reads a timestamp from left to right.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn timestamp(mut self) -> Option<i64> {
        // Years of five and more digits are read, to be rejected as too late and not as no date.
        let (year, year_digits) = self.number(9)?;
        if year_digits < 4 {
            return None;
        }
        self.expect(b'-')?;
        let month = self.two_digits()?;
        self.expect(b'-')?;
        let day = self.two_digits()?;
        if year > 9_999 {
            let is_a_date = NaiveDate::from_ymd_opt(2_000, month, day).is_some();
            return is_a_date.then_some(i64::MAX);
        }
        let midnight = date_us(i32::try_from(year).ok()?, month, day)?;
        if self.rest.is_empty() {
            return Some(midnight);
        }
        if !matches!(self.take()?, b'T' | b't' | b' ') {
            return None;
        }
        let time = self.time_of_day()?;
        let offset = self.offset_us()?;
        self.rest.is_empty().then_some(midnight + time - offset)
    }

    fn time_of_day(&mut self) -> Option<i64> {
        let hour = self.two_digits()?;
        self.expect(b':')?;
        let minute = self.two_digits()?;
        let mut second = 0;
        let mut micros = 0;
        if self.rest.first() == Some(&b':') {
            self.take()?;
            second = self.two_digits()?;
            if matches!(self.rest.first(), Some(b'.' | b',')) {
                self.take()?;
                micros = self.fraction_us()?;
            }
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        Some(i64::from(hour * 3_600 + minute * 60 + second) * 1_000_000 + micros)
    }

    /// Digits after the point; from the seventh on they are cut off.
    fn fraction_us(&mut self) -> Option<i64> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let micros = fraction.iter().take(6).fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
        let missing = 6_u32.saturating_sub(u32::try_from(digits).ok()?);
        (digits > 0).then(|| micros * 10_i64.pow(missing))
    }

    fn offset_us(&mut self) -> Option<i64> {
        while self.rest.first() == Some(&b' ') {
            self.take()?;
        }
        let sign = match self.rest {
            [] => return Some(0),
            [b'Z' | b'z', rest @ ..] | [b'U', b'T', b'C', rest @ ..] => {
                self.rest = rest;
                return Some(0);
            }
            [b'+', ..] => 1,
            [b'-', ..] => -1,
            _ => return None,
        };
        self.take()?;
        let hours = self.two_digits()?;
        if self.rest.first() == Some(&b':') {
            self.take()?;
        }
        let minutes = if self.rest.is_empty() { 0 } else { self.two_digits()? };
        if hours > 23 || minutes > 59 {
            return None;
        }
        Some(sign * i64::from(hours * 60 + minutes) * 60_000_000)
    }

    fn take(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.take()? == wanted).then_some(())
    }

    fn two_digits(&mut self) -> Option<u32> {
        let digit = |byte: u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
        Some(digit(self.take()?)? * 10 + digit(self.take()?)?)
    }

    /// A number of at most so many digits, and how many it has.
    fn number(&mut self, digits_max: usize) -> Option<(u32, usize)> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > digits_max {
            return None;
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let number = number.iter().fold(0_u32, |sum, byte| sum * 10 + u32::from(byte - b'0'));
        Some((number, digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, Float64Array, Int64Array, StringArray, TimestampSecondArray};
    use chrono::{DateTime, SecondsFormat};
    use proptest::prelude::*;

    fn ref_of(array: impl Array + 'static) -> ArrayRef {
        Arc::new(array)
    }

    fn read(array: &ArrayRef) -> Vec<Result<i64, String>> {
        let mut faults = Faults::default();
        let times = timestamps(array, "ts", MissingTime::Reject, &mut faults).unwrap();
        let mut reasons = faults.into_reasons();
        let times = times.as_primitive::<TimestampMicrosecondType>();
        (0..times.len()).map(|row| reasons.remove(&row).map_or(Ok(times.value(row)), Err)).collect()
    }

    fn read_text(text: &str) -> Result<i64, String> {
        read(&ref_of(StringArray::from(vec![text]))).remove(0)
    }

    const NOON_US: i64 = 1_738_324_800_000_000; // 2025-01-31T12:00:00Z

    #[test]
    fn texts_are_understood() {
        for text in [
            "2025-01-31T12:00:00Z",
            "2025-01-31t12:00:00z",
            "2025-01-31T12:00:00.000000000Z",
            "2025-01-31 12:00:00",
            "2025-01-31 12:00",
            " 2025-01-31 12:00:00 UTC ",
            "2025-01-31T13:00:00+01:00",
            "2025-01-31T13:30:00+0130",
            "2025-01-31T10:00:00-02",
            "1738324800",
            "1738324800000",
            "1738324800000000",
            "1738324800000000000",
        ] {
            assert_eq!(read_text(text), Ok(NOON_US), "{text}");
        }
        let midnight = NOON_US - 43_200_000_000;
        assert_eq!(read_text("2025-01-31"), Ok(midnight));
        assert_eq!(read_text("20250131"), Ok(midnight));
        assert_eq!(read_text("2025-01-31T12:00:00.1234567Z"), Ok(NOON_US + 123_456));
    }

    // If this fails, events land in times that nobody meant.
    #[test]
    fn nonsense_is_rejected_with_its_reason() {
        for (text, reason) in [
            ("", "missing"),
            ("yesterday", "not a time"),
            ("2025-02-30", "not a time"),
            ("2025-01-31T24:00:00Z", "not a time"),
            ("2025-01-31T12:00:60Z", "not a time"),
            ("2025-01-31T12:00:00+99:00", "not a time"),
            ("2025-01-31T12:00:00.Z", "not a time"),
            ("2025-01-31Z", "not a time"),
            ("31.01.2025", "not a time"),
            ("20250-01-31", "after the years"),
            ("20250-01-31T00:00:00Z", "after the years"),
            ("2201-01-01", "after the years"),
            ("1899-12-31T23:59:59Z", "before the years"),
            ("0000-01-01", "before the years"),
            ("99999999", "not a time"),
            ("0", "not a time"),
            ("99999999999999999999999", "not a time"),
        ] {
            let answer = read_text(text);
            assert!(answer.as_ref().is_err_and(|why| why.contains(reason)), "{text}: {answer:?}");
        }
    }

    #[test]
    fn the_edges_of_the_years_are_inside() {
        assert!(read_text("1900-01-01T00:00:00Z").is_ok());
        assert!(read_text("2200-12-31T23:59:59.999999Z").is_ok());
    }

    #[test]
    fn numbers_and_dates_are_understood_by_column() {
        let numbers = Int64Array::from(vec![Some(1_738_324_800), Some(20_250_131), Some(7), None]);
        let answers = read(&ref_of(numbers));
        assert_eq!(answers[0], Ok(NOON_US));
        assert_eq!(answers[1], Ok(NOON_US - 43_200_000_000));
        assert!(answers[2].as_ref().is_err_and(|why| why.contains("7 is not a time")));
        assert!(answers[3].as_ref().is_err_and(|why| why.contains("missing")));
        let floats = Float64Array::from(vec![1_738_324_800.5, f64::NAN, f64::INFINITY, 3.0]);
        let answers = read(&ref_of(floats));
        assert_eq!(answers[0], Ok(NOON_US + 500_000));
        assert!(answers[1..].iter().all(Result::is_err));
        assert_eq!(read(&ref_of(Date32Array::from(vec![0]))), [Ok(0)]);
        let far = TimestampSecondArray::from(vec![i64::MAX]);
        assert!(read(&ref_of(far))[0].is_err());
    }

    proptest! {
        #[test]
        fn every_time_survives_its_text(us in EARLIEST_US..TOO_LATE_US) {
            let text = DateTime::from_timestamp_micros(us).unwrap()
                .to_rfc3339_opts(SecondsFormat::Micros, true);
            prop_assert_eq!(read_text(&text), Ok(us));
        }

        #[test]
        fn any_text_is_an_answer(text in ".{0,40}") {
            let _ = read_text(&text);
        }
    }
}
