//! Statements on the caller's own thread, where a hand-over costs more than the statement: freezes, claims, turns,
//! touches, histories.
//!
//! A driver that does not block runs SQLite on a thread of its own, and every statement goes there and back: on a busy
//! machine most of a short transaction is spent on being woken. So beside the writer's connection stands a second one
//! to the same file, spoken to directly, by the same lock: there is still one writer. Only what has a thread to itself
//! may use it.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::OwnedMutexGuard;

use super::db::{BUSY_TIMEOUT_MS, CACHE_KIB, LOG_PAGES, Writer};
use super::{StoreError, tally};

/// Statements kept prepared.
const STATEMENTS_MAX: usize = 64;

/// Opens the second connection to a file that the first has made.
pub(super) fn open(path: &Path, pages_max: Option<u64>) -> rusqlite::Result<Connection> {
    let conn = connect(path)?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "secure_delete", "on")?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    tally::register(&conn)?;
    if let Some(pages) = pages_max {
        conn.pragma_update(None, "max_page_count", pages.cast_signed())?;
    }
    Ok(conn)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = connect(path)?;
    conn.pragma_update(None, "query_only", "on")?;
    Ok(conn)
}

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Else a statement is prepared anew whenever an argument changes on which a partial index might turn.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
    Ok(conn)
}

/// The writer of a SQLite file, held.
pub struct Direct {
    pub(super) writer: OwnedMutexGuard<Writer>,
    pub(super) _lane: OwnedMutexGuard<()>,
}

impl Direct {
    /// Has commits fold the log in only once it is so many pages long.
    pub(super) fn leave_log(&self, pages: u32) -> Result<(), StoreError> {
        let set = self.writer.direct.pragma_update(None, "wal_autocheckpoint", pages);
        set.map_err(|error| StoreError::direct("leave the log alone", error))
    }

    /// Begins a transaction; dropped without a commit it leaves nothing behind. Blocks the thread.
    ///
    /// # Errors
    /// The database's.
    pub fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        let begun = self.writer.direct.transaction_with_behavior(TransactionBehavior::Immediate);
        begun.map_err(|error| StoreError::direct("begin a transaction", error))
    }
}

/// Does what blocks on a thread for such work; its panic is the caller's.
pub(super) async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}

/// Runs one prepared statement and says how many rows it changed.
///
/// # Errors
/// The database's, with what was attempted.
pub fn run(
    tx: &Transaction<'_>,
    doing: &'static str,
    sql: &'static str,
    params: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    let mut statement = tx.prepare_cached(sql).map_err(|error| StoreError::direct(doing, error))?;
    statement.execute(params).map_err(|error| StoreError::direct(doing, error))
}

/// All rows of one prepared query, each read by `read`.
///
/// # Errors
/// The database's, with what was attempted.
pub fn rows<T>(
    tx: &Transaction<'_>,
    doing: &'static str,
    sql: &'static str,
    params: impl rusqlite::Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let failed = |error| StoreError::direct(doing, error);
    let mut statement = tx.prepare_cached(sql).map_err(failed)?;
    let found = statement.query_map(params, read).map_err(failed)?;
    found.collect::<Result<_, _>>().map_err(failed)
}

/// Commits.
///
/// # Errors
/// The database's. After one it is unknown whether it was.
pub fn commit(tx: Transaction<'_>) -> Result<(), StoreError> {
    tx.commit().map_err(|error| StoreError::direct("commit", error))
}
