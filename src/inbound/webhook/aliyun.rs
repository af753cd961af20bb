//! Aliyun DirectMail, whose events an EventBridge rule sends on as CloudEvents 1.0, proved by the target's token.

use super::fields::Fields;
use super::{Event, What, meaning};
use crate::domain::bounce::ReplyClass;

const KINDS: [(&str, What); 7] = [
    ("dm:Deliver:Succeed", What::Delivered),
    ("dm:Deliver:Fail", What::Bounced),
    ("dm:Feedback:FblReport", What::Complained),
    ("dm:Feedback:Subscribe", What::Subscribed),
    ("dm:Feedback:UnSubscribe", What::Unsubscribed),
    ("dm:Trace:Open", What::Opened),
    ("dm:Trace:Click", What::Clicked),
];
const FAILED: [(&str, ReplyClass); 1] = [("SmtpNxBox", ReplyClass::InvalidAddress)];

pub fn read(fields: Fields<'_>) -> Event {
    let what = meaning(&KINDS, &fields.first(&["type", "data/event"])).unwrap_or(What::Other);
    let event = Event::of(what, &fields.text("data/rcpt"), fields.0);
    let class = meaning(&FAILED, &fields.text("data/failed_type"));
    let mut event = event.said(&fields.text("data/err_msg")).coded(&fields.text("data/err_code"));
    if class.is_some() {
        // A plain 554 for everything says less than the type.
        event.recipient.code = None;
    }
    Event {
        id: fields.id(&["id"]),
        at_ms: fields.at_ms("time"),
        message: fields.id(&["data/env_id"]),
        class,
        agent: fields.some("data/user_agent"),
        url: fields.some("data/url"),
        ..event
    }
}
