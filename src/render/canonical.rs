//! The relaxed forms that DKIM signs (RFC 6376 §3.4.2 and §3.4.4): header fields as text, the body straight into its
//! hash.

use aws_lc_rs::digest::{Context, Digest, SHA256};

/// What is gathered before it is hashed: a mail with indented HTML comes in pieces of forty bytes.
const GATHERED_BYTES: usize = 4_096;
/// Bytes looked at in one step.
const STEP: usize = 32;

/// The fields of a mail's head, each with its folds and without its last CRLF, and the body.
pub fn fields_and_body(mail: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut fields = Vec::with_capacity(24);
    let (mut from, mut at) = (0, 0);
    while let Some(end) = memchr::memchr(b'\n', &mail[at..]).map(|found| at + found) {
        at = end + 1;
        let field = mail[from..end].strip_suffix(b"\r").unwrap_or(&mail[from..end]);
        if field.is_empty() {
            return (fields, &mail[at..]);
        }
        // A blank begins a fold, unless the line before it was the empty one.
        if !mail.get(at).copied().is_some_and(is_blank) {
            fields.push(field);
            from = at;
        }
    }
    (fields, &[])
}

/// A field's name as it was written.
pub fn name_of(field: &[u8]) -> &[u8] {
    let name = field.split(|c| *c == b':').next().unwrap_or_default();
    name.trim_ascii_end()
}

/// Appends the relaxed form of one field, without CRLF.
pub fn field_into(out: &mut Vec<u8>, field: &[u8]) {
    let name = name_of(field);
    out.extend(name.iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let colon = memchr::memchr(b':', field).map_or(field.len(), |colon| colon + 1);
    let words = field[colon..].split(|c| is_blank(*c) || matches!(c, b'\r' | b'\n')).filter(|word| !word.is_empty());
    for (n, word) in words.enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// The hash of a body's relaxed form: what needs no change goes into it as it lies there.
pub fn body_hash(body: &[u8]) -> Digest {
    let end = body.iter().rposition(|c| !is_blank(*c) && !matches!(c, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let body = &body[..end];
    let mut hash = Gather::new();
    let mut from = 0;
    while let Some(odd) = odd_blank(body, from) {
        hash.add(&body[from..odd]);
        from = odd + body[odd..].iter().take_while(|c| is_blank(**c)).count();
        if !body[from..].starts_with(b"\r\n") {
            hash.add(b" ");
        }
    }
    hash.add(&body[from..]);
    if end > 0 {
        hash.add(b"\r\n");
    }
    hash.finish()
}

const fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t')
}

/// Whether a blank before `next` is not already what the relaxed form has there. Without branches, so that many are
/// judged at once.
const fn is_odd(c: u8, next: u8) -> bool {
    (c == b'\t') | ((c == b' ') & ((next == b' ') | (next == b'\t') | (next == b'\r')))
}

/// The first blank from `from` on that the relaxed form changes; the last byte of `body` is none.
fn odd_blank(body: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let (Some(here), Some(next)) =
        (body[at..].first_chunk::<STEP>(), body.get(at + 1..).and_then(<[u8]>::first_chunk::<STEP>))
    {
        let any = here.iter().zip(next).fold(false, |any, (c, next)| any | is_odd(*c, *next));
        if any {
            break;
        }
        at += STEP;
    }
    let pairs = body[at..].windows(2).position(|pair| is_odd(pair[0], pair[1]));
    pairs.map(|found| at + found)
}

/// Small pieces gathered, large ones hashed where they lie.
struct Gather {
    hash: Context,
    held: [u8; GATHERED_BYTES],
    len: usize,
}

impl Gather {
    fn new() -> Gather {
        Gather { hash: Context::new(&SHA256), held: [0; GATHERED_BYTES], len: 0 }
    }

    fn add(&mut self, piece: &[u8]) {
        if self.len + piece.len() > GATHERED_BYTES {
            self.hash.update(&self.held[..self.len]);
            self.len = 0;
        }
        if piece.len() >= GATHERED_BYTES / 2 {
            self.hash.update(&self.held[..self.len]);
            self.len = 0;
            self.hash.update(piece);
        } else {
            self.held[self.len..self.len + piece.len()].copy_from_slice(piece);
            self.len += piece.len();
        }
    }

    fn finish(mut self) -> Digest {
        self.hash.update(&self.held[..self.len]);
        self.hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::digest::digest;
    use proptest::prelude::*;

    /// RFC 6376 §3.4.4, read line by line.
    fn as_the_rfc_says(body: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        for line in body.split("\r\n") {
            let mut out = String::new();
            for c in line.chars() {
                match c {
                    ' ' | '\t' if out.ends_with(' ') => {}
                    ' ' | '\t' => out.push(' '),
                    c => out.push(c),
                }
            }
            lines.push(out.trim_end_matches(' ').to_owned());
        }
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines.iter().map(|line| format!("{line}\r\n")).collect()
    }

    proptest! {
        #[test]
        fn a_body_is_hashed_as_the_rfc_says(body in "(a|b{0,70}| |  |\t| \t|\r\n|\r\n\r\n|=3D|\\.){0,300}") {
            let (got, wanted) = (body_hash(body.as_bytes()), digest(&SHA256, as_the_rfc_says(&body).as_bytes()));
            prop_assert_eq!(got.as_ref(), wanted.as_ref());
        }
    }

    #[test]
    fn fields_come_out_relaxed() {
        let mail = b"SUBJect : Hello \t there\r\n\t  again \r\nA:X \r\nB:\r\n\r\nBody\r\n";
        let (fields, body) = fields_and_body(mail);
        let mut out = Vec::new();
        fields.iter().for_each(|field| {
            field_into(&mut out, field);
            out.push(b'|');
        });
        assert_eq!(out, b"subject:Hello there again|a:X|b:|");
        assert_eq!(body, b"Body\r\n");
    }
}
