//! Mail providers: whose servers a group of domains is. Rows are made when a member first needs them.

use std::collections::HashMap;

use super::{Conn, Pair, Rows, StoreError};
use crate::{bulk, on};

/// The ids of `names`, made where missing.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn ids(mut conn: Conn<'_>, names: &[&str]) -> Result<HashMap<String, i64>, StoreError> {
    const INSERT: Pair =
        bulk!("insert into provider (name) select value ->> 0 from", "$1", "where true on conflict (name) do nothing");
    const SELECT: Pair = bulk!(
        "with row(name) as (select value ->> 0 from",
        "$1",
        ") select p.name, p.id from row join provider p on p.name = row.name"
    );
    let rows = Rows::of(names.iter().map(|name| (name,))).json();
    let sql = conn.pick(&INSERT);
    on!(conn.again(), "add mail providers", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))?;
    let sql = conn.pick(&SELECT);
    let ids: Vec<(String, i64)> =
        on!(conn, "find mail providers", c => sqlx::query_as(sql).bind(&rows).fetch_all(&mut *c).await)?;
    Ok(ids.into_iter().collect())
}

/// Every provider's id and name.
pub async fn all(conn: Conn<'_>) -> Result<Vec<(i64, String)>, StoreError> {
    const SQL: &str = "select id, name from provider order by id";
    on!(conn, "list mail providers", c => sqlx::query_as(SQL).fetch_all(&mut *c).await)
}
