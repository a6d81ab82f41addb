//! Days, hours and RFC 3339 from microseconds, in whole numbers only.

/// Microseconds of one second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of one minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds of one hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds of one day.
pub const DAY: i64 = 24 * HOUR;

/// Year, month and day (UTC) of a moment.
///
/// ```
/// assert_eq!(habitue_testdata::calendar::civil(1_735_689_600_000_000), (2025, 1, 1));
/// ```
pub fn civil(us: i64) -> (i64, i64, i64) {
    // Counting years from 1 March puts the leap day at the end of the year.
    let days = us.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// A moment as `2025-01-31T12:34:56.789012Z`.
///
/// ```
/// let text = habitue_testdata::calendar::rfc3339(1_740_787_199_000_001);
/// assert_eq!(text, "2025-02-28T23:59:59.000001Z");
/// ```
pub fn rfc3339(us: i64) -> String {
    let (year, month, day) = civil(us);
    let of_day = us.rem_euclid(DAY);
    let (hour, minute) = (of_day / HOUR, of_day / MINUTE % 60);
    let (second, fraction) = (of_day / SECOND % 60, of_day % SECOND);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leap_days_and_year_ends_are_right() {
        assert_eq!(civil(1_709_164_800_000_000), (2024, 2, 29));
        assert_eq!(civil(1_709_251_200_000_000), (2024, 3, 1));
        assert_eq!(civil(1_735_689_599_999_999), (2024, 12, 31));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(0), (1970, 1, 1));
    }
}
