//! Counting beside an insert. SQLite says how many rows an `insert … select` wrote, not of which kinds: to ask it again
//! would cost half as much as the insert.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Transaction};

use super::{StoreError, direct, gathered};

/// Gives a connection the function `tally(kind)`, which is its argument, counted; and `tallied()`, what was counted since
/// it was last asked, as JSON: `[[kind, n], …]`.
pub(super) fn register(conn: &Connection) -> rusqlite::Result<()> {
    let counts: Arc<Mutex<BTreeMap<i64, i64>>> = Arc::default();
    let asked = counts.clone();
    conn.create_scalar_function("tally", 1, FunctionFlags::SQLITE_UTF8, move |call| {
        let kind = call.get(0)?;
        *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
        Ok(kind)
    })?;
    conn.create_scalar_function("tallied", 0, FunctionFlags::SQLITE_UTF8, move |_| {
        let counts = std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner));
        let counts: Vec<(i64, i64)> = counts.into_iter().collect();
        serde_json::to_string(&counts).map_err(|error| rusqlite::Error::UserFunctionError(error.into()))
    })
}

/// What `work` gave, and what its statements counted, each kind once.
///
/// # Errors
/// The database's, and those of `work`.
pub fn of<T>(
    tx: &Transaction<'_>,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<(T, Vec<(i64, i64)>), StoreError> {
    let counted = || direct::rows(tx, "count", "select tallied()", [], |row| row.get::<_, String>(0));
    // What ended in an error has left its counts behind.
    counted()?;
    let done = work()?;
    Ok((done, gathered(&counted()?.concat())?))
}
