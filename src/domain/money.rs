//! Money in minor units: parsed exactly, never through a float.

/// Largest amount taken, minor units: far above any price, far below where sums overflow.
pub const MINOR_MAX: i64 = 1_000_000_000_000_000;

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("{0:?} is no currency: give three capital letters of ISO 4217, as in EUR")]
    Currency(String),
    #[error("{0:?} is no amount: write digits with a point and no separators, as in 1299.00")]
    Amount(String),
    #[error("{text:?} has more than the {exponent} decimals of {currency}")]
    Decimals { text: String, currency: String, exponent: u32 },
}

/// How many decimals `currency` has (ISO 4217), or `None` where it is no currency code at all.
pub fn exponent(currency: &str) -> Option<u32> {
    if currency.len() != 3 || !currency.bytes().all(|c| c.is_ascii_uppercase()) {
        return None;
    }
    Some(match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    })
}

/// The minor units of an amount as files write it: `1299.00`, `1299`, `-5.5`. Decimals beyond the currency's must be
/// zeros.
///
/// # Errors
/// What is wrong with the currency or the amount, with the fix.
pub fn parse(text: &str, currency: &str) -> Result<i64, MoneyError> {
    let exponent = exponent(currency).ok_or_else(|| MoneyError::Currency(currency.to_owned()))?;
    let refused = || MoneyError::Amount(text.to_owned());
    let trimmed = text.trim();
    let (sign, digits) = trimmed.strip_prefix('-').map_or((1, trimmed), |rest| (-1, rest));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    if whole.is_empty() || whole.len() > 15 || !plain(whole) || !plain(decimals) || digits.ends_with('.') {
        return Err(refused());
    }
    let (kept, beyond) = decimals.split_at(decimals.len().min(exponent as usize));
    if beyond.bytes().any(|c| c != b'0') {
        return Err(MoneyError::Decimals { text: text.to_owned(), currency: currency.to_owned(), exponent });
    }
    let minor = format!("{whole}{kept:0<width$}", width = exponent as usize);
    minor.parse::<i64>().ok().filter(|minor| *minor <= MINOR_MAX).map(|minor| sign * minor).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, currency, minor) in [
            ("1299.00", "CNY", 129_900),
            ("1299", "EUR", 129_900),
            ("0.07", "RUB", 7),
            ("19.9", "EUR", 1990),
            ("1299", "JPY", 1299),
            ("1299.00", "JPY", 1299),
            ("1.5", "KWD", 1500),
            ("-5.50", "EUR", -550),
        ] {
            assert_eq!(parse(text, currency), Ok(minor), "{text} {currency}");
        }
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for (text, currency) in [
            ("12.345", "EUR"),
            ("0.5", "JPY"),
            ("1,299.00", "EUR"),
            ("1 299", "EUR"),
            ("", "EUR"),
            (".", "EUR"),
            ("5.", "EUR"),
            ("1e3", "EUR"),
            ("99999999999999999999", "EUR"),
            ("5", "eur"),
            ("5", "EURO"),
        ] {
            assert!(parse(text, currency).is_err(), "{text} {currency}");
        }
    }
}
