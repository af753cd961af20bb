//! Registered attributes: what a shop knows about its members beyond the columns every shop has.

use std::collections::HashMap;

use super::{Conn, Pair, Rows, StoreError};
use crate::{bulk, on};

/// One attribute of one member to set. The number is what the text reads as, if it reads as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Value<'a> {
    pub member_id: i64,
    pub attribute_id: i64,
    pub text: &'a str,
    pub number: Option<f64>,
}

/// The ids of attributes by name, registered where missing.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn ids(mut conn: Conn<'_>, names: &[&str]) -> Result<HashMap<String, i64>, StoreError> {
    const INSERT: Pair =
        bulk!("insert into attribute (name) select value ->> 0 from", "$1", "where true on conflict (name) do nothing");
    const SELECT: Pair = bulk!(
        "with row(name) as (select value ->> 0 from",
        "$1",
        ") select a.name, a.id from row join attribute a on a.name = row.name"
    );
    let rows = Rows::of(names.iter().map(|name| (name,))).json();
    let sql = conn.pick(&INSERT);
    on!(conn.again(), "register attributes", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))?;
    let sql = conn.pick(&SELECT);
    let ids: Vec<(String, i64)> =
        on!(conn, "find attributes", c => sqlx::query_as(sql).bind(&rows).fetch_all(&mut *c).await)?;
    Ok(ids.into_iter().collect())
}

/// Every registered name.
pub async fn names(conn: Conn<'_>) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "select name from attribute order by name";
    on!(conn, "list attributes", c => sqlx::query_scalar(SQL).fetch_all(&mut *c).await)
}

/// Sets attributes, at most one value for each (member, attribute).
///
/// # Crash
/// Part of the caller's transaction.
pub async fn set(conn: Conn<'_>, values: &[Value<'_>]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "insert into member_attribute (member_id, attribute_id, text, number)
         select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), value ->> 2,
           cast(value ->> 3 as double precision) from",
        "$1",
        "where true on conflict (member_id, attribute_id) do update set text = excluded.text, number = excluded.number"
    );
    if values.is_empty() {
        return Ok(());
    }
    let sql = conn.pick(&SQL);
    let row = |v: &Value<'_>| (v.member_id, v.attribute_id, v.text.to_owned(), v.number);
    let rows = Rows::of(values.iter().map(row)).json();
    on!(conn, "set attributes", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))
}

/// Takes attributes away, each given as (member, attribute).
///
/// # Crash
/// Part of the caller's transaction.
pub async fn clear(conn: Conn<'_>, gone: &[(i64, i64)]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(member_id, attribute_id) as (select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint) from",
        "$1",
        ") delete from member_attribute where (member_id, attribute_id) in (select member_id, attribute_id from row)"
    );
    if gone.is_empty() {
        return Ok(());
    }
    let sql = conn.pick(&SQL);
    let rows = Rows::of(gone).json();
    on!(conn, "clear attributes", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))
}
