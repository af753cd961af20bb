//! How good recommendations are: what members bought after an instant, foretold from what they had done before it.
//!
//! Every method ranks the whole catalogue for every member (no sampled candidates: those turn rankings of methods
//! around; Krichene and Rendle, KDD 2020). Three questions are asked of it, because a member's next purchase is mostly
//! one made before, which says nothing about finding something new (Li et al., TOIS 2023):
//!
//! - **total**: the best `k` of everything, against all that was bought afterwards;
//! - **repeat**: the best `k` of what the member had bought, against what was bought again;
//! - **explore**: the best `k` of what the member had not bought, against what was bought for the first time.
//!
//! Products a method has nothing to say about follow in the order of their popularity, so that no method's list is
//! shorter than another's. A product first sold after the split cannot be foretold, but counts as bought.

mod baseline;
mod bootstrap;
mod knn;
mod measure;
mod ours;
mod ruled;
mod tifu;

use super::log::{Deed, Log};
pub use baseline::{CategoryPopularity, PersonalTop, Popularity};
pub use bootstrap::{Interval, RESAMPLES};
pub use knn::{ItemKnn, Similarity};
pub use measure::{Facet, Measure};
pub use ours::Ours;
pub use ruled::Ruled;
pub use tifu::TifuKnn;

use measure::{Marks, mark};

/// Most members that are asked about, drawn evenly.
pub const MEMBERS_MAX: usize = 10_000;
/// Longest list that is judged.
pub const K_MAX: usize = 100;

/// A way to rank products for a member.
pub trait Method {
    fn name(&self) -> &str;

    /// Adds to `scores`, one for each product and all 0; what stays 0 follows by popularity.
    fn score(&self, past: &[Deed], scores: &mut [f32]);

    /// The list itself, best first, where it is more than the highest scores: of each facet the first that belong to
    /// it.
    fn list(&self, _member: usize, _past: &[Deed]) -> Option<Vec<u32>> {
        None
    }
}

/// A log cut at an instant.
pub struct Trial<'a> {
    log: &'a Log,
    split_ms: i64,
    /// Members with something before the split and a purchase after it.
    asked: Vec<usize>,
    /// Every product by how often it was bought before the split, the most popular first, and each one's place.
    pub by_popularity: Vec<u32>,
    place: Vec<u32>,
}

impl<'a> Trial<'a> {
    pub fn new(log: &'a Log, split_ms: i64) -> Trial<'a> {
        let mut sold = vec![0u32; log.items.len()];
        let mut asked = Vec::new();
        for (member, deeds) in log.members().enumerate() {
            let (past, future) = cut(deeds, split_ms);
            past.iter().filter(|deed| deed.bought).for_each(|deed| sold[deed.product as usize] += 1);
            if !past.is_empty() && future.iter().any(|deed| deed.bought) {
                asked.push(member);
            }
        }
        let step = asked.len().div_ceil(MEMBERS_MAX).max(1);
        let asked = asked.into_iter().step_by(step).collect();
        let mut by_popularity: Vec<u32> =
            (0..sold.len() as u32).filter(|product| sold[*product as usize] > 0).collect();
        by_popularity.sort_by_key(|product| (std::cmp::Reverse(sold[*product as usize]), *product));
        let mut place = vec![u32::MAX; sold.len()];
        by_popularity.iter().zip(0..).for_each(|(product, nth)| place[*product as usize] = nth);
        Trial { log, split_ms, asked, by_popularity, place }
    }

    pub fn log(&self) -> &Log {
        self.log
    }

    pub fn split_ms(&self) -> i64 {
        self.split_ms
    }

    /// How many members are asked about.
    pub fn members(&self) -> usize {
        self.asked.len()
    }

    /// What each member had done before the split.
    pub fn pasts(&self) -> impl Iterator<Item = &'a [Deed]> {
        self.log.members().map(|deeds| cut(deeds, self.split_ms).0)
    }

    /// Ranks for every member with a method, and marks each list of `k`.
    pub fn run(&self, method: &dyn Method, k: usize) -> Run {
        let all: Vec<&[Deed]> = self.log.members().collect();
        let mut scores = vec![0f32; self.log.items.len()];
        let mut seen = vec![false; self.log.items.len()];
        let mut run = Run { name: method.name().to_owned(), marks: Default::default(), shown: vec![false; seen.len()] };
        for member in &self.asked {
            let (past, future) = cut(all[*member], self.split_ms);
            scores.fill(0.0);
            method.score(past, &mut scores);
            let bought = || past.iter().filter(|deed| deed.bought);
            bought().for_each(|deed| seen[deed.product as usize] = true);
            let mut truth: Vec<u32> = future.iter().filter(|deed| deed.bought).map(|deed| deed.product).collect();
            truth.sort_unstable();
            truth.dedup();
            let own = method.list(*member, past);
            for facet in Facet::ALL {
                let fits = |product: u32| facet.takes(seen[product as usize]);
                let wanted: Vec<u32> = truth.iter().copied().filter(|product| fits(*product)).collect();
                let list = match &own {
                    Some(own) => own.iter().copied().filter(|product| fits(*product)).take(k).collect(),
                    None => self.best(&scores, k, fits),
                };
                if *facet == Facet::Total {
                    list.iter().for_each(|product| run.shown[*product as usize] = true);
                }
                run.marks[*facet as usize].push((!wanted.is_empty()).then(|| mark(&list, &wanted, k)));
            }
            bought().for_each(|deed| seen[deed.product as usize] = false);
        }
        run
    }

    /// The `k` products with the highest scores of those that `fits` lets pass; equal ones by popularity.
    fn best(&self, scores: &[f32], k: usize, fits: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut best: Vec<(f32, u32)> = Vec::with_capacity(k + 1);
        for (place, product) in self.by_popularity.iter().zip(0u32..).map(|(product, place)| (place, *product)) {
            let score = scores[product as usize];
            if (best.len() == k && score <= best[k - 1].0) || !fits(product) {
                continue;
            }
            // Walking by popularity, an equal score stays behind those before it.
            let at = best.partition_point(|(known, _)| *known >= score);
            best.insert(at, (score, place));
            best.truncate(k);
        }
        best.into_iter().map(|(_, place)| self.by_popularity[place as usize]).collect()
    }

    /// The place of a product by popularity; `None` for one that was not bought before the split.
    pub fn place(&self, product: u32) -> Option<u32> {
        Some(self.place[product as usize]).filter(|place| *place != u32::MAX)
    }
}

/// The deeds before and from an instant on.
fn cut(deeds: &[Deed], split_ms: i64) -> (&[Deed], &[Deed]) {
    deeds.split_at(deeds.partition_point(|deed| deed.at_ms < split_ms))
}

/// How one method did, member by member.
pub struct Run {
    pub name: String,
    /// By facet, one for each member asked about; `None` where there was nothing to find.
    marks: [Vec<Option<Marks>>; Facet::ALL.len()],
    shown: Vec<bool>,
}

impl Run {
    /// Members that had something to find.
    pub fn members(&self, facet: Facet) -> usize {
        self.marks[facet as usize].iter().flatten().count()
    }

    /// The share of the products bought before the split that stand in at least one total list.
    pub fn coverage(&self, trial: &Trial<'_>) -> f64 {
        let shown = self.shown.iter().filter(|shown| **shown).count();
        shown as f64 / trial.by_popularity.len().max(1) as f64
    }

    /// The mean over members with its 95 % interval.
    pub fn mean(&self, facet: Facet, measure: Measure, seed: u64) -> Interval {
        let marks: Vec<f64> = self.marks[facet as usize].iter().flatten().map(|marks| marks.of(measure)).collect();
        bootstrap::interval(&marks, seed)
    }

    /// How much more than `other` on the same members, with its 95 % interval.
    pub fn beyond(&self, other: &Run, facet: Facet, measure: Measure, seed: u64) -> Interval {
        let pairs = self.marks[facet as usize].iter().zip(&other.marks[facet as usize]);
        let differences: Vec<f64> =
            pairs.filter_map(|(a, b)| Some(a.as_ref()?.of(measure) - b.as_ref()?.of(measure))).collect();
        bootstrap::interval(&differences, seed)
    }
}
