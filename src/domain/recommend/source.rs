//! The source that learned from everybody: what the tables say of one member.

use super::blend::{Mind, Own};
use super::{Candidates, Desk, Ground, Slack, Why};
use crate::domain::catalog::Index;

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
    pub(super) fn learned(&self, out: &mut Candidates) {
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
    fn mind(&self) -> Option<&'a Mind> {
        let did = &self.known.own;
        let read = || self.catalog.judge().filter(|_| !did.is_empty()).map(|judge| judge.read(did));
        self.known.mind.get_or_init(read).as_ref()
    }

    /// The reason for a product that the tables proposed: what of the member's own speaks for it most.
    pub(super) fn because(&self, index: Index) -> Ground {
        let Some(mind) = self.mind() else { return Ground::plain(Why::Popular) };
        if let Some(own) = self.known.own.iter().find(|own| own.product == index) {
            return Ground::plain(if own.times > 0 { Why::Again } else { Why::Viewed });
        }
        let mut strongest: Option<(f32, &Own)> = None;
        let mut left = mind.near(index);
        for own in &self.known.own {
            let most = strongest.map_or(0.0, |(most, _)| most);
            if most >= left {
                // What the other deeds add together is no more.
                break;
            }
            let adds = mind.adds(own, index).unwrap_or_default();
            left -= adds;
            if adds > most {
                strongest = Some((adds, own));
            }
        }
        match strongest {
            Some((_, own)) => {
                let why = if own.times > 0 { Why::Bought } else { Why::Alike };
                Ground::category(why, self.catalog.node_of(own.product))
            }
            None => Ground::plain(Why::Popular),
        }
    }
}
