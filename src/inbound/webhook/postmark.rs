//! Postmark: one event, proved by the password of Basic or a header with a secret.

use super::fields::Fields;
use super::{Event, What, meaning};
use crate::domain::bounce::ReplyClass;

/// What a record of another kind than a bounce tells.
const RECORDS: [(&str, What); 4] = [
    ("Delivery", What::Delivered),
    ("Open", What::Opened),
    ("Click", What::Clicked),
    ("SpamComplaint", What::Complained),
];
/// The types of bounces.
const TYPES: [(&str, What); 22] = [
    ("HardBounce", What::Bounced),
    ("SoftBounce", What::Bounced),
    ("VirusNotification", What::Bounced),
    ("Transient", What::Deferred),
    ("DnsError", What::Deferred),
    ("OpenRelayTest", What::Deferred),
    ("BadEmailAddress", What::Rejected),
    ("ManuallyDeactivated", What::Rejected),
    ("Unconfirmed", What::Rejected),
    ("Blocked", What::Rejected),
    ("DMARCPolicy", What::Rejected),
    ("SpamComplaint", What::Complained),
    ("SpamNotification", What::Complained),
    ("Unsubscribe", What::Unsubscribed),
    ("ManualSuppression", What::Unsubscribed),
    ("Subscribe", What::Subscribed),
    ("AutoResponder", What::AutoReply),
    ("AddressChange", What::AutoReply),
    ("ChallengeVerification", What::AutoReply),
    ("SMTPApiError", What::Failed),
    ("TemplateRenderingFailed", What::Failed),
    ("InboundError", What::Other),
];
const CLASSES: [(&str, ReplyClass); 8] = [
    ("HardBounce", ReplyClass::InvalidAddress),
    ("BadEmailAddress", ReplyClass::InvalidAddress),
    ("ManuallyDeactivated", ReplyClass::MailboxDisabled),
    ("Unconfirmed", ReplyClass::Policy),
    ("Blocked", ReplyClass::Block),
    ("VirusNotification", ReplyClass::Spam),
    ("DMARCPolicy", ReplyClass::Auth),
    ("TemplateRenderingFailed", ReplyClass::Message),
];

pub fn read(fields: Fields<'_>) -> Event {
    let record = fields.text("RecordType");
    let is_change = record == "SubscriptionChange";
    let kind = match record.as_str() {
        "SubscriptionChange" if fields.text("SuppressionReason").is_empty() => "Subscribe".to_owned(),
        "SubscriptionChange" => fields.text("SuppressionReason"),
        _ => fields.text("Type"),
    };
    let what = match record.as_str() {
        "Bounce" | "SubscriptionChange" => meaning(&TYPES, &kind),
        record => meaning(&RECORDS, record),
    };
    let class = meaning(&CLASSES, &kind);
    let words = if is_change { String::new() } else { fields.first(&["Details", "Description"]) };
    let event = Event::of(what.unwrap_or(What::Other), &fields.first(&["Email", "Recipient"]), fields.0).said(&words);
    let at = ["BouncedAt", "DeliveredAt", "ReceivedAt", "ChangedAt"];
    Event {
        // Bounces and complaints are numbered, each kind by itself.
        id: fields.id(&["ID"]).map(|id| format!("{record}/{id}")),
        at_ms: at.iter().find_map(|name| fields.at_ms(name)),
        message: fields.id(&["MessageID"]),
        class,
        soft: !matches!(kind.as_str(), "HardBounce" | "BadEmailAddress"),
        agent: fields.some("UserAgent"),
        url: fields.some("OriginalLink"),
        ..event
    }
}
