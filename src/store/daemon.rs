//! Daemons as epochs: one row per start of `serve`, its id never used again.

use super::{Conn, LINES, StoreError};
use crate::on;

/// A living daemon as others see it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Daemon {
    pub id: i64,
    pub host: String,
    pub pid: i64,
    pub beat_at_ms: i64,
}

/// A new epoch.
///
/// # Crash
/// A row that beats no more is reaped like any dead daemon's.
pub async fn start(mut conn: Conn<'_>, host: &str, pid: i64, now_ms: i64) -> Result<i64, StoreError> {
    const SQL: &str = "insert into daemon (host, pid, started_at_ms, beat_at_ms) values ($1, $2, $3, $3) returning id";
    const LINE: &str = "insert into turn_line (daemon_id, line) values ($1, $2)";
    let id: i64 = on!(conn.again(), "register this daemon", c => sqlx::query_scalar(SQL).bind(host).bind(pid).bind(now_ms).fetch_one(&mut *c).await)?;
    for line in 0..LINES as i64 {
        on!(conn.again(), "begin a line of turns", c => sqlx::query(LINE).bind(id).bind(line).execute(&mut *c).await.map(|_| ()))?;
    }
    Ok(id)
}

/// Says "I live". `false`: somebody declared this epoch dead, take a new one.
pub async fn beat(conn: Conn<'_>, id: i64, now_ms: i64) -> Result<bool, StoreError> {
    const SQL: &str = "update daemon set beat_at_ms = $2 where id = $1 and ended_at_ms is null";
    let rows = on!(conn, "beat", c => sqlx::query(SQL).bind(id).bind(now_ms).execute(&mut *c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// The number of turns an epoch has committed; `None` for one the database does not know.
pub async fn turn_no(conn: Conn<'_>, id: i64) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "select cast(sum(turn_no) as bigint) from turn_line where daemon_id = $1";
    on!(conn, "read a daemon's turns", c => sqlx::query_scalar(SQL).bind(id).fetch_one(&mut *c).await)
}

/// The database's own clock, unix milliseconds; `None` on SQLite, whose clock is this machine's.
pub async fn clock_ms(conn: Conn<'_>) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "select cast(extract(epoch from clock_timestamp()) * 1000 as bigint)";
    match conn {
        Conn::Sqlite(_) => Ok(None),
        Conn::Postgres(c) => {
            let now = sqlx::query_scalar(SQL).fetch_one(c).await;
            now.map(Some).map_err(|error| StoreError::query("ask the database's clock", error))
        }
    }
}

/// Ends an epoch: its own clean exit, or its predecessor's that a lock proved dead.
pub async fn end(conn: Conn<'_>, id: i64, now_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "update daemon set ended_at_ms = $2 where id = $1 and ended_at_ms is null";
    on!(conn, "end a daemon's epoch", c => sqlx::query(SQL).bind(id).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}

/// Ends every epoch that has not beaten since `before_ms`, and says how many.
pub async fn reap(conn: Conn<'_>, before_ms: i64, now_ms: i64) -> Result<u64, StoreError> {
    const SQL: &str = "update daemon set ended_at_ms = $2 where ended_at_ms is null and beat_at_ms < $1";
    on!(conn, "end silent daemons", c => sqlx::query(SQL).bind(before_ms).bind(now_ms).execute(&mut *c).await.map(|r| r.rows_affected()))
}

/// Every epoch not ended.
pub async fn living(conn: Conn<'_>) -> Result<Vec<Daemon>, StoreError> {
    const SQL: &str = "select id, host, pid, beat_at_ms from daemon where ended_at_ms is null order by id";
    on!(conn, "list daemons", c => sqlx::query_as(SQL).fetch_all(&mut *c).await)
}
