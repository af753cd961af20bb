//! One daemon per SQLite file: the lock that proves a predecessor dead.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// An exclusive lock on the file beside a database, held until it is dropped or the process dies, however it dies.
/// Whoever holds it knows that every earlier daemon of this database is gone.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{} is served by process {pid} already: one daemon at a time works on a SQLite file; stop that one first, or use PostgreSQL for several", database.display())]
    Held { database: PathBuf, pid: String },
    #[error("could not lock {}: {source}", file.display())]
    Io { file: PathBuf, source: std::io::Error },
}

impl StateLock {
    /// Takes the lock of a SQLite database (`DATABASE.lock`) and writes this process's id into it, without waiting.
    ///
    /// # Errors
    /// [`LockError::Held`] names the process that has it.
    ///
    /// # Crash
    /// The kernel lets go of the lock; the file stays and means nothing by itself.
    pub fn take(database: &Path) -> Result<StateLock, LockError> {
        // Two names of one file (a link, a relative path) must be one lock.
        let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        let mut name = database.clone().into_os_string();
        name.push(".lock");
        let path = PathBuf::from(name);
        let failed = |source| LockError::Io { file: path.clone(), source };
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // A holder that just began may not have written yet.
                let _ = file.take(20).read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "(starting)".to_owned() } else { pid.trim().to_owned() };
                return Err(LockError::Held { database, pid });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let written = file.set_len(0).and_then(|()| file.rewind());
        written.and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(StateLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_by_the_pid_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("indicia.db");
        std::fs::write(&database, "").unwrap();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&database, &link).unwrap();
        let first = StateLock::take(&database).unwrap();
        let refused = StateLock::take(&link).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        StateLock::take(&link).unwrap();
    }
}
