//! Checkpoints of SQLite's log beside the writers, who would else stand still for them.
//!
//! A commit that finds the write-ahead log long folds it into the file by itself, and every mail and touch behind it
//! waits while the disk takes thousands of pages. So a daemon does it from a connection of its own while others write;
//! only what they added meanwhile is folded with the writer held, so that the log can begin anew.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::db::LOG_PAGES;
use super::{Db, Lane, StoreError, direct};
use crate::on;

/// Pages of the log after which it is to begin anew.
const BEGIN_ANEW_PAGES: u32 = 4 * LOG_PAGES;
/// Pages that are folded while the writer is held, at most, unless more come faster than they are folded.
const HELD_PAGES: u32 = 200;
/// Pages of the log after which whoever commits folds it all the same: nobody else did.
const LEFT_ALONE_PAGES: u32 = 16 * LOG_PAGES;
const DOING: &str = "fold the log into the file";

/// Folds a file's log in. Commits leave it to this one from when it is made.
pub struct Checkpoints {
    db: Db,
    conn: Arc<Mutex<Connection>>,
    /// The index of the log, shared by all who have the file open.
    index: File,
}

/// Pages written to the log, and of them those that stand in the file too.
#[derive(Debug, Clone, Copy)]
struct Log {
    written: u32,
    folded: u32,
}

impl Log {
    fn left(self) -> u32 {
        self.written.saturating_sub(self.folded)
    }
}

impl Checkpoints {
    /// How often the log is to be looked at.
    pub const LOOK: Duration = Duration::from_millis(50);

    /// `None` on PostgreSQL.
    ///
    /// # Errors
    /// The database's.
    pub async fn of(db: &Db) -> Result<Option<Checkpoints>, StoreError> {
        let Some(path) = db.sqlite_path() else { return Ok(None) };
        let conn = direct::connect(path).map_err(|error| StoreError::direct(DOING, error))?;
        let mut index = path.as_os_str().to_owned();
        index.push("-shm");
        let index = File::open(PathBuf::from(index)).map_err(|error| StoreError::query(DOING, error.into()))?;
        let mut tx = db.begin(Lane::Bulk).await?;
        let leave = format!("pragma wal_autocheckpoint = {LEFT_ALONE_PAGES}");
        on!(tx.conn(), "leave the log alone", c =>
            sqlx::query(sqlx::AssertSqlSafe(leave.clone())).execute(&mut *c).await.map(|_| ()))?;
        tx.commit().await?;
        if let Some(held) = db.direct(Lane::Bulk).await {
            held.leave_log(LEFT_ALONE_PAGES)?;
        }
        Ok(Some(Checkpoints { db: db.clone(), conn: Arc::new(Mutex::new(conn)), index }))
    }

    /// Folds the log in if it has grown long; `false`: it had not.
    ///
    /// # Errors
    /// The database's.
    ///
    /// # Crash
    /// What is not folded is read from the log.
    pub async fn fold(&mut self) -> Result<bool, StoreError> {
        if self.log()?.left() < LOG_PAGES {
            return Ok(false);
        }
        self.checkpoint().await?;
        if self.log()?.written < BEGIN_ANEW_PAGES {
            return Ok(true);
        }
        if self.log()?.left() > HELD_PAGES {
            self.checkpoint().await?;
        }
        let _held = self.db.direct(Lane::Bulk).await;
        self.checkpoint().await?;
        Ok(true)
    }

    /// As far as readers let it; writers go on meanwhile.
    async fn checkpoint(&self) -> Result<(), StoreError> {
        let conn = self.conn.clone();
        let fold = move || {
            let conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
            conn.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
        };
        match tokio::task::spawn_blocking(fold).await {
            Ok(done) => done.map_err(|error| StoreError::direct(DOING, error)),
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        }
    }

    /// Where the log stands (SQLite's "WAL-index File Format": `mxFrame` and `nBackfill`, in this machine's byte order).
    fn log(&self) -> Result<Log, StoreError> {
        let read = |at: u64| -> Result<u32, StoreError> {
            let mut bytes = [0; 4];
            self.index.read_exact_at(&mut bytes, at).map_err(|error| StoreError::query(DOING, error.into()))?;
            Ok(u32::from_ne_bytes(bytes))
        };
        Ok(Log { written: read(16)?, folded: read(96)? })
    }
}
