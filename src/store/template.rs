//! Templates and their versions. A version is never changed: a new one is published beside it.

use std::collections::BTreeMap;

use super::{Conn, Pair, Rows, StoreError};
use crate::domain::template::{Link, Part, Source};
use crate::{bulk, on};

/// One published version, without its documents.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Version {
    pub id: i64,
    pub name: String,
    pub version: i64,
    pub class: String,
    pub topic: String,
    pub default_locale: String,
    pub sha: String,
    pub created_at_ms: i64,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// A new version.
    New(Version),
    /// The source is the latest version's; nothing was written.
    Unchanged(Version),
}

/// A query for [`Version`]s.
macro_rules! versions {
    ($tail:literal) => {
        concat!(
            "select v.id, t.name, v.version, v.class, v.topic, v.default_locale, v.sha, v.created_at_ms ",
            "from template t join template_version v on v.template_id = t.id ",
            $tail
        )
    };
}

/// Publishes `source` with its links as the next version of its name, unless it is the latest one already.
///
/// # Crash
/// Part of the caller's transaction: the version with all its parts and links, or nothing.
pub async fn publish(
    mut conn: Conn<'_>,
    source: &Source,
    links: &[Link],
    now_ms: i64,
) -> Result<Published, StoreError> {
    const NAME: &str = "insert into template (name) values ($1) on conflict (name) do update set name = excluded.name \
        returning id";
    const VERSION: &str = "insert into template_version \
        (template_id, version, class, topic, default_locale, link_hosts, sha, created_at_ms) \
        select cast($1 as bigint), coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, cast($7 as bigint) from template_version where template_id = $1 \
        returning id";
    // Taking the name first makes two publishers of it go one after the other.
    let template: i64 = on!(conn.again(), "name a template", c =>
        sqlx::query_scalar(NAME).bind(&source.name).fetch_one(&mut *c).await)?;
    let sha = source.sha();
    if let Some(latest) = latest(conn.again(), &source.name).await?.filter(|latest| latest.sha == sha) {
        return Ok(Published::Unchanged(latest));
    }
    let hosts = source.link_hosts.join(" ");
    let id: i64 = on!(conn.again(), "publish a template", c => sqlx::query_scalar(VERSION)
        .bind(template)
        .bind(source.class.as_str())
        .bind(&source.topic)
        .bind(&source.default_locale)
        .bind(&hosts)
        .bind(&sha)
        .bind(now_ms)
        .fetch_one(&mut *c)
        .await)?;
    write_parts(conn.again(), id, source).await?;
    write_links(conn.again(), id, links).await?;
    let version = by_id(conn, id).await?;
    version.map(Published::New).ok_or_else(|| gone(id))
}

async fn write_parts(conn: Conn<'_>, id: i64, source: &Source) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(locale, subject, preheader, html, body, texts) as (select value ->> 0, value ->> 1, value ->> 2, \
         value ->> 3, value ->> 4, value ->> 5 from",
        "$2",
        ") insert into template_part (template_version_id, locale, subject, preheader, html, text, texts) \
         select cast($1 as bigint), locale, subject, preheader, html, body, texts from row where true"
    );
    let rows = Rows::of(source.parts.iter().map(|part| {
        let texts = serde_json::to_string(&part.texts).expect("texts are JSON");
        (&part.locale, &part.subject, &part.preheader, &part.html, &part.text, texts)
    }));
    let (sql, rows) = (conn.pick(&SQL), rows.json());
    on!(conn, "write a template's parts", c => sqlx::query(sql).bind(id).bind(rows).execute(&mut *c).await.map(|_| ()))
}

async fn write_links(conn: Conn<'_>, id: i64, links: &[Link]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "with row(slot, url, label) as (select cast(value ->> 0 as bigint), value ->> 1, value ->> 2 from",
        "$2",
        ") insert into link (template_version_id, slot, url, label) select cast($1 as bigint), slot, url, label from row where true"
    );
    let rows = Rows::of(links.iter().map(|link| (link.slot, &link.url, &link.label)));
    let (sql, rows) = (conn.pick(&SQL), rows.json());
    on!(conn, "write a template's links", c => sqlx::query(sql).bind(id).bind(rows).execute(&mut *c).await.map(|_| ()))
}

/// The latest version of a name, or `None`.
pub async fn latest(conn: Conn<'_>, name: &str) -> Result<Option<Version>, StoreError> {
    const SQL: &str = versions!("where t.name = $1 order by v.version desc limit 1");
    on!(conn, "find a template", c => sqlx::query_as(SQL).bind(name).fetch_optional(&mut *c).await)
}

/// A version by its row, or `None`.
pub async fn by_id(conn: Conn<'_>, id: i64) -> Result<Option<Version>, StoreError> {
    const SQL: &str = versions!("where v.id = $1");
    on!(conn, "find a template version", c => sqlx::query_as(SQL).bind(id).fetch_optional(&mut *c).await)
}

/// The latest version of every template, by name.
pub async fn list(conn: Conn<'_>) -> Result<Vec<Version>, StoreError> {
    const SQL: &str = versions!(
        "where v.version = (select max(w.version) from template_version w where w.template_id = t.id) order by t.name"
    );
    on!(conn, "list templates", c => sqlx::query_as(SQL).fetch_all(&mut *c).await)
}

/// The whole source of a version, as it was published; `None` where there is no such version.
pub async fn source(mut conn: Conn<'_>, id: i64) -> Result<Option<Source>, StoreError> {
    const HOSTS: &str = "select link_hosts from template_version where id = $1";
    const PARTS: &str = "select locale, subject, preheader, html, text, texts from template_part \
        where template_version_id = $1";
    let Some(version) = by_id(conn.again(), id).await? else { return Ok(None) };
    let hosts: String = on!(conn.again(), "read a template's hosts", c =>
        sqlx::query_scalar(HOSTS).bind(id).fetch_one(&mut *c).await)?;
    let rows: Vec<PartRow> = on!(conn, "read a template's parts", c =>
        sqlx::query_as(PARTS).bind(id).fetch_all(&mut *c).await)?;
    let mut parts = rows.into_iter().map(Part::try_from).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by(|a, b| a.locale.cmp(&b.locale));
    let class = version.class.parse();
    Ok(Some(Source {
        class: class.map_err(|_| StoreError::Inconsistent { what: format!("class of template version {id}") })?,
        name: version.name,
        topic: version.topic,
        default_locale: version.default_locale,
        link_hosts: hosts.split_whitespace().map(str::to_owned).collect(),
        parts,
    }))
}

/// The links of a version by slot.
pub async fn links(conn: Conn<'_>, id: i64) -> Result<Vec<Link>, StoreError> {
    const SQL: &str = "select slot, url, label from link where template_version_id = $1 order by slot";
    let rows: Vec<(i64, String, String)> = on!(conn, "read a template's links", c =>
        sqlx::query_as(SQL).bind(id).fetch_all(&mut *c).await)?;
    let link = |(slot, url, label)| {
        let slot = u16::try_from(slot);
        let slot = slot.map_err(|_| StoreError::Inconsistent { what: format!("slot of template version {id}") })?;
        Ok(Link { slot, url, label })
    };
    rows.into_iter().map(link).collect()
}

#[derive(sqlx::FromRow)]
struct PartRow {
    locale: String,
    subject: String,
    preheader: String,
    html: String,
    text: String,
    texts: String,
}

impl TryFrom<PartRow> for Part {
    type Error = StoreError;

    fn try_from(row: PartRow) -> Result<Part, StoreError> {
        let texts: BTreeMap<String, String> = serde_json::from_str(&row.texts)
            .map_err(|_| StoreError::Inconsistent { what: format!("texts of the {} part", row.locale) })?;
        let PartRow { locale, subject, preheader, html, text, .. } = row;
        Ok(Part { locale, subject, preheader, html, text, texts, ..Part::default() })
    }
}

fn gone(id: i64) -> StoreError {
    StoreError::Inconsistent { what: format!("template version {id} vanished while it was written") }
}
