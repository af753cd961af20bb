//! Strategies that rest on what the catalogue says of products and on points. Each leads with its own proposals and
//! falls back on weaker ones, so that a block is never empty because one table is.

use super::{Candidates, Desk, Did, Ground, NEXT, Slack, Why};
use crate::domain::catalog::{Index, Node};

/// How much stronger a strategy's own proposals are than what it falls back on, even after three mails that showed them
/// in vain.
const LEAD: f64 = 100.0;
/// The same for what comes second.
const SECOND: f64 = 5.0;
/// Suites and categories that are followed, the latest.
const FOLLOWED: usize = 4;
/// The strength of an engine's first suggestion, and how much weaker each next one is: as strong as what was learned.
const SUGGESTED: f64 = 1.5;
const NEXT_SUGGESTED: f64 = 0.96;
/// Most suggestions looked at.
pub const SUGGESTED_MAX: usize = 24;
/// What follows a purchase is proposed so strongly where it is sure and its time has come.
const NEXT_CATEGORY: f64 = 0.8;
/// Waiting times are compared as if both were so much longer: a week sooner or later is no matter, milliseconds.
const LAG_GRACE_MS: i64 = 14 * super::DAY_MS;
/// Models that followed each other.
const SUCCESSORS_MAX: usize = 5;
/// Best sellers that are looked at for affordable ones, and the most that are proposed.
const LOOKED_MAX: usize = 400;
const AFFORDABLE_MAX: usize = 24;

impl<'a> Desk<'a> {
    /// What an engine outside suggests, as far as the rules let it.
    pub(super) fn suggested(&self, out: &mut Candidates) {
        let mut strength = SUGGESTED;
        let known = self.history.suggested.iter().take(SUGGESTED_MAX).filter_map(|id| self.catalog.index(*id));
        for index in known.filter(|index| self.is_allowed(*index, Slack::None)) {
            out.propose(index, strength, Ground::plain(Why::Engine));
            strength *= NEXT_SUGGESTED;
        }
    }

    /// The rest of the suites the member bought of, then of those looked at; then what `for_you` shows.
    pub(super) fn suites(&self, out: &mut Candidates) {
        let mut followed: Vec<&str> = Vec::with_capacity(FOLLOWED);
        let mut strength = LEAD;
        for index in self.known.bought.iter().chain(&self.known.viewed).map(|did| did.index) {
            let suite = self.catalog.at(index).suite.as_str();
            if suite.is_empty() || followed.contains(&suite) || followed.len() == FOLLOWED {
                continue;
            }
            followed.push(suite);
            let list = self.shelf.suites.get(suite).into_iter().flatten().copied();
            let others = list.filter(|other| *other != index && !self.has_bought(*other));
            self.take(others, strength, Ground::plain(Why::Suite), out);
            strength *= NEXT;
        }
        self.for_you(out);
    }

    /// What is bought next after a category the member bought from, the more the likelier it is and the nearer its
    /// time.
    pub(super) fn next_categories(&self, out: &mut Candidates) {
        let mut asked: Vec<Node> = Vec::with_capacity(FOLLOWED);
        for did in &self.known.bought {
            let node = self.catalog.node_of(did.index);
            if asked.len() == FOLLOWED || asked.contains(&node) {
                continue;
            }
            asked.push(node);
            let ground = Ground::category(Why::Next, node);
            for next in self.catalog.next_after(node) {
                let waited = ((self.now_ms - did.at_ms).max(0) + LAG_GRACE_MS) as f64;
                let usual = (next.lag_ms + LAG_GRACE_MS) as f64;
                let timely = (waited / usual).min(usual / waited);
                let strength = NEXT_CATEGORY * (1.0 - 1.0 / f64::from(next.lift)) * timely;
                self.best_of(next.node, strength, ground, out);
            }
        }
    }

    /// The reason for a product of a category that is bought from after one the member bought from.
    pub(super) fn follows(&self, index: Index) -> Option<Ground> {
        let node = self.catalog.node_of(index);
        let mut before = self.known.bought.iter().map(|did| self.catalog.node_of(did.index)).take(FOLLOWED);
        let from = before.find(|from| self.catalog.next_after(*from).iter().any(|next| next.node == node))?;
        Some(Ground::category(Why::Next, from))
    }

    fn has_bought(&self, index: Index) -> bool {
        self.known.bought.iter().any(|did| did.index == index)
    }

    /// What came after the models the member bought, or looked at while they were sold; then what is new in those
    /// categories, no cheaper a kind than the one bought.
    pub(super) fn successors(&self, out: &mut Candidates) {
        let gone = |did: &&Did| !self.shelf.is_sold(did.index);
        let mut strength = LEAD;
        for index in self.known.bought.iter().chain(self.known.viewed.iter().filter(gone)).map(|did| did.index) {
            if let Some(next) = self.successor(index) {
                out.propose(next, strength, Ground::plain(Why::Successor));
                strength *= NEXT;
            }
        }
        let mut nodes: Vec<Node> = Vec::with_capacity(FOLLOWED);
        for index in self.known.bought.iter().map(|did| did.index) {
            let node = self.catalog.node_of(index);
            let Some(rack) = self.shelf.rack(node).filter(|_| nodes.len() < FOLLOWED && !nodes.contains(&node)) else {
                continue;
            };
            nodes.push(node);
            let band = self.shelf.band(index).unwrap_or(0);
            let as_good = rack.newest.iter().copied().filter(|other| self.shelf.band(*other) >= Some(band));
            self.take(as_good, SECOND, Ground::plain(Why::New), out);
        }
        self.around_viewed(out);
    }

    /// The first model after this one that may be shown.
    fn successor(&self, index: Index) -> Option<Index> {
        let next = |index: &Index| self.catalog.index_of_sku(&self.catalog.at(*index).successor);
        let mut after = std::iter::successors(next(&index), next).take(SUCCESSORS_MAX);
        after.find(|next| *next != index && self.is_allowed(*next, Slack::None))
    }

    /// What the member's points pay for in full: of what `for_you` proposes first, then of what sells best.
    pub(super) fn affordable(&self, out: &mut Candidates) {
        self.for_you(out);
        let ground = Ground::plain(Why::Points);
        for candidate in out.all.iter_mut().filter(|candidate| self.is_affordable(candidate.index)) {
            (candidate.score, candidate.ground) = (candidate.score + LEAD, ground);
        }
        let mut strength = LEAD;
        let popular = self.shelf.popular.iter().take(LOOKED_MAX).copied();
        let affordable = popular.filter(|index| self.is_affordable(*index) && self.is_allowed(*index, Slack::None));
        for index in affordable.take(AFFORDABLE_MAX) {
            if !out.products.has(index) {
                out.propose(index, strength, ground);
                strength *= NEXT;
            }
        }
    }

    fn is_affordable(&self, index: Index) -> bool {
        let worth = self.member.points as f64 * self.request.point_value;
        let offer = self.catalog.at(index).offer(&self.member.market);
        offer.is_some_and(|offer| offer.price_minor > 0 && offer.price_minor as f64 <= worth)
    }
}
