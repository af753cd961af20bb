//! Returned mails that nobody could place: kept whole for a person, within bounds.

use super::{Conn, StoreError};
use crate::on;

/// Strays that are kept; the oldest go first.
pub const STRAYS_MAX: i64 = 5_000;
/// Bytes of one stray that are kept.
pub const STRAY_BYTES_MAX: usize = 256 * 1024;

/// A mail that is about no message of ours, as far as could be told.
#[derive(Debug, Clone)]
pub struct Stray<'s> {
    /// 63 bits of SHA-256 of the whole mail: the same mail is kept once.
    pub digest: i64,
    pub at_ms: i64,
    pub source: &'s str,
    pub kind: &'static str,
    pub subject: &'s str,
    /// What was read of it, as JSON.
    pub summary: &'s str,
    pub raw: &'s [u8],
}

/// A stray in a list.
#[derive(Debug, Clone, PartialEq, serde::Serialize, sqlx::FromRow)]
pub struct Listed {
    pub id: i64,
    pub at_ms: i64,
    pub source: String,
    pub kind: String,
    pub subject: String,
    #[serde(skip)]
    pub summary: String,
    pub bytes: i64,
}

/// Keeps a stray unless it is kept already, and lets the oldest go where there are too many.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn keep(mut conn: Conn<'_>, stray: &Stray<'_>) -> Result<(), StoreError> {
    const KEEP: &str = "insert into stray (digest, at_ms, source, kind, subject, summary, bytes, raw)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (digest) do nothing";
    const TRIM: &str = "delete from stray where id <= (select id from stray order by id desc limit 1 offset $1)";
    let raw = &stray.raw[..stray.raw.len().min(STRAY_BYTES_MAX)];
    on!(conn.again(), "keep a returned mail", c => sqlx::query(KEEP)
        .bind(stray.digest).bind(stray.at_ms).bind(stray.source).bind(stray.kind).bind(stray.subject)
        .bind(stray.summary).bind(stray.raw.len() as i64).bind(raw).execute(&mut *c).await.map(|_| ()))?;
    on!(conn, "let old returned mails go", c => sqlx::query(TRIM).bind(STRAYS_MAX).execute(&mut *c).await.map(|_| ()))
}

/// The strays, the newest first.
pub async fn list(conn: Conn<'_>, limit: i64) -> Result<Vec<Listed>, StoreError> {
    const SQL: &str = "select id, at_ms, source, kind, subject, summary, bytes from stray order by id desc limit $1";
    on!(conn, "list returned mails", c => sqlx::query_as(SQL).bind(limit).fetch_all(&mut *c).await)
}

/// One stray as it came, up to [`STRAY_BYTES_MAX`].
pub async fn raw(conn: Conn<'_>, id: i64) -> Result<Option<Vec<u8>>, StoreError> {
    const SQL: &str = "select raw from stray where id = $1";
    on!(conn, "read a returned mail", c => sqlx::query_scalar(SQL).bind(id).fetch_optional(&mut *c).await)
}
