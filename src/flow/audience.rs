//! A segment before it is used: how many it holds, a few of them, and why one member is in or out.
//!
//! Nothing is written here. What a run is sent to is decided again, by the same predicate, when it is frozen.

use serde::Serialize;

use crate::domain::member::Member;
use crate::domain::segment::parse;
use crate::store::segment::{Leaf, SegmentFault, count, count_sample, explain, has, resolve, sample};
use crate::store::{Conn, member};

/// Most members shown of a segment.
pub const SHOWN_MAX: i64 = 50;

/// How many members a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Live members, whether or not they may be mailed.
    pub count: i64,
    /// Counted, not guessed.
    pub exact: bool,
    /// The interval that holds the true number in 95 of 100 segments; both the count itself where exact.
    pub low: i64,
    pub high: i64,
}

/// A segment looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// The segment's canonical text, other segments in place.
    pub segment: String,
    pub size: Size,
    /// A few of its members, always the same ones.
    pub sample: Vec<Member>,
    /// Names in it that the database does not know: perhaps typing errors.
    pub notes: Vec<String>,
}

/// Looks at the segment `text`: counts it `exact`ly or by the hundredth part that is always the same, and shows up to
/// `shown` of its members.
///
/// # Errors
/// What is wrong with the text, with its place, or an unknown `in_segment`; failures of the database.
pub async fn preview(
    mut conn: Conn<'_>,
    text: &str,
    now_ms: i64,
    exact: bool,
    shown: i64,
) -> Result<Preview, SegmentFault> {
    let resolved = resolve(conn.again(), &parse(text)?).await?;
    let size = if exact {
        let n = count(conn.again(), &resolved, now_ms).await?;
        Size { count: n, exact, low: n, high: n }
    } else {
        let guess = count_sample(conn.again(), &resolved, now_ms).await?;
        Size { count: guess.n, exact, low: guess.low, high: guess.high }
    };
    let ids = match shown.min(SHOWN_MAX) {
        0 => Vec::new(),
        shown => sample(conn.again(), &resolved, now_ms, shown).await?,
    };
    let mut members = member::profiles(conn, &ids).await?;
    let sample = ids.iter().filter_map(|id| members.remove(id)).collect();
    Ok(Preview { segment: resolved.segment.to_string(), size, sample, notes: resolved.notes })
}

/// Why a member is in a segment, or is not.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The segment's canonical text, other segments in place.
    pub segment: String,
    pub is_in: bool,
    /// Every condition with its own answer, in the order of the text.
    pub conditions: Vec<Leaf>,
    pub notes: Vec<String>,
}

/// Answers every condition of the segment `text` for one member.
///
/// # Errors
/// As [`preview`].
pub async fn why(mut conn: Conn<'_>, text: &str, member_id: i64, now_ms: i64) -> Result<Explanation, SegmentFault> {
    let resolved = resolve(conn.again(), &parse(text)?).await?;
    let is_in = has(conn.again(), &resolved, now_ms, member_id).await?;
    let conditions = explain(conn, &resolved, now_ms, member_id).await?;
    Ok(Explanation { segment: resolved.segment.to_string(), is_in, conditions, notes: resolved.notes })
}
