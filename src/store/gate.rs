//! Gates: the budget of a (route, provider), shared by all daemons of a database.
//!
//! A row is a leaky bucket (GCRA): `tat_us` is the instant up to which its tokens are taken. A daemon takes a grant of
//! about a second's tokens and spreads them itself; what a dead daemon had taken is lost, so the sum is never above
//! the limit.

use std::collections::HashSet;

use super::{Conn, StoreError};
use crate::on;

/// The id of a gate, made when missing, with its rate brought up to the configuration: one token every `step_us`.
pub async fn ensure(conn: Conn<'_>, route: &str, provider_id: i64, step_us: i64) -> Result<i64, StoreError> {
    const SQL: &str = "insert into gate (route, provider_id, step_us) values ($1, $2, $3)
         on conflict (route, provider_id) do update set step_us = excluded.step_us returning id";
    on!(conn, "open a gate", c => sqlx::query_scalar(SQL)
        .bind(route).bind(provider_id).bind(step_us).fetch_one(&mut *c).await)
}

/// Takes `n` tokens if the bucket holds them; `false`: wait.
///
/// # Crash
/// What was taken and not used is lost: the rate stays below its limit.
pub async fn take(conn: Conn<'_>, id: i64, n: i64, now_ms: i64) -> Result<bool, StoreError> {
    const SQL: &str = "update gate set tat_us = case when tat_us > $2 then tat_us else $2 end + $3 * step_us,
             version = version + 1
         where id = $1 and closed_until_ms <= $4 and tat_us <= $2";
    let rows = on!(conn, "take tokens", c => sqlx::query(SQL)
        .bind(id).bind(now_ms * 1000).bind(n).bind(now_ms).execute(&mut *c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Closes a gate until an instant, unless it is closed for longer already; a gate that is not there is made.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn close(conn: Conn<'_>, route: &str, provider_id: i64, until_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "insert into gate (route, provider_id, closed_until_ms) values ($1, $2, $3)
         on conflict (route, provider_id) do update set version = gate.version + 1, closed_until_ms =
           case when gate.closed_until_ms > excluded.closed_until_ms then gate.closed_until_ms else excluded.closed_until_ms end";
    on!(conn, "close a gate", c => sqlx::query(SQL)
        .bind(route).bind(provider_id).bind(until_ms).execute(&mut *c).await.map(|_| ()))
}

/// The gates that are closed, as (route, provider).
pub async fn closed(conn: Conn<'_>, now_ms: i64) -> Result<HashSet<(String, i64)>, StoreError> {
    const SQL: &str = "select route, provider_id from gate where closed_until_ms > $1";
    let rows: Vec<(String, i64)> =
        on!(conn, "look at closed gates", c => sqlx::query_as(SQL).bind(now_ms).fetch_all(&mut *c).await)?;
    Ok(rows.into_iter().collect())
}
