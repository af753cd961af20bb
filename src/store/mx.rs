//! Whose mail servers stand behind a domain, as they were found in DNS, and the members who are there.

use std::collections::HashMap;

use super::{Conn, Pair, Rows, StoreError};
use crate::domain::provider::OTHER;
use crate::{bulk, on};

/// The providers of domains that were looked up, or the names of servers that were nobody's, with when that is to be
/// asked again.
pub async fn known(conn: Conn<'_>, domains: &[&str]) -> Result<HashMap<String, (String, i64)>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(domain) as (select value ->> 0 from",
        "$1",
        ") select m.domain, m.provider, m.expires_at_ms from row join mx m on m.domain = row.domain"
    );
    if domains.is_empty() {
        return Ok(HashMap::new());
    }
    let (sql, rows) = (conn.pick(&SQL), Rows::of(domains.iter().map(|domain| (domain,))).json());
    let rows: Vec<(String, String, i64)> =
        on!(conn, "look up mail servers", c => sqlx::query_as(sql).bind(&rows).fetch_all(&mut *c).await)?;
    Ok(rows.into_iter().map(|(domain, provider, expires)| (domain, (provider, expires))).collect())
}

/// The providers of domains that were looked up: servers that are no provider of their own belong to [`OTHER`].
pub async fn providers(conn: Conn<'_>, domains: &[&str]) -> Result<HashMap<String, String>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(domain) as (select value ->> 0 from",
        "$1",
        ") select m.domain, coalesce(p.name, $2) from row join mx m on m.domain = row.domain
           left join provider p on p.name = m.provider"
    );
    if domains.is_empty() {
        return Ok(HashMap::new());
    }
    let (sql, rows) = (conn.pick(&SQL), Rows::of(domains.iter().map(|domain| (domain,))).json());
    let rows: Vec<(String, String)> =
        on!(conn, "look up providers", c => sqlx::query_as(sql).bind(&rows).bind(OTHER).fetch_all(&mut *c).await)?;
    Ok(rows.into_iter().collect())
}

/// Keeps what was found, as (domain, provider), until an instant.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn keep(conn: Conn<'_>, found: &[(String, String)], expires_at_ms: i64) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "insert into mx (domain, provider, expires_at_ms) select value ->> 0, value ->> 1, $2 from",
        "$1",
        "where true on conflict (domain) do update set provider = excluded.provider, expires_at_ms = excluded.expires_at_ms"
    );
    let (sql, rows) = (conn.pick(&SQL), Rows::of(found).json());
    on!(conn, "keep mail servers", c => sqlx::query(sql).bind(&rows).bind(expires_at_ms).execute(&mut *c).await.map(|_| ()))
}

/// Live members with ids above `after`: id, address, provider.
pub async fn members(conn: Conn<'_>, after: i64, limit: i64) -> Result<Vec<(i64, String, i64)>, StoreError> {
    const SQL: &str = "select id, email, provider_id from member
         where id > $1 and status = 'live' and email is not null order by id limit $2";
    on!(conn, "list addresses", c => sqlx::query_as(SQL).bind(after).bind(limit).fetch_all(&mut *c).await)
}

/// Moves members to other providers, as (member, provider before, provider now); not one whose provider was changed
/// meanwhile.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn move_members(conn: Conn<'_>, moves: &[(i64, i64, i64)]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with s as materialized (select cast(value ->> 0 as bigint) as id, cast(value ->> 1 as bigint) as was,
             cast(value ->> 2 as bigint) as provider_id from",
        "$1",
        ") update member set provider_id = s.provider_id from s where member.id = s.id and member.provider_id = s.was"
    );
    let (sql, rows) = (conn.pick(&SQL), Rows::of(moves).json());
    on!(conn, "move members to their providers", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))
}
