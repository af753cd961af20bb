//! The language answered in memory, for one member: what the SQL must agree with, and what a preview explains.

use std::collections::BTreeMap;

use super::NUMBER_MAX;
use super::ast::{Act, Comparison, Events, Field, MailAct, Products, Segment, Value, Window};
use super::check::is_text_comparison;
use crate::base::draw::{LOT_MODULUS, Permutation};
use crate::domain::engagement::{Decay, SCORE_MIN};
use crate::domain::event::ORDER_COMPLETED;
use crate::domain::suppression::SCOPE_ALL;

/// Everything about one live member that a segment can ask for.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    pub lot: i64,
    pub email: Option<String>,
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
    pub created_at_ms: i64,
    pub attributes: BTreeMap<String, AttributeOf>,
    /// Topics consented to.
    pub granted: Vec<String>,
    pub suppressions: Vec<SuppressionOf>,
    pub tags: BTreeMap<String, TagOf>,
    pub events: Vec<EventOf>,
    pub touches: Vec<TouchOf>,
    pub received: Vec<ReceivedOf>,
}

#[derive(Debug, Clone, Default)]
pub struct AttributeOf {
    pub text: String,
    pub number: Option<f64>,
}

#[derive(Debug, Clone)]
pub struct SuppressionOf {
    /// `all`, or a topic.
    pub scope: String,
    pub expires_at_ms: Option<i64>,
}

/// A tag as the table keeps it.
#[derive(Debug, Clone)]
pub struct TagOf {
    pub lscore: f64,
    pub decay: Decay,
}

#[derive(Debug, Clone)]
pub struct ProductOf {
    pub sku: String,
    pub category: String,
    pub brand: String,
}

#[derive(Debug, Clone)]
pub struct EventOf {
    pub name: String,
    pub at_ms: i64,
    pub product: Option<ProductOf>,
    pub value_minor: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct TouchOf {
    pub at_ms: i64,
    pub click: bool,
    pub human: bool,
    pub campaign: String,
}

#[derive(Debug, Clone)]
pub struct ReceivedOf {
    pub at_ms: i64,
    pub campaign: String,
}

/// A value of a member.
enum Answer {
    Unset,
    Number(f64),
    Text(String),
}

impl Segment {
    /// Whether `subject` is meant. `find` gives the segments it names; an unknown one means nobody.
    pub fn accepts(&self, subject: &Subject, now_ms: i64, find: &dyn Fn(&str) -> Option<Segment>) -> bool {
        let accepts = |segment: &Segment| segment.accepts(subject, now_ms, find);
        match self {
            Segment::Always(always) => *always,
            Segment::And(parts) => parts.iter().all(accepts),
            Segment::Or(parts) => parts.iter().any(accepts),
            Segment::Not(inner) => !accepts(inner),
            Segment::Compare { left: Value::Tag(key), op, right } => match right.constant(now_ms) {
                Some(bound) => subject.score_holds(key, *op, bound, now_ms),
                None => false,
            },
            Segment::Compare { left, op, right } => {
                let as_text = is_text_comparison(left, right);
                match (subject.answer(left, as_text, now_ms), subject.answer(right, as_text, now_ms)) {
                    (Answer::Number(left), Answer::Number(right)) => op.holds(&left, &right),
                    (Answer::Text(left), Answer::Text(right)) => op.holds(&left, &right),
                    _ => false,
                }
            }
            Segment::Between { value: Value::Tag(key), low, high } => {
                match (low.constant(now_ms), high.constant(now_ms)) {
                    (Some(low), Some(high)) => {
                        subject.score_is_above(key, low, false, now_ms)
                            && !subject.score_is_above(key, high, true, now_ms)
                    }
                    _ => false,
                }
            }
            Segment::Between { value, low, high } => {
                let number = |value| match subject.answer(value, false, now_ms) {
                    Answer::Number(number) => Some(number),
                    _ => None,
                };
                match (number(value), number(low), number(high)) {
                    (Some(value), Some(low), Some(high)) => low <= value && value <= high,
                    _ => false,
                }
            }
            Segment::In { value, list } => list.iter().any(|item| {
                let as_text = is_text_comparison(value, item);
                match (subject.answer(value, as_text, now_ms), subject.answer(item, as_text, now_ms)) {
                    (Answer::Number(value), Answer::Number(item)) => value == item,
                    (Answer::Text(value), Answer::Text(item)) => value == item,
                    _ => false,
                }
            }),
            Segment::Contains { value, text } => subject.text(value).is_some_and(|has| has.contains(text.as_str())),
            Segment::StartsWith { value, text } => {
                subject.text(value).is_some_and(|has| has.starts_with(text.as_str()))
            }
            Segment::IsSet(value) => {
                let as_text = matches!(value, Value::Attribute(_));
                !matches!(subject.answer(value, as_text, now_ms), Answer::Unset)
            }
            Segment::HasTag(key) => subject.score_is_above(key, SCORE_MIN, false, now_ms),
            Segment::Did { events, at_least } => subject.events(events, now_ms).count() >= *at_least as usize,
            Segment::Product { act, products, window, not_bought } => {
                subject.did(*act, products, window.as_ref(), *not_bought, now_ms)
            }
            Segment::Mail { act, campaign, window } => subject.mail(*act, campaign.as_deref(), window.as_ref(), now_ms),
            Segment::Consent(topic) => subject.granted.contains(topic),
            Segment::Reachable => subject
                .granted
                .iter()
                .any(|topic| !subject.is_suppressed(SCOPE_ALL, now_ms) && !subject.is_suppressed(topic, now_ms)),
            Segment::Suppressed => subject.is_suppressed(SCOPE_ALL, now_ms),
            Segment::InSegment(name) => find(name).is_some_and(|segment| segment.accepts(subject, now_ms, find)),
        }
    }
}

impl Subject {
    fn answer(&self, value: &Value, as_text: bool, now_ms: i64) -> Answer {
        if as_text {
            return self.text(value).map_or(Answer::Unset, |text| Answer::Text(text.to_owned()));
        }
        if let Value::Field(field) = value
            && let Some(text) = self.text_field(*field)
        {
            return text.map_or(Answer::Unset, |text| Answer::Text(text.to_owned()));
        }
        self.number(value, now_ms).map_or(Answer::Unset, Answer::Number)
    }

    fn text<'a>(&'a self, value: &'a Value) -> Option<&'a str> {
        match value {
            Value::Text(text) => Some(text.as_str()),
            Value::Attribute(name) => self.attributes.get(name).map(|attribute| attribute.text.as_str()),
            Value::Field(field) => self.text_field(*field).flatten(),
            _ => None,
        }
        .filter(|text| !text.is_empty())
    }

    /// The text of a field; the outer `None` where the field is no text.
    fn text_field(&self, field: Field) -> Option<Option<&str>> {
        let text = match field {
            Field::Email => self.email.as_deref(),
            Field::ExternalId => self.external_id.as_deref(),
            Field::FirstName => self.first_name.as_deref(),
            Field::LastName => self.last_name.as_deref(),
            Field::Locale => Some(self.locale.as_str()),
            Field::Zone => Some(self.zone.as_str()),
            Field::Market => Some(self.market.as_str()),
            _ => return None,
        };
        Some(text.filter(|text| !text.is_empty()))
    }

    fn number(&self, value: &Value, now_ms: i64) -> Option<f64> {
        if let Some(constant) = value.constant(now_ms) {
            return Some(constant);
        }
        match value {
            Value::Field(Field::Points) => Some(self.points as f64),
            Value::Field(Field::Orders) => Some(self.orders as f64),
            Value::Field(Field::Revenue) => Some(self.revenue_minor as f64 / 100.0),
            Value::Field(Field::LastOrderAt) => self.last_order_at_ms.map(|at_ms| at_ms as f64),
            Value::Field(Field::CreatedAt) => Some(self.created_at_ms as f64),
            Value::Attribute(name) => {
                self.attributes.get(name).and_then(|a| a.number).filter(|number| number.abs() <= NUMBER_MAX)
            }
            Value::Count(events) => Some(self.events(events, now_ms).count() as f64),
            Value::Sum { events, .. } => {
                let minor: i64 = self.events(events, now_ms).filter_map(|event| event.value_minor).sum();
                Some(minor as f64 / 100.0)
            }
            Value::First(events) => {
                self.events(events, now_ms).map(|event| event.at_ms).min().map(|at_ms| at_ms as f64)
            }
            Value::Last(events) => self.events(events, now_ms).map(|event| event.at_ms).max().map(|at_ms| at_ms as f64),
            Value::Bucket(salt) => Some(Permutation::new(0, salt).of(self.lot) as f64 / LOT_MODULUS as f64),
            Value::Arithmetic { left, op, right } => op.of(self.number(left, now_ms)?, self.number(right, now_ms)?),
            _ => None,
        }
    }

    fn events<'a>(&'a self, asked: &'a Events, now_ms: i64) -> impl Iterator<Item = &'a EventOf> {
        self.events.iter().filter(move |event| {
            event.name == asked.name
                && is_in_window(asked.window.as_ref(), event.at_ms, now_ms)
                && asked.products.match_one(event.product.as_ref())
        })
    }

    fn did(&self, act: Act, products: &Products, window: Option<&Window>, not_bought: bool, now_ms: i64) -> bool {
        self.events.iter().any(|event| {
            event.name == act.event_name()
                && is_in_window(window, event.at_ms, now_ms)
                && products.match_one(event.product.as_ref())
                && (!not_bought || self.did_not_buy_what(event))
        })
    }

    /// Whether `event` was about a product that was not bought from then on.
    fn did_not_buy_what(&self, event: &EventOf) -> bool {
        let Some(product) = &event.product else { return false };
        !self.events.iter().any(|bought| {
            bought.name == ORDER_COMPLETED
                && bought.at_ms >= event.at_ms
                && bought.product.as_ref().is_some_and(|bought| bought.sku == product.sku)
        })
    }

    fn mail(&self, act: MailAct, campaign: Option<&str>, window: Option<&Window>, now_ms: i64) -> bool {
        let fits = |at_ms: i64, of: &str| {
            is_in_window(window, at_ms, now_ms) && campaign.is_none_or(|campaign| campaign == of)
        };
        match act {
            MailAct::Received => self.received.iter().any(|mail| fits(mail.at_ms, &mail.campaign)),
            MailAct::Opened | MailAct::Clicked => self.touches.iter().any(|touch| {
                touch.human && touch.click == (act == MailAct::Clicked) && fits(touch.at_ms, &touch.campaign)
            }),
        }
    }

    fn is_suppressed(&self, scope: &str, now_ms: i64) -> bool {
        let holds = |s: &SuppressionOf| s.scope == scope && s.expires_at_ms.is_none_or(|expires| expires > now_ms);
        self.suppressions.iter().any(holds)
    }

    fn score_holds(&self, key: &str, op: Comparison, bound: f64, now_ms: i64) -> bool {
        match op {
            Comparison::Gt | Comparison::Ge => self.score_is_above(key, bound, op == Comparison::Gt, now_ms),
            Comparison::Lt | Comparison::Le => !self.score_is_above(key, bound, op == Comparison::Le, now_ms),
            Comparison::Eq | Comparison::Ne => false,
        }
    }

    /// Whether the score of a tag is now at least `bound`, or above it where `strictly`.
    fn score_is_above(&self, key: &str, bound: f64, strictly: bool, now_ms: i64) -> bool {
        let Some(tag) = self.tags.get(key) else { return if strictly { 0.0 > bound } else { 0.0 >= bound } };
        match score_test(bound, strictly, tag.decay, now_ms) {
            ScoreTest::Never => false,
            ScoreTest::Always | ScoreTest::AnyRow => true,
            ScoreTest::Above(threshold) => tag.lscore > threshold,
            ScoreTest::Reaches(threshold) => tag.lscore >= threshold,
        }
    }
}

/// What `score ≥ bound` (or `>`) comes to for whoever has the tag. A score is above zero as long as its row exists, and
/// never counts for more than the tag's ceiling.
pub(crate) enum ScoreTest {
    Never,
    /// Even for who does not have the tag.
    Always,
    /// For whoever has it.
    AnyRow,
    /// Where the log-score is at least this.
    Reaches(f64),
    /// Where the log-score is more than this.
    Above(f64),
}

pub(crate) fn score_test(bound: f64, strictly: bool, decay: Decay, now_ms: i64) -> ScoreTest {
    if bound < 0.0 || (bound == 0.0 && !strictly) {
        return ScoreTest::Always;
    }
    if bound == 0.0 {
        return ScoreTest::AnyRow;
    }
    if decay.ceiling.is_some_and(|ceiling| if strictly { ceiling <= bound } else { ceiling < bound }) {
        return ScoreTest::Never;
    }
    let threshold = Decay { ceiling: None, ..decay }.threshold(bound, now_ms);
    if strictly { ScoreTest::Above(threshold) } else { ScoreTest::Reaches(threshold) }
}

fn is_in_window(window: Option<&Window>, at_ms: i64, now_ms: i64) -> bool {
    window.is_none_or(|window| window.from_ms(now_ms).is_some_and(|from_ms| at_ms >= from_ms))
}

impl Products {
    /// Whether a product is meant; no product is only where any is.
    fn match_one(&self, product: Option<&ProductOf>) -> bool {
        let Some(product) = product else { return self.is_any() };
        self.category.as_ref().is_none_or(|category| in_category(&product.category, category))
            && self.product.as_ref().is_none_or(|sku| *sku == product.sku)
            && self.brand.as_ref().is_none_or(|brand| *brand == product.brand)
    }
}

/// Whether `category` is one or more whole parts of `path`.
fn in_category(path: &str, category: &str) -> bool {
    format!("/{path}/").contains(&category_needle(category))
}

/// A category between slashes, as it is looked for in a path between slashes.
pub(crate) fn category_needle(category: &str) -> String {
    format!("/{}/", category.trim_matches('/'))
}
