//! How numbers, money and dates are written in a language.

use jiff::civil::Date;

use crate::domain::money;

/// The languages whose writing is known; others are written as English is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    #[default]
    En,
    Ru,
    Zh,
}

impl Lang {
    /// The language of a locale: `zh-Hans-CN` is Chinese.
    pub fn of(locale: &str) -> Lang {
        match locale.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "ru" | "uk" | "be" | "kk" => Lang::Ru,
            "zh" => Lang::Zh,
            _ => Lang::En,
        }
    }
}

/// A no-break space: Russian groups digits with it.
const NBSP: char = '\u{a0}';

/// A whole number with its digits grouped: `12,345`, `12 345`. Russian leaves four digits together.
pub fn whole(n: i64, lang: Lang) -> String {
    let digits = n.unsigned_abs().to_string();
    let (separator, from) = if lang == Lang::Ru { (NBSP, 5) } else { (',', 4) };
    let mut out = String::with_capacity(digits.len() + 8);
    if n < 0 {
        out.push('-');
    }
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && digits.len() >= from && (digits.len() - i).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(c);
    }
    out
}

/// An amount with its currency's sign, decimals only where there are any: `¥3,999`, `24 990 ₽`, `$12.50`.
pub fn money(minor: i64, currency: &str, lang: Lang) -> String {
    let exponent = money::exponent(currency).unwrap_or(2);
    let unit = 10_u64.pow(exponent);
    let (units, rest) = (minor.unsigned_abs() / unit, minor.unsigned_abs() % unit);
    let mut amount = whole(i64::try_from(units).unwrap_or(i64::MAX), lang);
    if rest > 0 {
        amount.push(if lang == Lang::Ru { ',' } else { '.' });
        amount.push_str(&format!("{rest:0width$}", width = exponent as usize));
    }
    let minus = if minor < 0 { "-" } else { "" };
    match (sign(currency), lang) {
        (Some(sign), Lang::Ru) => format!("{minus}{amount}{NBSP}{sign}"),
        (Some("₽"), _) => format!("{minus}{amount}{NBSP}₽"),
        (Some(sign), _) => format!("{minus}{sign}{amount}"),
        (None, _) => format!("{minus}{amount}{NBSP}{currency}"),
    }
}

fn sign(currency: &str) -> Option<&'static str> {
    Some(match currency {
        "USD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        "CNY" | "JPY" => "¥",
        "RUB" => "₽",
        "KZT" => "₸",
        "UAH" => "₴",
        "INR" => "₹",
        "KRW" => "₩",
        "HKD" => "HK$",
        "TWD" => "NT$",
        "SGD" => "S$",
        _ => return None,
    })
}

/// A day as people write it: `26 November 2026`, `26 ноября 2026 г.`, `2026年11月26日`.
pub fn day(date: Date, lang: Lang) -> String {
    let (y, m, d) = (date.year(), date.month(), date.day());
    let month = usize::from(m.unsigned_abs()) - 1;
    match lang {
        Lang::En => format!("{d} {} {y}", MONTHS_EN[month]),
        Lang::Ru => format!("{d} {} {y} г.", MONTHS_RU[month]),
        Lang::Zh => format!("{y}年{m}月{d}日"),
    }
}

/// Month and day: `26 November`, `26 ноября`, `11月26日`.
pub fn month_day(date: Date, lang: Lang) -> String {
    let month = usize::from(date.month().unsigned_abs()) - 1;
    match lang {
        Lang::En => format!("{} {}", date.day(), MONTHS_EN[month]),
        Lang::Ru => format!("{} {}", date.day(), MONTHS_RU[month]),
        Lang::Zh => format!("{}月{}日", date.month(), date.day()),
    }
}

const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTHS_RU: [&str; 12] = [
    "января",
    "февраля",
    "марта",
    "апреля",
    "мая",
    "июня",
    "июля",
    "августа",
    "сентября",
    "октября",
    "ноября",
    "декабря",
];

/// The Russian form that goes with `n`: 1 балл, 2 балла, 5 баллов.
pub fn plural_ru<'t>(n: i64, one: &'t str, few: &'t str, many: &'t str) -> &'t str {
    let n = n.unsigned_abs();
    match (n % 10, n % 100) {
        (1, tens) if tens != 11 => one,
        (2..=4, tens) if !(12..=14).contains(&tens) => few,
        _ => many,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_as_its_readers_write_it() {
        for (minor, currency, lang, text) in [
            (399_900, "CNY", Lang::Zh, "¥3,999"),
            (2_499_000, "RUB", Lang::Ru, "24\u{a0}990\u{a0}₽"),
            (99_950, "RUB", Lang::Ru, "999,50\u{a0}₽"),
            (129_999, "USD", Lang::En, "$1,299.99"),
            (-1_250, "EUR", Lang::En, "-€12.50"),
            (1_500, "JPY", Lang::En, "¥1,500"),
            (5, "CHF", Lang::En, "0.05\u{a0}CHF"),
        ] {
            assert_eq!(money(minor, currency, lang), text);
        }
        assert_eq!(whole(i64::MIN, Lang::En), "-9,223,372,036,854,775,808");
        assert_eq!(whole(1234, Lang::Ru), "1234");
    }

    #[test]
    fn russian_counts_in_three_forms() {
        let form = |n| plural_ru(n, "балл", "балла", "баллов");
        assert_eq!(
            [1, 2, 5, 11, 12, 21, 22, 111, 0].map(form),
            ["балл", "балла", "баллов", "баллов", "баллов", "балл", "балла", "баллов", "баллов"]
        );
    }
}
