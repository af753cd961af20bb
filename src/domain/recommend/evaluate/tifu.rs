//! TIFU-kNN (Hu et al., SIGIR 2020): a member's own purchases decayed twice, mixed with those of like members.

use std::collections::HashMap;

use super::super::log::Deed;
use super::{Method, Trial};

/// Like members that are asked.
const NEIGHBOURS: usize = 300;
/// What a basket counts, for each basket after it in its group.
const WITHIN_GROUP: f32 = 0.9;
/// What a group counts, for each group after it.
const GROUP: f32 = 0.7;
/// Baskets of a group.
const GROUP_BASKETS: usize = 7;
/// The member's own share.
const OWN: f32 = 0.7;
/// Members among whom like ones are looked for, drawn evenly.
const POOL_MAX: usize = 50_000;

type Taste = Vec<(u32, f32)>;

/// The tastes of members.
pub struct TifuKnn {
    tastes: Vec<(Taste, f32)>,
    by_product: Vec<Vec<(u32, f32)>>,
}

impl TifuKnn {
    pub fn new(trial: &Trial<'_>) -> TifuKnn {
        let pasts: Vec<&[Deed]> = trial.pasts().filter(|past| past.iter().any(|deed| deed.bought)).collect();
        let step = pasts.len().div_ceil(POOL_MAX).max(1);
        let tastes: Vec<(Taste, f32)> = pasts.into_iter().step_by(step).map(|past| with_length(taste(past))).collect();
        let mut by_product = vec![Vec::new(); trial.log().items.len()];
        for (member, (taste, _)) in tastes.iter().enumerate() {
            for (product, weight) in taste {
                by_product[*product as usize].push((member as u32, *weight));
            }
        }
        TifuKnn { tastes, by_product }
    }
}

impl Method for TifuKnn {
    fn name(&self) -> &str {
        "TIFU-kNN"
    }

    fn score(&self, past: &[Deed], scores: &mut [f32]) {
        let (own, length) = with_length(taste(past));
        if own.is_empty() {
            return;
        }
        let mut dots = vec![0f32; self.tastes.len()];
        for (product, weight) in &own {
            for (member, theirs) in &self.by_product[*product as usize] {
                dots[*member as usize] += weight * theirs;
            }
        }
        // Euclid's distance, as the paper measures it.
        let distance = |member: usize| length + self.tastes[member].1 - 2.0 * dots[member];
        let mut near: Vec<(f32, u32)> = (0..dots.len()).map(|member| (distance(member), member as u32)).collect();
        if near.len() > NEIGHBOURS {
            near.select_nth_unstable_by(NEIGHBOURS, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            near.truncate(NEIGHBOURS);
        }
        let share = (1.0 - OWN) / near.len().max(1) as f32;
        for (_, member) in &near {
            for (product, weight) in &self.tastes[*member as usize].0 {
                scores[*product as usize] += share * weight;
            }
        }
        for (product, weight) in own {
            scores[product as usize] += OWN * weight;
        }
    }
}

/// The taste with the square of its length.
fn with_length(taste: Taste) -> (Taste, f32) {
    let length = taste.iter().map(|(_, weight)| weight * weight).sum();
    (taste, length)
}

/// Baskets decayed within groups, groups decayed among each other. The last group is the full one; what does not fill
/// a group comes first.
fn taste(past: &[Deed]) -> Taste {
    let bought: Vec<&Deed> = past.iter().filter(|deed| deed.bought).collect();
    let baskets: Vec<&[&Deed]> = bought.chunk_by(|a, b| a.at_ms == b.at_ms).collect();
    let groups = baskets.len().div_ceil(GROUP_BASKETS).max(1);
    let mut taste: HashMap<u32, f32> = HashMap::new();
    for (back, basket) in baskets.iter().rev().enumerate() {
        let (group, within) = (back / GROUP_BASKETS, back % GROUP_BASKETS);
        let size = (baskets.len() - group * GROUP_BASKETS).min(GROUP_BASKETS) as f32;
        let weight = WITHIN_GROUP.powi(within as i32) / size * GROUP.powi(group as i32) / groups as f32;
        for deed in *basket {
            *taste.entry(deed.product).or_default() += weight;
        }
    }
    let mut taste: Taste = taste.into_iter().collect();
    taste.sort_unstable_by_key(|(product, _)| *product);
    taste
}
