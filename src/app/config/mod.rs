//! The configuration: read once at start, every fault reported, never changed afterwards.
//!
//! A key is added in three places: its field and its `read` in `parts`, `inbound` or `mail`, and its explanation with
//! the default in `config/indicia.toml` (a test compares them).

mod dkim;
mod duration;
mod fault;
mod inbound;
mod mail;
mod parts;
mod section;
mod tree;

use std::path::{Path, PathBuf};

pub use dkim::{Dkim, DnsServers, Signer};
pub use duration::{parse_ms, show_ms};
pub use fault::{Fault, Faults};
pub use inbound::{Inbound, InboundMailbox, Webhook};
pub use mail::{Limit, Retry, Route, Sender, Smtp, is_loopback};
pub use parts::{
    Admin, Alert, Breaker, Consent, Database, Disk, Engine, Http, KeyFile, Log, LogFormat, Mailbox, Queue, Recommend,
    Rules, Shutdown, Signup, SignupTopic, Tokens, Tracking,
};
pub use tree::Place;

use section::{Book, Section};

/// The file that is read when nothing else is said.
const DEFAULT_FILE: &str = "indicia.toml";
/// Largest configuration file, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything that was configured, with defaults filled in and paths made absolute.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it came from; `None`: embedded defaults.
    pub file: Option<PathBuf>,
    /// Where relative paths begin.
    pub folder: PathBuf,
    pub database: Database,
    pub http: Http,
    pub admin: Admin,
    pub log: Log,
    pub senders: Vec<Sender>,
    /// Empty: the built-in mailbox takes all mail.
    pub routes: Vec<Route>,
    /// Empty: nothing of ours is signed.
    pub dkim: Vec<Dkim>,
    pub tokens: Tokens,
    pub retry: Retry,
    pub smtp: Smtp,
    pub shutdown: Shutdown,
    pub queue: Queue,
    pub breaker: Breaker,
    pub disk: Disk,
    pub mailbox: Mailbox,
    pub inbound: Inbound,
    pub webhooks: Vec<Webhook>,
    pub rules: Rules,
    pub recommend: Recommend,
    pub tracking: Tracking,
    pub consent: Consent,
    pub signup: Signup,
    pub alert: Alert,
    pub dns: DnsServers,
}

impl Config {
    /// Finds and reads the configuration: `given`, else `INDICIA_CONFIG`, else `./indicia.toml` if it exists, else the
    /// defaults; overlaid by the environment's `INDICIA__…`.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn load(given: Option<&Path>, env: &[(String, String)]) -> Result<Config, Faults> {
        let from_env = env.iter().find(|(name, _)| name == "INDICIA_CONFIG").map(|(_, value)| PathBuf::from(value));
        let named = given.map(Path::to_path_buf).or(from_env.filter(|path| !path.as_os_str().is_empty()));
        let file = named.or_else(|| Path::new(DEFAULT_FILE).exists().then(|| PathBuf::from(DEFAULT_FILE)));
        let text = match &file {
            Some(file) => read_file(file)?,
            None => String::new(),
        };
        let here = std::env::current_dir().unwrap_or_default();
        let folder = file.as_deref().and_then(Path::parent).map_or(here.clone(), |parent| here.join(parent));
        Config::parse(&text, file, folder, env).map(|(config, _)| config)
    }

    /// The defaults, as if the file were empty, for a database under `folder`.
    pub fn defaults(folder: &Path) -> Config {
        let (config, _) = Config::parse("", None, folder.to_owned(), &[]).expect("an empty configuration has no fault");
        config
    }

    /// Reads a configuration's text; also says which keys there are.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn parse(
        text: &str,
        file: Option<PathBuf>,
        folder: PathBuf,
        env: &[(String, String)],
    ) -> Result<(Config, Vec<String>), Faults> {
        let mut faults = Vec::new();
        let mut table = tree::parse(text, &mut faults);
        tree::overlay(&mut table, env.iter().cloned(), &mut faults);
        let book = Book { folder, faults: faults.into(), known: Vec::new().into() };
        let config = Config::read(file.clone(), &book, Section::root(&book, table));
        let mut list = book.faults.into_inner();
        if list.is_empty() {
            return Ok((config, book.known.into_inner()));
        }
        list.sort_by_key(|fault| match &fault.place {
            Place::Line(line) => *line,
            Place::Env(_) => usize::MAX - 1,
            Place::Default => usize::MAX,
        });
        let file = file.map_or_else(|| "the configuration".to_owned(), |file| file.display().to_string());
        Err(Faults { file, list })
    }

    fn read(file: Option<PathBuf>, book: &Book, mut root: Section<'_>) -> Config {
        let database = part(&mut root, "database", Database::read);
        let config = Config {
            file,
            folder: book.folder.clone(),
            http: part(&mut root, "http", Http::read),
            admin: part(&mut root, "admin", Admin::read),
            log: part(&mut root, "log", Log::read),
            senders: parts(&mut root, "sender", Sender::read),
            routes: parts(&mut root, "route", Route::read),
            dkim: parts(&mut root, "dkim", Dkim::read),
            tokens: part(&mut root, "tokens", |s| Tokens::read(s, &database)),
            retry: part(&mut root, "retry", Retry::read),
            smtp: part(&mut root, "smtp", Smtp::read),
            shutdown: part(&mut root, "shutdown", Shutdown::read),
            queue: part(&mut root, "queue", Queue::read),
            breaker: part(&mut root, "breaker", Breaker::read),
            disk: part(&mut root, "disk", Disk::read),
            mailbox: part(&mut root, "mailbox", Mailbox::read),
            inbound: part(&mut root, "inbound", Inbound::read),
            webhooks: parts(&mut root, "webhook", Webhook::read),
            rules: part(&mut root, "rules", Rules::read),
            recommend: part(&mut root, "recommend", Recommend::read),
            tracking: part(&mut root, "tracking", Tracking::read),
            consent: part(&mut root, "consent", Consent::read),
            signup: part(&mut root, "signup", Signup::read),
            alert: part(&mut root, "alert", Alert::read),
            dns: part(&mut root, "dns", DnsServers::read),
            database,
        };
        distinct(&root, "sender", config.senders.iter().map(|sender| sender.name.as_str()));
        distinct(&root, "route", config.routes.iter().map(|route| route.name.as_str()));
        config.look_at_signup(&root);
        config.look_at_alert(&root);
        let hooks: Vec<String> = config.webhooks.iter().map(Webhook::path).collect();
        distinct(&root, "webhook", hooks.iter().map(String::as_str));
        root.finish();
        config
    }

    fn look_at_signup(&self, root: &Section<'_>) {
        distinct(root, "signup", self.signup.topics.iter().map(|topic| topic.name.as_str()));
        if !self.signup.topics.is_empty() && self.signup_sender().is_none() {
            let fix = "write under [signup] sender = the name of a [[sender]]";
            root.fault("signup", "has no sender to ask back with", fix);
        }
    }

    fn look_at_alert(&self, root: &Section<'_>) {
        if !self.alert.mail.is_empty() && self.alert_sender().is_none() {
            root.fault("alert", "has no sender to write as", "write under [alert] sender = the name of a [[sender]]");
        }
    }

    /// As whom alerts are written.
    pub fn alert_sender(&self) -> Option<&Sender> {
        match &self.alert.sender {
            Some(name) => self.sender(name),
            None => self.senders.first(),
        }
    }

    /// Who asks back whether a sign-up was meant: the one that is named, or the only one.
    pub fn signup_sender(&self) -> Option<&Sender> {
        match &self.signup.sender {
            Some(name) => self.sender(name),
            None => self.senders.first().filter(|_| self.senders.len() == 1),
        }
    }

    /// The folder of the daemon's own small files (lock, keys): the database's on SQLite, else `data`.
    pub fn state_folder(&self) -> PathBuf {
        match self.database.url.strip_prefix("sqlite://").and_then(|path| Path::new(path).parent()) {
            Some(folder) => folder.to_owned(),
            None => self.folder.join("data"),
        }
    }

    /// The sender of that name.
    pub fn sender(&self, name: &str) -> Option<&Sender> {
        self.senders.iter().find(|sender| sender.name == name)
    }
}

fn part<'b, T>(root: &mut Section<'b>, key: &'static str, read: impl FnOnce(&mut Section<'b>) -> T) -> T {
    let mut section = root.section(key);
    let part = read(&mut section);
    section.finish();
    part
}

fn parts<'b, T>(root: &mut Section<'b>, key: &'static str, read: impl Fn(&mut Section<'b>) -> T) -> Vec<T> {
    let sections = root.sections(key).into_iter().map(|mut section| {
        let part = read(&mut section);
        section.finish();
        part
    });
    sections.collect()
}

fn distinct<'n>(root: &Section<'_>, key: &'static str, names: impl Iterator<Item = &'n str>) {
    let mut seen: Vec<&str> = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        if seen.contains(&name) {
            root.fault(key, &format!("{name:?} is there twice"), "give each a name of its own");
        }
        seen.push(name);
    }
}

fn read_file(file: &Path) -> Result<String, Faults> {
    let fault = |what: String, fix: &str| Faults {
        file: file.display().to_string(),
        list: vec![Fault::new(Place::Default, "", what, fix)],
    };
    let fix = "name a readable file with --config or INDICIA_CONFIG";
    let length = std::fs::metadata(file).map_err(|error| fault(format!("cannot be read: {error}"), fix))?.len();
    if length > FILE_BYTES_MAX {
        return Err(fault(format!("is {length} bytes long, more than {FILE_BYTES_MAX}"), "is it the right file?"));
    }
    std::fs::read_to_string(file).map_err(|error| fault(format!("cannot be read: {error}"), fix))
}
