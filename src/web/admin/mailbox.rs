//! The built-in mailbox: the mails that a demonstration or a trial sent, shown as their readers would see them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::AdminState;
use super::api;
use super::error::AdminError;
use crate::flow::profile::Profile;
use crate::smtp::mailbox::{Entry, Letter, Mailbox};

/// Mails of one list.
const LIST_MAX: usize = 500;
const PAGE_MAX: usize = 100;

/// A mail in a frame may show pictures and open links in new windows. It runs nothing and reaches nothing of ours.
const MAIL_POLICY: &str = "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline' http: https:; \
    font-src http: https:; sandbox allow-popups allow-popups-to-escape-sandbox; frame-ancestors 'self'";

type Shared = State<Arc<AdminState>>;

#[derive(Debug, Deserialize)]
pub struct ListQuery {
    /// The whole address of a recipient.
    pub to: Option<String>,
    pub limit: Option<usize>,
}

pub async fn list(State(state): Shared, Query(query): Query<ListQuery>) -> Result<Json<Vec<Entry>>, AdminError> {
    let mailbox = mailbox(&state)?;
    Ok(Json(mailbox.list(query.to.as_deref(), query.limit.unwrap_or(LIST_MAX).min(LIST_MAX))))
}

pub async fn letter(State(state): Shared, Path(id): Path<i64>) -> Result<Json<Letter>, AdminError> {
    Ok(Json(open(&state, id).await?))
}

#[derive(Debug, Deserialize)]
pub struct IndexQuery {
    /// A part of an address or of a subject.
    #[serde(default)]
    q: String,
}

#[derive(Serialize)]
struct IndexPage {
    nav: &'static str,
    q: String,
    there: bool,
    total: usize,
    mails: Vec<Entry>,
}

pub async fn index(State(state): Shared, Query(query): Query<IndexQuery>) -> Response {
    let wanted = query.q.trim().to_lowercase();
    let is_wanted = |mail: &Entry| {
        mail.subject.to_lowercase().contains(&wanted) || mail.to.iter().any(|to| to.to_lowercase().contains(&wanted))
    };
    let mails = match &state.mailbox {
        Some(mailbox) if wanted.is_empty() => mailbox.list(None, PAGE_MAX),
        Some(mailbox) => mailbox.list(None, usize::MAX).into_iter().filter(is_wanted).take(PAGE_MAX).collect(),
        None => Vec::new(),
    };
    let total = state.mailbox.as_ref().map_or(0, |mailbox| mailbox.count());
    let page = IndexPage { nav: "mailbox", q: query.q, there: state.mailbox.is_some(), total, mails };
    Html(state.pages.admin("mailbox", &page)).into_response()
}

#[derive(Serialize)]
struct MailPage {
    nav: &'static str,
    mail: Letter,
    to: String,
    /// The member it was sent to, if the address is one's.
    profile: Option<Profile>,
    now_ms: i64,
}

pub async fn show(State(state): Shared, Path(id): Path<i64>) -> Result<Response, AdminError> {
    let mail = open(&state, id).await?;
    let to = mail.entry.to.first().cloned().unwrap_or_default();
    let profile = match api::profile_of(&state, &to).await {
        Ok(profile) => Some(profile),
        Err(AdminError::Missing(_)) => None,
        Err(error) => return Err(error),
    };
    let page = MailPage { nav: "mailbox", mail, to, profile, now_ms: state.world.now_ms() };
    Ok(Html(state.pages.admin("mail", &page)).into_response())
}

/// The mail itself, for the frame: its links open beside it, its scripts do not run.
pub async fn html(State(state): Shared, Path(id): Path<i64>) -> Result<Response, AdminError> {
    let mail = open(&state, id).await?;
    let html = mail.html.or_else(|| mail.text.map(|text| preformatted(&text))).unwrap_or_default();
    let mut answer = Html(with_base(&html)).into_response();
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(MAIL_POLICY));
    Ok(answer)
}

fn mailbox(state: &AdminState) -> Result<&Mailbox, AdminError> {
    let missing = || AdminError::Missing("built-in mailbox: this daemon sends to the world".to_owned());
    state.mailbox.as_deref().ok_or_else(missing)
}

async fn open(state: &AdminState, id: i64) -> Result<Letter, AdminError> {
    mailbox(state)?.open_letter(id).await?.ok_or_else(|| AdminError::Missing(format!("mail {id}")))
}

/// Lets every link open a window of its own: the frame shows the mail and nothing else.
fn with_base(html: &str) -> String {
    const BASE: &str = "<base target=\"_blank\">";
    let lower = html.to_ascii_lowercase();
    let after_head = lower.find("<head").and_then(|at| lower[at..].find('>').map(|end| at + end + 1));
    match after_head {
        Some(at) => format!("{}{BASE}{}", &html[..at], &html[at..]),
        None => format!("{BASE}{html}"),
    }
}

fn preformatted(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!("<pre style=\"white-space:pre-wrap;font:15px/1.5 monospace;margin:24px\">{text}</pre>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_open_beside_the_mail() {
        assert_eq!(with_base("<HTML><HEAD lang=x><p>"), "<HTML><HEAD lang=x><base target=\"_blank\"><p>");
        assert_eq!(with_base("<p>ß"), "<base target=\"_blank\"><p>ß");
        assert!(preformatted("a<b&c").contains("a&lt;b&amp;c"));
    }
}
