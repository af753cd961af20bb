//! What can go wrong between us and the database, saying what was attempted.

use rusqlite::ErrorCode;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A statement failed.
    #[error("could not {doing}: {source}")]
    Query { doing: &'static str, source: sqlx::Error },
    /// A statement on the caller's own thread failed.
    #[error("could not {doing}: {source}")]
    Direct { doing: &'static str, source: rusqlite::Error },
    /// A statement was ended because it took too long.
    #[error(
        "could not {doing}: it took more than {seconds} s and was ended; give its conditions a `within`, or ask for less"
    )]
    TooLong { doing: &'static str, seconds: f64 },
    /// The database could not be opened.
    #[error("could not open the database {url}: {source}")]
    Open { url: String, source: sqlx::Error },
    /// The database's URL is of no kind we know.
    #[error("[database] url = {url:?} is neither sqlite://PATH nor postgres://HOST/NAME")]
    Url { url: String },
    /// A migration failed.
    #[error("could not migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The database holds what the program can not have written.
    #[error("the database is inconsistent: {what}")]
    Inconsistent { what: String },
}

impl StoreError {
    /// The error of a failed statement; used by [`on!`](crate::on).
    pub fn query(doing: &'static str, source: sqlx::Error) -> StoreError {
        StoreError::Query { doing, source }
    }

    /// The error of a failed statement of [`direct`](super::direct).
    pub(super) fn direct(doing: &'static str, source: rusqlite::Error) -> StoreError {
        StoreError::Direct { doing, source }
    }

    /// Whether the disk, or the configured size of the database, is exhausted or failing: nothing may be armed until
    /// a commit succeeds again. SQLITE_FULL 13, SQLITE_IOERR 10; PostgreSQL class 53 (insufficient resources).
    pub fn is_full(&self) -> bool {
        let error = match self {
            StoreError::Query { source: sqlx::Error::Database(error), .. } => error,
            StoreError::Direct { source: rusqlite::Error::SqliteFailure(error, _), .. } => {
                return matches!(error.code, ErrorCode::DiskFull | ErrorCode::SystemIoFailure);
            }
            _ => return false,
        };
        match error.code() {
            Some(code) => match code.parse::<i64>() {
                Ok(code) if code < 10_000 => matches!(code & 0xff, 10 | 13),
                _ => code.starts_with("53"),
            },
            None => false,
        }
    }

    /// Whether a unique key refused the row.
    pub fn is_unique_violation(&self) -> bool {
        match self {
            StoreError::Query { source: sqlx::Error::Database(error), .. } => error.is_unique_violation(),
            StoreError::Direct { source: rusqlite::Error::SqliteFailure(error, _), .. } => {
                error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
            }
            _ => false,
        }
    }

    /// Whether the database is merely busy or away: the same again later may succeed.
    pub fn is_passing(&self) -> bool {
        let source = match self {
            StoreError::Query { source, .. } => source,
            StoreError::Direct { source: rusqlite::Error::SqliteFailure(error, _), .. } => {
                return matches!(error.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked);
            }
            _ => return false,
        };
        match source {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                true
            }
            sqlx::Error::Database(error) => match error.code().as_deref() {
                // SQLITE_BUSY and SQLITE_LOCKED; PostgreSQL serialisation failure, deadlock, shutdown.
                Some("5" | "6" | "517" | "40001" | "40P01" | "57P01" | "57P03") => true,
                Some(code) => code.starts_with("08"),
                None => false,
            },
            _ => false,
        }
    }
}
