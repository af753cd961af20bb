//! The API, version 1: the same structs as `--json` prints, under the same names.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use serde::Deserialize;

use super::AdminState;
use super::error::AdminError;
use crate::domain::address::Email;
use crate::domain::member::Member;
use crate::domain::message::RunEvent;
use crate::flow::plan;
use crate::flow::profile::{self, Profile};
use crate::flow::report::{self, Progress, Report};
use crate::queue::sweep::Sweep;
use crate::store::run::{self, Run};
use crate::store::timeline::{self, MemberLine};
use crate::store::{Conn, Lane, member};
use crate::web::page::Pages;

/// Most lines of a list.
const LIST_MAX: i64 = 200;

type Shared = State<Arc<AdminState>>;

/// What the API is, as OpenAPI 3.1; a test compares it with what answers.
pub async fn description() -> impl IntoResponse {
    let text = Pages::asset("admin/openapi.json").expect("the description is embedded");
    ([(header::CONTENT_TYPE, "application/json")], text.into_owned())
}

pub async fn campaigns(State(state): Shared) -> Result<Json<Vec<Progress>>, AdminError> {
    let mut reader = state.db.reader().await?;
    Ok(Json(all(reader.conn(), LIST_MAX, state.world.now_ms()).await?))
}

/// Where the newest runs stand, newest first.
pub async fn all(mut conn: Conn<'_>, n: i64, now_ms: i64) -> Result<Vec<Progress>, AdminError> {
    let mut list = Vec::new();
    for run in run::list(conn.again(), n).await? {
        list.push(report::progress(conn.again(), &run, now_ms).await?);
    }
    Ok(list)
}

pub async fn campaign(State(state): Shared, Path(name): Path<String>) -> Result<Json<Progress>, AdminError> {
    let mut reader = state.db.reader().await?;
    let run = named(reader.conn(), &name).await?;
    Ok(Json(report::progress(reader.conn(), &run, state.world.now_ms()).await?))
}

pub async fn report(State(state): Shared, Path(name): Path<String>) -> Result<Json<Report>, AdminError> {
    let mut reader = state.db.reader().await?;
    let run = named(reader.conn(), &name).await?;
    Ok(Json(report::report(reader.conn(), &run, state.world.now_ms()).await?))
}

/// The latest run of the campaign called `name`.
pub async fn named(conn: Conn<'_>, name: &str) -> Result<Run, AdminError> {
    run::by_campaign(conn, name).await?.ok_or_else(|| AdminError::Missing(format!("campaign {name:?}")))
}

pub async fn act(
    State(state): Shared,
    Path((name, act)): Path<(String, String)>,
) -> Result<Json<Progress>, AdminError> {
    move_run(&state, &name, &act).await?;
    let mut reader = state.db.reader().await?;
    let run = named(reader.conn(), &name).await?;
    Ok(Json(report::progress(reader.conn(), &run, state.world.now_ms()).await?))
}

/// Pauses, resumes or cancels a run, or tries again what failed of it; the daemon that sends it notices within half a
/// second.
///
/// # Crash
/// Moved or not; of a retry, what [`plan::retry`] says.
pub async fn move_run(state: &AdminState, name: &str, act: &str) -> Result<(), AdminError> {
    if act == "retry" {
        return retry(state, name).await;
    }
    let event = match act {
        "pause" => RunEvent::Pause,
        "resume" => RunEvent::Resume,
        "cancel" => RunEvent::Cancel,
        _ => return Err(AdminError::Missing(format!("act {act:?}; there are pause, resume, cancel and retry"))),
    };
    let mut tx = state.db.begin(Lane::Turn).await?;
    let run = named(tx.conn(), name).await?;
    let moved = run::shift(tx.conn(), &run, event, state.world.now_ms()).await?;
    if moved.is_none() {
        return Err(AdminError::Refused(format!("campaign {name:?} is {}: {act} does not apply", run.state)));
    }
    tx.commit().await?;
    Ok(())
}

async fn retry(state: &AdminState, name: &str) -> Result<(), AdminError> {
    let mut reader = state.db.reader().await?;
    let run = named(reader.conn(), name).await?;
    drop(reader);
    let queued = plan::retry(&state.db, &run, Sweep::RetryFailed, state.world.now_ms()).await?;
    let refused = || AdminError::Refused(format!("campaign {name:?} is {}: retry does not apply", run.state));
    queued.map(|_| ()).ok_or_else(refused)
}

#[derive(Debug, Deserialize)]
pub struct MembersQuery {
    /// The last id seen; 0 or nothing to begin.
    #[serde(default)]
    pub after: i64,
    pub limit: Option<i64>,
}

pub async fn members(
    State(state): Shared,
    Query(query): Query<MembersQuery>,
) -> Result<Json<Vec<MemberLine>>, AdminError> {
    let mut reader = state.db.reader().await?;
    let limit = query.limit.unwrap_or(50).clamp(1, LIST_MAX);
    Ok(Json(timeline::members(reader.conn(), query.after, limit).await?))
}

pub async fn member(State(state): Shared, Path(key): Path<String>) -> Result<Json<Profile>, AdminError> {
    Ok(Json(profile_of(&state, &key).await?))
}

/// The profile of the member with this id, address or external id.
pub async fn profile_of(state: &AdminState, key: &str) -> Result<Profile, AdminError> {
    let mut reader = state.db.reader().await?;
    let found = find(reader.conn(), state, key).await?;
    let member = found.ok_or_else(|| AdminError::Missing(format!("member {key:?}")))?;
    Ok(profile::profile(reader.conn(), member, &state.rules, state.world.now_ms()).await?)
}

/// The member with this id, address or external id.
pub async fn find(mut conn: Conn<'_>, state: &AdminState, key: &str) -> Result<Option<Member>, AdminError> {
    if let Ok(email) = Email::parse(key) {
        return Ok(member::by_email(conn, &state.secret, &email).await?);
    }
    if let Ok(id) = key.trim().parse::<i64>() {
        let found = member::profiles(conn.again(), &[id]).await?.remove(&id);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(member::by_external(conn, key.trim()).await?)
}
