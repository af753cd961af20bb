//! What comes back by mail, read: delivery reports, complaints, automatic answers, and the free words of mailers that
//! know no standard. Pure: bytes in, [`Returned`] out. What follows from it is decided in the flow.
//!
//! Nothing in here panics on any input, nothing is invented: an address is told only where the mail says that it
//! failed.

mod address;
mod arf;
mod auto_reply;
mod dsn;
mod free_text;
pub mod mailbox;
pub mod mbox;
mod mime;
mod notice;
mod split;
mod step;
pub mod tokens;
pub mod webhook;
mod words;

pub use mime::{DEPTH_MAX, Head, MAIL_BYTES_MAX, PARTS_MAX};

use crate::domain::bounce::{Enhanced, Judged, ReplyClass, Rules, Said, Step};
use crate::text_enum;
use mime::{Leaf, Mail};
use split::Split;
use words::{Words, any, folded};

/// Reports within reports that are opened.
const NESTED_MAX: usize = 2;
/// Recipients of one report that are read.
pub const RECIPIENTS_MAX: usize = 1_000;

text_enum! {
    /// What a mail was taken for.
    pub enum Kind {
        /// A delivery status notification (RFC 3464, 6533).
        Dsn = "dsn",
        /// A feedback report (RFC 5965): somebody complained.
        Arf = "arf",
        /// An automatic answer (RFC 3834), a receipt among them.
        AutoReply = "auto_reply",
        /// A bounce in somebody's own words.
        FreeText = "free_text",
        Unknown = "unknown",
    }
}

text_enum! {
    /// What a report says became of a mail (RFC 3464 §2.3.3).
    pub enum Action {
        Failed = "failed",
        /// Not yet; it is tried again.
        Delayed = "delayed",
        Delivered = "delivered",
    }
}

/// What a report says about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    pub address: String,
    pub action: Action,
    /// The basic code that was quoted.
    pub code: Option<u16>,
    pub enhanced: Option<Enhanced>,
    /// What the refusing server said, as far as the report quotes it.
    pub words: String,
    /// What the report says around it.
    pub context: String,
    /// When in the conversation it was refused, where the report tells.
    pub step: Option<Step>,
}

impl Recipient {
    /// Somebody whose mail arrived.
    fn unharmed(address: String) -> Recipient {
        let (words, context) = Default::default();
        Recipient { address, action: Action::Delivered, code: None, enhanced: None, words, context, step: None }
    }

    /// What it means by the rules. Only what failed can be dead.
    pub fn judge(&self, rules: &Rules) -> Judged {
        let domain = self.address.rsplit_once('@').map_or(String::new(), |(_, domain)| domain.to_lowercase());
        let said = Said {
            domain: &domain,
            code: self.code,
            enhanced: self.enhanced,
            text: &self.words,
            context: &self.context,
            step: self.step,
        };
        let judged = rules.judge(&said);
        if self.action == Action::Failed {
            let is_temporary = self.enhanced.map_or(self.code.is_some_and(|code| code < 500), |(class, ..)| class == 4);
            // A domain that could not be looked up for a while is no dead domain.
            let dead = judged.dead && !(is_temporary && judged.class == ReplyClass::InvalidDomain);
            return Judged { dead, ..judged };
        }
        let is_vague = judged.class == ReplyClass::Other && self.action == Action::Delayed;
        let class = if is_vague { ReplyClass::Expired } else { judged.class };
        Judged { class, dead: false, remove: false, threshold: None }
    }
}

/// A mail that came back, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    pub kind: Kind,
    pub recipients: Vec<Recipient>,
    /// Of a complaint: `abuse`, `opt-out`, …
    pub feedback: Option<String>,
    pub subject: String,
}

/// Reads mails; holds the words it knows them by.
#[derive(Debug)]
pub struct Reader {
    words: Words,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader { words: Words::built_in() }
    }
}

impl Reader {
    /// Reads a mail: a complaint, else a delivery report, else an automatic answer, else a bounce in free words.
    /// Reports come first because many of them say that they are automatic answers too.
    pub fn read(&self, raw: &[u8]) -> Returned {
        let mail = Mail::read(raw);
        let subject = crate::base::text::clean(mail.head.get("subject"), 200);
        let (kind, feedback, mut recipients) = self.kind_of(&mail, NESTED_MAX);
        recipients.truncate(RECIPIENTS_MAX);
        Returned { kind, recipients, feedback, subject }
    }

    fn kind_of(&self, mail: &Mail, nested: usize) -> (Kind, Option<String>, Vec<Recipient>) {
        if let Some((feedback, recipients)) = arf::read(mail) {
            return (Kind::Arf, Some(feedback), recipients);
        }
        if let Some(notice) = notice::read(mail) {
            return notice;
        }
        let split = Split::of(mail, &self.words);
        let recipients = dsn::read(mail, &split, &self.words);
        if !recipients.is_empty() {
            return (Kind::Dsn, None, recipients);
        }
        if mail.has(Leaf::Receipt) || auto_reply::is_one(mail, &self.words) {
            return (Kind::AutoReply, None, auto_reply::who(mail));
        }
        // A report that was sent on within another.
        if nested > 0 && any(&self.words.daemons, &folded(split.original.get("from"))) {
            let inner = self.kind_of(&Mail::read(split.returned.as_bytes()), nested - 1);
            if matches!(inner.0, Kind::Dsn | Kind::FreeText) {
                return inner;
            }
        }
        let recipients = free_text::read(mail, &split, &self.words);
        if !recipients.is_empty() {
            return (Kind::FreeText, None, recipients);
        }
        (Kind::Unknown, None, Vec::new())
    }
}
