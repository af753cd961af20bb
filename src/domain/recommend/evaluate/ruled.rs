//! The recommender as a mail shows it: the same scores, and the rules after them.

use super::super::care::Cares;
use super::super::log::Deed;
use super::super::tables::Tables;
use super::super::{Act, History, Occasion, PICKS_MAX, Request, Sitting, pick};
use super::{Method, Trial};
use crate::domain::catalog::{Catalog, Offer, Product, Sold};
use crate::domain::member::Member;

/// Products bought and looked at that are known of a member when a mail is rendered.
const BOUGHT_MAX: usize = 100;
const VIEWED_MAX: usize = 20;
/// What a sale counts halves in this time, days: as popularity in a mail.
const SALE_HALF_LIFE_DAYS: f64 = 28.0;
const DAY_MS: f64 = 86_400_000.0;

/// The whole way of a product block.
pub struct Ruled {
    catalog: Catalog,
    split_ms: i64,
}

impl Ruled {
    /// A shop that sells everything the log knows, at the prices it was last sold for.
    pub fn new(trial: &Trial<'_>, tables: &Tables, cares: &Cares) -> Ruled {
        let products = trial.log().items.iter().zip(0..).map(|(item, id)| Product {
            id,
            sku: item.sku.clone(),
            category: item.category.clone(),
            offers: vec![Offer { price_minor: item.price_minor, ..Offer::default() }],
            ..Product::default()
        });
        let weight = |deed: &Deed| (-((trial.split_ms() - deed.at_ms) as f64) / DAY_MS / SALE_HALF_LIFE_DAYS).exp2();
        let sold = trial.pasts().flatten().filter(|deed| deed.bought);
        let sold: Vec<Sold> = sold
            .map(|deed| Sold { product: i64::from(deed.product), market: String::new(), weight: weight(deed) })
            .collect();
        let catalog = Catalog::informed(products.collect(), &sold, cares, Some(tables));
        Ruled { catalog, split_ms: trial.split_ms() }
    }
}

impl Method for Ruled {
    fn name(&self) -> &str {
        "indicia with rules"
    }

    fn score(&self, _: &[Deed], _: &mut [f32]) {}

    fn list(&self, member: usize, past: &[Deed]) -> Option<Vec<u32>> {
        let acts = |bought: bool, most: usize| {
            let mut acts: Vec<Act> = Vec::new();
            for deed in past.iter().rev().filter(|deed| deed.bought == bought) {
                let product = i64::from(deed.product);
                match acts.iter().position(|act| act.product == product) {
                    Some(at) => acts[at].times += 1,
                    None if acts.len() < most => acts.push(Act { product, at_ms: deed.at_ms, times: 1 }),
                    None => {}
                }
            }
            acts
        };
        let (bought, viewed) = (acts(true, BOUGHT_MAX), acts(false, VIEWED_MAX));
        let history = History { bought, viewed, ..History::default() };
        let member = Member { id: member as i64, ..Member::default() };
        let request = Request { n: PICKS_MAX, ..Request::default() };
        let mail = Occasion { now_ms: self.split_ms, ..Occasion::default() };
        let picks = pick(&self.catalog, &member, &history, &request, &mut Sitting::default(), mail);
        Some(picks.iter().map(|pick| pick.product as u32).collect())
    }
}
