//! Addresses in running text, as mailers of all kinds write them.

/// Longest address that is taken for one, bytes.
const BYTES_MAX: usize = 320;

/// An address found in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub text: String,
    /// Where it begins and ends in the line, bytes; brackets are outside.
    pub from: usize,
    pub to: usize,
    /// Whether it stands in angle brackets.
    pub is_bracketed: bool,
}

/// The addresses of a line in order.
pub fn find(line: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for (at, _) in line.match_indices('@') {
        if found.last().is_some_and(|last| at < last.to) {
            continue;
        }
        found.extend(around(line, at));
    }
    found
}

/// The one address that a field's value is: `rfc822; a@b`, `<a@b>`, `utf-8;ü@b`, `a@b (Anna)`.
pub fn of_field(value: &str) -> Option<String> {
    let (kind, rest) = match value.split_once(';') {
        Some((kind, rest)) if !kind.contains('@') => (kind.trim().to_ascii_lowercase(), rest.trim()),
        _ => (String::new(), value.trim()),
    };
    let rest = if kind == "utf-8" { unescaped(rest) } else { rest.to_owned() };
    // What names a machine or a phone is no mail address.
    if !kind.is_empty() && !kind.contains("822") && kind != "utf-8" && !rest.contains('@') {
        return None;
    }
    find(&rest).into_iter().next().map(|found| found.text)
}

/// The address around the `@` at `at`, if its two sides make one.
fn around(line: &str, at: usize) -> Option<Found> {
    let (from, quoted) = local_start(line, at)?;
    let to = domain_end(line, at + 1, quoted)?;
    let is_bracketed = line[..from].ends_with('<') && line[to..].trim_start().starts_with('>');
    let (local, domain) = (&line[from..at], &line[at + 1..to]);
    // Without a dot only in brackets or alone: hosts of one's own network.
    let is_alone = is_bracketed || line.trim().len() == to - from;
    let is_domain = domain.contains('.') || (is_alone && !domain.is_empty());
    let numeric = domain.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    let is_fit = is_domain && !numeric && !local.is_empty() && to - from <= BYTES_MAX;
    is_fit.then(|| Found { text: line[from..to].to_owned(), from, to, is_bracketed })
}

/// Where the local part before `at` begins, and whether letters outside ASCII belong to it.
fn local_start(line: &str, at: usize) -> Option<(usize, bool)> {
    let before = &line[..at];
    if let Some(inside) = before.strip_suffix('"') {
        let open = inside.rfind('"')?;
        return (at - open <= 66).then_some((open, false));
    }
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let start = before.char_indices().rev().take_while(|(_, c)| atom(*c)).last().map_or(at, |(start, _)| start);
    // Text of other scripts runs into addresses without a space: only brackets say that it belongs to one.
    let open = before.rfind('<').map(|open| open + 1).filter(|open| at - open <= 130);
    let wide = |c: char| atom(c) || (!c.is_ascii() && c.is_alphanumeric());
    if let Some(open) = open.filter(|open| *open < start && before[*open..].chars().all(wide)) {
        return Some((open, true));
    }
    let text = &before[start..];
    // `to=anna@…` of a log, `'anna@…'`, `mailto:` and the like.
    let skip = match text.rfind('=') {
        Some(equals) if text[..equals].chars().all(|c| c.is_ascii_alphabetic()) => equals + 1,
        _ => text.len() - text.trim_start_matches(['\'', '`', '*', '.', '/', '|', '{', '=', '-']).len(),
    };
    let is_word = text.starts_with("=?");
    Some((start + if is_word { 0 } else { skip }, false))
}

fn domain_end(line: &str, from: usize, wide: bool) -> Option<usize> {
    let rest = &line[from..];
    let letter =
        |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_' || (wide && c.is_alphanumeric());
    let len = rest.find(|c: char| !letter(c)).unwrap_or(rest.len());
    let domain = rest[..len].trim_end_matches(['.', '-', '_']);
    // `a@b..c` ends before its two dots.
    let domain = domain.split("..").next().unwrap_or_default();
    (!domain.is_empty() && !domain.starts_with(['.', '-'])).then(|| from + domain.len())
}

/// A `utf-8` address type's `\x{20AC}` escapes (RFC 6533 §3).
fn unescaped(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("\\x{") {
        out.push_str(before);
        let Some((digits, more)) = after.split_once('}') else { break };
        out.extend(u32::from_str_radix(digits, 16).ok().and_then(char::from_u32));
        rest = more;
    }
    // Brackets say that letters outside ASCII belong to it.
    format!("<{}>", (out + rest).trim_matches(['<', '>', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_as_they_are_written() {
        for (line, expected) in [
            ("<anna@x.example>: no such user", vec!["anna@x.example"]),
            ("to=<a.b+c@x.example>, relay=none", vec!["a.b+c@x.example"]),
            ("Неизвестный ящик anna@x.example.", vec!["anna@x.example"]),
            ("宛先anna@x.exampleは", vec!["anna@x.example"]),
            ("'anna@x.example' on Thu", vec!["anna@x.example"]),
            ("\"two words\"@x.example and b@y.example", vec!["\"two words\"@x.example", "b@y.example"]),
            ("<почта@пример.рф>", vec!["почта@пример.рф"]),
            ("<root@mailhub>", vec!["root@mailhub"]),
            ("at 10:00 @home or a@b or x@1.2.3.4", vec![]),
            ("@@@ a@ @b <@>", vec![]),
        ] {
            let found: Vec<String> = find(line).into_iter().map(|found| found.text).collect();
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn fields_name_one_address() {
        assert_eq!(of_field("rfc822;anna@x.example").as_deref(), Some("anna@x.example"));
        assert_eq!(of_field("RFC822; <anna@x.example> (Anna)").as_deref(), Some("anna@x.example"));
        assert_eq!(of_field("utf-8; \\x{444}@x.example").as_deref(), Some("ф@x.example"));
        assert_eq!(of_field("dns; mx.x.example"), None);
    }
}
