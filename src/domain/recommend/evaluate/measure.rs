//! What a list of recommendations is worth, given what was bought.

use crate::text_enum;

text_enum! {
    /// Which purchases are asked about.
    pub enum Facet {
        Total = "total",
        /// Of what the member had bought before.
        Repeat = "repeat",
        /// Of what was new to the member.
        Explore = "explore",
    }
}

impl Facet {
    /// Whether a product belongs to the question, given whether the member had bought it.
    pub fn takes(self, bought_before: bool) -> bool {
        match self {
            Facet::Total => true,
            Facet::Repeat => bought_before,
            Facet::Explore => !bought_before,
        }
    }
}

text_enum! {
    /// How a list is judged; each lies in 0..1.
    pub enum Measure {
        /// 1 where anything of the list was bought.
        HitRate = "hit_rate",
        /// The share of what was bought that stands in the list.
        Recall = "recall",
        /// One over the place of the first that was bought.
        Mrr = "mrr",
        /// Each find weighs 1 / log2(place + 1), the sum over that of a perfect list.
        Ndcg = "ndcg",
    }
}

/// One list, judged.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Marks([f64; Measure::ALL.len()]);

impl Marks {
    pub fn of(&self, measure: Measure) -> f64 {
        self.0[measure as usize]
    }
}

/// Judges a list of at most `k`; `wanted` is sorted and not empty.
pub fn mark(list: &[u32], wanted: &[u32], k: usize) -> Marks {
    let gain = |place: usize| 1.0 / ((place + 2) as f64).log2();
    let found = |product: &u32| wanted.binary_search(product).is_ok();
    let places: Vec<usize> = (0..list.len().min(k)).filter(|place| found(&list[*place])).collect();
    let perfect: f64 = (0..wanted.len().min(k)).map(gain).sum();
    let mut marks = Marks::default();
    marks.0[Measure::HitRate as usize] = f64::from(u8::from(!places.is_empty()));
    marks.0[Measure::Recall as usize] = places.len() as f64 / wanted.len() as f64;
    marks.0[Measure::Mrr as usize] = places.first().map_or(0.0, |place| 1.0 / (place + 1) as f64);
    marks.0[Measure::Ndcg as usize] = places.iter().map(|place| gain(*place)).sum::<f64>() / perfect;
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_a_list_by_hand() {
        let marks = mark(&[9, 4, 7], &[4, 5], 3);
        assert_eq!(marks.of(Measure::HitRate), 1.0);
        assert_eq!(marks.of(Measure::Recall), 0.5);
        assert_eq!(marks.of(Measure::Mrr), 0.5);
        let second = 1.0 / 3f64.log2();
        assert!((marks.of(Measure::Ndcg) - second / (1.0 + second)).abs() < 1e-12);
        assert_eq!(mark(&[1, 2], &[3], 2), Marks::default());
        assert_eq!(mark(&[3], &[3], 6).of(Measure::Ndcg), 1.0);
    }
}
