//! What the best sellers are to different people. Everybody may buy them, so the neighbours of a product say little of
//! them; what does is how like the kinds of things their buyers buy are to the kinds the member buys.
//!
//! A kind is the widest category. A member's share of a kind is compared with everybody's, a product's buyers' share
//! likewise, and a kind counts the more the rarer it is: a taste of 1 is a sixteenth likelier than by chance.

use std::collections::HashMap;

use super::blend::Own;
use super::bytes::{Broken, Reader, Writer};

/// Best sellers that are looked at.
pub const COLUMNS: usize = 128;
/// Kinds that are told apart.
const KINDS_MAX: usize = 64;
/// A product of no kind.
const NO_KIND: u8 = u8::MAX;
/// So many purchases as everybody makes are added to a member's, and so many members to a product's buyers.
const SHRINKAGE: f32 = 10.0;
/// A kind that is bought less often than this share of all counts no more than one that is.
const SHARE_MIN: f32 = 0.001;
/// Tastes differ by some hundredths, and weights are held to numbers around one.
const SCALE: f32 = 16.0;

/// The kind of each product of these category paths.
pub fn kinds<'c>(paths: impl Iterator<Item = &'c str>) -> Vec<u8> {
    let mut numbers: HashMap<&str, u8> = HashMap::new();
    let mut kind = |path: &'c str| {
        let next = u8::try_from(numbers.len()).unwrap_or(NO_KIND);
        match path.split('/').next().unwrap_or_default() {
            "" => NO_KIND,
            widest if usize::from(next) < KINDS_MAX => *numbers.entry(widest).or_insert(next),
            widest => numbers.get(widest).copied().unwrap_or(NO_KIND),
        }
    };
    paths.map(&mut kind).collect()
}

/// Who buys what, counted so far.
#[derive(Debug, Clone, Default)]
pub struct Buyers {
    /// By product.
    kinds: Vec<u8>,
    columns: usize,
    /// Purchases of each kind, and all.
    of_kind: Vec<f32>,
    all: f32,
    /// Of each product how many bought it, how much of each of them counts, and how much of that is of each kind.
    buyers: Vec<f32>,
    shares: Vec<f32>,
    kind_shares: Vec<f32>,
}

impl Buyers {
    pub fn new(kinds: Vec<u8>) -> Buyers {
        let columns = kinds.iter().filter(|kind| **kind != NO_KIND).map(|kind| usize::from(*kind) + 1).max();
        let (products, columns) = (kinds.len(), columns.unwrap_or(0));
        Buyers {
            kinds,
            columns,
            of_kind: vec![0.0; columns],
            all: 0.0,
            buyers: vec![0.0; products],
            shares: vec![0.0; products],
            kind_shares: vec![0.0; products * columns],
        }
    }

    /// How many products there are.
    pub fn products(&self) -> usize {
        self.kinds.len()
    }

    /// Counts one member's purchases: products by number, each as often as it was bought.
    pub fn member(&mut self, bought: &[u32]) {
        let mut mine: Vec<(u8, f32)> = Vec::with_capacity(8);
        for product in bought {
            match (self.kinds[*product as usize], mine.iter_mut()) {
                (NO_KIND, _) => {}
                (kind, mut known) => match known.find(|(other, _)| *other == kind) {
                    Some((_, times)) => *times += 1.0,
                    None => mine.push((kind, 1.0)),
                },
            }
        }
        let all = bought.len() as f32;
        self.all += all;
        mine.iter().for_each(|(kind, times)| self.of_kind[usize::from(*kind)] += times);
        for product in bought.chunk_by(|a, b| a == b).map(|same| same[0] as usize) {
            self.buyers[product] += 1.0;
            self.shares[product] += all / (all + SHRINKAGE);
            let row = &mut self.kind_shares[product * self.columns..][..self.columns];
            mine.iter().for_each(|(kind, times)| row[usize::from(*kind)] += times / (all + SHRINKAGE));
        }
    }

    /// What these best sellers are to whom.
    pub fn finish(self, best: Vec<u32>) -> Tastes {
        let share: Vec<f32> = self.of_kind.iter().map(|times| times / self.all.max(1.0)).collect();
        let mut tastes = vec![0.0; self.columns * best.len()];
        for (column, product) in best.iter().enumerate() {
            let product = *product as usize;
            let liking = |kind: usize| {
                let more = self.kind_shares[product * self.columns + kind] - share[kind] * self.shares[product];
                more / (self.buyers[product] + SHRINKAGE) / (share[kind] + SHARE_MIN)
            };
            let usual: f32 = (0..self.columns).map(|kind| share[kind] * liking(kind)).sum();
            (0..self.columns).for_each(|kind| tastes[kind * best.len() + column] = SCALE * (liking(kind) - usual));
        }
        Tastes { kinds: self.kinds, best, of_kind: tastes }
    }

    pub fn write(&self, w: &mut Writer) {
        w.bytes(&self.kinds);
        w.f32s(&self.of_kind);
        w.f32s(&[self.all]);
        [&self.buyers, &self.shares, &self.kind_shares].into_iter().for_each(|values| w.f32s(values));
    }

    /// # Errors
    /// Bytes that are something else.
    pub fn read(r: &mut Reader<'_>) -> Result<Buyers, Broken> {
        let empty = Buyers::new(r.bytes()?);
        let (of_kind, all) = (r.f32s()?, r.f32s()?);
        let (buyers, shares, kind_shares) = (r.f32s()?, r.f32s()?, r.f32s()?);
        let [all] = all[..] else { return Err(Broken) };
        let read = Buyers { of_kind, all, buyers, shares, kind_shares, ..empty };
        let lens = |b: &Buyers| [b.of_kind.len(), b.buyers.len(), b.shares.len(), b.kind_shares.len()];
        if lens(&read) == lens(&Buyers::new(read.kinds.clone())) { Ok(read) } else { Err(Broken) }
    }
}

/// The best sellers, and what they are to whom.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tastes {
    /// Their numbers.
    best: Vec<u32>,
    /// By product.
    kinds: Vec<u8>,
    /// By kind and best seller.
    of_kind: Vec<f32>,
}

impl Tastes {
    /// How much each best seller is to the taste of a member who did this.
    pub fn of(&self, did: &[Own]) -> impl ExactSizeIterator<Item = (u32, f32)> {
        let mut mine = [0f32; KINDS_MAX];
        let mut all = SHRINKAGE;
        for own in did.iter().filter(|own| own.times > 0) {
            all += own.times as f32;
            let kind = self.kinds.get(own.product as usize).copied().unwrap_or(NO_KIND);
            if let Some(times) = mine.get_mut(usize::from(kind)) {
                *times += own.times as f32;
            }
        }
        let mut sums = vec![0f32; self.best.len()];
        let rows = self.of_kind.chunks_exact(self.best.len().max(1)).zip(mine);
        for (row, times) in rows.filter(|(_, times)| *times > 0.0) {
            sums.iter_mut().zip(row).for_each(|(sum, taste)| *sum += times / all * taste);
        }
        self.best.iter().copied().zip(sums)
    }

    /// The same with products numbered anew: `origin` says which one each was, `place` where each one went.
    pub fn numbered(&self, origin: &[Option<u32>], place: &[Option<u32>]) -> Tastes {
        let kept: Vec<usize> = (0..self.best.len()).filter(|at| place[self.best[*at] as usize].is_some()).collect();
        let kind = |old: &Option<u32>| old.and_then(|old| self.kinds.get(old as usize).copied()).unwrap_or(NO_KIND);
        let rows = self.of_kind.chunks_exact(self.best.len().max(1));
        Tastes {
            best: kept.iter().filter_map(|at| place[self.best[*at] as usize]).collect(),
            kinds: origin.iter().map(kind).collect(),
            of_kind: rows.flat_map(|row| kept.iter().map(|at| row[*at])).collect(),
        }
    }

    /// What it takes of memory, bytes.
    pub fn resident_bytes(&self) -> usize {
        self.kinds.len() + 4 * (self.best.len() + self.of_kind.len())
    }

    pub fn write(&self, w: &mut Writer) {
        w.i64s(&self.best.iter().copied().map(i64::from).collect::<Vec<_>>());
        w.bytes(&self.kinds);
        w.f32s(&self.of_kind);
    }

    /// # Errors
    /// Bytes that are something else.
    pub fn read(r: &mut Reader<'_>, products: usize) -> Result<Tastes, Broken> {
        let known = |best: i64| u32::try_from(best).ok().filter(|best| (*best as usize) < products).ok_or(Broken);
        let best = r.i64s()?.into_iter().map(known).collect::<Result<Vec<_>, Broken>>()?;
        let tastes = Tastes { best, kinds: r.bytes()?, of_kind: r.f32s()? };
        let fits = tastes.kinds.len() == products && tastes.of_kind.len().is_multiple_of(tastes.best.len().max(1));
        if fits { Ok(tastes) } else { Err(Broken) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_best_seller_is_to_the_taste_of_those_whose_buyers_buy_the_same_kinds() {
        // 0 and 1 are best sellers of no kind; those who buy the first also eat, those who buy the second also build.
        let kinds = kinds(["", "", "food/tea", "food", "tools/saw", "tools"].into_iter());
        assert_eq!(kinds, [NO_KIND, NO_KIND, 0, 0, 1, 1]);
        let mut buyers = Buyers::new(kinds);
        for _ in 0..100 {
            buyers.member(&[0, 2, 2, 3]);
            buyers.member(&[1, 4, 5, 5]);
        }
        let mut w = Writer::default();
        buyers.write(&mut w);
        let tastes = Buyers::read(&mut Reader(&w.0)).unwrap().finish(vec![0, 1]);
        let own = |product, times| Own { product, times, age_ms: 0.0 };
        let of = |did: &[Own]| tastes.of(did).map(|(_, taste)| taste).collect::<Vec<_>>();
        let [eats, builds] = [of(&[own(3, 2)]), of(&[own(4, 2)])];
        assert!(eats[0] > 0.5 && eats[1] < -0.5, "{eats:?}");
        assert!(builds[1] > 0.5 && builds[0] < -0.5, "{builds:?}");
        assert!(of(&[own(3, 20)])[0] > eats[0], "the more is known, the more it counts");
        assert_eq!(of(&[own(3, 0)]), [0.0, 0.0], "looks tell no taste");

        let mut w = Writer::default();
        tastes.write(&mut w);
        assert_eq!(Tastes::read(&mut Reader(&w.0), 6).as_ref(), Ok(&tastes));
        assert!((0..w.0.len()).all(|cut| Tastes::read(&mut Reader(&w.0[..cut]), 6).is_err()));
        let moved = tastes.numbered(&[Some(3), Some(1)], &[None, Some(1), None, Some(0), None, None]);
        assert_eq!(moved.of(&[own(0, 2)]).collect::<Vec<_>>(), [(1, eats[1])]);
    }
}
