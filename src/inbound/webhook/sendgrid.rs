//! SendGrid: an array of events, signed with ECDSA over a timestamp and the body as it came.

use serde_json::Value;

use super::fields::Fields;
use super::key::ecdsa;
use super::{Arrived, Event, Key, Proved, Refused, What, meaning};
use crate::domain::bounce::ReplyClass;

/// How far the signed time may be from ours.
const WINDOW_MS: i64 = 5 * 60_000;

const KINDS: [(&str, What); 12] = [
    ("bounce", What::Bounced),
    ("dropped", What::Rejected),
    ("deferred", What::Deferred),
    ("delivered", What::Delivered),
    ("processed", What::Accepted),
    ("spamreport", What::Complained),
    ("unsubscribe", What::Unsubscribed),
    ("group_unsubscribe", What::Unsubscribed),
    ("group_resubscribe", What::Subscribed),
    ("open", What::Opened),
    ("click", What::Clicked),
    ("account_status_change", What::Other),
];
/// Why SendGrid did not try.
const DROPPED: [(&str, ReplyClass); 6] = [
    ("Invalid", ReplyClass::InvalidAddress),
    ("Bounced Address", ReplyClass::InvalidAddress),
    ("Spam Reporting Address", ReplyClass::RecipientFiltered),
    ("Unsubscribed Address", ReplyClass::RecipientFiltered),
    ("Spam Content (if Spam Checker app enabled)", ReplyClass::Spam),
    ("Recipient List over Package Quota", ReplyClass::Policy),
];

pub fn prove(key: &Key, arrived: &Arrived<'_>, now_ms: i64) -> Result<Proved, Refused> {
    let header = |name: &str| arrived.header(name).ok_or(Refused::Forged);
    let signature = header("x-twilio-email-event-webhook-signature")?;
    let timestamp = header("x-twilio-email-event-webhook-timestamp")?;
    let public = key.public_bytes().ok_or(Refused::Forged)?;
    let mut signed = timestamp.as_bytes().to_vec();
    signed.extend_from_slice(arrived.body);
    if !ecdsa(public, &signed, signature) {
        return Err(Refused::Forged);
    }
    let at_s: i64 = timestamp.parse().map_err(|_| Refused::Forged)?;
    match at_s.saturating_mul(1_000).abs_diff(now_ms) <= WINDOW_MS.unsigned_abs() {
        true => Ok(Proved::default()),
        false => Err(Refused::Stale),
    }
}

pub fn read(body: &Value) -> Result<Vec<Event>, Refused> {
    body.as_array().map(|events| events.iter().map(one).collect()).ok_or(Refused::Unreadable)
}

fn one(raw: &Value) -> Event {
    let fields = Fields(raw);
    let what = meaning(&KINDS, &fields.text("event")).unwrap_or(What::Other);
    let event = Event::of(what, &fields.text("email"), raw)
        .said(&fields.first(&["reason", "response"]))
        .coded(&fields.text("status"));
    let is_blocked = fields.text("type") == "blocked";
    Event {
        id: fields.id(&["sg_event_id"]),
        at_ms: fields.at_ms("timestamp"),
        message: fields.id(&["sg_message_id"]),
        class: match what {
            What::Bounced if is_blocked => Some(ReplyClass::Block),
            What::Bounced => Some(ReplyClass::InvalidAddress),
            What::Rejected => meaning(&DROPPED, &fields.text("reason")),
            _ => None,
        },
        soft: is_blocked,
        agent: fields.some("useragent"),
        url: fields.some("url"),
        ..event
    }
}
