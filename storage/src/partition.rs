//! Time partitions: which stretch of UTC time a data file covers, as plain arithmetic.

use crate::log::action::PartitionUnit;

/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;

/// A partition should hold at least this many rows; below that a longer unit is better.
pub const PARTITION_ROWS_MIN: u64 = 2_000_000;

/// One time partition: a unit and its first instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// How long it is.
    pub unit: PartitionUnit,
    /// Its first instant, µs since the epoch; saturated at the ends of time.
    pub start_us: i64,
}

impl PartitionUnit {
    /// The shortest unit whose partitions still hold enough rows, when `rows` events happened in
    /// `days` days. No events, or no time, give months.
    ///
    /// ```
    /// use habitue_storage::log::action::PartitionUnit;
    /// assert_eq!(PartitionUnit::for_volume(20_000_000, 180), PartitionUnit::Month);
    /// assert_eq!(PartitionUnit::for_volume(900_000_000, 180), PartitionUnit::Day);
    /// ```
    pub fn for_volume(rows: u64, days: u64) -> Self {
        let enough = |unit_days: u64| {
            let rows_per_unit = u128::from(rows) * u128::from(unit_days);
            rows_per_unit >= u128::from(PARTITION_ROWS_MIN) * u128::from(days.max(1))
        };
        match () {
            () if enough(1) => Self::Day,
            () if enough(7) => Self::Week,
            () => Self::Month,
        }
    }

    /// The place of a day (since the epoch) in the sequence of partitions of this unit.
    fn number_of_day(self, day: i64) -> i64 {
        match self {
            Self::Day => day,
            // 1970-01-01 was a Thursday: three days after a Monday.
            Self::Week => (day + 3).div_euclid(7),
            Self::Month => {
                let (year, month) = year_and_month(day);
                year * 12 + i64::from(month) - 1
            }
        }
    }

    /// The first day (since the epoch) of a partition of this unit.
    fn first_day(self, number: i64) -> i64 {
        match self {
            Self::Day => number,
            Self::Week => number * 7 - 3,
            Self::Month => first_day_of_month(number.div_euclid(12), number.rem_euclid(12)),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

impl Partition {
    /// The partition of this unit that holds this instant. Any instant, however far away.
    ///
    /// ```
    /// use habitue_storage::{log::action::PartitionUnit, partition::Partition};
    /// let before_the_epoch = Partition::containing(PartitionUnit::Day, -1);
    /// assert_eq!(before_the_epoch.label(), "day-1969-12-31");
    /// ```
    pub fn containing(unit: PartitionUnit, ts_us: i64) -> Self {
        let number = unit.number_of_day(ts_us.div_euclid(DAY_US));
        Self::of_number(unit, number)
    }

    fn of_number(unit: PartitionUnit, number: i64) -> Self {
        Self { unit, start_us: unit.first_day(number).saturating_mul(DAY_US) }
    }

    /// Its place in the sequence of all partitions of its unit; neighbours differ by one.
    pub fn number(&self) -> i64 {
        self.unit.number_of_day(self.start_us.div_euclid(DAY_US))
    }

    /// The first instant after it, saturated at the end of time.
    pub fn end_us(&self) -> i64 {
        self.unit.first_day(self.number() + 1).saturating_mul(DAY_US)
    }

    /// The partition of this unit that follows.
    pub fn next(&self) -> Self {
        Self::of_number(self.unit, self.number() + 1)
    }

    /// The partition of this unit before this one.
    pub fn previous(&self) -> Self {
        Self::of_number(self.unit, self.number() - 1)
    }

    /// Whether the instant lies in it.
    pub fn contains(&self, ts_us: i64) -> bool {
        self.unit.number_of_day(ts_us.div_euclid(DAY_US)) == self.number()
    }

    /// Whether the instant lies in it or in one of its two neighbours of the same unit: where a
    /// repeated event id counts as the same event.
    pub fn is_near(&self, ts_us: i64) -> bool {
        let number = self.unit.number_of_day(ts_us.div_euclid(DAY_US));
        (number - self.number()).abs() <= 1
    }

    /// A name for paths: the unit and the date it begins at.
    pub fn label(&self) -> String {
        let day = self.unit.first_day(self.number());
        let (year, month) = year_and_month(day);
        let of_month = day - first_day_of_month(year, i64::from(month) - 1) + 1;
        format!("{}-{year:04}-{month:02}-{of_month:02}", self.unit.word())
    }
}

/// Year and month (1 to 12) of a day since the epoch, in the proleptic Gregorian calendar.
///
/// Years begin in March here, so that the leap day is the last of its year; an era is 400 years.
fn year_and_month(day: i64) -> (i64, u8) {
    const DAYS_OF_ERA: i64 = 146_097;
    const DAYS_FROM_MARCH_0000_TO_EPOCH: i64 = 719_468;
    let day = day + DAYS_FROM_MARCH_0000_TO_EPOCH;
    let era = day.div_euclid(DAYS_OF_ERA);
    let of_era = day.rem_euclid(DAYS_OF_ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let january_or_february = month_from_march >= 10;
    let month = if january_or_february { month_from_march - 9 } else { month_from_march + 3 };
    let year = era * 400 + year_of_era + i64::from(january_or_february);
    (year, u8::try_from(month).unwrap_or(12))
}

/// The day since the epoch on which a month (0 to 11) begins; the inverse of [`year_and_month`].
fn first_day_of_month(year: i64, month_from_zero: i64) -> i64 {
    let year = year - i64::from(month_from_zero < 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month_from_zero + 10) % 12;
    let of_year = (153 * month_from_march + 2) / 5;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Datelike, Days, NaiveDate, TimeZone, Utc};
    use proptest::prelude::*;

    const UNITS: [PartitionUnit; 3] =
        [PartitionUnit::Day, PartitionUnit::Week, PartitionUnit::Month];

    fn start_by_chrono(unit: PartitionUnit, at: DateTime<Utc>) -> i64 {
        let date = at.date_naive();
        let first: NaiveDate = match unit {
            PartitionUnit::Day => date,
            PartitionUnit::Week => {
                date - Days::new(u64::from(date.weekday().num_days_from_monday()))
            }
            PartitionUnit::Month => date.with_day(1).unwrap(),
        };
        Utc.from_utc_datetime(&first.and_hms_opt(0, 0, 0).unwrap()).timestamp_micros()
    }

    proptest! {
        // If this fails, events land in the wrong partition and duplicates are not found.
        #[test]
        fn starts_are_those_of_the_calendar(
            ts in -8_000_000_000_000_000_000_i64..8_000_000_000_000_000_000_i64,
        ) {
            let at = DateTime::from_timestamp_micros(ts).unwrap();
            for unit in UNITS {
                prop_assert_eq!(
                    Partition::containing(unit, ts).start_us,
                    start_by_chrono(unit, at),
                    "{:?} {}", unit, at
                );
            }
        }

        #[test]
        fn partitions_tile_all_of_time(ts in any::<i64>()) {
            for unit in UNITS {
                let partition = Partition::containing(unit, ts);
                prop_assert!(partition.start_us <= ts);
                prop_assert!(ts < partition.end_us() || partition.end_us() == i64::MAX);
                prop_assert!(partition.contains(ts) && partition.is_near(ts));
                prop_assert!(partition.next().is_near(ts) && partition.previous().is_near(ts));
                prop_assert!(!partition.next().next().is_near(ts));
                prop_assert_eq!(partition.next().previous(), partition);
            }
        }
    }

    #[test]
    fn the_ends_of_time_have_partitions() {
        for unit in UNITS {
            for ts in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX] {
                let partition = Partition::containing(unit, ts);
                assert!(partition.start_us <= ts, "{unit:?} {ts}");
                assert!(partition.contains(ts), "{unit:?} {ts}");
            }
        }
    }

    #[test]
    fn labels_say_where_a_partition_begins() {
        let leap_day = 1_709_164_800_000_000; // 2024-02-29, a Thursday
        let label = |unit| Partition::containing(unit, leap_day).label();
        assert_eq!(label(PartitionUnit::Day), "day-2024-02-29");
        assert_eq!(label(PartitionUnit::Week), "week-2024-02-26");
        assert_eq!(label(PartitionUnit::Month), "month-2024-02-01");
    }

    #[test]
    fn busy_times_get_short_partitions() {
        assert_eq!(PartitionUnit::for_volume(0, 0), PartitionUnit::Month);
        assert_eq!(PartitionUnit::for_volume(1_999_999, 1), PartitionUnit::Week);
        assert_eq!(PartitionUnit::for_volume(2_000_000, 1), PartitionUnit::Day);
        assert_eq!(PartitionUnit::for_volume(u64::MAX, 1), PartitionUnit::Day);
        assert_eq!(PartitionUnit::for_volume(u64::MAX, u64::MAX), PartitionUnit::Month);
    }
}
