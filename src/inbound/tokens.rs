//! Our own tokens in what came back: the proof that it is about a mail of ours (see [`crate::base::token`]). They stand
//! in the address it was sent to, in our Message-ID and in our headers, wherever the returned mail kept them.

use super::mime::Mail;
use crate::base::token::{Keyring, Token, Use};

/// Letters of a token in a local part.
const LETTERS: usize = 56;
/// Words that look like a token and are tried, of one mail.
const TRIED_MAX: usize = 1_000;

/// The tokens of ours that a mail carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the mail that it is about.
    pub message: Option<Token>,
    /// Of the mail whose reader asks for no more, because it was sent to the address for that.
    pub unsubscribe: Option<Token>,
}

/// Looks for tokens: in the recipients of the envelope first, then in the head, then in everything that was returned.
pub fn find(raw: &[u8], recipients: &[String], keys: &Keyring) -> Tokens {
    let mail = Mail::read(raw);
    let to = ["delivered-to", "x-original-to", "envelope-to", "to"];
    let heads: Vec<&str> = to.iter().flat_map(|name| mail.head.all(name)).collect();
    let addressed = || recipients.iter().map(String::as_str).chain(heads.iter().copied());
    let parts = mail.parts.iter().map(|part| part.text.as_str());
    Tokens {
        message: first(addressed().chain(parts), Use::Verp, keys),
        unsubscribe: first(addressed(), Use::Unsubscribe, keys),
    }
}

/// The token of a message in what somebody tells about it.
pub fn in_text(text: &str, keys: &Keyring) -> Option<Token> {
    first(std::iter::once(text), Use::Verp, keys)
}

fn first<'t>(texts: impl Iterator<Item = &'t str>, usage: Use, keys: &Keyring) -> Option<Token> {
    let is_letter = |c: char| matches!(c, 'a'..='z' | 'A'..='Z' | '2'..='7');
    let words = texts.flat_map(|text| text.split(move |c| !is_letter(c)));
    words.filter(|word| word.len() == LETTERS).take(TRIED_MAX).find_map(|word| keys.open_local_part(usage, word).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_tokens_are_taken() {
        let keys = Keyring::new(&[(1, [7; 32])]);
        let (ours, theirs) = (Token::of(3, 9), Keyring::new(&[(1, [8; 32])]));
        let verp = keys.seal_local_part(Use::Verp, &ours);
        let mail = format!("From: x\nTo: y\n\nIt failed.\n\nMessage-ID: <{}@shop.example>\n", verp.to_uppercase());
        assert_eq!(find(mail.as_bytes(), &[], &keys).message, Some(ours));
        assert_eq!(find(mail.as_bytes(), &[], &theirs), Tokens::default());
        let stop = keys.seal_local_part(Use::Unsubscribe, &ours);
        let quoted = format!("To: b@x.example\n\nList-Unsubscribe: <mailto:u-{stop}@x.example>\n");
        assert_eq!(find(quoted.as_bytes(), &[], &keys), Tokens::default(), "a quoted way out is no wish");
        assert_eq!(find(b"To: x\n\n", &[format!("u-{stop}@x.example")], &keys).unsubscribe, Some(ours));
    }
}
