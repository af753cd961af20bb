//! Automatic answers (RFC 3834): somebody is away, a machine has thanked. Never a bounce.

use super::mime::Mail;
use super::words::{Words, any, folded};
use super::{Recipient, address};

/// Who answered.
pub fn who(mail: &Mail) -> Vec<Recipient> {
    let first = address::find(mail.head.get("from")).into_iter().next();
    first.map(|found| Recipient::unharmed(found.text)).into_iter().collect()
}

/// Whether a mail that is no report is an automatic answer.
pub fn is_one(mail: &Mail, words: &Words) -> bool {
    let head = &mail.head;
    if head.has("x-failed-recipients") {
        return false;
    }
    let says = |name: &str| head.get(name).to_ascii_lowercase();
    let submitted = says("auto-submitted");
    let by_head = submitted.starts_with("auto-replied")
        || [
            "x-autoreply",
            "x-autorespond",
            "x-auto-reply",
            "x-autoresponder",
            "x-ms-exchange-inbox-rules-loop",
            "x-vacation",
        ]
        .iter()
        .any(|name| head.has(name) && !says(name).starts_with("no"))
        || matches!(says("precedence").trim(), "auto_reply" | "auto-reply");
    let subject = folded(head.get("subject"));
    // A bounce may say of itself that it is automatic; its own words tell.
    let is_daemon = any(&words.daemons, &folded(head.get("from")));
    let is_bounce = any(&words.subjects, &subject) || is_daemon;
    !is_bounce && (by_head || any(&words.auto_subjects, &subject))
}
