//! The segment language: who is meant, in words a marketer can write and a database can answer.
//!
//! One tree, three faces: the text below ([`parse`], [`Segment`]'s `Display`), JSON ([`Segment::from_json`], serde),
//! and SQL (`store::segment`). [`Subject`] answers the same question in memory; a test holds the two to the same
//! answer.
//!
//! ```text
//! points >= 500 and not tag("brand:casarte") >= 1
//! orders = 0 and opened(last: 180d)
//! last_order_at < now() - 365d and points between 500 and 999
//! viewed(category: "refrigerator", last: 14d, not_bought: true) or count("Product Viewed", last: 14d) >= 3
//! attr.city in ["Moscow", "Perm"] and consent("offers") and bucket(salt: "spring") < 10%
//! ```
//!
//! # Grammar
//!
//! ```text
//! expr  := and ("or" and)*            and  := not ("and" not)*            not := "not"* test
//! test  := "true" | "false" | call | "(" expr ")" | sum cmp sum | sum "between" sum "and" sum
//!        | sum "not"? "in" "[" value ("," value)* "]" | sum ("contains" | "starts_with") "text" | sum "is" "not"? "set"
//! sum   := term (("+" | "-") term)*   term := value (("*" | "/") value)*  cmp := "=" | "!=" | "<" | "<=" | ">" | ">="
//! value := 12.5 | 10% | "text" | 30min | 12h | 90d | 2w | 8y | date("2026-06-18") | field | attr.name | attr."any name"
//!        | call | "(" sum ")"
//! call  := name "(" ((name ":")? sum ("," (name ":")? sum)*)? ")"
//! ```
//!
//! # What it means
//!
//! * A comparison with something unset is false, and `not` of it is true. An empty text is unset.
//! * Texts compare exactly, letter case included, and only by `=`, `!=`, `in`, `contains` and `starts_with`.
//! * A category names one or more whole parts of a product's path: `"refrigerator"` and `"kitchen"` both match
//!   `kitchen/refrigerator`, so does `"kitchen/refrigerator"`; `"fridge"` and `"Kitchen"` do not.
//! * A year is 365 days, a date is midnight UTC unless written with a time and an offset. A window `last: 30d` holds
//!   what happened 30 days ago to the millisecond.
//! * `revenue` and `sum(…, of: value)` are whole units of money with two decimals: 12.50 is 1250 minor units.
//! * `tag("k")` is the decayed score now, 0 for who never had it; `has_tag("k")` is a score of at least
//!   [`engagement::SCORE_MIN`](crate::domain::engagement::SCORE_MIN).
//! * `opened` and `clicked` count people only, never proxies, prefetching or scanners; `received` is a message sent.
//! * `bought` is an `Order Completed` event, of which there is one per line of an order; `not_bought: true` asks for a
//!   product seen and not bought since.
//! * `reachable()`: some topic is consented to and not suppressed. `suppressed()`: no mail of any topic may go out.
//! * `bucket(salt: "x")` is a share from 0 % to 100 %, fixed per member and salt.

mod ast;
mod check;
mod error;
mod evaluate;
mod expand;
mod lex;
mod parse;
mod print;
mod vocabulary;

pub use ast::{
    Act, Arithmetic, Comparison, Duration, Events, Field, MailAct, Measure, Products, Segment, Unit, Value, Window,
};
pub use check::Kind;
pub(crate) use check::is_text_comparison;
pub use error::SegmentError;
pub use evaluate::{AttributeOf, EventOf, ProductOf, ReceivedOf, Subject, SuppressionOf, TagOf, TouchOf};
pub(crate) use evaluate::{ScoreTest, category_needle, score_test};
pub use expand::{ExpandError, expand};
pub use vocabulary::nearest;

/// Longest text of a segment, bytes.
pub const BYTES_MAX: usize = 16_384;
/// Most nodes of a tree: conditions, values and items of a list.
pub const NODES_MAX: usize = 500;
/// Most nodes after every `in_segment` was replaced by its tree. SQLite refuses expressions deeper than 1000.
pub const EXPANDED_NODES_MAX: usize = 800;
/// Deepest nesting.
pub const DEPTH_MAX: usize = 40;
/// Most operators in one sum. With it no sum of bounded values leaves what a double holds, where PostgreSQL fails and
/// SQLite does not.
pub const OPERATORS_MAX: usize = 8;
/// Largest number that may be written, and largest attribute that counts as a number.
pub const NUMBER_MAX: f64 = 1e15;
/// Smallest number above zero that may be written.
pub const NUMBER_MIN: f64 = 1e-9;
/// Longest duration that may be written, milliseconds: 200 years.
pub const DURATION_MS_MAX: i64 = 200 * 365 * 86_400_000;

/// Reads a segment from its text.
///
/// # Errors
/// The first fault, with its place, what was expected and, for names, the nearest known one.
pub fn parse(text: &str) -> Result<Segment, SegmentError> {
    let checked = parse::tree(text).and_then(|raw| check::segment(&raw));
    checked.map_err(|fault| fault.in_text(text))
}

impl Segment {
    /// Reads a segment from its JSON form: the same checks as the text, because it is printed and parsed.
    ///
    /// # Errors
    /// Bad JSON in serde's words; a bad segment with its place in the printed text.
    pub fn from_json(json: &str) -> Result<Segment, SegmentError> {
        if json.len() > 8 * BYTES_MAX {
            return Err(SegmentError::bare(format!("the JSON of a segment is longer than {} bytes", 8 * BYTES_MAX)));
        }
        let segment: Segment =
            serde_json::from_str(json).map_err(|error| SegmentError::bare(format!("not a segment: {error}")))?;
        parse(&segment.to_string())
    }

    /// The canonical JSON form.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a tree of plain values is JSON")
    }
}
