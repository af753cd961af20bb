//! Checkpoints of SQLite's log beside the writers, who would else stand still for them.
//!
//! A commit that finds the write-ahead log long folds it into the file by itself, and every mail and touch behind it
//! waits while the disk takes thousands of pages. So a daemon does it from a connection of its own while others write;
//! only what they added meanwhile is folded with the writer held, so that the log can begin anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::db::LOG_PAGES;
use super::{Db, Lane, StoreError, direct};
use crate::on;

/// Pages of the log after which it is to begin anew.
const BEGIN_ANEW_PAGES: i64 = 4 * LOG_PAGES as i64;
/// Pages that are folded while the writer is held, at most, unless more come faster than they are folded.
const HELD_PAGES: i64 = 200;
/// Pages of the log after which whoever commits folds it all the same: nobody else did.
const LEFT_ALONE_PAGES: u32 = 16 * LOG_PAGES;
const LOOK: &str = "pragma wal_checkpoint(noop)";
/// As far as readers let it; writers go on meanwhile.
const FOLD: &str = "pragma wal_checkpoint(passive)";
const DOING: &str = "fold the log into the file";

/// Folds a file's log in. Commits leave it to this one from when it is made.
pub struct Checkpoints {
    db: Db,
    conn: Arc<Mutex<Connection>>,
}

/// Pages written to the log, and of them those that stand in the file too.
#[derive(Debug, Clone, Copy)]
struct Log {
    written: i64,
    folded: i64,
}

impl Log {
    fn left(self) -> i64 {
        self.written - self.folded
    }
}

impl Checkpoints {
    /// How often the log is to be looked at.
    pub const EVERY: Duration = Duration::from_millis(50);

    /// `None` on PostgreSQL.
    ///
    /// # Errors
    /// The database's.
    pub async fn of(db: &Db) -> Result<Option<Checkpoints>, StoreError> {
        let Some(path) = db.sqlite_path() else { return Ok(None) };
        let conn = direct::connect(path).map_err(|error| StoreError::direct(DOING, error))?;
        let mut tx = db.begin(Lane::Bulk).await?;
        let leave = format!("pragma wal_autocheckpoint = {LEFT_ALONE_PAGES}");
        on!(tx.conn(), "leave the log alone", c =>
            sqlx::query(sqlx::AssertSqlSafe(leave.clone())).execute(&mut *c).await.map(|_| ()))?;
        tx.commit().await?;
        if let Some(held) = db.direct(Lane::Bulk).await {
            held.leave_log(LEFT_ALONE_PAGES)?;
        }
        Ok(Some(Checkpoints { db: db.clone(), conn: Arc::new(Mutex::new(conn)) }))
    }

    /// Folds the log in if it has grown long; `false`: it had not.
    ///
    /// # Errors
    /// The database's.
    ///
    /// # Crash
    /// What is not folded is read from the log.
    pub async fn fold(&mut self) -> Result<bool, StoreError> {
        if self.checkpoint(LOOK).await?.left() < i64::from(LOG_PAGES) {
            return Ok(false);
        }
        if self.checkpoint(FOLD).await?.written < BEGIN_ANEW_PAGES {
            return Ok(true);
        }
        if self.checkpoint(LOOK).await?.left() > HELD_PAGES {
            self.checkpoint(FOLD).await?;
        }
        let _held = self.db.direct(Lane::Bulk).await;
        self.checkpoint(FOLD).await?;
        Ok(true)
    }

    /// Where the log stands after what `sql` asks for. Asked through SQLite alone: whoever opened and closed one of its
    /// files by other means would let go of all locks of this process.
    async fn checkpoint(&self, sql: &'static str) -> Result<Log, StoreError> {
        let conn = self.conn.clone();
        let work = move || {
            let conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
            conn.query_row(sql, [], |row| Ok(Log { written: row.get(1)?, folded: row.get(2)? }))
        };
        direct::on_a_thread(work).await.map_err(|error| StoreError::direct(DOING, error))
    }
}
