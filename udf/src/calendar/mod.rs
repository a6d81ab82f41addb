//! Days, weeks and months as people in one time zone count them.
//!
//! A period is a number: days since 1970-01-01, weeks since the Monday before it, months since
//! January 1970. So "the next period" is `+ 1`, and the distance of two periods is a subtraction,
//! however long the months are and wherever the clocks change.

mod functions;

use arrow::array::timezone::Tz;
use chrono::{DateTime, Months, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone};

pub use functions::{calendar_date_udf, calendar_period_udf, calendar_start_udf};

const SECONDS_PER_DAY: i64 = 86_400;
/// 1970-01-01 was a Thursday, three days after its Monday.
const EPOCH_DAYS_AFTER_MONDAY: i64 = 3;

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CalendarUnit {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday.
    Week,
    /// From the first to the last.
    Month,
}

impl CalendarUnit {
    /// The words that name a unit in SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("day", Self::Day), ("week", Self::Week), ("month", Self::Month)];

    /// The unit of this name, in either case.
    pub fn named(name: &str) -> Option<Self> {
        let same = |(known, _): &&(&str, Self)| known.eq_ignore_ascii_case(name);
        Self::NAMES.iter().find(same).map(|(_, unit)| *unit)
    }

    /// The number of the period that this day, counted from 1970-01-01, lies in.
    ///
    /// ```
    /// use habitue_udf::calendar::CalendarUnit;
    /// assert_eq!(CalendarUnit::Week.period_of_day(3), 0);
    /// assert_eq!(CalendarUnit::Week.period_of_day(4), 1, "1970-01-05 was a Monday");
    /// assert_eq!(CalendarUnit::Month.period_of_day(-1), -1);
    /// ```
    pub fn period_of_day(self, day: i64) -> i64 {
        match self {
            Self::Day => day,
            Self::Week => (day + EPOCH_DAYS_AFTER_MONDAY).div_euclid(7),
            Self::Month => month_of_day(day),
        }
    }

    /// The first day of a period; None beyond the years that a calendar can name.
    pub fn first_day(self, period: i64) -> Option<i64> {
        match self {
            Self::Day => Some(period),
            Self::Week => period.checked_mul(7)?.checked_sub(EPOCH_DAYS_AFTER_MONDAY),
            Self::Month => first_day_of_month(period),
        }
    }
}

/// Civil-from-days arithmetic on 400-year eras, so that no call per row allocates or fails.
fn month_of_day(day: i64) -> i64 {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    // March is month 0 of the shifted year, and January 1970 is month 0 of ours.
    (era * 400 + year_of_era - 1970) * 12 + month_from_march + 2
}

fn first_day_of_month(month: i64) -> Option<i64> {
    let january_1970 = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let distance = Months::new(u32::try_from(month.unsigned_abs()).ok()?);
    let first = if month < 0 {
        january_1970.checked_sub_months(distance)?
    } else {
        january_1970.checked_add_months(distance)?
    };
    Some((first - january_1970).num_days())
}

/// A unit in a time zone: finds the period of an instant, and the first instant of a period.
#[derive(Debug, Clone, Copy)]
pub struct Calendar {
    unit: CalendarUnit,
    zone: Tz,
    is_utc: bool,
}

impl Calendar {
    /// A calendar of these units in the zone of this name (`UTC`, `Europe/Athens`, `+09:00`).
    ///
    /// Answers None when no zone has this name.
    pub fn new(unit: CalendarUnit, zone: &str) -> Option<Self> {
        let is_utc = ["utc", "+00:00", "z"].iter().any(|name| zone.eq_ignore_ascii_case(name));
        let known = if is_utc { "UTC" } else { zone };
        known.parse().ok().map(|zone| Self { unit, zone, is_utc })
    }

    /// The number of the period that this instant (seconds since the epoch) lies in.
    ///
    /// ```
    /// use habitue_udf::calendar::{Calendar, CalendarUnit};
    /// let last_evening_of_1969_in_new_york = 0;
    /// let new_york = Calendar::new(CalendarUnit::Month, "America/New_York").unwrap();
    /// assert_eq!(new_york.period_of(last_evening_of_1969_in_new_york), -1);
    /// ```
    pub fn period_of(&self, seconds: i64) -> i64 {
        let local = seconds.saturating_add(self.offset_at(seconds));
        self.unit.period_of_day(local.div_euclid(SECONDS_PER_DAY))
    }

    /// The first instant of a period, in seconds since the epoch.
    ///
    /// Where the clocks skip midnight the period begins right after the gap; where midnight comes
    /// twice it begins at the first. None beyond the years that a calendar can name.
    pub fn start_of(&self, period: i64) -> Option<i64> {
        let day = self.unit.first_day(period)?;
        let local = day.checked_mul(SECONDS_PER_DAY)?;
        if self.is_utc {
            return Some(local);
        }
        let midnight = DateTime::from_timestamp(local, 0)?.naive_utc();
        self.zone
            .from_local_datetime(&midnight)
            .earliest()
            .map(|instant| instant.timestamp())
            .or_else(|| Some(local - self.offset_before(midnight)))
    }

    fn offset_at(&self, seconds: i64) -> i64 {
        if self.is_utc {
            return 0;
        }
        // Instants that no calendar can name keep the offset zero instead of failing a query.
        DateTime::from_timestamp(seconds, 0).map_or(0, |instant| {
            let offset = self.zone.offset_from_utc_datetime(&instant.naive_utc());
            i64::from(offset.fix().local_minus_utc())
        })
    }

    /// The offset that held before a gap at this local time: the gap began when it ended.
    fn offset_before(&self, local: NaiveDateTime) -> i64 {
        let day_before = local - TimeDelta::days(1);
        let offset = self.zone.offset_from_utc_datetime(&day_before);
        i64::from(offset.fix().local_minus_utc())
    }
}

#[cfg(test)]
mod tests;
