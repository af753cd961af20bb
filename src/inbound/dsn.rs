//! Delivery status notifications (RFC 3464, RFC 6533): fields about the mail, then fields about each recipient. Read
//! wherever the fields stand, because gateways lose the structure around them.

use super::mime::{Leaf, Mail};
use super::split::Split;
use super::words::{Words, any, folded};
use super::{Action, RECIPIENTS_MAX, Recipient, address, free_text, step};
use crate::domain::bounce::{Enhanced, read_enhanced};

/// Fields of one recipient.
#[derive(Debug, Default)]
struct Fields {
    finally: Option<String>,
    originally: Option<String>,
    action: String,
    status: String,
    diagnostic: String,
    /// Which field a line without a name goes on with.
    last: Last,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Last {
    #[default]
    Other,
    Diagnostic,
}

/// The recipients of a report; none when the mail is no such report.
pub fn read(mail: &Mail, split: &Split, words: &Words) -> Vec<Recipient> {
    let mut text = mail.text_of(Leaf::Status);
    if !names_a_recipient(&text) {
        // The part's type was lost, or the fields stand in plain text.
        text = if names_a_recipient(&split.report) { split.report.clone() } else { String::new() };
    }
    let groups = groups(&text);
    let is_alone = groups.len() == 1;
    let mut recipients: Vec<Recipient> = Vec::new();
    for fields in groups.into_iter().take(RECIPIENTS_MAX) {
        let Some(recipient) = fields.recipient(split, words, is_alone) else { continue };
        match recipients.iter_mut().find(|known| known.address.eq_ignore_ascii_case(&recipient.address)) {
            Some(known) => known.context.push_str(&format!("\n{}", recipient.words)),
            None => recipients.push(recipient),
        }
    }
    recipients
}

fn names_a_recipient(text: &str) -> bool {
    text.lines().any(|line| matches!(name_and_value(line), Some((name, _)) if name.ends_with("-recipient") && name != "x-actual-recipient"))
}

fn name_and_value(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim();
    let is_name = !name.is_empty() && name.len() <= 40 && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    is_name.then(|| (name.to_ascii_lowercase(), value.trim()))
}

/// The recipients' fields: a group ends with an empty line, or where a field begins that the group has.
fn groups(text: &str) -> Vec<Fields> {
    let mut groups = Vec::new();
    let mut fields = Fields::default();
    for line in text.lines() {
        let is_new = match name_and_value(line).filter(|_| !line.starts_with([' ', '\t'])) {
            None if line.trim().is_empty() => fields.is_complete(),
            Some((name, _)) => fields.has(&name),
            None => false,
        };
        if is_new {
            groups.push(std::mem::take(&mut fields));
        }
        fields.take(line);
    }
    groups.push(fields);
    groups.retain(|fields| fields.finally.is_some() || fields.originally.is_some());
    groups
}

impl Fields {
    fn is_complete(&self) -> bool {
        (self.finally.is_some() || self.originally.is_some()) && (!self.action.is_empty() || !self.status.is_empty())
    }

    fn has(&self, name: &str) -> bool {
        match name {
            "final-recipient" => self.finally.is_some(),
            "original-recipient" => self.originally.is_some() && self.finally.is_some(),
            _ => false,
        }
    }

    fn take(&mut self, line: &str) {
        let indented = line.starts_with([' ', '\t']);
        let Some((name, value)) = name_and_value(line).filter(|_| !indented) else {
            if self.last == Last::Diagnostic && !line.trim().is_empty() {
                self.diagnostic.push(' ');
                self.diagnostic.push_str(line.trim());
            }
            return;
        };
        self.last = Last::Other;
        match name.as_str() {
            "final-recipient" => self.finally = Some(value.to_owned()),
            "original-recipient" => self.originally = Some(value.to_owned()),
            "x-actual-recipient" if self.originally.is_none() => self.originally = Some(value.to_owned()),
            "action" => self.action = value.to_ascii_lowercase(),
            "status" => self.status = value.to_owned(),
            "diagnostic-code" => {
                // Some mailers write several; they add up.
                self.diagnostic.push(' ');
                self.diagnostic.push_str(value);
                self.last = Last::Diagnostic;
            }
            // "550-5.1.1 …": a folded diagnostic that lost its white space.
            _ if name.starts_with(|c: char| c.is_ascii_digit()) => self.diagnostic.push_str(line),
            _ => {}
        }
    }

    fn recipient(&self, split: &Split, words: &Words, is_alone: bool) -> Option<Recipient> {
        let named = [&self.finally, &self.originally].into_iter().flatten().find_map(|value| address::of_field(value));
        let address = match named {
            Some(address) => address,
            // A name that is no address: the words around, or the returned mail, say whose it is.
            None if is_alone => free_text::address_in(split, words)?,
            None => return None,
        };
        let action = match self.action.split([' ', ';', '(']).next().unwrap_or_default() {
            "delivered" | "relayed" | "expanded" | "deliverable" => Action::Delivered,
            "delayed" => Action::Delayed,
            "failed" => Action::Failed,
            _ if self.status.starts_with('2') => Action::Delivered,
            _ if any(&words.delays, &folded(&split.report)) => Action::Delayed,
            _ => Action::Failed,
        };
        let diagnostic = self.whole_diagnostic(&split.report);
        let mut context = free_text::about(&split.report, &address);
        let (code, quoted) = codes(if diagnostic.is_empty() { &context } else { &diagnostic });
        let enhanced = quoted
            .filter(|(_, subject, detail)| (*subject, *detail) != (0, 0))
            .or(read_enhanced(self.status.trim()))
            .or(quoted);
        let step = step::of(&format!("{diagnostic}\n{context}"))
            .or_else(|| step::of(if is_alone { &split.report } else { "" }));
        if is_alone {
            context.push_str(&split.report);
        }
        let diagnostic = if diagnostic.is_empty() { context.clone() } else { diagnostic };
        Some(Recipient { address, action, code, enhanced, words: without_codes(&diagnostic), context, step })
    }

    /// The diagnostic; where it stops after the first line of a longer reply, the rest as the report quotes it.
    fn whole_diagnostic(&self, report: &str) -> String {
        let diagnostic = self.diagnostic.trim();
        let reply = diagnostic.split_once(';').map_or(diagnostic, |(_, reply)| reply.trim());
        let is_cut =
            matches!(reply.as_bytes(), [b'4' | b'5', b, c, b'-', ..] if b.is_ascii_digit() && c.is_ascii_digit());
        let Some(code) = reply.get(..3).filter(|_| is_cut) else { return diagnostic.to_owned() };
        let bare = report.lines().map(|line| line.trim_start_matches(['<', '>', ' ', '|', '\t']));
        let quoted = bare.filter(|line| line.starts_with(code)).take(20).collect::<Vec<_>>().join(" ");
        if quoted.len() > reply.len() { format!("smtp; {quoted}") } else { diagnostic.to_owned() }
    }
}

/// What a server said without the codes that begin each line of a longer reply.
pub fn without_codes(text: &str) -> String {
    let is_code = |word: &str| matches!(word.as_bytes(), [b'4' | b'5', b'0'..=b'9', b'0'..=b'9', b'-', ..]);
    let words = text.split_whitespace().map(|word| match is_code(word) {
        true if read_enhanced(&word[4..]).is_some() => "",
        true => &word[4..],
        false => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The first basic and the first enhanced code quoted in a text.
pub fn codes(text: &str) -> (Option<u16>, Option<Enhanced>) {
    let (mut code, mut enhanced) = (None, None);
    let mut was_word = false;
    for (at, c) in text.char_indices() {
        let is_start = matches!(c, '4' | '5') && !was_word;
        was_word = c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '@' | '_') && was_word && c != '-';
        if !is_start {
            continue;
        }
        let rest = &text[at..];
        if enhanced.is_none() {
            enhanced = read_enhanced(rest).filter(|(.., detail)| *detail < 1_000);
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let after = rest.as_bytes().get(3).copied().unwrap_or(b' ');
        let is_code =
            digits == 3 && matches!(after, b' ' | b'-' | b':' | b'\n' | b',' | b')' | b';' | b'"' | b'.' | b'<' | b']');
        let is_version = after == b'.' && rest.as_bytes().get(4).is_some_and(u8::is_ascii_digit);
        if code.is_none() && is_code && !is_version && rest.as_bytes()[1] <= b'7' {
            code = rest[..3].parse().ok();
        }
    }
    (code, enhanced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_what_servers_said() {
        assert_eq!(codes("smtp; 550-5.1.1 no such user"), (Some(550), Some((5, 1, 1))));
        assert_eq!(codes("host 1.5.1.1 said: 554 (#5.7.1)"), (Some(554), Some((5, 7, 1))));
        assert_eq!(codes("at 10:45 on port 5000, version 4.7"), (None, None));
        assert_eq!(codes("[192.0.2.450] x550 y"), (None, None));
    }

    #[test]
    fn groups_are_told_apart_with_and_without_empty_lines() {
        let one = "Final-Recipient : rfc822; a@x.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550\n  gone\n";
        let two = "Final-Recipient: rfc822; b@x.example\nAction: delayed\nStatus: 4.4.1\n";
        for gap in ["", "\n", "\n\n"] {
            let groups = groups(&format!("Reporting-MTA: dns; x\n\n{one}{gap}{two}"));
            assert_eq!(groups.len(), 2, "{gap:?}");
            assert_eq!(groups[0].diagnostic.trim(), "smtp; 550 gone");
        }
    }
}
