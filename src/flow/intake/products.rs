//! Products by sku, and their offers by market.

use std::collections::HashMap;

use super::Fault;
use super::batch::{self, Outcome};
use super::field::{self, Change, change};
use super::table::Row;
use crate::domain::money;
use crate::store::product::{self, Offer, Product};
use crate::store::{Conn, StoreError};

pub(super) const COLUMNS: &[&str] = &[
    "sku",
    "name",
    "category",
    "brand",
    "price",
    "currency",
    "url",
    "image_url",
    "stock",
    "market",
    "suite",
    "successor",
    "pinned",
];
/// Last place among the pinned.
const PINNED_MAX: i64 = 1_000_000;

/// What a row says about a product in a market.
pub(super) struct ProductRow {
    sku: String,
    name: Change<String>,
    category: Change<String>,
    brand: Change<String>,
    url: Change<String>,
    image_url: Change<String>,
    suite: Change<String>,
    /// The sku of the model that came after; it need not be known yet.
    successor: Change<String>,
    pinned: Change<i64>,
    market: String,
    /// In minor units, with the currency.
    price: Option<(i64, String)>,
    stock: Change<i64>,
}

impl ProductRow {
    /// The product, and its category where the row gives one.
    pub(super) fn category(&self) -> (&str, Option<&String>) {
        (&self.sku, self.category.given())
    }
}

/// Judges the rows of a products file.
#[derive(Default)]
pub(super) struct Door;

impl batch::Door for Door {
    type Item = ProductRow;

    fn parse(&mut self, row: &Row) -> Result<ProductRow, Fault> {
        let sku = field::id(row.need("sku")?).map_err(|why| Fault::new("sku", why))?;
        let stock = |text: &str| match field::whole(text)? {
            n @ 0.. => Ok(n),
            _ => Err(format!("is {text}: a stock is not negative; \\N means not counted")),
        };
        let pinned = |text: &str| match field::whole(text)? {
            place @ 0..=PINNED_MAX => Ok(place),
            _ => Err(format!("is {text}: write a place from 1 to {PINNED_MAX}, or 0 for not pinned")),
        };
        let market = change(row, "market", field::id)?;
        Ok(ProductRow {
            sku,
            name: kept(row, "name", change(row, "name", field::text)?)?,
            category: change(row, "category", field::category)?,
            brand: change(row, "brand", field::text)?,
            url: kept(row, "url", change(row, "url", field::url)?)?,
            image_url: change(row, "image_url", field::url)?,
            suite: change(row, "suite", field::text)?,
            successor: change(row, "successor", field::id)?,
            pinned: change(row, "pinned", pinned)?,
            market: market.given().map(|market| market.to_lowercase()).unwrap_or_default(),
            price: price(row)?,
            stock: change(row, "stock", stock)?,
        })
    }
}

fn kept(row: &Row, name: &'static str, change: Change<String>) -> Result<Change<String>, Fault> {
    match change {
        Change::Clear => Err(Fault::new(name, format!("cannot be cleared: {} needs one", row.need("sku")?))),
        other => Ok(other),
    }
}

fn price(row: &Row) -> Result<Option<(i64, String)>, Fault> {
    let Some(amount) = row.cell("price").text() else { return Ok(None) };
    let currency = row.need("currency")?.to_uppercase();
    match money::parse(amount, &currency) {
        Ok(minor @ 0..) => Ok(Some((minor, currency))),
        Ok(_) => Err(Fault::new("price", format!("is negative: {amount}"))),
        Err(error @ money::MoneyError::Currency(_)) => Err(Fault::new("currency", error.to_string())),
        Err(error) => Err(Fault::new("price", error.to_string())),
    }
}

/// Matches and writes products.
#[derive(Default)]
pub(super) struct Desk;

/// The products of a batch as the rows so far leave them.
struct Shelf {
    products: Vec<(Product, bool)>,
    by_sku: HashMap<String, usize>,
    /// By product's place above and market; with whether it must be written.
    offers: HashMap<(usize, String), (Offer, bool)>,
}

impl Shelf {
    fn of(products: Vec<Product>, offers: Vec<Offer>) -> Shelf {
        let by_id: HashMap<i64, usize> = products.iter().enumerate().map(|(at, product)| (product.id, at)).collect();
        Shelf {
            by_sku: products.iter().enumerate().map(|(at, product)| (product.sku.clone(), at)).collect(),
            offers: offers.into_iter().map(|o| ((by_id[&o.product_id], o.market.clone()), (o, false))).collect(),
            products: products.into_iter().map(|product| (product, false)).collect(),
        }
    }

    fn apply(&mut self, row: &ProductRow) -> Result<Outcome, Fault> {
        let known = self.by_sku.get(&row.sku).copied();
        let at = known.unwrap_or(self.products.len());
        let mut product = known.map_or_else(Product::default, |at| self.products[at].0.clone());
        row.apply(&mut product);
        if known.is_none() {
            for (name, value) in [("name", &product.name), ("url", &product.url)] {
                if value.is_empty() {
                    return Err(Fault::new(name, format!("is missing: {} is a new product", row.sku)));
                }
            }
        }
        let offer = self.offer(at, row)?;
        let (is_new, product_changed) = (known.is_none(), known.is_none_or(|at| self.products[at].0 != product));
        let (offer_is_new, offer_changed) = match (&offer, self.offers.get(&(at, row.market.clone()))) {
            (None, _) => (false, false),
            (Some(_), None) => (true, true),
            (Some(new), Some((old, _))) => (false, new != old),
        };
        if is_new {
            self.by_sku.insert(row.sku.clone(), at);
            self.products.push((product, true));
        } else if product_changed {
            self.products[at] = (product, true);
        }
        if let Some(offer) = offer.filter(|_| offer_changed) {
            self.offers.insert((at, row.market.clone()), (offer, true));
        }
        Ok(match (is_new || offer_is_new, product_changed || offer_changed) {
            (true, _) => Outcome::Inserted,
            (false, true) => Outcome::Updated,
            (false, false) => Outcome::Unchanged,
        })
    }

    /// The offer as the row leaves it: `None` where the product has none in that market, nor does the row make one.
    fn offer(&self, at: usize, row: &ProductRow) -> Result<Option<Offer>, Fault> {
        let before = self.offers.get(&(at, row.market.clone())).map(|(offer, _)| offer.clone());
        let mut offer = match (before, &row.price) {
            (Some(offer), _) => offer,
            (None, Some((price_minor, currency))) => Offer {
                product_id: 0,
                market: row.market.clone(),
                price_minor: *price_minor,
                currency: currency.clone(),
                stock: None,
            },
            (None, None) if at == self.products.len() => {
                return Err(Fault::new("price", format!("is missing: {} is a new product", row.sku)));
            }
            (None, None) if row.stock != Change::Leave => {
                return Err(Fault::new("price", format!("is missing: {} is new in market {:?}", row.sku, row.market)));
            }
            (None, None) => return Ok(None),
        };
        if let Some((price_minor, currency)) = &row.price {
            offer.price_minor = *price_minor;
            offer.currency.clone_from(currency);
        }
        row.stock.apply_to(&mut offer.stock);
        Ok(Some(offer))
    }
}

impl ProductRow {
    fn apply(&self, product: &mut Product) {
        product.sku.clone_from(&self.sku);
        self.name.apply(&mut product.name, String::new());
        self.category.apply(&mut product.category, String::new());
        self.brand.apply(&mut product.brand, String::new());
        self.url.apply(&mut product.url, String::new());
        self.image_url.apply(&mut product.image_url, String::new());
        self.suite.apply(&mut product.suite, String::new());
        self.successor.apply(&mut product.successor, String::new());
        self.pinned.apply(&mut product.pinned, 0);
    }
}

impl batch::Desk for Desk {
    type Item = ProductRow;

    async fn write(
        &mut self,
        mut conn: Conn<'_>,
        items: &[&ProductRow],
        now_ms: i64,
    ) -> Result<Vec<Outcome>, StoreError> {
        let skus: Vec<&str> = items.iter().map(|row| row.sku.as_str()).collect();
        let (products, offers) = product::with_offers(conn.again(), &skus).await?;
        let mut shelf = Shelf::of(products, offers);
        let outcomes = items.iter().map(|row| shelf.apply(row).unwrap_or_else(Outcome::Rejected)).collect();
        let changed: Vec<&Product> =
            shelf.products.iter().filter(|(_, changed)| *changed).map(|(product, _)| product).collect();
        let ids = product::upsert(conn.again(), &changed, now_ms).await?;
        let mut offers: Vec<Offer> = Vec::new();
        for ((at, _), (offer, _)) in shelf.offers.iter().filter(|(_, (_, changed))| *changed) {
            let product = &shelf.products[*at].0;
            let product_id = ids.get(&product.sku).copied().unwrap_or(product.id);
            offers.push(Offer { product_id, ..offer.clone() });
        }
        product::upsert_offers(conn, &offers, now_ms).await?;
        Ok(outcomes)
    }

    fn forget(&mut self) {}
}
