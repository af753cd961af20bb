//! Running a statement that was put together around a [`Where`].

use std::time::Duration;

use rusqlite::Transaction;

use super::compile::Bind;
use super::patience::{ASK_MAX, Patient, told, within};
use crate::on;
use crate::store::{Conn, StoreError};

/// A statement with all its binds, the caller's first.
#[derive(Debug, Clone)]
pub struct Filled {
    pub(super) sql: String,
    pub(super) binds: Vec<Bind>,
    pub(super) most: Duration,
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

/// Runs a statement on a connection for no longer than it may take.
macro_rules! patiently {
    ($self:expr, $conn:expr, $doing:literal, $c:ident => $body:expr) => {{
        let mut patient = Patient::begin($conn, $self.most).await?;
        let alarm = patient.alarm($self.most);
        let done = tokio::select! {
            done = async { on!(patient.conn(), $doing, $c => $body) } => done,
            () = alarm => unreachable!("an alarm only rings"),
        };
        match done {
            Ok(done) => patient.end().await.map(|()| done),
            Err(error) => {
                let error = told(error, $self.most);
                // PostgreSQL rolls back to where it began; what SQLite still has is a handler.
                if let Patient::Sqlite(..) = patient {
                    patient.end().await?;
                }
                Err(error)
            }
        }
    }};
}

impl Filled {
    pub(super) fn new(sql: String, binds: Vec<Bind>) -> Filled {
        Filled { sql, binds, most: ASK_MAX }
    }

    /// The same, ended after `most`.
    pub fn within(mut self, most: Duration) -> Filled {
        self.most = most;
        self
    }

    /// Runs it on the caller's own thread and says how many rows it wrote.
    ///
    /// # Errors
    /// The database's; [`StoreError::TooLong`] when it was ended for its time.
    ///
    /// # Crash
    /// Part of the caller's transaction.
    pub fn execute_directly(&self, tx: &Transaction<'_>) -> Result<usize, StoreError> {
        const DOING: &str = "run a statement over a segment";
        let execute = || {
            let mut statement = tx.prepare_cached(&self.sql)?;
            // SQLite counts placeholders as they come, not by the numbers in their names.
            for place in 1..=statement.parameter_count() {
                let number = statement.parameter_name(place).and_then(|name| name[1..].parse::<usize>().ok());
                let bind = number.and_then(|number| self.binds.get(number - 1));
                statement.raw_bind_parameter(place, bind.ok_or(rusqlite::Error::InvalidParameterCount(place, 0))?)?;
            }
            statement.raw_execute()
        };
        let done = within(tx, self.most, execute);
        done.map_err(|error| told(StoreError::direct(DOING, error), self.most))
    }

    /// Every row, as tuples or `FromRow` structs.
    ///
    /// # Errors
    /// As [`execute_directly`](Filled::execute_directly).
    pub async fn rows<T>(&self, conn: Conn<'_>) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>
            + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>
            + Send
            + Unpin,
    {
        patiently!(self, conn, "ask about a segment", c =>
            bound!(sqlx::query_as(sql!(self)), &self.binds).fetch_all(&mut *c).await)
    }

    /// The one row of a statement that gives exactly one.
    pub async fn row<T>(&self, conn: Conn<'_>) -> Result<T, StoreError>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>
            + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>
            + Send
            + Unpin,
    {
        patiently!(self, conn, "ask about a segment", c =>
            bound!(sqlx::query_as(sql!(self)), &self.binds).fetch_one(&mut *c).await)
    }

    /// The statement's text, for query plans in tests.
    pub fn sql(&self) -> &str {
        &self.sql
    }
}
