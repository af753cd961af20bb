//! The recommender itself, put to the same questions as the baselines.

use std::sync::Arc;

use super::super::blend::Judge;
use super::super::count::Counter;
use super::super::learn::{self, learn};
use super::super::log::Deed;
use super::super::tables::Tables;
use super::super::taste::kinds;
use super::{Method, Trial};

/// The share of the time before the split whose purchases the weights are learned from.
const LEARNED_FROM: i64 = 6;

/// Tables and weights of what was done before the split.
pub struct Ours {
    judge: Arc<Judge>,
}

impl Ours {
    /// First tables of five sixths of the time, from which to learn the weights; then tables of all of it.
    pub fn new(trial: &Trial<'_>) -> Ours {
        let count = |until_ms: i64| {
            let mut counter = Counter::new(kinds(trial.log().items.iter().map(|item| &*item.category)), until_ms);
            trial.pasts().for_each(|past| counter.member(past));
            counter.finish((0..trial.log().items.len() as i64).collect())
        };
        let first_ms = trial.pasts().filter_map(|past| past.first()).map(|deed| deed.at_ms).min().unwrap_or_default();
        let earlier = count(trial.split_ms() - (trial.split_ms() - first_ms) / LEARNED_FROM);
        let weights = learn(&earlier, trial.pasts());
        Ours { judge: Arc::new(Judge::new(Tables { weights, ..count(trial.split_ms()) })) }
    }

    pub fn tables(&self) -> &Tables {
        &self.judge.tables
    }
}

impl Method for Ours {
    fn name(&self) -> &str {
        "indicia"
    }

    fn score(&self, past: &[Deed], scores: &mut [f32]) {
        let mind = self.judge.read(&learn::own(past, self.tables().built_at_ms));
        for (product, score) in scores.iter_mut().enumerate() {
            // What stays 0 follows by popularity, so every score is made to lie above.
            *score = 100.0 + mind.score(product as u32);
        }
    }
}
