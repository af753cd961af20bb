//! The plainest methods there are, which a recommender must beat to be worth anything.

use std::collections::HashMap;

use super::super::log::Deed;
use super::{Method, Trial};

/// What was bought most, for everybody the same.
pub struct Popularity;

impl Method for Popularity {
    fn name(&self) -> &str {
        "popularity"
    }

    fn score(&self, _: &[Deed], _: &mut [f32]) {}
}

/// What is bought most in the categories the member bought in, a category weighing by how often.
pub struct CategoryPopularity {
    category: Vec<u32>,
    /// Of all purchases in its category, the share of each product.
    share: Vec<f32>,
}

impl CategoryPopularity {
    pub fn new(trial: &Trial<'_>) -> CategoryPopularity {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut category = Vec::with_capacity(trial.log().items.len());
        for item in &trial.log().items {
            let next = numbers.len() as u32;
            category.push(*numbers.entry(&item.category).or_insert(next));
        }
        let mut sold = vec![0f32; category.len()];
        let mut of_category = vec![0f32; numbers.len()];
        for deed in trial.pasts().flatten().filter(|deed| deed.bought) {
            sold[deed.product as usize] += 1.0;
            of_category[category[deed.product as usize] as usize] += 1.0;
        }
        let share = sold.iter().zip(&category).map(|(sold, of)| sold / of_category[*of as usize].max(1.0)).collect();
        CategoryPopularity { category, share }
    }
}

impl Method for CategoryPopularity {
    fn name(&self) -> &str {
        "category popularity"
    }

    fn score(&self, past: &[Deed], scores: &mut [f32]) {
        let mut weight: HashMap<u32, f32> = HashMap::new();
        for deed in past.iter().filter(|deed| deed.bought) {
            *weight.entry(self.category[deed.product as usize]).or_default() += 1.0;
        }
        for (product, score) in scores.iter_mut().enumerate() {
            *score = self.share[product] * weight.get(&self.category[product]).copied().unwrap_or(0.0);
        }
    }
}

/// What the member bought most often; equally often, the latest first.
pub struct PersonalTop;

impl Method for PersonalTop {
    fn name(&self) -> &str {
        "personal top"
    }

    fn score(&self, past: &[Deed], scores: &mut [f32]) {
        let bought = past.iter().filter(|deed| deed.bought);
        for (nth, deed) in bought.enumerate() {
            let score = &mut scores[deed.product as usize];
            *score = score.floor() + 1.0 + 0.999 * (nth as f32 + 1.0) / (past.len() as f32 + 1.0);
        }
    }
}
