//! Brevo: one event, proved by a secret in Basic or as a bearer's. It has no id of its own.

use super::fields::Fields;
use super::{Event, What, meaning};
use crate::domain::bounce::{ReplyClass, Step};

const KINDS: [(&str, What); 19] = [
    ("request", What::Accepted),
    ("delivered", What::Delivered),
    ("deferred", What::Deferred),
    ("soft_bounce", What::Bounced),
    ("hard_bounce", What::Bounced),
    ("invalid_email", What::Bounced),
    ("blocked", What::Rejected),
    ("error", What::Failed),
    ("spam", What::Complained),
    ("complaint", What::Complained),
    ("unsubscribe", What::Unsubscribed),
    ("unsubscribed", What::Unsubscribed),
    ("opened", What::Opened),
    ("unique_opened", What::Opened),
    ("proxy_open", What::Opened),
    ("unique_proxy_open", What::Opened),
    ("click", What::Clicked),
    ("list_addition", What::Other),
    ("contact_deleted", What::Other),
];

pub fn read(fields: Fields<'_>) -> Event {
    let kind = fields.text("event");
    let what = meaning(&KINDS, &kind).unwrap_or(What::Other);
    let mut event = Event::of(what, &fields.text("email"), fields.0).said(&fields.text("reason"));
    if kind == "hard_bounce" {
        // Only who refuses the recipient itself is called so.
        event.recipient.step = Some(Step::Rcpt);
    }
    Event {
        // The other times are of the account's zone.
        at_ms: fields.epoch_ms("ts_epoch").or_else(|| fields.epoch_ms("s_epoch")),
        message: fields.id(&["message-id"]),
        class: match kind.as_str() {
            "hard_bounce" | "invalid_email" => Some(ReplyClass::InvalidAddress),
            "blocked" => Some(ReplyClass::RecipientFiltered),
            _ => None,
        },
        soft: matches!(kind.as_str(), "soft_bounce" | "blocked" | "error"),
        agent: fields.some("user_agent"),
        url: fields.some("link"),
        ..event
    }
}
