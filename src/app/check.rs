//! Looks at everything a daemon needs, and finds every fault, not the first.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::category_rules::{CategoryRulesError, category_rules};
use super::config::{Config, Faults, Route, Signer};
use super::reply_rules::{ReplyRules, ReplyRulesError};
use super::tag_rules::{TagRulesError, tag_rules};
use super::{alert, dkim, hooks, keys, mailboxes, routes};
use crate::base::World;
use crate::domain::campaign::MailClass;
use crate::domain::provider::ProviderTable;
use crate::render::{Signers, compile};
use crate::smtp::{Connection, Timeouts, TlsConfigs};
use crate::store::schema::{self, Standing};
use crate::store::{Db, OpenOptions, StoreError, template};

/// Longest wait for each step of a route's greeting.
const ROUTE_PATIENCE: Duration = Duration::from_secs(5);

crate::text_enum! {
    /// Whether a daemon would refuse or only suffer.
    pub enum Weight { Fault = "fault", Warning = "warning" }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    #[serde(skip)]
    pub weight: Weight,
    /// What was looked at: config, database, tokens, senders, dkim, routes, rules, templates, inbound, webhooks, alert,
    /// disk.
    pub part: &'static str,
    /// Where: a file with its line, or the name of a thing.
    pub place: String,
    pub what: String,
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}: {}\n  fix: {}", self.weight, self.part, self.place, self.what, self.fix)
    }
}

/// What is found in one part.
struct Part<'f> {
    name: &'static str,
    findings: &'f mut Vec<Finding>,
}

impl<'f> Part<'f> {
    fn of(name: &'static str, findings: &'f mut Vec<Finding>) -> Part<'f> {
        Part { name, findings }
    }

    fn fault(&mut self, place: &str, what: impl ToString, fix: &str) {
        self.push(Weight::Fault, place, what.to_string(), fix);
    }

    fn warn(&mut self, place: &str, what: impl ToString, fix: &str) {
        self.push(Weight::Warning, place, what.to_string(), fix);
    }

    fn push(&mut self, weight: Weight, place: &str, what: String, fix: &str) {
        let (place, fix) = (place.to_owned(), fix.to_owned());
        self.findings.push(Finding { weight, part: self.name, place, what, fix });
    }
}

/// The faults of a configuration that could not be read. The rest was not looked at: it depends on it.
pub fn of_config(faults: &Faults) -> Vec<Finding> {
    let findings = faults.list.iter().map(|fault| Finding {
        weight: Weight::Fault,
        part: "config",
        place: fault.at(&faults.file),
        what: format!("{} {}", fault.key, fault.what).trim_start().to_owned(),
        fix: fault.fix.clone(),
    });
    findings.collect()
}

/// Everything that is wrong around a configuration that could be read. `reach`: also greet every route.
pub async fn all(config: &Config, reach: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    look_at_database(config, Part::of("database", &mut findings)).await;
    look_at_tokens(config, Part::of("tokens", &mut findings));
    look_at_senders(config, Part::of("senders", &mut findings));
    look_at_dkim(config, World::system().now_ms(), Part::of("dkim", &mut findings));
    let table = look_at_rules(config, Part::of("rules", &mut findings));
    look_at_routes(config, table.as_ref(), reach, Part::of("routes", &mut findings)).await;
    look_at_inbound(config, Part::of("inbound", &mut findings));
    look_at_webhooks(config, Part::of("webhooks", &mut findings));
    look_at_alert(config, Part::of("alert", &mut findings));
    look_at_disk(config, Part::of("disk", &mut findings));
    findings
}

fn look_at_inbound(config: &Config, mut part: Part<'_>) {
    for mailbox in &config.inbound.mailboxes {
        if let Err(error) = mailboxes::account(config, mailbox) {
            part.fault(&mailbox.name(), error, "mend the file, or what the key names");
        } else if keys::is_exposed(&mailbox.password_file) {
            let what = format!("{} can be read by others on this machine", mailbox.password_file.display());
            part.warn(&mailbox.name(), what, "chmod 600 it");
        }
    }
    let Some(folder) = &config.inbound.maildir else { return };
    for name in ["new", "cur"].map(|name| folder.join(name)).iter().filter(|name| !name.is_dir()) {
        part.fault(
            "[inbound] maildir",
            format!("there is no folder {}", name.display()),
            "name a Maildir folder, or make it",
        );
    }
}

fn look_at_alert(config: &Config, mut part: Part<'_>) {
    if let Err(error) = alert::hook(config) {
        part.fault("[alert]", error, "mend the file, or what the key names");
    }
    if let Some(file) = config.alert.webhook_secret_file.as_deref().filter(|file| keys::is_exposed(file)) {
        part.warn("[alert]", format!("{} can be read by others on this machine", file.display()), "chmod 600 it");
    }
}

fn look_at_webhooks(config: &Config, mut part: Part<'_>) {
    for hook in &config.webhooks {
        let place = hook.path();
        if let Some(Err(error)) = hook.provider.map(|provider| hooks::one(hook, provider)) {
            part.fault(&place, error, "mend the file, or what the key names");
        }
        if hook.secret_file.as_deref().is_some_and(keys::is_exposed) {
            part.warn(&place, "its secret can be read by others on this machine", "chmod 600 it");
        }
        if config.http.public_url.as_ref().is_none_or(|url| !url.starts_with("https://")) {
            let fix = "set [http] public_url to an https address; a proxy before this daemon speaks TLS";
            part.warn(&place, "the provider could only be told an address without TLS", fix);
        }
    }
}

async fn look_at_database(config: &Config, mut part: Part<'_>) {
    let place = "[database] url";
    if let Some(path) = config.database.url.strip_prefix("sqlite://").filter(|path| !Path::new(path).exists()) {
        // Opening would make it, and a check changes nothing.
        part.warn(place, format!("there is no database at {path} yet"), "nothing: serve, demo or migrate will make it");
        return;
    }
    let options = OpenOptions { postgres_connections: 2, ..OpenOptions::default() };
    let db = match Db::open(&config.database.url, &options).await {
        Ok(db) => db,
        Err(error) => return part.fault(place, error, "check the URL, and that the server runs and lets this user in"),
    };
    match standing(&db).await {
        Ok(Standing::Current) => {
            if let Err(error) = look_at_templates(&db, &mut part).await {
                part.fault(place, error, "check that this user may read the database");
            }
        }
        Ok(Standing::Empty) => part.warn(place, "has no tables yet", "nothing: serve, demo or migrate will make them"),
        Ok(Standing::Behind(n)) => part.warn(place, format!("lacks {n} migrations"), "run `indicia migrate`, or serve"),
        Ok(Standing::Ahead) => part.fault(place, "was migrated by a newer version of indicia", "run that version"),
        Err(error) => part.fault(place, error, "check that this user may read the database"),
    }
    db.close().await;
}

async fn standing(db: &Db) -> Result<Standing, StoreError> {
    let mut reader = db.reader().await?;
    schema::standing(reader.conn()).await
}

/// Compiles the latest version of every template: one that was published by an older program may use what is gone.
async fn look_at_templates(db: &Db, part: &mut Part<'_>) -> Result<(), StoreError> {
    let mut part = Part::of("templates", part.findings);
    let mut reader = db.reader().await?;
    for version in template::list(reader.conn()).await? {
        let Some(source) = template::source(reader.conn(), version.id).await? else { continue };
        for fault in compile(&source).err().unwrap_or_default() {
            let place = format!("{} version {}: {}:{}", version.name, version.version, fault.file, fault.line);
            part.fault(&place, format!("{}: {}", fault.code, fault.what), &fault.fix);
        }
    }
    Ok(())
}

fn look_at_tokens(config: &Config, mut part: Part<'_>) {
    let own = keys::own_key_file(config);
    let files = config.tokens.keys.iter().map(|key| key.file.clone());
    let own = (config.tokens.keys.is_empty() && own.exists()).then_some(own);
    for file in files.chain(own) {
        let place = file.display().to_string();
        if let Err(error) = keys::read(&file) {
            part.fault(
                &place,
                error,
                "make it with `openssl rand -hex 32`, or restore the one that signed earlier mails",
            );
        } else if keys::is_exposed(&file) {
            part.warn(&place, "can be read by others on this machine", "chmod 600 it");
        }
    }
}

fn look_at_senders(config: &Config, mut part: Part<'_>) {
    if config.senders.is_empty() {
        part.warn("[[sender]]", "there is none, so no campaign can name one", "add a [[sender]]");
    }
    if config.http.public_url.is_none() && !config.routes.is_empty() {
        let fix = "set it to the address under which readers reach this daemon";
        part.warn("[http] public_url", "is missing: links in mails would lead to this machine's own address", fix);
    }
}

/// Whether every key can sign, for a sender that is there, and every sender's mail is signed where we are to sign it.
fn look_at_dkim(config: &Config, now_ms: i64, mut part: Part<'_>) {
    let mut keys = Vec::new();
    for entry in &config.dkim {
        let place = format!("{}._domainkey.{}", entry.selector, entry.domain);
        match dkim::key(entry) {
            Ok(key) => keys.push(key),
            Err(error) => {
                let fix = "make a key with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048` (or ED25519)";
                part.fault(&place, error, fix);
            }
        }
        if keys::is_exposed(&entry.key_file) {
            part.warn(
                &place,
                format!("{} can be read by others on this machine", entry.key_file.display()),
                "chmod 600 it",
            );
        }
        if !config.senders.iter().any(|sender| is_under(sender.domain(), &entry.domain)) {
            let fix = "write the domain of a sender's from, or one above it";
            part.warn(&place, format!("no [[sender]] sends from {} or below", entry.domain), fix);
        }
    }
    if config.dkim.is_empty() || config.routes.iter().all(|route| route.dkim == Signer::Smarthost) {
        return;
    }
    let signers = Signers::new(keys);
    for sender in &config.senders {
        if signers.of(sender.domain()).current(now_ms).next().is_none() {
            let what = format!("no key of [[dkim]] signs for {} now: its mail would go out unsigned", sender.domain());
            part.fault(&sender.name, what, "add a [[dkim]] for it, or look at not_before and retire");
        }
    }
}

fn is_under(domain: &str, above: &str) -> bool {
    domain.strip_suffix(above).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn look_at_rules(config: &Config, mut part: Part<'_>) -> Option<ProviderTable> {
    match tag_rules(config) {
        Err(TagRulesError::Faults(faults)) => {
            for fault in faults.faults {
                let place = format!("{}:{}", faults.file, fault.line);
                part.fault(&place, format!("{} {}", fault.field, fault.what), &fault.fix);
            }
        }
        Err(error) => part.fault("[rules] tags", error, "name a readable file, or leave the key out"),
        Ok(_) => {}
    }
    match ReplyRules::load(config) {
        Err(ReplyRulesError::Faults(faults)) => {
            for fault in faults.faults {
                part.fault(&format!("{}:{}", faults.file, fault.line), fault.what, &fault.fix);
            }
        }
        Err(error) => part.fault("[rules] replies", error, "name a readable file, or leave the key out"),
        Ok(_) => {}
    }
    match category_rules(config) {
        Err(CategoryRulesError::Fault(fault)) => {
            part.fault("[rules] categories", fault, "mend the file, or leave the key out");
        }
        Err(error) => part.fault("[rules] categories", error, "name a readable file, or leave the key out"),
        Ok(_) => {}
    }
    let table = routes::provider_table(config);
    table.inspect_err(|error| part.fault("[rules] shaping", error, "mend the file, or leave the key out")).ok()
}

async fn look_at_routes(config: &Config, table: Option<&ProviderTable>, reach: bool, mut part: Part<'_>) {
    if config.routes.is_empty() {
        part.warn(
            "[[route]]",
            "there is none: the built-in mailbox takes all mail, and none leaves this machine",
            "add a [[route]]",
        );
        return;
    }
    let (tls, troubles) = TlsConfigs::native();
    if config.routes.iter().any(|route| route.ca_file.is_none() && !super::config::is_loopback(&route.host)) {
        for trouble in troubles {
            part.warn("certificates", trouble, "install the package ca-certificates");
        }
    }
    for class in MailClass::ALL {
        if !config.routes.iter().any(|route| route.kept_for.is_open() || route.kept_for.names(*class, "", "")) {
            let what = format!("every route is kept for something else than {class} mail: it may wait for ever");
            part.warn("[[route]] for", what, "leave `for` out of one route, or name the class there");
        }
    }
    for route in &config.routes {
        for limit in &route.providers {
            if table.is_some_and(|table| !table.names().any(|name| name == limit.name)) {
                let what = format!("no provider is called {:?}", limit.name);
                part.warn(&route.name, what, "use a name of shaping.toml");
            }
        }
        greet(config, route, &tls, reach, &mut part).await;
    }
}

/// Connects to a route as a courier would, up to and including AUTH; what fails is added to `findings`.
pub async fn greet_route(config: &Config, route: &Route, tls: &TlsConfigs, findings: &mut Vec<Finding>) {
    greet(config, route, tls, true, &mut Part::of("routes", findings)).await;
}

async fn greet(config: &Config, route: &Route, tls: &TlsConfigs, reach: bool, part: &mut Part<'_>) {
    let mut wire = match routes::smtp_route(route, &config.smtp) {
        Ok(wire) => wire,
        Err(error) => return part.fault(&route.name, error, "mend the file, or what the key names"),
    };
    if let Some(file) = route.password_file.as_deref().filter(|file| keys::is_exposed(file)) {
        part.warn(&route.name, format!("{} can be read by others on this machine", file.display()), "chmod 600 it");
    }
    let is_local = super::config::is_loopback(&route.host);
    if !is_local && !wire.hello_name.contains('.') {
        let what = format!("EHLO would say {:?}, which many servers refuse", wire.hello_name);
        part.warn(&route.name, what, "set hello_name to a name in DNS that points back to this machine's address");
    }
    if !reach {
        return;
    }
    wire.timeouts = Timeouts::all(ROUTE_PATIENCE);
    match Connection::open(&wire, tls).await {
        Ok(connection) => drop(connection.quit().await),
        Err(failure) => {
            let place = format!("{} ({}:{})", route.name, route.host, route.port);
            part.warn(&place, failure, "check host, port, tls and password, and whether a firewall stands between");
        }
    }
}

fn look_at_disk(config: &Config, mut part: Part<'_>) {
    let folder = config.state_folder();
    let Some(folder) = folder.ancestors().find(|folder| folder.exists()) else { return };
    let Ok(found) = rustix::fs::statvfs(folder) else { return };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < config.disk.reserve_bytes {
        let what = format!("{free} bytes are free, less than [disk] reserve_bytes: nothing would be sent");
        part.warn(&folder.display().to_string(), what, "make room, or lower reserve_bytes");
    }
}
