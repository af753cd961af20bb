//! A mail taken apart: its head and its leaves as text. Reads on where the structure is broken, because what comes back
//! was folded, cut, re-encoded and forwarded by machines of thirty years; always within bounds.

use data_encoding::{Encoding, Specification};
use encoding_rs::{Encoding as Charset, ISO_2022_JP, UTF_8, WINDOWS_1252};
use memchr::memmem;

/// Of a larger mail only so much is read, bytes.
pub const MAIL_BYTES_MAX: usize = 1 << 20;
/// Leaves of a mail that are read.
pub const PARTS_MAX: usize = 50;
/// Multiparts within multiparts that are opened.
pub const DEPTH_MAX: usize = 10;
/// Header fields of one head that are read.
const FIELDS_MAX: usize = 1_000;
/// Of a longer field's value only so much is read, bytes.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// The fields of a head in order: lower-case names, values unfolded and their encoded words decoded.
#[derive(Debug, Clone, Default)]
pub struct Head(Vec<(String, String)>);

impl Head {
    /// The first field of that name, empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the fields at the start of `text` and says where the body begins.
    pub fn read(text: &[u8]) -> (Head, usize) {
        let (mut head, mut at) = (Head::default(), 0);
        let mut raw: Vec<(String, Vec<u8>)> = Vec::new();
        while at < text.len() {
            let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end);
            let line = &text[at..end];
            let next = (end + 1).min(text.len());
            if line.is_empty() {
                at = next;
                break;
            }
            match (field(line), raw.last_mut()) {
                (_, Some((_, value))) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                    value.push(b' ');
                    value.extend_from_slice(line.trim_ascii());
                    value.truncate(VALUE_BYTES_MAX);
                }
                (Some((name, value)), _) => raw.push((name, value.to_vec())),
                // An mbox envelope line, or something that only some mailer understood.
                (None, _) if line.starts_with(b"From ") || line.starts_with(b">From ") => {}
                // No field: the body began without its empty line.
                (None, _) => break,
            }
            at = next;
            if raw.len() >= FIELDS_MAX {
                break;
            }
        }
        head.0 = raw.into_iter().map(|(name, value)| (name, unworded(&to_text(&value, "")))).collect();
        (head, at)
    }
}

/// The lower-case name and the value of a header field's first line.
fn field(line: &[u8]) -> Option<(String, &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    let is_name = !name.is_empty() && name.len() <= 80 && name.iter().all(|c| c.is_ascii_graphic());
    is_name.then(|| (String::from_utf8_lossy(name).to_ascii_lowercase(), cut(line[colon + 1..].trim_ascii())))
}

fn cut(value: &[u8]) -> &[u8] {
    &value[..value.len().min(VALUE_BYTES_MAX)]
}

/// What a leaf is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// Words for people.
    Text,
    /// `message/delivery-status` and its kin (RFC 3464, 6533).
    Status,
    /// `message/feedback-report` (RFC 5965).
    Feedback,
    /// `message/disposition-notification` (RFC 8098): a receipt.
    Receipt,
    /// The returned mail, or its head.
    Original,
    Other,
}

/// A leaf, decoded.
#[derive(Debug, Clone)]
pub struct Part {
    pub leaf: Leaf,
    pub text: String,
}

/// A mail taken apart.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    pub head: Head,
    pub parts: Vec<Part>,
}

impl Mail {
    /// Takes a mail apart; what is beyond [`MAIL_BYTES_MAX`], [`PARTS_MAX`] or [`DEPTH_MAX`] is not looked at.
    pub fn read(raw: &[u8]) -> Mail {
        let text = one_line_end(&raw[..raw.len().min(MAIL_BYTES_MAX)]);
        let from = text.iter().take_while(|c| **c == b'\n').count();
        let text = &text[from..];
        let (head, body) = Head::read(text);
        let mut mail = Mail { head: head.clone(), parts: Vec::new() };
        mail.open(&head, &text[body..], 0);
        mail
    }

    /// The leaves of one kind, as one text.
    pub fn text_of(&self, leaf: Leaf) -> String {
        let texts = self.parts.iter().filter(|part| part.leaf == leaf).map(|part| part.text.as_str());
        texts.collect::<Vec<_>>().join("\n")
    }

    pub fn has(&self, leaf: Leaf) -> bool {
        self.parts.iter().any(|part| part.leaf == leaf)
    }

    fn open(&mut self, head: &Head, body: &[u8], depth: usize) {
        let content_type = head.get("content-type");
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let boundary = parameter(content_type, "boundary");
        if let Some(boundary) = boundary.filter(|_| kind.starts_with("multipart") && depth < DEPTH_MAX)
            && self.open_all(&boundary, body, depth)
        {
            return;
        }
        if self.parts.len() >= PARTS_MAX {
            return;
        }
        let bytes = decoded(head.get("content-transfer-encoding"), body);
        let text = to_text(&bytes, &parameter(content_type, "charset").unwrap_or_default());
        let text =
            if kind == "text/html" || (kind.is_empty() && looks_like_html(&text)) { without_tags(&text) } else { text };
        self.parts.push(Part { leaf: leaf(&kind, head), text });
    }

    /// Opens the parts between the boundaries; `false`: there are none.
    fn open_all(&mut self, boundary: &str, body: &[u8], depth: usize) -> bool {
        let mark = format!("--{boundary}");
        let mut starts: Vec<(usize, usize)> = Vec::new();
        for at in memmem::find_iter(body, mark.as_bytes()).filter(|at| *at == 0 || body[at - 1] == b'\n') {
            let end = memchr::memchr(b'\n', &body[at..]).map_or(body.len(), |end| at + end + 1);
            starts.push((at, end));
            if body[at + mark.len()..].starts_with(b"--") || starts.len() > PARTS_MAX {
                break;
            }
        }
        let Some((first, _)) = starts.first().copied().filter(|(_, end)| *end < body.len()) else { return false };
        // Some mailers write their words before the first part.
        let prologue = to_text(&body[..first], "");
        if prologue.contains('@') && self.parts.len() < PARTS_MAX {
            self.parts.push(Part { leaf: Leaf::Text, text: prologue });
        }
        for (nth, (at, start)) in starts.iter().enumerate() {
            let end = starts.get(nth + 1).map_or(body.len(), |(next, _)| *next);
            let is_last = body[at + mark.len()..].starts_with(b"--");
            if *start < end && !is_last {
                let part = &body[*start..end];
                let (head, from) = Head::read(part);
                self.open(&head, &part[from..], depth + 1);
            }
        }
        true
    }
}

fn leaf(kind: &str, head: &Head) -> Leaf {
    match kind {
        _ if kind.contains("delivery-status") => Leaf::Status,
        _ if kind.contains("feedback-report") => Leaf::Feedback,
        _ if kind.contains("disposition-notification") => Leaf::Receipt,
        // "message/rfc822", "text/rfc822-headers", "message/global-headers", "message/rfc/822", "message/partial".
        _ if kind.contains("822") || kind.starts_with("message/") => Leaf::Original,
        "" | "text/plain" | "text/html" | "text" | "plain" => Leaf::Text,
        _ if kind.starts_with("text/") || kind.starts_with("multipart/") => Leaf::Text,
        _ if head.get("content-disposition").is_empty() && !kind.contains('/') => Leaf::Text,
        _ => Leaf::Other,
    }
}

/// A parameter of a structured field, without its quotes.
pub fn parameter(value: &str, name: &str) -> Option<String> {
    let lower = value.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = lower[from..].find(name).map(|found| from + found) {
        from = found + name.len();
        let before = lower[..found].trim_end();
        let Some(rest) = value[from..].trim_start().strip_prefix('=') else { continue };
        if !(before.ends_with(';') || before.is_empty() || lower[..found].ends_with([' ', '\t'])) {
            continue;
        }
        let rest = rest.trim_start();
        let text = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next().unwrap_or_default(),
            None => rest.split([';', ' ', '\t']).next().unwrap_or_default(),
        };
        return Some(text.to_owned()).filter(|text| !text.is_empty());
    }
    None
}

/// Every line end as one `\n`.
fn one_line_end(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\r' {
            // CR CR LF is one line end that somebody converted twice.
            while bytes.next_if_eq(&b'\r').is_some() {}
            bytes.next_if_eq(&b'\n');
            out.push(b'\n');
        } else {
            out.push(byte);
        }
    }
    out
}

fn decoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "base64" => base64(body).unwrap_or_else(|| body.to_vec()),
        "quoted-printable" => quoted_printable(body, false),
        _ => body.to_vec(),
    }
}

/// Base64 with whatever else stands between; `None` when it is no base64 at all.
fn base64(body: &[u8]) -> Option<Vec<u8>> {
    // What follows the padding is a remark of a gateway.
    let end = memchr::memchr(b'=', body).unwrap_or(body.len());
    let mut digits: Vec<u8> =
        body[..end].iter().copied().filter(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/')).collect();
    digits.truncate(digits.len() - usize::from(digits.len() % 4 == 1));
    lenient_base64()?.decode(&digits).ok()
}

/// Base64 that forgives a wrong last digit.
fn lenient_base64() -> Option<Encoding> {
    let mut specification = Specification::new();
    specification.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    specification.check_trailing_bits = false;
    specification.encoding().ok()
}

/// Quoted-printable (RFC 2045 §6.7), or the `Q` of encoded words, where `_` is a space.
fn quoted_printable(text: &[u8], is_word: bool) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        match rest {
            [b'=', b'\n', ..] => at += 2,
            [b'=', high, low, ..] if digit(*high).is_some() && digit(*low).is_some() => {
                out.push(digit(*high).unwrap_or_default() << 4 | digit(*low).unwrap_or_default());
                at += 3;
            }
            [b'_', ..] if is_word => {
                out.push(b' ');
                at += 1;
            }
            [byte, ..] => {
                out.push(*byte);
                at += 1;
            }
            [] => break,
        }
    }
    out
}

/// Text of declared or guessed character set.
pub fn to_text(bytes: &[u8], charset: &str) -> String {
    let is_escaped = memmem::find(bytes, b"\x1b$").is_some() || memmem::find(bytes, b"\x1b(").is_some();
    let declared = Charset::for_label(charset.trim().as_bytes()).filter(|set| *set != WINDOWS_1252);
    let set = match declared {
        _ if is_escaped => ISO_2022_JP,
        _ if std::str::from_utf8(bytes).is_ok() && declared.is_none_or(|set| set != ISO_2022_JP) => UTF_8,
        Some(set) => set,
        None => WINDOWS_1252,
    };
    set.decode_without_bom_handling(bytes).0.into_owned()
}

/// `text` with its encoded words (RFC 2047) decoded; adjacent ones are joined.
fn unworded(text: &str) -> String {
    if !text.contains("=?") {
        return text.to_owned();
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    let mut was_word = false;
    while let Some(at) = rest.find("=?") {
        let Some((word, after)) = word(&rest[at..]) else {
            out.push_str(&rest[..at + 2]);
            (rest, was_word) = (&rest[at + 2..], false);
            continue;
        };
        let gap = &rest[..at];
        if !(was_word && gap.trim().is_empty()) {
            out.push_str(gap);
        }
        out.push_str(&word);
        (rest, was_word) = (after, true);
    }
    out + rest
}

/// The encoded word that `text` begins with, and what follows it.
fn word(text: &str) -> Option<(String, &str)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (content, after) = rest.split_once("?=")?;
    if charset.len() > 40 || content.len() > 1_000 {
        return None;
    }
    let bytes = match encoding {
        "B" | "b" => base64(content.as_bytes())?,
        "Q" | "q" => quoted_printable(content.as_bytes(), true),
        _ => return None,
    };
    let charset = charset.split('*').next().unwrap_or_default();
    Some((to_text(&bytes, charset), after))
}

fn looks_like_html(text: &str) -> bool {
    let start = text.trim_start().get(..6).unwrap_or_default().to_ascii_lowercase();
    start.starts_with("<html") || start.starts_with("<!doct")
}

/// The words of an HTML page: tags go, blocks become lines.
fn without_tags(html: &str) -> String {
    const BREAKS: [&str; 9] = ["br", "p", "/p", "div", "/div", "/tr", "tr", "li", "hr"];
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        push_unescaped(&mut out, &rest[..open]);
        let inside = &rest[open + 1..];
        // `<anna@x.example>` written without care is an address, not a tag.
        let Some(close) = inside.find('>') else {
            rest = "";
            break;
        };
        let tag = &inside[..close];
        let name =
            tag.split([' ', '\n', '\t', '/']).find(|word| !word.is_empty()).unwrap_or_default().to_ascii_lowercase();
        rest = &inside[close + 1..];
        if tag.contains('@') && !tag.contains('=') {
            out.push_str(&format!("<{tag}>"));
        } else if !tag.starts_with('/') && (name == "style" || name == "script") {
            let end = format!("</{name}");
            rest = rest.find(&end).map_or("", |at| &rest[at..]);
        } else if BREAKS.contains(
            &tag.trim_end_matches('/').trim().split(' ').next().unwrap_or_default().to_ascii_lowercase().as_str(),
        ) {
            out.push('\n');
        } else {
            out.push(' ');
        }
    }
    push_unescaped(&mut out, rest);
    out
}

fn push_unescaped(out: &mut String, text: &str) {
    const NAMED: [(&str, &str); 7] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&nbsp;", " "),
        ("&#39;", "'"),
        ("&#64;", "@"),
        ("&amp;", "&"),
    ];
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match NAMED.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, plain)) => {
                out.push_str(plain);
                rest = &rest[name.len()..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_unfolded_and_decoded() {
        let (head, body) =
            Head::read(b"Subject: =?utf-8?B?0J/RgNC4?=\n =?utf-8?Q?=D0=B2=D0=B5=D1=82?= there\nX : y\n\nbody");
        assert_eq!(head.get("subject"), "Привет there");
        assert_eq!((head.get("x"), body), ("y", 75));
        assert_eq!(parameter("multipart/mixed; Boundary=\"a b\"; x=1", "boundary").as_deref(), Some("a b"));
        assert_eq!(parameter("text/plain; x-charset=no; charset=koi8-r", "charset").as_deref(), Some("koi8-r"));
    }

    #[test]
    fn bodies_are_decoded_by_their_heads() {
        let raw = "MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary=b\r\n\r\nx\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                   0L/RgNC40LLQtdGC\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: x\r\n--b\r\n\
                   Content-Type: message/rfc822\r\n\r\nTo: y\r\n--b--\r\n";
        let mail = Mail::read(raw.as_bytes());
        let leaves: Vec<Leaf> = mail.parts.iter().map(|part| part.leaf).collect();
        assert_eq!(leaves, [Leaf::Text, Leaf::Status, Leaf::Original]);
        assert_eq!(mail.text_of(Leaf::Text), "привет");
        let html = Mail::read(b"Content-Type: text/html\n\n<p>User &lt;a@b.example&gt;<br>is<style>x</style> gone</p>");
        assert_eq!(
            html.text_of(Leaf::Text).split_whitespace().collect::<Vec<_>>().join(" "),
            "User <a@b.example> is gone"
        );
    }

    #[test]
    fn bounds_hold() {
        let nested =
            (0..30).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect::<String>();
        assert!(Mail::read(nested.as_bytes()).parts.len() <= PARTS_MAX);
        let wide = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(10_000));
        assert_eq!(Mail::read(wide.as_bytes()).parts.len(), PARTS_MAX);
        assert!(Mail::read(&[b'a'; 3 << 20]).parts.iter().all(|part| part.text.len() <= MAIL_BYTES_MAX));
    }
}
