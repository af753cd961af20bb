//! The catalogue in memory: every product once, with price and stock per market.

/// One product. `id` is its row's id and fits the 32 bits a token gives it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Product {
    pub id: i64,
    pub sku: String,
    pub name: String,
    /// A path from wide to narrow: `kitchen/refrigerator`.
    pub category: String,
    pub brand: String,
    pub url: String,
    pub image_url: String,
    /// Offers by market; the market `""` serves every market that has no offer of its own.
    pub offers: Vec<Offer>,
}

/// What a product costs in a market, and how many are left.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Offer {
    pub market: String,
    pub price_minor: i64,
    pub currency: String,
    /// `None`: not counted, always available.
    pub stock: Option<i64>,
}

impl Product {
    /// The offer that counts in `market`.
    pub fn offer(&self, market: &str) -> Option<&Offer> {
        let of = |name: &str| self.offers.iter().find(|offer| offer.market == name);
        of(market).or_else(|| of(""))
    }

    /// The last part of the category's path: what the default interest tag is named after.
    pub fn category_leaf(&self) -> &str {
        self.category.rsplit('/').next().unwrap_or_default()
    }
}
