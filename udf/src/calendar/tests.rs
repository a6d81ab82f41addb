//! Laws of the calendar, against the calendar of `chrono`.

use super::{Calendar, CalendarUnit};
use chrono::{Datelike, NaiveDate, TimeDelta};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

const ZONES: [&str; 5] =
    ["UTC", "Europe/Athens", "America/New_York", "America/Sao_Paulo", "+09:30"];

fn calendar(unit: CalendarUnit, zone: &str) -> Calendar {
    Calendar::new(unit, zone).expect("a zone of the list")
}

fn seconds(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).expect("an instant").timestamp()
}

#[test]
fn unknown_zone_is_no_calendar() {
    assert!(Calendar::new(CalendarUnit::Day, "Europe/Atlantis").is_none());
}

#[test]
fn day_begins_after_a_midnight_that_the_clocks_skipped() {
    // Brazil's summer time of 2018 began at midnight: 00:00 of 4 November did not exist.
    let brazil = calendar(CalendarUnit::Day, "America/Sao_Paulo");
    let gap_end = seconds("2018-11-04T03:00:00Z");
    let day = brazil.period_of(gap_end);
    assert_eq!(brazil.start_of(day), Some(gap_end));
    assert_eq!(brazil.period_of(gap_end - 1), day - 1);
}

#[test]
fn day_with_a_changed_clock_has_its_own_length() {
    let athens = calendar(CalendarUnit::Day, "Europe/Athens");
    let day = athens.period_of(seconds("2024-10-27T12:00:00Z"));
    let length = athens.start_of(day + 1).zip(athens.start_of(day)).map(|(end, start)| end - start);
    assert_eq!(length, Some(25 * 3600));
}

#[test]
fn weeks_begin_on_monday() {
    let utc = calendar(CalendarUnit::Week, "utc");
    let monday = utc.period_of(seconds("2024-01-01T00:00:00Z"));
    assert_eq!(utc.period_of(seconds("2024-01-07T23:59:59Z")), monday);
    assert_eq!(utc.period_of(seconds("2023-12-31T23:59:59Z")), monday - 1);
}

proptest! {
    #[test]
    fn months_are_those_of_the_calendar(day in -1_000_000i64..1_000_000) {
        let date = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + TimeDelta::days(day);
        let month = i64::from(date.year() - 1970) * 12 + i64::from(date.month0());
        prop_assert_eq!(CalendarUnit::Month.period_of_day(day), month);
        let first = CalendarUnit::Month.first_day(month).unwrap();
        prop_assert_eq!(day - first, i64::from(date.day0()));
    }

    #[test]
    fn every_instant_lies_within_its_period(
        instant in -4_000_000_000i64..8_000_000_000,
        unit in 0usize..3,
        zone in 0usize..5,
    ) {
        let calendar = calendar(CalendarUnit::NAMES[unit].1, ZONES[zone]);
        let period = calendar.period_of(instant);
        prop_assert!(calendar.start_of(period).unwrap() <= instant);
        prop_assert!(instant < calendar.start_of(period + 1).unwrap());
    }

    #[test]
    fn start_of_a_period_lies_in_it(
        period in -2000i64..4000,
        unit in 0usize..3,
        zone in 0usize..5,
    ) {
        let calendar = calendar(CalendarUnit::NAMES[unit].1, ZONES[zone]);
        prop_assert_eq!(calendar.period_of(calendar.start_of(period).unwrap()), period);
    }
}
