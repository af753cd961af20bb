//! What tables are made of, counted in one walk over all members, each member's deeds in the order they were done.

use std::ops::Range;

use super::blend::Weights;
use super::bytes::{Broken, Reader, Writer};
use super::log::Deed;
use super::pairs::Pairs;
use super::tables::{Near, Tables, best_sellers};
use super::taste::{Buyers, COLUMNS};

/// Purchases further apart are no pair, milliseconds (180 days).
const BOUGHT_WITHIN_MS: i64 = 180 * DAY_MS;
/// Looks further apart are no pair, milliseconds (a day).
const VIEWED_WITHIN_MS: i64 = DAY_MS;
/// What a pair counts halves in this time, milliseconds: purchases 180 days, looks 14.
const BOUGHT_HALF_LIFE_MS: i64 = 180 * DAY_MS;
const VIEWED_HALF_LIFE_MS: i64 = 14 * DAY_MS;
/// The products before it that a purchase or a look is paired with.
const BEFORE_MAX: usize = 30;
/// What a pair counts for the product that came first: what goes together goes together in either order, nearly. Most
/// pairs are met so seldom that their order proves little.
const BACKWARD: f32 = 0.9;
/// What a sale counts halves in this time, milliseconds (28 days): what sells now, beside what always sold.
const POPULAR_HALF_LIFE_MS: i64 = 28 * DAY_MS;
/// Products whose pairs are written at once: a few megabytes at most.
const STRETCH: usize = 256;
pub(super) const DAY_MS: i64 = 86_400_000;

/// The counts so far.
#[derive(Debug, Clone)]
pub struct Counter {
    now_ms: i64,
    /// Purchases, all alike and by age.
    sold: Vec<f32>,
    sold_lately: Vec<f32>,
    bought: Pairs,
    viewed: Pairs,
    buyers: Buyers,
}

impl Counter {
    /// Counts for products of these [`kinds`](super::taste::kinds) as of `now_ms`.
    pub fn new(kinds: Vec<u8>, now_ms: i64) -> Counter {
        let products = kinds.len();
        Counter {
            now_ms,
            sold: vec![0.0; products],
            sold_lately: vec![0.0; products],
            bought: Pairs::new(products),
            viewed: Pairs::new(products),
            buyers: Buyers::new(kinds),
        }
    }

    /// Counts one member's deeds, the earliest first; those from now on are not looked at.
    pub fn member(&mut self, deeds: &[Deed]) {
        let mut bought = Trail::default();
        let mut viewed = Trail::default();
        let deeds = &deeds[..deeds.partition_point(|deed| deed.at_ms < self.now_ms)];
        let mut products: Vec<u32> = deeds.iter().filter(|deed| deed.bought).map(|deed| deed.product).collect();
        products.sort_unstable();
        self.buyers.member(&products);
        for deed in deeds {
            let product = deed.product as usize;
            if deed.bought {
                let age = (self.now_ms - deed.at_ms) as f32;
                self.sold[product] += 1.0;
                self.sold_lately[product] += (-age / POPULAR_HALF_LIFE_MS as f32).exp2();
                let weight = (-age / BOUGHT_HALF_LIFE_MS as f32).exp2();
                bought.meet(deed, BOUGHT_WITHIN_MS, |before, same_basket| {
                    self.bought.add(before, deed.product, weight);
                    self.bought.add(deed.product, before, if same_basket { weight } else { BACKWARD * weight });
                });
            } else {
                let weight = (-((self.now_ms - deed.at_ms) as f32) / VIEWED_HALF_LIFE_MS as f32).exp2();
                viewed.meet(deed, VIEWED_WITHIN_MS, |before, _| {
                    self.viewed.add(before, deed.product, weight);
                    self.viewed.add(deed.product, before, weight);
                });
            }
        }
    }

    /// Writes the counts but for the pairs, which are written a stretch at a time.
    pub fn write(&self, w: &mut Writer) {
        w.i64(self.now_ms);
        w.f32s(&self.sold);
        w.f32s(&self.sold_lately);
        self.buyers.write(w);
    }

    /// # Errors
    /// Bytes that are something else.
    pub fn read(r: &mut Reader<'_>) -> Result<Counter, Broken> {
        let (now_ms, sold, sold_lately, buyers) = (r.i64()?, r.f32s()?, r.f32s()?, Buyers::read(r)?);
        let products = sold.len();
        if [sold_lately.len(), buyers.products()] != [products; 2] {
            return Err(Broken);
        }
        let (bought, viewed) = (Pairs::new(products), Pairs::new(products));
        Ok(Counter { now_ms, sold, sold_lately, bought, viewed, buyers })
    }

    /// How many products there are.
    pub fn products(&self) -> usize {
        self.sold.len()
    }

    /// The stretches that its pairs are written in.
    pub fn stretches(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let products = self.sold.len();
        (0..products).step_by(STRETCH).map(move |from| from..(from + STRETCH).min(products))
    }

    pub fn write_pairs(&self, stretch: Range<usize>, w: &mut Writer) {
        self.bought.write(stretch.clone(), w);
        self.viewed.write(stretch, w);
    }

    /// # Errors
    /// Bytes that are something else.
    pub fn read_pairs(&mut self, stretch: Range<usize>, r: &mut Reader<'_>) -> Result<(), Broken> {
        self.bought.read(stretch.clone(), r)?;
        self.viewed.read(stretch, r)
    }

    /// As of when it counts.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The tables. `ids` are the products' ids by number.
    pub fn finish(self, ids: Vec<i64>) -> Tables {
        let popular: Vec<(f32, f32)> =
            self.sold.iter().zip(&self.sold_lately).map(|(all, lately)| popular(*all, *lately)).collect();
        Tables {
            built_at_ms: self.now_ms,
            ids,
            tastes: self.buyers.finish(best_sellers(&popular, COLUMNS)),
            popular,
            bought: Near::of(&self.bought),
            viewed: Near::of(&self.viewed),
            weights: Weights::default(),
            follows: Vec::new(),
        }
    }
}

/// How much a product sold, and how much more of it lately than always, as logarithms.
fn popular(sold: f32, lately: f32) -> (f32, f32) {
    let always = (sold + 0.5).ln();
    (always, (lately + 0.5).ln() - always)
}

/// The products a member met last, each once.
#[derive(Default)]
struct Trail {
    met: Vec<(i64, u32)>,
}

impl Trail {
    /// Pairs a deed with what came before it; one with a product met before makes no pair again.
    fn meet(&mut self, deed: &Deed, within_ms: i64, mut pair: impl FnMut(u32, bool)) {
        if self.met.iter().any(|(_, product)| *product == deed.product) {
            return;
        }
        for (at_ms, before) in self.met.iter().rev().take(BEFORE_MAX) {
            if deed.at_ms - at_ms > within_ms {
                break;
            }
            pair(*before, *at_ms == deed.at_ms);
        }
        self.met.push((deed.at_ms, deed.product));
    }
}
