//! Fields of a JSON object that somebody else wrote: texts and numbers mixed up, times in every form.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::base::text::clean;
pub use crate::inbound::dsn::codes;

/// Longest text taken of a field, bytes.
const TEXT_BYTES_MAX: usize = 4 * 1024;
/// Longest id taken, bytes.
const ID_BYTES_MAX: usize = 256;

/// An object, asked by paths such as `mail/messageId`.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'v>(pub &'v Value);

impl<'v> Fields<'v> {
    pub fn value(&self, path: &str) -> Option<&'v Value> {
        path.split('/').try_fold(self.0, |value, name| value.get(name))
    }

    /// A text, or a number as text; empty where there is neither.
    pub fn text(&self, path: &str) -> String {
        self.value(path).map_or(String::new(), as_text)
    }

    /// The first of `paths` with a text.
    pub fn first(&self, paths: &[&str]) -> String {
        paths.iter().map(|path| self.text(path)).find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// An id; `None` where there is none.
    pub fn id(&self, paths: &[&str]) -> Option<String> {
        some(clean(&self.first(paths), ID_BYTES_MAX))
    }

    pub fn some(&self, path: &str) -> Option<String> {
        some(self.text(path))
    }

    /// A time in seconds since 1970, or as text.
    pub fn at_ms(&self, path: &str) -> Option<i64> {
        let text = self.text(path);
        match text.parse::<f64>() {
            Ok(seconds) if (0.0..1e11).contains(&seconds) => Some((seconds * 1_000.0) as i64),
            Ok(_) => None,
            Err(_) => instant(&text),
        }
    }

    /// A time in milliseconds since 1970.
    pub fn epoch_ms(&self, path: &str) -> Option<i64> {
        self.value(path).and_then(Value::as_i64).filter(|ms| *ms > 0)
    }

    pub fn list(&self, path: &str) -> &'v [Value] {
        self.value(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A text or a number as text.
pub fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text, TEXT_BYTES_MAX),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// RFC 3339, or a date and a time in UTC without a zone.
pub fn instant(text: &str) -> Option<i64> {
    let zoned = text.parse::<Timestamp>();
    let at =
        zoned.or_else(|_| text.parse::<DateTime>().and_then(|at| at.to_zoned(TimeZone::UTC)).map(|at| at.timestamp()));
    at.ok().map(|at| at.as_millisecond())
}

/// The address of `Name <address>` or of an address alone.
pub fn address(text: &str) -> String {
    let inner = text.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(text, |(inner, _)| inner);
    clean(inner, crate::domain::address::ADDRESS_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_times_are_read_in_every_form() {
        assert_eq!(codes("smtp;550 5.1.1 <a@b.example>... gone"), (Some(550), Some((5, 1, 1))));
        assert_eq!(codes("5.1.1"), (None, Some((5, 1, 1))));
        assert_eq!(codes("250 ok 64111812"), (None, None));
        let json = serde_json::json!({"a": 1461095250, "b": "1461095250", "c": "2016-04-19T19:47:30Z", "d": "2016-04-19 19:47:30",
            "e": "2016-04-19T15:47:30.0000000-04:00", "f": "soon", "g": -1e300, "h": []});
        for name in ["a", "b", "c", "d", "e"] {
            assert_eq!(Fields(&json).at_ms(name), Some(1_461_095_250_000), "{name}");
        }
        for name in ["f", "g", "h", "i"] {
            assert_eq!(Fields(&json).at_ms(name), None, "{name}");
        }
        assert_eq!(address("Anna <a@b.example>"), "a@b.example");
    }
}
