//! Standing runs: a run of a month whose messages come one by one, as somebody's act asks for them.

use super::count::Deltas;
use crate::domain::campaign::RunDoc;
use crate::domain::message::{MessageState, RunState};
use crate::on;
use crate::store::run::{self, Run};
use crate::store::{Conn, StoreError};

/// A message to add.
#[derive(Debug, Clone, Copy)]
pub struct One {
    pub run_id: i64,
    /// With the run what makes the message one: asked for again, it is not added again.
    pub origin: i64,
    pub seq: i64,
    pub member_id: i64,
    pub provider_id: i64,
    pub due_at_ms: i64,
}

/// The standing run of `doc` that began at `began_ms`, opened when there is none. What the document says of an open one
/// is brought up to date, so that a new template version is used from then on. `None`: a person ended it.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn open(
    mut conn: Conn<'_>,
    doc: &RunDoc,
    began_ms: i64,
    seed: i64,
    now_ms: i64,
) -> Result<Option<Run>, StoreError> {
    let run = run::stand(conn.again(), doc, began_ms, seed, now_ms).await?;
    if !matches!(run.state, RunState::Sending | RunState::Pausing | RunState::Paused) {
        return Ok(None);
    }
    if run.doc != *doc {
        run::renew(conn, run.id, doc).await?;
    }
    Ok(Some(run))
}

/// Adds a message that is to be sent; its id, or `None` when it was there already. Whoever sends the run opens it anew
/// when it has got a lane.
///
/// # Crash
/// Part of the caller's transaction, with its count.
pub async fn enqueue_one(mut conn: Conn<'_>, one: &One) -> Result<Option<i64>, StoreError> {
    const ADD: &str = "insert into message (run_id, origin, seq, member_id, provider_id, state, due_at_ms)
         values ($1, $2, $3, $4, $5, 'queued', $6) on conflict do nothing returning id";
    const LANE: &str = "insert into run_lane (run_id, provider_id) values ($1, $2) on conflict do nothing";
    const ANEW: &str = "update run set generation = generation + 1 where id = $1";
    let id: Option<i64> = on!(conn.again(), "add a message", c => sqlx::query_scalar(ADD)
        .bind(one.run_id).bind(one.origin).bind(one.seq).bind(one.member_id).bind(one.provider_id).bind(one.due_at_ms)
        .fetch_optional(&mut *c).await)?;
    if id.is_none() {
        return Ok(None);
    }
    let lanes = on!(conn.again(), "note a message's lane", c => sqlx::query(LANE)
        .bind(one.run_id).bind(one.provider_id).execute(&mut *c).await.map(|r| r.rows_affected()))?;
    if lanes == 1 {
        on!(conn.again(), "open a run anew", c => sqlx::query(ANEW).bind(one.run_id).execute(&mut *c).await.map(|_| ()))?;
    }
    let mut deltas = Deltas::default();
    deltas.add(one.run_id, 0, MessageState::Queued, None, 1);
    deltas.write(conn, 0).await?;
    Ok(id)
}
