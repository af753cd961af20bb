//! The words inside a source's Tera tags, for [`lint`](super::lint): a coarser reading than Tera's own, with positions.

use super::html::tera_len;

/// A word within a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word<'s> {
    Name(&'s str),
    /// A literal's content, escapes as written.
    Text(&'s str),
    Number,
    Sign(char),
}

/// One tag: `{{ … }}` or `{% … %}`.
#[derive(Debug)]
pub struct Tag<'s> {
    /// Where it starts in the source.
    pub at: usize,
    /// Whether it is a `{% … %}`.
    pub statement: bool,
    /// Its words, each with its place in the source.
    pub words: Vec<(Word<'s>, usize)>,
}

impl<'s> Tag<'s> {
    /// The statement's own name: `for`, `set`; empty for an output.
    pub fn verb(&self) -> &'s str {
        match self.words.first() {
            Some((Word::Name(name), _)) if self.statement => name,
            _ => "",
        }
    }

    pub fn has(&self, sign: char) -> bool {
        self.words.iter().any(|(word, _)| *word == Word::Sign(sign))
    }
}

/// Every tag of `source`, comments and raw blocks left out.
pub fn tags(source: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut at = 0;
    let mut raw = false;
    while let Some(open) = memchr::memchr(b'{', &source.as_bytes()[at..]).map(|open| at + open) {
        let Some(len) = tera_len(&source[open..]) else {
            at = open + 1;
            continue;
        };
        at = open + len;
        if source[open..].starts_with("{#") {
            continue;
        }
        let statement = source[open..].starts_with("{%");
        let (from, to) = inner(source, open, len);
        let tag = Tag { at: open, statement, words: words(source, from, to) };
        match tag.verb() {
            "raw" => raw = true,
            "endraw" => raw = false,
            _ if raw => {}
            _ => tags.push(tag),
        }
    }
    tags
}

/// Where a tag's words stand: between its signs, without the dashes that cut white space.
fn inner(source: &str, open: usize, len: usize) -> (usize, usize) {
    let (from, to) = (open + 2, (open + len).saturating_sub(2).max(open + 2));
    let inside = &source[from..to];
    let before = usize::from(inside.starts_with('-'));
    let after = usize::from(inside.len() > before && inside.ends_with('-'));
    (from + before, to - after)
}

fn words(source: &str, from: usize, to: usize) -> Vec<(Word<'_>, usize)> {
    let mut words = Vec::new();
    let mut at = from;
    while at < to {
        let rest = &source[at..to];
        let c = rest.chars().next().unwrap_or(' ');
        let len = if c.is_alphabetic() || c == '_' {
            let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            words.push((Word::Name(&rest[..len]), at));
            len
        } else if c.is_ascii_digit() {
            words.push((Word::Number, at));
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if matches!(c, '"' | '\'' | '`') {
            let len = quoted(rest, c);
            words.push((Word::Text(rest.get(1..len - 1).unwrap_or_default()), at));
            len
        } else {
            if !c.is_whitespace() {
                words.push((Word::Sign(c), at));
            }
            c.len_utf8()
        };
        at += len;
    }
    words
}

/// Length of the literal that `text` starts with, quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len().max(2).min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_that_cut_white_space_are_no_words() {
        let read = |source| {
            let tags = tags(source);
            tags.iter().map(|tag| (tag.verb().to_owned(), tag.words.len())).collect::<Vec<_>>()
        };
        let of = |verb: &str, words| (verb.to_owned(), words);
        assert_eq!(read("{%- for p in ps -%}x{%- endfor -%}"), [of("for", 4), of("endfor", 1)]);
        assert_eq!(read("{{- points -}}{{-1}}{{ -1 }}"), [of("", 1), of("", 1), of("", 2)]);
        assert_eq!(read("{#- {% for p in ps %} -#}{{ points }}"), [of("", 1)]);
        assert_eq!(read("{%- raw -%}{{ x }}{%- endraw -%}{{- y -}}"), [of("", 1)]);
        assert_eq!(read("{{-}}{%-%}{{--}}{{-"), vec![of("", 0); 4]);
        let tags = tags("ab{%- set x = 1 -%}");
        assert_eq!((tags[0].at, tags[0].words[0]), (2, (Word::Name("set"), 6)));
    }
}
