//! One shape for both kinds of file: a row has cells by column name.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::csv::{RawRow, Rows};
use super::lines::{Line, Lines};
use super::{Fault, IntakeError, Kind};

/// Most columns of a file, and most names a file of JSON lines may come up with.
pub const COLUMNS_MAX: usize = 200;
/// Longest name of a column, bytes.
const COLUMN_BYTES_MAX: usize = 64;
/// The cell that clears what stands in the database; in JSON it is `null`.
const CLEAR: &str = r"\N";

/// What a cell asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing: what stands stays.
    Leave,
    /// That what stands is cleared.
    Clear,
    Text(&'a str),
}

impl<'a> Cell<'a> {
    pub fn of(text: &'a str) -> Cell<'a> {
        match text.trim() {
            "" => Cell::Leave,
            CLEAR => Cell::Clear,
            text => Cell::Text(text),
        }
    }

    /// The text of a cell that gives one.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Cell::Text(text) => Some(text),
            Cell::Leave | Cell::Clear => None,
        }
    }
}

/// One row, ready to be parsed.
pub struct Row {
    names: Arc<Vec<String>>,
    cells: Vec<String>,
    /// The object itself, where the file is JSON lines.
    pub json: Option<Map<String, Value>>,
}

impl Row {
    /// The cell of the column `name`; a column that is not there asks for nothing.
    pub fn cell(&self, name: &str) -> Cell<'_> {
        let at = self.names.iter().position(|known| known == name);
        at.and_then(|at| self.cells.get(at)).map_or(Cell::Leave, |text| Cell::of(text))
    }

    /// The text of the column `name`.
    ///
    /// # Errors
    /// When it is empty or missing.
    pub fn need(&self, name: &'static str) -> Result<&str, Fault> {
        self.cell(name).text().ok_or_else(|| Fault::new(name, "is missing"))
    }

    /// The columns that are none of `kind`'s own, with their cells.
    pub fn others(&self, kind: Kind) -> impl Iterator<Item = (&str, Cell<'_>)> {
        let named = self.names.iter().zip(&self.cells);
        named
            .filter(move |(name, _)| !kind.columns().contains(&name.as_str()))
            .map(|(name, text)| (&**name, Cell::of(text)))
    }
}

/// A row with where it stands, or why it is none.
pub struct Numbered {
    pub line: u64,
    /// The row as it stands in the file.
    pub raw: String,
    pub row: Result<Row, Fault>,
}

/// A file as rows.
pub struct Table {
    kind: Kind,
    renames: Vec<(String, String)>,
    names: Arc<Vec<String>>,
    source: Source,
}

enum Source {
    Csv(Rows),
    Json(Lines),
}

impl Table {
    /// Reads the header, if the file has one. JSON lines are told by the extension (`.jsonl`, `.ndjson`, `.json`), else
    /// by a first byte `{`.
    ///
    /// # Errors
    /// A header that does not fit `kind`, with the fix.
    pub fn new(
        mut lines: Lines,
        kind: Kind,
        extension: &str,
        renames: &[(String, String)],
    ) -> Result<Table, IntakeError> {
        let first = lines.first_byte().map_err(|source| IntakeError::Read { line: 1, source })?;
        if first == Some(b'[') && extension != "csv" {
            return Err(IntakeError::header("it is one JSON array: write one object per line (JSON lines)"));
        }
        let by_name = ["jsonl", "ndjson", "json"].contains(&extension);
        let is_json = by_name || (first == Some(b'{') && !["csv", "tsv"].contains(&extension));
        let renames = renames.to_vec();
        if is_json {
            return Ok(Table { kind, renames, names: Arc::default(), source: Source::Json(lines) });
        }
        let mut rows = Rows::new(lines);
        let header = rows.header().map_err(|source| IntakeError::Read { line: 1, source })?;
        let mut table = Table { kind, renames, names: Arc::default(), source: Source::Csv(rows) };
        table.names = Arc::new(table.read_header(header)?);
        Ok(table)
    }

    fn read_header(&self, header: Option<RawRow>) -> Result<Vec<String>, IntakeError> {
        let Some(header) = header else { return Err(IntakeError::header("it is empty: it needs a header row")) };
        let cells = header.cells.map_err(|why| IntakeError::header(format!("its header {why}")))?;
        if cells.len() > COLUMNS_MAX {
            return Err(IntakeError::header(format!("it has {} columns, more than {COLUMNS_MAX}", cells.len())));
        }
        let names: Vec<String> = cells.iter().map(|cell| self.name_of(cell)).collect();
        for (at, name) in names.iter().enumerate() {
            self.check_column(name, &cells[at]).map_err(IntakeError::header)?;
            if names[..at].contains(name) {
                return Err(IntakeError::header(format!(
                    "it has two columns {name}: drop one, or --map it to another name"
                )));
            }
        }
        if let Some((theirs, _)) = self.renames.iter().find(|(theirs, _)| !cells.iter().any(|cell| same(cell, theirs)))
        {
            return Err(IntakeError::header(format!(
                "it has no column {theirs:?}, which --map renames; it has {}",
                cells.join(", ")
            )));
        }
        for needed in self.kind.needed() {
            if !names.iter().any(|name| needed.contains(&name.as_str())) {
                let wanted = needed.join(" or ");
                let had = cells.join(", ");
                return Err(IntakeError::header(format!(
                    "it has no column {wanted}; it has {had}: rename one with --map THEIRS={}",
                    needed[0]
                )));
            }
        }
        Ok(names)
    }

    fn name_of(&self, theirs: &str) -> String {
        let renamed = self.renames.iter().find(|(from, _)| same(from, theirs)).map(|(_, ours)| ours.as_str());
        column_name(renamed.unwrap_or(theirs), self.kind)
    }

    fn check_column(&self, name: &str, theirs: &str) -> Result<(), String> {
        if name.is_empty() {
            return Err("it has a column without a name".to_owned());
        }
        if name.len() > COLUMN_BYTES_MAX {
            return Err(format!("the name of column {theirs:?} is longer than {COLUMN_BYTES_MAX} bytes"));
        }
        if self.kind.columns().contains(&name) || self.kind.takes_others() {
            return Ok(());
        }
        let known = self.kind.columns().join(", ");
        Err(format!("column {theirs:?} is unknown; {} have {known}: rename it with --map or drop it", self.kind))
    }

    /// The next row. `None` at the end.
    ///
    /// # Errors
    /// What the file's reading fails with.
    pub fn next(&mut self) -> std::io::Result<Option<Numbered>> {
        match &mut self.source {
            Source::Csv(rows) => {
                let Some(RawRow { line, text, cells }) = rows.next()? else { return Ok(None) };
                let row = cells.map_err(Fault::row).and_then(|cells| self.fit(cells));
                Ok(Some(Numbered { line, raw: text, row }))
            }
            Source::Json(lines) => loop {
                let Some((line, text)) = lines.next()? else { return Ok(None) };
                let (raw, row) = match text {
                    Line::Broken(why) => (String::new(), Err(Fault::row(why))),
                    Line::Text(text) if text.trim().is_empty() => continue,
                    Line::Text(text) => {
                        let row = self.read_object(&text);
                        (text, row)
                    }
                };
                return Ok(Some(Numbered { line, raw, row }));
            },
        }
    }

    fn fit(&self, cells: Vec<String>) -> Result<Row, Fault> {
        let (has, wants) = (cells.len(), self.names.len());
        if has == wants {
            return Ok(Row { names: self.names.clone(), cells, json: None });
        }
        Err(Fault::row(format!("has {has} cells where the header has {wants}: quote cells that hold the separator")))
    }

    fn read_object(&mut self, text: &str) -> Result<Row, Fault> {
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| Fault::row(format!("is no JSON object: {error}")))?;
        let mut cells = vec![String::new(); self.names.len()];
        for (key, value) in &object {
            let name = self.name_of(key);
            let at = match self.names.iter().position(|known| *known == name) {
                Some(at) => at,
                None => {
                    self.check_column(&name, key).map_err(|why| Fault::new(key.clone(), why))?;
                    if self.names.len() == COLUMNS_MAX {
                        return Err(Fault::new(
                            key.clone(),
                            format!("is one name too many: a file may use {COLUMNS_MAX}"),
                        ));
                    }
                    Arc::make_mut(&mut self.names).push(name);
                    self.names.len() - 1
                }
            };
            cells.resize(self.names.len(), String::new());
            cells[at] = cell_text(value);
        }
        Ok(Row { names: self.names.clone(), cells, json: Some(object) })
    }
}

/// A JSON value as the text a CSV cell would have; lists of plain values as `a;b`.
fn cell_text(value: &Value) -> String {
    match value {
        Value::Null => CLEAR.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| item.is_string()) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(";")
        }
        other => other.to_string(),
    }
}

fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// A column's name as segments write it: lower case, with `_` for whatever stands between words. The names of events
/// are the spec's own, in any letter case.
fn column_name(text: &str, kind: Kind) -> String {
    let text = text.trim();
    if kind == Kind::Events {
        let known = kind.columns().iter().find(|known| known.eq_ignore_ascii_case(text));
        return known.map_or(text, |known| known).to_owned();
    }
    let lower = text.to_lowercase();
    let mut name = String::with_capacity(lower.len());
    for c in lower.chars() {
        if c.is_alphanumeric() {
            name.push(c);
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    name.trim_matches('_').to_owned()
}
