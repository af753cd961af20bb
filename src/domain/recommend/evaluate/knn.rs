//! Item-kNN (Sarwar et al. 2001; Linden et al. 2003): products whose buyers are the buyers of the member's products.

use super::super::log::Deed;
use super::super::signify::llr;
use super::{Method, Trial};

/// Neighbours kept of each product.
const NEIGHBOURS: usize = 200;
/// BM25's saturation and length normalisation, as recommender libraries preset them.
const BM25_K1: f32 = 1.2;
const BM25_B: f32 = 0.75;

/// How like each other two products are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Similarity {
    /// Common buyers over the root of both numbers of buyers.
    Cosine,
    /// The same of purchases weighted by BM25: rare products and short histories count more.
    Bm25,
    /// Dunning's log-likelihood ratio, squeezed to 0..1 (Dunning 1993).
    Llr,
}

impl Similarity {
    pub const ALL: [Similarity; 3] = [Similarity::Cosine, Similarity::Bm25, Similarity::Llr];
}

/// The neighbours of every product.
pub struct ItemKnn {
    name: String,
    near: Vec<Vec<(u32, f32)>>,
}

impl ItemKnn {
    pub fn new(trial: &Trial<'_>, similarity: Similarity) -> ItemKnn {
        let baskets: Vec<Vec<(u32, f32)>> = trial.pasts().map(counted).filter(|basket| !basket.is_empty()).collect();
        let weighted = match similarity {
            Similarity::Bm25 => bm25(&baskets, trial.log().items.len()),
            Similarity::Cosine | Similarity::Llr => {
                baskets.iter().map(|basket| basket.iter().map(|(product, _)| (*product, 1.0)).collect()).collect()
            }
        };
        let name = format!("item-kNN {}", format!("{similarity:?}").to_lowercase());
        ItemKnn { name, near: neighbours(&weighted, trial.log().items.len(), similarity) }
    }
}

impl Method for ItemKnn {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&self, past: &[Deed], scores: &mut [f32]) {
        for (product, _) in counted(past) {
            for (near, likeness) in &self.near[product as usize] {
                scores[*near as usize] += likeness;
            }
        }
    }
}

/// What was bought, with how often.
fn counted(past: &[Deed]) -> Vec<(u32, f32)> {
    let mut products: Vec<u32> = past.iter().filter(|deed| deed.bought).map(|deed| deed.product).collect();
    products.sort_unstable();
    products.chunk_by(|a, b| a == b).map(|chunk| (chunk[0], chunk.len() as f32)).collect()
}

fn bm25(baskets: &[Vec<(u32, f32)>], items: usize) -> Vec<Vec<(u32, f32)>> {
    let mut buyers = vec![0f32; items];
    baskets.iter().flatten().for_each(|(product, _)| buyers[*product as usize] += 1.0);
    let length = |basket: &[(u32, f32)]| basket.iter().map(|(_, times)| times).sum::<f32>();
    let mean = baskets.iter().map(|basket| length(basket)).sum::<f32>() / baskets.len().max(1) as f32;
    let members = baskets.len() as f32;
    let weigh = |basket: &Vec<(u32, f32)>| {
        let norm = BM25_K1 * (1.0 - BM25_B + BM25_B * length(basket) / mean);
        let weight = |(product, times): &(u32, f32)| {
            let idf = (members / (1.0 + buyers[*product as usize])).ln().max(0.0);
            (*product, times * (BM25_K1 + 1.0) / (times + norm) * idf)
        };
        basket.iter().map(weight).collect()
    };
    baskets.iter().map(weigh).collect()
}

fn neighbours(baskets: &[Vec<(u32, f32)>], items: usize, similarity: Similarity) -> Vec<Vec<(u32, f32)>> {
    let mut buyers: Vec<Vec<(u32, f32)>> = vec![Vec::new(); items];
    let mut length = vec![0f32; items];
    for (member, basket) in baskets.iter().enumerate() {
        for (product, weight) in basket {
            buyers[*product as usize].push((member as u32, *weight));
            length[*product as usize] += weight * weight;
        }
    }
    let mut common = vec![0f32; items];
    let mut touched: Vec<u32> = Vec::new();
    let mut near = Vec::with_capacity(items);
    for product in 0..items {
        for (member, weight) in &buyers[product] {
            for (other, others) in &baskets[*member as usize] {
                if common[*other as usize] == 0.0 {
                    touched.push(*other);
                }
                common[*other as usize] += weight * others;
            }
        }
        let mut likely: Vec<(u32, f32)> = Vec::with_capacity(touched.len());
        for other in touched.drain(..) {
            let both = std::mem::take(&mut common[other as usize]);
            if other as usize == product {
                continue;
            }
            let (a, b) = (buyers[product].len() as f64, buyers[other as usize].len() as f64);
            let likeness = match similarity {
                Similarity::Llr => {
                    let ratio = llr(f64::from(both), a, b, baskets.len() as f64);
                    1.0 - 1.0 / (1.0 + ratio as f32)
                }
                Similarity::Cosine | Similarity::Bm25 => both / (length[product] * length[other as usize]).sqrt(),
            };
            likely.push((other, likeness));
        }
        likely.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        likely.truncate(NEIGHBOURS);
        near.push(likely);
    }
    near
}
