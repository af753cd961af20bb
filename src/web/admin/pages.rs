//! The pages: campaigns with their progress, one campaign, members, one member. Those that move have a fragment under
//! `…/live`, rendered by the same template.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::AdminState;
use super::api;
use super::error::AdminError;
use crate::domain::message::{MessageState, RunEvent};
use crate::flow::profile::Profile;
use crate::flow::report::{self, Progress, Report};
use crate::store::Conn;
use crate::store::run::Run;
use crate::store::timeline::{self, MemberLine};
use crate::web::page::Pages;

/// Campaigns of the overview, members of one page.
const CAMPAIGNS_MAX: i64 = 50;
const MEMBERS_MAX: i64 = 50;

/// How often a report is counted again for a page: so many times what counting it took, within these bounds.
const REPORT_SPARE: i64 = 20;
const REPORT_EVERY_MS: i64 = 5_000;
const REPORT_EVERY_MAX_MS: i64 = 300_000;

type Shared = State<Arc<AdminState>>;

pub async fn home() -> Redirect {
    Redirect::to("/admin")
}

/// A share of a bar.
#[derive(Serialize)]
struct Piece {
    name: &'static str,
    n: i64,
    percent: f64,
}

/// A campaign's line: its progress as a bar.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    progress: Progress,
    bar: Vec<Piece>,
    /// Share of messages whose fate is settled, in percent.
    settled_percent: f64,
    is_over: bool,
}

#[derive(Serialize)]
struct Overview {
    nav: &'static str,
    runs: Vec<Line>,
    /// How soon the page asks again, milliseconds; 0 for never.
    every_ms: i64,
}

impl Line {
    fn of(progress: Progress) -> Line {
        let total: i64 = progress.by_state.values().sum();
        let n = |states: &[MessageState]| states.iter().map(|state| progress.by_state[state]).sum::<i64>();
        let percent = |n: i64| if total == 0 { 0.0 } else { n as f64 * 100.0 / total as f64 };
        use MessageState as S;
        let pieces = [
            ("sent", n(&[S::Sent])),
            ("bounced", n(&[S::Bounced, S::Failed])),
            ("in_doubt", n(&[S::InDoubt])),
            ("skipped", n(&[S::Skipped, S::Cancelled])),
            ("held", n(&[S::Held])),
            ("under_way", n(&[S::Leased, S::Armed])),
        ];
        let bar = pieces.map(|(name, n)| Piece { name, n, percent: percent(n) });
        let open = n(&[S::Queued, S::Leased, S::Armed]);
        Line {
            settled_percent: percent(total - open),
            bar: bar.into_iter().filter(|piece| piece.n > 0).collect(),
            is_over: progress.state.is_over(),
            progress,
        }
    }
}

async fn lines(state: &AdminState) -> Result<Overview, AdminError> {
    let mut reader = state.db.reader().await?;
    let runs: Vec<Line> =
        api::all(reader.conn(), CAMPAIGNS_MAX, state.world.now_ms()).await?.into_iter().map(Line::of).collect();
    let every_ms = if runs.iter().any(|run| !run.is_over) { 1_000 } else { 5_000 };
    Ok(Overview { nav: "campaigns", runs, every_ms })
}

pub async fn overview(State(state): Shared) -> Result<Html<String>, AdminError> {
    Ok(Html(state.pages.admin("campaigns", &lines(&state).await?)))
}

pub async fn overview_live(State(state): Shared) -> Result<Html<String>, AdminError> {
    Ok(Html(state.pages.admin("campaigns_live", &lines(&state).await?)))
}

/// The part of a campaign's page that kept counts tell: cheap at any size.
#[derive(Serialize)]
struct ProgressPart {
    line: Line,
    /// What may be asked of it now.
    acts: Vec<&'static str>,
    progress_every_ms: i64,
}

impl ProgressPart {
    fn of(run: &Run, progress: Progress) -> ProgressPart {
        let acts = [("pause", RunEvent::Pause), ("resume", RunEvent::Resume), ("cancel", RunEvent::Cancel)];
        let acts = acts.into_iter().filter(|(_, event)| run.state.next(*event).is_some()).map(|(name, _)| name);
        let retry = progress.by_state[&MessageState::Failed] > 0 && run.state.next(RunEvent::Retry).is_some();
        let acts = acts.chain(retry.then_some("retry"));
        let progress_every_ms = if run.state.is_over() { 5_000 } else { 1_000 };
        ProgressPart { line: Line::of(progress), acts: acts.collect(), progress_every_ms }
    }
}

/// The part that is counted from the messages and touches themselves.
#[derive(Serialize)]
struct ReportPart {
    report: Report,
    segment: String,
    topic: String,
    every_ms: i64,
}

impl ReportPart {
    async fn read(conn: Conn<'_>, state: &AdminState, run: &Run) -> Result<ReportPart, AdminError> {
        let began_ms = state.world.boot_ms();
        let report = report::report(conn, run, state.world.now_ms()).await?;
        let took_ms = state.world.boot_ms() - began_ms;
        let every_ms = (took_ms * REPORT_SPARE).clamp(REPORT_EVERY_MS, REPORT_EVERY_MAX_MS);
        Ok(ReportPart { report, segment: run.doc.segment.clone(), topic: run.doc.topic.clone(), every_ms })
    }
}

#[derive(Serialize)]
struct CampaignPage {
    nav: &'static str,
    #[serde(flatten)]
    progress: ProgressPart,
    #[serde(flatten)]
    report: ReportPart,
}

pub async fn campaign(State(state): Shared, Path(name): Path<String>) -> Result<Html<String>, AdminError> {
    let mut reader = state.db.reader().await?;
    let run = api::named(reader.conn(), &name).await?;
    let report = ReportPart::read(reader.conn(), &state, &run).await?;
    let progress = ProgressPart::of(&run, report.report.progress.clone());
    let page = CampaignPage { nav: "campaigns", progress, report };
    Ok(Html(state.pages.admin("campaign", &page)))
}

pub async fn campaign_progress(State(state): Shared, Path(name): Path<String>) -> Result<Html<String>, AdminError> {
    let mut reader = state.db.reader().await?;
    let run = api::named(reader.conn(), &name).await?;
    let progress = report::progress(reader.conn(), &run, state.world.now_ms()).await?;
    Ok(Html(state.pages.admin("campaign_progress", &ProgressPart::of(&run, progress))))
}

pub async fn campaign_live(State(state): Shared, Path(name): Path<String>) -> Result<Html<String>, AdminError> {
    let mut reader = state.db.reader().await?;
    let run = api::named(reader.conn(), &name).await?;
    Ok(Html(state.pages.admin("campaign_live", &ReportPart::read(reader.conn(), &state, &run).await?)))
}

/// A button of a campaign's page.
pub async fn act(State(state): Shared, Path((name, act)): Path<(String, String)>) -> Result<Redirect, AdminError> {
    api::move_run(&state, &name, &act).await?;
    let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    Ok(Redirect::to(&format!("/admin/campaigns/{}", name.replace('+', "%20"))))
}

#[derive(Debug, Deserialize)]
pub struct MembersQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: i64,
}

#[derive(Serialize)]
struct MembersPage {
    nav: &'static str,
    q: String,
    missing: bool,
    members: Vec<MemberLine>,
    /// The last id of a full page.
    next: Option<i64>,
}

pub async fn members(State(state): Shared, Query(query): Query<MembersQuery>) -> Result<Response, AdminError> {
    let mut reader = state.db.reader().await?;
    let mut missing = false;
    if !query.q.trim().is_empty() {
        if let Some(member) = api::find(reader.conn(), &state, &query.q).await? {
            return Ok(Redirect::to(&format!("/admin/members/{}", member.id)).into_response());
        }
        missing = true;
    }
    let members = timeline::members(reader.conn(), query.after, MEMBERS_MAX).await?;
    let full = members.len() as i64 == MEMBERS_MAX;
    let next = members.last().filter(|_| full).map(|member| member.id);
    let page = MembersPage { nav: "members", q: query.q, missing, members, next };
    Ok(Html(state.pages.admin("members", &page)).into_response())
}

#[derive(Serialize)]
struct MemberPage {
    nav: &'static str,
    profile: Profile,
    now_ms: i64,
    every_ms: i64,
}

async fn member_page(state: &AdminState, key: &str, template: &str) -> Result<Html<String>, AdminError> {
    let profile = api::profile_of(state, key).await?;
    let page = MemberPage { nav: "members", profile, now_ms: state.world.now_ms(), every_ms: 1_000 };
    Ok(Html(state.pages.admin(template, &page)))
}

pub async fn member(State(state): Shared, Path(id): Path<String>) -> Result<Html<String>, AdminError> {
    member_page(&state, &id, "member").await
}

pub async fn member_live(State(state): Shared, Path(id): Path<String>) -> Result<Html<String>, AdminError> {
    member_page(&state, &id, "member_live").await
}

/// The tags alone, beside a mail.
pub async fn member_tags(State(state): Shared, Path(id): Path<String>) -> Result<Html<String>, AdminError> {
    member_page(&state, &id, "tags_live").await
}

/// The style sheet and the script, embedded.
pub async fn asset(Path(name): Path<String>) -> Result<Response, AdminError> {
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => return Err(AdminError::Missing(format!("asset {name}"))),
    };
    let data = Pages::asset(&format!("admin/{name}")).ok_or_else(|| AdminError::Missing(format!("asset {name}")))?;
    Ok(([(header::CONTENT_TYPE, kind)], data.into_owned()).into_response())
}
