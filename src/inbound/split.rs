//! A report's own words, apart from the mail it returns: the words say who failed, the returned mail only whom to ask.

use super::mime::{Head, Leaf, Mail};
use super::words::{Words, any, folded};

/// Header fields that tell the head of a returned mail from words with a colon.
const OF_A_MAIL: [&str; 12] = [
    "received",
    "return-path",
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "x-mailer",
    "reply-to",
    "delivered-to",
];

/// A mail's text in two.
#[derive(Debug, Default)]
pub struct Split {
    /// What the mailer says, line by line.
    pub report: String,
    /// The head of what it returns.
    pub original: Head,
    /// All of what it returns, as far as it is there.
    pub returned: String,
}

impl Split {
    pub fn of(mail: &Mail, words: &Words) -> Split {
        let text = mail.text_of(Leaf::Text);
        let mut returned = mail.text_of(Leaf::Original);
        let at = start_of_original(&text, words);
        let report = text[..at].to_owned();
        if returned.trim().is_empty() {
            returned = text[at..].to_owned();
        }
        let start = head_start(&returned).unwrap_or(0);
        let (original, _) = Head::read(returned[start..].trim_start_matches('\n').as_bytes());
        Split { report, original, returned }
    }
}

/// Where the returned mail begins in a report's text; its end when nothing is returned.
fn start_of_original(text: &str, words: &Words) -> usize {
    let head = head_start(text);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let is_ruled =
            line.trim_start().starts_with(['-', '=', '*', '_', '#', '+']) || line.trim_end().ends_with([':', '-', '.']);
        if at > 0 && is_ruled && line.len() < 120 && any(&words.originals, &folded(line)) {
            // A mark only counts with something of a mail behind it.
            let rest = &text[at + line.len()..];
            if head_start(rest).is_some_and(|head| head < 400) || rest.trim().is_empty() {
                return at;
            }
        }
        if head.is_some_and(|head| at >= head) {
            break;
        }
        at += line.len();
    }
    head.filter(|head| *head > 0).unwrap_or(text.len())
}

/// Where a mail's head begins within `text`: the first of three lines in a row that are fields of a mail.
fn head_start(text: &str) -> Option<usize> {
    let (mut at, mut run, mut start, mut is_of_a_mail) = (0, 0, 0, false);
    for line in text.split_inclusive('\n') {
        let name =
            line.split(':').next().filter(|name| name.len() + 1 < line.len() && name.len() < 40).unwrap_or_default();
        let is_field = OF_A_MAIL.contains(&name.trim_end().to_ascii_lowercase().as_str()) && !line.starts_with(' ');
        let goes_on = run > 0 && (line.starts_with([' ', '\t']) || is_any_field(line)) && !line.trim().is_empty();
        if is_field {
            (start, is_of_a_mail) = if run == 0 { (at, false) } else { (start, is_of_a_mail) };
            // A report may list To, Date and Subject of what failed; a head has more.
            is_of_a_mail |= matches!(line.as_bytes(), [b'F' | b'f' | b'R' | b'r' | b'M' | b'm', ..]);
            run += 1;
        } else if !goes_on {
            run = 0;
        }
        let is_surely =
            is_field && (line.starts_with("Received: ") || line.to_ascii_lowercase().starts_with("return-path: <"));
        if (run >= 3 && is_of_a_mail) || is_surely {
            return Some(start);
        }
        at += line.len();
    }
    None
}

fn is_any_field(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| {
        !name.is_empty() && name.len() < 60 && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Split {
        Split::of(&Mail::read(format!("Subject: x\n\n{text}").as_bytes()), &Words::built_in())
    }

    #[test]
    fn the_returned_mail_is_cut_off() {
        let head = "From: a@x.example\nTo: b@y.example\nSubject: hello\n\nwords\n";
        for mark in
            ["", "--- Below this line is a copy of the message.\n\n", "------ This is a copy of your message ------\n"]
        {
            let split = split(&format!("It failed.\n\nTo: nobody\n\n{mark}{head}"));
            assert!(split.report.contains("nobody") && !split.report.contains("hello"), "{split:?}");
            assert_eq!(split.original.get("to"), "b@y.example", "{mark}");
        }
        assert!(split("The original message was received at noon\nb@y.example failed\n").report.contains("failed"));
    }
}
