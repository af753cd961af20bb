//! One member whole: who it is, what was agreed, which tags and why, what happened.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::consent::ConsentState;
use crate::domain::engagement::SCORE_MIN;
use crate::domain::member::Member;
use crate::domain::tagging::Rules;
use crate::store::deed::Deed;
use crate::store::timeline::{self, MailLine, TouchLine};
use crate::store::{Conn, StoreError, consent, deed, tag};

/// Events, mails and touches looked back on.
const DEEDS_MAX: i64 = 500;
const MAILS_MAX: i64 = 50;
const TOUCHES_MAX: i64 = 100;
/// Events listed behind one tag.
const CAUSES_MAX: usize = 12;

/// A member's profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    pub attributes: BTreeMap<String, String>,
    pub topics: Vec<TopicLine>,
    /// Highest score first; those faded to nothing are left out.
    pub tags: Vec<TagLine>,
    pub mails: Vec<MailLine>,
    /// Opens, clicks and unsubscribes, machines' too, newest first.
    pub touches: Vec<TouchLine>,
    /// What the member did, newest first: on the shop's pages, and by clicks in mails.
    pub events: Vec<EventLine>,
}

/// Where the member stands towards a topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicLine {
    pub topic: String,
    pub state: ConsentState,
    pub at_ms: i64,
}

/// One tag as it reads now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TagLine {
    pub key: String,
    pub score: f64,
    pub half_life_ms: Option<i64>,
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
    pub category: String,
    pub campaign: String,
    /// How much it raised the tag it is listed under; `None` in the list of all events.
    pub weight: Option<f64>,
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
        id,
        email: member.email,
        external_id: member.external_id,
        first_name: member.first_name,
        last_name: member.last_name,
        locale: member.locale,
        zone: member.zone,
        market: member.market,
        points: member.points,
        orders: member.orders,
        revenue_minor: member.revenue_minor,
        last_order_at_ms: member.last_order_at_ms,
        attributes: member.attributes,
        topics: topics.into_iter().map(topic).collect(),
        tags,
        mails: timeline::mails(conn.again(), id, MAILS_MAX).await?,
        touches: timeline::touches(conn, id, TOUCHES_MAX).await?,
        events: deeds.iter().map(|deed| line(deed, None)).collect(),
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
    let mut causes: BTreeMap<String, Vec<EventLine>> = BTreeMap::new();
    for deed in deeds {
        for raise in rules.apply(&deed.fact()) {
            let causes = causes.entry(raise.key).or_default();
            if causes.len() < CAUSES_MAX {
                causes.push(line(deed, Some(raise.weight)));
            }
        }
    }
    let held = tag::of_member(conn, member).await?;
    let mut tags: Vec<TagLine> = held
        .into_iter()
        .map(|held| TagLine {
            score: held.decay().score(held.lscore, now_ms),
            events: causes.remove(&held.key).unwrap_or_default(),
            key: held.key,
            half_life_ms: held.half_life_ms,
            updated_at_ms: held.updated_at_ms,
        })
        .filter(|tag| tag.score >= SCORE_MIN)
        .collect();
    tags.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
    Ok(tags)
}

fn line(deed: &Deed, weight: Option<f64>) -> EventLine {
    EventLine {
        at_ms: deed.at_ms,
        name: deed.name.clone(),
        sku: deed.sku.clone(),
        category: deed.category.clone(),
        campaign: deed.campaign.clone(),
        weight,
    }
}
