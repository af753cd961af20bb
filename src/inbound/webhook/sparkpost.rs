//! SparkPost: an array of events, each in an envelope that names its kind, proved by Basic or a bearer's token. The
//! first delivery is an empty array or an empty event.

use serde_json::Value;

use super::fields::Fields;
use super::{Event, Refused, What, meaning};
use crate::domain::bounce::ReplyClass;

const KINDS: [(&str, What); 17] = [
    ("injection", What::Accepted),
    ("delivery", What::Delivered),
    ("delay", What::Deferred),
    ("bounce", What::Bounced),
    ("out_of_band", What::Bounced),
    ("policy_rejection", What::Rejected),
    ("generation_rejection", What::Rejected),
    ("generation_failure", What::Failed),
    ("spam_complaint", What::Complained),
    ("list_unsubscribe", What::Unsubscribed),
    ("link_unsubscribe", What::Unsubscribed),
    ("open", What::Opened),
    ("amp_open", What::Opened),
    ("click", What::Clicked),
    ("amp_click", What::Clicked),
    // Told again as an open.
    ("initial_open", What::Other),
    ("amp_initial_open", What::Other),
];

/// The classes of its bounces.
const CLASSES: [(&str, What, Option<ReplyClass>); 21] = [
    ("1", What::Bounced, None),
    ("10", What::Bounced, Some(ReplyClass::InvalidAddress)),
    ("20", What::Bounced, None),
    ("21", What::Bounced, Some(ReplyClass::RemoteSystem)),
    ("22", What::Bounced, Some(ReplyClass::MailboxFull)),
    ("23", What::Bounced, Some(ReplyClass::Message)),
    ("24", What::Bounced, Some(ReplyClass::Expired)),
    ("25", What::Rejected, Some(ReplyClass::Policy)),
    ("30", What::Bounced, Some(ReplyClass::Message)),
    ("40", What::Bounced, None),
    ("50", What::Bounced, Some(ReplyClass::Block)),
    ("51", What::Bounced, Some(ReplyClass::Spam)),
    ("52", What::Bounced, Some(ReplyClass::Spam)),
    ("53", What::Bounced, Some(ReplyClass::Spam)),
    ("54", What::Bounced, Some(ReplyClass::Policy)),
    ("60", What::AutoReply, None),
    ("70", What::Bounced, Some(ReplyClass::RemoteSystem)),
    ("80", What::Subscribed, None),
    ("90", What::Unsubscribed, None),
    ("100", What::AutoReply, None),
    ("110", What::Bounced, None),
];

pub fn read(body: &Value) -> Result<Vec<Event>, Refused> {
    let events = body.as_array().ok_or(Refused::Unreadable)?;
    let inner =
        |raw: &'_ Value| raw.get("msys").and_then(Value::as_object).and_then(|msys| msys.values().next().cloned());
    Ok(events.iter().filter_map(inner).map(|event| one(&event)).collect())
}

fn one(raw: &Value) -> Event {
    let fields = Fields(raw);
    let kind = meaning(&KINDS, &fields.text("type")).unwrap_or(What::Other);
    let bounce_class = fields.text("bounce_class");
    let of_class = CLASSES.iter().find(|(known, ..)| kind == What::Bounced && *known == bounce_class);
    let (what, class) = match of_class {
        Some((_, what, class)) => (*what, *class),
        None if kind == What::Rejected => (kind, Some(ReplyClass::RecipientFiltered)),
        None if kind == What::Failed => (kind, Some(ReplyClass::Message)),
        None => (kind, None),
    };
    let event = Event::of(what, &fields.first(&["raw_rcpt_to", "rcpt_to"]), raw);
    let event = event.said(&fields.first(&["raw_reason", "reason"])).coded(&fields.text("error_code"));
    Event {
        id: fields.id(&["event_id"]),
        at_ms: fields.at_ms("timestamp"),
        message: fields.id(&["message_id", "transmission_id"]),
        class,
        soft: bounce_class != "10",
        agent: fields.some("user_agent"),
        url: fields.some("target_link_url"),
        ..event
    }
}
