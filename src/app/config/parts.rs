//! The daemon's own sections: database, listeners, logs, keys, queue, disk, mailbox.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::section::Section;
use crate::domain::address::Email;
use crate::domain::breaker::Limits;
use crate::domain::consent::is_topic;
use crate::store::mask_password;
use crate::text_enum;
use crate::web::client::{Network, NotANetwork};
use crate::web::fetch::Address;

/// `[database]`
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// `sqlite://PATH` (absolute once read) or `postgres://…`. May hold a password: never log it unmasked.
    pub url: String,
    /// SQLite refuses to grow past this; `None`: the disk is the bound.
    pub sqlite_bytes_max: Option<u64>,
    /// Connections this process opens to PostgreSQL.
    pub connections: u32,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("url", &mask_password(&self.url))
            .field("sqlite_bytes_max", &self.sqlite_bytes_max)
            .field("connections", &self.connections)
            .finish()
    }
}

impl Database {
    pub fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite://")
    }

    fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres://") || self.url.starts_with("postgresql://")
    }

    pub(super) fn read(s: &mut Section<'_>) -> Database {
        let url = s.text("url").unwrap_or_else(|| "sqlite://data/indicia.db".to_owned());
        let url = match url.strip_prefix("sqlite://") {
            Some("") => {
                s.fault("url", "names no file", "write sqlite://data/indicia.db");
                url
            }
            Some(path) => {
                if path.contains('?') {
                    s.fault("url", "has options after a ?, which SQLite files take none of", "write the path alone");
                }
                format!("sqlite://{}", s.resolve(path).display())
            }
            None => url,
        };
        let database = Database {
            url,
            sqlite_bytes_max: s.number("sqlite_bytes_max", 1 << 20, u64::MAX),
            connections: s.number("connections", 2, 1_000).unwrap_or(10),
        };
        if !database.is_sqlite() && !database.is_postgres() {
            s.fault("url", "is of no known kind", "write sqlite://PATH or postgres://USER:PASSWORD@HOST/NAME");
        }
        database
    }
}

/// `[http]`: what faces the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    pub listen: SocketAddr,
    /// What links in mails begin with, without a slash at its end; `None`: the address that was bound.
    pub public_url: Option<String>,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<Network>,
}

impl Http {
    pub(super) fn read(s: &mut Section<'_>) -> Http {
        let listen = listen(s, [127, 0, 0, 1], 8080);
        let public_url = s.text("public_url").map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = &public_url {
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains([' ', '?', '#'])) {
                s.fault("public_url", "is no web address", "write it like \"https://news.example.com\"");
            }
        }
        let proxies = s.texts("trusted_proxies").unwrap_or_default();
        let networks = proxies.iter().filter_map(|text| {
            let wrong = |error: &NotANetwork| {
                s.fault("trusted_proxies", &format!("holds {error}"), "write the addresses of your proxies, or []");
            };
            text.parse().inspect_err(wrong).ok()
        });
        Http { listen, public_url, trusted_proxies: networks.collect() }
    }
}

/// `[admin]`: pages, API and metrics; without sign-in, so on this machine only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    pub listen: SocketAddr,
}

impl Admin {
    pub(super) fn read(s: &mut Section<'_>) -> Admin {
        let listen = listen(s, [127, 0, 0, 1], 8081);
        if !listen.ip().is_loopback() {
            let what = format!("= {listen} would show the pages to the network, and they have no sign-in yet");
            s.fault("listen", &what, "write 127.0.0.1:8081 and reach it through an SSH tunnel");
        }
        Admin { listen }
    }
}

fn listen(s: &mut Section<'_>, ip: [u8; 4], port: u16) -> SocketAddr {
    s.parsed("listen", "an address and a port such as \"127.0.0.1:8080\"").unwrap_or_else(|| (ip, port).into())
}

text_enum! {
    /// How log lines look.
    pub enum LogFormat { Text = "text", Json = "json" }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A level, or `tracing` directives such as `info,indicia::smtp=debug`.
    pub level: String,
    pub format: LogFormat,
}

impl Log {
    pub(super) fn read(s: &mut Section<'_>) -> Log {
        let level = s.text("level").unwrap_or_else(|| "info".to_owned());
        if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&level) {
            s.fault("level", &format!("is not understood: {error}"), "write error, warn, info, debug or trace");
        }
        Log { level, format: s.parsed("format", "\"text\" or \"json\"").unwrap_or(LogFormat::Text) }
    }
}

/// `[tokens]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The keys, the first of which seals. Empty on SQLite: one is made in the state folder.
    pub keys: Vec<KeyFile>,
}

/// One key that seals and opens tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// 0 to 15, written into every token; never given to another key.
    pub id: u8,
    pub file: PathBuf,
}

impl Tokens {
    pub(super) fn read(s: &mut Section<'_>, database: &Database) -> Tokens {
        let mut keys: Vec<KeyFile> = Vec::new();
        for mut key in s.sections("key") {
            let id: u8 = match key.number("id", 0, 15) {
                Some(id) => id,
                None => {
                    key.fault("id", "is missing or wrong", "write a number from 0 to 15 that no other key ever had");
                    continue;
                }
            };
            if keys.iter().any(|known| known.id == id) {
                key.fault("id", &format!("= {id} is another key's"), "give every key an id of its own");
            }
            let file = key.need("file", "name the file that holds the key, 64 hexadecimal digits");
            keys.push(KeyFile { id, file: key.resolve(&file) });
            key.finish();
        }
        if keys.is_empty() && database.is_postgres() {
            let fix = "make one with `openssl rand -hex 32 > token-1.key`, give it to every daemon, and name it under \
                       [[tokens.key]] with id = 1 and file = \"token-1.key\"";
            s.fault("key", "is missing: on PostgreSQL all daemons must share their keys", fix);
        }
        Tokens { keys }
    }
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// How long SIGTERM waits for mails under way.
    pub drain_ms: i64,
}

impl Shutdown {
    pub(super) fn read(s: &mut Section<'_>) -> Shutdown {
        Shutdown { drain_ms: s.duration_ms("drain", 0).unwrap_or(30_000) }
    }
}

/// `[queue]`: how the daemon works on what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// How often a daemon says that it lives.
    pub beat_ms: i64,
    /// A daemon silent for so long is dead.
    pub dead_after_ms: i64,
    /// How soon work written by a command is noticed.
    pub poll_ms: i64,
    /// Messages claimed at once.
    pub claim_batch_max: u32,
    /// Messages held in memory at once.
    pub active_max: u32,
    /// Longest wait for the permission to write the final dot; then the connection is closed.
    pub arm_wait_ms: i64,
    /// Longest time from that permission to the dot.
    pub dot_after_arm_ms: i64,
}

impl Queue {
    pub(super) fn read(s: &mut Section<'_>) -> Queue {
        let queue = Queue {
            beat_ms: s.duration_ms("beat", 10).unwrap_or(5_000),
            dead_after_ms: s.duration_ms("dead_after", 50).unwrap_or(30_000),
            poll_ms: s.duration_ms("poll", 10).unwrap_or(300),
            claim_batch_max: s.number("claim_batch_max", 1, 1_000).unwrap_or(200),
            active_max: s.number("active_max", 1, 100_000).unwrap_or(2_000),
            arm_wait_ms: s.duration_ms("arm_wait", 10).unwrap_or(10_000),
            dot_after_arm_ms: s.duration_ms("dot_after_arm", 10).unwrap_or(5_000),
        };
        if queue.dead_after_ms < queue.beat_ms.saturating_mul(3) {
            s.fault("dead_after", "is less than three beats", "make dead_after at least three times beat");
        }
        queue
    }
}

/// `[breaker]`: when campaigns are paused by themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct Breaker(pub Limits);

impl Breaker {
    pub(super) fn read(s: &mut Section<'_>) -> Breaker {
        let usual = Limits::default();
        Breaker(Limits {
            after: s.number("after", 1, 1_000_000).unwrap_or(usual.after),
            hard_bounces: s.number("hard_bounces", 0.0, 1.0).unwrap_or(usual.hard_bounces),
            complaints: s.number("complaints", 0.0, 1.0).unwrap_or(usual.complaints),
            content: s.number("content", 0.0, 1.0).unwrap_or(usual.content),
            content_n: s.number("content_n", 1, 1_000_000).unwrap_or(usual.content_n),
            auth_n: s.number("auth_n", 1, 1_000_000).unwrap_or(usual.auth_n),
            block_n: s.number("block_n", 1, 1_000_000).unwrap_or(usual.block_n),
            block_pause_ms: s.duration_ms("block_pause", 1).unwrap_or(usual.block_pause_ms),
        })
    }
}

/// `[disk]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Below so many free bytes nothing more is sent: what was sent must still be written down.
    pub reserve_bytes: u64,
}

impl Disk {
    pub(super) fn read(s: &mut Section<'_>) -> Disk {
        Disk { reserve_bytes: s.number("reserve_bytes", 0, u64::MAX).unwrap_or(256 << 20) }
    }
}

/// `[recommend]`: the tables that products are picked by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommend {
    /// How old they may become before they are built anew.
    pub build_every_ms: i64,
    pub engine: Option<Engine>,
}

/// `[recommend.engine]`: an engine outside that is asked what to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub address: Address,
    /// What takes longer is done without.
    pub budget_ms: i64,
}

impl Recommend {
    pub(super) fn read(s: &mut Section<'_>) -> Recommend {
        let build_every_ms = s.duration_ms("build_every", 100).unwrap_or(24 * 3_600_000);
        let mut engine = s.section("engine");
        let budget_ms = engine.duration_ms("budget", 1).unwrap_or(50);
        let url = engine.text("url").filter(|url| !url.is_empty());
        let address = url.and_then(|url| match Address::parse(&url) {
            Ok(address) => Some(address),
            Err(error) => {
                engine.fault(
                    "url",
                    &error.to_string(),
                    "write https://engine.example/suggest, or http:// to this machine",
                );
                None
            }
        });
        engine.finish();
        Recommend { build_every_ms, engine: address.map(|address| Engine { address, budget_ms }) }
    }
}

/// `[tracking]`: who opened and clicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    /// After this an open or a click has its final class.
    pub final_after_ms: i64,
}

impl Tracking {
    pub(super) fn read(s: &mut Section<'_>) -> Tracking {
        Tracking { final_after_ms: s.duration_ms("final_after", 100).unwrap_or(15 * 60_000) }
    }
}

/// `[consent]`: what consent is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Who gave no sign of life for so long gets no marketing mail; `None`: silence does not count.
    pub sunset_after_ms: Option<i64>,
}

impl Consent {
    pub(super) fn read(s: &mut Section<'_>) -> Consent {
        Consent { sunset_after_ms: s.duration_ms("sunset_after", 1) }
    }
}

/// `[alert]`: whom to tell when something is stopped by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Addresses that get a mail.
    pub mail: Vec<String>,
    /// The `[[sender]]` of these mails; `None`: the first.
    pub sender: Option<String>,
    /// Where a `POST` goes: https, or http to this machine. May hold a secret: never log it.
    pub webhook_url: Option<String>,
    /// The file whose first line signs it.
    pub webhook_secret_file: Option<PathBuf>,
    /// How long a route is down or some work fails before a person is told.
    pub after_ms: i64,
}

impl Alert {
    pub(super) fn read(s: &mut Section<'_>) -> Alert {
        let mail = s.texts("mail").unwrap_or_default();
        for address in &mail {
            if let Err(error) = Email::parse(address) {
                s.fault(
                    "mail",
                    &format!("holds {address:?}, which {error}"),
                    "write addresses like \"ops@example.com\"",
                );
            }
        }
        let webhook_url = s.text("webhook_url");
        if let Some(Err(error)) = webhook_url.as_deref().map(Address::parse) {
            s.fault("webhook_url", &error.to_string(), "write an https address, or http to this machine");
        }
        Alert {
            mail,
            sender: s.text("sender"),
            webhook_url,
            webhook_secret_file: s.path("webhook_secret_file"),
            after_ms: s.duration_ms("after", 1).unwrap_or(300_000),
        }
    }
}

/// `[signup]`: the form by which people ask to be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signup {
    /// What may be chosen; empty: there is no form.
    pub topics: Vec<SignupTopic>,
    /// The `[[sender]]` that asks back; `None`: the only one there is.
    pub sender: Option<String>,
    /// The transactional template it asks with.
    pub template: String,
    /// Where it is said what is done with what people tell us.
    pub privacy_url: Option<String>,
    /// How long the link of the mail is good.
    pub valid_ms: i64,
}

/// A topic of the form, as it is called in each language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignupTopic {
    pub name: String,
    pub en: String,
    pub zh: String,
    pub ru: String,
}

impl Signup {
    pub(super) fn read(s: &mut Section<'_>) -> Signup {
        let privacy_url = s.text("privacy_url");
        if privacy_url.as_ref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
            s.fault("privacy_url", "is no web address", "write it like \"https://shop.example.com/privacy\"");
        }
        let mut topics = Vec::new();
        for mut topic in s.sections("topic") {
            topics.push(SignupTopic::read(&mut topic));
            topic.finish();
        }
        Signup {
            topics,
            sender: s.text("sender"),
            template: s.text("template").unwrap_or_else(|| "confirm-signup".to_owned()),
            privacy_url,
            valid_ms: s.duration_ms("valid", 1).unwrap_or(3 * 86_400_000),
        }
    }
}

impl SignupTopic {
    fn read(s: &mut Section<'_>) -> SignupTopic {
        let name = s.need("name", "write the topic as campaigns name it");
        if !name.is_empty() && !is_topic(&name) {
            s.fault("name", &format!("= {name:?} is no topic"), "use lower-case letters, digits, - and _");
        }
        let mut called = |lang| s.text(lang).filter(|text| !text.trim().is_empty()).unwrap_or_else(|| name.clone());
        SignupTopic { en: called("en"), zh: called("zh"), ru: called("ru"), name }
    }
}

/// `[mailbox]`: the built-in one, which takes all mail while no route is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its SMTP listener; loopback only.
    pub listen: SocketAddr,
    pub folder: PathBuf,
    /// Mails kept; the oldest go first.
    pub mails_max: u32,
    /// Bytes kept in all.
    pub bytes_max: u64,
    /// Largest mail taken, bytes.
    pub mail_bytes_max: u64,
}

impl Mailbox {
    pub(super) fn read(s: &mut Section<'_>) -> Mailbox {
        let listen = listen(s, [127, 0, 0, 1], 0);
        if !listen.ip().is_loopback() {
            s.fault("listen", &format!("= {listen} would take mail from the network"), "write 127.0.0.1:0");
        }
        Mailbox {
            listen,
            folder: s.path("folder").unwrap_or_else(|| s.resolve("data/mailbox")),
            mails_max: s.number("mails_max", 1, 10_000_000).unwrap_or(20_000),
            bytes_max: s.number("bytes_max", 1 << 20, u64::MAX).unwrap_or(2 << 30),
            mail_bytes_max: s.number("mail_bytes_max", 1 << 10, 1 << 30).unwrap_or(10 << 20),
        }
    }
}

/// `[learn]` and `[shaping]`: files of rules beside the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How events become tags; `None`: the embedded `tags.toml`.
    pub tags: Option<PathBuf>,
    /// What mail servers' refusals mean; `None`: the embedded `replies.toml`.
    pub replies: Option<PathBuf>,
    /// How long the things of a category serve; `None`: the embedded `categories.toml`.
    pub categories: Option<PathBuf>,
    /// Which domains are whose, and how fast they take mail; `None`: the embedded `shaping.toml`.
    pub shaping: Option<PathBuf>,
}

impl Rules {
    pub(super) fn read(s: &mut Section<'_>) -> Rules {
        Rules {
            tags: s.path("tags"),
            replies: s.path("replies"),
            categories: s.path("categories"),
            shaping: s.path("shaping"),
        }
    }
}
