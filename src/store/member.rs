//! Members and their attributes.

use std::collections::HashMap;

use super::{Conn, Pair, Rows, StoreError, gathered};
use crate::domain::address::{AddrSecret, Email};
use crate::domain::engagement::Decay;
use crate::domain::member::{Member, Wishes};
use crate::{bulk, gather, on};

#[derive(serde::Deserialize)]
struct MemberRow {
    id: i64,
    email: String,
    addr_key: i64,
    external_id: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    locale: String,
    zone: String,
    market: String,
    points: i64,
    orders: i64,
    revenue_minor: i64,
    last_order_at_ms: Option<i64>,
    mail_epoch: i64,
    personalise: i64,
    track_opens: i64,
    track_clicks: i64,
    paused_until_ms: Option<i64>,
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Member {
        Member {
            id: row.id,
            email: row.email,
            addr_key: row.addr_key,
            external_id: row.external_id,
            first_name: row.first_name,
            last_name: row.last_name,
            locale: row.locale,
            zone: row.zone,
            market: row.market,
            points: row.points,
            orders: row.orders,
            revenue_minor: row.revenue_minor,
            last_order_at_ms: row.last_order_at_ms,
            mail_epoch: row.mail_epoch,
            attributes: Default::default(),
            wishes: Wishes {
                personalise: row.personalise != 0,
                track_opens: row.track_opens != 0,
                track_clicks: row.track_clicks != 0,
                paused_until_ms: row.paused_until_ms,
            },
        }
    }
}

/// The live ones among `ids`, each with its attributes: two statements whatever the number.
pub async fn profiles(mut conn: Conn<'_>, ids: &[i64]) -> Result<HashMap<i64, Member>, StoreError> {
    const MEMBERS: Pair = gather!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ")",
        "id, email, addr_key, external_id, first_name, last_name, locale, zone, market, points, orders, revenue_minor,
         last_order_at_ms, mail_epoch, personalise, track_opens, track_clicks, paused_until_ms" from "select m.* from row join member m on m.id = row.id where m.status = 'live'"
    );
    const ATTRIBUTES: Pair = gather!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ")",
        "member_id, name, text" from "select v.member_id, a.name, v.text
           from row join member_attribute v on v.member_id = row.id join attribute a on a.id = v.attribute_id"
    );
    let wanted = Rows::of(ids.iter().map(|id| (id,))).json();
    let sql = conn.pick(&MEMBERS);
    let rows: String =
        on!(conn.again(), "load members", c => sqlx::query_scalar(sql).bind(&wanted).fetch_one(&mut *c).await)?;
    let mut members: HashMap<i64, Member> =
        gathered::<MemberRow>(&rows)?.into_iter().map(|row| (row.id, row.into())).collect();
    let sql = conn.pick(&ATTRIBUTES);
    let values: String =
        on!(conn, "load attributes", c => sqlx::query_scalar(sql).bind(&wanted).fetch_one(&mut *c).await)?;
    for (id, name, text) in gathered::<(i64, String, String)>(&values)? {
        if let Some(member) = members.get_mut(&id) {
            member.attributes.insert(name, text);
        }
    }
    Ok(members)
}

/// The live member with this address, in any letter case.
pub async fn by_email(conn: Conn<'_>, secret: &AddrSecret, email: &Email) -> Result<Option<Member>, StoreError> {
    by_addr_key(conn, secret.key(email)).await
}

/// The live member whose address has this key.
pub async fn by_addr_key(mut conn: Conn<'_>, addr_key: i64) -> Result<Option<Member>, StoreError> {
    const SQL: &str = "select id from member where addr_key = $1";
    let id: Option<i64> = on!(conn.again(), "find a member by address", c => sqlx::query_scalar(SQL).bind(addr_key).fetch_optional(&mut *c).await)?;
    one(conn, id).await
}

/// The live member whom the shop knows under this id.
pub async fn by_external(mut conn: Conn<'_>, external_id: &str) -> Result<Option<Member>, StoreError> {
    const SQL: &str = "select id from member where external_id = $1";
    let id: Option<i64> = on!(conn.again(), "find a member by external id", c => sqlx::query_scalar(SQL).bind(external_id).fetch_optional(&mut *c).await)?;
    one(conn, id).await
}

async fn one(conn: Conn<'_>, id: Option<i64>) -> Result<Option<Member>, StoreError> {
    let Some(id) = id else { return Ok(None) };
    Ok(profiles(conn, &[id]).await?.remove(&id))
}

/// Raises the mail epoch of `ids`: whatever was claimed under the old one will not be armed.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn raise_epoch(conn: Conn<'_>, ids: &[i64]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") update member set mail_epoch = mail_epoch + 1 where id in (select id from row)"
    );
    if ids.is_empty() {
        return Ok(());
    }
    let sql = conn.pick(&SQL);
    let rows = Rows::of(ids.iter().map(|id| (id,))).json();
    on!(conn, "raise mail epochs", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))
}

/// Sets how a member wants to be written to, and in which language. A mail claimed under other wishes is not armed.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn set_wishes(conn: Conn<'_>, id: i64, locale: &str, wishes: &Wishes, now_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "update member set locale = $2, personalise = $3, track_opens = $4, track_clicks = $5,
           paused_until_ms = $6, updated_at_ms = $7, mail_epoch = mail_epoch + 1 where id = $1 and status = 'live'";
    on!(conn, "set a member's wishes", c => sqlx::query(SQL).bind(id).bind(locale).bind(i64::from(wishes.personalise))
        .bind(i64::from(wishes.track_opens)).bind(i64::from(wishes.track_clicks)).bind(wishes.paused_until_ms)
        .bind(now_ms).execute(&mut *c).await.map(|_| ()))
}

/// A member to insert: the profile (its id and counters are ignored), the mail provider's row, and the lot drawn.
#[derive(Debug, Clone, Default)]
pub struct NewMember {
    pub profile: Member,
    pub provider_id: i64,
    pub lot: i64,
}

/// The live members who have one of the given address keys or one of the given external ids, with their attributes.
pub async fn matching(
    mut conn: Conn<'_>,
    keys: impl IntoIterator<Item = (Option<i64>, Option<&str>)>,
) -> Result<Vec<Member>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(addr_key, external_id) as (select cast(value ->> 0 as bigint), value ->> 1 from",
        "$1",
        ") select m.id from row join member m on m.addr_key = row.addr_key
           union select m.id from row join member m on m.external_id = row.external_id"
    );
    let sql = conn.pick(&SQL);
    let rows = Rows::of(keys).json();
    let ids: Vec<i64> =
        on!(conn.again(), "match members", c => sqlx::query_scalar(sql).bind(rows).fetch_all(&mut *c).await)?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(profiles(conn, &ids).await?.into_values().collect())
}

/// Inserts members and returns their ids by address key. Their attributes are written apart.
///
/// # Errors
/// A unique violation where an address or external id is taken.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn insert(conn: Conn<'_>, new: &[NewMember], now_ms: i64) -> Result<HashMap<i64, i64>, StoreError> {
    const SQL: Pair = bulk!(
        "insert into member (email, addr_key, external_id, first_name, last_name, locale, zone, market, provider_id, lot,
           points, personalise, created_at_ms, updated_at_ms)
         select value ->> 0, cast(value ->> 1 as bigint), value ->> 2, value ->> 3, value ->> 4, value ->> 5,
           value ->> 6, value ->> 7, cast(value ->> 8 as bigint), cast(value ->> 9 as bigint),
           cast(value ->> 10 as bigint), cast(value ->> 11 as bigint), $2, $2 from",
        "$1",
        "returning addr_key, id"
    );
    if new.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = conn.pick(&SQL);
    let mut rows = Rows::default();
    for NewMember { profile: m, provider_id, lot } in new {
        rows.push(&(
            &m.email,
            m.addr_key,
            &m.external_id,
            &m.first_name,
            &m.last_name,
            &m.locale,
            &m.zone,
            &m.market,
            provider_id,
            lot,
            m.points,
            i64::from(m.wishes.personalise),
        ));
    }
    let rows = rows.json();
    let ids: Vec<(i64, i64)> =
        on!(conn, "insert members", c => sqlx::query_as(sql).bind(rows).bind(now_ms).fetch_all(&mut *c).await)?;
    Ok(ids.into_iter().collect())
}

/// Overwrites the profiles of members, each given with its provider's row. A new address raises the mail epoch. Of the
/// wishes only a no to personal picks is taken.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn update(conn: Conn<'_>, changed: &[(&Member, i64)], now_ms: i64) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(id, email, addr_key, external_id, first_name, last_name, locale, zone, market, provider_id, points,
           personalise) as (select cast(value ->> 0 as bigint), value ->> 1, cast(value ->> 2 as bigint), value ->> 3, value ->> 4,
              value ->> 5, value ->> 6, value ->> 7, value ->> 8, cast(value ->> 9 as bigint),
              cast(value ->> 10 as bigint), cast(value ->> 11 as bigint) from",
        "$1",
        ") update member set email = row.email, addr_key = row.addr_key, external_id = row.external_id,
             first_name = row.first_name, last_name = row.last_name, locale = row.locale, zone = row.zone,
             market = row.market, provider_id = row.provider_id, points = row.points, updated_at_ms = $2,
             personalise = case row.personalise when 0 then 0 else member.personalise end,
             mail_epoch = member.mail_epoch + case when member.addr_key = row.addr_key then 0 else 1 end
           from row where member.id = row.id and member.status = 'live'"
    );
    if changed.is_empty() {
        return Ok(());
    }
    let sql = conn.pick(&SQL);
    let mut rows = Rows::default();
    for (m, provider_id) in changed {
        rows.push(&(
            m.id,
            &m.email,
            m.addr_key,
            &m.external_id,
            &m.first_name,
            &m.last_name,
            &m.locale,
            &m.zone,
            &m.market,
            provider_id,
            m.points,
            i64::from(m.wishes.personalise),
        ));
    }
    let rows = rows.json();
    on!(conn, "update members", c => sqlx::query(sql).bind(rows).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}

/// Which live members the given keys name: ids by address key and by external id. Lighter than [`matching`].
#[derive(Debug, Default)]
pub struct Found {
    pub by_addr: HashMap<i64, i64>,
    pub by_external: HashMap<String, i64>,
}

/// Finds members by address key or external id.
pub async fn find(
    mut conn: Conn<'_>,
    keys: impl IntoIterator<Item = (Option<i64>, Option<&str>)>,
) -> Result<Found, StoreError> {
    const ADDR: Pair = bulk!(
        "with row(addr_key) as (select distinct cast(value ->> 0 as bigint) from",
        "$1",
        ") select m.addr_key, m.id from row join member m on m.addr_key = row.addr_key"
    );
    const EXTERNAL: Pair = bulk!(
        "with row(external_id) as (select distinct value ->> 0 from",
        "$1",
        ") select m.external_id, m.id from row join member m on m.external_id = row.external_id where m.status = 'live'"
    );
    let (mut addrs, mut externals) = (Rows::default(), Rows::default());
    for (addr, external) in keys {
        addr.inspect(|addr| addrs.push(&(addr,)));
        external.inspect(|external| externals.push(&(external,)));
    }
    let mut found = Found::default();
    if !addrs.is_empty() {
        let sql = conn.pick(&ADDR);
        let rows: Vec<(i64, i64)> = on!(conn.again(), "find members by address", c => sqlx::query_as(sql).bind(addrs.json()).fetch_all(&mut *c).await)?;
        found.by_addr = rows.into_iter().collect();
    }
    if !externals.is_empty() {
        let sql = conn.pick(&EXTERNAL);
        let rows: Vec<(String, i64)> = on!(conn, "find members by external id", c => sqlx::query_as(sql).bind(externals.json()).fetch_all(&mut *c).await)?;
        found.by_external = rows.into_iter().collect();
    }
    Ok(found)
}

/// Gives members a tag with a score of 1 as of now; who has it keeps what they have. A tag that is new never fades.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn give_tag(mut conn: Conn<'_>, key: &str, ids: &[i64], now_ms: i64) -> Result<(), StoreError> {
    const TAG: &str = "insert into tag (key) values ($1) on conflict (key) do nothing";
    const FIND: &str = "select id, half_life_ms from tag where key = $1";
    const GIVE: Pair = bulk!(
        "insert into member_tag (tag_id, member_id, lscore, updated_at_ms)
         select $2, cast(value ->> 0 as bigint), $3, $4 from",
        "$1",
        "where true on conflict (tag_id, member_id) do nothing"
    );
    on!(conn.again(), "make a tag", c => sqlx::query(TAG).bind(key).execute(&mut *c).await.map(|_| ()))?;
    let (tag_id, half_life_ms): (i64, Option<i64>) =
        on!(conn.again(), "find a tag", c => sqlx::query_as(FIND).bind(key).fetch_one(&mut *c).await)?;
    let lscore = Decay { half_life_ms, ceiling: None }.log_of(1.0, now_ms);
    let sql = conn.pick(&GIVE);
    let rows = Rows::of(ids.iter().map(|id| (id,))).json();
    on!(conn, "give members a tag", c => sqlx::query(sql).bind(rows).bind(tag_id).bind(lscore).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}
