//! Unisender Go: one event or many, proved by MD5 of the body with the API key in place of the proof itself. MD5 is
//! theirs to choose; what is forged with it would need the key.

use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use serde_json::Value;

use super::fields::Fields;
use super::key::same;
use super::{Arrived, Event, Key, Proved, Refused, What, meaning};
use crate::domain::bounce::ReplyClass;

const KINDS: [(&str, What); 9] = [
    ("sent", What::Accepted),
    ("delivered", What::Delivered),
    ("opened", What::Opened),
    ("clicked", What::Clicked),
    ("unsubscribed", What::Unsubscribed),
    ("subscribed", What::Subscribed),
    // It is tried again until it is a hard one.
    ("soft_bounced", What::Deferred),
    ("hard_bounced", What::Bounced),
    ("spam", What::Complained),
];
const STATUSES: [(&str, ReplyClass); 22] = [
    ("err_user_unknown", ReplyClass::InvalidAddress),
    ("err_user_inactive", ReplyClass::MailboxDisabled),
    ("err_mailbox_full", ReplyClass::MailboxFull),
    ("err_mailbox_discarded", ReplyClass::MailboxDisabled),
    ("err_domain_inactive", ReplyClass::InvalidDomain),
    ("err_destination_misconfigured", ReplyClass::RemoteSystem),
    ("err_unreachable", ReplyClass::RemoteSystem),
    ("err_will_retry", ReplyClass::RemoteSystem),
    ("err_resend", ReplyClass::RemoteSystem),
    ("err_giving_up", ReplyClass::Expired),
    ("err_spam_rejected", ReplyClass::Spam),
    ("err_spam_retry", ReplyClass::Spam),
    ("err_spam_skipped", ReplyClass::Spam),
    ("err_spam_removed", ReplyClass::Spam),
    ("err_spam_folder", ReplyClass::Spam),
    ("err_too_large", ReplyClass::Message),
    ("err_blacklisted", ReplyClass::Block),
    ("err_unsubscribed", ReplyClass::RecipientFiltered),
    ("err_skip_letter", ReplyClass::RecipientFiltered),
    ("err_not_allowed", ReplyClass::Policy),
    ("err_internal", ReplyClass::Other),
    ("err_lost", ReplyClass::Other),
];

pub fn prove(key: &Key, arrived: &Arrived<'_>) -> Result<Proved, Refused> {
    let Key::Secret(secret) = key else { return Err(Refused::Forged) };
    let body: Value = serde_json::from_slice(arrived.body).map_err(|_| Refused::Unreadable)?;
    let auth = body.get("auth").and_then(Value::as_str).filter(|auth| auth.len() == 32).ok_or(Refused::Forged)?;
    let at = arrived.body.windows(auth.len()).position(|window| window == auth.as_bytes()).ok_or(Refused::Forged)?;
    let mut md5 = Md5::new();
    md5.update(&arrived.body[..at]);
    md5.update(secret);
    md5.update(&arrived.body[at + auth.len()..]);
    let ours = HEXLOWER.encode(&md5.finalize());
    if same(ours.as_bytes(), auth.to_ascii_lowercase().as_bytes()) {
        Ok(Proved::default())
    } else {
        Err(Refused::Forged)
    }
}

pub fn read(body: &Value) -> Vec<Event> {
    let Some(users) = body.get("events_by_user").and_then(Value::as_array) else {
        return vec![one(body, &body["event_name"])];
    };
    let events = users.iter().flat_map(|user| Fields(user).list("events"));
    events.map(|event| one(event.get("event_data").unwrap_or(&Value::Null), &event["event_name"])).collect()
}

fn one(raw: &Value, name: &Value) -> Event {
    let fields = Fields(raw);
    let is_status = name.as_str() == Some("transactional_email_status");
    let what = meaning(&KINDS, &fields.text("status")).filter(|_| is_status).unwrap_or(What::Other);
    let class = meaning(&STATUSES, &fields.text("delivery_info/delivery_status"));
    let event = Event::of(what, &fields.text("email"), raw).said(&fields.text("delivery_info/destination_response"));
    Event {
        at_ms: fields.at_ms("event_time"),
        message: fields.id(&["job_id"]),
        class,
        agent: fields.some("delivery_info/user_agent"),
        url: fields.some("url"),
        ..event
    }
}
