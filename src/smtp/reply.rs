//! Server replies: read from untrusted bytes within bounds, and with as few allocations as a text needs.

use std::fmt;

use memchr::memchr;

use crate::base::text::{clean, mask_addresses};

/// Longest line of a reply that is kept, bytes (RFC 5321 §4.5.3.1.5). The rest of a longer line is dropped, not
/// refused: after the dot an unreadable 250 would be a mail in doubt.
const LINE_BYTES_MAX: usize = 512;
/// Most lines of a reply that are kept.
const LINES_MAX: usize = 100;
/// Longest whole reply; a server that sends more breaks the protocol.
pub(super) const REPLY_BYTES_MAX: usize = 64 * 1024;

/// An enhanced status code (RFC 3463): class, subject, detail.
pub type Enhanced = (u8, u16, u16);

/// A server's reply: `250 2.0.0 Ok` and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200..=599.
    pub code: u16,
    /// The enhanced status code, when the text began with one of the same class.
    pub enhanced: Option<Enhanced>,
    /// The text without codes, lines joined by `\n`. Not UTF-8 is replaced; control characters stand as they came.
    pub text: String,
}

impl Reply {
    /// The server is closing the connection (RFC 5321 §3.8).
    pub fn is_421(&self) -> bool {
        self.code == 421
    }

    pub fn positive(&self) -> bool {
        self.code / 100 == 2
    }

    pub fn transient(&self) -> bool {
        self.code / 100 == 4
    }

    pub fn permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The enhanced code as text, `5.1.1`.
    pub fn enhanced_text(&self) -> Option<String> {
        self.enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail}"))
    }

    /// Reads the first reply of `bytes`: it and its length, or `None` while its last line has not come.
    ///
    /// # Errors
    /// What makes the bytes no SMTP reply.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
        let mut text = String::new();
        let mut enhanced = None;
        let mut at = 0;
        for number in 0.. {
            let Some(end) = memchr(b'\n', &bytes[at..]) else {
                return if bytes.len() > REPLY_BYTES_MAX { Err("a reply without end".to_owned()) } else { Ok(None) };
            };
            let line = Line::parse(&bytes[at..at + end])?;
            at += end + 1;
            if number == 0 {
                enhanced = line.enhanced;
            }
            if number < LINES_MAX {
                if number > 0 {
                    text.push('\n');
                }
                text.push_str(&String::from_utf8_lossy(line.text));
            }
            if line.last {
                return Ok(Some((Reply { code: line.code, enhanced, text }, at)));
            }
        }
        unreachable!("the loop ends with its bytes")
    }
}

/// For logs and people: one line, its addresses masked.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some((class, subject, detail)) = self.enhanced {
            write!(f, " {class}.{subject}.{detail}")?;
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, " {}", mask_addresses(&clean(&self.text, LINE_BYTES_MAX))) }
    }
}

struct Line<'a> {
    code: u16,
    last: bool,
    enhanced: Option<Enhanced>,
    text: &'a [u8],
}

impl Line<'_> {
    fn parse(line: &[u8]) -> Result<Line<'_>, String> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = &line[..line.len().min(LINE_BYTES_MAX)];
        let refused =
            || format!("{:?} is no reply", mask_addresses(&String::from_utf8_lossy(&line[..line.len().min(40)])));
        let [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = line else {
            return Err(refused());
        };
        let code = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(refused()),
        };
        let (enhanced, text) = match enhanced(text, a - b'0') {
            Some((enhanced, text)) => (Some(enhanced), text),
            None => (None, text),
        };
        Ok(Line { code, last, enhanced, text })
    }
}

/// The enhanced status code at the head of `text`, if its class is that of the basic code (RFC 2034 §4).
fn enhanced(text: &[u8], class: u8) -> Option<(Enhanced, &[u8])> {
    let rest = text.strip_prefix(&[b'0' + class, b'.'])?;
    let (subject, rest) = number(rest)?;
    let (detail, rest) = number(rest.strip_prefix(b".")?)?;
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(b" ")? };
    Some(((class, subject, detail), rest))
}

/// One to three digits.
fn number(text: &[u8]) -> Option<(u16, &[u8])> {
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let value = text[..digits].iter().fold(0u32, |sum, c| (sum * 10 + u32::from(c - b'0')).min(9999));
    (1..=3).contains(&digits).then(|| (value as u16, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Reply, usize) {
        Reply::parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn codes_and_text_come_apart() {
        let (reply, used) = read("250 2.0.0 Ok: queued as 4F\r\n354 go\r\n");
        assert_eq!(reply, Reply { code: 250, enhanced: Some((2, 0, 0)), text: "Ok: queued as 4F".into() });
        assert_eq!(used, "250 2.0.0 Ok: queued as 4F\r\n".len());
        assert_eq!(read("354\r\n").0, Reply { code: 354, enhanced: None, text: String::new() });
        assert_eq!(read("550 4.1.1 other class\r\n").0.enhanced, None);
        assert_eq!(read("250 2.0.0.1 no code\r\n").0.text, "2.0.0.1 no code");
        assert_eq!(read("550 5.7.515\r\n").0.enhanced, Some((5, 7, 515)));
    }

    #[test]
    fn lines_join_and_lose_their_codes() {
        let (reply, _) = read("550-5.1.1 no such\r\n550 5.1.1 user\r\n");
        assert_eq!((reply.text.as_str(), reply.enhanced), ("no such\nuser", Some((5, 1, 1))));
        assert_eq!(reply.to_string(), "550 5.1.1 no such user");
        assert_eq!(read("550 <anna@x.example>: who?\r\n").0.to_string(), "550 <a***@x.example>: who?");
    }

    #[test]
    fn a_reply_is_awaited_until_its_last_line() {
        for part in ["", "2", "250", "250-a\r\n", "250-a\r\n250 b\r"] {
            assert_eq!(Reply::parse(part.as_bytes()), Ok(None), "{part:?}");
        }
    }

    #[test]
    fn too_much_is_cut_and_nonsense_refused() {
        assert_eq!(read(&format!("250 {}\r\n", "x".repeat(9000))).0.text.len(), LINE_BYTES_MAX - 4);
        assert_eq!(read(&("250-x\r\n".repeat(500) + "250 y\r\n")).0.text.lines().count(), LINES_MAX);
        assert!(Reply::parse("250-x\r\n".repeat(20_000).as_bytes()).is_err());
        for nonsense in ["HTTP/1.1 400\r\n", "199 x\r\n", "2500 x\r\n", "\r\n", "25\r\n", "650 x\r\n"] {
            assert!(Reply::parse(nonsense.as_bytes()).is_err(), "{nonsense:?}");
        }
    }
}
