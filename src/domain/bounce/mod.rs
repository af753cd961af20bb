//! What a refusal means: the class of a mail server's words, and what follows from it for the address.
//!
//! The words come while we talk to a server, or later in a report. The [`Rules`] are data, `config/replies.toml`, whose
//! comments explain the order they are asked in.

mod codes;
mod rules;

pub use codes::{Enhanced, read_enhanced};
pub use rules::{BUILT_IN, Fault, Faults, Rules};

use crate::text_enum;

/// Longest text that is judged, bytes; the rest of a longer one is not read.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;

text_enum! {
    /// What a refusal is about, and so against whom it counts.
    pub enum ReplyClass {
        /// Nobody of that name: the member's address.
        InvalidAddress = "invalid_address",
        /// The domain does not exist or takes no mail.
        InvalidDomain = "invalid_domain",
        /// The mailbox exists and is shut.
        MailboxDisabled = "mailbox_disabled",
        MailboxFull = "mailbox_full",
        /// Too much, too fast: (route, provider).
        RateLimited = "rate_limited",
        /// Our address or domain is not wanted: (route, provider).
        Block = "block",
        /// The content is not wanted: campaign and provider.
        Spam = "spam",
        /// SPF, DKIM or DMARC of our domain.
        Auth = "auth",
        /// Some rule of theirs that we broke.
        Policy = "policy",
        /// The recipient's own filter: the member and this sender.
        RecipientFiltered = "recipient_filtered",
        /// Size or form of the mail: its template.
        Message = "message",
        /// Their trouble, or the network's; it passes.
        RemoteSystem = "remote_system",
        Expired = "expired",
        /// A server on the way does not take addresses outside ASCII (RFC 6531).
        EaiUnsupported = "eai_unsupported",
        Other = "other",
    }
}

/// What a mail server said about one recipient.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'s> {
    /// The lower-case domain of the address, for the rules of its provider; empty where it is not known.
    pub domain: &'s str,
    /// The basic code, 200 to 599.
    pub code: Option<u16>,
    pub enhanced: Option<Enhanced>,
    pub text: &'s str,
    /// What a report says around it; asked where the text itself says too little.
    pub context: &'s str,
    /// When in the conversation it was said; `None`: unknown.
    pub step: Option<Step>,
}

text_enum! {
    /// A step of the conversation with a mail server.
    pub enum Step {
        /// Greeting, EHLO, MAIL: nothing about the recipient had been said.
        Before = "before",
        Rcpt = "rcpt",
        /// DATA, or the mail itself: the recipient had been accepted.
        Data = "data",
    }
}

/// When an address is put on the suppression list for what it brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// After so many bounces of the class.
    pub after: i64,
    /// The first and the last of them at least so far apart, milliseconds.
    pub over_ms: i64,
}

impl Threshold {
    /// At the first bounce.
    pub const AT_ONCE: Threshold = Threshold { after: 1, over_ms: 0 };

    /// Whether `n` bounces between two instants reach it.
    pub fn is_reached(&self, n: i64, first_at_ms: i64, last_at_ms: i64) -> bool {
        n >= self.after && last_at_ms - first_at_ms >= self.over_ms
    }
}

/// What words mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    pub class: ReplyClass,
    /// The address is dead for good.
    pub dead: bool,
    /// The address should leave the list though it is not proved dead.
    pub remove: bool,
    /// When it goes on the suppression list; `None`: never for this.
    pub threshold: Option<Threshold>,
}

impl Judged {
    /// The same, said by somebody who may not know: not dead, and twice before it counts.
    fn unproved(self) -> Judged {
        let threshold = self.threshold.map(|threshold| Threshold { after: threshold.after.max(2), ..threshold });
        Judged { dead: false, threshold, ..self }
    }
}
