//! Amazon SES, whose events come as messages of SNS: an envelope signed with RSA, the event as text in it.

use serde_json::Value;

use super::fields::{Fields, instant};
use super::key::{rsa_sha1, rsa_sha256, same};
use super::{Arrived, Event, Key, Proved, Refused, What, meaning};
use crate::domain::bounce::ReplyClass;

/// Oldest message taken: SNS tries for an hour, and signs once. Younger ones come once by their id.
const OLDEST_MS: i64 = 65 * 60_000;
/// Clocks differ.
const NEWEST_MS: i64 = 5 * 60_000;

const KINDS: [(&str, What); 9] = [
    ("Bounce", What::Bounced),
    ("Complaint", What::Complained),
    ("Delivery", What::Delivered),
    ("DeliveryDelay", What::Deferred),
    ("Send", What::Accepted),
    ("Reject", What::Rejected),
    ("Open", What::Opened),
    ("Click", What::Clicked),
    ("Rendering Failure", What::Failed),
];
/// What a bounce's subtype says where the diagnosis does not.
const SUBTYPES: [(&str, ReplyClass); 8] = [
    ("NoEmail", ReplyClass::InvalidAddress),
    ("General", ReplyClass::InvalidAddress),
    ("Suppressed", ReplyClass::InvalidAddress),
    ("OnAccountSuppressionList", ReplyClass::InvalidAddress),
    ("MailboxFull", ReplyClass::MailboxFull),
    ("MessageTooLarge", ReplyClass::Message),
    ("ContentRejected", ReplyClass::Spam),
    ("AttachmentRejected", ReplyClass::Message),
];

fn envelope(arrived: &Arrived<'_>) -> Result<Value, Refused> {
    serde_json::from_slice(arrived.body).map_err(|_| Refused::Unreadable)
}

/// What SNS signs: the names and values of a type's fields, in the order of their names.
fn signed_text(envelope: &Value) -> Option<String> {
    let text = |name: &str| envelope.get(name).and_then(Value::as_str);
    let names: &[&str] = match text("Type")? {
        "Notification" => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => {
            &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        }
        _ => return None,
    };
    let mut out = String::new();
    for name in names {
        match text(name) {
            Some(value) => out.extend([name, "\n", value, "\n"]),
            None if *name == "Subject" => {}
            None => return None,
        }
    }
    Some(out)
}

/// Whether an address is where Amazon keeps the certificates of SNS: a region's own host, that one folder, over TLS.
pub fn is_certificate_url(url: &str) -> bool {
    let word = |text: &str, more: &str| {
        !text.is_empty()
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.as_bytes().contains(&c))
    };
    let Some((host, path)) = url.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else { return false };
    let name = path.strip_prefix("SimpleNotificationService-").and_then(|name| name.strip_suffix(".pem"));
    is_amazon(host) && name.is_some_and(|name| word(name, ""))
}

/// `sns.REGION.amazonaws.com`, or the same in China.
fn is_amazon(host: &str) -> bool {
    let region = host
        .strip_prefix("sns.")
        .and_then(|rest| rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn")));
    region.is_some_and(|region| {
        !region.is_empty() && region.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    })
}

fn certificate_url(arrived: &Arrived<'_>) -> Result<String, Refused> {
    let url = Fields(&envelope(arrived)?).first(&["SigningCertURL", "SigningCertUrl"]);
    if is_certificate_url(&url) { Ok(url) } else { Err(Refused::Forged) }
}

/// The address of the certificate that a delivery is to be checked with, where the hook has none of its own: of the
/// configured topic alone, and of the topic's own region.
pub fn wanted_certificate(key: &Key, arrived: &Arrived<'_>) -> Option<String> {
    let Key::Topic { arn, public: None } = key else { return None };
    let envelope = envelope(arrived).ok()?;
    let url = certificate_url(arrived).ok()?;
    let region = arn.split(':').nth(3).filter(|region| !region.is_empty())?;
    let is_there = url.strip_prefix("https://sns.").is_some_and(|rest| rest.split('.').next() == Some(region));
    (is_there && same(arn.as_bytes(), Fields(&envelope).text("TopicArn").as_bytes())).then_some(url)
}

pub fn prove(key: &Key, arrived: &Arrived<'_>, certificate: Option<&[u8]>, now_ms: i64) -> Result<Proved, Refused> {
    let envelope = envelope(arrived)?;
    let fields = Fields(&envelope);
    let Key::Topic { arn, .. } = key else { return Err(Refused::Forged) };
    certificate_url(arrived)?;
    let public = key.public_bytes().or(certificate).ok_or(Refused::Forged)?;
    let text = signed_text(&envelope).ok_or(Refused::Forged)?;
    let signature = envelope.get("Signature").and_then(Value::as_str).ok_or(Refused::Forged)?;
    let is_signed = match fields.text("SignatureVersion").as_str() {
        "1" => rsa_sha1(public, text.as_bytes(), signature),
        "2" => rsa_sha256(public, text.as_bytes(), signature),
        _ => false,
    };
    if !is_signed {
        return Err(Refused::Forged);
    }
    if !same(arn.as_bytes(), fields.text("TopicArn").as_bytes()) {
        return Err(Refused::Topic);
    }
    let at_ms = instant(&fields.text("Timestamp")).ok_or(Refused::Forged)?;
    if !(now_ms - OLDEST_MS..=now_ms + NEWEST_MS).contains(&at_ms) {
        return Err(Refused::Stale);
    }
    let asks = fields.text("Type") == "SubscriptionConfirmation";
    let confirm_url = asks.then(|| fields.text("SubscribeURL")).filter(|url| {
        url.strip_prefix("https://").and_then(|rest| rest.split_once('/')).is_some_and(|(host, _)| is_amazon(host))
    });
    Ok(Proved { once: None, confirm_url })
}

pub fn read(envelope: &Value) -> Result<Vec<Event>, Refused> {
    let outer = Fields(envelope);
    if outer.text("Type") != "Notification" {
        return Ok(Vec::new());
    }
    // SNS says hello in plain words when a topic of SES is made.
    let message = envelope.get("Message").and_then(Value::as_str).ok_or(Refused::Unreadable)?;
    let message = serde_json::from_str(message).unwrap_or(Value::Null);
    let fields = Fields(&message);
    let kind = fields.first(&["eventType", "notificationType"]);
    let what = meaning(&KINDS, &kind).unwrap_or(What::Other);
    let (people, name) = match what {
        What::Bounced => (fields.list("bounce/bouncedRecipients"), "emailAddress"),
        What::Complained => (fields.list("complaint/complainedRecipients"), "emailAddress"),
        What::Deferred => (fields.list("deliveryDelay/delayedRecipients"), "emailAddress"),
        What::Delivered => (fields.list("delivery/recipients"), ""),
        _ => (fields.list("mail/destination"), ""),
    };
    let one = |nth: usize, person: &Value| {
        let address = if name.is_empty() { super::fields::as_text(person) } else { Fields(person).text(name) };
        let event = Event::of(what, &address, &message);
        Event {
            id: outer.id(&["MessageId"]).map(|id| if nth == 0 { id } else { format!("{id}/{nth}") }),
            at_ms: instant(&outer.text("Timestamp")),
            message: fields.id(&["mail/messageId"]),
            agent: fields.some("open/userAgent").or(fields.some("click/userAgent")),
            url: fields.some("click/link"),
            ..detailed(event, fields, Fields(person))
        }
    };
    if people.is_empty() {
        return Ok(vec![one(0, &Value::Null)]);
    }
    Ok(people.iter().enumerate().map(|(nth, person)| one(nth, person)).collect())
}

/// With what the kind of event tells besides.
fn detailed(event: Event, fields: Fields<'_>, person: Fields<'_>) -> Event {
    match event.what {
        What::Bounced => {
            let is_hard = fields.text("bounce/bounceType") == "Permanent";
            let class = meaning(&SUBTYPES, &fields.text("bounce/bounceSubType"));
            let class = class.filter(|class| is_hard || *class != ReplyClass::InvalidAddress);
            let event = event.said(&person.text("diagnosticCode")).coded(&person.text("status"));
            Event { class, soft: !is_hard, ..event }
        }
        What::Deferred => event.said(&person.text("diagnosticCode")).coded(&person.text("status")),
        What::Delivered => event.said(&fields.text("delivery/smtpResponse")),
        What::Rejected => {
            Event { class: Some(ReplyClass::Spam), soft: true, ..event.said(&fields.text("reject/reason")) }
        }
        What::Failed => {
            Event { class: Some(ReplyClass::Message), soft: true, ..event.said(&fields.text("failure/errorMessage")) }
        }
        // A complaint that SES itself kept from being sent again is an old one, and still one.
        _ => event,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_amazon_keeps_certificates() {
        assert!(is_certificate_url("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abc.pem"));
        assert!(is_certificate_url("https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0123abc.pem"));
        for url in [
            "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abc.pem",
            "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0123abc.pem",
            "https://evil.example/?https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-0.pem",
            "https://sns.eu-west-1.amazonaws.com:1/SimpleNotificationService-0.pem",
            "https://sns.a.b.amazonaws.com/SimpleNotificationService-0.pem",
            "https://s3.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.eu-west-1.amazonaws.com/x/SimpleNotificationService-0.pem",
            "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-../0.pem",
            "https://sns..amazonaws.com/SimpleNotificationService-0.pem",
            "",
        ] {
            assert!(!is_certificate_url(url), "{url}");
        }
    }
}
