//! What to show a member, and why: candidates from several sources, each scored, then passed through the rules.
//!
//! - A **source** proposes a few products with a strength and a reason: looked at and not bought, what a tag speaks
//!   of, what sells in the categories looked at. A new source is one function and a line in [`Desk::candidates`].
//! - The **score** of a product is the sum of what the sources gave it; its reason is the strongest one's. Equal
//!   scores are ordered by a hash of member and product: always the same, and different between members.
//! - The **rules** decide what may be shown at all ([`Desk::is_allowed`]) and how much of one kind
//!   ([`Slack`]). What sells best fills the places that are left.

pub mod blend;
pub mod bytes;
pub mod care;
mod chains;
pub mod count;
pub mod evaluate;
pub mod follow;
pub mod learn;
pub mod log;
mod marked;
mod pairs;
mod reason;
mod rules;
pub mod signify;
mod sitting;
mod source;
pub mod tables;
pub mod taste;

use std::cmp::Reverse;
use std::sync::Arc;

pub use chains::SUGGESTED_MAX;
pub use reason::{Reason, Why};
pub use sitting::Sitting;

use marked::Marked;
use reason::Ground;
use sitting::{Did, Known};

use crate::base::draw;
use crate::domain::catalog::{Catalog, Index, Node, Shelf};
use crate::domain::member::Member;
use crate::domain::tagging::{BRAND, INTEREST};
use crate::text_enum;

/// Most products one block can ask for.
pub const PICKS_MAX: usize = 24;
/// Nothing bought within this time is offered again, milliseconds (180 days).
pub const BOUGHT_LATELY_MS: i64 = 180 * DAY_MS;
/// The share of its service life after which another one may be offered to its owner.
pub const SERVES_SHARE: f64 = 0.7;
/// Products of one category in one block while there are others.
const PER_CATEGORY: usize = 2;
/// Products looked at that `for_you` shows again.
const VIEWED_AGAIN: usize = 2;
/// What a look is worth halves in this time, milliseconds (14 days).
const VIEW_HALF_LIFE_MS: i64 = 14 * DAY_MS;
/// Tags of a kind that are followed, the strongest first.
const TAGS_FOLLOWED: usize = 6;
/// Products each tag or category proposes.
const PER_SOURCE: usize = 5;
/// Products that are looked at to find them: a category of which the member owns what serves has none to propose.
const LOOKED_PER_SOURCE: usize = 40;
/// Products that are ranked for each one shown.
const RANKED_FOR_ONE: usize = 4;
/// How much weaker each next product of one source is.
const NEXT: f64 = 0.9;
const DAY_MS: i64 = 86_400_000;

text_enum! {
    /// What a product block shows: the name a marketer writes in the template.
    pub enum Strategy {
        /// What the member's own behaviour speaks for.
        ForYou = "for_you",
        /// Looked at last and not bought, then what sells in those categories.
        Viewed = "viewed",
        /// The rest of the suites the member bought or looked at, then as `for_you`.
        Suite = "suite",
        /// What came after the models the member owns, then what is new of their kind.
        Successor = "successor",
        /// What the member's points pay for, then as `for_you`.
        AffordableWithPoints = "affordable_with_points",
        /// What sells best.
        Popular = "popular",
        /// What came last into the catalogue.
        New = "new",
        /// The products named in the block, else those pinned in the catalogue, then what sells best.
        Pinned = "pinned",
    }
}

impl Strategy {
    /// Whether it looks at what the member did, or has.
    pub const fn is_personal(self) -> bool {
        !matches!(self, Strategy::Popular | Strategy::New | Strategy::Pinned)
    }
}

/// What a product block asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub strategy: Strategy,
    /// How many products, at most [`PICKS_MAX`].
    pub n: usize,
    /// Only this category, by whole path or last part; left only where the block would stay empty.
    pub category: Option<String>,
    /// Article numbers and categories that are never shown.
    pub exclude: Vec<String>,
    /// Article numbers for [`Strategy::Pinned`], in order; without any, those the catalogue pins.
    pub pinned: Vec<String>,
    /// What one point pays for, in minor units of the currency.
    pub point_value: f64,
}

/// The mail a block is picked for, and when: draws depend on it, so the same mail draws the same after a crash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Occasion {
    pub run: i64,
    pub message: i64,
    pub now_ms: i64,
}

impl Default for Request {
    fn default() -> Request {
        Request {
            strategy: Strategy::ForYou,
            n: 3,
            category: None,
            exclude: Vec::new(),
            pinned: Vec::new(),
            point_value: 1.0,
        }
    }
}

/// A product a member did something with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    pub product: i64,
    /// The last time.
    pub at_ms: i64,
    /// How often.
    pub times: u32,
}

/// A tag of a member with its score now.
#[derive(Debug, Clone, PartialEq)]
pub struct TagScore {
    pub key: Arc<str>,
    pub score: f64,
}

/// What is known of a member's behaviour, bounded, loaded for a whole claim at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Looked at, each product once, the latest first.
    pub viewed: Vec<Act>,
    /// Bought, the latest first.
    pub bought: Vec<Act>,
    /// The highest score first.
    pub tags: Vec<TagScore>,
    /// Shown in the last mails and not clicked: product, how often.
    pub ignored: Vec<(i64, u32)>,
    /// Products an engine outside suggests, the best first.
    pub suggested: Vec<i64>,
}

impl History {
    /// The score of a tag, 0 without it.
    pub fn tag(&self, key: &str) -> f64 {
        self.tags.iter().find(|tag| *tag.key == *key).map_or(0.0, |tag| tag.score)
    }
}

/// A product to show, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Pick {
    pub product: i64,
    pub reason: Reason,
}

/// The products of one block, best first; never one that the mail's `sitting` has shown, to which they are added. At
/// most `request.n`; none only where the member's market sells nothing that is neither shown, excluded nor bought
/// lately.
pub fn pick(
    catalog: &Catalog,
    member: &Member,
    history: &History,
    request: &Request,
    sitting: &mut Sitting,
    mail: Occasion,
) -> Vec<Pick> {
    if !member.wishes.personalise && request.strategy.is_personal() {
        // What they own is still not offered to them.
        let history = History { bought: history.bought.clone(), ..History::default() };
        let request = Request { strategy: Strategy::Popular, ..request.clone() };
        let mut apart = Sitting::after(std::mem::take(&mut sitting.taken));
        let picks = pick(catalog, member, &history, &request, &mut apart, mail);
        sitting.taken = apart.taken;
        return picks;
    }
    let begun = sitting.ranking.take().filter(|ranking| ranking.serves(request, sitting.taken.len()));
    let desk = Desk::new(catalog, member, history, request, sitting, mail);
    let mut ranking = begun.unwrap_or_else(|| desk.rank());
    let picks = desk.choose(&mut ranking);
    sitting.taken.extend(picks.iter().map(|pick| pick.product));
    sitting.ranking = Some(ranking);
    picks
}

/// A product some source proposes.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    index: Index,
    score: f64,
    /// The strength of the source whose ground is kept.
    strongest: f64,
    ground: Ground,
}

/// What was proposed so far, each product once.
#[derive(Debug)]
struct Candidates {
    products: Marked,
    all: Vec<Candidate>,
}

impl Candidates {
    /// Adds a proposal; a product proposed twice gathers both strengths and keeps the stronger ground.
    fn propose(&mut self, index: Index, strength: f64, ground: Ground) {
        let known = self.products.has(index).then(|| self.all.iter_mut().find(|known| known.index == index));
        match known.flatten() {
            Some(known) => {
                known.score += strength;
                if strength > known.strongest {
                    (known.strongest, known.ground) = (strength, ground);
                }
            }
            None => {
                self.products.add(index);
                self.all.push(Candidate { index, score: strength, strongest: strength, ground });
            }
        }
    }
}

/// What one request is answered from. The next block that asks alike goes on in it.
#[derive(Debug)]
struct Ranking {
    request: Request,
    /// Products that had been shown before.
    shown_before: usize,
    candidates: Candidates,
    /// The bits of their scores, and where they stand among the candidates, the best first; equal ones as they come.
    order: Vec<(u64, u32)>,
}

impl Ranking {
    /// Whether a block may go on in it: it asks for the same, and there is enough left for the best to be good.
    fn serves(&self, request: &Request, shown: usize) -> bool {
        self.request == *request && self.order.len() >= RANKED_FOR_ONE * (shown - self.shown_before + request.n)
    }
}

/// How far the rules give way, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slack {
    /// At most [`PER_CATEGORY`] of one category.
    None,
    /// Any number of one category, where there are not enough others.
    SameCategory,
    /// Beyond the category asked for, where the block would be empty.
    OtherCategory,
    /// Even of a category bought from lately, where the block would still be empty.
    BoughtCategory,
}

/// Everything one decision looks at.
struct Desk<'a> {
    catalog: &'a Catalog,
    shelf: &'a Shelf,
    member: &'a Member,
    history: &'a History,
    request: &'a Request,
    mail: Occasion,
    now_ms: i64,
    known: &'a Known,
    /// Products of the blocks before this one.
    shown_before: usize,
    wanted: &'a [Node],
    excluded: Vec<Node>,
    /// Taken, excluded by article number, or bought lately.
    barred: Marked,
    /// Categories of which the member owns what still serves; where nobody said how long it does, those bought from
    /// lately, which only `for_you` minds.
    owned: Marked,
}

impl<'a> Desk<'a> {
    fn new(
        catalog: &'a Catalog,
        member: &'a Member,
        history: &'a History,
        request: &'a Request,
        Sitting { taken, known, .. }: &'a Sitting,
        mail: Occasion,
    ) -> Desk<'a> {
        let now_ms = mail.now_ms;
        let shelf = catalog.shelf(&member.market);
        let known = known.get_or_init(|| Known::of(history, catalog, shelf, now_ms));
        let mut barred = Marked::none_of(catalog.products().len());
        let mut owned = Marked::none_of(catalog.categories());
        for did in &known.bought {
            let care = catalog.care_of(did.index);
            if care.repeatable {
                continue;
            }
            let age_ms = now_ms - did.at_ms;
            let lately = age_ms < BOUGHT_LATELY_MS;
            let serves = care.service_ms.is_some_and(|service_ms| (age_ms as f64) < SERVES_SHARE * service_ms as f64);
            if lately {
                barred.add(did.index);
            }
            let minds = match request.strategy {
                Strategy::ForYou | Strategy::Suite | Strategy::Successor | Strategy::AffordableWithPoints => {
                    serves || (care.service_ms.is_none() && lately)
                }
                Strategy::Pinned => false,
                _ => serves,
            };
            if minds {
                owned.add(catalog.node_of(did.index));
            }
        }
        taken.iter().filter_map(|id| catalog.index(*id)).for_each(|index| barred.add(index));
        request.exclude.iter().filter_map(|sku| catalog.index_of_sku(sku)).for_each(|index| barred.add(index));
        Desk {
            catalog,
            shelf,
            member,
            history,
            request,
            mail,
            now_ms,
            known,
            shown_before: taken.len(),
            wanted: request.category.as_deref().map_or(&[], |name| catalog.nodes_named(name)),
            excluded: request.exclude.iter().flat_map(|name| catalog.nodes_named(name)).copied().collect(),
            barred,
            owned,
        }
    }

    /// The rules that never give way, and as many of the others as `slack` leaves.
    fn is_allowed(&self, index: Index, slack: Slack) -> bool {
        if !self.shelf.is_sold(index) || self.barred.has(index) {
            return false;
        }
        let node = self.catalog.node_of(index);
        let within = |above: &Node| self.catalog.is_within(node, *above);
        !self.excluded.iter().any(within)
            && (slack >= Slack::BoughtCategory || !self.owned.has(node))
            && (slack >= Slack::OtherCategory || self.request.category.is_none() || self.wanted.iter().any(within))
    }

    /// Every proposal, the best first.
    fn rank(&self) -> Ranking {
        let mut candidates = self.candidates();
        self.tire(&mut candidates);
        // No score is negative, so their bits are ordered like them, and whole numbers are sorted faster.
        let mut order: Vec<(u64, u32)> = candidates.all.iter().map(|c| c.score.to_bits()).zip(0..).collect();
        order.sort_unstable_by_key(|(score, _)| Reverse(*score));
        Ranking { request: self.request.clone(), shown_before: self.shown_before, candidates, order }
    }

    fn candidates(&self) -> Candidates {
        let products = Marked::none_of(self.catalog.products().len());
        let mut out = Candidates { products, all: Vec::with_capacity(128) };
        match self.request.strategy {
            Strategy::ForYou => self.for_you(&mut out),
            Strategy::Suite => self.suites(&mut out),
            Strategy::Successor => self.successors(&mut out),
            Strategy::AffordableWithPoints => self.affordable(&mut out),
            Strategy::Viewed => {
                self.viewed(PICKS_MAX, &mut out);
                self.around_viewed(&mut out);
            }
            Strategy::New => self.newest(&mut out),
            Strategy::Pinned => self.pinned(&mut out),
            Strategy::Popular => {}
        }
        out
    }

    fn for_you(&self, out: &mut Candidates) {
        self.suggested(out);
        self.learned(out);
        self.viewed(VIEWED_AGAIN, out);
        self.interests(out);
        self.brands(out);
        self.next_categories(out);
        self.around_viewed(out);
    }

    /// Looked at and not bought, up to `n` of them.
    fn viewed(&self, n: usize, out: &mut Candidates) {
        let is_new = |did: &&Did| !self.known.bought.iter().any(|bought| bought.index == did.index);
        let allowed = self.known.viewed.iter().filter(is_new).filter(|did| self.is_allowed(did.index, Slack::None));
        for did in allowed.take(n) {
            let half_lives = (self.now_ms - did.at_ms).max(0) as f64 / VIEW_HALF_LIFE_MS as f64;
            out.propose(did.index, 1.2 * (-half_lives).exp2(), Ground::plain(Why::Viewed));
        }
    }

    /// What sells in the categories that tags speak of, in the member's price band first.
    fn interests(&self, out: &mut Candidates) {
        for (name, strength) in self.tags(INTEREST) {
            for node in self.catalog.nodes_named(name) {
                let ground = Ground::category(Why::Interest, *node);
                self.best_of(*node, strength, ground, out);
            }
        }
    }

    /// What sells of the brands that tags speak of.
    fn brands(&self, out: &mut Candidates) {
        for (name, strength) in self.tags(BRAND) {
            let Some(list) = self.shelf.brands.get(name) else { continue };
            self.take(list.iter().copied(), 0.6 * strength, Ground::plain(Why::Brand), out);
        }
    }

    /// What sells in the categories looked at last.
    fn around_viewed(&self, out: &mut Candidates) {
        let mut nodes: Vec<Node> = Vec::with_capacity(4);
        for did in &self.known.viewed {
            let node = self.catalog.node_of(did.index);
            if nodes.len() < 4 && !nodes.contains(&node) {
                nodes.push(node);
                self.best_of(node, 0.3, Ground::category(Why::Category, node), out);
            }
        }
    }

    fn newest(&self, out: &mut Candidates) {
        let newest = match self.wanted {
            [node] => self.shelf.rack(*node).map_or(&[][..], |rack| &rack.newest),
            _ => &self.shelf.newest,
        };
        let allowed = newest.iter().filter(|index| self.is_allowed(**index, Slack::None));
        for (place, index) in allowed.take(4 * self.request.n.min(PICKS_MAX)).enumerate() {
            out.propose(*index, 1.0 / (place + 1) as f64, Ground::plain(Why::New));
        }
    }

    fn pinned(&self, out: &mut Candidates) {
        let named: Vec<Index> = self.request.pinned.iter().filter_map(|sku| self.catalog.index_of_sku(sku)).collect();
        let pinned = if self.request.pinned.is_empty() { &self.shelf.pinned } else { &named };
        let allowed = pinned.iter().copied().filter(|index| self.is_allowed(*index, Slack::None));
        for (place, index) in allowed.take(4 * PICKS_MAX).enumerate() {
            out.propose(index, 1.0 / (place + 1) as f64, Ground::plain(Why::Pinned));
        }
    }

    /// The strongest tags of a kind, without their prefix, each with a strength in 0..1.
    fn tags(&self, kind: &'static str) -> impl Iterator<Item = (&'a str, f64)> {
        let of_kind = self.history.tags.iter().filter_map(move |tag| Some((tag.key.strip_prefix(kind)?, tag.score)));
        of_kind.take(TAGS_FOLLOWED).map(|(name, score)| (name, score / (score + 1.0)))
    }

    /// Proposes what sells best in a category, in the member's price band first.
    fn best_of(&self, node: Node, strength: f64, ground: Ground, out: &mut Candidates) {
        let Some(rack) = self.shelf.rack(node) else { return };
        let in_band = self.known.band.map_or(&[][..], |band| &rack.bands[band]);
        self.take(in_band.iter().copied(), strength, ground, out);
        self.take(rack.popular.iter().copied(), 0.8 * strength, ground, out);
    }

    fn take(&self, list: impl Iterator<Item = Index>, strength: f64, ground: Ground, out: &mut Candidates) {
        let mut strength = strength;
        let allowed = list.take(LOOKED_PER_SOURCE).filter(|index| self.is_allowed(*index, Slack::None));
        for index in allowed.take(PER_SOURCE) {
            out.propose(index, strength, ground);
            strength *= NEXT;
        }
    }

    /// Lets the rules choose among the candidates, then among what sells best.
    fn choose(&self, Ranking { candidates, order, .. }: &mut Ranking) -> Vec<Pick> {
        let mut choice = Choice::new(self.request.n.min(PICKS_MAX));
        let explored = self.explored();
        if let Some(index) = explored {
            choice.admit(self, index, Slack::None, Ground::plain(Why::Explore));
        }
        for slack in [Slack::None, Slack::SameCategory, Slack::OtherCategory, Slack::BoughtCategory] {
            if choice.is_full() || (slack > Slack::SameCategory && !choice.chosen.is_empty()) {
                break;
            }
            for equal in order.chunk_by_mut(|(a, _), (b, _)| a == b) {
                if choice.is_full() {
                    break;
                }
                if equal.len() > 1 {
                    equal.sort_by_cached_key(|(_, at)| self.lot(candidates.all[*at as usize].index));
                }
                for candidate in equal.iter().map(|(_, at)| candidates.all[*at as usize]) {
                    choice.admit(self, candidate.index, slack, candidate.ground);
                }
            }
            self.fill(&mut choice, slack);
        }
        if explored.is_some() {
            // It is chosen first, so that it counts among its category, and shown last.
            choice.chosen.rotate_left(1);
        }
        let pick = |(index, ground): (Index, Ground)| {
            let reason = self.why(index, ground).told(self.catalog, index);
            Pick { product: self.catalog.at(index).id, reason }
        };
        choice.chosen.into_iter().map(pick).collect()
    }

    /// What the reader is told. Why the tables speak for a product is looked for only now: it costs more than the
    /// score, and only what is shown needs it.
    fn why(&self, index: Index, ground: Ground) -> Ground {
        match ground {
            Ground { why: Why::Bought, on: None } => match self.because(index) {
                popular if popular.why == Why::Popular => self.follows(index).unwrap_or(popular),
                because => because,
            },
            known => known,
        }
    }

    /// The member's lot for a product, as the bits of a fraction, which are ordered like it.
    fn lot(&self, index: Index) -> u64 {
        draw::fraction(&[self.member.id, self.catalog.at(index).id]).to_bits()
    }

    /// Fills what is left with what sells best, in the categories asked for or in all.
    fn fill(&self, choice: &mut Choice, slack: Slack) {
        if self.request.category.is_some() && slack < Slack::OtherCategory {
            for node in self.wanted {
                let ground = Ground::category(Why::Category, *node);
                let rack = self.shelf.rack(*node).map_or(&[][..], |rack| &rack.popular);
                for index in self.rested(rack) {
                    choice.admit(self, index, slack, ground);
                }
            }
            return;
        }
        for index in self.rested(&self.shelf.popular) {
            if choice.is_full() {
                return;
            }
            choice.admit(self, index, slack, Ground::plain(Why::Popular));
        }
    }
}

/// What has been chosen for one block so far.
struct Choice {
    n: usize,
    chosen: Vec<(Index, Ground)>,
    nodes: Vec<Node>,
}

impl Choice {
    fn new(n: usize) -> Choice {
        Choice { n, chosen: Vec::with_capacity(n), nodes: Vec::with_capacity(n) }
    }

    fn is_full(&self) -> bool {
        self.chosen.len() >= self.n
    }

    fn admit(&mut self, desk: &Desk<'_>, index: Index, slack: Slack, ground: Ground) {
        if self.is_full() || self.chosen.iter().any(|(chosen, _)| *chosen == index) || !desk.is_allowed(index, slack) {
            return;
        }
        let node = desk.catalog.node_of(index);
        let many = self.nodes.iter().filter(|chosen| **chosen == node).count() >= PER_CATEGORY;
        if slack >= Slack::SameCategory || !many {
            self.nodes.push(node);
            self.chosen.push((index, ground));
        }
    }
}
