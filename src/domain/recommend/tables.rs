//! What was learned from everybody's behaviour, ready to be looked up for one member.

use super::blend::Weights;
use super::pairs::Pairs;
use super::signify::llr;

/// Neighbours kept of each product.
pub const NEIGHBOURS: usize = 50;
/// So many pairs as chance makes are added to every count before it is compared: a few pairs prove little.
const SHRINKAGE: f32 = 5.0;

/// The tables of one build.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tables {
    pub built_at_ms: i64,
    /// Products' ids; everything else speaks of them by their number here.
    pub ids: Vec<i64>,
    /// Purchases of each product, all alike.
    pub sold: Vec<f32>,
    /// Purchases of each product, each less by age.
    pub sold_lately: Vec<f32>,
    pub bought: Near,
    pub viewed: Near,
    pub weights: Weights,
}

/// The nearest products of each product.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Near {
    /// Where each product's neighbours begin, and after them where the last one's end.
    pub starts: Vec<u32>,
    /// Neighbours and how much likelier than chance they are met, as a logarithm.
    pub near: Vec<(u32, f32)>,
}

impl Near {
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
        let mut kept = Near { starts: vec![0], near: Vec::new() };
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
            kept.near.extend(sure.into_iter().take(NEIGHBOURS).map(|(_, to, lift)| (to, lift)));
            kept.starts.push(kept.near.len() as u32);
        }
        kept
    }

    /// The neighbours of a product, the surest first.
    pub fn of_product(&self, product: u32) -> &[(u32, f32)] {
        match self.starts.get(product as usize..product as usize + 2) {
            Some([from, to]) => &self.near[*from as usize..*to as usize],
            _ => &[],
        }
    }
}

impl Tables {
    /// The numbers of the `n` best sellers of all time.
    pub fn best_sellers(&self, n: usize) -> Vec<u32> {
        let mut all: Vec<u32> =
            (0..self.ids.len() as u32).filter(|product| self.sold[*product as usize] > 0.0).collect();
        all.sort_by(|a, b| self.sold[*b as usize].total_cmp(&self.sold[*a as usize]).then(a.cmp(b)));
        all.truncate(n);
        all
    }
}
