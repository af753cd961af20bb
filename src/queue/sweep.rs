//! Sweep: queued rows that will not be sent any more (cancelled, expired), and failed or doubtful rows that a person
//! wants tried again. Each call is one short piece; call again while it is full.

use super::count::Deltas;
use crate::domain::message::{MessageEvent, MessageState};
use crate::store::{Conn, Pair, Rows, StoreError};
use crate::{bulk, on};

/// Most rows moved in one transaction: about 10 ms of a SQLite writer.
pub const SWEEP_BATCH_MAX: i64 = 2000;

#[derive(sqlx::FromRow)]
struct Swept {
    id: i64,
    variant: i64,
    state: String,
    why: Option<String>,
}

/// What a sweep looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Everything queued, because the run is cancelled.
    Cancelled,
    /// Queued rows of a run whose time to live is over.
    Expired,
    /// Failed rows, to be tried again.
    RetryFailed,
    /// Doubtful rows, to be sent again though they may have arrived.
    RetryInDoubt,
}

impl Sweep {
    fn event(self) -> MessageEvent {
        match self {
            Sweep::Cancelled => MessageEvent::Cancelled,
            Sweep::Expired => MessageEvent::GivenUp,
            Sweep::RetryFailed | Sweep::RetryInDoubt => MessageEvent::Retried,
        }
    }

    fn from(self) -> MessageState {
        match self {
            Sweep::Cancelled | Sweep::Expired => MessageState::Queued,
            Sweep::RetryFailed => MessageState::Failed,
            Sweep::RetryInDoubt => MessageState::InDoubt,
        }
    }

    fn why(self) -> Option<&'static str> {
        (self == Sweep::Expired).then_some("expired")
    }
}

/// Moves up to [`SWEEP_BATCH_MAX`] rows of a run and returns how many. `owner` is whose account the counts change on:
/// a daemon's epoch, or 0 for a command.
///
/// # Crash
/// What one call moved is moved; the rest waits for the next.
pub async fn sweep(mut conn: Conn<'_>, run_id: i64, what: Sweep, owner: i64, now_ms: i64) -> Result<i64, StoreError> {
    let found = find(conn.again(), run_id, what).await?;
    let (mut deltas, mut rows) = (Deltas::default(), Rows::default());
    let Some(next) = what.from().next(what.event()) else { return Ok(0) };
    let due = (next == MessageState::Queued).then_some(now_ms);
    for row in &found {
        debug_assert_eq!(row.state, what.from().as_str());
        deltas.moved(run_id, row.variant, (what.from(), row.why.as_deref()), (next, what.why()));
        rows.push(&(row.id,));
    }
    const SQL: Pair = bulk!(
        "with s as materialized (select cast(value ->> 0 as bigint) as id from",
        "$1",
        ") update message set state = $3, why = $4, due_at_ms = $5,
             tries = case when $3 = 'queued' then 0 else message.tries end
           from s where message.run_id = $2 and message.id = s.id"
    );
    if rows.is_empty() {
        return Ok(0);
    }
    let (sql, rows) = (conn.pick(&SQL), rows.json());
    on!(conn.again(), "sweep messages", c => sqlx::query(sql)
        .bind(&rows).bind(run_id).bind(next.as_str()).bind(what.why()).bind(due).execute(&mut *c).await.map(|_| ()))?;
    deltas.write(conn, owner).await?;
    Ok(found.len() as i64)
}

async fn find(conn: Conn<'_>, run_id: i64, what: Sweep) -> Result<Vec<Swept>, StoreError> {
    // Queued rows are found by the index of due rows, settled ones by a scan of the run; PostgreSQL locks.
    const QUEUED: Pair = Pair {
        sqlite: "select id, variant, state, why from message
             where run_id = $1 and due_at_ms is not null order by id limit $2",
        postgres: "select id, variant, state, why from message
             where run_id = $1 and due_at_ms is not null order by id limit $2 for update skip locked",
    };
    const SETTLED: Pair = Pair {
        sqlite: "select id, variant, state, why from message where run_id = $1 and state = $3 order by id limit $2",
        postgres: "select id, variant, state, why from message
             where run_id = $1 and state = $3 order by id limit $2 for update skip locked",
    };
    if what.from() == MessageState::Queued {
        let sql = conn.pick(&QUEUED);
        return on!(conn, "find messages to sweep", c =>
            sqlx::query_as(sql).bind(run_id).bind(SWEEP_BATCH_MAX).fetch_all(&mut *c).await);
    }
    let sql = conn.pick(&SETTLED);
    on!(conn, "find messages to sweep", c => sqlx::query_as(sql)
        .bind(run_id).bind(SWEEP_BATCH_MAX).bind(what.from().as_str()).fetch_all(&mut *c).await)
}
