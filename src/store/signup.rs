//! Wishes of the sign-up form on their way to be confirmed, and how often somebody asked.

use serde::Serialize;

use super::{Conn, StoreError};
use crate::on;

/// A wish to write down.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'w> {
    pub member_id: i64,
    /// Whether the form made the member, now or by an earlier wish.
    pub is_new: bool,
    /// Joined by `;`.
    pub topics: &'w str,
    /// The words that were shown: a row of `consent_text`.
    pub text_id: i64,
    pub proof: &'w str,
    pub asked_at_ms: i64,
    pub expires_at_ms: i64,
    /// The run of the mail that asks.
    pub run_id: i64,
}

/// A wish that was written down.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Signup {
    pub id: i64,
    pub member_id: i64,
    pub topics: String,
    pub text_id: i64,
    /// The language of the words that were shown.
    pub lang: String,
    pub proof: String,
    pub expires_at_ms: i64,
    pub confirmed_at_ms: Option<i64>,
}

impl Signup {
    /// What is wished for.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.split(';').filter(|topic| !topic.is_empty())
    }
}

/// A wish that came to nothing, and what became of its member.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Lapsed {
    pub id: i64,
    pub member_id: i64,
    pub addr_key: Option<i64>,
    /// 1: the form made the member, and nothing else is known of him or her.
    pub is_empty: i64,
}

/// A wish as its member may see it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow, Serialize)]
pub struct Asked {
    pub asked_at_ms: i64,
    pub topics: String,
    pub proof: String,
    pub confirmed_at_ms: Option<i64>,
}

/// Writes a wish down; its id.
///
/// # Crash
/// Part of the caller's transaction, with the mail that asks.
pub async fn add(conn: Conn<'_>, wish: &Wish<'_>) -> Result<i64, StoreError> {
    const SQL: &str = "insert into signup
           (member_id, is_new, topics, text_id, proof, asked_at_ms, expires_at_ms, run_id)
         select $1, case when cast($2 as bigint) = 1 or exists (select 1 from signup s where s.member_id = $1 and s.is_new = 1)
           then 1 else 0 end, $3, $4, $5, $6, $7, $8 returning id";
    on!(conn, "write a sign-up down", c => sqlx::query_scalar(SQL)
        .bind(wish.member_id).bind(i64::from(wish.is_new)).bind(wish.topics).bind(wish.text_id).bind(wish.proof)
        .bind(wish.asked_at_ms).bind(wish.expires_at_ms).bind(wish.run_id).fetch_one(&mut *c).await)
}

/// Names the mail that asks whether a wish was meant.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn set_message(conn: Conn<'_>, id: i64, message_id: i64) -> Result<(), StoreError> {
    const SQL: &str = "update signup set message_id = $2 where id = $1";
    on!(conn, "note a sign-up's mail", c => sqlx::query(SQL).bind(id).bind(message_id).execute(&mut *c).await.map(|_| ()))
}

/// The wish that a mail asks about.
pub async fn by_message(conn: Conn<'_>, run_id: i64, message_id: i64) -> Result<Option<Signup>, StoreError> {
    const SQL: &str =
        "select s.id, s.member_id, s.topics, s.text_id, t.lang, s.proof, s.expires_at_ms, s.confirmed_at_ms
         from signup s join consent_text t on t.id = s.text_id where s.run_id = $1 and s.message_id = $2";
    on!(conn, "find a sign-up", c => sqlx::query_as(SQL).bind(run_id).bind(message_id).fetch_optional(&mut *c).await)
}

/// Notes that a wish was meant; `false`: that was known.
///
/// # Crash
/// Part of the caller's transaction, with the consent.
pub async fn confirm(conn: Conn<'_>, id: i64, now_ms: i64) -> Result<bool, StoreError> {
    const SQL: &str = "update signup set confirmed_at_ms = $2 where id = $1 and confirmed_at_ms is null";
    let rows = on!(conn, "confirm a sign-up", c => sqlx::query(SQL)
        .bind(id).bind(now_ms).execute(&mut *c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Wishes whose time is over, unconfirmed, at most `limit`.
pub async fn lapsed(conn: Conn<'_>, now_ms: i64, limit: i64) -> Result<Vec<Lapsed>, StoreError> {
    const SQL: &str = "select s.id, s.member_id, m.addr_key,
           cast(case when s.is_new = 1 and m.status = 'live' and m.external_id is null and m.updated_at_ms = m.created_at_ms
             and not exists (select 1 from consent c where c.member_id = m.id)
             and not exists (select 1 from event e where e.member_id = m.id)
             and not exists (select 1 from orders o where o.member_id = m.id)
             and not exists (select 1 from member_attribute a where a.member_id = m.id)
             and not exists (select 1 from signup other where other.member_id = m.id
                             and (other.confirmed_at_ms is not null or other.expires_at_ms > $1))
           then 1 else 0 end as bigint) as is_empty
         from signup s join member m on m.id = s.member_id
         where s.confirmed_at_ms is null and s.expires_at_ms <= $1 order by s.expires_at_ms limit $2";
    on!(conn, "find sign-ups that lapsed", c => sqlx::query_as(SQL).bind(now_ms).bind(limit).fetch_all(&mut *c).await)
}

/// Drops a wish that came to nothing.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn drop_one(conn: Conn<'_>, id: i64) -> Result<(), StoreError> {
    const SQL: &str = "delete from signup where id = $1 and confirmed_at_ms is null";
    on!(conn, "drop a sign-up", c => sqlx::query(SQL).bind(id).execute(&mut *c).await.map(|_| ()))
}

/// Counts one more asking under `key` in the window that ends at `until_ms`, and says how many there are.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn count(conn: Conn<'_>, key: i64, until_ms: i64) -> Result<i64, StoreError> {
    const SQL: &str = "insert into asking (key, until_ms, n) values ($1, $2, 1)
         on conflict (key, until_ms) do update set n = asking.n + 1 returning n";
    on!(conn, "count askings", c => sqlx::query_scalar(SQL).bind(key).bind(until_ms).fetch_one(&mut *c).await)
}

/// Forgets counts whose window is over.
pub async fn forget_counts(conn: Conn<'_>, now_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "delete from asking where until_ms <= $1";
    on!(conn, "forget askings", c => sqlx::query(SQL).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}

/// Every wish of a member, oldest first.
pub async fn of_member(conn: Conn<'_>, member_id: i64) -> Result<Vec<Asked>, StoreError> {
    const SQL: &str = "select asked_at_ms, topics, proof, confirmed_at_ms from signup where member_id = $1 order by id";
    on!(conn, "list a member's sign-ups", c => sqlx::query_as(SQL).bind(member_id).fetch_all(&mut *c).await)
}
