//! The source that learned from everybody: what the tables say of one member.

use super::blend::{Mind, Own};
use super::{Candidates, Desk, Ground, Slack, Why};
use crate::domain::catalog::Index;

/// Products bought and looked at that are asked for their neighbours, the latest.
const BOUGHT_ASKED: usize = 40;
const VIEWED_ASKED: usize = 20;
/// The market's best sellers that compete with the neighbours.
const POPULAR_ASKED: usize = 40;
/// The products that are proposed.
const PROPOSED: usize = 24;
/// The strength of the first proposal, and how much weaker each next one is.
const FIRST: f64 = 1.5;
const NEXT: f64 = 0.96;
/// What everybody buys steps back where tags speak of this member.
const COMMON: f64 = 0.3;

impl<'a> Desk<'a> {
    /// Proposes what the member is likeliest to want, by the weighed signs of the tables.
    pub(super) fn learned(&self, out: &mut Candidates<'a>) {
        let Some(mind) = self.mind() else { return };
        let popular = &self.shelf.popular[..self.shelf.popular.len().min(POPULAR_ASKED)];
        let mut strength = FIRST;
        for index in mind.best(PROPOSED, popular, |index| self.is_allowed(index, Slack::None)) {
            let common = !self.history.tags.is_empty() && !mind.knows(index);
            out.propose(index, if common { COMMON * strength } else { strength }, Ground::plain(Why::Bought));
            strength *= NEXT;
        }
    }

    /// Every product as the member sees it; `None` of somebody who did nothing: tags and the market's best sellers know
    /// more of them.
    fn mind(&self) -> Option<&Mind<'a>> {
        let read = || {
            let did: Vec<Own> = self.own().collect();
            self.catalog.judge().filter(|_| !did.is_empty()).map(|judge| judge.read(&did))
        };
        self.mind.get_or_init(read).as_ref()
    }

    /// What the member did lately, as the tables number products.
    fn own(&self) -> impl Iterator<Item = Own> {
        let asked = self.bought.iter().take(BOUGHT_ASKED).chain(self.viewed.iter().take(VIEWED_ASKED));
        asked.map(|did| Own { product: did.index, times: did.times, age_ms: (self.now_ms - did.at_ms).max(0) as f32 })
    }

    /// The reason for a product that the tables proposed: what of the member's own speaks for it most.
    pub(super) fn because(&self, index: Index) -> Ground<'a> {
        let Some(mind) = self.mind() else { return Ground::plain(Why::Popular) };
        if let Some(own) = self.own().find(|own| own.product == index) {
            return Ground::plain(if own.times > 0 { Why::Again } else { Why::Viewed });
        }
        let mut strongest: Option<(f32, Own)> = None;
        let mut left = mind.near(index);
        for own in self.own() {
            let most = strongest.map_or(0.0, |(most, _)| most);
            if most >= left {
                // What the other deeds add together is no more.
                break;
            }
            let adds = mind.adds(&own, index).unwrap_or_default();
            left -= adds;
            if adds > most {
                strongest = Some((adds, own));
            }
        }
        match strongest {
            Some((_, own)) => {
                let why = if own.times > 0 { Why::Bought } else { Why::Alike };
                Ground::leaf(why, self.catalog.leaf_of(self.catalog.node_of(own.product)))
            }
            None => Ground::plain(Why::Popular),
        }
    }
}
