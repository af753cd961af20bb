//! The wire forms of text: folded headers, encoded words (RFC 2047), quoted-printable and base64 (RFC 2045).
//! Everything written here is ASCII with CRLF line ends.

use data_encoding::{BASE64, BASE64_MIME};

/// Where header lines fold, characters without CRLF (RFC 5322 §2.1.1).
const FOLD_AT: usize = 78;
/// UTF-8 bytes in one encoded word: with its frame and `Subject: ` before it, a line stays within 78.
const WORD_BYTES: usize = 42;
/// Longest encoded line of a body, characters without CRLF.
const BODY_LINE: usize = 76;

/// Writes `name: value` and CRLF to `out`, folded at spaces. `value` is ASCII without line ends.
pub fn fold_into(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push(':');
    let mut column = name.len() + 1;
    for (n, word) in value.split(' ').enumerate() {
        // The first word stays on the header's line: a line of white space alone is not allowed.
        if n > 0 && column + 1 + word.len() > FOLD_AT {
            out.push_str("\r\n");
            column = 0;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push_str("\r\n");
}

/// Text of an unstructured header: as it is where it is plain ASCII, else encoded words joined by spaces.
pub fn unstructured(text: &str) -> String {
    let plain = text.bytes().all(|c| (b' '..=b'~').contains(&c)) && !text.contains("=?");
    // A word too long to fold, or white space that folding would lose, is encoded too.
    let folds = text.split(' ').all(|word| word.len() < 60) && text.trim() == text && !text.contains("  ");
    if plain && folds { text.to_owned() } else { encoded_words(text) }
}

/// A display name before an address: atoms, a quoted string or encoded words.
pub fn display_name(text: &str) -> String {
    let atoms = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~ ".contains(&c);
    if !text.is_ascii() || text.contains("=?") || text.split(' ').any(|word| word.len() > 60) {
        encoded_words(text)
    } else if text.bytes().all(atoms) && !text.contains("  ") {
        text.trim().to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// RFC 2047 words in base64, split on character boundaries (§5: each must decode by itself).
fn encoded_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(WORD_BYTES));
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str("=?utf-8?B?");
        BASE64.encode_append(word.as_bytes(), &mut out);
        out.push_str("?=");
        rest = after;
    }
    out
}

/// A body in the smaller of quoted-printable and base64; returns the encoding's name.
pub fn smaller(body: &[u8]) -> &'static str {
    // Line ends are counted as escaped here: the little they add is the same for every choice that matters.
    let escaped: usize =
        body.chunks(128).map(|chunk| usize::from(chunk.iter().map(|c| u8::from(!is_plain(*c))).sum::<u8>())).sum();
    let quoted = body.len() + 2 * escaped;
    let quoted = quoted + quoted / (BODY_LINE - 1) * 3;
    let based = body.len().div_ceil(3) * 4;
    let based = based + based / BODY_LINE * 2;
    if quoted <= based { "quoted-printable" } else { "base64" }
}

/// Appends `body` in `encoding`, ending in CRLF.
pub fn body_into(out: &mut Vec<u8>, body: &[u8], encoding: &str) {
    if encoding == "base64" {
        let from = out.len();
        out.resize(from + BASE64_MIME.encode_len(body.len()), 0);
        BASE64_MIME.encode_mut(body, &mut out[from..]);
    } else {
        quoted_printable(out, body);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether a byte stands for itself in quoted-printable, white space at a line's end aside. Written without branches,
/// so that sixteen are judged at once.
const fn is_plain(c: u8) -> bool {
    (c.wrapping_sub(b' ') <= b'~' - b' ' && c != b'=') | (c == b'\t')
}

/// How many plain bytes `text` starts with.
fn plain_len(text: &[u8]) -> usize {
    let (whole, _) = text.as_chunks::<16>();
    let chunks = whole.iter().take_while(|chunk| chunk.iter().fold(true, |all, c| all & is_plain(*c))).count();
    let rest = &text[chunks * 16..];
    chunks * 16 + rest.iter().position(|c| !is_plain(*c)).unwrap_or(rest.len())
}

fn quoted_printable(out: &mut Vec<u8>, body: &[u8]) {
    out.reserve(body.len() + body.len() / 16);
    let mut column = 0;
    let mut at = 0;
    while at < body.len() {
        let len = plain_len(&body[at..]);
        let mut run = &body[at..at + len];
        at += len;
        let next = body.get(at).copied();
        let ends_line = matches!(next, None | Some(b'\n' | b'\r'));
        let blank = run.last().copied().filter(|last| ends_line && matches!(last, b' ' | b'\t'));
        run = &run[..run.len() - usize::from(blank.is_some())];
        plain_run(out, run, &mut column);
        blank.into_iter().for_each(|blank| escape(out, blank, &mut column));
        match next {
            Some(b'\n') => line_end(out, &mut column),
            Some(b'\r') if body.get(at + 1) == Some(&b'\n') => {}
            Some(c) => escape(out, c, &mut column),
            None => {}
        }
        at += 1;
    }
}

fn plain_run(out: &mut Vec<u8>, mut run: &[u8], column: &mut usize) {
    while *column + run.len() > BODY_LINE - 1 {
        let (head, tail) = run.split_at(BODY_LINE - 1 - *column);
        out.extend_from_slice(head);
        soft_break(out, column);
        run = tail;
    }
    out.extend_from_slice(run);
    *column += run.len();
}

fn escape(out: &mut Vec<u8>, c: u8, column: &mut usize) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if *column + 3 > BODY_LINE - 1 {
        soft_break(out, column);
    }
    out.extend_from_slice(&[b'=', HEX[usize::from(c >> 4)], HEX[usize::from(c & 15)]]);
    *column += 3;
}

fn soft_break(out: &mut Vec<u8>, column: &mut usize) {
    out.extend_from_slice(b"=\r\n");
    *column = 0;
}

fn line_end(out: &mut Vec<u8>, column: &mut usize) {
    out.extend_from_slice(b"\r\n");
    *column = 0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_body_comes_back_from_either_encoding(body in "(\\PC| |\t|\n|=|[a-z]{0,90}){0,60}") {
            for encoding in ["quoted-printable", "base64"] {
                let mut wire = Vec::new();
                body_into(&mut wire, body.as_bytes(), encoding);
                prop_assert!(wire.is_ascii());
                prop_assert!(wire.split(|c| *c == b'\n').all(|line| line.len() <= BODY_LINE + 1));
                let mail = [format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n").into_bytes(), wire].concat();
                let parsed = mail_parser::MessageParser::default().parse(&mail[..]).unwrap();
                let back = parsed.body_text(0).unwrap_or_default().replace("\r\n", "\n");
                prop_assert_eq!(back.trim_end_matches('\n'), body.trim_end_matches('\n'));
            }
        }

        #[test]
        fn a_subject_comes_back(subject in "\\PC{1,200}") {
            let subject = crate::base::text::clean(&subject, 400);
            prop_assume!(!subject.is_empty());
            let mut head = String::new();
            fold_into(&mut head, "Subject", &unstructured(&subject));
            prop_assert!(head.is_ascii() && head.split("\r\n").all(|line| line.len() <= 78), "{}", head);
            let parsed = mail_parser::MessageParser::default().parse(head.as_bytes()).unwrap();
            prop_assert_eq!(parsed.subject().unwrap_or_default(), subject);
        }
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert_eq!(display_name("Aurelle Home"), "Aurelle Home");
        assert_eq!(display_name("Aurelle, Inc."), "\"Aurelle, Inc.\"");
        assert_eq!(display_name("Дом"), "=?utf-8?B?0JTQvtC8?=");
    }
}
