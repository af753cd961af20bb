//! Who is in a segment: how many, which, and why one member is in or out.

use super::compile::{Bind, Shown, compile, leaf_question};
use super::resolve::Resolved;
use crate::base::draw::LOT_MODULUS;
use crate::domain::segment::Segment;
use crate::store::{Conn, StoreError};

/// How many live members are in it, exactly.
pub async fn count(conn: Conn<'_>, resolved: &Resolved, now_ms: i64) -> Result<i64, StoreError> {
    let (n,): (i64,) =
        compile(&conn, resolved, now_ms, 1).fill("select count(*) from member m where {where}", &[]).row(conn).await?;
    Ok(n)
}

/// A number guessed from a sample, and the interval that holds the true one in 95 of 100 segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    pub n: i64,
    pub low: i64,
    pub high: i64,
    /// Members looked at.
    pub sample: i64,
}

/// Guesses how many live members are in it from the hundredth of all members with the lowest lots: always the same
/// ones, found by their index. The interval is Wilson's (1927), which also serves shares near 0 and 1.
pub async fn count_sample(mut conn: Conn<'_>, resolved: &Resolved, now_ms: i64) -> Result<Estimate, StoreError> {
    let below = Bind::Int(LOT_MODULUS / SAMPLE_OF);
    let (found, sample): (i64, i64) = compile(&conn, resolved, now_ms, 2)
        .fill("select count(*) filter (where {where}), count(*) from member m where m.lot < $1", &[below])
        .row(conn.again())
        .await?;
    let (all,): (i64,) = crate::on!(conn, "count members", c =>
        sqlx::query_as("select count(*) from member").fetch_one(&mut *c).await)?;
    Ok(estimate(found, sample, all))
}

/// One member in so many is in the sample.
const SAMPLE_OF: i64 = 100;

fn estimate(found: i64, sample: i64, all: i64) -> Estimate {
    const Z: f64 = 1.96;
    if sample == 0 {
        return Estimate { n: 0, low: 0, high: all, sample };
    }
    let (n, p) = (sample as f64, found as f64 / sample as f64);
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let of_all = |share: f64| (share.clamp(0.0, 1.0) * all as f64).round() as i64;
    // What was seen in the sample is there, and so is what was seen outside the segment.
    let (low, high) = (of_all(centre - half).max(found), of_all(centre + half).min(all - (sample - found)));
    Estimate { n: of_all(p).clamp(low, high), low, high, sample }
}

/// Up to `limit` of its members' ids, always the same ones for the same segment: those with the lowest lots.
pub async fn sample(conn: Conn<'_>, resolved: &Resolved, now_ms: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
    let ids: Vec<(i64,)> = compile(&conn, resolved, now_ms, 2)
        .fill("select m.id from member m where {where} order by m.lot, m.id limit $1", &[Bind::Int(limit)])
        .rows(conn)
        .await?;
    Ok(ids.into_iter().map(|(id,)| id).collect())
}

/// Whether one member is in it.
pub async fn has(conn: Conn<'_>, resolved: &Resolved, now_ms: i64, member_id: i64) -> Result<bool, StoreError> {
    let (n,): (i64,) = compile(&conn, resolved, now_ms, 2)
        .fill("select count(*) from member m where m.id = $1 and {where}", &[Bind::Int(member_id)])
        .row(conn)
        .await?;
    Ok(n > 0)
}

/// One condition of a segment, answered for one member.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// The condition as text.
    pub expr: String,
    /// Whether it holds, by itself: a `not` around it is not counted.
    pub holds: bool,
    /// The member's own value where the condition looks at one.
    pub value: Option<LeafValue>,
}

/// What a condition found.
#[derive(Debug, Clone, PartialEq)]
pub enum LeafValue {
    Number(f64),
    /// Unix milliseconds.
    Instant(i64),
    Text(String),
    Unset,
}

/// Every condition of the segment, in its order, answered for one member.
pub async fn explain(
    mut conn: Conn<'_>,
    resolved: &Resolved,
    now_ms: i64,
    member_id: i64,
) -> Result<Vec<Leaf>, StoreError> {
    let mut conditions: Vec<&Segment> = Vec::new();
    resolved.segment.each(&mut |part| {
        if !matches!(part, Segment::And(_) | Segment::Or(_) | Segment::Not(_)) {
            conditions.push(part);
        }
    });
    let mut leaves = Vec::with_capacity(conditions.len());
    for condition in conditions {
        leaves.push(leaf(conn.again(), resolved, condition, now_ms, member_id).await?);
    }
    Ok(leaves)
}

async fn leaf(
    conn: Conn<'_>,
    resolved: &Resolved,
    condition: &Segment,
    now_ms: i64,
    member_id: i64,
) -> Result<Leaf, StoreError> {
    let (question, shown) = leaf_question(&conn, resolved, condition, now_ms, member_id);
    let found: Vec<(i64, Option<f64>, Option<String>)> = question.rows(conn).await?;
    let (holds, number, text) = found.into_iter().next().unwrap_or_default();
    let value = match shown {
        Shown::Nothing => None,
        Shown::Number => Some(number.map_or(LeafValue::Unset, LeafValue::Number)),
        Shown::Instant => Some(number.map_or(LeafValue::Unset, |at_ms| LeafValue::Instant(at_ms as i64))),
        Shown::Text => Some(text.map_or(LeafValue::Unset, LeafValue::Text)),
        Shown::Score(tag) => Some(LeafValue::Number(number.map_or(0.0, |lscore| tag.decay.score(lscore, now_ms)))),
    };
    Ok(Leaf { expr: condition.to_string(), holds: holds == 1, value })
}
