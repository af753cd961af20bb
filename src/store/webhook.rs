//! What providers told us already, and which of our mails an address got.

use super::{Conn, Pair, StoreError};
use crate::on;

/// Expired rows that one delivery clears away.
const CLEARED_MAX: i64 = 200;
/// Runs that are looked through for mails to an address, the newest first.
const RUNS_MAX: i64 = 500;

/// A mail that went, or may have gone, to an address.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Mailed {
    pub run_id: i64,
    pub id: i64,
    /// What the server said when it took the mail: providers tell their own id there.
    pub remote_id: Option<String>,
}

/// Takes note of something a hook was told. `false`: it was told before.
///
/// # Crash
/// Part of the caller's transaction: what was done about it and this note commit together.
pub async fn see(conn: Conn<'_>, hook: &str, digest: i64, expires_at_ms: i64) -> Result<bool, StoreError> {
    const SQL: &str = "insert into webhook_seen (hook, digest, expires_at_ms) values ($1, $2, $3) on conflict (hook, digest) do nothing";
    let rows = on!(conn, "take note of a delivery", c => sqlx::query(SQL)
        .bind(hook).bind(digest).bind(expires_at_ms).execute(&mut *c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Clears away some notes that have expired. On PostgreSQL each daemon takes rows that no other has locked, which
/// SQLite's one writer does not need.
pub async fn clear(conn: Conn<'_>, now_ms: i64) -> Result<(), StoreError> {
    const SQL: Pair = Pair {
        sqlite: "delete from webhook_seen where (hook, digest) in
                   (select hook, digest from webhook_seen where expires_at_ms < $1 limit $2)",
        postgres: "delete from webhook_seen where (hook, digest) in
                   (select hook, digest from webhook_seen where expires_at_ms < $1 limit $2 for update skip locked)",
    };
    let sql = conn.pick(&SQL);
    on!(conn, "clear away old deliveries", c => sqlx::query(sql).bind(now_ms).bind(CLEARED_MAX).execute(&mut *c).await.map(|_| ()))
}

/// What a provider tells of a mail that changes nothing: kept among its attempts.
#[derive(Debug, Clone, Copy)]
pub struct Note<'n> {
    pub run_id: i64,
    pub id: i64,
    pub at_ms: i64,
    pub hook: &'n str,
    /// `delivered` or `deferred`.
    pub what: &'n str,
    pub code: Option<u16>,
    pub enhanced: Option<&'n str>,
    pub text: &'n str,
}

/// Keeps a note; `false`: it is kept already.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn note(conn: Conn<'_>, note: &Note<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "insert into delivery
           (run_id, message_id, attempt, at_ms, route, stage, outcome, class, code, enhanced, text)
         select m.run_id, m.id, m.attempt, $3, $4, 'told', $5, $5, $6, $7, $8 from message m
         where m.run_id = $1 and m.id = $2 and not exists (select 1 from delivery d
           where d.run_id = $1 and d.message_id = $2 and d.at_ms = $3 and d.route = $4 and d.outcome = $5)";
    let rows = on!(conn, "keep what a provider told", c => sqlx::query(SQL)
        .bind(note.run_id).bind(note.id).bind(note.at_ms).bind(note.hook).bind(note.what)
        .bind(note.code.map(i64::from)).bind(note.enhanced).bind(note.text)
        .execute(&mut *c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// The mails to an address in the newest runs, the newest first: a look into the index of each run.
pub async fn mailed(conn: Conn<'_>, addr_key: i64) -> Result<Vec<Mailed>, StoreError> {
    const SQL: &str = "select m.run_id, m.id, m.remote_id
         from (select id from run order by id desc limit $2) r join message m on m.run_id = r.id and m.addr_key = $1
         where m.armed_at_ms is not null order by m.run_id desc";
    on!(conn, "find the mails to an address", c => sqlx::query_as(SQL).bind(addr_key).bind(RUNS_MAX).fetch_all(&mut *c).await)
}
