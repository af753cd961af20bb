//! Messages as people look at them: lists, one message with everything that happened to it.

use super::{Conn, StoreError};
use crate::on;

/// A message in a list.
#[derive(Debug, Clone, PartialEq, serde::Serialize, sqlx::FromRow)]
pub struct Listed {
    pub id: i64,
    pub member_id: Option<i64>,
    pub email: Option<String>,
    pub state: String,
    pub why: Option<String>,
    pub variant: i64,
    pub template_version_id: Option<i64>,
    pub attempt: i64,
    pub tries: i64,
    pub due_at_ms: Option<i64>,
    pub armed_at_ms: Option<i64>,
    pub sent_at_ms: Option<i64>,
    pub remote_id: Option<String>,
}

/// One attempt that did not end in a plain 250.
#[derive(Debug, Clone, PartialEq, serde::Serialize, sqlx::FromRow)]
pub struct Delivery {
    pub attempt: i64,
    pub at_ms: i64,
    pub route: String,
    pub stage: String,
    pub outcome: String,
    pub class: String,
    pub code: Option<i64>,
    pub enhanced: Option<String>,
    pub text: String,
}

macro_rules! select_listed {
    ($rest:literal) => {
        concat!(
            "select m.id, m.member_id, p.email, m.state, m.why, m.variant, m.template_version_id, m.attempt, m.tries,
                    m.due_at_ms, m.armed_at_ms, m.sent_at_ms, m.remote_id
             from message m left join member p on p.id = m.member_id ",
            $rest
        )
    };
}

/// A page of a run's messages after `after_id`, in the order of ids, of one state or of all.
pub async fn list(
    conn: Conn<'_>,
    run_id: i64,
    state: Option<&str>,
    after_id: i64,
    limit: i64,
) -> Result<Vec<Listed>, StoreError> {
    const SQL: &str =
        select_listed!("where m.run_id = $1 and m.id > $3 and ($2 is null or m.state = $2) order by m.id limit $4");
    on!(conn, "list messages", c => sqlx::query_as(SQL)
        .bind(run_id).bind(state).bind(after_id).bind(limit).fetch_all(&mut *c).await)
}

/// A message by its id, with its run's id.
pub async fn by_id(mut conn: Conn<'_>, id: i64) -> Result<Option<(i64, Listed)>, StoreError> {
    const RUN: &str = "select run_id from message where id = $1";
    let run: Option<i64> =
        on!(conn.again(), "find a message", c => sqlx::query_scalar(RUN).bind(id).fetch_optional(&mut *c).await)?;
    let Some(run) = run else { return Ok(None) };
    const SQL: &str = select_listed!("where m.run_id = $1 and m.id = $2");
    let row = on!(conn, "read a message", c => sqlx::query_as(SQL).bind(run).bind(id).fetch_optional(&mut *c).await)?;
    Ok(row.map(|row| (run, row)))
}

/// Everything that happened to a message besides a plain 250, in order.
pub async fn deliveries(conn: Conn<'_>, run_id: i64, id: i64) -> Result<Vec<Delivery>, StoreError> {
    const SQL: &str = "select attempt, at_ms, route, stage, outcome, class, code, enhanced, text from delivery
         where run_id = $1 and message_id = $2 order by id";
    on!(conn, "list a message's attempts", c => sqlx::query_as(SQL).bind(run_id).bind(id).fetch_all(&mut *c).await)
}
