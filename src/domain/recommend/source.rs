//! The source that learned from everybody: what the tables say of one member.

use super::blend::{Mind, Own};
use super::tables::{NEIGHBOURS, Tables};
use super::{Candidate, DAY_MS, Desk, History, Reason, Slack, Why, propose};
use crate::domain::catalog::{Catalog, Index};

/// Products bought and looked at that are asked for their neighbours, the latest.
const BOUGHT_ASKED: usize = 40;
const VIEWED_ASKED: usize = 20;
/// The best sellers that compete with the neighbours.
const POPULAR_ASKED: usize = 40;
/// Products that are ranked exactly, and of them those that are proposed.
const RANKED: usize = 96;
const PROPOSED: usize = 24;
/// The strength of the first proposal, and how much weaker each next one is.
const FIRST: f64 = 1.5;
const NEXT: f64 = 0.96;
/// What everybody buys steps back where tags speak of this member.
const COMMON: f64 = 0.3;

impl Desk<'_> {
    /// Proposes what the member is likeliest to want, by the weighed signs of the tables.
    pub(super) fn learned(&self, out: &mut Vec<Candidate>) {
        let Some(tables) = self.catalog.tables() else { return };
        let did: Vec<Own> = self.own().collect();
        if did.is_empty() {
            // Of somebody who did nothing, tags and the market's best sellers know more.
            return;
        }
        let mut mind = Mind::of(did.len() * (NEIGHBOURS + 1));
        mind.read(tables, did.into_iter());
        let popular = self.shelf.popular.iter().take(POPULAR_ASKED);
        let mut scored: Vec<(f32, Index)> = mind
            .touched()
            .iter()
            .chain(popular)
            .map(|index| (tables.weights.score(&mind.signs(tables, *index)), *index))
            .collect();
        let best_first = |a: &(f32, Index), b: &(f32, Index)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if scored.len() > RANKED {
            scored.select_nth_unstable_by(RANKED, best_first);
            scored.truncate(RANKED);
        }
        scored.sort_unstable_by(best_first);
        scored.dedup_by_key(|(_, index)| *index);
        let mut strength = FIRST;
        for (_, index) in scored.into_iter().filter(|(_, index)| self.is_allowed(*index, Slack::None)).take(PROPOSED) {
            let common = !mind.knows(index) && !self.history.tags.is_empty();
            propose(out, index, if common { COMMON * strength } else { strength }, || Reason {
                why: Why::Bought,
                on: None,
            });
            strength *= NEXT;
        }
    }

    /// What the member did lately, as the tables number products.
    fn own(&self) -> impl Iterator<Item = Own> {
        own(self.catalog, self.history, self.now_ms)
    }

    /// The reason for a product that the tables proposed: what of the member's own speaks for it most.
    pub(super) fn because(&self, index: Index) -> Reason {
        let Some(tables) = self.catalog.tables() else { return Reason::plain(Why::Popular) };
        let mut strongest: Option<(f32, Own)> = None;
        for own in self.own() {
            if own.product == index {
                return Reason::plain(if own.times > 0 { Why::Again } else { Why::Viewed });
            }
            if let Some(says) = says(tables, &own, index)
                && strongest.is_none_or(|(most, _)| says > most)
            {
                strongest = Some((says, own));
            }
        }
        match strongest {
            Some((_, own)) => Reason {
                why: if own.times > 0 { Why::Bought } else { Why::Alike },
                on: Some(self.catalog.leaf_of(self.catalog.node_of(own.product)).clone()),
            },
            None => Reason::plain(Why::Popular),
        }
    }
}

fn own(catalog: &Catalog, history: &History, now_ms: i64) -> impl Iterator<Item = Own> {
    let bought = history.bought.iter().take(BOUGHT_ASKED).map(|act| (act, act.times.max(1)));
    let viewed = history.viewed.iter().take(VIEWED_ASKED).map(|act| (act, 0));
    bought.chain(viewed).filter_map(move |(act, times)| {
        let age_ms = (now_ms - act.at_ms).max(0) as f32;
        Some(Own { product: catalog.index(act.product)?, times, age_ms })
    })
}

/// How much one of the member's deeds speaks for a product, or `None`: not at all.
fn says(tables: &Tables, own: &Own, index: Index) -> Option<f32> {
    let (near, half_life_days, weight) = match own.times {
        0 => (&tables.viewed, 14, tables.weights.0[3]),
        _ => (&tables.bought, 90, tables.weights.0[2]),
    };
    let lift = near.of_product(own.product).iter().find(|(to, _)| *to == index)?.1;
    Some(weight * lift * (-own.age_ms / (half_life_days * DAY_MS) as f32).exp2()).filter(|says| *says > 0.0)
}
