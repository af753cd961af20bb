//! What was learned from everybody's behaviour, ready to be looked up for one member.

use std::collections::HashMap;

use super::blend::Weights;
use super::bytes::{Broken, Reader, Writer};
use super::follow::Follow;
use super::pairs::Pairs;
use super::signify::llr;
use super::taste::Tastes;

/// Neighbours kept of each product.
pub const NEIGHBOURS: usize = 50;
/// What memory is read by, in words.
const CACHE_LINE_WORDS: usize = 16;
/// So many pairs as chance makes are added to every count before it is compared: a few pairs prove little.
const SHRINKAGE: f32 = 5.0;

/// The tables of one build.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tables {
    pub built_at_ms: i64,
    /// Products' ids; everything else speaks of them by their number here.
    pub ids: Vec<i64>,
    /// How much each product sold, and how much more lately than always, as logarithms.
    pub popular: Vec<(f32, f32)>,
    pub bought: Near,
    pub viewed: Near,
    pub tastes: Tastes,
    pub weights: Weights,
    /// Categories that are bought from after others, by the first, the likeliest first.
    pub follows: Vec<Follow>,
}

/// The nearest products of each product.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Near {
    /// Where each product's words begin, and after them where the last one's end.
    starts: Vec<u32>,
    /// Of each product first its neighbours, then the bits of how much likelier than chance each is met, as a
    /// logarithm: what is read together lies together.
    words: Vec<u32>,
}

impl Near {
    fn none() -> Near {
        Near { starts: vec![0], ..Near::default() }
    }

    /// Adds the next product's neighbours.
    fn push(&mut self, neighbours: impl Iterator<Item = (u32, f32)>) {
        let (to, lifts): (Vec<u32>, Vec<u32>) = neighbours.map(|(to, lift)| (to, lift.to_bits())).unzip();
        self.words.extend(to.into_iter().chain(lifts));
        self.starts.push(self.words.len() as u32);
    }

    /// The neighbours that are met more often than chance makes them: the surest ones by their log-likelihood ratio.
    pub(super) fn of(pairs: &Pairs) -> Near {
        let products = pairs.products();
        let rows: Vec<Vec<(u32, f32)>> = (0..products as u32).map(|from| pairs.of(from)).collect();
        let (mut out, mut into, mut all) = (vec![0f64; products], vec![0f64; products], 0f64);
        for (from, row) in rows.iter().enumerate() {
            for (to, weight) in row {
                out[from] += f64::from(*weight);
                into[*to as usize] += f64::from(*weight);
                all += f64::from(*weight);
            }
        }
        let mut kept = Near::none();
        for (from, row) in rows.iter().enumerate() {
            let mut sure: Vec<(f64, u32, f32)> = Vec::with_capacity(row.len());
            for (to, weight) in row {
                let (a, b) = (out[from], into[*to as usize]);
                let chance = (a * b / all) as f32;
                let lift = ((weight + SHRINKAGE) / (chance + SHRINKAGE)).ln();
                if lift > 0.0 {
                    sure.push((llr(f64::from(*weight), a, b, all), *to, lift));
                }
            }
            sure.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            kept.push(sure.into_iter().take(NEIGHBOURS).map(|(_, to, lift)| (to, lift)));
        }
        kept
    }

    fn read(r: &mut Reader<'_>, products: usize) -> Result<Near, Broken> {
        let mut all = Near::none();
        for _ in 0..products {
            all.push(r.pairs()?.into_iter());
        }
        let known = |product: u32| all.run(product).0.iter().all(|to| (*to as usize) < products);
        if (0..products as u32).all(known) { Ok(all) } else { Err(Broken) }
    }

    fn numbered(&self, origin: &[Option<u32>], place: &[Option<u32>]) -> Near {
        let mut all = Near::none();
        for old in origin {
            let near = old.iter().flat_map(|old| self.of_product(*old));
            all.push(near.filter_map(|(to, lift)| Some((place[to as usize]?, lift))));
        }
        all
    }

    /// A product's neighbours and their lifts' bits.
    fn run(&self, product: u32) -> (&[u32], &[u32]) {
        let words = match self.starts.get(product as usize..product as usize + 2) {
            Some([from, to]) => &self.words[*from as usize..*to as usize],
            _ => &[],
        };
        words.split_at(words.len() / 2)
    }

    /// The neighbours of a product, the surest first, and how much likelier than chance each is met, as a logarithm.
    pub fn of_product(&self, product: u32) -> impl ExactSizeIterator<Item = (u32, f32)> {
        let (to, lifts) = self.run(product);
        to.iter().copied().zip(lifts.iter().copied().map(f32::from_bits))
    }

    /// Sends for a product's neighbours, so that they are at hand when they are asked for: memory is slow to answer one
    /// question, and answers many at once.
    pub fn fetch(&self, product: u32) {
        let (to, lifts) = self.run(product);
        for words in [to, lifts] {
            words.iter().step_by(CACHE_LINE_WORDS).for_each(|word| _ = std::hint::black_box(*word));
        }
    }

    /// How near one product is to another; `None`: it is none of its neighbours.
    pub fn lift(&self, from: u32, to: u32) -> Option<f32> {
        // Most are not there, which is found out by comparing many at once.
        let known = self.run(from).0.contains(&to);
        if known { self.of_product(from).find(|(near, _)| *near == to).map(|(_, lift)| lift) } else { None }
    }

    /// How many neighbours all products have together.
    pub fn pairs(&self) -> usize {
        self.words.len() / 2
    }
}

/// What begins the bytes of tables, with their version.
const MARK: i64 = 0x0003_7361_6c62_6174;

/// The numbers of the `n` best sellers of all time, given how much each product sold.
pub(super) fn best_sellers(popular: &[(f32, f32)], n: usize) -> Vec<u32> {
    let sold = |product: &u32| popular[*product as usize].0;
    let mut all: Vec<u32> = (0..popular.len() as u32).filter(|product| sold(product) > 0.0).collect();
    all.sort_by(|a, b| sold(b).total_cmp(&sold(a)).then(a.cmp(b)));
    all.truncate(n);
    all
}

impl Tables {
    /// The numbers of the `n` best sellers of all time.
    pub fn best_sellers(&self, n: usize) -> Vec<u32> {
        best_sellers(&self.popular, n)
    }

    /// What they take of memory, bytes.
    pub fn resident_bytes(&self) -> usize {
        let near = |near: &Near| 4 * (near.starts.len() + near.words.len());
        let follows: usize = self.follows.iter().map(|f| size_of::<Follow>() + f.from.len() + f.to.len()).sum();
        16 * self.ids.len() + near(&self.bought) + near(&self.viewed) + self.tastes.resident_bytes() + follows
    }

    /// The same tables with products numbered as in `ids`; those that are not there are left out.
    pub fn numbered(&self, ids: &[i64]) -> Tables {
        let old: HashMap<i64, u32> = self.ids.iter().copied().zip(0..).collect();
        let new: HashMap<i64, u32> = ids.iter().copied().zip(0..).collect();
        let place: Vec<Option<u32>> = self.ids.iter().map(|id| new.get(id).copied()).collect();
        let origin: Vec<Option<u32>> = ids.iter().map(|id| old.get(id).copied()).collect();
        let never_sold = (0.5f32.ln(), 0.0);
        Tables {
            built_at_ms: self.built_at_ms,
            ids: ids.to_vec(),
            popular: origin.iter().map(|old| old.map_or(never_sold, |old| self.popular[old as usize])).collect(),
            bought: self.bought.numbered(&origin, &place),
            viewed: self.viewed.numbered(&origin, &place),
            tastes: self.tastes.numbered(&origin, &place),
            weights: self.weights,
            follows: self.follows.clone(),
        }
    }

    /// The tables as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.i64(MARK);
        w.i64(self.built_at_ms);
        w.i64s(&self.ids);
        w.f32s(&self.weights.0);
        for popular in &self.popular {
            w.pairs(&[(popular.0.to_bits(), popular.1)]);
        }
        for near in [&self.bought, &self.viewed] {
            (0..self.ids.len() as u32).for_each(|product| w.pairs(&near.of_product(product).collect::<Vec<_>>()));
        }
        self.tastes.write(&mut w);
        let of = |end: fn(&Follow) -> &String| self.follows.iter().map(end).cloned().collect::<Vec<_>>();
        w.texts(&of(|follow| &follow.from));
        w.texts(&of(|follow| &follow.to));
        w.f32s(&self.follows.iter().map(|follow| follow.lift).collect::<Vec<_>>());
        w.i64s(&self.follows.iter().map(|follow| follow.lag_ms).collect::<Vec<_>>());
        w.0
    }

    /// # Errors
    /// Bytes that are something else, or tables of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Tables, Broken> {
        let r = &mut Reader(bytes);
        if r.i64()? != MARK {
            return Err(Broken);
        }
        let (built_at_ms, ids) = (r.i64()?, r.i64s()?);
        let weights = Weights(r.f32s()?.try_into().map_err(|_| Broken)?);
        let popular = |r: &mut Reader<'_>| match r.pairs()?[..] {
            [(always, lately)] => Ok((f32::from_bits(always), lately)),
            _ => Err(Broken),
        };
        let popular = ids.iter().map(|_| popular(r)).collect::<Result<_, Broken>>()?;
        let (bought, viewed) = (Near::read(r, ids.len())?, Near::read(r, ids.len())?);
        let tastes = Tastes::read(r, ids.len())?;
        let (from, to, lift, lag_ms) = (r.texts()?, r.texts()?, r.f32s()?, r.i64s()?);
        if [to.len(), lift.len(), lag_ms.len()] != [from.len(); 3] {
            return Err(Broken);
        }
        let ends = from.into_iter().zip(to).zip(lift).zip(lag_ms);
        let follows = ends.map(|(((from, to), lift), lag_ms)| Follow { from, to, lift, lag_ms }).collect();
        Ok(Tables { built_at_ms, ids, popular, bought, viewed, tastes, weights, follows })
    }
}
