//! What a campaign's report asks: counts kept by the queue, touches, refusals.

use super::{Conn, Pair, StoreError};
use crate::on;

/// A message whose fate is not known.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct Doubt {
    pub message_id: i64,
    pub member_id: Option<i64>,
    /// `None`: erased since.
    pub email: Option<String>,
    pub armed_at_ms: Option<i64>,
}

/// What servers said when they did not take a mail at once.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct Refusal {
    pub stage: String,
    pub class: String,
    pub code: Option<i64>,
    pub enhanced: Option<String>,
    pub n: i64,
    /// One reply as an example.
    pub text: String,
}

/// A link of the mail, and the people who followed it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct LinkClicks {
    pub slot: i64,
    pub label: String,
    pub url: String,
    pub people: i64,
}

/// A product of the mails, and the people who followed it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct ProductClicks {
    pub sku: String,
    pub name: String,
    pub people: i64,
}

/// A version of a template, and how many mails were made from it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct VersionUse {
    pub template: String,
    pub version: i64,
    pub n: i64,
}

/// Messages in doubt, at most `n`, in the order they were armed. Reads every row of the run: ask only when
/// `run_count` says that there are some.
pub async fn in_doubt(conn: Conn<'_>, run: i64, n: i64) -> Result<Vec<Doubt>, StoreError> {
    const SQL: &str = "select m.id as message_id, m.member_id, p.email, m.armed_at_ms
         from message m left join member p on p.id = m.member_id
         where m.run_id = $1 and m.state = 'in_doubt' order by m.armed_at_ms, m.id limit $2";
    on!(conn, "list messages in doubt", c => sqlx::query_as(SQL).bind(run).bind(n).fetch_all(&mut *c).await)
}

/// For every kind and class of touch: `(kind, class, messages, touches)`.
pub async fn touches(conn: Conn<'_>, run: i64) -> Result<Vec<(String, String, i64, i64)>, StoreError> {
    const SQL: &str = "select kind, class, count(distinct message_id), count(*) from touch where run_id = $1
         group by kind, class";
    on!(conn, "count touches", c => sqlx::query_as(SQL).bind(run).fetch_all(&mut *c).await)
}

/// The same by variant, people only: `(variant, kind, messages)`.
pub async fn people_by_variant(conn: Conn<'_>, run: i64) -> Result<Vec<(i64, String, i64)>, StoreError> {
    const SQL: &str = "select m.variant, t.kind, count(distinct t.message_id)
         from touch t join message m on m.id = t.message_id and m.run_id = t.run_id
         where t.run_id = $1 and t.kind in ('open', 'click', 'unsubscribe') and t.class = 'human'
         group by m.variant, t.kind";
    on!(conn, "count touches by variant", c => sqlx::query_as(SQL).bind(run).fetch_all(&mut *c).await)
}

/// Links by the people who followed them, most first.
pub async fn links(conn: Conn<'_>, run: i64, n: i64) -> Result<Vec<LinkClicks>, StoreError> {
    const SQL: &str = "select t.slot, coalesce(l.label, '') as label, coalesce(l.url, t.url, '') as url,
           count(distinct t.message_id) as people
         from touch t left join message m on m.id = t.message_id and m.run_id = t.run_id
           left join link l on l.template_version_id = m.template_version_id and l.slot = t.slot
         where t.run_id = $1 and t.kind = 'click' and t.class = 'human' and t.product_id is null
         group by t.slot, coalesce(l.label, ''), coalesce(l.url, t.url, '') order by people desc, t.slot limit $2";
    on!(conn, "count clicks by link", c => sqlx::query_as(SQL).bind(run).bind(n).fetch_all(&mut *c).await)
}

/// Products by the people who followed them, most first.
pub async fn products(conn: Conn<'_>, run: i64, n: i64) -> Result<Vec<ProductClicks>, StoreError> {
    const SQL: &str = "select p.sku, p.name, count(distinct t.message_id) as people
         from touch t join product p on p.id = t.product_id
         where t.run_id = $1 and t.kind = 'click' and t.class = 'human'
         group by p.id, p.sku, p.name order by people desc, p.sku limit $2";
    on!(conn, "count clicks by product", c => sqlx::query_as(SQL).bind(run).bind(n).fetch_all(&mut *c).await)
}

/// What is kept of a mail's blocks within its record. The one place where a record is read in the database: its blocks
/// are few, its products are everybody's own. How JSON kept as text is opened differs.
macro_rules! served {
    ($before:literal, $after:literal) => {
        Pair {
            sqlite: concat!($before, "s.body ->> '$.k'", $after),
            postgres: concat!($before, "cast(s.body as json) ->> 'k'", $after),
        }
    };
}

/// Lists of blocks that sent mails showed, as JSON, and how many mails showed each: at most `n`, most first. Reads
/// every row of the run.
pub async fn served(conn: Conn<'_>, run: i64, n: i64) -> Result<Vec<(String, i64)>, StoreError> {
    const SQL: Pair = served!(
        "select served, count(*) as mails from (select ",
        " as served from shown s join message m on m.run_id = s.run_id and m.id = s.message_id and m.state = 'sent'
           where s.run_id = $1) c
         where served is not null group by served order by mails desc, served limit $2"
    );
    let sql = conn.pick(&SQL);
    on!(conn, "count what mails showed", c => sqlx::query_as(sql).bind(run).bind(n).fetch_all(&mut *c).await)
}

/// What people clicked, of products: (blocks of the mail, slot of the product, mails, those whose reader bought it
/// within `within_ms` from then), at most `n`, most first.
pub async fn product_clicks(
    conn: Conn<'_>,
    run: i64,
    within_ms: i64,
    n: i64,
) -> Result<Vec<(String, i64, i64, i64)>, StoreError> {
    const SQL: Pair = served!(
        "select served, slot, count(*) as mails, cast(sum(bought) as bigint) from (select ",
        " as served, t.message_id, t.slot, max(case when exists (
             select 1 from orders o join order_line l on l.orders_id = o.id
             where o.member_id = t.member_id and l.product_id = t.product_id and o.ordered_at_ms >= t.at_ms
               and o.ordered_at_ms <= t.at_ms + $2 and o.status in ('completed', 'pending')) then 1 else 0 end) as bought
           from touch t join shown s on s.run_id = t.run_id and s.message_id = t.message_id
             join message m on m.run_id = t.run_id and m.id = t.message_id and m.state = 'sent'
           where t.run_id = $1 and t.kind = 'click' and t.class = 'human' and t.product_id is not null
           group by t.message_id, t.slot, s.body) c
         where served is not null group by served, slot order by mails desc, served, slot limit $3"
    );
    let sql = conn.pick(&SQL);
    on!(conn, "count clicks on products", c =>
        sqlx::query_as(sql).bind(run).bind(within_ms).bind(n).fetch_all(&mut *c).await)
}

/// Messages whose readers called them spam, by variant: `(variant, messages)`.
pub async fn complaints(conn: Conn<'_>, run: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    const SQL: &str = "select m.variant, count(*) from complaint c
           join message m on m.run_id = c.run_id and m.id = c.message_id
         where c.run_id = $1 group by m.variant";
    on!(conn, "count complaints", c => sqlx::query_as(SQL).bind(run).fetch_all(&mut *c).await)
}

/// What servers refused, most frequent first.
pub async fn refusals(conn: Conn<'_>, run: i64, n: i64) -> Result<Vec<Refusal>, StoreError> {
    const SQL: &str = "select stage, class, code, enhanced, count(*) as n, max(text) as text from delivery
         where run_id = $1 and outcome <> 'delivered'
         group by stage, class, code, enhanced order by n desc, stage limit $2";
    on!(conn, "count refusals", c => sqlx::query_as(SQL).bind(run).bind(n).fetch_all(&mut *c).await)
}

/// Template versions the run's mails were made from. Reads every row of the run: not for a page that polls.
pub async fn versions(conn: Conn<'_>, run: i64) -> Result<Vec<VersionUse>, StoreError> {
    const SQL: &str = "select t.name as template, v.version, count(*) as n
         from message m join template_version v on v.id = m.template_version_id join template t on t.id = v.template_id
         where m.run_id = $1 and m.state in ('sent', 'bounced', 'in_doubt', 'armed')
         group by t.name, v.version order by t.name, v.version";
    on!(conn, "count template versions", c => sqlx::query_as(SQL).bind(run).fetch_all(&mut *c).await)
}
