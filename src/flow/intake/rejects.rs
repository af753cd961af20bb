//! The rows that were not taken, in a file beside the one they came from.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::{Fault, IntakeError};

/// Writes `FILE.rejected.csv`: line, field, reason and the row as it stands in the file. It is made at the first row
/// and taken away at the start, so that what lies there is of the last import.
pub struct Rejects {
    path: PathBuf,
    writer: Option<csv::Writer<BufWriter<File>>>,
    n: u64,
}

impl Rejects {
    /// # Errors
    /// When an older file cannot be removed.
    pub fn beside(file: &Path) -> Result<Rejects, IntakeError> {
        let mut name = file.as_os_str().to_owned();
        name.push(".rejected.csv");
        let path = PathBuf::from(name);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(IntakeError::File { path, source }),
            _ => Ok(Rejects { path, writer: None, n: 0 }),
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&mut self, line: u64, fault: &Fault, raw: &str) -> Result<(), IntakeError> {
        let failed = |path: &Path, source: std::io::Error| IntakeError::File { path: path.to_owned(), source };
        if self.writer.is_none() {
            let file = File::create(&self.path).map_err(|source| failed(&self.path, source))?;
            let mut writer = csv::Writer::from_writer(BufWriter::new(file));
            let head = writer.write_record(["line", "field", "reason", "row"]);
            head.map_err(|error| failed(&self.path, error.into()))?;
            self.writer = Some(writer);
        }
        let writer = self.writer.as_mut().expect("made above");
        let record = [&line.to_string(), fault.field.as_ref(), &fault.reason, raw];
        writer.write_record(record).map_err(|error| failed(&self.path, error.into()))?;
        self.n += 1;
        Ok(())
    }

    pub fn len(&self) -> u64 {
        self.n
    }

    /// Ends the file and says where it is, if there is one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<Option<PathBuf>, IntakeError> {
        let Some(mut writer) = self.writer else { return Ok(None) };
        writer.flush().map_err(|source| IntakeError::File { path: self.path.clone(), source })?;
        Ok(Some(self.path))
    }
}
