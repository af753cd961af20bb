//! What members did, joined with everything the tagging rules read: events on the shop's own pages, and clicks of
//! people in mails.

use super::{Conn, Pair, Rows, StoreError};
use crate::domain::tagging::{Fact, MAIL_CLICK};
use crate::{bulk, on};

crate::text_enum! {
    /// The table a deed stands in.
    pub enum Source {
        Event = "event",
        Touch = "touch",
    }
}

/// One thing a member did. What it lacks is empty.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Deed {
    pub member_id: i64,
    pub at_ms: i64,
    pub name: String,
    pub product_id: Option<i64>,
    /// The product's name.
    pub product: String,
    pub sku: String,
    pub category: String,
    pub brand: String,
    pub link: String,
    pub campaign: String,
    pub topic: String,
}

impl Deed {
    /// The deed as the tagging rules read it.
    pub fn fact(&self) -> Fact<'_> {
        Fact {
            name: &self.name,
            category: &self.category,
            brand: &self.brand,
            sku: &self.sku,
            link: &self.link,
            campaign: &self.campaign,
            topic: &self.topic,
        }
    }
}

/// What an event is read as: the same columns as those of [`touch_select!`].
macro_rules! event_select {
    ($from:literal) => {
        concat!(
            "select e.member_id, e.at_ms, n.name, e.product_id, coalesce(p.name, '') as product, coalesce(p.sku, '') as sku,
               coalesce(p.category, '') as category, coalesce(p.brand, '') as brand,
               '' as link, '' as campaign, '' as topic from ",
            $from,
            " join event_name n on n.id = e.name_id left join product p on p.id = e.product_id
              where exists (select 1 from member m where m.id = e.member_id and m.status = 'live') "
        )
    };
}

/// What a person's click in a mail is read as; `$2` is the name of the event it counts as.
macro_rules! touch_select {
    ($from:literal) => {
        touch_select!($from, "t.class = 'human'")
    };
    ($from:literal, $who:literal) => {
        concat!(
            "select t.member_id, t.at_ms, $2 as name, t.product_id, coalesce(p.name, '') as product, coalesce(p.sku, '') as sku,
               coalesce(p.category, '') as category, coalesce(p.brand, '') as brand,
               coalesce(l.label, '') as link, coalesce(c.name, '') as campaign, coalesce(v.topic, '') as topic from ",
            $from,
            " left join product p on p.id = t.product_id left join run r on r.id = t.run_id
              left join campaign c on c.id = r.campaign_id
              left join message g on g.run_id = t.run_id and g.id = t.message_id
              left join template_version v on v.id = g.template_version_id
              left join link l on l.template_version_id = v.id and l.slot = t.slot
              where t.kind = 'click' and ",
            $who,
            " and exists (select 1 from member m where m.id = t.member_id and m.status = 'live') "
        )
    };
}

/// The deeds behind these rows of `event`. Rows that are gone, and members no longer live, are left out.
pub async fn events(conn: Conn<'_>, ids: &[i64]) -> Result<Vec<Deed>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        concat!(") ", event_select!("row join event e on e.id = row.id"))
    );
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (sql, ids) = (conn.pick(&SQL), Rows::of(ids.iter().map(|id| (id,))).json());
    on!(conn, "read events", c => sqlx::query_as(sql).bind(&ids).fetch_all(&mut *c).await)
}

/// The deeds behind these rows of `touch`: clicks of people. Others, and members no longer live, are left out.
pub async fn touches(conn: Conn<'_>, ids: &[i64]) -> Result<Vec<Deed>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        concat!(") ", touch_select!("row join touch t on t.id = row.id"))
    );
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (sql, ids) = (conn.pick(&SQL), Rows::of(ids.iter().map(|id| (id,))).json());
    on!(conn, "read clicks", c => sqlx::query_as(sql).bind(&ids).bind(MAIL_CLICK).fetch_all(&mut *c).await)
}

/// The same, whoever clicked: what tags may hang on.
pub async fn clicks_of_anybody(conn: Conn<'_>, ids: &[i64]) -> Result<Vec<Deed>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        concat!(") ", touch_select!("row join touch t on t.id = row.id", "true"))
    );
    let (sql, ids) = (conn.pick(&SQL), Rows::of(ids.iter().map(|id| (id,))).json());
    on!(conn, "read clicks of anybody", c => sqlx::query_as(sql).bind(&ids).bind(MAIL_CLICK).fetch_all(&mut *c).await)
}

/// Everything a member did that is not waiting in the outbox, at most `limit` of each source.
pub async fn learned_of_member(mut conn: Conn<'_>, member: i64, limit: i64) -> Result<Vec<Deed>, StoreError> {
    const EVENTS: &str = concat!(
        event_select!("event e"),
        "and e.member_id = $1 and e.id not in (select ref_id from outbox where source = 'event')
         order by e.at_ms desc limit $2"
    );
    const TOUCHES: &str = concat!(
        touch_select!("touch t"),
        "and t.member_id = $1 and t.id not in (select ref_id from outbox where source = 'touch')
         order by t.at_ms desc limit $3"
    );
    let mut deeds: Vec<Deed> = on!(conn.again(), "read what was learned of a member",
        c => sqlx::query_as(EVENTS).bind(member).bind(limit).fetch_all(&mut *c).await)?;
    let clicks: Vec<Deed> = on!(conn, "read which clicks were learned of a member",
        c => sqlx::query_as(TOUCHES).bind(member).bind(MAIL_CLICK).bind(limit).fetch_all(&mut *c).await)?;
    deeds.extend(clicks);
    Ok(deeds)
}

/// What a member did last, at most `limit` of each source, the latest first.
pub async fn of_member(mut conn: Conn<'_>, member: i64, limit: i64) -> Result<Vec<Deed>, StoreError> {
    const EVENTS: &str =
        concat!(event_select!("event e"), "and e.member_id = $1 order by e.at_ms desc, e.id desc limit $2");
    const TOUCHES: &str =
        concat!(touch_select!("touch t"), "and t.member_id = $1 order by t.at_ms desc, t.id desc limit $3");
    let mut deeds: Vec<Deed> = on!(conn.again(), "read a member's events",
        c => sqlx::query_as(EVENTS).bind(member).bind(limit).fetch_all(&mut *c).await)?;
    let clicks: Vec<Deed> = on!(conn, "read a member's clicks",
        c => sqlx::query_as(TOUCHES).bind(member).bind(MAIL_CLICK).bind(limit).fetch_all(&mut *c).await)?;
    deeds.extend(clicks);
    deeds.sort_by_key(|deed| -deed.at_ms);
    Ok(deeds)
}
