//! Mailgun: one event, and an HMAC over a timestamp and a random token instead of the body, so that a token must count
//! once. Old accounts send the same as a form.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::{Arrived, Event, Key, Proved, Refused, What, meaning};
use crate::base::form;
use crate::domain::bounce::ReplyClass;

/// How far the signed time may be from ours.
const WINDOW_MS: i64 = 5 * 60_000;
/// Fields of a form that are read.
const FIELDS_MAX: usize = 500;

const KINDS: [(&str, What); 14] = [
    ("accepted", What::Accepted),
    ("delivered", What::Delivered),
    // Told apart by its severity below.
    ("failed", What::Bounced),
    ("rejected", What::Rejected),
    ("complained", What::Complained),
    ("unsubscribed", What::Unsubscribed),
    ("opened", What::Opened),
    ("clicked", What::Clicked),
    ("stored", What::Other),
    ("list_member_uploaded", What::Other),
    // Old accounts.
    ("bounced", What::Bounced),
    ("dropped", What::Rejected),
    ("temporary_fail", What::Deferred),
    ("permanent_fail", What::Bounced),
];
/// Why Mailgun did not try: its own lists.
const REASONS: [(&str, ReplyClass); 7] = [
    ("suppress-bounce", ReplyClass::InvalidAddress),
    ("suppress-complaint", ReplyClass::RecipientFiltered),
    ("suppress-unsubscribe", ReplyClass::RecipientFiltered),
    ("espblock", ReplyClass::Block),
    ("old", ReplyClass::Expired),
    // Codes of old accounts.
    ("605", ReplyClass::InvalidAddress),
    ("607", ReplyClass::RecipientFiltered),
];

/// The body as one object, whichever way it came. Of fields that are there twice the last is Mailgun's own.
///
/// # Errors
/// When it is neither JSON nor a form.
pub fn body(arrived: &Arrived<'_>) -> Result<Value, Refused> {
    let fields = form::fields(arrived.kind(), arrived.body, FIELDS_MAX);
    if fields.is_empty() {
        return serde_json::from_slice(arrived.body).map_err(|_| Refused::Unreadable);
    }
    Ok(Value::Object(fields.into_iter().map(|(name, value)| (name, Value::String(value))).collect::<Map<_, _>>()))
}

pub fn prove(key: &Key, arrived: &Arrived<'_>, now_ms: i64) -> Result<Proved, Refused> {
    let body = body(arrived)?;
    let root = Fields(&body);
    let of = |name: &str| root.first(&[&format!("signature/{name}"), name]);
    let (timestamp, token) = (of("timestamp"), of("token"));
    let signature = root.first(&["signature/signature", "signature"]);
    if token.is_empty() || !key.signed(format!("{timestamp}{token}").as_bytes(), &signature) {
        return Err(Refused::Forged);
    }
    let at_s: i64 = timestamp.parse().map_err(|_| Refused::Forged)?;
    match at_s.saturating_mul(1_000).abs_diff(now_ms) <= WINDOW_MS.unsigned_abs() {
        true => Ok(Proved { once: Some(token), confirm_url: None }),
        false => Err(Refused::Stale),
    }
}

pub fn read(body: &Value) -> Result<Vec<Event>, Refused> {
    match body.get("event-data") {
        Some(data) => Ok(vec![one(data)]),
        None if body.is_object() => Ok(vec![legacy(body)]),
        None => Err(Refused::Unreadable),
    }
}

fn one(raw: &Value) -> Event {
    let fields = Fields(raw);
    let reason = fields.text("reason");
    let is_temporary = fields.text("severity") == "temporary";
    let what = match meaning(&KINDS, &fields.text("event")).unwrap_or(What::Other) {
        What::Bounced if is_temporary => What::Deferred,
        What::Bounced if reason.starts_with("suppress-") => What::Rejected,
        what => what,
    };
    let words = fields.first(&["delivery-status/message", "delivery-status/description", "reject/reason"]);
    let status = format!("{} {}", fields.text("delivery-status/code"), fields.text("delivery-status/enhanced-code"));
    let event = Event::of(what, &fields.first(&["recipient", "message/headers/to"]), raw).said(&words).coded(&status);
    Event {
        id: fields.id(&["id"]),
        at_ms: fields.at_ms("timestamp"),
        message: fields.id(&["message/headers/message-id"]),
        class: meaning(&REASONS, &reason).or((what == What::Rejected).then_some(ReplyClass::Policy)),
        agent: fields.some("client-info/user-agent"),
        url: fields.some("url"),
        ..event
    }
}

fn legacy(raw: &Value) -> Event {
    let fields = Fields(raw);
    let code = fields.text("code");
    let what = meaning(&KINDS, &fields.text("event")).unwrap_or(What::Other);
    // Whoever was on a list of theirs was not tried: their words are about an earlier mail.
    let class = meaning(&REASONS, &code);
    let event = Event::of(what, &fields.text("recipient"), raw);
    let event = event.said(&fields.first(&["error", "description", "notification"])).coded(&code);
    Event {
        id: fields.id(&["token"]),
        at_ms: fields.at_ms("timestamp"),
        message: fields.id(&["Message-Id", "message-id"]),
        class: class.or((what == What::Rejected).then_some(ReplyClass::Policy)),
        agent: fields.some("user-agent"),
        url: fields.some("url"),
        ..event
    }
}
