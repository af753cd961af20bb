//! Whose mail server stands behind a domain: what budgets are kept by. The table is data, `config/shaping.toml`.

use std::collections::HashMap;

use serde::Deserialize;

use super::gate::Throttle;

/// The provider of every domain that no other lists.
pub const OTHER: &str = "other";
/// The provider of every domain that takes no mail (RFC 7505): none is sent there.
pub const NULL_MX: &str = "null_mx";
/// The table that is built in.
pub const BUILT_IN: &str = include_str!("../../config/shaping.toml");

/// How fast a provider takes mail over one route. What is `None` is the route's own.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
pub struct Pace {
    pub connections: Option<u32>,
    /// Mails per second, fractions allowed.
    pub per_second: Option<f64>,
    pub per_day: Option<u32>,
    /// Mails over one connection, before a new one is opened.
    pub mails_per_connection: Option<u32>,
    /// Mails of the first day of a new address; each clean day takes more.
    pub warm_up: Option<u32>,
}

/// Which domains are whose.
#[derive(Debug, Clone, Default)]
pub struct ProviderTable {
    by_domain: HashMap<String, usize>,
    /// By the names that mail servers are under.
    by_server: HashMap<String, usize>,
    providers: Vec<(String, Pace)>,
    /// What follows from being too fast.
    pub throttle: Throttle,
}

/// Why a text is no table of providers.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("line {line}: {what}")]
    Syntax { line: usize, what: String },
    #[error("provider {name:?} is there twice, or the name is kept for others")]
    Name { name: String },
    #[error("provider {name:?} lists {domain:?}, which is no lower-case domain, or is another's")]
    Domain { name: String, domain: String },
    #[error(
        "provider {name:?} has a limit of nothing, which would hold its mail for ever: leave the key out or raise it"
    )]
    Pace { name: String },
    #[error("[throttle] needs pauses_s, a list of seconds above 0 such as [120, 300], and step_s, seconds above 0")]
    Throttle,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    throttle: Option<ThrottleEntry>,
    #[serde(default)]
    provider: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThrottleEntry {
    pauses_s: Vec<f64>,
    step_s: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    domains: Vec<String>,
    #[serde(default)]
    servers: Vec<String>,
    connections: Option<u32>,
    per_second: Option<f64>,
    per_day: Option<u32>,
    mails_per_connection: Option<u32>,
}

impl ThrottleEntry {
    fn read(&self) -> Option<Throttle> {
        let ms = |seconds: f64| (seconds > 0.0 && seconds < 1e7).then_some((seconds * 1_000.0).ceil() as i64);
        let pauses_ms: Vec<i64> = self.pauses_s.iter().map(|seconds| ms(*seconds)).collect::<Option<_>>()?;
        Some(Throttle { pauses_ms, step_ms: ms(self.step_s)? }).filter(|throttle| !throttle.pauses_ms.is_empty())
    }
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
        if let Some(entry) = file.throttle {
            table.throttle = entry.read().ok_or(ProviderError::Throttle)?;
        }
        for Entry { name, domains, servers, connections, per_second, per_day, mails_per_connection } in file.provider {
            if name.is_empty()
                || [OTHER, NULL_MX].contains(&name.as_str())
                || table.providers.iter().any(|(known, _)| *known == name)
            {
                return Err(ProviderError::Name { name });
            }
            if connections == Some(0)
                || per_day == Some(0)
                || mails_per_connection == Some(0)
                || per_second.is_some_and(|rate| !(rate > 0.0 && rate.is_finite()))
            {
                return Err(ProviderError::Pace { name });
            }
            let at = table.providers.len();
            let ProviderTable { by_domain, by_server, .. } = &mut table;
            for (names, known) in [(domains, by_domain), (servers, by_server)] {
                for domain in names {
                    if !is_plain(&domain) || known.insert(domain.clone(), at).is_some() {
                        return Err(ProviderError::Domain { name, domain });
                    }
                }
            }
            table
                .providers
                .push((name, Pace { connections, per_second, per_day, mails_per_connection, warm_up: None }));
        }
        Ok(table)
    }

    /// The provider of a lower-case domain: the one that lists it, or the nearest domain above it; else [`OTHER`].
    pub fn of(&self, domain: &str) -> &str {
        self.name(nearest(&self.by_domain, domain))
    }

    /// Whether a lower-case domain, or one above it, is listed.
    pub fn lists(&self, domain: &str) -> bool {
        nearest(&self.by_domain, domain).is_some()
    }

    /// The provider whose mail servers these are: the first that somebody lists decides; [`NULL_MX`] where `"."` says
    /// that the domain takes no mail.
    pub fn of_servers(&self, servers: &[String]) -> &str {
        if let [only] = servers
            && only == "."
        {
            return NULL_MX;
        }
        let known = |server: &String| nearest(&self.by_server, &server.trim_end_matches('.').to_lowercase());
        self.name(servers.iter().find_map(known))
    }

    /// Whether it is a provider of the table, or one of those that are always there.
    pub fn knows(&self, name: &str) -> bool {
        [OTHER, NULL_MX].contains(&name) || self.names().any(|known| known == name)
    }

    fn name(&self, at: Option<usize>) -> &str {
        at.map_or(OTHER, |at| &self.providers[at].0)
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

fn is_plain(domain: &str) -> bool {
    domain.contains('.') && !domain.starts_with('.') && !domain.bytes().any(|c| c.is_ascii_uppercase() || c <= b' ')
}

/// What a domain, or the nearest one above it, is in a table.
fn nearest(table: &HashMap<String, usize>, domain: &str) -> Option<usize> {
    let mut rest = domain;
    loop {
        if let Some(at) = table.get(rest) {
            return Some(*at);
        }
        match rest.split_once('.') {
            Some((_, above)) if above.contains('.') => rest = above,
            _ => return None,
        }
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
    fn the_servers_say_whose_a_domain_is() {
        let table = ProviderTable::built_in();
        for (servers, name) in [
            (&["ASPMX.L.GOOGLE.com.", "alt1.aspmx.l.google.com."][..], "gmail"),
            (&["firm-example.mail.protection.outlook.com"], "microsoft365"),
            (&["outlook-com.olc.protection.outlook.com."], "microsoft"),
            (&["mxbiz1.qq.com."], "qq"),
            (&["mx.own.example.", "mx.yandex.net."], "yandex"),
            (&["mx.own.example."], OTHER),
            (&["notgoogle.com."], OTHER),
            (&[], OTHER),
            (&["."], NULL_MX),
        ] {
            let servers: Vec<String> = servers.iter().map(|server| (*server).to_owned()).collect();
            assert_eq!(table.of_servers(&servers), name, "{servers:?}");
        }
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
            ("[[provider]]\nname = \"other\"\ndomains = []".to_owned(), "kept for others"),
            ("[throttle]\npauses_s = []\nstep_s = 1".to_owned(), "pauses_s"),
            (one("domains = []\nservers = [\".google.com\"]"), "google.com"),
        ] {
            let error = ProviderTable::parse(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{error} should name {part}");
        }
    }
}
