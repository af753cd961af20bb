//! What the names in a segment mean in this database.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{SegmentFault, saved};
use crate::domain::engagement::Decay;
use crate::domain::segment::{DEPTH_MAX, ExpandError, Segment, Value, expand, nearest};
use crate::store::{Conn, Pair, Rows, StoreError};
use crate::{bulk, on};

/// A segment whose names are known: fit to compile. Every `in_segment` is replaced by its tree, so that the text of
/// [`Resolved::segment`] is what a run may freeze.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub segment: Segment,
    pub(super) tags: HashMap<String, Tag>,
    pub(super) event_names: HashMap<String, i64>,
    pub(super) attributes: HashMap<String, i64>,
    pub(super) campaigns: HashMap<String, i64>,
    /// What nobody ever had or did, in words for a person: perhaps a typing error.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tag {
    pub id: i64,
    pub decay: Decay,
}

/// The names a segment uses.
#[derive(Default)]
struct Mentioned<'s> {
    tags: BTreeSet<&'s str>,
    events: BTreeSet<&'s str>,
    attributes: BTreeSet<&'s str>,
    campaigns: BTreeSet<&'s str>,
}

/// Looks up what the names in `segment` mean. Names that the database does not know are no error: nobody has such a
/// tag, did such an event; they are told in [`Resolved::notes`].
///
/// # Errors
/// An unknown or circular `in_segment`, and failures of the database.
pub async fn resolve(mut conn: Conn<'_>, segment: &Segment) -> Result<Resolved, SegmentFault> {
    let segment = inlined(conn.again(), segment).await?;
    let mentioned = mentioned(&segment);
    let tags = tags(conn.again(), &mentioned.tags).await?;
    let event_names = ids(conn.again(), &EVENT_NAMES, &mentioned.events).await?;
    let attributes = ids(conn.again(), &ATTRIBUTES, &mentioned.attributes).await?;
    let campaigns = ids(conn.again(), &CAMPAIGNS, &mentioned.campaigns).await?;
    let mut notes = Vec::new();
    let told = [
        ("tag", "nobody has the tag", unknown(&mentioned.tags, |name| tags.contains_key(name))),
        ("event_name", "nobody ever did", unknown(&mentioned.events, |name| event_names.contains_key(name))),
        ("attribute", "nobody has the attribute", unknown(&mentioned.attributes, |name| attributes.contains_key(name))),
        ("campaign", "there is no campaign", unknown(&mentioned.campaigns, |name| campaigns.contains_key(name))),
    ];
    for (table, what, names) in told {
        for name in names {
            notes.push(note(conn.again(), table, what, name).await?);
        }
    }
    drop(mentioned);
    Ok(Resolved { segment, tags, event_names, attributes, campaigns, notes })
}

fn unknown<'s>(names: &BTreeSet<&'s str>, is_known: impl Fn(&str) -> bool) -> Vec<&'s str> {
    names.iter().copied().filter(|name| !is_known(name)).collect()
}

/// The segment with the latest version of every segment it names in place, level by level.
async fn inlined(mut conn: Conn<'_>, segment: &Segment) -> Result<Segment, SegmentFault> {
    let mut found: BTreeMap<String, Segment> = BTreeMap::new();
    let mut asked: BTreeSet<String> = segment.named_segments().into_iter().map(str::to_owned).collect();
    for _ in 0..DEPTH_MAX {
        let missing: Vec<String> = asked.iter().filter(|name| !found.contains_key(*name)).cloned().collect();
        if missing.is_empty() {
            break;
        }
        for name in missing {
            let Some(saved) = saved::latest(conn.again(), &name).await? else {
                let known = saved::list(conn.again()).await?;
                let near = nearest(&name, known.iter().map(|saved| saved.name.as_str())).map(str::to_owned);
                return Err(ExpandError::Unknown { name, near }.into());
            };
            let segment = saved.segment()?;
            asked.extend(segment.named_segments().into_iter().map(str::to_owned));
            found.insert(name, segment);
        }
    }
    Ok(expand(segment, &|name| found.get(name))?)
}

fn mentioned(segment: &Segment) -> Mentioned<'_> {
    let mut all = Mentioned::default();
    segment.each(&mut |part| {
        match part {
            Segment::HasTag(key) => _ = all.tags.insert(key),
            Segment::Did { events, .. } => _ = all.events.insert(&events.name),
            Segment::Product { act, not_bought, .. } => {
                all.events.insert(act.event_name());
                if *not_bought {
                    all.events.insert(crate::domain::event::ORDER_COMPLETED);
                }
            }
            Segment::Mail { campaign: Some(name), .. } => _ = all.campaigns.insert(name),
            _ => {}
        }
        for value in part.values() {
            value.each(&mut |value| match value {
                Value::Tag(key) => _ = all.tags.insert(key),
                Value::Attribute(name) => _ = all.attributes.insert(name),
                Value::Count(events) | Value::First(events) | Value::Last(events) | Value::Sum { events, .. } => {
                    all.events.insert(&events.name);
                }
                _ => {}
            });
        }
    });
    all
}

const EVENT_NAMES: Pair = bulk!(
    "with row(name) as (select value ->> 0 from",
    "$1",
    ") select t.name, t.id from row join event_name t on t.name = row.name"
);
const ATTRIBUTES: Pair = bulk!(
    "with row(name) as (select value ->> 0 from",
    "$1",
    ") select t.name, t.id from row join attribute t on t.name = row.name"
);
const CAMPAIGNS: Pair = bulk!(
    "with row(name) as (select value ->> 0 from",
    "$1",
    ") select t.name, t.id from row join campaign t on t.name = row.name"
);

async fn ids(conn: Conn<'_>, sql: &Pair, names: &BTreeSet<&str>) -> Result<HashMap<String, i64>, StoreError> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = conn.pick(sql);
    let rows = Rows::of(names.iter().map(|name| (name,))).json();
    let ids: Vec<(String, i64)> =
        on!(conn, "look up a segment's names", c => sqlx::query_as(sql).bind(rows).fetch_all(&mut *c).await)?;
    Ok(ids.into_iter().collect())
}

async fn tags(conn: Conn<'_>, keys: &BTreeSet<&str>) -> Result<HashMap<String, Tag>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(key) as (select value ->> 0 from",
        "$1",
        ") select t.key, t.id, t.half_life_ms, t.ceiling from row join tag t on t.key = row.key"
    );
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = conn.pick(&SQL);
    let rows = Rows::of(keys.iter().map(|key| (key,))).json();
    let tags: Vec<(String, i64, Option<i64>, Option<f64>)> =
        on!(conn, "look up a segment's tags", c => sqlx::query_as(sql).bind(rows).fetch_all(&mut *c).await)?;
    let tag = |(key, id, half_life_ms, ceiling)| (key, Tag { id, decay: Decay { half_life_ms, ceiling } });
    Ok(tags.into_iter().map(tag).collect())
}

/// Most known names compared with an unknown one.
const NEAR_AMONG_MAX: i64 = 5_000;

/// A sentence on an unknown name, with the nearest known one.
async fn note(conn: Conn<'_>, table: &str, what: &str, name: &str) -> Result<String, StoreError> {
    const TAGS: &str = "select key from tag order by id limit $1";
    const EVENTS: &str = "select name from event_name order by id limit $1";
    const ATTRIBUTES: &str = "select name from attribute order by id limit $1";
    const CAMPAIGNS: &str = "select name from campaign order by id limit $1";
    let sql = match table {
        "tag" => TAGS,
        "event_name" => EVENTS,
        "attribute" => ATTRIBUTES,
        _ => CAMPAIGNS,
    };
    let known: Vec<String> =
        on!(conn, "list known names", c => sqlx::query_scalar(sql).bind(NEAR_AMONG_MAX).fetch_all(&mut *c).await)?;
    Ok(match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("{what} {name:?}; did you mean {near:?}?"),
        None => format!("{what} {name:?}"),
    })
}
