//! What members did with products, by dense numbers: what tables are built from and evaluations are made of.

use std::collections::HashMap;

/// One look at a product or one purchase of it. What was bought at the same instant was one basket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deed {
    pub at_ms: i64,
    /// A place in the list of products.
    pub product: u32,
    pub bought: bool,
}

/// What is known of a product besides who did something with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item {
    pub sku: String,
    /// A path from wide to narrow; empty where it is not known.
    pub category: String,
    /// Of one piece, in minor units, as it was last sold; 0 where it is not known.
    pub price_minor: i64,
}

/// The deeds of many members.
#[derive(Debug, Clone, Default)]
pub struct Log {
    pub items: Vec<Item>,
    deeds: Vec<Deed>,
    /// Where each member's deeds begin, and after them where the last one's end.
    starts: Vec<usize>,
}

impl Log {
    /// Each member's deeds, the earliest first.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &[Deed]> {
        self.starts.windows(2).map(|edges| &self.deeds[edges[0]..edges[1]])
    }

    /// All deeds of all members.
    pub fn deeds(&self) -> &[Deed] {
        &self.deeds
    }
}

/// Gathers a log in whatever order deeds come.
#[derive(Debug, Default)]
pub struct Gather {
    items: Vec<Item>,
    by_sku: HashMap<String, u32>,
    members: HashMap<String, u32>,
    deeds: Vec<(u32, Deed)>,
}

impl Gather {
    /// The number of a product, given at its first mention.
    pub fn product(&mut self, sku: &str) -> u32 {
        if let Some(product) = self.by_sku.get(sku) {
            return *product;
        }
        let product = self.items.len() as u32;
        self.items.push(Item { sku: sku.to_owned(), ..Item::default() });
        self.by_sku.insert(sku.to_owned(), product);
        product
    }

    /// What is known of a product that was mentioned; `None`: it was not.
    pub fn known(&mut self, sku: &str) -> Option<&mut Item> {
        self.by_sku.get(sku).map(|product| &mut self.items[*product as usize])
    }

    pub fn add(&mut self, member: &str, deed: Deed) {
        let next = self.members.len() as u32;
        let member = match self.members.get(member) {
            Some(member) => *member,
            None => *self.members.entry(member.to_owned()).or_insert(next),
        };
        self.deeds.push((member, deed));
    }

    /// The log, each deed once.
    pub fn finish(mut self) -> Log {
        self.deeds.sort_unstable();
        self.deeds.dedup();
        let mut starts = vec![0; self.members.len() + 1];
        for (member, _) in &self.deeds {
            starts[*member as usize + 1] += 1;
        }
        for member in 1..starts.len() {
            starts[member] += starts[member - 1];
        }
        Log { items: self.items, deeds: self.deeds.into_iter().map(|(_, deed)| deed).collect(), starts }
    }
}
