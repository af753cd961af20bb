//! Segments under a name. A version never changes; saving makes the next one.

use super::SegmentFault;
use crate::domain::segment::{Segment, parse};
use crate::on;
use crate::store::{Conn, StoreError};

/// Longest name, bytes.
pub const NAME_BYTES_MAX: usize = 80;

/// One version of a saved segment.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Saved {
    pub name: String,
    pub version: i64,
    /// The canonical text.
    pub expr: String,
    pub created_at_ms: i64,
}

impl Saved {
    /// The tree of the text.
    ///
    /// # Errors
    /// [`SegmentFault::Saved`], when a later version of the language no longer reads it.
    pub fn segment(&self) -> Result<Segment, SegmentFault> {
        parse(&self.expr).map_err(|error| SegmentFault::Saved { name: self.name.clone(), error })
    }
}

/// Saves `segment` under `name` as a new version, unless the latest says the same. Call it in a transaction, after
/// [`resolve`](super::resolve) said that its names hold.
///
/// # Errors
/// A bad name, a segment that would stand in itself, and failures of the database.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn save(mut conn: Conn<'_>, name: &str, segment: &Segment, now_ms: i64) -> Result<Saved, SegmentFault> {
    const INSERT: &str = "insert into segment (name, version, expr, created_at_ms)
        select $1, coalesce(max(version), 0) + 1, $2, $3 from segment where name = $1
        returning name, version, expr, created_at_ms";
    if name.trim() != name || name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(SegmentFault::Name { what: name.to_owned() });
    }
    refuse_itself(conn.again(), name, segment).await?;
    let expr = segment.to_string();
    if let Some(same) = latest(conn.again(), name).await?.filter(|latest| latest.expr == expr) {
        return Ok(same);
    }
    Ok(
        on!(conn, "save a segment", c => sqlx::query_as(INSERT).bind(name).bind(&expr).bind(now_ms).fetch_one(&mut *c).await)?,
    )
}

/// Refuses a segment that reaches its own name through those it names.
async fn refuse_itself(mut conn: Conn<'_>, name: &str, segment: &Segment) -> Result<(), SegmentFault> {
    let mut seen: Vec<String> = Vec::new();
    let mut open: Vec<Vec<String>> =
        segment.named_segments().into_iter().map(|inner| vec![name.to_owned(), inner.to_owned()]).collect();
    while let Some(path) = open.pop() {
        let inner = path.last().expect("a path has its name").clone();
        if inner == name {
            return Err(crate::domain::segment::ExpandError::Cycle { path }.into());
        }
        if seen.contains(&inner) {
            continue;
        }
        seen.push(inner.clone());
        if let Some(saved) = latest(conn.again(), &inner).await? {
            for next in saved.segment()?.named_segments() {
                open.push(path.iter().cloned().chain([next.to_owned()]).collect());
            }
        }
    }
    Ok(())
}

/// The latest version under `name`, or `None`.
pub async fn latest(conn: Conn<'_>, name: &str) -> Result<Option<Saved>, StoreError> {
    const SQL: &str =
        "select name, version, expr, created_at_ms from segment where name = $1 order by version desc limit 1";
    on!(conn, "find a saved segment", c => sqlx::query_as(SQL).bind(name).fetch_optional(&mut *c).await)
}

/// The latest version of every saved segment, by name.
pub async fn list(conn: Conn<'_>) -> Result<Vec<Saved>, StoreError> {
    const SQL: &str = "select s.name, s.version, s.expr, s.created_at_ms from segment s
        where s.version = (select max(l.version) from segment l where l.name = s.name)
        order by s.name";
    on!(conn, "list saved segments", c => sqlx::query_as(SQL).fetch_all(&mut *c).await)
}
