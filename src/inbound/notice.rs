//! Notices of a sending service that come as JSON in a mail: what Amazon SES tells through SNS when its subscriber is
//! an address. Only the fields that name recipients are read.

use serde_json::Value;

use super::dsn::codes;
use super::mime::{Leaf, Mail};
use super::{Action, Kind, Recipient};
use crate::domain::bounce::read_enhanced;

/// The notice in a mail's text; `None` when there is none.
pub fn read(mail: &Mail) -> Option<(Kind, Option<String>, Vec<Recipient>)> {
    let text = mail.text_of(Leaf::Text);
    let start = text.find('{').filter(|start| text[..*start].trim().is_empty())?;
    // Lines that grew too long were broken on their way, some with a "!" (RFC 5321 §4.5.3.1.6).
    let text = text[start..].replace("!\n ", "").replace("\n ", "");
    let notice = first(&text)?;
    let notice = match notice["Message"].as_str() {
        Some(inner) => first(inner)?,
        None => notice,
    };
    let said = notice["notificationType"].as_str().or(notice["eventType"].as_str())?;
    let listed = |at: &Value| at.as_array().cloned().unwrap_or_default();
    match said {
        "Bounce" => {
            let recipients = listed(&notice["bounce"]["bouncedRecipients"]);
            Some((Kind::Dsn, None, recipients.iter().filter_map(bounced).collect()))
        }
        "Complaint" => {
            let named = listed(&notice["complaint"]["complainedRecipients"]);
            let named = named.iter().filter_map(|one| one["emailAddress"].as_str());
            let feedback = notice["complaint"]["complaintFeedbackType"].as_str().unwrap_or("abuse");
            Some((Kind::Arf, Some(feedback.to_owned()), named.map(|one| Recipient::unharmed(one.to_owned())).collect()))
        }
        "Delivery" => {
            let named = listed(&notice["delivery"]["recipients"]);
            let named = named.iter().filter_map(Value::as_str).map(|one| Recipient::unharmed(one.to_owned()));
            Some((Kind::Dsn, None, named.collect()))
        }
        _ => None,
    }
}

/// The JSON value that a text begins with; a remark may follow.
fn first(text: &str) -> Option<Value> {
    serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok()
}

fn bounced(one: &Value) -> Option<Recipient> {
    let text = |key: &str| one[key].as_str().unwrap_or_default();
    let address = Some(text("emailAddress")).filter(|address| address.contains('@'))?.to_owned();
    let action = if text("action") == "delayed" { Action::Delayed } else { Action::Failed };
    let words = text("diagnosticCode").to_owned();
    let (code, quoted) = codes(&words);
    let enhanced = quoted.or(read_enhanced(text("status")));
    Some(Recipient { address, action, code, enhanced, words, context: String::new(), step: None })
}
