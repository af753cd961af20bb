//! Campaigns and their runs.

use rusqlite::Transaction;

use super::{Conn, Pair, StoreError, direct};
use crate::domain::campaign::RunDoc;
use crate::domain::message::{RunEvent, RunState};
use crate::{leased, on};

/// One launch of a campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: i64,
    pub campaign: String,
    pub state: RunState,
    /// Rises at pause, resume, new template, cancel and retry: an arm under an older one is refused.
    pub generation: i64,
    pub seed: i64,
    pub doc: RunDoc,
    pub scheduled_for_ms: i64,
    /// The last member id whose chunk is frozen.
    pub freeze_cursor: i64,
    /// The "now" under which the segment selects, the same for every chunk.
    pub freeze_started_at_ms: Option<i64>,
    pub frozen_n: Option<i64>,
    pub why: Option<String>,
    pub started_at_ms: Option<i64>,
    pub finished_at_ms: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct RunRow {
    id: i64,
    campaign: String,
    state: String,
    generation: i64,
    seed: i64,
    doc: String,
    scheduled_for_ms: i64,
    freeze_cursor: i64,
    freeze_started_at_ms: Option<i64>,
    frozen_n: Option<i64>,
    why: Option<String>,
    started_at_ms: Option<i64>,
    finished_at_ms: Option<i64>,
}

impl TryFrom<RunRow> for Run {
    type Error = StoreError;

    fn try_from(row: RunRow) -> Result<Run, StoreError> {
        let broken = |what: String| StoreError::Inconsistent { what: format!("run {}: {what}", row.id) };
        Ok(Run {
            state: row.state.parse().map_err(|e| broken(format!("state {e}")))?,
            doc: serde_json::from_str(&row.doc).map_err(|e| broken(format!("doc {e}")))?,
            id: row.id,
            campaign: row.campaign,
            generation: row.generation,
            seed: row.seed,
            scheduled_for_ms: row.scheduled_for_ms,
            freeze_cursor: row.freeze_cursor,
            freeze_started_at_ms: row.freeze_started_at_ms,
            frozen_n: row.frozen_n,
            why: row.why,
            started_at_ms: row.started_at_ms,
            finished_at_ms: row.finished_at_ms,
        })
    }
}

macro_rules! select_run {
    ($rest:literal) => {
        concat!(
            "select r.id, c.name as campaign, r.state, r.generation, r.seed, r.doc, r.scheduled_for_ms,
                    r.freeze_cursor, r.freeze_started_at_ms, r.frozen_n, r.why, r.started_at_ms, r.finished_at_ms
             from run r join campaign c on c.id = r.campaign_id ",
            $rest
        )
    };
}

/// Creates a campaign and its approved run; `None` when the name is taken.
///
/// # Crash
/// Both rows or none, by the caller's transaction.
pub async fn create(
    mut conn: Conn<'_>,
    doc: &RunDoc,
    seed: i64,
    scheduled_for_ms: i64,
    now_ms: i64,
) -> Result<Option<i64>, StoreError> {
    const CAMPAIGN: &str =
        "insert into campaign (name, created_at_ms) values ($1, $2) on conflict (name) do nothing returning id";
    let campaign: Option<i64> = on!(conn.again(), "create a campaign", c => sqlx::query_scalar(CAMPAIGN)
        .bind(&doc.campaign).bind(now_ms).fetch_optional(&mut *c).await)?;
    let Some(campaign) = campaign else { return Ok(None) };
    const RUN: &str = "insert into run (campaign_id, scheduled_for_ms, state, seed, doc, created_at_ms)
         values ($1, $2, $3, $4, $5, $6) returning id";
    let doc = doc_json(doc);
    let id = on!(conn, "create a run", c => sqlx::query_scalar(RUN)
        .bind(campaign).bind(scheduled_for_ms).bind(RunState::Approved.as_str()).bind(seed).bind(&doc).bind(now_ms)
        .fetch_one(&mut *c).await)?;
    Ok(Some(id))
}

/// The standing run of a campaign that began at `began_ms`, made when it is missing: it sends from the first.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn stand(mut conn: Conn<'_>, doc: &RunDoc, began_ms: i64, seed: i64, now_ms: i64) -> Result<Run, StoreError> {
    const CAMPAIGN: &str = "insert into campaign (name, created_at_ms) values ($1, $2) on conflict (name) do nothing";
    const RUN: &str = "insert into run (campaign_id, scheduled_for_ms, state, seed, doc, created_at_ms, started_at_ms)
         select c.id, $2, 'sending', $3, $4, $5, $5 from campaign c where c.name = $1
         on conflict (campaign_id, scheduled_for_ms) do nothing";
    const FIND: &str = select_run!("where c.name = $1 and r.scheduled_for_ms = $2");
    let find = async |conn: Conn<'_>| -> Result<Option<RunRow>, StoreError> {
        on!(conn, "find a standing run", c => sqlx::query_as(FIND)
            .bind(&doc.campaign).bind(began_ms).fetch_optional(&mut *c).await)
    };
    if let Some(row) = find(conn.again()).await? {
        return row.try_into();
    }
    on!(conn.again(), "create a campaign", c => sqlx::query(CAMPAIGN)
        .bind(&doc.campaign).bind(now_ms).execute(&mut *c).await.map(|_| ()))?;
    let text = doc_json(doc);
    on!(conn.again(), "open a standing run", c => sqlx::query(RUN)
        .bind(&doc.campaign).bind(began_ms).bind(seed).bind(&text).bind(now_ms).execute(&mut *c).await.map(|_| ()))?;
    let row = find(conn).await?;
    row.ok_or_else(|| StoreError::Inconsistent { what: format!("the run of {} vanished", doc.campaign) })?.try_into()
}

/// Replaces the document of a standing run; whoever sends it opens it anew.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn renew(conn: Conn<'_>, id: i64, doc: &RunDoc) -> Result<(), StoreError> {
    const SQL: &str = "update run set doc = $2, generation = generation + 1 where id = $1";
    let doc = doc_json(doc);
    on!(conn, "renew a run's document", c => sqlx::query(SQL).bind(id).bind(&doc).execute(&mut *c).await.map(|_| ()))
}

fn doc_json(doc: &RunDoc) -> String {
    serde_json::to_string(doc).expect("a run's document is JSON")
}

/// The latest run of a campaign, or `None`.
pub async fn by_campaign(conn: Conn<'_>, name: &str) -> Result<Option<Run>, StoreError> {
    const SQL: &str = select_run!("where c.name = $1 order by r.id desc limit 1");
    let row: Option<RunRow> =
        on!(conn, "find a campaign", c => sqlx::query_as(SQL).bind(name).fetch_optional(&mut *c).await)?;
    row.map(Run::try_from).transpose()
}

/// A run by its id.
pub async fn by_id(conn: Conn<'_>, id: i64) -> Result<Option<Run>, StoreError> {
    const SQL: &str = select_run!("where r.id = $1");
    let row: Option<RunRow> = on!(conn, "find a run", c => sqlx::query_as(SQL).bind(id).fetch_optional(&mut *c).await)?;
    row.map(Run::try_from).transpose()
}

/// Every run that is not over, the oldest first.
pub async fn active(conn: Conn<'_>) -> Result<Vec<Run>, StoreError> {
    const SQL: &str =
        select_run!("where r.state in ('approved', 'freezing', 'sending', 'pausing', 'cancelling') order by r.id");
    let rows: Vec<RunRow> = on!(conn, "list active runs", c => sqlx::query_as(SQL).fetch_all(&mut *c).await)?;
    rows.into_iter().map(Run::try_from).collect()
}

/// Runs, the newest first, at most `limit`.
pub async fn list(conn: Conn<'_>, limit: i64) -> Result<Vec<Run>, StoreError> {
    const SQL: &str = select_run!("order by r.id desc limit $1");
    let rows: Vec<RunRow> = on!(conn, "list campaigns", c => sqlx::query_as(SQL).bind(limit).fetch_all(&mut *c).await)?;
    rows.into_iter().map(Run::try_from).collect()
}

/// Moves a run by `event` if it still stands where the caller saw it; `None` when somebody else moved it or the event
/// does not apply. Pause, resume, cancel, retry and doubt raise the generation; to resume forgets why it stood still.
///
/// # Crash
/// Moved or not.
pub async fn shift(conn: Conn<'_>, run: &Run, event: RunEvent, now_ms: i64) -> Result<Option<RunState>, StoreError> {
    let Some(next) = run.state.next(event) else { return Ok(None) };
    use RunEvent as E;
    let raises = matches!(event, E::Pause | E::Resume | E::Cancel | E::Retry | E::Doubted);
    let starts = (event == RunEvent::FrozenWhole).then_some(now_ms);
    let freezes = (event == RunEvent::FreezeStarted).then_some(now_ms);
    const SQL: &str = "update run set state = $3, generation = generation + $4,
             started_at_ms = coalesce(started_at_ms, $5), finished_at_ms = $6,
             freeze_started_at_ms = coalesce(freeze_started_at_ms, $8), why = case $9 when 1 then null else why end
         where id = $1 and state = $2 and generation = $7";
    let rows = on!(conn, "move a run", c => sqlx::query(SQL)
        .bind(run.id).bind(run.state.as_str()).bind(next.as_str()).bind(i64::from(raises)).bind(starts)
        .bind(next.is_over().then_some(now_ms)).bind(run.generation).bind(freezes).bind(i64::from(event == E::Resume))
        .execute(&mut *c).await.map(|r| r.rows_affected()))?;
    Ok((rows == 1).then_some(next))
}

/// Says why a run stands still.
pub async fn set_why(conn: Conn<'_>, id: i64, why: &str) -> Result<(), StoreError> {
    const SQL: &str = "update run set why = $2 where id = $1";
    on!(conn, "say why a run stands still", c => sqlx::query(SQL).bind(id).bind(why).execute(&mut *c).await.map(|_| ()))
}

/// Replaces the document of a run that is not sending: a paused run takes a new template version.
pub async fn set_doc(conn: Conn<'_>, id: i64, doc: &RunDoc) -> Result<(), StoreError> {
    const SQL: &str = "update run set doc = $2, generation = generation + 1 where id = $1 and state <> 'sending'";
    let doc = doc_json(doc);
    on!(conn, "change a run's document", c => sqlx::query(SQL).bind(id).bind(&doc).execute(&mut *c).await.map(|_| ()))
}

/// Whether nothing of a run is queued, leased or armed: one statement, so that no row slips from one look to the next.
pub async fn is_drained(conn: Conn<'_>, id: i64) -> Result<bool, StoreError> {
    const SQL: Pair = leased!(
        "select count(*) from run r where r.id = $1
           and not exists (select 1 from message m where m.run_id = $1 and m.due_at_ms is not null)
           and not exists (select 1 from",
        "where l.run_id = $1 and m.owner is not null)"
    );
    let sql = conn.pick(&SQL);
    let drained: i64 = on!(conn, "look for messages under way", c =>
        sqlx::query_scalar(sql).bind(id).fetch_one(&mut *c).await)?;
    Ok(drained == 1)
}

/// Whether no row of a run is leased or armed.
pub async fn is_still(conn: Conn<'_>, id: i64) -> Result<bool, StoreError> {
    const SQL: Pair =
        leased!("select count(*) from (select 1 as x from", "where l.run_id = $1 and m.owner is not null limit 1) q");
    let sql = conn.pick(&SQL);
    let owned: i64 =
        on!(conn, "look for messages on their way", c => sqlx::query_scalar(sql).bind(id).fetch_one(&mut *c).await)?;
    Ok(owned == 0)
}

/// The providers a run has messages for.
pub async fn lanes(conn: Conn<'_>, id: i64) -> Result<Vec<i64>, StoreError> {
    const SQL: &str = "select provider_id from run_lane where run_id = $1 order by provider_id";
    on!(conn, "list a run's lanes", c => sqlx::query_scalar(SQL).bind(id).fetch_all(&mut *c).await)
}

const ADVANCE_FREEZE: &str =
    "update run set freeze_cursor = $1 where id = $2 and freeze_cursor = $3 and state = 'freezing'";

/// Moves the freeze's cursor if the run is still freezing and nobody else moved it; `false`: stop, it is not ours.
///
/// # Crash
/// Part of the chunk's transaction: the rows and the cursor come together.
pub async fn advance_freeze(conn: Conn<'_>, id: i64, from: i64, to: i64) -> Result<bool, StoreError> {
    let rows = on!(conn, "move a freeze on", c => sqlx::query(ADVANCE_FREEZE)
        .bind(to).bind(id).bind(from).execute(&mut *c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// As [`advance_freeze`], on the caller's own thread.
pub fn advance_freeze_directly(tx: &Transaction<'_>, id: i64, from: i64, to: i64) -> Result<bool, StoreError> {
    Ok(direct::run(tx, "move a freeze on", ADVANCE_FREEZE, (to, id, from))? == 1)
}

/// Writes down how many rows a run froze.
pub async fn set_frozen(conn: Conn<'_>, id: i64, n: i64) -> Result<(), StoreError> {
    const SQL: &str = "update run set frozen_n = $2 where id = $1";
    on!(conn, "count a frozen audience", c => sqlx::query(SQL).bind(id).bind(n).execute(&mut *c).await.map(|_| ()))
}

/// Members of the segment who were not frozen, by reason.
pub async fn excluded(conn: Conn<'_>, id: i64) -> Result<Vec<(String, i64)>, StoreError> {
    const SQL: &str = "select reason, n from run_excluded where run_id = $1 order by reason";
    on!(conn, "read who was left out", c => sqlx::query_as(SQL).bind(id).fetch_all(&mut *c).await)
}
