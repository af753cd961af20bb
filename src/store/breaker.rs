//! What breakers count, and the last time each tripped.

use std::collections::HashMap;

use super::{Conn, StoreError};
use crate::domain::breaker::{Fuse, Tally};
use crate::on;

/// A reader called a message spam; the second time changes nothing.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn complained(conn: Conn<'_>, run_id: i64, message_id: i64, at_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "insert into complaint (run_id, message_id, at_ms) values ($1, $2, $3)
         on conflict (run_id, message_id) do nothing";
    on!(conn, "count a complaint", c => sqlx::query(SQL)
        .bind(run_id).bind(message_id).bind(at_ms).execute(&mut *c).await.map(|_| ()))
}

/// How many messages of a run met with what each fuse counts.
pub async fn hits(mut conn: Conn<'_>, run_id: i64) -> Result<HashMap<Fuse, i64>, StoreError> {
    const REFUSED: &str = "select class, count(distinct message_id) from delivery
         where run_id = $1 and class in ('invalid_address', 'invalid_domain', 'spam', 'auth') group by class";
    const COMPLAINED: &str = "select count(*) from complaint where run_id = $1";
    let refused: Vec<(String, i64)> = on!(conn.again(), "count refusals", c =>
        sqlx::query_as(REFUSED).bind(run_id).fetch_all(&mut *c).await)?;
    let complaints: i64 = on!(conn, "count complaints", c =>
        sqlx::query_scalar(COMPLAINED).bind(run_id).fetch_one(&mut *c).await)?;
    let mut hits = HashMap::from([(Fuse::Complaints, complaints)]);
    for (class, n) in refused {
        let fuse = match class.as_str() {
            "spam" => Fuse::Content,
            "auth" => Fuse::Auth,
            _ => Fuse::HardBounces,
        };
        *hits.entry(fuse).or_default() += n;
    }
    Ok(hits)
}

/// What a server said last of the kind a fuse counts.
pub async fn last_said(conn: Conn<'_>, run_id: i64, fuse: Fuse) -> Result<Option<String>, StoreError> {
    const SQL: &str =
        "select text from delivery where run_id = $1 and class in ($2, $3) order by at_ms desc, id desc limit 1";
    let (class, or) = match fuse {
        Fuse::HardBounces => ("invalid_address", "invalid_domain"),
        Fuse::Content => ("spam", "spam"),
        Fuse::Auth => ("auth", "auth"),
        Fuse::Complaints => return Ok(None),
    };
    on!(conn, "read a refusal", c => sqlx::query_scalar(SQL)
        .bind(run_id).bind(class).bind(or).fetch_optional(&mut *c).await)
}

/// How things stood when each fuse of a run blew last.
pub async fn trips(conn: Conn<'_>, run_id: i64) -> Result<HashMap<Fuse, Tally>, StoreError> {
    const SQL: &str = "select fuse, tried, hits from trip where run_id = $1";
    let rows: Vec<(String, i64, i64)> =
        on!(conn, "read what tripped", c => sqlx::query_as(SQL).bind(run_id).fetch_all(&mut *c).await)?;
    rows.into_iter()
        .map(|(fuse, tried, hits)| match fuse.parse() {
            Ok(fuse) => Ok((fuse, Tally { tried, hits })),
            Err(unknown) => Err(StoreError::Inconsistent { what: format!("trip.fuse {unknown}") }),
        })
        .collect()
}

/// A fuse of a run blew.
///
/// # Crash
/// Part of the caller's transaction, with the pause.
pub async fn tripped(conn: Conn<'_>, run_id: i64, fuse: Fuse, tally: Tally, at_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "insert into trip (run_id, fuse, at_ms, tried, hits) values ($1, $2, $3, $4, $5)
         on conflict (run_id, fuse) do update set at_ms = excluded.at_ms, tried = excluded.tried, hits = excluded.hits";
    on!(conn, "remember what tripped", c => sqlx::query(SQL)
        .bind(run_id).bind(fuse.as_str()).bind(at_ms).bind(tally.tried).bind(tally.hits)
        .execute(&mut *c).await.map(|_| ()))
}

/// A provider that refuses our address over a route.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Block {
    pub route: String,
    pub provider_id: i64,
    pub provider: String,
    pub n: i64,
}

/// Providers that refused our address at least `least` times since `since_ms`, and since they were left alone last.
/// What is known as no provider is many, and none of them speaks for the others.
pub async fn blocks(conn: Conn<'_>, run_id: i64, since_ms: i64, least: i64) -> Result<Vec<Block>, StoreError> {
    const SQL: &str = "select d.route, m.provider_id, p.name as provider, count(*) as n
         from delivery d join message m on m.run_id = d.run_id and m.id = d.message_id
         join provider p on p.id = m.provider_id
         left join gate g on g.route = d.route and g.provider_id = m.provider_id
         where d.run_id = $1 and d.class = 'block' and d.at_ms > $2 and p.name <> $4
           and d.at_ms > coalesce(g.closed_until_ms, 0)
         group by d.route, m.provider_id, p.name having count(*) >= $3 order by d.route, m.provider_id";
    on!(conn, "count who blocks us", c => sqlx::query_as(SQL)
        .bind(run_id).bind(since_ms).bind(least).bind(crate::domain::provider::OTHER).fetch_all(&mut *c).await)
}
