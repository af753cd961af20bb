//! What became of a campaign: who got it, who did not and why, and what people did with it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::campaign::{RunDoc, Variant};
use crate::domain::message::{MessageState, RunState};
use crate::domain::shown::{Served, SlotCount, SlotTally};
use crate::domain::touch::{CLASS_VERSION, TouchClass, TouchKind};
use crate::queue::count::{self, Count};
use crate::render::PRODUCT_SLOT;
use crate::store::gate::{self, GateRow};
use crate::store::report::{self, Doubt, LinkClicks, ProductClicks, Refusal, VersionUse};
use crate::store::run::{self, Run};
use crate::store::{Conn, StoreError};

/// Most doubts, links, products and refusals a report lists.
const DOUBTS_MAX: i64 = 10_000;
const LINES_MAX: i64 = 20;
/// Most different lists of blocks, and of places clicked in them, that are counted: a template makes a handful.
const LISTS_MAX: i64 = 5_000;
/// How long after a click a purchase is its own, milliseconds (5 days).
const BOUGHT_WITHIN_MS: i64 = 5 * 86_400_000;

/// Messages by who touched them: each message once per class.
pub type ByClass = BTreeMap<TouchClass, i64>;

/// Where a run stands, from kept counts alone: cheap at any size, fit for polling.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Progress {
    pub campaign: String,
    pub run_id: i64,
    pub state: RunState,
    /// Why it stands still, if it does.
    pub why: Option<String>,
    /// Rows written; final once the freeze is whole.
    pub frozen: i64,
    /// Members of the segment who were not frozen, by reason.
    pub excluded: BTreeMap<String, i64>,
    /// Every state, those at zero too. They sum to `frozen`.
    pub by_state: BTreeMap<MessageState, i64>,
    /// Why messages failed, bounced, were skipped or cancelled.
    pub reasons: BTreeMap<String, i64>,
    pub scheduled_for_ms: i64,
    pub started_at_ms: Option<i64>,
    pub finished_at_ms: Option<i64>,
    /// Providers that get no mail over a route now, or get it slower.
    pub slowed: Vec<Slowed>,
}

/// A provider that gets no mail over a route for a while, or gets it slower than it was told to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slowed {
    pub route: String,
    pub provider: String,
    /// Until when it gets none; `None`: it gets some.
    pub closed_until_ms: Option<i64>,
    pub why: Option<String>,
    /// Mails per second that it was found to take, if that was needed.
    pub per_second: Option<f64>,
}

impl Slowed {
    fn of(row: GateRow, now_ms: i64) -> Slowed {
        let closed_until_ms = Some(row.closed_until_ms).filter(|until_ms| *until_ms > now_ms);
        Slowed { route: row.route, provider: row.provider, closed_until_ms, why: row.why, per_second: row.learnt }
    }
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub progress: Progress,
    /// Messages whose fate is not known; at most 10,000 are listed, `by_state` counts them all.
    pub in_doubt: Vec<Doubt>,
    /// Messages opened, by class. A message opened by a person and by a proxy counts in both.
    pub opens: ByClass,
    /// Messages clicked, by class.
    pub clicks: ByClass,
    /// Opens and clicks as often as they came.
    pub opens_total: i64,
    pub clicks_total: i64,
    /// Messages whose reader unsubscribed by them.
    pub unsubscribed: i64,
    /// Messages whose reader called them spam.
    pub complaints: i64,
    pub rates: Rates,
    pub variants: Vec<VariantReport>,
    /// Template versions of the mails that left.
    pub templates: Vec<VersionUse>,
    pub links: Vec<LinkClicks>,
    pub products: Vec<ProductClicks>,
    /// Product blocks by strategy and place: mails that showed a product there, clicks, purchases within 5 days.
    pub blocks: Vec<SlotCount>,
    /// What servers said when they did not take a mail at once.
    pub refusals: Vec<Refusal>,
    /// Version of the rules that told people from machines.
    pub class_version: u32,
}

/// Shares of the messages accepted by the next hop; `None` before the first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Messages accepted and not bounced later.
    pub delivered: i64,
    /// Opened by a person or their mail service's proxy.
    pub opened: Option<f64>,
    pub clicked: Option<f64>,
    pub unsubscribed: Option<f64>,
    /// Called spam by their reader: big mail services want less than 0.001.
    pub complained: Option<f64>,
    pub bounced: Option<f64>,
}

/// One variant beside the others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantReport {
    pub name: String,
    pub template: String,
    pub frozen: i64,
    pub by_state: BTreeMap<MessageState, i64>,
    /// Messages opened, clicked, unsubscribed by people.
    pub opened: i64,
    pub clicked: i64,
    pub unsubscribed: i64,
    pub complaints: i64,
    pub rates: Rates,
}

/// Where a run stands.
pub async fn progress(mut conn: Conn<'_>, run: &Run, now_ms: i64) -> Result<Progress, StoreError> {
    let counts = count::of_run(conn.again(), run.id).await?;
    let excluded = run::excluded(conn.again(), run.id).await?;
    let slowed = match run.state.is_over() {
        true => Vec::new(),
        false => gate::troubled_of_run(conn, run.id, now_ms).await?,
    };
    let slowed = slowed.into_iter().map(|row| Slowed::of(row, now_ms)).collect();
    Ok(Progress { slowed, ..stand(run, &counts, excluded) })
}

/// The whole report of a run. Counts and lists are read one after the other: of a run that is sending they may be
/// apart by what happened in between.
pub async fn report(mut conn: Conn<'_>, run: &Run, now_ms: i64) -> Result<Report, StoreError> {
    let id = run.id;
    let counts = count::of_run(conn.again(), id).await?;
    let progress = progress(conn.again(), run, now_ms).await?;
    let in_doubt = match progress.by_state[&MessageState::InDoubt] {
        0 => Vec::new(),
        _ => report::in_doubt(conn.again(), id, DOUBTS_MAX).await?,
    };
    let touched = Touched::read(&report::touches(conn.again(), id).await?)?;
    let people = report::people_by_variant(conn.again(), id).await?;
    let complaints = report::complaints(conn.again(), id).await?;
    let complained = complaints.iter().map(|(_, n)| n).sum();
    let probable = touched.of(TouchKind::Open, TouchClass::Human) + touched.of(TouchKind::Open, TouchClass::Proxy);
    let clicked = touched.of(TouchKind::Click, TouchClass::Human);
    let rates = Rates::of(&progress.by_state, [probable, clicked, touched.unsubscribed, complained]);
    Ok(Report {
        in_doubt,
        opens: touched.by_class(TouchKind::Open),
        clicks: touched.by_class(TouchKind::Click),
        opens_total: touched.total(TouchKind::Open),
        clicks_total: touched.total(TouchKind::Click),
        unsubscribed: touched.unsubscribed,
        complaints: complained,
        rates,
        variants: variants(&run.doc, &counts, &people, &complaints),
        templates: report::versions(conn.again(), id).await?,
        links: report::links(conn.again(), id, LINES_MAX).await?,
        products: report::products(conn.again(), id, LINES_MAX).await?,
        blocks: blocks(conn.again(), id).await?,
        refusals: report::refusals(conn, id, LINES_MAX).await?,
        class_version: CLASS_VERSION,
        progress,
    })
}

/// How the product blocks of a run did. A record that cannot be read counts nowhere.
async fn blocks(mut conn: Conn<'_>, run: i64) -> Result<Vec<SlotCount>, StoreError> {
    let read = |served: &str| serde_json::from_str::<Served>(served).unwrap_or_default();
    let mut tally = SlotTally::default();
    for (served, mails) in report::served(conn.again(), run, LISTS_MAX).await? {
        tally.showed(&read(&served), mails);
    }
    for (served, slot, mails, bought) in report::product_clicks(conn, run, BOUGHT_WITHIN_MS, LISTS_MAX).await? {
        if let Ok(place) = usize::try_from(slot - i64::from(PRODUCT_SLOT)) {
            tally.clicked(&read(&served), place, mails, bought);
        }
    }
    Ok(tally.counts())
}

fn stand(run: &Run, counts: &[Count], excluded: Vec<(String, i64)>) -> Progress {
    let by_state = states(counts.iter());
    let mut reasons = BTreeMap::new();
    for count in counts.iter().filter(|count| !count.why.is_empty()) {
        *reasons.entry(count.why.clone()).or_default() += count.n;
    }
    Progress {
        frozen: run.frozen_n.unwrap_or_else(|| by_state.values().sum()),
        campaign: run.campaign.clone(),
        run_id: run.id,
        state: run.state,
        why: run.why.clone(),
        excluded: excluded.into_iter().filter(|(_, n)| *n > 0).collect(),
        by_state,
        reasons,
        scheduled_for_ms: run.scheduled_for_ms,
        started_at_ms: run.started_at_ms,
        finished_at_ms: run.finished_at_ms,
        slowed: Vec::new(),
    }
}

fn states<'a>(counts: impl Iterator<Item = &'a Count>) -> BTreeMap<MessageState, i64> {
    let mut by_state: BTreeMap<MessageState, i64> = MessageState::ALL.iter().map(|state| (*state, 0)).collect();
    for count in counts {
        // `queue::count` writes no other words.
        if let Ok(state) = count.state.parse() {
            *by_state.entry(state).or_default() += count.n;
        }
    }
    by_state
}

fn variants(
    doc: &RunDoc,
    counts: &[Count],
    people: &[(i64, String, i64)],
    complaints: &[(i64, i64)],
) -> Vec<VariantReport> {
    let one = |(index, variant): (usize, &Variant)| {
        let index = index as i64;
        let by_state = states(counts.iter().filter(|count| count.variant == index));
        let of = |kind: TouchKind| {
            let mine = people.iter().find(|(variant, touched, _)| *variant == index && touched == kind.as_str());
            mine.map_or(0, |(_, _, n)| *n)
        };
        let (opened, clicked, unsubscribed) = (of(TouchKind::Open), of(TouchKind::Click), of(TouchKind::Unsubscribe));
        let complaints = complaints.iter().find(|(variant, _)| *variant == index).map_or(0, |(_, n)| *n);
        VariantReport {
            name: variant.name.clone(),
            template: variant.template.clone(),
            frozen: by_state.values().sum(),
            rates: Rates::of(&by_state, [opened, clicked, unsubscribed, complaints]),
            by_state,
            opened,
            clicked,
            unsubscribed,
            complaints,
        }
    };
    doc.variants.iter().enumerate().map(one).collect()
}

impl Rates {
    fn of(by_state: &BTreeMap<MessageState, i64>, messages: [i64; 4]) -> Rates {
        let [opened, clicked, unsubscribed, complained] = messages;
        let delivered = by_state[&MessageState::Sent];
        let bounced = by_state[&MessageState::Bounced];
        let share = |n: i64, of: i64| (of > 0).then(|| n as f64 / of as f64);
        Rates {
            delivered,
            opened: share(opened, delivered),
            clicked: share(clicked, delivered),
            unsubscribed: share(unsubscribed, delivered),
            complained: share(complained, delivered),
            bounced: share(bounced, delivered + bounced),
        }
    }
}

/// Touches of a run: messages and times, by kind and class.
struct Touched {
    messages: BTreeMap<(TouchKind, TouchClass), i64>,
    times: BTreeMap<TouchKind, i64>,
    unsubscribed: i64,
}

impl Touched {
    fn read(rows: &[(String, String, i64, i64)]) -> Result<Touched, StoreError> {
        let wrong = |error| StoreError::Inconsistent { what: format!("a touch: {error}") };
        let mut touched = Touched { messages: BTreeMap::new(), times: BTreeMap::new(), unsubscribed: 0 };
        for (kind, class, messages, times) in rows {
            let (kind, class) = (kind.parse().map_err(wrong)?, class.parse().map_err(wrong)?);
            touched.messages.insert((kind, class), *messages);
            *touched.times.entry(kind).or_default() += times;
            if kind == TouchKind::Unsubscribe {
                // Whoever pressed the button, a provider's machine or a person, it counts.
                touched.unsubscribed += messages;
            }
        }
        Ok(touched)
    }

    fn of(&self, kind: TouchKind, class: TouchClass) -> i64 {
        self.messages.get(&(kind, class)).copied().unwrap_or(0)
    }

    fn by_class(&self, kind: TouchKind) -> ByClass {
        TouchClass::ALL.iter().map(|class| (*class, self.of(kind, *class))).collect()
    }

    fn total(&self, kind: TouchKind) -> i64 {
        self.times.get(&kind).copied().unwrap_or(0)
    }
}
