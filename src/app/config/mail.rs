//! The sections about mail: senders, routes, retries, the wire's patience.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::dkim::Signer;
use super::duration;
use super::section::Section;
use crate::domain::address::Email;
use crate::domain::retry;
use crate::domain::routing::KeptFor;
use crate::render;
use crate::smtp::{Timeouts, Tls};

/// `[[sender]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    pub name: String,
    /// The name shown beside the address; may be empty.
    pub display: String,
    pub from: String,
    pub reply_to: Option<String>,
    /// Envelope senders are made under it, so that bounces come back.
    pub bounce_domain: String,
    /// The sender's street address, which law wants in marketing mail.
    pub postal_address: String,
}

impl Sender {
    /// As mails are written with it.
    pub fn on_paper(&self) -> render::Sender {
        render::Sender {
            key: self.name.clone(),
            name: self.display.clone(),
            from: self.from.clone(),
            reply_to: self.reply_to.clone().unwrap_or_default(),
            bounce_domain: self.bounce_domain.clone(),
            postal_address: self.postal_address.clone(),
        }
    }

    /// The domain readers see it come from.
    pub fn domain(&self) -> &str {
        self.from.rsplit('@').next().unwrap_or_default()
    }

    pub(super) fn read(s: &mut Section<'_>) -> Sender {
        let name = s.need("name", "give the sender a name that campaigns refer to");
        let from = s.need("from", "write an address, as in \"Shop <news@example.com>\"");
        let (display, from) = mailbox(s, "from", &from);
        let reply_to = s.text("reply_to").map(|text| mailbox(s, "reply_to", &text).1);
        let own = from.rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default();
        let bounce_domain = s.text("bounce_domain").unwrap_or(own);
        if !bounce_domain.is_empty() && Email::parse(&format!("b@{bounce_domain}")).is_err() {
            s.fault("bounce_domain", "is no domain", "write it like \"bounce.example.com\"");
        }
        let postal_address =
            s.need("postal_address", "write the company's street address: marketing mail must show it");
        Sender { name, display, from, reply_to, bounce_domain, postal_address }
    }
}

/// `Display <address>` or an address alone, as `(display, address)`.
fn mailbox(s: &Section<'_>, key: &'static str, text: &str) -> (String, String) {
    if text.is_empty() {
        return (String::new(), String::new());
    }
    let (display, address) = match text.trim().strip_suffix('>').and_then(|text| text.split_once('<')) {
        Some((display, address)) => (display.trim().trim_matches('"').to_owned(), address),
        None => (String::new(), text.trim()),
    };
    if display.contains(char::is_control) {
        s.fault(key, "holds a control character", "write the name as plain text");
    }
    match Email::parse(address) {
        Ok(email) => (display, email.as_str().to_owned()),
        Err(error) => {
            s.fault(key, &error.to_string(), "write an address, as in \"Shop <news@example.com>\"");
            (display, String::new())
        }
    }
}

/// `[[route]]`: a server that takes our mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub username: Option<String>,
    /// The file that holds the password, on its first line.
    pub password_file: Option<PathBuf>,
    /// A file of PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Connections open at once.
    pub connections: u32,
    /// Mails per second, fractions allowed; `None`: no limit of ours.
    pub per_second: Option<f64>,
    /// What EHLO says; `None`: the machine's name.
    pub hello_name: Option<String>,
    /// Several commands in one write, where the server offers it.
    pub pipelining: bool,
    /// Who puts DKIM signatures on what goes over it.
    pub dkim: Signer,
    /// Whether the limits of `shaping.toml` hold on this route.
    pub shaping: bool,
    /// Mails over one connection, before a new one is opened; `None`: no limit of ours.
    pub mails_per_connection: Option<u32>,
    /// How much it takes beside other routes.
    pub weight: f64,
    /// What it is kept for.
    pub kept_for: KeptFor,
    /// Limits per provider, before those of `shaping.toml`.
    pub providers: Vec<Limit>,
}

/// `[[route.provider]]`: how fast one provider is served over a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    pub name: String,
    pub per_second: Option<f64>,
    pub connections: Option<u32>,
    pub per_day: Option<u32>,
    pub mails_per_connection: Option<u32>,
    /// Mails of the first day of a new address; each clean day takes more.
    pub warm_up: Option<u32>,
}

impl Route {
    pub(super) fn read(s: &mut Section<'_>) -> Route {
        let name = s.need("name", "give the route a name for logs and reports");
        let host = s.need("host", "write the server's name, as in \"smtp.example.com\"");
        let tls = s.parsed("tls", "\"none\", \"starttls\" or \"implicit\"").unwrap_or(Tls::StartTls);
        let port = s.number("port", 0, u16::MAX).unwrap_or(if tls == Tls::Implicit { 465 } else { 587 });
        if tls == Tls::None && !host.is_empty() && !is_loopback(&host) {
            let what = format!("= \"none\" would send mail and password in the clear to {host}");
            s.fault("tls", &what, "write tls = \"starttls\" or \"implicit\"; none is for this machine only");
        }
        let username = s.text("username");
        let password_file = s.path("password_file");
        if username.is_some() != password_file.is_some() {
            let fix = "write both username and password_file, or neither";
            s.fault("username", "and password_file go together", fix);
        }
        let providers = s.sections("provider").into_iter().map(Limit::read);
        Route {
            name,
            host,
            port,
            tls,
            username,
            password_file,
            providers: providers.collect(),
            ca_file: s.path("ca_file"),
            connections: s.number("connections", 1, 1_000).unwrap_or(20),
            per_second: s.number("per_second", 0.0001, 1_000_000.0),
            hello_name: s.text("hello_name"),
            pipelining: s.flag("pipelining").unwrap_or(true),
            dkim: s.parsed("dkim", "\"indicia\" or \"smarthost\"").unwrap_or(Signer::Indicia),
            shaping: s.flag("shaping").unwrap_or(true),
            mails_per_connection: s.number("mails_per_connection", 1, u32::MAX),
            weight: s.number("weight", 0.001, 1_000.0).unwrap_or(1.0),
            kept_for: KeptFor::new(s.texts("for").unwrap_or_default()),
        }
    }
}

impl Route {
    /// Whether its address is new to some provider.
    pub fn warms_up(&self) -> bool {
        self.providers.iter().any(|limit| limit.warm_up.is_some())
    }
}

impl Limit {
    fn read(mut s: Section<'_>) -> Limit {
        let limit = Limit {
            name: s.need("name", "name a provider of shaping.toml, as in \"gmail\""),
            per_second: s.number("per_second", 0.0001, 1_000_000.0),
            connections: s.number("connections", 1, 1_000),
            per_day: s.number("per_day", 1, u32::MAX),
            mails_per_connection: s.number("mails_per_connection", 1, u32::MAX),
            warm_up: s.number("warm_up", 1, u32::MAX),
        };
        s.finish();
        limit
    }
}

/// Whether a host is this machine: a loopback address or `localhost`.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `[retry]`: when a mail that was put off is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Waits after each temporary refusal of marketing mail; the last one repeats.
    pub bulk_ms: Vec<i64>,
    pub transactional_ms: Vec<i64>,
    /// Each wait is longer or shorter by up to this share of itself.
    pub jitter: f64,
    /// Marketing mail older than this is given up.
    pub ttl_ms: i64,
    pub ttl_transactional_ms: i64,
    /// Temporary refusals after which a mail is given up.
    pub tries_max: u32,
}

impl Retry {
    /// How marketing mail is put off.
    pub fn marketing(&self) -> retry::Retry {
        retry::Retry { pauses_ms: self.pauses(&self.bulk_ms), jitter: self.jitter, ttl_ms: self.ttl_ms }
    }

    /// How transactional mail is put off.
    pub fn transactional(&self) -> retry::Retry {
        let pauses_ms = self.pauses(&self.transactional_ms);
        retry::Retry { pauses_ms, jitter: self.jitter, ttl_ms: self.ttl_transactional_ms }
    }

    /// A pause between each two of `tries_max` tries.
    fn pauses(&self, waits_ms: &[i64]) -> Vec<i64> {
        let last = waits_ms.last().copied().unwrap_or_default();
        waits_ms.iter().copied().chain(std::iter::repeat(last)).take(self.tries_max as usize - 1).collect()
    }

    pub(super) fn read(s: &mut Section<'_>) -> Retry {
        const M: i64 = 60_000;
        Retry {
            bulk_ms: waits(s, "bulk").unwrap_or_else(|| vec![5 * M, 15 * M, 45 * M, 120 * M, 240 * M, 480 * M]),
            transactional_ms: waits(s, "transactional")
                .unwrap_or_else(|| vec![M, 3 * M, 10 * M, 30 * M, 60 * M, 120 * M]),
            jitter: s.number("jitter", 0.0, 0.9).unwrap_or(0.2),
            ttl_ms: s.duration_ms("ttl", 1).unwrap_or(24 * 60 * M),
            ttl_transactional_ms: s.duration_ms("ttl_transactional", 1).unwrap_or(4 * 60 * M),
            tries_max: s.number("tries_max", 1, 1_000).unwrap_or(10),
        }
    }
}

fn waits(s: &mut Section<'_>, key: &'static str) -> Option<Vec<i64>> {
    let fix = "write lengths of time, as in [\"5m\", \"15m\", \"45m\"]";
    let texts = s.texts(key)?;
    if texts.is_empty() {
        s.fault(key, "is empty", fix);
        return None;
    }
    let waits = texts.iter().map(|text| match duration::parse_ms(text) {
        Ok(ms) => Some(ms),
        Err(what) => {
            s.fault(key, &format!("holds {text:?}, which {what}"), fix);
            None
        }
    });
    waits.collect()
}

/// `[smtp]`: how long each step of a conversation may take. The defaults are what RFC 5321 §4.5.3.2 asks for: with
/// less, a slow server's "yes" is missed and the mail is in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    pub timeout_connect_ms: i64,
    pub timeout_banner_ms: i64,
    pub timeout_hello_ms: i64,
    pub timeout_auth_ms: i64,
    pub timeout_mail_ms: i64,
    pub timeout_rcpt_ms: i64,
    pub timeout_data_ms: i64,
    pub timeout_block_ms: i64,
    pub timeout_dot_ms: i64,
    pub timeout_rset_ms: i64,
    /// A connection unused for so long is closed.
    pub idle_ms: i64,
}

impl Smtp {
    /// As the wire takes them.
    pub fn timeouts(&self) -> Timeouts {
        let of = |ms: i64| Duration::from_millis(ms.unsigned_abs());
        Timeouts {
            connect: of(self.timeout_connect_ms),
            banner: of(self.timeout_banner_ms),
            hello: of(self.timeout_hello_ms),
            auth: of(self.timeout_auth_ms),
            mail: of(self.timeout_mail_ms),
            rcpt: of(self.timeout_rcpt_ms),
            data: of(self.timeout_data_ms),
            block: of(self.timeout_block_ms),
            dot: of(self.timeout_dot_ms),
            rset: of(self.timeout_rset_ms),
        }
    }

    pub(super) fn read(s: &mut Section<'_>) -> Smtp {
        Smtp {
            timeout_connect_ms: s.duration_ms("timeout_connect", 1).unwrap_or(30_000),
            timeout_banner_ms: s.duration_ms("timeout_banner", 1).unwrap_or(300_000),
            timeout_hello_ms: s.duration_ms("timeout_hello", 1).unwrap_or(300_000),
            timeout_auth_ms: s.duration_ms("timeout_auth", 1).unwrap_or(300_000),
            timeout_mail_ms: s.duration_ms("timeout_mail", 1).unwrap_or(300_000),
            timeout_rcpt_ms: s.duration_ms("timeout_rcpt", 1).unwrap_or(300_000),
            timeout_data_ms: s.duration_ms("timeout_data", 1).unwrap_or(120_000),
            timeout_block_ms: s.duration_ms("timeout_block", 1).unwrap_or(180_000),
            timeout_dot_ms: s.duration_ms("timeout_dot", 1).unwrap_or(600_000),
            timeout_rset_ms: s.duration_ms("timeout_rset", 1).unwrap_or(20_000),
            idle_ms: s.duration_ms("idle", 1).unwrap_or(30_000),
        }
    }
}
