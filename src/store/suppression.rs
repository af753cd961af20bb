//! The list of addresses never to be mailed. It joins by address key, not by member, and outlives the member.

use std::collections::{HashMap, HashSet};

use super::{Conn, Pair, Rows, StoreError};
use crate::domain::suppression::{SCOPE_ALL, SuppressionReason};
use crate::{bulk, on};

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// [`SCOPE_ALL`], or the topic it covers.
    pub scope: String,
    pub reason: SuppressionReason,
    pub source: String,
    pub at_ms: i64,
    /// `None`: for ever.
    pub expires_at_ms: Option<i64>,
}

/// Those of `addr_keys` that may not get a mail about `topic` now, with the reason. `None`: a mail without a topic
/// (transactional), which only [`SCOPE_ALL`] stops.
pub async fn suppressed(
    conn: Conn<'_>,
    addr_keys: &[i64],
    topic: Option<&str>,
    now_ms: i64,
) -> Result<HashMap<i64, SuppressionReason>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(addr_key) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") select s.addr_key, s.reason from row join suppression s on s.addr_key = row.addr_key
           where s.scope in ('all', $2) and (s.expires_at_ms is null or s.expires_at_ms > $3)"
    );
    let sql = conn.pick(&SQL);
    let rows = Rows::of(addr_keys.iter().map(|key| (key,))).json();
    let topic = topic.unwrap_or(SCOPE_ALL);
    let found: Vec<(i64, String)> = on!(conn, "check suppressions", c => sqlx::query_as(sql).bind(rows).bind(topic).bind(now_ms).fetch_all(&mut *c).await)?;
    found.into_iter().map(|(key, reason)| Ok((key, known(&reason)?))).collect()
}

/// Every entry of an address, expired ones too.
pub async fn of_address(conn: Conn<'_>, addr_key: i64) -> Result<Vec<Suppression>, StoreError> {
    const SQL: &str =
        "select scope, reason, source, at_ms, expires_at_ms from suppression where addr_key = $1 order by scope";
    let rows: Vec<(String, String, String, i64, Option<i64>)> =
        on!(conn, "list an address's suppressions", c => sqlx::query_as(SQL).bind(addr_key).fetch_all(&mut *c).await)?;
    let entry = |(scope, reason, source, at_ms, expires_at_ms): (String, String, String, i64, Option<i64>)| {
        Ok(Suppression { scope, reason: known(&reason)?, source, at_ms, expires_at_ms })
    };
    rows.into_iter().map(entry).collect()
}

/// Puts an address on the list, or replaces its entry of the same scope, and raises the mail epoch of the member who
/// has it. `false`: an entry at least as lasting stood there already.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn suppress(mut conn: Conn<'_>, addr_key: i64, entry: &Suppression) -> Result<bool, StoreError> {
    const SQL: &str = "insert into suppression (addr_key, scope, reason, source, at_ms, expires_at_ms)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (addr_key, scope) do update set reason = excluded.reason, source = excluded.source,
          at_ms = excluded.at_ms, expires_at_ms = excluded.expires_at_ms
        where suppression.expires_at_ms is not null
          and (excluded.expires_at_ms is null or excluded.expires_at_ms > suppression.expires_at_ms)";
    let rows = on!(conn.again(), "suppress an address", c => sqlx::query(SQL)
        .bind(addr_key).bind(&entry.scope).bind(entry.reason.as_str()).bind(&entry.source).bind(entry.at_ms)
        .bind(entry.expires_at_ms).execute(&mut *c).await.map(|r| r.rows_affected()))?;
    if rows == 1 {
        raise_epoch(conn, addr_key).await?;
    }
    Ok(rows == 1)
}

/// Puts many addresses on the list for ever, at most one entry for each (address key, scope), and raises the mail
/// epochs of the members who have them. Returns those for whom something changed.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn suppress_all(
    mut conn: Conn<'_>,
    entries: &[(i64, &str, SuppressionReason, &str)],
    now_ms: i64,
) -> Result<HashSet<(i64, String)>, StoreError> {
    const SQL: Pair = bulk!(
        "insert into suppression (addr_key, scope, reason, source, at_ms)
         select cast(value ->> 0 as bigint), value ->> 1, value ->> 2, value ->> 3, $2 from",
        "$1",
        "where true on conflict (addr_key, scope) do update set reason = excluded.reason, source = excluded.source,
           at_ms = excluded.at_ms, expires_at_ms = null
         where suppression.expires_at_ms is not null
         returning addr_key, scope"
    );
    const EPOCHS: Pair = bulk!(
        "with row(addr_key) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") update member set mail_epoch = mail_epoch + 1 where addr_key in (select addr_key from row)"
    );
    let rows = entries.iter().map(|(key, scope, reason, source)| (key, scope, reason.as_str(), source));
    let (sql, rows) = (conn.pick(&SQL), Rows::of(rows).json());
    let made: Vec<(i64, String)> = on!(conn.again(), "suppress addresses", c =>
        sqlx::query_as(sql).bind(rows).bind(now_ms).fetch_all(&mut *c).await)?;
    if !made.is_empty() {
        let (sql, keys) = (conn.pick(&EPOCHS), Rows::of(made.iter().map(|(key, _)| (key,))).json());
        on!(conn, "raise mail epochs", c => sqlx::query(sql).bind(keys).execute(&mut *c).await.map(|_| ()))?;
    }
    Ok(made.into_iter().collect())
}

/// An entry in a list. Only a member's address is known; of all others the list holds nothing but the key.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct Listed {
    #[serde(skip)]
    pub addr_key: i64,
    pub email: Option<String>,
    pub scope: String,
    pub reason: String,
    pub source: String,
    pub at_ms: i64,
    pub expires_at_ms: Option<i64>,
}

/// A page of the list after `after`, an address key and a scope; of one scope and one reason, or of all.
pub async fn list(
    conn: Conn<'_>,
    (scope, reason): (Option<&str>, Option<SuppressionReason>),
    after: (i64, &str),
    limit: i64,
) -> Result<Vec<Listed>, StoreError> {
    const SQL: &str = "select s.addr_key, m.email, s.scope, s.reason, s.source, s.at_ms, s.expires_at_ms
         from suppression s left join member m on m.addr_key = s.addr_key
         where (s.addr_key, s.scope) > ($1, $2) and ($3 is null or s.scope = $3) and ($4 is null or s.reason = $4)
         order by s.addr_key, s.scope limit $5";
    let (key, from) = after;
    let reason = reason.map(|reason| reason.as_str());
    on!(conn, "list suppressions", c => sqlx::query_as(SQL)
        .bind(key).bind(from).bind(scope).bind(reason).bind(limit).fetch_all(&mut *c).await)
}

/// Takes an address off the list in one scope. `false`: it was not on it.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn lift(mut conn: Conn<'_>, addr_key: i64, scope: &str) -> Result<bool, StoreError> {
    const SQL: &str = "delete from suppression where addr_key = $1 and scope = $2";
    let rows = on!(conn.again(), "lift a suppression", c => sqlx::query(SQL).bind(addr_key).bind(scope).execute(&mut *c).await.map(|r| r.rows_affected()))?;
    if rows == 1 {
        raise_epoch(conn, addr_key).await?;
    }
    Ok(rows == 1)
}

async fn raise_epoch(conn: Conn<'_>, addr_key: i64) -> Result<(), StoreError> {
    const SQL: &str = "update member set mail_epoch = mail_epoch + 1 where addr_key = $1";
    on!(conn, "raise a mail epoch", c => sqlx::query(SQL).bind(addr_key).execute(&mut *c).await.map(|_| ()))
}

fn known(reason: &str) -> Result<SuppressionReason, StoreError> {
    reason.parse().map_err(|e| StoreError::Inconsistent { what: format!("a suppression's reason: {e}") })
}
