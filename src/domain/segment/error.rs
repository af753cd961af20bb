//! What is wrong with a segment, and where.

use std::ops::Range;

/// Longest piece of a line shown with an error, characters.
const EXCERPT_CHARS_MAX: usize = 100;

/// A fault in a segment's text. Its `Display` is `LINE:COLUMN: what is wrong`, the line, and carets under the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentError {
    /// From 1; 0 where there is no place to point at.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub message: String,
    /// The line and the carets under it.
    excerpt: Option<(String, String)>,
}

impl SegmentError {
    /// An error without a place.
    pub fn bare(message: String) -> SegmentError {
        SegmentError { line: 0, column: 0, message, excerpt: None }
    }
}

impl std::fmt::Display for SegmentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.excerpt {
            None => f.write_str(&self.message),
            Some((line, carets)) => {
                write!(f, "{}:{}: {}\n  {line}\n  {carets}", self.line, self.column, self.message)
            }
        }
    }
}

impl std::error::Error for SegmentError {}

/// A fault with its place in bytes, while the text is not at hand.
#[derive(Debug)]
pub(super) struct Fault {
    span: Range<usize>,
    message: String,
}

impl Fault {
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Fault {
        Fault { span, message: message.into() }
    }

    pub fn in_text(self, text: &str) -> SegmentError {
        let start = self.span.start.min(text.len());
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let column = text[line_start..start].chars().count();
        let marked = text[start..self.span.end.clamp(start, line_end)].chars().count().max(1);
        // A long line is shown from a little before the fault on.
        let skipped =
            if column + marked > EXCERPT_CHARS_MAX { column.saturating_sub(EXCERPT_CHARS_MAX / 2) } else { 0 };
        let shown: String = text[line_start..line_end].chars().skip(skipped).take(EXCERPT_CHARS_MAX).collect();
        let shown = shown.replace(char::is_control, " ");
        let carets = " ".repeat(column - skipped) + &"^".repeat(marked.min(EXCERPT_CHARS_MAX / 2));
        SegmentError {
            line: text[..start].matches('\n').count() + 1,
            column: column + 1,
            message: self.message,
            excerpt: Some((shown, carets)),
        }
    }
}
