//! The sections about the keys that sign mail, and about who is asked whether they are published.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;

use super::section::Section;
use crate::domain::address::Email;
use crate::text_enum;

/// `[[dkim]]`: a private key that signs the mail of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dkim {
    /// The `d=` of its signatures: the domain of a `[[sender]]`'s `from`, or one above it.
    pub domain: String,
    pub selector: String,
    pub key_file: PathBuf,
    /// It signs from here on, milliseconds.
    pub not_before_ms: i64,
    /// And no longer from here on.
    pub retire_ms: i64,
}

text_enum! {
    /// Who signs what goes over a route.
    pub enum Signer { Indicia = "indicia", Smarthost = "smarthost" }
}

impl Dkim {
    pub(super) fn read(s: &mut Section<'_>) -> Dkim {
        let domain =
            s.need("domain", "write the domain of the senders it signs for, as in \"example.com\"").to_lowercase();
        if !domain.is_empty() && Email::parse(&format!("d@{domain}")).is_err() {
            s.fault("domain", "is no domain", "write it like \"example.com\"");
        }
        let selector = s.need("selector", "name the key: its record stands at SELECTOR._domainkey.DOMAIN");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if !selector.chars().all(plain) || selector.len() > 63 {
            s.fault("selector", "is no DNS label", "write letters, digits and hyphens, as in \"s2026a\"");
        }
        let key_file = s.need("key_file", "name the file of the private key, in PEM");
        let mut time = |key| s.parsed::<Timestamp>(key, "a time such as \"2026-12-01T00:00:00Z\"");
        let (not_before, retire) = (time("not_before"), time("retire"));
        if not_before.zip(retire).is_some_and(|(from, to)| from >= to) {
            s.fault("retire", "is not after not_before", "give the key some time to sign in");
        }
        Dkim {
            domain,
            selector,
            key_file: s.resolve(&key_file),
            not_before_ms: not_before.map_or(i64::MIN, Timestamp::as_millisecond),
            retire_ms: retire.map_or(i64::MAX, Timestamp::as_millisecond),
        }
    }
}

/// `[dns]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsServers {
    /// Empty: this machine's.
    pub servers: Vec<SocketAddr>,
    /// Whether the mail servers of members' domains are looked up.
    pub providers: bool,
    /// From so many members on a mail server that `shaping.toml` does not list is a provider of its own.
    pub own_from: i64,
}

impl DnsServers {
    pub(super) fn read(s: &mut Section<'_>) -> DnsServers {
        let mut servers = Vec::new();
        for text in s.texts("servers").unwrap_or_default() {
            match text.parse() {
                Ok(server) => servers.push(server),
                Err(_) => {
                    s.fault("servers", &format!("holds {text:?}"), "write addresses with ports, as in \"127.0.0.1:53\"")
                }
            }
        }
        let own_from = s.number("own_from", 2, i64::MAX).unwrap_or(1_000);
        DnsServers { servers, providers: s.flag("providers").unwrap_or(true), own_from }
    }
}
