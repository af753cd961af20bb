//! Plan: moves every run along its life. An approved run whose time has come freezes its audience, chunk by chunk; a
//! pausing one comes to rest; a cancelled one is swept; a sending one whose every message is settled is finished.

use std::sync::Arc;
use std::time::Duration;

use crate::base::World;
use crate::domain::alert::{Alert, Ended, Ways};
use crate::domain::campaign::{MailClass, STANDING_MS};
use crate::domain::message::{MessageState, RunEvent, RunState};
use crate::queue::enqueue::Manner;
use crate::queue::sweep::{self, SWEEP_BATCH_MAX, Sweep};
use crate::queue::{audit, count, enqueue};
use crate::store::run::{self, Run};
use crate::store::schema::statistics;
use crate::store::{Db, Lane, StoreError, alert, segment};

/// The work of one chunk on a SQLite file, whose one writer others wait for; and where none of them does.
const CHUNK_SQLITE: Duration = Duration::from_millis(10);
const CHUNK_ALONE: Duration = Duration::from_millis(40);
/// The work of one chunk on PostgreSQL, where nobody waits for it.
const CHUNK_POSTGRES: Duration = Duration::from_millis(250);
/// Member ids in the first chunk, and the bounds of the next ones.
const CHUNK_IDS_FIRST: i64 = 1_000;
const CHUNK_IDS_MIN: i64 = 100;
const CHUNK_IDS_MAX: i64 = 100_000;

/// What a planner needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The daemon's epoch: the account its counts change on.
    pub epoch: i64,
    pub ttl_marketing_ms: i64,
    pub ttl_transactional_ms: i64,
    /// What the age of members' deeds means for an audience.
    pub manner: Manner,
}

/// Why a run could not be moved.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("campaign {campaign}: its segment no longer parses: {error}")]
    Segment { campaign: String, error: String },
}

/// Looks at every run once and moves what can move; people hear by `ways` of what needs them. Returns whether anything
/// moved.
///
/// # Errors
/// The first run's that failed; the others were still looked at.
pub async fn tick(db: &Db, world: &World, terms: &Terms, ways: &Ways) -> Result<bool, PlanError> {
    let mut reader = db.reader().await?;
    let runs = run::active(reader.conn()).await?;
    drop(reader);
    let mut moved = false;
    let mut failed = None;
    for run in runs {
        match step(db, world, (terms, ways), &run).await {
            Ok(did) => moved |= did,
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(moved), Err)
}

async fn step(db: &Db, world: &World, (terms, ways): (&Terms, &Ways), run: &Run) -> Result<bool, PlanError> {
    let now_ms = world.now_ms();
    match run.state {
        RunState::Approved if run.scheduled_for_ms <= now_ms => {
            Ok(shift(db, run, RunEvent::FreezeStarted, now_ms).await?)
        }
        RunState::Freezing => freeze(db, world, (terms, ways), run).await,
        RunState::Sending => send_on(db, (terms, ways), run, now_ms).await,
        RunState::Pausing => {
            let mut reader = db.reader().await?;
            if !run::is_still(reader.conn(), run.id).await? {
                return Ok(false);
            }
            drop(reader);
            Ok(shift(db, run, RunEvent::Stilled, now_ms).await?)
        }
        RunState::Cancelling => {
            let swept = sweep_piece(db, run, Sweep::Cancelled, terms.epoch, now_ms).await?;
            Ok(swept > 0 || end_if_drained(db, &[], run, now_ms).await?)
        }
        _ => Ok(false),
    }
}

/// Queues again what failed or is in doubt, in pieces short enough to run beside a daemon, and says how many; `None`
/// where the run is in a state in which nothing can be tried again.
///
/// # Crash
/// What one piece queued is queued; the rest waits to be asked for again.
pub async fn retry(db: &Db, run: &Run, what: Sweep, now_ms: i64) -> Result<Option<i64>, StoreError> {
    if run.state.next(RunEvent::Retry).is_none() && !matches!(run.state, RunState::Sending | RunState::Paused) {
        return Ok(None);
    }
    let mut queued = 0;
    loop {
        let mut tx = db.begin(Lane::Bulk).await?;
        let swept = sweep::sweep(tx.conn(), run.id, what, 0, now_ms).await?;
        if swept > 0 && queued == 0 && run.state == RunState::Finished {
            run::shift(tx.conn(), run, RunEvent::Retry, now_ms).await?;
        }
        tx.commit().await?;
        queued += swept;
        if swept < SWEEP_BATCH_MAX {
            return Ok(Some(queued));
        }
    }
}

/// Takes every run that is not over out of the daemons' hands until a person decides, because of `why`: what sends is
/// paused, what has not begun is a draft again. People are told.
///
/// # Crash
/// All of them or none.
pub async fn doubt_all(db: &Db, ways: &Ways, why: &str, now_ms: i64) -> Result<(), StoreError> {
    let mut tx = db.begin(Lane::Bulk).await?;
    alert::add(tx.conn(), &Alert::sending_stopped("database", why, now_ms), ways, now_ms).await?;
    for run in run::active(tx.conn()).await? {
        if run::shift(tx.conn(), &run, RunEvent::Doubted, now_ms).await?.is_some() {
            run::set_why(tx.conn(), run.id, why).await?;
        }
    }
    tx.commit().await
}

async fn shift(db: &Db, run: &Run, event: RunEvent, now_ms: i64) -> Result<bool, StoreError> {
    shift_and_tell(db, run, event, (None, &[]), now_ms).await
}

async fn shift_and_tell(
    db: &Db,
    run: &Run,
    event: RunEvent,
    (told, ways): (Option<&Alert>, &Ways),
    now_ms: i64,
) -> Result<bool, StoreError> {
    let mut tx = db.begin(Lane::Bulk).await?;
    let moved = run::shift(tx.conn(), run, event, now_ms).await?;
    if let Some(told) = told.filter(|_| moved.is_some()) {
        alert::add(tx.conn(), told, ways, now_ms).await?;
    }
    tx.commit().await?;
    if let Some(state) = moved {
        tracing::info!(run = run.id, campaign = %run.campaign, "campaign {} is {state}", run.campaign);
    }
    Ok(moved.is_some())
}

/// Expires what is no longer worth sending, and ends the run when nothing is left to do. A standing run waits for more
/// until its month is over.
async fn send_on(db: &Db, (terms, ways): (&Terms, &Ways), run: &Run, now_ms: i64) -> Result<bool, PlanError> {
    if run.doc.is_standing() && now_ms < run.scheduled_for_ms + STANDING_MS {
        return Ok(false);
    }
    let ttl_ms = match run.doc.class {
        MailClass::Marketing => terms.ttl_marketing_ms,
        MailClass::Transactional => terms.ttl_transactional_ms,
    };
    if run.started_at_ms.is_some_and(|started| started + ttl_ms < now_ms)
        && sweep_piece(db, run, Sweep::Expired, terms.epoch, now_ms).await? > 0
    {
        return Ok(true);
    }
    end_if_drained(db, ways, run, now_ms).await
}

async fn sweep_piece(db: &Db, run: &Run, what: Sweep, epoch: i64, now_ms: i64) -> Result<i64, StoreError> {
    let mut tx = db.begin(Lane::Bulk).await?;
    let swept = sweep::sweep(tx.conn(), run.id, what, epoch, now_ms).await?;
    tx.commit().await?;
    if swept == SWEEP_BATCH_MAX {
        tokio::task::yield_now().await;
    }
    Ok(swept)
}

/// Ends a run whose account says that nothing is on its way, after its rows say so too; the audit compares the rest.
async fn end_if_drained(db: &Db, ways: &Ways, run: &Run, now_ms: i64) -> Result<bool, PlanError> {
    let mut reader = db.reader().await?;
    let counts = count::of_run(reader.conn(), run.id).await?;
    let open = [MessageState::Queued, MessageState::Leased, MessageState::Armed];
    if open.into_iter().any(|state| count::sum(&counts, state) != 0) || !run::is_drained(reader.conn(), run.id).await? {
        return Ok(false);
    }
    let mut differences = audit::differences(reader.conn(), run.id).await?;
    if !differences.is_empty() {
        differences = audit::differences(reader.conn(), run.id).await?;
    }
    drop(reader);
    if !differences.is_empty() {
        tracing::error!(run = run.id, ?differences, "campaign {}: the counts do not agree with the rows", run.campaign);
    }
    let n = |state| count::sum(&counts, state);
    let ended =
        Ended { sent: n(MessageState::Sent), failed: n(MessageState::Failed), in_doubt: n(MessageState::InDoubt) };
    let told = Alert::short(run.id, &run.campaign, run.generation, &ended);
    Ok(shift_and_tell(db, run, RunEvent::Drained, (told.as_ref(), ways), now_ms).await?)
}

/// Makes a run that cannot be frozen a draft again, and says why: nothing of it was sent.
async fn put_off(db: &Db, ways: &Ways, run: &Run, why: &str, now_ms: i64) -> Result<bool, StoreError> {
    tracing::error!(run = run.id, campaign = %run.campaign, "campaign {}: its audience is not frozen: {why}", run.campaign);
    let mut tx = db.begin(Lane::Bulk).await?;
    let moved = run::shift(tx.conn(), run, RunEvent::Doubted, now_ms).await?;
    run::set_why(tx.conn(), run.id, why).await?;
    let told = Alert::put_off(run.id, &run.campaign, run.generation, why);
    alert::add(tx.conn(), &told, ways, now_ms).await?;
    tx.commit().await?;
    Ok(moved.is_some())
}

/// Freezes the whole audience, chunk by chunk. Whoever dies in between, the next planner goes on at the cursor.
async fn freeze(db: &Db, world: &World, (terms, ways): (&Terms, &Ways), run: &Run) -> Result<bool, PlanError> {
    let segment_fault = |error: String| PlanError::Segment { campaign: run.campaign.clone(), error };
    let mut reader = db.reader().await?;
    let last_id = enqueue::last_member(reader.conn()).await?;
    let now_ms = run.freeze_started_at_ms.unwrap_or(run.scheduled_for_ms);
    let parsed = crate::domain::segment::parse(&run.doc.segment).map_err(|e| segment_fault(e.to_string()))?;
    let resolved = segment::resolve(reader.conn(), &parsed).await.map_err(|e| segment_fault(e.to_string()))?;
    let audience = segment::compile(&reader.conn(), &resolved, now_ms, enqueue::FIRST);
    drop(reader);
    let chunk = Arc::new(enqueue::Freeze::new(run, now_ms, terms.manner, audience));
    let (mut cursor, mut size) = (run.freeze_cursor, CHUNK_IDS_FIRST);
    while cursor < last_id {
        let to = (cursor + size).min(last_id);
        let began = tokio::time::Instant::now();
        match chunk.freeze(db, cursor, to).await {
            Ok(true) => {}
            Ok(false) => return Ok(true),
            Err(StoreError::TooLong { .. }) if size > CHUNK_IDS_MIN => {
                size = (size / 10).max(CHUNK_IDS_MIN);
                continue;
            }
            Err(error @ StoreError::TooLong { .. }) => {
                return Ok(put_off(db, ways, run, &error.to_string(), world.now_ms()).await?);
            }
            Err(error) => return Err(error.into()),
        }
        cursor = to;
        let took = began.elapsed().as_secs_f64().max(1e-6);
        let wanted = match db.sqlite_path() {
            Some(_) if db.is_wanted() => CHUNK_SQLITE,
            Some(_) => CHUNK_ALONE,
            None => CHUNK_POSTGRES,
        };
        let scaled = size as f64 * (wanted.as_secs_f64() / took).clamp(0.25, 2.0);
        size = (scaled as i64).clamp(CHUNK_IDS_MIN, CHUNK_IDS_MAX);
    }
    statistics::renew(db).await;
    let now_ms = world.now_ms();
    let mut tx = db.begin(Lane::Bulk).await?;
    let counts = count::of_run(tx.conn(), run.id).await?;
    let frozen: i64 = counts.iter().map(|count| count.n).sum();
    run::set_frozen(tx.conn(), run.id, frozen).await?;
    let moved = run::shift(tx.conn(), run, RunEvent::FrozenWhole, now_ms).await?;
    tx.commit().await?;
    if moved.is_some() {
        tracing::info!(run = run.id, frozen, "campaign {}: audience of {frozen} frozen", run.campaign);
    }
    Ok(true)
}
