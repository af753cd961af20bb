//! A member's mails and touches, newest first.

use super::{Conn, StoreError};
use crate::domain::campaign::RunDoc;
use crate::domain::shown::Shown;
use crate::on;

/// One mail of a member.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct MailLine {
    pub run_id: i64,
    pub message_id: i64,
    pub campaign: String,
    pub state: String,
    pub why: Option<String>,
    pub armed_at_ms: Option<i64>,
    pub sent_at_ms: Option<i64>,
}

/// One touch of a member, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct TouchLine {
    pub at_ms: i64,
    pub kind: String,
    pub class: String,
    pub campaign: String,
    /// What a click led to: a product's name, a link's label, or nothing.
    pub what: String,
    pub agent: String,
}

/// The newest `n` campaign mails of a member: one look into each run's index, newest runs first. The origin of a
/// campaign's message is its member.
pub async fn mails(conn: Conn<'_>, member: i64, n: i64) -> Result<Vec<MailLine>, StoreError> {
    const SQL: &str =
        "select m.run_id, m.id as message_id, c.name as campaign, m.state, m.why, m.armed_at_ms, m.sent_at_ms
         from run r join campaign c on c.id = r.campaign_id
           join message m on m.run_id = r.id and m.origin = $1 and m.seq = 0
         where m.member_id = $1 order by r.id desc limit $2";
    on!(conn, "list a member's mails", c => sqlx::query_as(SQL).bind(member).bind(n).fetch_all(&mut *c).await)
}

/// The newest `n` touches of a member.
pub async fn touches(conn: Conn<'_>, member: i64, n: i64) -> Result<Vec<TouchLine>, StoreError> {
    const SQL: &str = "select t.at_ms, t.kind, t.class, coalesce(c.name, '') as campaign,
           coalesce(p.name, l.label, t.url, '') as what, t.agent
         from touch t left join run r on r.id = t.run_id left join campaign c on c.id = r.campaign_id
           left join product p on p.id = t.product_id
           left join message m on m.id = t.message_id and m.run_id = t.run_id
           left join link l on l.template_version_id = m.template_version_id and l.slot = t.slot and t.kind = 'click'
         where t.member_id = $1 order by t.at_ms desc, t.id desc limit $2";
    on!(conn, "list a member's touches", c => sqlx::query_as(SQL).bind(member).bind(n).fetch_all(&mut *c).await)
}

/// A member in a list.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct MemberLine {
    pub id: i64,
    pub email: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub locale: String,
    pub points: i64,
    pub orders: i64,
}

/// `n` live members, in the order of their ids, after the one called `after`.
pub async fn members(conn: Conn<'_>, after: i64, n: i64) -> Result<Vec<MemberLine>, StoreError> {
    const SQL: &str = "select id, email, first_name, last_name, locale, points, orders from member
         where id > $1 and status = 'live' order by id limit $2";
    on!(conn, "list members", c => sqlx::query_as(SQL).bind(after).bind(n).fetch_all(&mut *c).await)
}

/// A mail that was armed, as it can be shown again.
#[derive(Debug, Clone)]
pub struct ShownMail {
    pub member_id: i64,
    /// When it was first armed: the "now" it spoke of.
    pub armed_at_ms: i64,
    pub doc: RunDoc,
    pub shown: Shown,
}

/// What an armed message showed, or `None`: not armed, or its member was erased, or its record is no longer kept.
pub async fn shown_mail(conn: Conn<'_>, run: u32, message: i64) -> Result<Option<ShownMail>, StoreError> {
    const SQL: &str = "select m.member_id, m.armed_at_ms, r.doc, s.body
         from message m join run r on r.id = m.run_id
           join shown s on s.run_id = m.run_id and s.message_id = m.id
         where m.run_id = $1 and m.id = $2 and m.member_id is not null and m.armed_at_ms is not null";
    type Row = (i64, i64, String, String);
    let row: Option<Row> = on!(conn, "find what a mail showed", c => sqlx::query_as(SQL).bind(i64::from(run)).bind(message).fetch_optional(&mut *c).await)?;
    let Some((member_id, armed_at_ms, doc, body)) = row else { return Ok(None) };
    let broken =
        |error| StoreError::Inconsistent { what: format!("the record of message {message} of run {run}: {error}") };
    let doc = serde_json::from_str(&doc).map_err(broken)?;
    let shown = serde_json::from_str(&body).map_err(broken)?;
    Ok(Some(ShownMail { member_id, armed_at_ms, doc, shown }))
}
