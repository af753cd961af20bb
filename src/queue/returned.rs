//! A report that a mail came back: the message is bounced, with what was said, whatever state the report finds it in.

use super::count::Deltas;
use crate::base::text;
use crate::domain::message::{MessageEvent, MessageState};
use crate::on;
use crate::store::{Conn, Pair, StoreError};

/// Longest text kept of what a report says, bytes.
const TEXT_BYTES_MAX: usize = 512;

/// What a report says about a message of ours.
#[derive(Debug, Clone)]
pub struct Report<'r> {
    pub run_id: i64,
    pub id: i64,
    pub at_ms: i64,
    /// The way it came in: `lmtp`, `maildir`, `file`, ….
    pub source: &'r str,
    pub class: &'static str,
    pub code: Option<u16>,
    pub enhanced: Option<String>,
    pub text: &'r str,
}

#[derive(sqlx::FromRow)]
struct Row {
    variant: i64,
    attempt: i64,
    state: String,
    why: Option<String>,
}

/// Settles a message as bounced. `false`: there is no such message, or its state takes no report any more; then nothing
/// was written.
///
/// # Crash
/// Part of the caller's transaction: the state, the counts and the row of what was said commit together.
pub async fn bounce(mut conn: Conn<'_>, report: &Report<'_>) -> Result<bool, StoreError> {
    // Other daemons may settle the row just now: PostgreSQL locks it.
    const READ: Pair = Pair {
        sqlite: "select variant, attempt, state, why from message where run_id = $1 and id = $2",
        postgres: "select variant, attempt, state, why from message where run_id = $1 and id = $2 for update",
    };
    const MOVE: &str =
        "update message set state = $3, why = $4, owner = null, due_at_ms = null where run_id = $1 and id = $2";
    let sql = conn.pick(&READ);
    let row: Option<Row> = on!(conn.again(), "read a message that came back", c =>
        sqlx::query_as(sql).bind(report.run_id).bind(report.id).fetch_optional(&mut *c).await)?;
    let Some(row) = row else { return Ok(false) };
    let state: MessageState = row
        .state
        .parse()
        .map_err(|e| StoreError::Inconsistent { what: format!("message {} in state {e}", report.id) })?;
    let Some(next) = state.next(MessageEvent::BounceReported) else { return Ok(false) };
    on!(conn.again(), "settle a message that came back", c => sqlx::query(MOVE)
        .bind(report.run_id).bind(report.id).bind(next.as_str()).bind(report.class).execute(&mut *c).await.map(|_| ()))?;
    let mut deltas = Deltas::default();
    deltas.moved(report.run_id, row.variant, (state, row.why.as_deref()), (next, Some(report.class)));
    deltas.write(conn.again(), 0).await?;
    keep(conn, report, row.attempt, next).await?;
    Ok(true)
}

async fn keep(conn: Conn<'_>, report: &Report<'_>, attempt: i64, state: MessageState) -> Result<(), StoreError> {
    const SQL: &str = "insert into delivery
         (run_id, message_id, attempt, at_ms, route, stage, outcome, class, code, enhanced, text)
         values ($1, $2, $3, $4, $5, 'report', $6, $7, $8, $9, $10)";
    let said = text::mask_addresses(&text::clean(report.text, TEXT_BYTES_MAX));
    on!(conn, "keep what a report says", c => sqlx::query(SQL)
        .bind(report.run_id).bind(report.id).bind(attempt).bind(report.at_ms).bind(report.source).bind(state.as_str())
        .bind(report.class).bind(report.code.map(i64::from)).bind(&report.enhanced).bind(&said)
        .execute(&mut *c).await.map(|_| ()))
}
