//! What picking products knows of each member, for a whole claim at once: one statement per kind.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Conn, Pair, Rows, StoreError};
use crate::domain::engagement::{Decay, SCORE_MIN};
use crate::domain::recommend::{Act, History, TagScore};
use crate::{bulk, on};

/// Products looked at that are kept per member.
pub const VIEWED_MAX: usize = 20;
/// Products bought that are kept per member.
pub const BOUGHT_MAX: usize = 100;
/// Tags that are kept per member.
pub const TAGS_MAX: usize = 40;
/// How far back purchases count, milliseconds (2 years).
pub const BOUGHT_WITHIN_MS: i64 = 730 * 86_400_000;
/// How far back looks count, milliseconds (180 days).
pub const VIEWED_WITHIN_MS: i64 = 180 * 86_400_000;

/// The history of each of `ids`; who has none is not in the map.
pub async fn load(mut conn: Conn<'_>, ids: &[i64], now_ms: i64) -> Result<HashMap<i64, History>, StoreError> {
    let mut all: HashMap<i64, History> = HashMap::with_capacity(ids.len());
    if ids.is_empty() {
        return Ok(all);
    }
    let wanted = Rows::of(ids.iter().map(|id| (id,))).json();
    for (member, product, at_ms) in viewed(conn.again(), &wanted, now_ms).await? {
        all.entry(member).or_default().viewed.push(Act { product, at_ms });
    }
    for (member, product, at_ms) in clicked(conn.again(), &wanted, now_ms).await? {
        all.entry(member).or_default().viewed.push(Act { product, at_ms });
    }
    for (member, product, at_ms) in bought(conn.again(), &wanted, now_ms).await? {
        all.entry(member).or_default().bought.push(Act { product, at_ms });
    }
    let mut keys: HashMap<i64, Arc<str>> = HashMap::new();
    for row in tags(conn, &wanted).await? {
        let score = Decay { half_life_ms: row.half_life_ms, ceiling: row.ceiling }.score(row.lscore, now_ms);
        if score >= SCORE_MIN {
            let key = keys.entry(row.tag_id).or_insert_with(|| row.key.into()).clone();
            all.entry(row.member_id).or_default().tags.push(TagScore { key, score });
        }
    }
    all.values_mut().for_each(tidy);
    Ok(all)
}

/// Latest and strongest first, each product once, no more than the bounds.
fn tidy(history: &mut History) {
    latest_of_each(&mut history.viewed, VIEWED_MAX);
    latest_of_each(&mut history.bought, BOUGHT_MAX);
    history.tags.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
    history.tags.truncate(TAGS_MAX);
}

fn latest_of_each(acts: &mut Vec<Act>, most: usize) {
    acts.sort_unstable_by_key(|act| (act.product, -act.at_ms));
    acts.dedup_by_key(|act| act.product);
    acts.sort_unstable_by_key(|act| (-act.at_ms, act.product));
    acts.truncate(most);
}

type Rowed = Vec<(i64, i64, i64)>;

/// The last looks at products on the shop's own pages. A pair: PostgreSQL walks the index once per member only for a
/// `lateral`, which SQLite does not have; SQLite does the same for a limited subquery after `in`.
async fn viewed(conn: Conn<'_>, wanted: &str, now_ms: i64) -> Result<Rowed, StoreError> {
    const SQL: Pair = Pair {
        sqlite: "select e.member_id, e.product_id, e.at_ms from json_each($1) r join event e on e.id in (
                   select x.id from event x where x.member_id = r.value ->> 0 and x.at_ms > $2 and x.product_id is not null
                     and x.name_id in (select id from event_name where name in ('Product Viewed', 'Product Clicked', 'Product Added'))
                   order by x.at_ms desc limit $3)",
        postgres: "select e.member_id, e.product_id, e.at_ms from json_array_elements(cast($1 as json)) as r(value)
                   cross join lateral (
                     select x.member_id, x.product_id, x.at_ms from event x
                     where x.member_id = cast(r.value ->> 0 as bigint) and x.at_ms > $2 and x.product_id is not null
                       and x.name_id in (select id from event_name where name in ('Product Viewed', 'Product Clicked', 'Product Added'))
                     order by x.at_ms desc limit $3) e",
    };
    let (sql, since, most) = (conn.pick(&SQL), now_ms - VIEWED_WITHIN_MS, 3 * VIEWED_MAX as i64);
    on!(conn, "load what was looked at", c => sqlx::query_as(sql).bind(wanted).bind(since).bind(most).fetch_all(&mut *c).await)
}

/// Products clicked in mails, by people. Few per member, so every one within the time is read.
async fn clicked(conn: Conn<'_>, wanted: &str, now_ms: i64) -> Result<Rowed, StoreError> {
    const SQL: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") select t.member_id, t.product_id, max(t.at_ms) from row join touch t on t.member_id = row.id and t.at_ms > $2
           where t.kind = 'click' and t.class = 'human' and t.product_id is not null
           group by t.member_id, t.product_id"
    );
    let (sql, since) = (conn.pick(&SQL), now_ms - VIEWED_WITHIN_MS);
    on!(conn, "load what was clicked", c => sqlx::query_as(sql).bind(wanted).bind(since).fetch_all(&mut *c).await)
}

async fn bought(conn: Conn<'_>, wanted: &str, now_ms: i64) -> Result<Rowed, StoreError> {
    const SQL: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") select o.member_id, l.product_id, max(o.ordered_at_ms)
           from row join orders o on o.member_id = row.id and o.ordered_at_ms > $2
           join order_line l on l.orders_id = o.id
           where o.status in ('completed', 'pending') group by o.member_id, l.product_id"
    );
    let (sql, since) = (conn.pick(&SQL), now_ms - BOUGHT_WITHIN_MS);
    on!(conn, "load what was bought", c => sqlx::query_as(sql).bind(wanted).bind(since).fetch_all(&mut *c).await)
}

#[derive(sqlx::FromRow)]
struct TagRow {
    member_id: i64,
    tag_id: i64,
    key: String,
    half_life_ms: Option<i64>,
    ceiling: Option<f64>,
    lscore: f64,
}

async fn tags(conn: Conn<'_>, wanted: &str) -> Result<Vec<TagRow>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") select mt.member_id, mt.tag_id, t.key, t.half_life_ms, t.ceiling, mt.lscore
           from row join member_tag mt on mt.member_id = row.id join tag t on t.id = mt.tag_id"
    );
    let sql = conn.pick(&SQL);
    on!(conn, "load tags", c => sqlx::query_as(sql).bind(wanted).fetch_all(&mut *c).await)
}
