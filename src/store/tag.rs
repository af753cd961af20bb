//! Tags and the scores members have of them.

use std::collections::HashMap;

use super::{Conn, Pair, Rows, StoreError};
use crate::domain::engagement::{Decay, log_add};
use crate::{bulk, on};

/// A tag's row.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    pub id: i64,
    pub decay: Decay,
}

/// The tags of `keys`, made where they are new; a tag keeps the half-life it was made with, and takes the ceiling
/// that is given now.
///
/// # Crash
/// Part of the caller's transaction. Two daemons that make the same tags do so in one order, so neither waits for the
/// other in a circle.
pub async fn ensure(mut conn: Conn<'_>, keys: &HashMap<String, Decay>) -> Result<HashMap<String, Tag>, StoreError> {
    let mut known = find(conn.again(), keys.keys()).await?;
    let mut new: Vec<_> = keys.iter().filter(|(key, _)| !known.contains_key(*key)).collect();
    if !new.is_empty() {
        new.sort_by_key(|(key, _)| *key);
        const INSERT: Pair = bulk!(
            "with row(key, half_life_ms, ceiling) as (
               select value ->> 0, cast(value ->> 1 as bigint), cast(value ->> 2 as double precision) from",
            "$1",
            ") insert into tag (key, half_life_ms, ceiling) select key, half_life_ms, ceiling from row where true
               order by key on conflict (key) do nothing"
        );
        let rows = Rows::of(new.into_iter().map(|(key, decay)| (key, decay.half_life_ms, decay.ceiling))).json();
        let sql = conn.pick(&INSERT);
        on!(conn.again(), "make tags", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))?;
        known = find(conn.again(), keys.keys()).await?;
    }
    let raised: Vec<(i64, Option<f64>)> = keys
        .iter()
        .filter_map(|(key, decay)| known.get(key).map(|tag| (tag, decay.ceiling)))
        .filter(|(tag, ceiling)| tag.decay.ceiling != *ceiling)
        .map(|(tag, ceiling)| (tag.id, ceiling))
        .collect();
    if !raised.is_empty() {
        set_ceilings(conn, raised).await?;
    }
    Ok(known)
}

async fn find(conn: Conn<'_>, keys: impl Iterator<Item = &String>) -> Result<HashMap<String, Tag>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(key) as (select value ->> 0 from",
        "$1",
        ") select t.id, t.key, t.half_life_ms, t.ceiling from row join tag t on t.key = row.key"
    );
    let (sql, keys) = (conn.pick(&SQL), Rows::of(keys.map(|key| (key,))).json());
    let rows: Vec<(i64, String, Option<i64>, Option<f64>)> =
        on!(conn, "find tags", c => sqlx::query_as(sql).bind(&keys).fetch_all(&mut *c).await)?;
    let tag = |(id, key, half_life_ms, ceiling)| (key, Tag { id, decay: Decay { half_life_ms, ceiling } });
    Ok(rows.into_iter().map(tag).collect())
}

async fn set_ceilings(conn: Conn<'_>, mut ceilings: Vec<(i64, Option<f64>)>) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(id, ceiling) as (select cast(value ->> 0 as bigint), cast(value ->> 1 as double precision) from",
        "$1",
        ") update tag set ceiling = row.ceiling from row where tag.id = row.id"
    );
    ceilings.sort_by_key(|(id, _)| *id);
    let (sql, rows) = (conn.pick(&SQL), Rows::of(ceilings).json());
    on!(conn, "change the ceilings of tags", c => sqlx::query(sql).bind(&rows).execute(&mut *c).await.map(|_| ()))
}

/// Adds to the log-scores of (tag, member) pairs: each amount is a log-score of its own, the sum of what is new.
///
/// # Crash
/// Part of the caller's transaction. Rows are made and locked in the order of their key, so two daemons adding to the
/// same ones wait for each other, never in a circle, and neither's amount is lost.
pub async fn add(mut conn: Conn<'_>, amounts: &HashMap<(i64, i64), f64>, now_ms: i64) -> Result<(), StoreError> {
    let mut left: Vec<_> = amounts.iter().map(|((tag, member), amount)| (*tag, *member, *amount)).collect();
    left.sort_by_key(|(tag, member, _)| (*tag, *member));
    let made = insert(conn.again(), &left, now_ms).await?;
    left.retain(|(tag, member, _)| !made.contains(&(*tag, *member)));
    if left.is_empty() {
        return Ok(());
    }
    let held = lock(conn.again(), &left).await?;
    let sums = left
        .into_iter()
        .filter_map(|(tag, member, amount)| held.get(&(tag, member)).map(|held| (tag, member, log_add(*held, amount))));
    write(conn, Rows::of(sums), now_ms).await
}

/// Makes the rows that are missing and says which.
async fn insert(
    conn: Conn<'_>,
    rows: &[(i64, i64, f64)],
    now_ms: i64,
) -> Result<std::collections::HashSet<(i64, i64)>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(tag_id, member_id, lscore) as (
           select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as double precision) from",
        "$1",
        ") insert into member_tag (tag_id, member_id, lscore, updated_at_ms)
           select tag_id, member_id, lscore, $2 from row where true order by tag_id, member_id
           on conflict (tag_id, member_id) do nothing returning tag_id, member_id"
    );
    let (sql, rows) = (conn.pick(&SQL), Rows::of(rows).json());
    let made: Vec<(i64, i64)> = on!(conn, "give members new tags",
        c => sqlx::query_as(sql).bind(&rows).bind(now_ms).fetch_all(&mut *c).await)?;
    Ok(made.into_iter().collect())
}

/// The log-scores as they are now, nobody else's to change until the transaction ends. The pair differs by the lock,
/// which SQLite's one writer does not need.
async fn lock(conn: Conn<'_>, rows: &[(i64, i64, f64)]) -> Result<HashMap<(i64, i64), f64>, StoreError> {
    macro_rules! select {
        ($open:literal, $lock:literal) => {
            concat!(
                "with row(tag_id, member_id) as (
                   select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint) from ",
                $open,
                ") select mt.tag_id, mt.member_id, mt.lscore from row
                   join member_tag mt on mt.tag_id = row.tag_id and mt.member_id = row.member_id
                   order by mt.tag_id, mt.member_id ",
                $lock
            )
        };
    }
    const SQL: Pair = Pair {
        sqlite: select!("json_each($1)", ""),
        postgres: select!("json_array_elements(cast($1 as json))", "for update of mt"),
    };
    let (sql, rows) = (conn.pick(&SQL), Rows::of(rows.iter().map(|(tag, member, _)| (tag, member))).json());
    let held: Vec<(i64, i64, f64)> =
        on!(conn, "hold tag scores", c => sqlx::query_as(sql).bind(&rows).fetch_all(&mut *c).await)?;
    Ok(held.into_iter().map(|(tag, member, lscore)| ((tag, member), lscore)).collect())
}

async fn write(conn: Conn<'_>, rows: Rows, now_ms: i64) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(tag_id, member_id, lscore) as (
           select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as double precision) from",
        "$1",
        ") update member_tag set lscore = row.lscore, updated_at_ms = $2 from row
           where member_tag.tag_id = row.tag_id and member_tag.member_id = row.member_id"
    );
    let (sql, rows) = (conn.pick(&SQL), rows.json());
    on!(conn, "raise tag scores", c => sqlx::query(sql).bind(&rows).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}

/// Sets the log-scores of a member's tags to what they are, whatever they were; `None` takes a tag away.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn set(
    mut conn: Conn<'_>,
    member: i64,
    scores: &HashMap<i64, Option<f64>>,
    now_ms: i64,
) -> Result<(), StoreError> {
    const DELETE: Pair = bulk!(
        "with row(tag_id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") delete from member_tag where member_id = $2 and tag_id in (select tag_id from row)"
    );
    let (sql, rows) = (conn.pick(&DELETE), Rows::of(scores.keys().map(|tag| (tag,))).json());
    on!(conn.again(), "take a member's tags away",
        c => sqlx::query(sql).bind(rows).bind(member).execute(&mut *c).await.map(|_| ()))?;
    let left: Vec<_> = scores.iter().filter_map(|(tag, lscore)| Some((*tag, member, (*lscore)?))).collect();
    insert(conn, &left, now_ms).await.map(|_| ())
}

/// A tag of a member as it is kept.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct MemberTag {
    pub key: String,
    pub half_life_ms: Option<i64>,
    pub ceiling: Option<f64>,
    pub lscore: f64,
    pub updated_at_ms: i64,
}

impl MemberTag {
    pub fn decay(&self) -> Decay {
        Decay { half_life_ms: self.half_life_ms, ceiling: self.ceiling }
    }
}

/// All tags of a member.
pub async fn of_member(conn: Conn<'_>, member: i64) -> Result<Vec<MemberTag>, StoreError> {
    const SQL: &str = "select t.key, t.half_life_ms, t.ceiling, mt.lscore, mt.updated_at_ms
        from member_tag mt join tag t on t.id = mt.tag_id where mt.member_id = $1 order by t.key";
    on!(conn, "load a member's tags", c => sqlx::query_as(SQL).bind(member).fetch_all(&mut *c).await)
}

/// The id and decay of a tag by its key; `None` while nobody has it. What a segment's `tag("…")` is compiled with.
pub async fn by_key(conn: Conn<'_>, key: &str) -> Result<Option<Tag>, StoreError> {
    let key = key.to_owned();
    Ok(find(conn, std::iter::once(&key)).await?.remove(&key))
}
