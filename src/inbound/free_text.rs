//! Bounces in a mailer's own words. What all of them have in common: somebody who is no person writes that something
//! was not delivered, and names the address at the start of a line, after a label, or in the dialogue with the next
//! server; then comes the mail itself, which is not looked at for it.

use super::address::{self, Found};
use super::dsn::{codes, without_codes};
use super::mime::Mail;
use super::split::Split;
use super::words::{Words, any, folded};
use super::{Action, RECIPIENTS_MAX, Recipient, step};

/// Of a longer report only so much is searched for what it says about an address, bytes.
const REPORT_BYTES_MAX: usize = 64 * 1024;
/// Lines after an address that may be about it.
const ABOUT_LINES_MAX: usize = 14;
/// Of a longer line only so much is read, bytes.
const LINE_BYTES_MAX: usize = 2_000;

/// How an address stands in its line: the plainer, the surer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The line begins with it.
    Leads,
    /// A label stands before it.
    Labelled,
    /// In a dialogue: `RCPT TO:<…>`, `550 <…>… no such user`.
    Quoted,
    /// Somewhere in a sentence.
    Inline,
}

struct Candidate {
    address: String,
    rank: Rank,
}

/// The recipients of a bounce; none when the mail is no bounce.
pub fn read(mail: &Mail, split: &Split, words: &Words) -> Vec<Recipient> {
    if !is_bounce(mail, split, words) {
        return Vec::new();
    }
    let mut named: Vec<String> = Vec::new();
    for found in mail.head.all("x-failed-recipients").flat_map(address::find) {
        push(&mut named, found.text);
    }
    if named.is_empty() {
        named = failed(mail, split, words);
    }
    let report = folded(&split.report);
    let is_delayed = any(&words.delays, &report) || any(&words.delays, &folded(mail.head.get("subject")));
    let action = if is_delayed { Action::Delayed } else { Action::Failed };
    let is_alone = named.len() == 1;
    let recipient = |address: String| {
        let words = match about(&split.report, &address) {
            words if words.trim().is_empty() && is_alone => split.report.clone(),
            words => words,
        };
        let (mut code, mut enhanced) = codes(&words);
        if code.is_none() && enhanced.is_none() {
            (code, enhanced) = codes(&split.report);
        }
        let context = format!("{}\n{}", mail.head.get("subject"), split.report);
        let step = step::of(&words).or_else(|| step::of(if is_alone { &split.report } else { "" }));
        Recipient { address, action, code, enhanced, words: without_codes(&words), context, step }
    };
    named.into_iter().take(RECIPIENTS_MAX).map(recipient).collect()
}

/// Whether a mail says of itself that something was not delivered.
fn is_bounce(mail: &Mail, split: &Split, words: &Words) -> bool {
    let head = &mail.head;
    if head.has("x-failed-recipients") {
        return true;
    }
    let writer = folded(&format!("{} {} {}", head.get("from"), head.get("sender"), head.get("return-path")));
    let is_daemon = any(&words.daemons, &writer);
    let is_null = head.get("return-path").trim() == "<>";
    let by_subject = any(&words.subjects, &folded(head.get("subject")));
    let by_words = any(&words.failures, &folded(&split.report));
    (is_daemon || is_null) && (by_subject || by_words) || by_subject && by_words
}

/// The addresses a report says failed.
fn failed(mail: &Mail, split: &Split, words: &Words) -> Vec<String> {
    let candidates = candidates(&split.report, words);
    // The report is addressed to whoever sent the mail, which is rarely whom it is about.
    let senders: Vec<String> = ["to", "from", "sender", "reply-to"]
        .iter()
        .flat_map(|name| mail.head.all(name))
        .flat_map(address::find)
        .map(|found| found.text)
        .collect();
    let is_sender = |address: &str| senders.iter().any(|sender| sender.eq_ignore_ascii_case(address));
    for rank in [Rank::Leads, Rank::Labelled, Rank::Quoted, Rank::Inline] {
        let mut named = Vec::new();
        for candidate in candidates.iter().filter(|candidate| candidate.rank == rank && !is_sender(&candidate.address))
        {
            push(&mut named, candidate.address.clone());
        }
        if !named.is_empty() {
            return named;
        }
    }
    if let Some(address) = of_original(split).filter(|address| !is_sender(address)) {
        return vec![address];
    }
    // A mail to oneself.
    candidates
        .into_iter()
        .min_by_key(|candidate| candidate.rank)
        .map(|candidate| candidate.address)
        .into_iter()
        .collect()
}

/// The one address that the words, or else the returned mail, name; for a report that names a person by other means.
pub fn address_in(split: &Split, words: &Words) -> Option<String> {
    let candidates = candidates(&split.report, words);
    let first = candidates.into_iter().min_by_key(|candidate| candidate.rank).map(|candidate| candidate.address);
    first.or_else(|| of_original(split))
}

/// Whom the returned mail was for, if that was one address.
fn of_original(split: &Split) -> Option<String> {
    for name in ["x-original-to", "delivered-to", "to"] {
        let mut found: Vec<String> = Vec::new();
        for address in split.original.all(name).flat_map(address::find) {
            push(&mut found, address.text);
        }
        if found.len() == 1 {
            return found.pop();
        }
    }
    None
}

fn push(named: &mut Vec<String>, address: String) {
    if named.len() < RECIPIENTS_MAX && !named.iter().any(|known| known.eq_ignore_ascii_case(&address)) {
        named.push(address);
    }
}

fn lines(report: &str) -> impl Iterator<Item = &str> {
    report[..report.floor_char_boundary(REPORT_BYTES_MAX)]
        .lines()
        .map(|line| &line[..line.floor_char_boundary(LINE_BYTES_MAX)])
}

fn candidates(report: &str, words: &Words) -> Vec<Candidate> {
    let mut out = Vec::new();
    for line in lines(report).filter(|line| line.contains('@')) {
        for found in address::find(line) {
            if let Some(rank) = rank(line, &found, words) {
                out.push(Candidate { address: found.text, rank });
            }
        }
    }
    out
}

/// How an address stands in its line; `None`: it is somebody else's.
fn rank(line: &str, found: &Found, words: &Words) -> Option<Rank> {
    let before = line[..found.from].trim_end_matches(['<', '"', '(', '[', '\'', '「', '`']).trim();
    let after = &line[found.to..];
    let said = folded(before);
    // Domain parts of message ids, and what only looks like an address.
    if any(&words.not_recipients, &said) {
        return None;
    }
    let is_bullet = before.chars().all(|c| !c.is_alphanumeric() || c.is_ascii_digit()) && before.len() <= 8;
    if is_bullet {
        return Some(Rank::Leads);
    }
    if said.contains("rcpt to") || said.contains(">>> rcpt") {
        return Some(Rank::Quoted);
    }
    let label = said.trim_end_matches([':', '=', '-', '：', ' ', '>']);
    let is_labelled = label.len() < said.len() || said.is_empty();
    if is_labelled && words.labels.iter().any(|word| label.ends_with(word.as_str())) {
        return Some(Rank::Labelled);
    }
    // A name before its address: `"Anna" <anna@x.example>`.
    if found.is_bracketed
        && before.split_whitespace().count() <= 4
        && after.trim_start_matches('>').trim().is_empty()
        && !before.contains(':')
    {
        return Some(Rank::Labelled);
    }
    let is_reply = codes(before).0.is_some() || after.trim_start_matches('>').starts_with("...");
    Some(if is_reply { Rank::Quoted } else { Rank::Inline })
}

/// What a report says about one address: its line and those after it, up to the next address that leads a line.
pub fn about(report: &str, address: &str) -> String {
    let address = address.to_ascii_lowercase();
    let all: Vec<&str> = lines(report).collect();
    let names = |line: &str| line.to_ascii_lowercase().contains(&address);
    let Some(first) = all.iter().position(|line| names(line)) else { return String::new() };
    // In a transcript each reply stands for itself.
    let is_reply =
        |line: &str| matches!(line.trim_start().as_bytes(), [b'4' | b'5', b'0'..=b'9', b'0'..=b'9', b' ' | b'-', ..]);
    let is_transcript = is_reply(all[first]);
    let mut out = String::new();
    for (nth, line) in all[first..].iter().take(ABOUT_LINES_MAX).enumerate() {
        let leads = |found: &Found| !line[..found.from].contains(char::is_alphabetic);
        let is_other = nth > 0 && !names(line) && address::find(line).first().is_some_and(leads);
        if is_other || (nth > 0 && is_transcript && is_reply(line)) {
            break;
        }
        out.push_str(line.trim());
        out.push('\n');
    }
    out
}
