//! Sizes as people write them.

/// Reads `2GiB`, `512 MB`, `1.5g` or a number of bytes. `k`, `m`, `g`, `t` count in steps of 1024,
/// as do `KiB` …; `KB`, `MB`, `GB`, `TB` in steps of 1000.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wanted = || "wanted is something like 2GiB or 512MB".to_owned();
    let lower = text.trim().to_ascii_lowercase();
    let split = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(split);
    let number: f64 = number.parse().map_err(|_| wanted())?;
    let factor: u64 = match unit.trim() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wanted()),
    };
    Ok((number * factor as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size(" 1.5 g "), Ok(3 << 29));
        assert_eq!(parse_size("512MB"), Ok(512_000_000));
        assert_eq!(parse_size("16777216"), Ok(16 << 20));
    }

    #[test]
    fn a_wrong_size_says_what_is_wanted() {
        for wrong in ["", "big", "1 parsec", "-1g", "1..2g"] {
            assert!(parse_size(wrong).unwrap_err().contains("wanted"), "{wrong}");
        }
    }
}
