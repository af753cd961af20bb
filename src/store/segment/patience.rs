//! How long a statement over a segment may take: whatever somebody typed, it must not hold the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{Acquire, Postgres, SqliteConnection, Transaction};

use crate::store::{Conn, StoreError};

/// How long a question about a segment may take.
pub const ASK_MAX: Duration = Duration::from_secs(60);
/// How many of its steps SQLite takes between two looks at whether its time is over: about a millisecond.
const STEPS_A_LOOK: i32 = 50_000;

const DOING: &str = "bound the time of a segment";

/// A connection whose statements end in time.
pub(super) enum Patient<'c> {
    /// The statement is interrupted from inside once the flag is up.
    Sqlite(&'c mut SqliteConnection, Arc<AtomicBool>),
    /// The server ends it. The setting goes with the caller's transaction, where there is one, else with this.
    Postgres(Transaction<'c, Postgres>),
}

impl<'c> Patient<'c> {
    pub async fn begin(conn: Conn<'c>, most: Duration) -> Result<Patient<'c>, StoreError> {
        let failed = |error| StoreError::query(DOING, error);
        match conn {
            Conn::Sqlite(c) => {
                let over = Arc::new(AtomicBool::new(false));
                let seen = over.clone();
                let mut handle = c.lock_handle().await.map_err(failed)?;
                handle.set_progress_handler(STEPS_A_LOOK, move || !seen.load(Ordering::Relaxed));
                drop(handle);
                Ok(Patient::Sqlite(c, over))
            }
            Conn::Postgres(c) => {
                let mut tx = c.begin().await.map_err(failed)?;
                let ms = most.as_millis().to_string();
                const SQL: &str = "select set_config('statement_timeout', $1, true)";
                sqlx::query(SQL).bind(ms).execute(&mut *tx).await.map_err(failed)?;
                Ok(Patient::Postgres(tx))
            }
        }
    }

    pub fn conn(&mut self) -> Conn<'_> {
        match self {
            Patient::Sqlite(c, _) => Conn::Sqlite(c),
            Patient::Postgres(tx) => Conn::Postgres(tx),
        }
    }

    /// Raises the flag after `most`, and never returns: for a `select!` beside the statement.
    pub fn alarm(&self, most: Duration) -> impl Future<Output = ()> + use<> {
        let over = match self {
            Patient::Sqlite(_, over) => Some(over.clone()),
            Patient::Postgres(_) => None,
        };
        async move {
            if let Some(over) = over {
                tokio::time::sleep(most).await;
                over.store(true, Ordering::Relaxed);
            }
            std::future::pending().await
        }
    }

    /// Gives the connection back as it was. What was written stays part of the caller's transaction.
    pub async fn end(self) -> Result<(), StoreError> {
        let failed = |error| StoreError::query(DOING, error);
        match self {
            Patient::Sqlite(c, _) => {
                c.lock_handle().await.map_err(failed)?.remove_progress_handler();
                Ok(())
            }
            Patient::Postgres(tx) => tx.commit().await.map_err(failed),
        }
    }
}

/// Does what a connection's own thread may do for `most`; what is still at it then is interrupted from inside. Only where
/// a runtime is, whose clock it goes by.
pub(super) fn within<T>(
    conn: &rusqlite::Connection,
    most: Duration,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let over = Arc::new(AtomicBool::new(false));
    let seen = over.clone();
    conn.progress_handler(STEPS_A_LOOK, Some(move || seen.load(Ordering::Relaxed)))?;
    let alarm = tokio::spawn(async move {
        tokio::time::sleep(most).await;
        over.store(true, Ordering::Relaxed);
    });
    let done = work();
    alarm.abort();
    conn.progress_handler(0, None::<fn() -> bool>)?;
    done
}

/// Says of a statement that was ended for its time that it was. SQLITE_INTERRUPT 9; PostgreSQL `query_canceled`.
pub(super) fn told(error: StoreError, most: Duration) -> StoreError {
    let (doing, ended) = match &error {
        StoreError::Query { doing, source: sqlx::Error::Database(database) } => {
            (*doing, matches!(database.code().as_deref(), Some("9" | "57014")))
        }
        StoreError::Direct { doing, source } => {
            (*doing, source.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted))
        }
        _ => return error,
    };
    if ended { StoreError::TooLong { doing, seconds: most.as_secs_f64() } } else { error }
}
