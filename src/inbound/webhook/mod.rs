//! What mail providers tell us by HTTP, read: signature or secret first, on the body as it came, then one kind of event
//! whoever says it. Pure: a body in, [`Event`]s out. What follows from them is decided in the flow.
//!
//! Every provider has a file, which says how its deliveries prove themselves and how its words are ours.

mod aliyun;
mod brevo;
mod fields;
mod key;
mod mailgun;
mod postmark;
mod sendgrid;
mod ses;
mod sparkpost;
mod unisender_go;

pub use key::{Key, KeyFault, certificate_key};
pub use ses::is_certificate_url;

use serde_json::Value;

use super::{Action, Recipient};
use crate::domain::bounce::{Judged, ReplyClass, Rules};
use crate::text_enum;
use fields::Fields;

/// Events of one delivery that are read; the body's bound keeps real ones far below.
pub const EVENTS_MAX: usize = 20_000;

text_enum! {
    /// Who tells.
    pub enum Provider {
        /// Amazon SES through SNS.
        Ses = "ses",
        SendGrid = "sendgrid",
        Mailgun = "mailgun",
        Postmark = "postmark",
        Brevo = "brevo",
        SparkPost = "sparkpost",
        /// Aliyun DirectMail through EventBridge.
        Aliyun = "aliyun",
        UnisenderGo = "unisender_go",
    }
}

impl Provider {
    /// Longest body that is read, bytes: what the provider sends at most, and some room.
    pub const fn body_bytes_max(self) -> usize {
        match self {
            Provider::SendGrid | Provider::SparkPost => 5 << 20,
            Provider::Mailgun | Provider::Postmark | Provider::UnisenderGo => 1 << 20,
            Provider::Ses | Provider::Brevo | Provider::Aliyun => 256 << 10,
        }
    }
}

text_enum! {
    /// What is said to have become of a mail.
    pub enum What {
        /// The provider has it.
        Accepted = "accepted",
        Delivered = "delivered",
        /// Not yet; it is tried again.
        Deferred = "deferred",
        Bounced = "bounced",
        /// The provider did not try: the address is on a list of its own, or it dislikes the mail.
        Rejected = "rejected",
        /// The provider could not make the mail.
        Failed = "failed",
        Complained = "complained",
        Unsubscribed = "unsubscribed",
        Subscribed = "subscribed",
        Opened = "opened",
        Clicked = "clicked",
        AutoReply = "auto_reply",
        /// Something that we know no use for.
        Other = "other",
    }
}

impl What {
    const fn action(self) -> Action {
        match self {
            What::Bounced | What::Rejected | What::Failed => Action::Failed,
            What::Deferred => Action::Delayed,
            _ => Action::Delivered,
        }
    }
}

/// One thing a provider says about one recipient of one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub what: What,
    /// The recipient, with the words of the refusing server. The address may be empty: some events name none.
    pub recipient: Recipient,
    /// The provider's own id of the event; where it has none, the event's whole text stands for it.
    pub id: Option<String>,
    /// When it happened, unix milliseconds.
    pub at_ms: Option<i64>,
    /// The provider's own id of the mail, which it may have told us when it took the mail.
    pub message: Option<String>,
    /// What the provider itself calls it; asked where the words say too little.
    pub class: Option<ReplyClass>,
    /// The provider says that the address is not dead.
    pub soft: bool,
    pub agent: Option<String>,
    pub url: Option<String>,
    /// The whole event, as JSON: our token stands wherever the provider kept it.
    pub raw: String,
}

impl Event {
    fn of(what: What, address: &str, raw: &Value) -> Event {
        let recipient = Recipient { action: what.action(), ..Recipient::unharmed(fields::address(address)) };
        let (id, at_ms, message, class, agent, url) = Default::default();
        let raw = raw.to_string();
        Event { what, recipient, id, at_ms, message, class, soft: false, agent, url, raw }
    }

    /// With the words of the refusing server and the codes in them.
    fn said(mut self, words: &str) -> Event {
        let (code, enhanced) = fields::codes(words);
        let recipient = &mut self.recipient;
        recipient.code = recipient.code.or(code);
        recipient.enhanced = recipient.enhanced.or(enhanced);
        recipient.words = words.to_owned();
        self
    }

    /// With the status code that the provider tells beside the words.
    fn coded(mut self, code: &str) -> Event {
        let (code, enhanced) = fields::codes(code);
        self.recipient.code = code.or(self.recipient.code);
        self.recipient.enhanced = enhanced.or(self.recipient.enhanced);
        self
    }

    /// What it means by the rules, then by the provider's own word. What the provider calls soft is never dead.
    pub fn judge(&self, rules: &Rules) -> Judged {
        let judged = self.recipient.judge(rules);
        let judged = match self.class {
            // No server was asked: the words are about a list of the provider's own.
            Some(class) if self.what == What::Rejected => rules.of_class(class),
            Some(class) if judged.class == ReplyClass::Other && self.recipient.action == Action::Failed => {
                rules.of_class(class)
            }
            _ => judged,
        };
        match self.soft && judged.dead {
            true => Judged { dead: false, remove: false, threshold: None, ..judged },
            false => judged,
        }
    }
}

/// What came by HTTP: the headers by their lower-case names, and the body as it came.
#[derive(Debug, Clone, Copy)]
pub struct Arrived<'a> {
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

impl Arrived<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn kind(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }
}

/// A delivery that proved itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proved {
    /// What the signature covers instead of the body: good for one delivery only.
    pub once: Option<String>,
    /// Somebody asks that deliveries may begin: the address that says yes.
    pub confirm_url: Option<String>,
}

/// Why a delivery is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// One answer for every cause: who forges learns nothing.
    #[error("the signature or secret is missing or wrong")]
    Forged,
    #[error("its time is too far from ours")]
    Stale,
    #[error("it comes from another topic than the configured one")]
    Topic,
    #[error("its body is not of the form that this provider writes")]
    Unreadable,
}

/// Checks that a delivery comes from the provider, at about this time. `certificate`: of SNS, the public key of the
/// certificate it names, where the hook has none of its own.
///
/// # Errors
/// Why it is refused.
pub fn prove(
    provider: Provider,
    key: &Key,
    arrived: &Arrived<'_>,
    certificate: Option<&[u8]>,
    now_ms: i64,
) -> Result<Proved, Refused> {
    match provider {
        Provider::Ses => ses::prove(key, arrived, certificate, now_ms),
        Provider::SendGrid => sendgrid::prove(key, arrived, now_ms),
        Provider::Mailgun => mailgun::prove(key, arrived, now_ms),
        Provider::UnisenderGo => unisender_go::prove(key, arrived),
        Provider::Postmark | Provider::Brevo | Provider::SparkPost | Provider::Aliyun => {
            key.is_presented(arrived).then(Proved::default).ok_or(Refused::Forged)
        }
    }
}

/// The address of the certificate that a delivery is to be checked with, where the hook's key has none; `None`: none is
/// wanted, or it would be somebody else's.
pub fn wanted_certificate(key: &Key, arrived: &Arrived<'_>) -> Option<String> {
    ses::wanted_certificate(key, arrived)
}

/// Reads the events of a delivery.
///
/// # Errors
/// [`Refused::Unreadable`]. Single events that are odd are [`What::Other`], not errors.
pub fn read(provider: Provider, arrived: &Arrived<'_>) -> Result<Vec<Event>, Refused> {
    let json = || serde_json::from_slice::<Value>(arrived.body).map_err(|_| Refused::Unreadable);
    let mut events = match provider {
        Provider::Ses => ses::read(&json()?)?,
        Provider::SendGrid => sendgrid::read(&json()?)?,
        Provider::Mailgun => mailgun::read(&mailgun::body(arrived)?)?,
        Provider::Postmark => vec![postmark::read(Fields(&json()?))],
        Provider::Brevo => vec![brevo::read(Fields(&json()?))],
        Provider::SparkPost => sparkpost::read(&json()?)?,
        Provider::Aliyun => vec![aliyun::read(Fields(&json()?))],
        Provider::UnisenderGo => unisender_go::read(&json()?),
    };
    events.truncate(EVENTS_MAX);
    Ok(events)
}

/// The meaning of a provider's word by its table.
fn meaning<T: Copy>(table: &[(&str, T)], word: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
}
