//! One statement per kind of behaviour for all members of a claim.

use std::collections::HashMap;
use std::sync::Arc;

use super::{BOUGHT_WITHIN_MS, LOOKS_MAX, RUNS_LOOKED, VIEWED_WITHIN_MS, ignored, looks, tidy};
use crate::domain::engagement::{Decay, SCORE_MIN, T0_MS};
use crate::domain::recommend::{Act, History, TagScore};
use crate::domain::shown::Shown;
use crate::store::{Conn, Rows, StoreError, gathered};
use crate::{gather, on};

/// As [`load`](super::load).
pub async fn load(mut conn: Conn<'_>, ids: &[i64], now_ms: i64) -> Result<HashMap<i64, History>, StoreError> {
    let mut all: HashMap<i64, History> = HashMap::with_capacity(ids.len());
    let wanted = Rows::of(ids.iter().map(|id| (id,))).json();
    for (member, product, at_ms) in viewed(conn.again(), &wanted, now_ms).await? {
        all.entry(member).or_default().viewed.push(Act { product, at_ms, times: 1 });
    }
    let mut clicks: HashMap<(i64, i64), i64> = HashMap::new();
    for (member, product, at_ms) in clicked(conn.again(), &wanted, now_ms).await? {
        clicks.insert((member, product), at_ms);
        all.entry(member).or_default().viewed.push(Act { product, at_ms, times: 1 });
    }
    for (member, product, at_ms, times) in bought(conn.again(), &wanted, now_ms).await? {
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        all.entry(member).or_default().bought.push(Act { product, at_ms, times });
    }
    for (member, shown) in last_mails(conn.again(), &wanted).await? {
        let ignored = ignored(shown, |product| clicks.get(&(member, product)).copied());
        if !ignored.is_empty() {
            all.entry(member).or_default().ignored = ignored;
        }
    }
    let mut keys: HashMap<i64, Arc<str>> = HashMap::new();
    for row in tags(conn, &wanted, now_ms).await? {
        let score = Decay { half_life_ms: row.half_life_ms, ceiling: row.ceiling }.score(row.lscore, now_ms);
        let key = keys.entry(row.tag_id).or_insert_with(|| row.key.into()).clone();
        all.entry(row.member_id).or_default().tags.push(TagScore { key, score });
    }
    all.values_mut().for_each(tidy);
    Ok(all)
}

/// The last mails, by member: when they were sent, and the products they showed.
type Mails = HashMap<i64, Vec<(i64, Vec<i64>)>>;

/// The records of mails of the last runs that were sent: the mail being made is not among them, nor one in doubt, so a
/// second try shows what the first one showed.
async fn last_mails(conn: Conn<'_>, wanted: &str) -> Result<Mails, StoreError> {
    // The fences (`offset 0`) have each mail looked up by itself: of tables that are young PostgreSQL believes that
    // reading all mails of all members is less.
    const SQL: &str = gather!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        "), last(id) as (select id from run order by id desc limit $2)",
        "member_id, at_ms, body" from "select row.id as member_id, g.at_ms, s.body from row cross join last
           cross join lateral (select m.id, coalesce(m.armed_at_ms, m.sent_at_ms) as at_ms from message m
             where m.run_id = last.id and m.origin = row.id and m.seq = 0 and m.member_id = row.id
               and m.state = 'sent' offset 0) g
           cross join lateral (select x.body from shown x
             where x.run_id = last.id and x.message_id = g.id offset 0) s"
    )
    .postgres;
    let found: String = on!(conn, "load what was shown", c => sqlx::query_scalar(SQL).bind(wanted).bind(RUNS_LOOKED).fetch_one(&mut *c).await)?;
    let mut mails = Mails::new();
    for (member, at_ms, body) in gathered::<(i64, Option<i64>, String)>(&found)? {
        mails.entry(member).or_default().push((at_ms.unwrap_or_default(), Shown::products_of(&body)));
    }
    Ok(mails)
}

type Rowed = Vec<(i64, i64, i64)>;

/// The last looks at products on the shop's own pages: of the last [`LOOKS_MAX`] events with a product, those.
async fn viewed(conn: Conn<'_>, wanted: &str, now_ms: i64) -> Result<Rowed, StoreError> {
    const SQL: &str = gather!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ")",
        "member_id, product_id, at_ms" from concat!("select row.id as member_id, e.product_id, e.at_ms from row cross join lateral
           (select x.product_id, x.at_ms, x.name_id from event x
            where x.member_id = row.id and x.at_ms > $2 and x.product_id is not null
            order by x.at_ms desc limit $3) e
           where e.name_id in (", looks!(), ")")
    )
    .postgres;
    let since = now_ms - VIEWED_WITHIN_MS;
    let found: String = on!(conn, "load what was looked at", c => sqlx::query_scalar(SQL).bind(wanted).bind(since).bind(LOOKS_MAX).fetch_one(&mut *c).await)?;
    gathered(&found)
}

/// Products clicked in mails, by people. Few per member, so every one within the time is read.
async fn clicked(conn: Conn<'_>, wanted: &str, now_ms: i64) -> Result<Rowed, StoreError> {
    const SQL: &str = gather!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ")",
        "member_id, product_id, at_ms" from "select t.member_id, t.product_id, max(t.at_ms) as at_ms from row join touch t on t.member_id = row.id and t.at_ms > $2
           where t.kind = 'click' and t.class = 'human' and t.product_id is not null
           group by t.member_id, t.product_id"
    )
    .postgres;
    let since = now_ms - VIEWED_WITHIN_MS;
    let found: String = on!(conn, "load what was clicked", c => sqlx::query_scalar(SQL).bind(wanted).bind(since).fetch_one(&mut *c).await)?;
    gathered(&found)
}

async fn bought(conn: Conn<'_>, wanted: &str, now_ms: i64) -> Result<Vec<(i64, i64, i64, i64)>, StoreError> {
    const SQL: &str = gather!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ")",
        "member_id, product_id, at_ms, times" from "select o.member_id, l.product_id, max(o.ordered_at_ms) as at_ms,
             count(*) as times
           from row join orders o on o.member_id = row.id and o.ordered_at_ms > $2
           join order_line l on l.orders_id = o.id
           where o.status in ('completed', 'pending') group by o.member_id, l.product_id"
    )
    .postgres;
    let since = now_ms - BOUGHT_WITHIN_MS;
    let found: String = on!(conn, "load what was bought", c => sqlx::query_scalar(SQL).bind(wanted).bind(since).fetch_one(&mut *c).await)?;
    gathered(&found)
}

#[derive(serde::Deserialize)]
struct TagRow {
    member_id: i64,
    tag_id: i64,
    key: String,
    half_life_ms: Option<i64>,
    ceiling: Option<f64>,
    lscore: f64,
}

/// Those that still count: `threshold` written out, `ln θ + λ·(now − T0)`, so that faded ones never leave the database.
async fn tags(conn: Conn<'_>, wanted: &str, now_ms: i64) -> Result<Vec<TagRow>, StoreError> {
    const SQL: &str = gather!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ")",
        "member_id, tag_id, key, half_life_ms, ceiling, lscore" from "select mt.member_id, mt.tag_id, t.key, t.half_life_ms, t.ceiling, mt.lscore
           from row join member_tag mt on mt.member_id = row.id join tag t on t.id = mt.tag_id
           where mt.lscore >= $2 + coalesce($3 / t.half_life_ms, 0)"
    )
    .postgres;
    let age = std::f64::consts::LN_2 * (now_ms - T0_MS) as f64;
    let found: String = on!(conn, "load tags", c => sqlx::query_scalar(SQL).bind(wanted).bind(SCORE_MIN.ln()).bind(age).fetch_one(&mut *c).await)?;
    gathered(&found)
}
