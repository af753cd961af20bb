//! When in the conversation a server refused: whoever names a user unknown only after taking the recipient hides a
//! filter, and whoever refuses the greeting knows no recipient at all.

use super::words::folded;
use crate::domain::bounce::Step;

/// How reports name the step in words.
const SAYS: [(Step, &[&str]); 3] = [
    (
        Step::Data,
        &[
            "in reply to data",
            "in reply to end of data",
            "after end of data",
            "end of data command",
            "after i sent the message",
            "after data",
            "response to data",
            "smtp command data",
            "(data)",
            "[data]",
            "sending data",
            "during data",
        ],
    ),
    (
        Step::Rcpt,
        &[
            "in reply to rcpt",
            "after rcpt",
            "rcpt to command",
            "rcpt command",
            "rcpt to response",
            "our rcpt to",
            "does not like recipient",
            "[rcpt_to]",
            "smtp:rcpt",
            "response to rcpt",
            "smtp command rcpt",
            "(rcpt to)",
            "during rcpt",
            "for rcpt to",
            "command: rcpt",
            "rcpt to:<",
        ],
    ),
    (
        Step::Before,
        &[
            "in reply to mail",
            "after mail from",
            "in reply to ehlo",
            "in reply to helo",
            "after ehlo",
            "after helo",
            "initial connection",
            "[mail_from]",
            "my name was rejected",
            "sender was rejected",
            "mail from command",
            "refused to talk to me",
            "while sending mail from",
        ],
    ),
];

/// The step a text tells of.
pub fn of(text: &str) -> Option<Step> {
    // A transcript: the last command before the first refusal.
    let mut last = "";
    for line in text.lines().map(str::trim) {
        if let Some(command) = line.strip_prefix(">>>").or(line.strip_prefix("In:")) {
            last = command.trim();
        } else if !last.is_empty() {
            let reply = line.strip_prefix("<<<").or(line.strip_prefix("Out:"));
            if reply.is_some_and(|reply| reply.trim_start().starts_with(['4', '5'])) {
                break;
            }
        }
    }
    let command = last.get(..4).unwrap_or(last).to_ascii_lowercase();
    match command.as_str() {
        "data" | "." | "bdat" => return Some(Step::Data),
        "rcpt" => return Some(Step::Rcpt),
        "mail" | "ehlo" | "helo" => return Some(Step::Before),
        _ => {}
    }
    let said = folded(text);
    SAYS.iter().find(|(_, says)| says.iter().any(|words| said.contains(words))).map(|(step, _)| *step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_is_known_by_words_and_by_transcripts() {
        assert_eq!(of("550 user unknown (in reply to RCPT TO command)"), Some(Step::Rcpt));
        assert_eq!(
            of("... while talking to mx:\n>>> RCPT To:<a@b.example>\n<<< 250 ok\n>>> DATA\n<<< 550 unknown\n"),
            Some(Step::Data)
        );
        assert_eq!(of("SMTP error from remote mail server after MAIL FROM:<a@b.example>"), Some(Step::Before));
        assert_eq!(of("550 user unknown"), None);
    }
}
