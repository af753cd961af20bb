//! Lengths of time as people write them: `250ms`, `5m`, `1h30m`.

/// The units, longest first.
const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Longest length of time a key may hold: ten years.
const LONGEST_MS: i64 = 3_650 * 86_400_000;

/// Milliseconds of a text such as `1h30m`: whole numbers with a unit (d, h, m, s, ms), longest first.
///
/// # Errors
/// The end of a sentence that starts with the text.
pub fn parse_ms(text: &str) -> Result<i64, &'static str> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("is empty");
    }
    let (mut total_ms, mut below_ms) = (0i64, i64::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or("has a number without a unit")?;
        let number: i64 = rest[..digits].parse().map_err(|_| "is no length of time")?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = UNITS
            .iter()
            .find(|(name, _)| *name == &rest[..letters])
            .ok_or("has a unit that is none of d, h, m, s, ms")?;
        if unit.1 >= below_ms {
            return Err("names its units out of order");
        }
        below_ms = unit.1;
        total_ms = number.checked_mul(unit.1).and_then(|ms| total_ms.checked_add(ms)).ok_or("is too long")?;
        rest = &rest[letters..];
    }
    if total_ms > LONGEST_MS { Err("is longer than ten years") } else { Ok(total_ms) }
}

/// The text that [`parse_ms`] reads back.
pub fn show_ms(ms: i64) -> String {
    let mut out = String::new();
    let mut left = ms;
    for (name, unit_ms) in UNITS {
        if left >= unit_ms {
            out.push_str(&format!("{}{name}", left / unit_ms));
            left %= unit_ms;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_and_shown() {
        for (text, ms) in [("250ms", 250), ("5m", 300_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("1s5ms", 1_005)]
        {
            assert_eq!(parse_ms(text), Ok(ms));
            assert_eq!(show_ms(ms), text);
        }
        assert_eq!(parse_ms("0s"), Ok(0));
        for text in ["", "5", "m", "5 m", "1.5h", "30m1h", "5m5m", "-5m", "5min", "99999999999999999999s", "9999999d"] {
            assert!(parse_ms(text).is_err(), "{text:?}");
        }
    }
}
