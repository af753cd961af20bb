//! `config/indicia.toml` is true: it explains every key that is read, no other, and its defaults are the program's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use indicia::app::config::Config;
use proptest::prelude::*;

const FILE: &str = include_str!("../config/indicia.toml");
/// Keys without a default of the program: the file shows an example.
const EXAMPLES: [&str; 17] = [
    "sqlite_bytes_max",
    "public_url",
    "trusted_proxies",
    "tags",
    "replies",
    "categories",
    "shaping",
    "maildir",
    "sunset_after",
    "servers",
    "sender",
    "privacy_url",
    "mail",
    "webhook_url",
    "webhook_secret_file",
    INBOUND_LISTEN,
    ENGINE_URL,
];

/// Keys whose names have a default elsewhere.
const INBOUND_LISTEN: &str = "listen = \"127.0.0.1:2525\"";
const ENGINE_URL: &str = "url = \"https://engine.example.com/suggest\"";

/// The file with its keys switched on: all of them, or those that have a default.
fn switched_on(all: bool) -> String {
    let mut out = String::new();
    let mut in_example = false;
    for line in FILE.lines() {
        let key = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.is_empty());
        in_example = (in_example || key.is_some_and(|key| key.starts_with("[["))) && !line.starts_with('[');
        let name = key.and_then(|key| key.split(" =").next()).unwrap_or_default();
        let takes = all || !(in_example || EXAMPLES.iter().any(|example| *example == name || key == Some(example)));
        out.push_str(if takes { key.unwrap_or(line) } else { "" });
        out.push('\n');
    }
    out
}

fn parse(text: &str) -> (Config, Vec<String>) {
    Config::parse(text, Some(PathBuf::from("config/indicia.toml")), PathBuf::from("/etc/indicia"), &[])
        .unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn it_parses_as_it_is_and_with_every_key_switched_on() {
    parse(FILE);
    let (config, _) = parse(&switched_on(true));
    assert_eq!((config.routes.len(), config.senders.len(), config.tokens.keys.len()), (1, 1, 1));
    assert_eq!(config.routes[0].providers.len(), 1);
}

#[test]
fn its_defaults_are_the_programs() {
    let (written, _) = parse(&switched_on(false));
    let (own, _) = parse("");
    assert_eq!(written, own);
    assert_eq!(own.folder, Path::new("/etc/indicia"));
}

#[test]
fn it_names_every_key_and_no_other() {
    let (_, known) = parse(&switched_on(true));
    let mut written = BTreeSet::new();
    let mut table = String::new();
    for line in switched_on(true).lines().filter(|line| !line.starts_with("# ") && !line.is_empty() && *line != "#") {
        match line.strip_prefix('[') {
            Some(header) => table = header.trim_matches(['[', ']']).to_owned(),
            None => drop(written.insert(format!("{table}.{}", line.split(" =").next().unwrap()))),
        }
    }
    let tables = [
        "recommend.engine",
        "sender",
        "route",
        "route.provider",
        "inbound.mailbox",
        "signup.topic",
        "tokens.key",
        "webhook",
    ];
    let asked: BTreeSet<String> =
        known.into_iter().filter(|key| key.contains('.') && !tables.contains(&key.as_str())).collect();
    assert_eq!(written, asked);
}

proptest! {
    /// Whatever is written is answered with faults, never with a panic, and never without a fix.
    #[test]
    fn whatever_is_written_is_answered(line in 0usize..200, text in "[\\PC\n\"'\\[\\]={}#]{0,40}", value in "\\PC{0,12}") {
        let mut lines: Vec<String> = switched_on(true).lines().map(str::to_owned).collect();
        let at = line % lines.len();
        lines[at] = text;
        let env = [("INDICIA__ROUTE__0__CONNECTIONS".to_owned(), value.clone()), ("INDICIA__QUEUE__BEAT".to_owned(), value)];
        if let Err(faults) = Config::parse(&lines.join("\n"), None, PathBuf::from("/"), &env) {
            prop_assert!(!faults.list.is_empty());
            prop_assert!(faults.list.iter().all(|fault| !fault.what.is_empty() && !fault.fix.is_empty()));
        }
    }
}
