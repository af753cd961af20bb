//! One member whole: who it is, what was agreed, which tags and why, what happened.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::domain::consent::ConsentState;
use crate::domain::engagement::{Decay, SCORE_MIN};
use crate::domain::member::Member;
use crate::domain::recommend::{Reason, Why};
use crate::domain::shown::Shown;
use crate::domain::tagging::Rules;
use crate::domain::touch::TouchKind;
use crate::store::deed::Deed;
use crate::store::member_view::{self, TouchCount};
use crate::store::timeline::{self, MailLine, TouchLine};
use crate::store::{Conn, StoreError, consent, deed, suppression, tag};

/// Events, mails and touches looked back on.
const DEEDS_MAX: i64 = 500;
const MAILS_MAX: i64 = 50;
const TOUCHES_MAX: i64 = 100;
const ORDERS_MAX: i64 = 20;
/// Events listed behind one tag.
const CAUSES_MAX: usize = 12;

/// A member's profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    #[serde(flatten)]
    pub member: Member,
    pub topics: Vec<TopicLine>,
    pub suppressions: Vec<SuppressionLine>,
    /// Highest score first; those faded to nothing are left out.
    pub tags: Vec<TagLine>,
    /// Campaign mails, newest first.
    pub mails: Vec<Mail>,
    /// Opens, clicks and unsubscribes, machines' too, newest first.
    pub touches: Vec<TouchLine>,
    /// What the member did, newest first: on the shop's pages, and by clicks in mails.
    pub events: Vec<EventLine>,
    /// Newest first.
    pub latest_orders: Vec<Order>,
}

/// Where the member stands towards a topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicLine {
    pub topic: String,
    pub state: ConsentState,
    pub at_ms: i64,
}

/// A scope in which the address must not be mailed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuppressionLine {
    pub scope: String,
    pub reason: String,
    pub source: String,
    pub at_ms: i64,
    pub expires_at_ms: Option<i64>,
}

/// One mail: its fate, what was done with it, what it showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mail {
    #[serde(flatten)]
    pub line: MailLine,
    /// By class, as often as they came.
    pub opens: BTreeMap<String, i64>,
    pub clicks: BTreeMap<String, i64>,
    pub unsubscribed: bool,
    /// The balance it spoke of; `None` before it was armed.
    pub balance: Option<i64>,
    pub products: Vec<ShownProduct>,
}

/// A product a mail showed, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownProduct {
    pub sku: String,
    pub name: String,
    pub why: Why,
    /// The category or brand that reason rests on.
    pub on: Option<String>,
}

/// One order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Order {
    pub order_id: String,
    pub ordered_at_ms: i64,
    pub status: String,
    pub revenue: Money,
    pub lines: Vec<member_view::Line>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Money {
    pub minor: i64,
    pub currency: String,
}

/// One tag as it reads now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TagLine {
    pub key: String,
    pub score: f64,
    pub half_life_ms: Option<i64>,
    pub ceiling: Option<f64>,
    pub updated_at_ms: i64,
    /// The latest events that raised it, by today's rules, newest first.
    pub events: Vec<EventLine>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventLine {
    pub at_ms: i64,
    pub name: String,
    pub sku: String,
    /// The product's name.
    pub product: String,
    pub category: String,
    /// The label of the clicked link.
    pub link: String,
    pub campaign: String,
    /// How much it raised the tag it is listed under; `None` in the list of all events.
    pub weight: Option<f64>,
    /// What is left of that now.
    pub worth: Option<f64>,
}

/// The profile of `member` at `now_ms`.
pub async fn profile(mut conn: Conn<'_>, member: Member, rules: &Rules, now_ms: i64) -> Result<Profile, StoreError> {
    let id = member.id;
    let deeds = deed::of_member(conn.again(), id, DEEDS_MAX).await?;
    let tags = tags(conn.again(), id, rules, &deeds, now_ms).await?;
    let topics = consent::of_member(conn.again(), id).await?;
    let topic =
        |standing: consent::Standing| TopicLine { topic: standing.topic, state: standing.state, at_ms: standing.at_ms };
    Ok(Profile {
        topics: topics.into_iter().map(topic).collect(),
        suppressions: suppressions(conn.again(), member.addr_key).await?,
        tags,
        mails: mails(conn.again(), id).await?,
        touches: timeline::touches(conn.again(), id, TOUCHES_MAX).await?,
        events: deeds.iter().map(line).collect(),
        latest_orders: orders(conn, id).await?,
        member,
    })
}

/// The tags of a member that still count, each with what raised it.
pub async fn tags(
    conn: Conn<'_>,
    member: i64,
    rules: &Rules,
    deeds: &[Deed],
    now_ms: i64,
) -> Result<Vec<TagLine>, StoreError> {
    let mut causes: BTreeMap<String, Vec<(&Deed, f64)>> = BTreeMap::new();
    for deed in deeds {
        for raise in rules.apply(&deed.fact()) {
            let causes = causes.entry(raise.key).or_default();
            if causes.len() < CAUSES_MAX {
                causes.push((deed, raise.weight));
            }
        }
    }
    let held = tag::of_member(conn, member).await?;
    let cause = |decay: Decay, deed: &Deed, weight: f64| {
        let worth = decay.score(decay.log_of(weight, deed.at_ms), now_ms);
        EventLine { weight: Some(weight), worth: Some(worth), ..line(deed) }
    };
    let mut tags: Vec<TagLine> = held
        .into_iter()
        .map(|held| {
            let causes = causes.remove(&held.key).unwrap_or_default().into_iter();
            TagLine {
                score: held.decay().score(held.lscore, now_ms),
                events: causes.map(|(deed, weight)| cause(held.decay(), deed, weight)).collect(),
                half_life_ms: held.half_life_ms,
                ceiling: held.ceiling,
                updated_at_ms: held.updated_at_ms,
                key: held.key,
            }
        })
        .filter(|tag| tag.score >= SCORE_MIN)
        .collect();
    tags.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
    Ok(tags)
}

fn line(deed: &Deed) -> EventLine {
    EventLine {
        at_ms: deed.at_ms,
        name: deed.name.clone(),
        sku: deed.sku.clone(),
        product: deed.product.clone(),
        category: deed.category.clone(),
        link: deed.link.clone(),
        campaign: deed.campaign.clone(),
        weight: None,
        worth: None,
    }
}

async fn suppressions(conn: Conn<'_>, addr_key: i64) -> Result<Vec<SuppressionLine>, StoreError> {
    let line = |entry: suppression::Suppression| SuppressionLine {
        scope: entry.scope,
        reason: entry.reason.to_string(),
        source: entry.source,
        at_ms: entry.at_ms,
        expires_at_ms: entry.expires_at_ms,
    };
    Ok(suppression::of_address(conn, addr_key).await?.into_iter().map(line).collect())
}

/// The mails of a member with what they showed and what was done with them.
async fn mails(mut conn: Conn<'_>, member: i64) -> Result<Vec<Mail>, StoreError> {
    let lines = timeline::mails(conn.again(), member, MAILS_MAX).await?;
    let touches = member_view::touches(conn.again(), member).await?;
    let shown: HashMap<i64, Shown> = member_view::shown(conn.again(), member, MAILS_MAX)
        .await?
        .into_iter()
        .filter_map(|(id, body)| Some((id, serde_json::from_str(&body).ok()?)))
        .collect();
    let ids: Vec<i64> = shown.values().flat_map(|shown| &shown.products).map(|(id, _)| *id).collect();
    let known = member_view::products(conn, &ids).await?;
    let pictured = |(id, code): &(i64, String)| {
        let product = known.get(id)?;
        let Reason { why, on } = Reason::from_code(code, product)?;
        let on = on.map(|on| on.to_string());
        Some(ShownProduct { sku: product.sku.clone(), name: product.name.clone(), why, on })
    };
    let mail = |line: MailLine| {
        let shown = shown.get(&line.message_id);
        Mail {
            opens: by_class(&touches, line.message_id, TouchKind::Open),
            clicks: by_class(&touches, line.message_id, TouchKind::Click),
            unsubscribed: !by_class(&touches, line.message_id, TouchKind::Unsubscribe).is_empty(),
            balance: shown.map(|shown| shown.balance),
            products: shown.into_iter().flat_map(|shown| &shown.products).filter_map(pictured).collect(),
            line,
        }
    };
    Ok(lines.into_iter().map(mail).collect())
}

fn by_class(touches: &[TouchCount], message: i64, kind: TouchKind) -> BTreeMap<String, i64> {
    let of_kind = touches.iter().filter(|touch| touch.message_id == message && touch.kind == kind.as_str());
    of_kind.map(|touch| (touch.class.clone(), touch.n)).collect()
}

async fn orders(conn: Conn<'_>, member: i64) -> Result<Vec<Order>, StoreError> {
    let (orders, lines) = member_view::orders(conn, member, ORDERS_MAX).await?;
    let order = |row: member_view::Order| Order {
        lines: lines.iter().filter(|line| line.orders_id == row.id).cloned().collect(),
        order_id: row.order_id,
        ordered_at_ms: row.ordered_at_ms,
        status: row.status,
        revenue: Money { minor: row.revenue_minor, currency: row.currency },
    };
    Ok(orders.into_iter().map(order).collect())
}
