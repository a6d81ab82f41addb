//! Ages as people write them.

use std::time::Duration;

/// Reads `30s`, `90m`, `24h`, `7d` or `2w`.
pub(crate) fn parse_age(text: &str) -> Result<Duration, String> {
    let wanted = || "wanted is something like 90m, 24h, 7d or 2w".to_owned();
    let text = text.trim();
    let split = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wanted)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| wanted())?;
    let seconds = match unit.trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(wanted()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_as_people_write_them() {
        assert_eq!(parse_age("90m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_age("7 d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "7", "d", "1.5h", "7 years", "99999999999999999999w"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
    }
}
