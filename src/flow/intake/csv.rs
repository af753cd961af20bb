//! Rows of comma-separated values (RFC 4180), strictly: a quote that is wrong spoils its own row and no other.
//!
//! A general CSV reader takes what follows an unclosed quote for one endless cell. Here the lines that were taken for
//! the inside of such a cell are given back and read again as rows.

use std::collections::VecDeque;
use std::io;

use super::lines::{Line, Lines, ROW_BYTES_MAX};

/// Most lines one row may span.
const ROW_LINES_MAX: usize = 100;

/// A row: where it starts, its text as it stands in the file, and its cells.
#[derive(Debug, PartialEq, Eq)]
pub struct RawRow {
    pub line: u64,
    pub text: String,
    pub cells: Result<Vec<String>, String>,
}

/// Reads rows from lines.
pub struct Rows {
    lines: Lines,
    delimiter: u8,
    given_back: VecDeque<(u64, Line)>,
}

enum Split {
    Cells(Vec<String>),
    /// A quoted cell is still open at the end.
    Open,
    Wrong(String),
}

impl Rows {
    pub fn new(lines: Lines) -> Rows {
        Rows { lines, delimiter: b',', given_back: VecDeque::new() }
    }

    /// The header row. Which of comma, semicolon and tab divides cells is what the header has most of.
    pub fn header(&mut self) -> io::Result<Option<RawRow>> {
        let Some((number, line)) = self.line()? else { return Ok(None) };
        if let Line::Text(text) = &line {
            let count = |delimiter: &u8| text.bytes().filter(|c| c == delimiter).count();
            self.delimiter = *b",;\t".iter().rev().max_by_key(|delimiter| count(delimiter)).unwrap_or(&b',');
        }
        self.given_back.push_front((number, line));
        self.next()
    }

    /// The next row that is not an empty line. `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<RawRow>> {
        loop {
            let Some((number, line)) = self.line()? else { return Ok(None) };
            return Ok(Some(match line {
                Line::Broken(why) => RawRow { line: number, text: String::new(), cells: Err(why) },
                Line::Text(text) if text.trim().is_empty() => continue,
                Line::Text(text) => self.row(number, text)?,
            }));
        }
    }

    fn row(&mut self, number: u64, first: String) -> io::Result<RawRow> {
        let mut text = first;
        let first_len = text.len();
        let mut taken: Vec<(u64, Line)> = Vec::new();
        let why = loop {
            match split(&text, self.delimiter) {
                Split::Cells(cells) => return Ok(RawRow { line: number, text, cells: Ok(cells) }),
                Split::Wrong(why) => break why,
                Split::Open => {}
            }
            let Some((next_number, line)) = self.line()? else { break "has a quote that is never closed".to_owned() };
            let more = match &line {
                Line::Text(more) if text.len() + more.len() < ROW_BYTES_MAX && taken.len() < ROW_LINES_MAX => {
                    more.clone()
                }
                _ => {
                    taken.push((next_number, line));
                    break "has a quote that is not closed within the row's bounds".to_owned();
                }
            };
            taken.push((next_number, line));
            text.push('\n');
            text.push_str(&more);
        };
        for line in taken.into_iter().rev() {
            self.given_back.push_front(line);
        }
        text.truncate(first_len);
        Ok(RawRow { line: number, text, cells: Err(why) })
    }

    fn line(&mut self) -> io::Result<Option<(u64, Line)>> {
        match self.given_back.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next(),
        }
    }
}

fn split(text: &str, delimiter: u8) -> Split {
    if memchr::memchr(b'"', text.as_bytes()).is_none() {
        return Split::Cells(text.split(char::from(delimiter)).map(str::to_owned).collect());
    }
    let mut cells = Vec::new();
    let mut rest = text;
    loop {
        let after = match rest.strip_prefix('"') {
            Some(quoted) => match unquote(quoted) {
                Some((cell, after)) => {
                    cells.push(cell);
                    after
                }
                None => return Split::Open,
            },
            None => {
                let end = memchr::memchr(delimiter, rest.as_bytes()).unwrap_or(rest.len());
                cells.push(rest[..end].to_owned());
                &rest[end..]
            }
        };
        match after.as_bytes().first() {
            None => return Split::Cells(cells),
            Some(c) if *c == delimiter => rest = &after[1..],
            Some(_) => return Split::Wrong(format!("has text after the closing quote of cell {}", cells.len())),
        }
    }
}

/// The cell up to its closing quote, and what follows. `None`: there is no closing quote.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut cell = String::new();
    let mut rest = text;
    loop {
        let end = memchr::memchr(b'"', rest.as_bytes())?;
        cell.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                cell.push('"');
                rest = more;
            }
            None => return Some((cell, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cells(text: &str) -> Option<Vec<String>> {
        match split(text, b',') {
            Split::Cells(cells) => Some(cells),
            _ => None,
        }
    }

    #[test]
    fn cells_are_split_and_unquoted() {
        assert_eq!(cells("a,,c").unwrap(), ["a", "", "c"]);
        assert_eq!(cells(r#""a,b","say ""hi""",5" screen"#).unwrap(), ["a,b", "say \"hi\"", "5\" screen"]);
        assert_eq!(cells("\"a\nb\",").unwrap(), ["a\nb", ""]);
        assert!(cells("\"a,b").is_none());
        assert!(cells("\"a\"b,c").is_none());
    }

    proptest! {
        #[test]
        fn what_a_csv_writer_wrote_is_read_back(row in proptest::collection::vec("[a-z\",;\u{4e00}\n ]{0,12}", 1..6)) {
            let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::Any(b'\n')).from_writer(Vec::new());
            writer.write_record(&row).unwrap();
            let written = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(cells(written.strip_suffix('\n').unwrap()), Some(row));
        }

        #[test]
        fn no_text_panics(text in "[\",\na\u{e9}]{0,40}") {
            let _ = split(&text, b',');
        }
    }
}
