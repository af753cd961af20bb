//! What members did: one row per event, once, and the outbox row that hands it to learning.

use std::collections::HashMap;

use super::deed::Source;
use super::{Conn, Pair, Rows, StoreError, outbox};
use crate::{bulk, on};

/// An event to append. Its identity is (`at_ms`, `dedup`).
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub at_ms: i64,
    /// [`dedup`](crate::domain::event::dedup) of the source's own id.
    pub dedup: i64,
    pub member_id: i64,
    pub name_id: i64,
    pub product_id: Option<i64>,
    pub value_minor: Option<i64>,
    /// A JSON object.
    pub props: String,
}

/// The ids of event names, registered where missing.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn name_ids(mut conn: Conn<'_>, names: &[&str]) -> Result<HashMap<String, i64>, StoreError> {
    const INSERT: Pair = bulk!(
        "insert into event_name (name) select value ->> 0 from",
        "$1",
        "where true on conflict (name) do nothing"
    );
    const SELECT: Pair = bulk!(
        "with row(name) as (select value ->> 0 from",
        "$1",
        ") select n.name, n.id from row join event_name n on n.name = row.name"
    );
    let rows = Rows::of(names.iter().map(|name| (name,))).json();
    let sql = conn.pick(&INSERT);
    on!(conn.again(), "register event names", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))?;
    let sql = conn.pick(&SELECT);
    let ids: Vec<(String, i64)> =
        on!(conn, "find event names", c => sqlx::query_as(sql).bind(&rows).fetch_all(&mut *c).await)?;
    Ok(ids.into_iter().collect())
}

/// Appends those events that are not there yet, hands them to learning, and returns the identities of the new ones.
///
/// # Crash
/// Part of the caller's transaction: an event and its outbox row commit together.
pub async fn append(mut conn: Conn<'_>, events: &[NewEvent], now_ms: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    const EVENTS: Pair = bulk!(
        "insert into event (at_ms, dedup, member_id, name_id, product_id, value_minor, props)
         select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as bigint),
           cast(value ->> 3 as bigint), cast(value ->> 4 as bigint), cast(value ->> 5 as bigint), value ->> 6 from",
        "$1",
        "where true on conflict (at_ms, dedup) do nothing returning id, at_ms, dedup"
    );
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let sql = conn.pick(&EVENTS);
    let row = |e: &NewEvent| (e.at_ms, e.dedup, e.member_id, e.name_id, e.product_id, e.value_minor, e.props.clone());
    let rows = Rows::of(events.iter().map(row)).json();
    let new: Vec<(i64, i64, i64)> =
        on!(conn.again(), "append events", c => sqlx::query_as(sql).bind(rows).fetch_all(&mut *c).await)?;
    if !new.is_empty() {
        let ids: Vec<i64> = new.iter().map(|(id, ..)| *id).collect();
        outbox::put(conn, Source::Event, &ids, now_ms).await?;
    }
    Ok(new.into_iter().map(|(_, at_ms, dedup)| (at_ms, dedup)).collect())
}

/// Corrects the value of events, each given as (at, dedup, value).
///
/// # Crash
/// Part of the caller's transaction.
pub async fn revalue(conn: Conn<'_>, events: &[(i64, i64, i64)]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(at_ms, dedup, value_minor) as (select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint),
           cast(value ->> 2 as bigint) from",
        "$1",
        ") update event set value_minor = row.value_minor from row
           where event.at_ms = row.at_ms and event.dedup = row.dedup"
    );
    if events.is_empty() {
        return Ok(());
    }
    let sql = conn.pick(&SQL);
    let rows = Rows::of(events).json();
    on!(conn, "correct events", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))
}

/// Takes events back that turned out not to have happened, each given as (at, dedup). What learning made of them
/// fades like everything else.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn withdraw(conn: Conn<'_>, events: &[(i64, i64)]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(at_ms, dedup) as (select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint) from",
        "$1",
        ") delete from event where (at_ms, dedup) in (select at_ms, dedup from row)"
    );
    if events.is_empty() {
        return Ok(());
    }
    let sql = conn.pick(&SQL);
    let rows = Rows::of(events).json();
    on!(conn, "withdraw events", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))
}
