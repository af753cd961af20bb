//! How far the database once was, kept beside it: a database that knows less has gone back in time.
//!
//! A restored copy, or a standby promoted too early, shows mails as queued that were sent long ago. Every commit of the
//! send queue raises a `turn_line.turn_no`; the file `high-water` in the state folder keeps the highest sum of them
//! that this host saw committed. It is written after the commit, so it never claims more than the database once held.

use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "high-water";

/// An epoch and its last known turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub epoch: i64,
    pub turn_no: i64,
}

/// The mark of one daemon, in its file.
#[derive(Debug)]
pub struct HighWater {
    file: PathBuf,
    mark: Mark,
}

impl HighWater {
    /// The mark that the last daemon of this folder left, if it left one.
    ///
    /// # Errors
    /// A file that cannot be read, or holds something else.
    pub fn last(folder: &Path) -> io::Result<Option<Mark>> {
        let text = match std::fs::read_to_string(folder.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut numbers = text.split_whitespace().map(|word| word.parse::<i64>().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(epoch), Some(turn_no)) => Ok(Some(Mark { epoch, turn_no })),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The mark of a new epoch.
    pub fn new(folder: &Path, epoch: i64) -> HighWater {
        HighWater { file: folder.join(FILE), mark: Mark { epoch, turn_no: -1 } }
    }

    /// Notes the turn that the database knows now; `false`: it has known a later one.
    ///
    /// # Errors
    /// A file that cannot be written.
    ///
    /// # Crash
    /// The file holds the old mark or the new one.
    pub fn raise(&mut self, turn_no: i64) -> io::Result<bool> {
        if turn_no <= self.mark.turn_no {
            return Ok(turn_no == self.mark.turn_no);
        }
        self.mark.turn_no = turn_no;
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let draft = self.file.with_extension("new");
        std::fs::write(&draft, format!("{} {turn_no}\n", self.mark.epoch))?;
        std::fs::rename(&draft, &self.file)?;
        Ok(true)
    }

    /// Begins again below: the database's past has been told, and is now the present.
    pub fn accept(&mut self, turn_no: i64) {
        self.mark.turn_no = turn_no - 1;
    }
}
