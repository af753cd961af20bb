//! Cells as values: times, zones, languages, categories, topics, numbers. Each says what is wrong and how to write it.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Fault;
use super::table::{Cell, Row};
use crate::base::text::clean;
use crate::domain::address::Email;
use crate::domain::consent::is_topic;

/// Longest text of a name, an attribute, a product's name or address, bytes.
pub const TEXT_BYTES_MAX: usize = 1000;
/// How far in the future a time may lie: clocks differ, and zones are mistaken, by less than this.
const AHEAD_MS_MAX: i64 = 24 * 3_600_000;
/// Numbers from here on are unix milliseconds, below it seconds: 1973 in the one, 5138 in the other.
const MS_FROM: i64 = 100_000_000_000;

/// Yes or no, as people and machines write it.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err(format!("is {text:?}: write yes or no")),
    }
}

/// What a cell does to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    Leave,
    Clear,
    To(T),
}

impl<T> Change<T> {
    /// Applies the change; `cleared` is what a cleared value becomes.
    pub fn apply(&self, value: &mut T, cleared: T)
    where
        T: Clone,
    {
        match self {
            Change::Leave => {}
            Change::Clear => *value = cleared,
            Change::To(new) => value.clone_from(new),
        }
    }

    /// Applies the change to a value that may be missing.
    pub fn apply_to(&self, value: &mut Option<T>)
    where
        T: Clone,
    {
        match self {
            Change::Leave => {}
            Change::Clear => *value = None,
            Change::To(new) => *value = Some(new.clone()),
        }
    }

    pub fn given(&self) -> Option<&T> {
        match self {
            Change::To(value) => Some(value),
            Change::Leave | Change::Clear => None,
        }
    }
}

/// The change a column asks for, its text read by `read`.
pub fn change<T>(
    row: &Row,
    name: &'static str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Change<T>, Fault> {
    Ok(match row.cell(name) {
        Cell::Leave => Change::Leave,
        Cell::Clear => Change::Clear,
        Cell::Text(text) => Change::To(read(text).map_err(|why| Fault::new(name, why))?),
    })
}

/// Short text, as people see it.
pub fn text(text: &str) -> Result<String, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("is longer than {TEXT_BYTES_MAX} bytes"));
    }
    Ok(clean(text, TEXT_BYTES_MAX))
}

/// An id of the shop's: at most 200 bytes.
pub fn id(text: &str) -> Result<String, String> {
    if text.len() > 200 { Err("is longer than 200 bytes".to_owned()) } else { Ok(clean(text, 200)) }
}

pub fn email(text: &str) -> Result<Email, String> {
    Email::parse(text).map_err(|error| error.to_string())
}

/// A whole number.
pub fn whole(text: &str) -> Result<i64, String> {
    text.parse()
        .ok()
        .filter(|n: &i64| n.unsigned_abs() <= 1 << 53)
        .ok_or_else(|| format!("{text:?} is no whole number"))
}

/// An instant: RFC 3339, or unix seconds or milliseconds.
pub fn instant_ms(text: &str, now_ms: i64) -> Result<i64, String> {
    let at_ms = match text.parse::<i64>() {
        Ok(number) if number.abs() < MS_FROM => number * 1000,
        Ok(number) => number,
        Err(_) => text.parse::<Timestamp>().map(Timestamp::as_millisecond).map_err(|_| {
            format!("{text:?} is no time: write 2026-11-26T10:00:00+08:00, or unix seconds or milliseconds")
        })?,
    };
    if at_ms < 0 {
        return Err(format!("{text:?} lies before 1970"));
    }
    if at_ms > now_ms.saturating_add(AHEAD_MS_MAX) {
        return Err(format!("{text:?} lies in the future"));
    }
    Ok(at_ms)
}

/// A language tag (BCP 47) in its usual letter case: `zh_cn` is `zh-CN`, `ZH-hans` is `zh-Hans`.
pub fn locale(text: &str) -> Result<String, String> {
    let refused = || format!("{text:?} is no language tag: write en, ru, zh-Hans-CN");
    let mut out = String::with_capacity(text.len());
    for (at, part) in text.split(['-', '_']).enumerate() {
        let fits = if at == 0 { (2..=3).contains(&part.len()) } else { (2..=8).contains(&part.len()) };
        let letters = part.bytes().all(|c| c.is_ascii_alphabetic());
        if !fits || !part.bytes().all(|c| c.is_ascii_alphanumeric()) || (at == 0 && !letters) || out.len() > 30 {
            return Err(refused());
        }
        if at > 0 {
            out.push('-');
        }
        let lower = part.to_ascii_lowercase();
        match (at, part.len()) {
            (1.., 2) => out.push_str(&part.to_ascii_uppercase()),
            (1.., 4) if letters => {
                out.push_str(&lower[..1].to_ascii_uppercase());
                out.push_str(&lower[1..]);
            }
            _ => out.push_str(&lower),
        }
    }
    Ok(out)
}

/// Time zones by name, each looked up once per file.
#[derive(Default)]
pub struct Zones(HashMap<String, Option<String>>);

impl Zones {
    /// The zone's IANA name in its own spelling.
    pub fn read(&mut self, text: &str) -> Result<String, String> {
        if let Some(known) = self.0.get(text) {
            return known.clone().ok_or_else(|| Zones::refused(text));
        }
        let name = TimeZone::get(text).ok().and_then(|zone| zone.iana_name().map(str::to_owned));
        if self.0.len() < 10_000 {
            self.0.insert(text.to_owned(), name.clone());
        }
        name.ok_or_else(|| Zones::refused(text))
    }

    fn refused(text: &str) -> String {
        format!("{text:?} is no time zone: write an IANA name, as in Europe/Moscow")
    }
}

/// A category's path: parts divided by `/` or `>`, lower case, words joined by `-`. `Kitchen > Range hoods` is
/// `kitchen/range-hoods`.
pub fn category(text: &str) -> Result<String, String> {
    let part = |part: &str| part.split_whitespace().collect::<Vec<_>>().join("-").to_lowercase();
    let parts: Vec<String> = text.split(['/', '>']).map(part).filter(|part| !part.is_empty()).collect();
    if parts.len() > 8 || text.len() > 200 {
        return Err("has more than 8 parts or 200 bytes".to_owned());
    }
    if parts.iter().any(|part| part.chars().any(|c| c.is_control() || c == '"')) {
        return Err(format!("{text:?} holds what no category's name may: quotes or control characters"));
    }
    Ok(parts.join("/"))
}

/// Topics as `a;b`, each once.
pub fn topics(text: &str) -> Result<Vec<String>, String> {
    let mut topics: Vec<String> = Vec::new();
    for topic in text.split(';').map(str::trim).filter(|topic| !topic.is_empty()) {
        let topic = topic.to_lowercase();
        if !is_topic(&topic) {
            return Err(format!("{topic:?} is no topic: write names of a-z, 0-9, - and _, divided by semicolons"));
        }
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    if topics.len() > 50 { Err("names more than 50 topics".to_owned()) } else { Ok(topics) }
}

/// A web address. Nothing but `http` and `https` may stand behind a link.
pub fn url(text: &str) -> Result<String, String> {
    let web = text.starts_with("https://") || text.starts_with("http://");
    if !web || text.len() > TEXT_BYTES_MAX || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!(
            "{:?} is no web address of at most {TEXT_BYTES_MAX} bytes: write https://…",
            clean(text, 80)
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    #[test]
    fn times_are_read_in_three_ways() {
        assert_eq!(instant_ms("2026-01-02T03:04:05+08:00", NOW_MS), Ok(1_767_294_245_000));
        assert_eq!(instant_ms("1767294245", NOW_MS), Ok(1_767_294_245_000));
        assert_eq!(instant_ms("1767294245123", NOW_MS), Ok(1_767_294_245_123));
        for text in ["2026-01-02", "2026-01-02 03:04:05", "yesterday", "-5", "2126-01-02T03:04:05Z"] {
            assert!(instant_ms(text, NOW_MS).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_places_and_things_get_one_spelling() {
        assert_eq!(locale("zh_hans_cn").as_deref(), Ok("zh-Hans-CN"));
        assert_eq!(locale("EN").as_deref(), Ok("en"));
        assert!(locale("english").is_err() && locale("e").is_err() && locale("en-").is_err());
        assert_eq!(category(" Kitchen > Range  hoods ").as_deref(), Ok("kitchen/range-hoods"));
        assert_eq!(category("Кухня/Холодильники").as_deref(), Ok("кухня/холодильники"));
        assert_eq!(topics("offers; News;offers").unwrap(), ["offers", "news"]);
        assert!(topics("all").is_err());
        let mut zones = Zones::default();
        assert_eq!(zones.read("asia/shanghai").as_deref(), Ok("Asia/Shanghai"));
        assert!(zones.read("Moscow").is_err());
        assert!(url("javascript:alert(1)").is_err());
    }
}
