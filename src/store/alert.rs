//! What a person is to be told: an outbox written with the event, one row for each way.

use super::{Conn, Pair, StoreError};
use crate::domain::alert::{Alert, Way};
use crate::on;

/// Something to tell now.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Due {
    pub id: i64,
    pub at_ms: i64,
    pub kind: String,
    pub about: String,
    pub subject: String,
    pub body: String,
    pub way: String,
    /// The address of a mail; empty for the webhook, whose address is the configuration's.
    pub target: String,
    /// This try's number, from 1.
    pub tries: i64,
}

/// Writes down whom an event is to be told to; once per event, way and target.
///
/// # Crash
/// Part of the caller's transaction, with the event itself.
pub async fn add(mut conn: Conn<'_>, alert: &Alert, ways: &[(Way, String)], now_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "insert into alert (at_ms, once, kind, about, subject, body, way, target, due_at_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $1) on conflict (once, way, target) do nothing";
    for (way, target) in ways {
        on!(conn.again(), "write down whom to tell", c => sqlx::query(SQL)
            .bind(now_ms).bind(&alert.once).bind(alert.kind.as_str()).bind(&alert.about).bind(&alert.subject)
            .bind(&alert.body).bind(way.as_str()).bind(target).execute(&mut *c).await.map(|_| ()))?;
    }
    Ok(())
}

/// Whether an event was written down already.
pub async fn is_known(conn: Conn<'_>, once: &str) -> Result<bool, StoreError> {
    const SQL: &str = "select count(*) from (select 1 as x from alert where once = $1 limit 1) q";
    let known: i64 = on!(conn, "look what was told", c => sqlx::query_scalar(SQL).bind(once).fetch_one(&mut *c).await)?;
    Ok(known == 1)
}

/// Whether anything is to be told now.
pub async fn is_due(conn: Conn<'_>, now_ms: i64) -> Result<bool, StoreError> {
    const SQL: &str = "select count(*) from (select 1 as x from alert where due_at_ms <= $1 limit 1) q";
    let due: i64 = on!(conn, "look whether somebody is to be told", c =>
        sqlx::query_scalar(SQL).bind(now_ms).fetch_one(&mut *c).await)?;
    Ok(due == 1)
}

/// Takes what is due longest, until `lease_ms` from now: nobody else tells it meanwhile.
///
/// # Crash
/// Part of the caller's transaction. Whoever dies with it in hand may have told it; after the lease it is told again.
pub async fn take(conn: Conn<'_>, now_ms: i64, lease_ms: i64) -> Result<Option<Due>, StoreError> {
    // Only PostgreSQL has other takers at the same time.
    const SQL: Pair = Pair {
        sqlite: "update alert set due_at_ms = $1 + $2, tries = tries + 1 where id =
             (select id from alert where due_at_ms <= $1 order by due_at_ms, id limit 1)
             returning id, at_ms, kind, about, subject, body, way, target, tries",
        postgres: "update alert set due_at_ms = $1 + $2, tries = tries + 1 where id =
             (select id from alert where due_at_ms <= $1 order by due_at_ms, id limit 1 for update skip locked)
             returning id, at_ms, kind, about, subject, body, way, target, tries",
    };
    let sql = conn.pick(&SQL);
    on!(conn, "take what is to be told", c => sqlx::query_as(sql)
        .bind(now_ms).bind(lease_ms).fetch_optional(&mut *c).await)
}

/// It was told.
pub async fn told(conn: Conn<'_>, id: i64, now_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "update alert set due_at_ms = null, told_at_ms = $2, said = null where id = $1";
    on!(conn, "note what was told", c => sqlx::query(SQL).bind(id).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}

/// It could not be told, because of `said`; due again at `due_at_ms`, or given up.
pub async fn failed(conn: Conn<'_>, id: i64, due_at_ms: Option<i64>, said: &str) -> Result<(), StoreError> {
    const SQL: &str = "update alert set due_at_ms = $2, said = $3 where id = $1 and told_at_ms is null";
    on!(conn, "note what could not be told", c => sqlx::query(SQL)
        .bind(id).bind(due_at_ms).bind(said).execute(&mut *c).await.map(|_| ()))
}
