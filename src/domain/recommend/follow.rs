//! Which category members buy from after another: how much likelier than anybody does, and how long after.

use std::collections::HashMap;

use super::bytes::{Broken, Reader, Writer};
use super::count::DAY_MS;
use super::signify::{LLR_MIN, llr};

/// Purchases further apart do not follow each other, milliseconds (365 days).
const WITHIN_MS: i64 = 365 * DAY_MS;
/// Categories counted, and pairs of them: a shop has some hundreds, and most pairs never happen.
const CATEGORIES_MAX: usize = 2_000;
const PAIRS_MAX: usize = 200_000;
/// Categories of one member that are looked at, the first.
const MEMBER_MAX: usize = 40;
/// Fewer members than this show nothing.
const MEMBERS_MIN: u32 = 50;
/// Categories kept that follow one.
const KEPT: usize = 8;
/// The steps that waiting times are counted in, milliseconds (30 days).
const STEP_MS: i64 = 30 * DAY_MS;
const STEPS: usize = (WITHIN_MS / STEP_MS) as usize + 1;

/// One category after another.
#[derive(Debug, Clone, PartialEq)]
pub struct Follow {
    /// Whole paths.
    pub from: String,
    pub to: String,
    /// How much likelier than of anybody a purchase from `to` is within a year after the first one from `from`.
    pub lift: f32,
    /// Half of those who do so wait longer, milliseconds.
    pub lag_ms: i64,
}

/// The counts so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Followers {
    names: Vec<String>,
    /// The category of each product; none of a product without one.
    of_product: Vec<Option<u32>>,
    /// Members who bought anything, and from each category.
    buyers: u32,
    bought: Vec<u32>,
    /// Members who bought from the second after the first, by waiting time.
    pairs: HashMap<(u32, u32), [u32; STEPS]>,
}

impl Followers {
    /// Counts over products in these categories.
    pub fn new<'c>(categories: impl Iterator<Item = &'c str>) -> Followers {
        let mut followers = Followers::default();
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        for path in categories {
            let new = numbers.len() as u32;
            let is_room = numbers.len() < CATEGORIES_MAX;
            let number = match numbers.get(path) {
                Some(known) => Some(*known),
                None if path.is_empty() || !is_room => None,
                None => {
                    numbers.insert(path, new);
                    followers.names.push(path.to_owned());
                    Some(new)
                }
            };
            followers.of_product.push(number);
        }
        followers.bought = vec![0; followers.names.len()];
        followers
    }

    /// Counts what one member bought, the earliest first: products by number, and when.
    pub fn member(&mut self, bought: impl Iterator<Item = (u32, i64)>) {
        let mut firsts: Vec<(u32, i64)> = Vec::new();
        for (product, at_ms) in bought {
            let Some(Some(category)) = self.of_product.get(product as usize).copied() else { continue };
            if firsts.len() < MEMBER_MAX && !firsts.iter().any(|(known, _)| *known == category) {
                firsts.push((category, at_ms));
            }
        }
        if firsts.is_empty() {
            return;
        }
        self.buyers += 1;
        for (at, (to, later_ms)) in firsts.iter().enumerate() {
            self.bought[*to as usize] += 1;
            for (from, earlier_ms) in &firsts[..at] {
                let lag_ms = later_ms - earlier_ms;
                // What is bought together goes together; it does not follow.
                if lag_ms > 0 && lag_ms <= WITHIN_MS {
                    self.met(*from, *to, (lag_ms / STEP_MS) as usize);
                }
            }
        }
    }

    fn met(&mut self, from: u32, to: u32, step: usize) {
        if self.pairs.len() < PAIRS_MAX || self.pairs.contains_key(&(from, to)) {
            self.pairs.entry((from, to)).or_default()[step.min(STEPS - 1)] += 1;
        }
    }

    /// What follows what, surely and more often than by chance: by category, the likeliest first.
    pub fn finish(self) -> Vec<Follow> {
        let all = f64::from(self.buyers);
        let mut kept: Vec<(u32, u32, Follow)> = Vec::new();
        for ((from, to), steps) in &self.pairs {
            let (both, first, second) =
                (steps.iter().sum::<u32>(), self.bought[*from as usize], self.bought[*to as usize]);
            let (n, a, b) = (f64::from(both), f64::from(first), f64::from(second));
            if both < MEMBERS_MIN || llr(n, a, b, all) < LLR_MIN {
                continue;
            }
            let (from_name, to_name) = (&self.names[*from as usize], &self.names[*to as usize]);
            let lift = (n / a) / (b / all);
            kept.push((
                *from,
                *to,
                Follow { from: from_name.clone(), to: to_name.clone(), lift: lift as f32, lag_ms: median(steps, both) },
            ));
        }
        kept.sort_by(|a, b| a.0.cmp(&b.0).then(b.2.lift.total_cmp(&a.2.lift)).then(a.1.cmp(&b.1)));
        kept.chunk_by(|a, b| a.0 == b.0)
            .flat_map(|one| one.iter().take(KEPT))
            .map(|(_, _, follow)| follow.clone())
            .collect()
    }

    pub fn write(&self, w: &mut Writer) {
        w.texts(&self.names);
        w.i64s(&self.of_product.iter().map(|number| number.map_or(-1, i64::from)).collect::<Vec<_>>());
        w.i64(i64::from(self.buyers));
        w.i64s(&self.bought.iter().copied().map(i64::from).collect::<Vec<_>>());
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_unstable();
        let flat = pairs.into_iter().flat_map(|((from, to), steps)| {
            [i64::from(*from), i64::from(*to)].into_iter().chain(steps.iter().copied().map(i64::from))
        });
        w.i64s(&flat.collect::<Vec<_>>());
    }

    /// # Errors
    /// Bytes that are something else.
    pub fn read(r: &mut Reader<'_>) -> Result<Followers, Broken> {
        let number = |value: i64| u32::try_from(value).map_err(|_| Broken);
        let names = r.texts()?;
        let known =
            |value: i64| number(value).and_then(|n| if (n as usize) < names.len() { Ok(n) } else { Err(Broken) });
        let of_product = r.i64s()?.into_iter().map(|value| if value < 0 { Ok(None) } else { known(value).map(Some) });
        let of_product = of_product.collect::<Result<_, Broken>>()?;
        let buyers = number(r.i64()?)?;
        let bought = r.i64s()?.into_iter().map(number).collect::<Result<Vec<_>, Broken>>()?;
        let mut pairs = HashMap::new();
        for row in r.i64s()?.chunks(STEPS + 2) {
            let [from, to, steps @ ..] = row else { return Err(Broken) };
            let steps = steps.iter().copied().map(number).collect::<Result<Vec<_>, Broken>>()?;
            pairs.insert((known(*from)?, known(*to)?), steps.try_into().map_err(|_| Broken)?);
        }
        match bought.len() == names.len() {
            true => Ok(Followers { names, of_product, buyers, bought, pairs }),
            false => Err(Broken),
        }
    }
}

/// The waiting time that half of `n` exceed, taken evenly within its step.
fn median(steps: &[u32; STEPS], n: u32) -> i64 {
    let mut left = f64::from(n) / 2.0;
    for (step, count) in steps.iter().enumerate() {
        let count = f64::from(*count);
        if left <= count && count > 0.0 {
            return ((step as f64 + left / count) * STEP_MS as f64) as i64;
        }
        left -= count;
    }
    WITHIN_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(days: i64) -> i64 {
        days * DAY_MS
    }

    /// 400 buyers: 100 of ovens, 80 of whom buy a hood 45 days later; 50 buy a hood without; the rest pans, at random.
    fn counted() -> Followers {
        let mut followers = Followers::new(["kitchen/oven", "kitchen/hood", "table/pan", ""].into_iter());
        for nth in 0..400u32 {
            let bought: Vec<(u32, i64)> = match nth {
                0..80 => vec![(0, days(10)), (3, days(20)), (0, days(30)), (1, days(55))],
                80..100 => vec![(0, days(10)), (1, days(10)), (2, days(500))],
                100..150 => vec![(1, days(1))],
                _ => vec![(2, days(1)), (2, days(2))],
            };
            followers.member(bought.into_iter());
        }
        followers
    }

    #[test]
    fn what_follows_is_told_with_how_much_likelier_and_when() {
        let follows = counted().finish();
        assert_eq!(follows.len(), 1, "{follows:?}");
        let Follow { from, to, lift, lag_ms } = &follows[0];
        assert_eq!((from.as_str(), to.as_str()), ("kitchen/oven", "kitchen/hood"));
        assert!((lift - 0.8 / (150.0 / 400.0)).abs() < 1e-5, "{lift}");
        assert_eq!(*lag_ms, days(45));
    }

    #[test]
    fn counts_come_back_and_broken_ones_do_not() {
        let mut w = Writer::default();
        counted().write(&mut w);
        assert_eq!(Followers::read(&mut Reader(&w.0)), Ok(counted()));
        for cut in (0..w.0.len()).step_by(7) {
            assert!(Followers::read(&mut Reader(&w.0[..cut])).is_err());
        }
    }
}
