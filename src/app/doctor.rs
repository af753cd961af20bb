//! What receivers will ask before they believe our mail, asked first: SPF, DKIM, DMARC, the way back, names of
//! addresses, TLS, one-click unsubscribing; and one mail through the real route.

use std::fmt::Display;

use serde::Serialize;

use super::carry::carry;
use super::check::{self, Finding, Weight};
use super::config::{Config, Sender, Signer};
use super::dns::{Dns, DnsError};
use super::{dkim, keys, routes};
use crate::base::World;
use crate::domain::campaign::MailClass;
use crate::domain::catalog::Catalog;
use crate::domain::member::Member;
use crate::domain::published::{self, Flaw, SPF_LOOKUPS_MAX};
use crate::domain::recommend::History;
use crate::domain::template::{Part, Source};
use crate::render::{Mail, Recipient, Stationery, compile, render_mail};
use crate::smtp::TlsConfigs;

/// Most levels of a name that are asked for a DMARC record (RFC 9989 §4.10).
const DMARC_LEVELS_MAX: usize = 8;
/// Most records that an SPF record is followed into.
const SPF_RECORDS_MAX: usize = 20;

/// Something that is as it should be.
#[derive(Debug, Clone, Serialize)]
pub struct Sound {
    pub part: &'static str,
    pub place: String,
    pub what: String,
}

/// An examination under way, and what came out.
pub struct Doctor<'d> {
    config: &'d Config,
    dns: Dns,
    world: World,
    pub findings: Vec<Finding>,
    pub sound: Vec<Sound>,
}

impl<'d> Doctor<'d> {
    pub fn new(config: &'d Config, dns: Dns, world: World) -> Doctor<'d> {
        Doctor { config, dns, world, findings: Vec::new(), sound: Vec::new() }
    }

    /// Examines everything that is configured. Sends nothing.
    pub async fn examine(&mut self) {
        if self.config.senders.is_empty() {
            self.warn("senders", "[[sender]]", "there is none to examine", "add a [[sender]]");
        }
        for sender in &self.config.senders {
            self.spf(sender).await;
            self.dmarc(sender).await;
            self.way_back(sender).await;
        }
        self.dkim_keys().await;
        self.routes().await;
        self.unsubscribing();
    }

    fn push(&mut self, weight: Weight, part: &'static str, place: &str, what: impl Display, fix: &str) {
        let (place, what, fix) = (place.to_owned(), what.to_string(), fix.to_owned());
        self.findings.push(Finding { weight, part, place, what, fix });
    }

    fn fault(&mut self, part: &'static str, place: &str, what: impl Display, fix: &str) {
        self.push(Weight::Fault, part, place, what, fix);
    }

    fn warn(&mut self, part: &'static str, place: &str, what: impl Display, fix: &str) {
        self.push(Weight::Warning, part, place, what, fix);
    }

    /// Tells the flaws, or that there is none.
    fn tell(&mut self, part: &'static str, place: &str, flaws: Vec<Flaw>, sound: &str) {
        if flaws.is_empty() {
            self.sound.push(Sound { part, place: place.to_owned(), what: sound.to_owned() });
        }
        for flaw in flaws {
            let weight = if flaw.is_grave { Weight::Fault } else { Weight::Warning };
            self.push(weight, part, place, flaw.what, &flaw.fix);
        }
    }

    /// The answer; without one, the fault is told.
    fn answer<T>(&mut self, part: &'static str, place: &str, asked: Result<T, DnsError>) -> Option<T> {
        let fix = "ask again later, or name other servers in [dns] servers";
        asked.map_err(|error| self.fault(part, place, error, fix)).ok()
    }

    async fn spf(&mut self, sender: &Sender) {
        let domain = &sender.bounce_domain;
        let asked = self.dns.texts(domain).await;
        let Some(texts) = self.answer("spf", domain, asked) else { return };
        let mut flaws = match published::spf(&texts, domain) {
            Ok(record) => published::spf_flaws(record),
            Err(flaw) => vec![flaw],
        };
        if let Ok(record) = published::spf(&texts, domain) {
            let cost = self.spf_cost(record).await;
            if cost > SPF_LOOKUPS_MAX {
                let what = format!("its SPF record costs {cost} lookups; more than {SPF_LOOKUPS_MAX} and it fails");
                let fix = "replace includes by the networks behind them, or leave out who sends no more".to_owned();
                flaws.push(Flaw { is_grave: true, what, fix });
            }
        }
        self.tell("spf", domain, flaws, "one SPF record that ends and is not too long");
    }

    /// Lookups of a record and of all it includes.
    async fn spf_cost(&self, record: &str) -> usize {
        let (mut waiting, mut total) = published::spf_lookups(record);
        let mut followed = 0;
        while let Some(domain) = waiting.pop().filter(|_| followed < SPF_RECORDS_MAX) {
            followed += 1;
            let texts = self.dns.texts(&domain).await.unwrap_or_default();
            if let Ok(record) = published::spf(&texts, &domain) {
                let (more, cost) = published::spf_lookups(record);
                total += cost;
                waiting.extend(more);
            }
        }
        total
    }

    /// The policy of the sender's domain, else of the domains above it.
    async fn dmarc(&mut self, sender: &Sender) {
        let domain = sender.domain().to_owned();
        let mut above = Some(domain.as_str());
        for _ in 0..DMARC_LEVELS_MAX {
            let Some(level) = above.filter(|level| level.contains('.')) else { break };
            let asked = self.dns.texts(&format!("_dmarc.{level}")).await;
            let Some(texts) = self.answer("dmarc", &domain, asked) else { return };
            if let Some(record) = published::dmarc(&texts) {
                let signed: Vec<&str> = self.config.dkim.iter().map(|key| key.domain.as_str()).collect();
                let flaws = published::dmarc_flaws(record, &domain, &signed, &sender.bounce_domain);
                return self.tell("dmarc", &domain, flaws, "a policy, and mail that is aligned with it");
            }
            above = level.split_once('.').map(|(_, above)| above);
        }
        let fix = format!("publish a TXT record at _dmarc.{domain}: \"v=DMARC1; p=none; rua=mailto:dmarc@{domain}\"");
        self.fault("dmarc", &domain, "there is no DMARC record, or several", &fix);
    }

    /// Whether bounces, and answers, find a server.
    async fn way_back(&mut self, sender: &Sender) {
        let mut domains = vec![sender.bounce_domain.clone(), sender.domain().to_owned()];
        domains.dedup();
        for domain in domains {
            let asked = self.dns.mail_servers(&domain).await;
            let Some(servers) = self.answer("mx", &domain, asked) else { continue };
            if servers.iter().any(|server| server == ".") {
                self.fault("mx", &domain, "says that it takes no mail (a null MX)", "publish a real MX record");
            } else if servers.is_empty() {
                let fix = "publish an MX record that leads to where [inbound] or your mail system takes mail";
                self.fault("mx", &domain, "has no MX record: what comes back is lost", fix);
            } else {
                self.tell("mx", &domain, Vec::new(), &format!("mail comes back by {}", servers.join(", ")));
            }
        }
    }

    async fn dkim_keys(&mut self) {
        if self.config.dkim.is_empty() {
            let fix = "add a [[dkim]], or write dkim = \"smarthost\" for each [[route]] whose server signs";
            if self.config.routes.iter().any(|route| route.dkim == Signer::Indicia) {
                self.fault("dkim", "[[dkim]]", "there is no key, and a route that we are to sign for", fix);
            }
        }
        for entry in &self.config.dkim {
            let name = format!("{}._domainkey.{}", entry.selector, entry.domain);
            let key = match dkim::key(entry) {
                Ok(key) => key,
                Err(error) => {
                    self.fault("dkim", &name, error, "`indicia check` says how to make one");
                    continue;
                }
            };
            let asked = self.dns.texts(&name).await;
            let Some(texts) = self.answer("dkim", &name, asked) else { continue };
            let flaws = published::dkim_flaws(&texts, &key.secret.record(), &name);
            self.tell("dkim", &name, flaws, &format!("the {} key that signs is published", key.secret.algorithm()));
        }
    }

    async fn routes(&mut self) {
        let (tls, _) = TlsConfigs::native();
        for route in &self.config.routes {
            let before = self.findings.len();
            check::greet_route(self.config, route, &tls, &mut self.findings).await;
            if self.findings.len() == before {
                self.tell("routes", &route.name, Vec::new(), &format!("{} greets us, tls = {}", route.host, route.tls));
            }
            if route.dkim == Signer::Smarthost {
                let fix = "`indicia doctor --send-to YOU`, then look for dkim=pass, and for list-unsubscribe and \
                           list-unsubscribe-post in the h= of its signature";
                self.warn("dkim", &route.name, "its server is to sign: only a mail can show that it does", fix);
            }
            if let Some(name) = route.hello_name.as_deref().filter(|name| name.contains('.')) {
                self.points_back("ptr", name).await;
            }
        }
    }

    /// Whether a host's addresses point back to its name.
    async fn points_back(&mut self, part: &'static str, host: &str) {
        let asked = self.dns.addresses(host).await;
        let Some(addresses) = self.answer(part, host, asked) else { return };
        if addresses.is_empty() {
            let fix = "publish an address record, or set hello_name to a name that has one";
            return self.fault(part, host, "has no address", fix);
        }
        for ip in addresses {
            let asked = self.dns.names(ip).await;
            let Some(names) = self.answer(part, host, asked) else { continue };
            if names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
                self.tell(part, host, Vec::new(), &format!("{ip} points back to it"));
            } else {
                let fix = format!("have whoever gave you {ip} publish the PTR record {host}");
                self.fault(part, host, format!("{ip} does not point back to it"), &fix);
            }
        }
    }

    /// RFC 8058 §3.1: an HTTPS address in `List-Unsubscribe`, covered by a signature.
    fn unsubscribing(&mut self) {
        let place = "[http] public_url";
        match self.config.http.public_url.as_deref() {
            Some(url) if url.starts_with("https://") => {
                let what = "List-Unsubscribe leads to HTTPS; our signatures cover it and List-Unsubscribe-Post";
                self.tell("unsubscribe", place, Vec::new(), what);
            }
            _ => {
                let fix = "put a TLS proxy before [http] listen and write its https address here";
                self.fault("unsubscribe", place, "is no HTTPS address: one-click unsubscribing will not count", fix);
            }
        }
    }

    /// Sends one mail of every sender to `to` over every route, as a courier would.
    pub async fn send(&mut self, to: &str) {
        for sender in &self.config.senders {
            match self.letter(sender, to) {
                Ok((signed, unsigned)) => {
                    for route in &self.config.routes {
                        let mail = if route.dkim == Signer::Indicia { &signed } else { &unsigned };
                        match self.carry(route, mail).await {
                            Ok(reply) => self.tell("send", &route.name, Vec::new(), &format!("took the mail: {reply}")),
                            Err(why) => self.fault("send", &route.name, why, "mend what the reply names"),
                        }
                    }
                }
                Err(why) => self.fault("send", &sender.name, why, "mend the sender and its keys"),
            }
        }
        if self.config.routes.is_empty() {
            self.fault("send", "[[route]]", "there is none to send over", "add a [[route]]");
        }
    }

    fn letter(&self, sender: &Sender, to: &str) -> Result<(Mail, Mail), String> {
        let url = self.config.http.public_url.as_deref().unwrap_or("https://localhost");
        let on_paper = sender.on_paper();
        let stationery = Stationery::new(0, "doctor", "doctor", MailClass::Marketing, on_paper, url);
        let compiled =
            compile(&source()).map_err(|faults| faults.iter().map(ToString::to_string).collect::<String>())?;
        let member = Member { email: to.to_owned(), locale: "en".to_owned(), ..Member::default() };
        let now_ms = self.world.now_ms();
        // A mail of its own every time: a server may drop what it has seen.
        let recipient = Recipient { message_id: now_ms, member: &member, history: &History::default() };
        let keyring = keys::keyring(self.config, &self.world).map_err(|error| error.to_string())?;
        let catalog = Catalog::new(Vec::new(), &[]);
        let mail = render_mail(&compiled, &stationery, &recipient, &catalog, &keyring, now_ms, now_ms);
        let unsigned = mail.map_err(|error| error.to_string())?;
        let mut signed = unsigned.clone();
        let signers = dkim::signers(self.config).map_err(|error| error.to_string())?;
        signers.of(sender.domain()).sign(&mut signed.bytes, now_ms).map_err(|error| error.to_string())?;
        Ok((signed, unsigned))
    }

    async fn carry(&self, route: &super::config::Route, mail: &Mail) -> Result<String, String> {
        let wire = routes::smtp_route(route, &self.config.smtp).map_err(|error| error.to_string())?;
        let (tls, _) = TlsConfigs::native();
        carry(&wire, &tls, mail).await
    }
}

/// The mail that a doctor sends.
fn source() -> Source {
    let html = "<html><body><p>This mail went the way your campaigns go. Its headers say whether SPF, DKIM and DMARC \
                pass where it arrived: look for Authentication-Results.</p>\
                <p>{{ sender.postal_address }}</p><p><a href=\"{{ unsubscribe_url() }}\">Unsubscribe</a></p></body></html>";
    let part = Part {
        locale: "en".into(),
        subject: "A mail from indicia doctor".into(),
        preheader: "It arrived".into(),
        html: html.into(),
        ..Part::default()
    };
    Source {
        name: "doctor".into(),
        class: MailClass::Marketing,
        topic: "doctor".into(),
        default_locale: "en".into(),
        link_hosts: Vec::new(),
        parts: vec![part],
    }
}
