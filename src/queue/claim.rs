//! Claim: a living daemon leases rows that are due.

use rusqlite::Transaction;

use super::count::Deltas;
use crate::domain::message::MessageState;
use crate::on;
use crate::store::{Conn, Db, Lane, StoreError, direct, lease};

/// A leased row, with what its slot needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Claimed {
    pub id: i64,
    pub member_id: Option<i64>,
    pub provider_id: i64,
    pub variant: i64,
    pub attempt: i64,
    pub tries: i64,
    pub crashes: i64,
    /// When it was first armed: the mail's Date, kept over retries.
    pub armed_at_ms: Option<i64>,
    pub was_due_at_ms: i64,
}

/// Where in a lane the last claim ended: a hint that skips the dead index entries PostgreSQL leaves until its vacuum,
/// never an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    pub due_at_ms: i64,
    pub id: i64,
}

/// What a claim leased.
#[derive(Debug)]
pub struct Leased {
    pub rows: Vec<Claimed>,
    /// Whether it was committed; after an error that is unknown, and `rows` are to be given back.
    pub committed: Result<(), StoreError>,
}

/// Leases up to `limit` due rows of a lane to `epoch`, the longest due first, and answers them in that order. On SQLite
/// it blocks the thread.
///
/// # Errors
/// The database's; nothing was leased.
///
/// # Crash
/// A lease that did not commit is a queued row; one that did is queued again by `recover`.
pub async fn claim(
    db: &Db,
    lane: (i64, i64),
    mark: Mark,
    limit: i64,
    epoch: i64,
    now_ms: i64,
) -> Result<Leased, StoreError> {
    if let Some(mut writer) = db.direct(Lane::Bulk).await {
        let tx = writer.begin()?;
        let rows = lease_directly(&tx, lane, mark, limit, epoch, now_ms)?;
        lease::keep_directly(&tx, epoch, lane.0, &ids(&rows))?;
        deltas(lane.0, &rows).write_directly(&tx, epoch)?;
        return Ok(Leased { rows, committed: direct::commit(tx) });
    }
    let mut tx = db.begin_by_key(Lane::Bulk).await?;
    let mut rows = lease_due(tx.conn(), lane, mark, limit, epoch, now_ms).await?;
    rows.sort_by_key(|row| (row.was_due_at_ms, row.id));
    lease::keep(tx.conn(), epoch, lane.0, &ids(&rows)).await?;
    deltas(lane.0, &rows).write(tx.conn(), epoch).await?;
    Ok(Leased { rows, committed: tx.commit().await })
}

fn ids(rows: &[Claimed]) -> Vec<i64> {
    rows.iter().map(|row| row.id).collect()
}

fn deltas(run_id: i64, rows: &[Claimed]) -> Deltas {
    let mut deltas = Deltas::default();
    for row in rows {
        deltas.moved(run_id, row.variant, (MessageState::Queued, None), (MessageState::Leased, None));
    }
    deltas
}

/// SQLite has one writer: what is found due is still due when it is leased.
fn lease_directly(
    tx: &Transaction<'_>,
    (run_id, provider_id): (i64, i64),
    mark: Mark,
    limit: i64,
    epoch: i64,
    now_ms: i64,
) -> Result<Vec<Claimed>, StoreError> {
    const DUE: &str =
        "select m.id, m.member_id, m.provider_id, m.variant, m.attempt + 1, m.tries, m.crashes, m.armed_at_ms,
           m.due_at_ms
         from message m join run r on r.id = m.run_id and r.state = 'sending'
         where m.run_id = ?1 and m.provider_id = ?2 and m.due_at_ms <= ?3 and (m.due_at_ms, m.id) >= (?4, ?5)
         order by m.due_at_ms, m.id limit ?6";
    const LEASE: &str =
        "update message set state = 'leased', owner = ?1, attempt = attempt + 1, due_at_ms = null where id = ?2";
    let due = (run_id, provider_id, now_ms, mark.due_at_ms, mark.id, limit);
    let rows = direct::rows(tx, "find due messages", DUE, due, |row| {
        Ok(Claimed {
            id: row.get(0)?,
            member_id: row.get(1)?,
            provider_id: row.get(2)?,
            variant: row.get(3)?,
            attempt: row.get(4)?,
            tries: row.get(5)?,
            crashes: row.get(6)?,
            armed_at_ms: row.get(7)?,
            was_due_at_ms: row.get(8)?,
        })
    })?;
    for row in &rows {
        direct::run(tx, "claim messages", LEASE, (epoch, row.id))?;
    }
    Ok(rows)
}

/// PostgreSQL has other writers beside this one, and skips what they hold.
async fn lease_due(
    conn: Conn<'_>,
    (run_id, provider_id): (i64, i64),
    mark: Mark,
    limit: i64,
    epoch: i64,
    now_ms: i64,
) -> Result<Vec<Claimed>, StoreError> {
    const SQL: &str = "with due as materialized (
           select m.id, m.due_at_ms from message m join run r on r.id = m.run_id and r.state = 'sending'
           where m.run_id = $1 and m.provider_id = $2 and m.due_at_ms <= $3 and (m.due_at_ms, m.id) >= ($4, $5)
           order by m.due_at_ms, m.id limit $6
           for update of m skip locked
         ) update message set state = 'leased', owner = $7, attempt = message.attempt + 1, due_at_ms = null
         from due where message.run_id = $1 and message.id = due.id
         returning message.id, message.member_id, message.provider_id, message.variant, message.attempt,
                   message.tries, message.crashes, message.armed_at_ms, due.due_at_ms as was_due_at_ms";
    on!(conn, "claim messages", c => sqlx::query_as(SQL)
        .bind(run_id).bind(provider_id).bind(now_ms).bind(mark.due_at_ms).bind(mark.id).bind(limit).bind(epoch)
        .fetch_all(&mut *c).await)
}

/// When the next queued row of a lane is due, or `None` when the lane is empty.
pub async fn next_due(conn: Conn<'_>, (run_id, provider_id): (i64, i64)) -> Result<Option<i64>, StoreError> {
    const SQL: &str =
        "select min(due_at_ms) from message where run_id = $1 and provider_id = $2 and due_at_ms is not null";
    on!(conn, "look at a lane", c => sqlx::query_scalar(SQL).bind(run_id).bind(provider_id).fetch_one(&mut *c).await)
}
