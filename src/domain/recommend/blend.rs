//! One score from several signs, by weights that were learned from what members did next.
//!
//! The score is a sum, so it is gathered without a look at the signs one by one: what everybody's behaviour gives a
//! product is added up once for a catalogue, and each deed of a member adds what it gives its neighbours ([`Judge`]).
//! Every product competes, and a member costs as much as there are neighbours of its deeds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::tables::{Near, Tables};

const DAY_MS: f32 = 86_400_000.0;
/// What is known of a product for a member.
pub const SIGNS: usize = 12;
/// The signs of one product: how popular it is, always and lately; how near to what was bought and to what was looked
/// at; whether, how often and how lately (twice) the member bought it; how lately the member looked at it; how much a
/// best seller is to the member's taste; and again how popular, of what the member bought.
pub type Signs = [f32; SIGNS];
const NEAR_BOUGHT: usize = 2;
const NEAR_VIEWED: usize = 3;
const TASTE: usize = 9;

/// How much each sign counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights(pub Signs);

impl Default for Weights {
    /// What is popular, a little nearer to what the member did: right enough where nothing was learned yet.
    fn default() -> Weights {
        Weights([1.0, 0.0, 0.3, 0.3, 0.0, 0.5, 0.5, 0.5, 1.0, 0.2, 0.0, 0.0])
    }
}

impl Weights {
    pub fn score(&self, signs: &Signs) -> f32 {
        self.0.iter().zip(signs).map(|(weight, sign)| weight * sign).sum()
    }
}

/// What a member did with one product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Own {
    pub product: u32,
    /// How often it was bought; 0: only looked at.
    pub times: u32,
    /// Since the last time, milliseconds.
    pub age_ms: f32,
}

impl Own {
    /// How much of their nearness it gives its neighbours (half-lives of 90 days, and 14 for a look), and what it says
    /// of its own product.
    fn says(&self, tables: &Tables) -> (f32, Signs) {
        let halved = |half_life_days: f32| (-self.age_ms / (half_life_days * DAY_MS)).exp2();
        match self.times {
            0 => {
                let lately = halved(14.0);
                (lately, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, lately, 0.0, 0.0, 0.0])
            }
            times => {
                let slowly = halved(180.0);
                let (share, lately) = (slowly * slowly, slowly.powi(6));
                let (always, now) = tables.popular[self.product as usize];
                (share, [0.0, 0.0, 0.0, 0.0, 1.0, (times as f32).ln(), lately, slowly, 0.0, 0.0, always, now])
            }
        }
    }

    /// The products it speaks of besides its own, and the sign it gives them.
    fn near<'t>(&self, tables: &'t Tables) -> (&'t Near, usize) {
        match self.times {
            0 => (&tables.viewed, NEAR_VIEWED),
            _ => (&tables.bought, NEAR_BOUGHT),
        }
    }
}

/// What everybody's behaviour says of a product.
pub fn common(tables: &Tables, product: u32) -> Signs {
    let mut signs = [0.0; SIGNS];
    (signs[0], signs[1]) = tables.popular[product as usize];
    signs
}

/// The signs of every product that a member's deeds speak of, by number: what [`Judge::read`] sums up.
pub fn signs(tables: &Tables, did: &[Own]) -> BTreeMap<u32, Signs> {
    fn of<'a>(all: &'a mut BTreeMap<u32, Signs>, tables: &Tables, product: u32) -> &'a mut Signs {
        all.entry(product).or_insert_with(|| common(tables, product))
    }
    let mut all: BTreeMap<u32, Signs> = BTreeMap::new();
    for own in did {
        let ((near, sign), (share, said)) = (own.near(tables), own.says(tables));
        let signs = of(&mut all, tables, own.product);
        signs.iter_mut().zip(said).for_each(|(sign, said)| *sign += said);
        for (to, lift) in near.of_product(own.product) {
            of(&mut all, tables, to)[sign] += share * lift;
        }
    }
    for (product, taste) in tables.tastes.of(did) {
        of(&mut all, tables, product)[TASTE] = taste;
    }
    all
}

/// Tables made ready to judge products for one member after the other.
#[derive(Debug, Default)]
pub struct Judge {
    pub tables: Tables,
    /// What each product's score is for somebody who did nothing.
    common: Vec<f32>,
    /// Paper that nobody writes on just now.
    papers: Mutex<Vec<Paper>>,
}

/// What one member's deeds add to the scores.
#[derive(Debug, Default)]
struct Paper {
    /// By product: its score for somebody who did nothing, beside it what is added, 0 before and after.
    scores: Vec<(f32, f32)>,
    /// The products that something was added to.
    touched: Vec<u32>,
    /// What the member's taste added.
    tastes: Vec<(u32, f32)>,
}

impl Judge {
    pub fn new(tables: Tables) -> Judge {
        let common = (0..tables.ids.len() as u32).map(|product| tables.weights.score(&common(&tables, product)));
        Judge { common: common.collect(), papers: Mutex::default(), tables }
    }

    /// What a member's deeds add to every product's score; `did` names each product at most once as bought and once as
    /// seen.
    pub fn read(self: &Arc<Judge>, did: &[Own]) -> Mind {
        let mut papers = self.papers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut paper = papers.pop().unwrap_or_default();
        drop(papers);
        if paper.scores.is_empty() {
            paper.scores.extend(self.common.iter().map(|common| (*common, 0.0)));
        }
        did.iter().for_each(|own| own.near(&self.tables).0.fetch(own.product));
        for own in did {
            let ((near, sign), (share, signs)) = (own.near(&self.tables), own.says(&self.tables));
            let share = share * self.tables.weights.0[sign];
            paper.add(near.of_product(own.product).map(|(to, lift)| (to, share * lift)));
            paper.add([(own.product, self.tables.weights.score(&signs))].into_iter());
        }
        let weight = self.tables.weights.0[TASTE];
        paper.tastes.clear();
        paper.tastes.extend(self.tables.tastes.of(did).map(|(product, taste)| (product, weight * taste)));
        let tastes = std::mem::take(&mut paper.tastes);
        paper.add(tastes.iter().copied());
        paper.tastes = tastes;
        Mind { judge: self.clone(), paper }
    }
}

impl Paper {
    fn add(&mut self, amounts: impl ExactSizeIterator<Item = (u32, f32)>) {
        let mut last = self.touched.len();
        self.touched.resize(last + amounts.len(), 0);
        for (product, amount) in amounts {
            let (_, sum) = &mut self.scores[product as usize];
            // Written always, and kept where it is new: whether it is, nobody could guess.
            self.touched[last] = product;
            last += usize::from(*sum == 0.0);
            *sum += amount;
        }
        self.touched.truncate(last);
    }
}

/// Every product as one member sees it.
#[derive(Debug)]
pub struct Mind {
    judge: Arc<Judge>,
    paper: Paper,
}

impl Drop for Mind {
    fn drop(&mut self) {
        let mut paper = std::mem::take(&mut self.paper);
        paper.touched.drain(..).for_each(|product| paper.scores[product as usize].1 = 0.0);
        self.judge.papers.lock().unwrap_or_else(PoisonError::into_inner).push(paper);
    }
}

impl Mind {
    pub fn score(&self, product: u32) -> f32 {
        let (common, added) = self.paper.scores[product as usize];
        common + added
    }

    /// Whether the member's own deeds speak of a product, other than of what its buyers else buy.
    pub fn knows(&self, product: u32) -> bool {
        self.near(product) != 0.0
    }

    /// What the member's deeds together add to the score of a product the member did nothing with.
    pub fn near(&self, product: u32) -> f32 {
        let taste = self.paper.tastes.iter().find(|(other, _)| *other == product);
        self.paper.scores[product as usize].1 - taste.map_or(0.0, |(_, taste)| *taste)
    }

    /// How much one of the member's deeds adds to the score of another product; `None`: nothing.
    pub fn adds(&self, own: &Own, product: u32) -> Option<f32> {
        let tables = &self.judge.tables;
        let (near, sign) = own.near(tables);
        near.lift(own.product, product).map(|lift| tables.weights.0[sign] * lift * own.says(tables).0)
    }

    /// The `n` products with the highest scores of those that the member's deeds speak of, of `others` and of what
    /// `fits` lets pass, the best first; of equal ones those with the lowest numbers.
    pub fn best(&self, n: usize, others: &[u32], fits: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut best: Vec<(f32, u32)> = Vec::with_capacity(n + 1);
        let mut least = f32::MIN;
        for product in others.iter().chain(&self.paper.touched).copied() {
            let score = self.score(product);
            if score < least {
                continue;
            }
            let place = best.partition_point(|(known, other)| *known > score || (*known == score && *other < product));
            let known = best.get(place).is_some_and(|(_, other)| *other == product);
            if place < n && !known && fits(product) {
                best.insert(place, (score, product));
                best.truncate(n);
                least = if best.len() == n { best[n - 1].0 } else { least };
            }
        }
        best.into_iter().map(|(_, product)| product).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::count::Counter;
    use super::super::log::Deed;
    use super::*;

    /// Forty members who buy 1, 2 and 3 together and look at 3 and 4, and forty who buy 0.
    fn judge() -> Arc<Judge> {
        let mut counter = Counter::new(vec![0, 0, 0, 1, 1, 1], 1000 * DAY_MS as i64);
        for nth in 0..80 {
            let deed = |day: i64, product, bought| Deed { at_ms: (800 + day) * DAY_MS as i64, product, bought };
            let of_three = [deed(nth, 1, true), deed(nth, 2, true), deed(nth + 1, 3, false), deed(nth + 1, 4, false)];
            match nth % 2 {
                0 => counter.member(&of_three),
                _ => counter.member(&[deed(nth, 0, true)]),
            }
        }
        Arc::new(Judge::new(counter.finish((0..6).collect())))
    }

    fn own(product: u32, times: u32, days: f32) -> Own {
        Own { product, times, age_ms: days * DAY_MS }
    }

    #[test]
    fn what_is_summed_is_the_weighed_signs() {
        let judge = judge();
        let did = [own(1, 3, 20.0), own(3, 0, 2.0), own(1, 0, 4.0)];
        for _ in 0..2 {
            let mind = judge.read(&did);
            let signs = signs(&judge.tables, &did);
            assert_eq!(signs.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
            for product in 0..6 {
                let known = signs.get(&product).copied().unwrap_or_else(|| common(&judge.tables, product));
                let weighed = judge.tables.weights.score(&known);
                assert!((mind.score(product) - weighed).abs() < 1e-5, "{product}: {} {weighed}", mind.score(product));
            }
        }
    }

    #[test]
    fn the_best_are_those_with_the_highest_scores_that_fit() {
        let judge = judge();
        let mind = judge.read(&[own(1, 1, 1.0), own(3, 0, 1.0)]);
        let mut all: Vec<u32> = (0..6).filter(|product| *product != 2).collect();
        all.sort_by(|a, b| mind.score(*b).total_cmp(&mind.score(*a)).then(a.cmp(b)));
        for n in 1..=5 {
            assert_eq!(mind.best(n, &[0, 1, 5], |product| product != 2), all[..n]);
        }
        assert!(!mind.best(5, &[], |_| true).contains(&5), "nobody asked for it");
    }
}
