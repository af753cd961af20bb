//! What an armed mail showed: the small record from which its web version and the member's timeline render again.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// One mail's record. As JSON at most about 200 bytes with six products.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The row of `template_version` it was rendered from.
    #[serde(rename = "v")]
    pub template_version: i64,
    /// The locale of the variant that was taken.
    #[serde(rename = "l")]
    pub locale: String,
    /// The points balance the mail spoke of.
    #[serde(rename = "b")]
    pub balance: i64,
    /// Products in the order shown, each with the code of its reason
    /// ([`Reason::code`](crate::domain::recommend::Reason::code)).
    #[serde(rename = "p", default)]
    pub products: Vec<(i64, String)>,
    /// The blocks they stood in, in order: the strategy and how many products it gave.
    #[serde(rename = "k", default)]
    pub blocks: Served,
}

impl Shown {
    /// The record as it is kept.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings are JSON")
    }

    /// The products of a record alone, without reading the rest of it; none where it cannot be read.
    pub fn products_of(record: &str) -> Vec<i64> {
        #[derive(Deserialize)]
        struct Products {
            #[serde(rename = "p", default)]
            products: Vec<(i64, IgnoredAny)>,
        }
        let read = serde_json::from_str(record).map(|Products { products }| products);
        read.unwrap_or_default().into_iter().map(|(product, _)| product).collect()
    }
}

/// How one place of a strategy's blocks did in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotCount {
    pub strategy: String,
    /// The place in the block, from 1.
    pub slot: usize,
    /// Mails that showed a product there.
    pub shown: i64,
    /// Of them those whose reader clicked it.
    pub clicked: i64,
    /// Of those, readers who then bought it.
    pub bought: i64,
}

/// The blocks of a mail as they stand in its record: each strategy, and how many products it gave.
pub type Served = Vec<(String, usize)>;

/// Counts by strategy and place.
#[derive(Debug, Default)]
pub struct SlotTally(BTreeMap<String, Vec<[i64; 3]>>);

impl SlotTally {
    /// Counts `n` mails that showed these blocks.
    pub fn showed(&mut self, served: &Served, n: i64) {
        for (strategy, products) in served {
            (1..=*products).for_each(|slot| self.at(strategy, slot)[0] += n);
        }
    }

    /// Counts readers of such mails who clicked the product at `place`, from 0, and those of them who then bought it.
    pub fn clicked(&mut self, served: &Served, place: usize, clicked: i64, bought: i64) {
        let mut before = 0;
        for (strategy, products) in served {
            if place < before + products {
                let counts = self.at(strategy, place - before + 1);
                counts[1] += clicked;
                counts[2] += bought;
                return;
            }
            before += products;
        }
    }

    fn at(&mut self, strategy: &str, slot: usize) -> &mut [i64; 3] {
        if !self.0.contains_key(strategy) {
            self.0.insert(strategy.to_owned(), Vec::new());
        }
        let slots = self.0.get_mut(strategy).expect("it was put there");
        slots.resize(slots.len().max(slot), [0; 3]);
        &mut slots[slot - 1]
    }

    /// The counts, by strategy and place.
    pub fn counts(self) -> Vec<SlotCount> {
        let of = |(strategy, slots): (String, Vec<[i64; 3]>)| {
            let count = move |(at, [shown, clicked, bought]): (usize, [i64; 3])| SlotCount {
                strategy: strategy.clone(),
                slot: at + 1,
                shown,
                clicked,
                bought,
            };
            slots.into_iter().enumerate().map(count)
        };
        self.0.into_iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_products_fit_in_200_bytes_and_come_back() {
        let products = (0..6).map(|n| (u32::MAX as i64 - n, "i".to_owned())).collect();
        let shown = Shown {
            template_version: 12_345,
            locale: "zh-Hans-CN".into(),
            balance: 1_234_567,
            products,
            blocks: vec![("for_you".into(), 6)],
        };
        let json = shown.to_json();
        assert!(json.len() <= 200, "{} bytes: {json}", json.len());
        assert_eq!(serde_json::from_str::<Shown>(&json).unwrap(), shown);
        assert_eq!(Shown::products_of(&json), (0..6).map(|n| u32::MAX as i64 - n).collect::<Vec<_>>());
        assert_eq!((Shown::products_of("{"), Shown::products_of("{}")), (vec![], vec![]));
    }
}
