//! The walk over touches that gives them their final class: how far it is, what it reads, what it changes, and what is
//! to be learned anew because of it.

use super::{Conn, Pair, Rows, StoreError};
use crate::domain::touch::TouchClass;
use crate::{bulk, on};

/// A place in the walk: the last touch that has its final class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Mark {
    pub at_ms: i64,
    pub id: i64,
}

/// A touch as it is kept, with what is known of its mail.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Kept {
    pub id: i64,
    pub at_ms: i64,
    pub run_id: i64,
    pub message_id: i64,
    /// The reader's address; `None`: erased since.
    pub email: Option<String>,
    pub sent_at_ms: Option<i64>,
    pub kind: String,
    pub class: String,
    pub slot: i64,
    pub product_id: Option<i64>,
    pub url: Option<String>,
    pub method: String,
    pub agent: String,
    pub ip: String,
}

/// A touch whose class is another than the one it has.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub id: i64,
    pub at_ms: i64,
    pub was: TouchClass,
    pub is: TouchClass,
    /// Whether tags hang on it: a click that is a person's now, or was.
    pub teaches: bool,
}

/// Up to where touches have their final class.
pub async fn mark(conn: Conn<'_>) -> Result<Mark, StoreError> {
    const SQL: &str = "select at_ms, touch_id as id from touch_judged where name = 'all'";
    on!(conn, "see which touches are judged", c => sqlx::query_as(SQL).fetch_one(&mut *c).await)
}

/// Moves the mark unless somebody else did.
///
/// # Crash
/// Part of the caller's transaction. What was judged beyond a mark that did not move is judged again, alike.
pub async fn advance(conn: Conn<'_>, from: Mark, to: Mark) -> Result<(), StoreError> {
    const SQL: &str =
        "update touch_judged set at_ms = $3, touch_id = $4 where name = 'all' and at_ms = $1 and touch_id = $2";
    on!(conn, "keep which touches are judged",
        c => sqlx::query(SQL).bind(from.at_ms).bind(from.id).bind(to.at_ms).bind(to.id).execute(&mut *c).await.map(|_| ()))
}

/// The mark before the first touch at or after an instant.
pub async fn mark_at(conn: Conn<'_>, since_ms: i64) -> Result<Mark, StoreError> {
    if !conn.is_sqlite() {
        return Ok(Mark { at_ms: since_ms - 1, id: i64::MAX });
    }
    const SQL: &str = "select coalesce(max(id), 0) from touch where at_ms < $1";
    let id = on!(conn, "find the first touch", c => sqlx::query_scalar(SQL).bind(since_ms).fetch_one(&mut *c).await)?;
    Ok(Mark { at_ms: since_ms - 1, id })
}

// SQLite commits ids in order and has no index by time, PostgreSQL's touches lie by time: each walks its own way.
macro_rules! kept {
    ($where:literal) => {
        concat!(
            "select t.id, t.at_ms, t.run_id, t.message_id, p.email, m.sent_at_ms, t.kind, t.class, t.slot, t.product_id,
               t.url, t.method, t.agent, t.ip
             from touch t left join message m on m.run_id = t.run_id and m.id = t.message_id
               left join member p on p.id = t.member_id where ",
            $where
        )
    };
}

/// The touches after a mark, in its order, up to an instant; at most `limit`.
pub async fn after(conn: Conn<'_>, mark: Mark, until_ms: i64, limit: usize) -> Result<Vec<Kept>, StoreError> {
    const SQL: Pair = Pair {
        sqlite: kept!("$1 = $1 and t.id > $2 and t.at_ms <= $3 order by t.id limit $4"),
        postgres: kept!("(t.at_ms, t.id) > ($1, $2) and t.at_ms <= $3 order by t.at_ms, t.id limit $4"),
    };
    read(conn, &SQL, mark, until_ms, limit).await
}

/// The touches up to a mark, back to an instant, the last first; at most `limit`.
pub async fn before(conn: Conn<'_>, mark: Mark, from_ms: i64, limit: usize) -> Result<Vec<Kept>, StoreError> {
    const SQL: Pair = Pair {
        sqlite: kept!(
            "$1 = $1 and t.id in (select id from touch where id <= $2 order by id desc limit $4)
               and t.at_ms >= $3 order by t.id desc"
        ),
        postgres: kept!("(t.at_ms, t.id) <= ($1, $2) and t.at_ms >= $3 order by t.at_ms desc, t.id desc limit $4"),
    };
    read(conn, &SQL, mark, from_ms, limit).await
}

async fn read(conn: Conn<'_>, sql: &Pair, mark: Mark, bound_ms: i64, limit: usize) -> Result<Vec<Kept>, StoreError> {
    let sql = conn.pick(sql);
    on!(conn, "read touches to be judged",
        c => sqlx::query_as(sql).bind(mark.at_ms).bind(mark.id).bind(bound_ms).bind(limit as i64).fetch_all(&mut *c).await)
}

/// Gives touches another class, those that still have the one they had, and hands on what tags hang on. Says how many
/// it changed.
///
/// # Crash
/// Part of the caller's transaction: a class and the order to learn anew commit together.
pub async fn reclass(mut conn: Conn<'_>, changes: &[Change]) -> Result<usize, StoreError> {
    const UPDATE: Pair = bulk!(
        "with row(id, at_ms, was, class) as (select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), value ->> 2,
           value ->> 3 from",
        "$1",
        ") update touch set class = row.class from row
           where touch.id = row.id and touch.at_ms = row.at_ms and touch.class = row.was
           returning touch.id, touch.at_ms, touch.member_id"
    );
    let row = |change: &Change| (change.id, change.at_ms, change.was.as_str(), change.is.as_str());
    let (sql, rows) = (conn.pick(&UPDATE), Rows::of(changes.iter().map(row)).json());
    let changed: Vec<(i64, i64, Option<i64>)> =
        on!(conn.again(), "give touches their class", c => sqlx::query_as(sql).bind(rows).fetch_all(&mut *c).await)?;
    let teaching: std::collections::HashSet<i64> =
        changes.iter().filter(|change| change.teaches).map(|change| change.id).collect();
    let lessons = changed.iter().filter_map(|(id, at_ms, member)| Some((*id, *at_ms, (*member)?)));
    let lessons = Rows::of(lessons.filter(|(id, ..)| teaching.contains(id)));
    if !lessons.is_empty() {
        order(conn, lessons).await?;
    }
    Ok(changed.len())
}

async fn order(conn: Conn<'_>, lessons: Rows) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(touch_id, at_ms, member_id) as (
           select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as bigint) from",
        "$1",
        ") insert into relearn (touch_id, at_ms, member_id) select touch_id, at_ms, member_id from row where true
           on conflict (touch_id) do nothing"
    );
    let (sql, rows) = (conn.pick(&SQL), lessons.json());
    on!(conn, "order tags to be learned anew", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))
}

/// Whether tags are to be learned anew: asked of a reader before the writer is taken.
pub async fn lessons_wait(conn: Conn<'_>) -> Result<bool, StoreError> {
    const SQL: &str = "select touch_id from relearn limit 1";
    let one: Option<i64> =
        on!(conn, "look for tags to be learned anew", c => sqlx::query_scalar(SQL).fetch_optional(&mut *c).await)?;
    Ok(one.is_some())
}

/// Takes one member's touches out that changed their class between person and machine: the member, the touches.
///
/// # Crash
/// Part of the caller's transaction: they wait again unless it commits.
pub async fn take_lesson(mut conn: Conn<'_>) -> Result<Option<(i64, Vec<i64>)>, StoreError> {
    const FIRST: &str = "select member_id from relearn order by touch_id limit 1";
    const TAKE: &str = "delete from relearn where member_id = $1 returning touch_id";
    let first: Option<i64> = on!(conn.again(), "find tags to be learned anew", c => sqlx::query_scalar(FIRST).fetch_optional(&mut *c).await)?;
    let Some(member) = first else { return Ok(None) };
    let touches = on!(conn, "take tags to be learned anew",
        c => sqlx::query_scalar(TAKE).bind(member).fetch_all(&mut *c).await)?;
    Ok(Some((member, touches)))
}
