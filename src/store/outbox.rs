//! Events whose effects are still to be recorded. The transaction that appends an event also puts its id here; the
//! one that records the effect takes it out. Ids commit out of order on PostgreSQL, so a cursor would skip some.

use super::deed::Source;
use super::{Conn, Pair, Rows, StoreError};
use crate::{bulk, on};

/// Hands these rows of one source to whoever learns from them.
///
/// # Crash
/// Part of the caller's transaction: the event and its hand-over are there together, or neither.
pub async fn put(conn: Conn<'_>, source: Source, ids: &[i64], at_ms: i64) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") insert into outbox (source, ref_id, at_ms) select $2, row.id, $3 from row where true"
    );
    let (sql, ids) = (conn.pick(&SQL), Rows::of(ids.iter().map(|id| (id,))).json());
    on!(conn, "hand events on", c => sqlx::query(sql).bind(&ids).bind(source.as_str()).bind(at_ms).execute(&mut *c).await.map(|_| ()))
}

/// Whether anything waits: asked of a reader before the writer is taken.
pub async fn waits(conn: Conn<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "select id from outbox limit 1";
    let one: Option<i64> = on!(conn, "look for events", c => sqlx::query_scalar(SQL).fetch_optional(&mut *c).await)?;
    Ok(one.is_some())
}

/// Holds the outbox still until the transaction ends: nothing is taken from it or put into it. SQLite's one writer does
/// so anyway. To be asked first in a transaction, so that nobody waits in a circle.
pub async fn hold(conn: Conn<'_>) -> Result<(), StoreError> {
    if conn.is_sqlite() {
        return Ok(());
    }
    const SQL: &str = "lock table outbox in share mode";
    on!(conn, "hold the outbox", c => sqlx::query(SQL).execute(&mut *c).await.map(|_| ()))
}

/// How many wait, counted up to `most`.
pub async fn waiting(conn: Conn<'_>, most: i64) -> Result<i64, StoreError> {
    const SQL: &str = "select count(*) from (select id from outbox limit $1) q";
    on!(conn, "count events", c => sqlx::query_scalar(SQL).bind(most).fetch_one(&mut *c).await)
}

/// Takes up to `limit` of the longest waiting out, as (source, row).
///
/// # Crash
/// Part of the caller's transaction: they wait again unless it commits. Of two daemons on PostgreSQL each takes rows
/// the other has not locked; the pair differs by that clause alone, which SQLite's one writer does not need.
pub async fn take(conn: Conn<'_>, limit: usize) -> Result<Vec<(Source, i64)>, StoreError> {
    const SQL: Pair = Pair {
        sqlite: "delete from outbox where id in (select id from outbox order by id limit $1) returning source, ref_id",
        postgres: "delete from outbox where id in (select id from outbox order by id limit $1 for update skip locked)
                   returning source, ref_id",
    };
    let sql = conn.pick(&SQL);
    let rows: Vec<(String, i64)> =
        on!(conn, "take events", c => sqlx::query_as(sql).bind(limit as i64).fetch_all(&mut *c).await)?;
    rows.into_iter()
        .map(|(source, id)| match source.parse() {
            Ok(source) => Ok((source, id)),
            Err(unknown) => Err(StoreError::Inconsistent { what: format!("outbox.source {unknown}") }),
        })
        .collect()
}
