//! Everything held of a member, for the member: an export (GDPR Art. 15 and 20, PIPL Art. 45).

use serde::Serialize;

use super::{Conn, StoreError};
use crate::on;

/// The member's own row.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow, Serialize)]
pub struct Profile {
    pub id: i64,
    pub email: String,
    pub external_id: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub locale: String,
    pub zone: String,
    pub market: String,
    pub points: i64,
    pub orders: i64,
    pub revenue_minor: i64,
    pub last_order_at_ms: Option<i64>,
    /// Switches: 1 on, 0 off.
    pub personalise: i64,
    pub track_opens: i64,
    pub track_clicks: i64,
    pub paused_until_ms: Option<i64>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

/// One change of consent, with the words that were shown.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow, Serialize)]
pub struct ConsentChange {
    pub topic: String,
    pub state: String,
    pub at_ms: i64,
    pub source: String,
    pub proof: String,
    /// What the member read, where a page of ours was shown.
    pub text_form: Option<String>,
    pub text_lang: Option<String>,
    pub text_version: Option<i64>,
    pub text_sha: Option<String>,
    pub text: Option<String>,
}

#[derive(Debug, Clone, PartialEq, sqlx::FromRow, Serialize)]
pub struct Tag {
    pub key: String,
    /// The logarithm of the score as of the epoch of all tags.
    pub lscore: f64,
    pub half_life_ms: Option<i64>,
    pub updated_at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, sqlx::FromRow, Serialize)]
pub struct Event {
    pub at_ms: i64,
    pub name: String,
    pub sku: Option<String>,
    pub value_minor: Option<i64>,
    /// JSON, as it came.
    pub props: String,
}

#[derive(Debug, Clone, PartialEq, sqlx::FromRow, Serialize)]
pub struct OrderLine {
    pub order_id: String,
    pub ordered_at_ms: i64,
    pub status: String,
    pub currency: String,
    pub coupon: Option<String>,
    pub sku: Option<String>,
    pub quantity: Option<i64>,
    pub price_minor: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, sqlx::FromRow, Serialize)]
pub struct Message {
    pub id: i64,
    pub campaign: String,
    pub state: String,
    pub why: Option<String>,
    pub armed_at_ms: Option<i64>,
    pub sent_at_ms: Option<i64>,
    /// JSON: locale, balance and products of the mail.
    pub shown: Option<String>,
}

#[derive(Debug, Clone, PartialEq, sqlx::FromRow, Serialize)]
pub struct Touch {
    pub at_ms: i64,
    pub message_id: i64,
    pub kind: String,
    pub class: String,
    pub sku: Option<String>,
    pub url: Option<String>,
    pub agent: String,
    pub ip: String,
}

/// A query for all rows of a member, oldest first.
macro_rules! all_of {
    ($(#[$meta:meta])* $name:ident, $row:ty, $doing:literal, $sql:literal) => {
        $(#[$meta])*
        pub async fn $name(conn: Conn<'_>, member: i64) -> Result<Vec<$row>, StoreError> {
            const SQL: &str = $sql;
            on!(conn, $doing, c => sqlx::query_as(SQL).bind(member).fetch_all(&mut *c).await)
        }
    };
}

all_of!(
    /// The row itself: one, or none.
    profile,
    Profile,
    "export a member's profile",
    "select id, email, external_id, first_name, last_name, locale, zone, market, points, orders, revenue_minor,
       last_order_at_ms, personalise, track_opens, track_clicks, paused_until_ms, created_at_ms, updated_at_ms
     from member where id = $1 and status = 'live'"
);
all_of!(
    /// The consent log.
    consents,
    ConsentChange,
    "export a member's consents",
    "select l.topic, l.state, l.at_ms, l.source, l.proof, t.form as text_form, t.lang as text_lang,
       t.version as text_version, t.sha as text_sha, t.body as text
     from consent_log l left join consent_text t on t.id = l.text_id where l.member_id = $1 order by l.at_ms, l.id"
);
all_of!(
    /// The tags.
    tags,
    Tag,
    "export a member's tags",
    "select t.key, m.lscore, t.half_life_ms, m.updated_at_ms from member_tag m join tag t on t.id = m.tag_id
     where m.member_id = $1 order by t.key"
);
all_of!(
    /// What the member did anywhere but in a mail.
    events,
    Event,
    "export a member's events",
    "select e.at_ms, n.name, p.sku, e.value_minor, e.props from event e join event_name n on n.id = e.name_id
       left join product p on p.id = e.product_id where e.member_id = $1 order by e.at_ms, e.id"
);
all_of!(
    /// The orders, a row for each line.
    orders,
    OrderLine,
    "export a member's orders",
    "select o.order_id, o.ordered_at_ms, o.status, o.currency, o.coupon, p.sku, l.quantity, l.price_minor
     from orders o left join order_line l on l.orders_id = o.id left join product p on p.id = l.product_id
     where o.member_id = $1 order by o.ordered_at_ms, o.id, p.sku"
);
all_of!(
    /// The mails, with what they showed.
    messages,
    Message,
    "export a member's mails",
    "select m.id, c.name as campaign, m.state, m.why, m.armed_at_ms, m.sent_at_ms, s.body as shown
     from run r join campaign c on c.id = r.campaign_id join message m on m.run_id = r.id and m.origin = $1
       left join shown s on s.run_id = m.run_id and s.message_id = m.id
     where m.member_id = $1 order by m.id"
);
all_of!(
    /// What was done in the mails, with the evidence, machines' too.
    touches,
    Touch,
    "export a member's touches",
    "select t.at_ms, t.message_id, t.kind, t.class, p.sku, t.url, t.agent, t.ip
     from touch t left join product p on p.id = t.product_id where t.member_id = $1 order by t.at_ms, t.id"
);
