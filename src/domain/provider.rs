//! Whose mail server stands behind a domain: what budgets are kept by. The table is data, `config/shaping.toml`.

use std::collections::HashMap;

use serde::Deserialize;

/// The provider of every domain that no other lists.
pub const OTHER: &str = "other";
/// The table that is built in.
pub const BUILT_IN: &str = include_str!("../../config/shaping.toml");

/// How fast a provider takes mail over one route. What is `None` is the route's own.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
pub struct Pace {
    pub connections: Option<u32>,
    /// Mails per second, fractions allowed.
    pub per_second: Option<f64>,
    pub per_day: Option<u32>,
}

/// Which domains are whose.
#[derive(Debug, Clone, Default)]
pub struct ProviderTable {
    by_domain: HashMap<String, usize>,
    providers: Vec<(String, Pace)>,
}

/// Why a text is no table of providers.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("line {line}: {what}")]
    Syntax { line: usize, what: String },
    #[error("provider {name:?} is there twice, or is the name kept for everybody else")]
    Name { name: String },
    #[error("provider {name:?} lists {domain:?}, which is no lower-case domain, or is another's")]
    Domain { name: String, domain: String },
    #[error(
        "provider {name:?} has a limit of nothing, which would hold its mail for ever: leave the key out or raise it"
    )]
    Pace { name: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    provider: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    domains: Vec<String>,
    connections: Option<u32>,
    per_second: Option<f64>,
    per_day: Option<u32>,
}

impl ProviderTable {
    /// The table that is built in.
    pub fn built_in() -> ProviderTable {
        ProviderTable::parse(BUILT_IN).expect("a test reads the built-in table")
    }

    /// Reads a table in the form of `config/shaping.toml`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<ProviderTable, ProviderError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
            ProviderError::Syntax { line, what: error.message().to_owned() }
        })?;
        let mut table = ProviderTable::default();
        for Entry { name, domains, connections, per_second, per_day } in file.provider {
            if name.is_empty() || name == OTHER || table.providers.iter().any(|(known, _)| *known == name) {
                return Err(ProviderError::Name { name });
            }
            if connections == Some(0)
                || per_day == Some(0)
                || per_second.is_some_and(|rate| !(rate > 0.0 && rate.is_finite()))
            {
                return Err(ProviderError::Pace { name });
            }
            for domain in domains {
                let plain =
                    domain.contains('.') && !domain.bytes().any(|c| c.is_ascii_uppercase() || c.is_ascii_whitespace());
                if !plain || table.by_domain.insert(domain.clone(), table.providers.len()).is_some() {
                    return Err(ProviderError::Domain { name, domain });
                }
            }
            table.providers.push((name, Pace { connections, per_second, per_day }));
        }
        Ok(table)
    }

    /// The provider of a lower-case domain: the one that lists it, or the nearest domain above it; else [`OTHER`].
    pub fn of(&self, domain: &str) -> &str {
        let mut rest = domain;
        loop {
            if let Some(at) = self.by_domain.get(rest) {
                return &self.providers[*at].0;
            }
            match rest.split_once('.') {
                Some((_, above)) if above.contains('.') => rest = above,
                _ => return OTHER,
            }
        }
    }

    /// How fast a provider takes mail; no limits for one the table does not know, [`OTHER`] included.
    pub fn pace(&self, name: &str) -> Pace {
        self.providers.iter().find(|(known, _)| known == name).map(|(_, pace)| *pace).unwrap_or_default()
    }

    /// The names of the table's providers, in its order, without [`OTHER`].
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.providers.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_knows_the_big_ones() {
        let table = ProviderTable::built_in();
        for (domain, name) in [
            ("gmail.com", "gmail"),
            ("hotmail.co.uk", "microsoft"),
            ("qq.com", "qq"),
            ("vip.qq.com", "qq"),
            ("126.com", "netease"),
            ("bk.ru", "mail_ru"),
            ("ya.ru", "yandex"),
            ("icloud.com", "apple"),
            ("yahoo.co.jp", "yahoo_japan"),
            ("example.com", OTHER),
            ("notgmail.com", OTHER),
            ("gmail.com.example.org", OTHER),
        ] {
            assert_eq!(table.of(domain), name, "{domain}");
        }
        for name in table.names() {
            let pace = table.pace(name);
            assert!(pace.connections.is_some() && pace.per_second.is_some(), "{name} needs its limits");
        }
        assert_eq!(table.pace(OTHER), Pace::default());
    }

    #[test]
    fn a_wrong_table_is_refused_with_its_reason() {
        let one = |rest: &str| format!("[[provider]]\nname = \"a\"\n{rest}\n");
        for (text, part) in [
            (one("domains = [\"x.example\"]\nspeed = 3"), "line 4"),
            (one("domains = [\"com\"]"), "\"com\""),
            (one("domains = [\"X.example\"]"), "X.example"),
            (one("domains = [\"x.example\", \"x.example\"]"), "x.example"),
            (one("domains = []\nper_second = 0.0"), "for ever"),
            (one("domains = []") + &one("domains = []"), "twice"),
            ("[[provider]]\nname = \"other\"\ndomains = []".to_owned(), "everybody else"),
        ] {
            let error = ProviderTable::parse(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{error} should name {part}");
        }
    }
}
