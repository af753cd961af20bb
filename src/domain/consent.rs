//! Permission to write to a member about a topic, and who may change it.

use crate::text_enum;

/// Longest name of a topic, bytes.
pub const TOPIC_BYTES_MAX: usize = 40;

text_enum! {
    /// Where a member stands towards a topic. No row at all: never asked, which permits nothing.
    pub enum ConsentState {
        /// May be mailed.
        Granted = "granted",
        /// Asked, and said no.
        Denied = "denied",
        /// Said yes once, and took it back.
        Revoked = "revoked",
    }
}

text_enum! {
    /// What changes a consent, and on whose word.
    pub enum ConsentEvent {
        /// The member said yes: a form, the preference page.
        Granted = "granted",
        /// The member was asked and said no.
        Denied = "denied",
        /// The member took it back: unsubscribe, preference page, complaint.
        Revoked = "revoked",
        /// A file says that the member had said yes elsewhere. It never speaks louder than the member.
        Imported = "imported",
    }
}

impl ConsentState {
    /// The state after `event`, from `now` (`None`: no row). The same state again means that nothing happened.
    pub fn next(now: Option<ConsentState>, event: ConsentEvent) -> ConsentState {
        match (now, event) {
            (_, ConsentEvent::Granted) => ConsentState::Granted,
            (_, ConsentEvent::Denied) => ConsentState::Denied,
            (_, ConsentEvent::Revoked) => ConsentState::Revoked,
            (Some(said), ConsentEvent::Imported) => said,
            (None, ConsentEvent::Imported) => ConsentState::Granted,
        }
    }
}

/// Whether `text` may name a topic: lower-case ASCII letters, digits, `-` and `_`, and not `all`, which is the scope of
/// a suppression that covers every topic.
pub fn is_topic(text: &str) -> bool {
    let named = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    !text.is_empty() && text.len() <= TOPIC_BYTES_MAX && text.bytes().all(named) && text != "all"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_never_overrules_a_member() {
        use ConsentState as S;
        assert_eq!(S::next(None, ConsentEvent::Imported), S::Granted);
        assert_eq!(S::next(Some(S::Revoked), ConsentEvent::Imported), S::Revoked);
        assert_eq!(S::next(Some(S::Denied), ConsentEvent::Imported), S::Denied);
        assert_eq!(S::next(Some(S::Revoked), ConsentEvent::Granted), S::Granted);
    }

    #[test]
    fn topics_are_plain_words() {
        assert!(is_topic("offers") && is_topic("member-day_2"));
        assert!(!is_topic("all") && !is_topic("") && !is_topic("Offers") && !is_topic("a b") && !is_topic("a;b"));
    }
}
