//! Feedback reports (RFC 5965): a reader pressed the spam button. Providers often redact the address; then the returned
//! head with our token in it is all that tells whose it was.

use super::mime::{Head, Leaf, Mail};
use super::{RECIPIENTS_MAX, Recipient, address};

/// What the reader said, and the addresses that are named; `None` when the mail is no such report.
pub fn read(mail: &Mail) -> Option<(String, Vec<Recipient>)> {
    // A phone's way to press "unsubscribe" where a mail offers an address for it.
    if mail.head.get("x-apple-unsubscribe").eq_ignore_ascii_case("true") {
        let named = addresses(mail.head.all("from"));
        return Some(("opt-out".to_owned(), named.into_iter().map(Recipient::unharmed).collect()));
    }
    let content_type = mail.head.get("content-type").to_ascii_lowercase();
    let is_report = mail.has(Leaf::Feedback);
    if !is_report && !content_type.contains("feedback-report") && !is_shaped_otherwise(mail) {
        return None;
    }
    let fields = mail.text_of(Leaf::Feedback);
    let (fields, _) = Head::read(fields.trim_start().as_bytes());
    let (original, _) = {
        let text = mail.text_of(Leaf::Original);
        Head::read(text.trim_start().as_bytes())
    };
    let feedback = match fields.get("feedback-type").trim() {
        "" => "abuse".to_owned(),
        feedback => feedback.to_ascii_lowercase(),
    };
    let reported =
        ["original-rcpt-to", "removal-recipient", "redacted-address"].map(|name| addresses(fields.all(name)));
    let mut named = reported.into_iter().find(|named| !named.is_empty()).unwrap_or_default();
    if named.is_empty() {
        // Not reported: the returned head says whom it was for.
        let heads = ["to", "x-original-to", "delivered-to"].map(|name| addresses(original.all(name)));
        named = heads.into_iter().find(|named| !named.is_empty()).unwrap_or_default();
    }
    if named.is_empty() {
        named = addresses(mail.head.all("x-hmxmroriginalrecipient"));
    }
    named.truncate(RECIPIENTS_MAX);
    Some((feedback, named.into_iter().map(Recipient::unharmed).collect()))
}

/// Reports of those who never took to the standard: a whole returned mail under a subject that says what it is.
fn is_shaped_otherwise(mail: &Mail) -> bool {
    let subject = mail.head.get("subject").to_ascii_lowercase();
    let is_complaint = subject.contains("complaint about message from") || subject.contains("abuse report");
    mail.has(Leaf::Original) && (is_complaint || mail.head.has("x-hmxmroriginalrecipient"))
}

fn addresses<'v>(values: impl Iterator<Item = &'v str>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for found in values.flat_map(address::find) {
        if !out.iter().any(|known| known.eq_ignore_ascii_case(&found.text)) {
            out.push(found.text);
        }
    }
    out
}
