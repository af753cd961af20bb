//! Text into tokens with their places.

use std::ops::Range;

use super::ast::{Duration, Unit};
use super::error::Fault;
use super::{BYTES_MAX, DURATION_MS_MAX, NUMBER_MAX, NUMBER_MIN};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Word(Word),
    Number(f64),
    Percent(f64),
    Duration(Duration),
    Text(String),
    /// An operator or a bracket, as written.
    Sign(&'static str),
    End,
}

crate::text_enum! {
    /// The words that are no names; letter case does not matter.
    pub enum Word {
        And = "and", Or = "or", Not = "not", In = "in", Between = "between", Contains = "contains",
        StartsWith = "starts_with", Is = "is", Set = "set", True = "true", False = "false",
    }
}

/// Longer signs before their beginnings.
const SIGNS: &[&str] = &["!=", "<=", ">=", "<", ">", "=", "(", ")", "[", "]", ",", ":", ".", "+", "-", "*", "/"];

impl Token {
    /// How an error names it.
    pub fn describe(&self) -> String {
        match self {
            Token::Name(name) => format!("`{name}`"),
            Token::Word(word) => format!("`{word}`"),
            Token::Number(_) => "a number".to_owned(),
            Token::Percent(_) => "a percentage".to_owned(),
            Token::Duration(_) => "a duration".to_owned(),
            Token::Text(_) => "a text".to_owned(),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end".to_owned(),
        }
    }
}

pub(super) fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

pub(super) fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every token with the bytes it stands at; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, Fault> {
    if text.len() > BYTES_MAX {
        return Err(Fault::new(BYTES_MAX..BYTES_MAX, format!("a segment is at most {BYTES_MAX} bytes long")));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (token, len) = token(&text[at..], c, at)?;
        tokens.push((token, at..at + len));
        at += len;
    }
    tokens.push((Token::End, at..at));
    Ok(tokens)
}

/// The token at the start of `rest`, which starts with `c` and stands at byte `at`, and its length.
fn token(rest: &str, c: char, at: usize) -> Result<(Token, usize), Fault> {
    if is_name_start(c) {
        let name = &rest[..rest.find(|c| !is_name_part(c)).unwrap_or(rest.len())];
        let token = match name.to_ascii_lowercase().parse() {
            Ok(word) => Token::Word(word),
            Err(_) => Token::Name(name.to_owned()),
        };
        return Ok((token, name.len()));
    }
    if c.is_ascii_digit() {
        return number(rest, at);
    }
    if c == '"' {
        return quoted(rest, at);
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Token::Sign(sign), sign.len()));
    }
    let help = match c {
        '\'' | '“' | '”' | '„' | '«' | '»' | '‘' | '’' => {
            "; texts stand in straight double quotes: \"text\""
        }
        '&' | '|' | '!' => "; conditions are joined by `and`, `or` and `not`",
        _ => "",
    };
    Err(Fault::new(at..at + c.len_utf8(), format!("{c:?} means nothing here{help}")))
}

/// A number, a percentage or a duration.
fn number(rest: &str, at: usize) -> Result<(Token, usize), Fault> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let whole = digits(rest);
    let mut len = whole;
    if rest[len..].starts_with('.') && digits(&rest[len + 1..]) > 0 {
        len += 1 + digits(&rest[len + 1..]);
    }
    let fault = |len: usize, message: String| Err(Fault::new(at..at + len, message));
    let number: f64 = rest[..len].parse().expect("digits, perhaps a point and digits");
    if number > NUMBER_MAX || (number != 0.0 && number < NUMBER_MIN) {
        return fault(len, format!("a number is 0 or between {NUMBER_MIN} and {NUMBER_MAX}"));
    }
    if rest[len..].starts_with('%') {
        return Ok((Token::Percent(number), len + 1));
    }
    let unit = &rest[len..len + rest[len..].find(|c| !is_name_part(c)).unwrap_or(rest.len() - len)];
    if unit.is_empty() {
        return Ok((Token::Number(number), len));
    }
    let end = len + unit.len();
    let Ok(unit) = unit.parse::<Unit>() else {
        let known = "durations are written 30min, 12h, 90d, 2w or 8y";
        return fault(end, format!("`{unit}` is not a unit of time; {known}"));
    };
    match rest[..len].parse() {
        Ok(n) if i64::from(n) <= DURATION_MS_MAX / unit.ms() => Ok((Token::Duration(Duration { n, unit }), end)),
        _ if len > whole => fault(end, "a duration is a whole number of its unit".to_owned()),
        _ => fault(end, format!("a duration is at most {}y", DURATION_MS_MAX / Unit::Year.ms())),
    }
}

/// A text in double quotes; `\"` and `\\` stand for `"` and `\`.
fn quoted(rest: &str, at: usize) -> Result<(Token, usize), Fault> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Text(text), i + 1)),
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => text.push(c),
                _ => {
                    return Err(Fault::new(
                        at + i..at + i + 1,
                        "in a text, write `\\\"` for a quote and `\\\\` for a \\",
                    ));
                }
            },
            c if c.is_control() => {
                return Err(Fault::new(
                    at + i..at + i,
                    "a text holds no control characters; is a closing `\"` missing?",
                ));
            }
            c => text.push(c),
        }
    }
    Err(Fault::new(at..at + 1, "this text is never closed by a `\"`"))
}
