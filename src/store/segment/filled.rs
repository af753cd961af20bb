//! Running a statement that was put together around a [`Where`].

use super::compile::Bind;
use crate::on;
use crate::store::{Conn, StoreError};

/// A statement with all its binds, the caller's first.
#[derive(Debug, Clone)]
pub struct Filled {
    pub(super) sql: String,
    pub(super) binds: Vec<Bind>,
}

/// Binds every value to a query of either driver.
macro_rules! bound {
    ($query:expr, $binds:expr) => {{
        let mut query = $query;
        for bind in $binds {
            query = match bind {
                Bind::Int(int) => query.bind(*int),
                Bind::Float(float) => query.bind(*float),
                Bind::Text(text) => query.bind(text.as_str()),
            };
        }
        query
    }};
}

/// The one dynamic statement of the house. Safe: see the room's doc.
macro_rules! sql {
    ($filled:expr) => {
        sqlx::AssertSqlSafe($filled.sql.clone())
    };
}

impl Filled {
    /// Runs it and says how many rows it wrote.
    ///
    /// # Crash
    /// Part of the caller's transaction.
    pub async fn execute(&self, conn: Conn<'_>) -> Result<u64, StoreError> {
        on!(conn, "run a statement over a segment", c =>
            bound!(sqlx::query(sql!(self)), &self.binds).execute(&mut *c).await.map(|done| done.rows_affected()))
    }

    /// Every row, as tuples or `FromRow` structs.
    pub async fn rows<T>(&self, conn: Conn<'_>) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>
            + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>
            + Send
            + Unpin,
    {
        on!(conn, "ask about a segment", c => bound!(sqlx::query_as(sql!(self)), &self.binds).fetch_all(&mut *c).await)
    }

    /// The one row of a statement that gives exactly one.
    pub async fn row<T>(&self, conn: Conn<'_>) -> Result<T, StoreError>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>
            + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>
            + Send
            + Unpin,
    {
        on!(conn, "ask about a segment", c => bound!(sqlx::query_as(sql!(self)), &self.binds).fetch_one(&mut *c).await)
    }

    /// The statement's text, for query plans in tests.
    pub fn sql(&self) -> &str {
        &self.sql
    }
}
