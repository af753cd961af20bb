//! A text part from an HTML source, its Tera tags kept: what people read without pictures.

use super::html::{find_ignore_case, tera_len};
use super::links::unescape;

/// The text part of `html`: what stands in style sheets, comments and hidden preheaders is left out, links follow their
/// text as addresses. Works on the source, once at publish.
pub fn from_html(html: &str) -> String {
    let start = find_ignore_case(html, "<body").unwrap_or(0);
    let mut out = Out::default();
    let mut rest = &html[start..];
    let mut pending: Vec<String> = Vec::new();
    while let Some(at) = rest.find(['<', '{']) {
        out.text(&rest[..at]);
        rest = &rest[at..];
        if let Some(len) = tera_len(rest) {
            out.tag(&rest[..len]);
            rest = &rest[len..];
        } else if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
        } else if rest.starts_with('<') {
            rest = element(rest, &mut out, &mut pending);
        } else {
            out.text("{");
            rest = &rest[1..];
        }
    }
    out.text(rest);
    out.finish()
}

/// Reads one tag and returns what follows it.
fn element<'h>(html: &'h str, out: &mut Out, pending: &mut Vec<String>) -> &'h str {
    let close = end_of_tag(html);
    let (tag, rest) = html.split_at(close);
    let name: String = tag[1..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
    match name.to_ascii_lowercase().as_str() {
        hidden @ ("style" | "script" | "head" | "title") => {
            let end = format!("</{hidden}");
            let after = find_ignore_case(rest, &end).map_or("", |at| &rest[at..]);
            return after.find('>').map_or("", |at| &after[at + 1..]);
        }
        "a" => pending.push(attribute(tag, "href")),
        "/a" => {
            if let Some(url) = pending.pop().filter(|url| !url.is_empty() && !url.starts_with('#')) {
                out.text(" ");
                out.tag(&url);
            }
        }
        "img" => out.text(&attribute(tag, "alt")),
        "br" | "tr" | "/tr" | "/li" | "/h3" => out.line(1),
        "li" => {
            out.line(1);
            out.text("- ");
        }
        "p" | "/p" | "div" | "/div" | "table" | "/table" | "h1" | "/h1" | "h2" | "/h2" | "h3" | "ul" | "/ul" => {
            out.line(2)
        }
        _ => {}
    }
    rest
}

fn end_of_tag(html: &str) -> usize {
    let mut at = 1;
    while at < html.len() {
        if let Some(len) = tera_len(&html[at..]) {
            at += len;
        } else if html.as_bytes()[at] == b'>' {
            return at + 1;
        } else {
            at += html[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    html.len()
}

fn attribute(tag: &str, name: &str) -> String {
    let Some(at) = find_ignore_case(tag, &format!("{name}=\"")) else { return String::new() };
    let value = &tag[at + name.len() + 2..];
    let mut end = 0;
    while end < value.len() && value.as_bytes()[end] != b'"' {
        end += tera_len(&value[end..]).unwrap_or_else(|| value[end..].chars().next().map_or(1, char::len_utf8));
    }
    unescape(value[..end.min(value.len())].trim())
}

/// Text whose white space means nothing but words and lines.
#[derive(Default)]
struct Out {
    text: String,
    lines: usize,
    space: bool,
}

impl Out {
    fn text(&mut self, html: &str) {
        for c in unescape(html).replace("&nbsp;", " ").replace("&zwnj;", "").replace("&copy;", "©").chars() {
            if c.is_whitespace() {
                self.space = true;
            } else if !matches!(c, '\u{200b}' | '\u{200c}' | '\u{feff}' | '\u{34f}') {
                self.flush();
                self.text.push(c);
            }
        }
    }

    fn tag(&mut self, tag: &str) {
        if tag.starts_with("{%") || tag.starts_with("{#") {
            self.text.push_str(tag);
        } else {
            self.flush();
            self.text.push_str(tag);
        }
    }

    fn line(&mut self, lines: usize) {
        self.lines = self.lines.max(lines);
    }

    fn flush(&mut self) {
        if self.text.is_empty() {
            // Nothing before, nothing to part.
        } else if self.lines > 0 {
            self.text.push_str(&"\n".repeat(self.lines));
        } else if self.space {
            self.text.push(' ');
        }
        self.lines = 0;
        self.space = false;
    }

    fn finish(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}
