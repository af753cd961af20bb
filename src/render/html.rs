//! Just enough reading of HTML and Tera to find links: where each `href` stands, and what the reader sees on it.

use std::ops::Range;

/// An `href` value within its source.
#[derive(Debug, PartialEq, Eq)]
pub struct Href {
    /// The value, without its quotes.
    pub at: Range<usize>,
    /// Whether it holds a Tera tag.
    pub tera: bool,
    /// What a report may call it.
    pub label: String,
}

/// Every `href` of a link in `html`, in order: `<link>`, `<base>`, style sheets, scripts and plain comments left out,
/// conditional comments (Outlook's buttons) read like the rest.
pub fn hrefs(html: &str) -> Vec<Href> {
    let bytes = html.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let Some(next) = memchr::memchr2(b'<', b'{', &bytes[at..]) else { break };
        at += next;
        let rest = &html[at..];
        if let Some(len) = tera_len(rest) {
            at += len;
        } else if rest.starts_with("<!--") && !rest[4..].trim_start().starts_with("[if") {
            at += rest.find("-->").map_or(rest.len(), |end| end + 3);
        } else if bytes[at] == b'<' && rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            at = element(html, at, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads the start tag at `at` and returns where reading goes on.
fn element(html: &str, at: usize, found: &mut Vec<Href>) -> usize {
    let name_end = html[at + 1..].find(|c: char| !c.is_ascii_alphanumeric() && c != ':' && c != '-');
    let name_end = at + 1 + name_end.unwrap_or(html.len() - at - 1);
    let name = html[at + 1..name_end].to_ascii_lowercase();
    let mut cursor = name_end;
    let first = found.len();
    while let Some((attribute, value, next)) = attribute(html, cursor) {
        if attribute == "href" && !matches!(name.as_str(), "link" | "base") {
            let text = &html[value.clone()];
            found.push(Href { tera: text.contains("{{") || text.contains("{%"), at: value, label: String::new() });
        }
        cursor = next;
    }
    let end = html[cursor..].find('>').map_or(html.len(), |close| cursor + close + 1);
    let label = label(&html[end..], &html[at..end]);
    found[first..].iter_mut().for_each(|href| href.label.clone_from(&label));
    if name == "style" || name == "script" {
        let close = format!("</{name}");
        return find_ignore_case(&html[end..], &close).map_or(html.len(), |close| end + close);
    }
    end
}

/// The next attribute from `cursor`: its name in lower case, where its value stands, where reading goes on. `None` at
/// the tag's end.
fn attribute(html: &str, mut cursor: usize) -> Option<(String, Range<usize>, usize)> {
    loop {
        let rest = html.get(cursor..)?;
        if let Some(len) = tera_len(rest) {
            cursor += len;
            continue;
        }
        let c = rest.chars().next()?;
        match c {
            '>' => return None,
            c if c.is_whitespace() || c == '/' || c == '"' || c == '\'' || c == '=' => cursor += c.len_utf8(),
            _ => break,
        }
    }
    let rest = &html[cursor..];
    let name_len = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/' | '{')).unwrap_or(rest.len());
    let name = rest[..name_len].to_ascii_lowercase();
    cursor += name_len.max(usize::from(name_len == 0));
    let after = html[cursor..].trim_start();
    if !after.starts_with('=') {
        return Some((name, cursor..cursor, cursor));
    }
    cursor = html.len() - after[1..].trim_start().len();
    let quote = html[cursor..].chars().next().filter(|c| matches!(c, '"' | '\''));
    cursor += usize::from(quote.is_some());
    let start = cursor;
    while cursor < html.len() {
        let rest = &html[cursor..];
        if let Some(len) = tera_len(rest) {
            cursor += len;
            continue;
        }
        let c = rest.chars().next()?;
        let ends = match quote {
            Some(quote) => c == quote,
            None => c.is_whitespace() || c == '>',
        };
        if ends {
            return Some((name, start..cursor, cursor + usize::from(quote.is_some())));
        }
        cursor += c.len_utf8();
    }
    Some((name, start..cursor, cursor))
}

/// Length of the Tera tag that `text` starts with, if it does.
pub fn tera_len(text: &str) -> Option<usize> {
    let close = match text.get(..2)? {
        "{{" => "}}",
        "{%" => "%}",
        "{#" => return Some(text.find("#}").map_or(text.len(), |end| end + 2)),
        _ => return None,
    };
    let bytes = text.as_bytes();
    let mut at = 2;
    let mut quote = None;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), c) if c == open => quote = None,
            (None, c @ (b'"' | b'\'' | b'`')) => quote = Some(c),
            (None, _) if text.as_bytes()[at..].starts_with(close.as_bytes()) => return Some(at + 2),
            _ => {}
        }
        at += 1;
    }
    Some(text.len())
}

/// What stands on a link: its text, else its picture's `alt`, else nothing; at most 60 characters.
fn label(after: &str, tag: &str) -> String {
    let explicit = value_of(tag, "data-label").or_else(|| value_of(tag, "title"));
    let inner = &after[..find_ignore_case(after, "</a").unwrap_or(after.len()).min(after.floor_char_boundary(2000))];
    let text = strip(inner);
    let label = match explicit {
        Some(label) => label,
        None if text.is_empty() => value_of(inner, "alt").unwrap_or_default(),
        None => text,
    };
    label.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(60).collect()
}

fn value_of(tag: &str, name: &str) -> Option<String> {
    let at = find_ignore_case(tag, &format!("{name}=\""))? + name.len() + 2;
    Some(super::links::unescape(&tag[at..at + tag[at..].find('"')?]))
}

fn strip(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        rest = rest[open..].find('>').map_or("", |close| &rest[open + close + 1..]);
    }
    out.push_str(rest);
    super::links::unescape(out.trim()).replace("&nbsp;", " ").trim().to_owned()
}

/// `find`, ASCII letters in either case.
pub fn find_ignore_case(text: &str, what: &str) -> Option<usize> {
    let (text, what) = (text.as_bytes(), what.as_bytes());
    text.windows(what.len().max(1)).position(|window| window.eq_ignore_ascii_case(what))
}

/// The last place of `what`, ASCII letters in either case.
pub fn rfind_ignore_case(text: &str, what: &str) -> Option<usize> {
    let (text, what) = (text.as_bytes(), what.as_bytes());
    text.windows(what.len().max(1)).rposition(|window| window.eq_ignore_ascii_case(what))
}

/// Every http(s) URL in a text part, with whether it holds a Tera tag. `{{ public_url }}` starts one as well.
pub fn text_urls(text: &str) -> Vec<(Range<usize>, bool)> {
    let mut found = Vec::new();
    let mut at = 0;
    const OWN: &str = "{{ public_url }}";
    let start = |rest: &str| [rest.find("http"), rest.find(OWN)].into_iter().flatten().min();
    while let Some(next) = start(&text[at..]).map(|next| at + next) {
        let rest = &text[next..];
        if !["http://", "https://", OWN].iter().any(|start| rest.starts_with(start)) {
            at = next + 4;
            continue;
        }
        let (mut end, mut tera) = (next, false);
        while end < text.len() {
            if text[end..].starts_with("{{") {
                tera = true;
                end += tera_len(&text[end..]).unwrap_or(1);
                continue;
            }
            let c = text[end..].chars().next().unwrap_or(' ');
            if c.is_whitespace() || !c.is_ascii() || matches!(c, '<' | '>' | '"' | '\'' | ')' | ']' | '{' | '|') {
                break;
            }
            end += 1;
        }
        let trimmed = text[next..end].trim_end_matches(['.', ',', ';', ':', '!', '?']);
        found.push((next..next + trimmed.len(), tera));
        at = end.max(next + 4);
    }
    found
}
