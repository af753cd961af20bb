//! What the product blocks of one mail share.

use std::cell::OnceCell;

use super::blend::{Mind, Own};
use super::{Act, History, Ranking};
use crate::domain::catalog::{BANDS, Catalog, Index, Shelf};

/// Products bought and looked at that are asked for their neighbours, the latest.
const BOUGHT_ASKED: usize = 40;
const VIEWED_ASKED: usize = 20;

/// What the blocks of one mail have in common: the products shown so far, none of which is shown again, and what of the
/// member is worked out once for all of them.
#[derive(Debug, Default)]
pub struct Sitting {
    pub(super) taken: Vec<i64>,
    pub(super) known: OnceCell<Known>,
    /// What the last block was chosen from.
    pub(super) ranking: Option<Ranking>,
}

impl Sitting {
    /// One in which these products were shown already.
    pub fn after(taken: Vec<i64>) -> Sitting {
        Sitting { taken, ..Sitting::default() }
    }

    /// The ids of the products shown so far.
    pub fn taken(&self) -> &[i64] {
        &self.taken
    }
}

/// A member's history in the terms of one catalogue.
#[derive(Debug)]
pub(super) struct Known {
    /// Purchases and looks, the latest first.
    pub bought: Vec<Did>,
    pub viewed: Vec<Did>,
    /// What the last mails showed in vain, and how often, by index.
    pub ignored: Vec<(Index, u32)>,
    /// The price band the member buys and looks in.
    pub band: Option<usize>,
    /// The latest of it, as the tables ask for it.
    pub own: Vec<Own>,
    /// What that adds to products' scores, once it was asked for; `None`: nothing.
    pub mind: OnceCell<Option<Mind>>,
}

impl Known {
    pub fn of(history: &History, catalog: &Catalog, shelf: &Shelf, now_ms: i64) -> Known {
        let did = |acts: &[Act], times: fn(&Act) -> u32| {
            let mut all = Vec::with_capacity(acts.len());
            let known =
                |act: &Act| Some(Did { index: catalog.index(act.product)?, at_ms: act.at_ms, times: times(act) });
            all.extend(acts.iter().filter_map(known));
            all
        };
        let bought: Vec<Did> = did(&history.bought, |act| act.times.max(1));
        let viewed: Vec<Did> = did(&history.viewed, |_| 0);
        let mut ignored: Vec<(Index, u32)> =
            history.ignored.iter().filter_map(|(product, times)| Some((catalog.index(*product)?, *times))).collect();
        ignored.sort_unstable();
        let (band, own) = (usual_band(shelf, &bought, &viewed), own(&bought, &viewed, now_ms));
        Known { bought, viewed, ignored, band, own, mind: OnceCell::new() }
    }
}

/// What the member did with a product of this catalogue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Did {
    pub index: Index,
    pub at_ms: i64,
    /// How often it was bought; 0: only looked at.
    pub times: u32,
}

/// What a member did lately, as the tables number products.
fn own(bought: &[Did], viewed: &[Did], now_ms: i64) -> Vec<Own> {
    let asked = bought.iter().take(BOUGHT_ASKED).chain(viewed.iter().take(VIEWED_ASKED));
    let own = |did: &Did| Own { product: did.index, times: did.times, age_ms: (now_ms - did.at_ms).max(0) as f32 };
    asked.map(own).collect()
}

/// The price band a member buys in, looks counting a third; `None` where nothing is known.
fn usual_band(shelf: &Shelf, bought: &[Did], viewed: &[Did]) -> Option<usize> {
    let (mut sum, mut weight) = (0, 0);
    for (did, counts) in bought.iter().map(|did| (did, 3)).chain(viewed.iter().map(|did| (did, 1))) {
        if let Some(band) = shelf.band(did.index) {
            sum += counts * usize::from(band);
            weight += counts;
        }
    }
    (weight > 0).then(|| ((2 * sum + weight) / (2 * weight)).min(BANDS - 1))
}
