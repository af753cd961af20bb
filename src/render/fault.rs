//! What is wrong with a template, where, and what to do about it.

/// One fault. Prints as `file:line:column: code: what; fix`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{file}:{line}:{column}: {code}: {what}; {fix}")]
pub struct Fault {
    /// File within the template's folder.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// A stable word for scripts: `unknown_field`.
    pub code: String,
    pub what: String,
    pub fix: String,
}

impl Fault {
    /// A fault at byte `at` of `text`, the content of `file`.
    pub fn at(file: &str, text: &str, at: usize, code: &str, what: impl Into<String>, fix: impl Into<String>) -> Fault {
        let (line, column) = place(text, at);
        Fault { file: file.to_owned(), line, column, code: code.to_owned(), what: what.into(), fix: fix.into() }
    }

    /// A fault of a file as a whole.
    pub fn of(file: &str, code: &str, what: impl Into<String>, fix: impl Into<String>) -> Fault {
        Fault::at(file, "", 0, code, what, fix)
    }
}

/// Line and column, both from 1, of byte `at`.
pub fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at.min(text.len()))];
    let start = before.rfind('\n').map_or(0, |nl| nl + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
