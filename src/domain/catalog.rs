//! The catalogue in memory: every product once, with price and stock per market, and the lists that picking walks.
//!
//! A [`Catalog`] is a snapshot: built once when the tables changed, shared by every courier, never altered. What is
//! for sale in a market stands on that market's [`Shelf`], sorted beforehand, so that picking for a member walks the
//! heads of a few short lists.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::recommend::blend::Judge;
use super::recommend::care::{Care, Cares};
use super::recommend::tables::Tables;

/// Price bands of a category, from cheap to dear: fifths of what is for sale.
pub const BANDS: usize = 5;
/// Levels of a category path that are looked at.
const DEPTH_MAX: usize = 8;
/// The share of what all markets buy in a market's popularity, so that a young market is not without any.
const ELSEWHERE: f64 = 0.1;
const NOT_SOLD: u8 = u8::MAX;

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
    pub created_at_ms: i64,
    /// Products that belong together bear one name; empty: none.
    pub suite: String,
    /// The article number of the model that came after this one; empty: none yet.
    pub successor: String,
    /// The place among the products that `pinned` blocks show, from 1; 0: not among them.
    pub pinned: i64,
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

    /// Whether it can be bought in `market` now.
    pub fn is_sold(&self, market: &str) -> bool {
        self.offer(market).is_some_and(|offer| offer.stock.is_none_or(|stock| stock > 0))
    }

    /// The last part of the category's path: what the default interest tag is named after.
    pub fn category_leaf(&self) -> &str {
        leaf(&self.category)
    }
}

/// The last part of a category path.
pub fn leaf(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// How much of a product was bought in a market lately, each purchase weighing less with age.
#[derive(Debug, Clone, PartialEq)]
pub struct Sold {
    pub product: i64,
    pub market: String,
    pub weight: f64,
}

/// A place in [`Catalog::products`].
pub type Index = u32;
/// A place in the list of categories.
pub(super) type Node = u32;

/// A snapshot of everything for sale; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Catalog(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    products: Vec<Product>,
    by_id: ById,
    by_sku: HashMap<String, Index>,
    /// The category each product stands in.
    node_of: Vec<Node>,
    categories: Vec<Category>,
    /// Categories by whole path and by last part.
    named: HashMap<String, Vec<Node>>,
    /// By market named in any offer.
    shelves: HashMap<String, Shelf>,
    /// For every other market, and for `""`.
    anywhere: Shelf,
    /// What is known of each category.
    cares: Vec<Care>,
    judge: Option<Arc<Judge>>,
    /// What is bought from next after each category.
    next: Vec<Vec<NextCategory>>,
}

/// Scatters ids of rows, which nobody outside can choose: a dozen times cheaper than what withstands an attacker.
#[derive(Debug, Clone, Copy, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_i64(i64::from(*byte)));
    }

    fn write_i64(&mut self, id: i64) {
        self.0 = (self.0.rotate_left(5) ^ id.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

type ById = HashMap<i64, Index, BuildHasherDefault<IdHasher>>;

/// A category that is bought from after another.
#[derive(Debug, Clone, Copy)]
pub(super) struct NextCategory {
    pub node: Node,
    /// How much likelier than of anybody that is.
    pub lift: f32,
    /// When half have done so, milliseconds.
    pub lag_ms: i64,
}

#[derive(Debug)]
struct Category {
    leaf: Arc<str>,
    parent: Option<Node>,
}

/// What is for sale in one market, best first.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub popular: Vec<Index>,
    pub newest: Vec<Index>,
    pub brands: HashMap<String, Vec<Index>>,
    pub suites: HashMap<String, Vec<Index>>,
    /// In their order.
    pub pinned: Vec<Index>,
    racks: Vec<Rack>,
    /// The price band of each product within its own category, or [`NOT_SOLD`].
    bands: Vec<u8>,
}

/// What is for sale in one category of one market, everything below it included.
#[derive(Debug, Default)]
pub(super) struct Rack {
    pub popular: Vec<Index>,
    pub newest: Vec<Index>,
    pub bands: [Vec<Index>; BANDS],
}

impl Catalog {
    /// Sorts `products` and what was `sold` of them into the lists.
    pub fn new(products: Vec<Product>, sold: &[Sold]) -> Catalog {
        Catalog::informed(products, sold, &Cares::default(), None)
    }

    /// The same, with what is known of categories and what was learned from everybody's behaviour.
    pub fn informed(mut products: Vec<Product>, sold: &[Sold], cares: &Cares, tables: Option<&Tables>) -> Catalog {
        products.sort_by_key(|product| product.id);
        let mut inner = Inner {
            by_id: products.iter().zip(0..).map(|(product, index)| (product.id, index)).collect(),
            by_sku: products.iter().zip(0..).map(|(product, index)| (product.sku.clone(), index)).collect(),
            ..Inner::default()
        };
        inner.node_of = products.iter().map(|product| inner.category(&product.category)).collect();
        let popularity = Popularity::new(sold, &inner.by_id, products.len());
        let mut markets: Vec<&str> = products.iter().flat_map(|p| &p.offers).map(|offer| &*offer.market).collect();
        markets.sort_unstable();
        markets.dedup();
        let shelf = |market: &str| inner.shelf(&products, market, &popularity.in_market(market));
        let (anywhere, shelves) = (shelf(""), markets.into_iter().map(|market| (market.to_owned(), shelf(market))));
        (inner.shelves, inner.anywhere) = (shelves.collect(), anywhere);
        inner.cares = vec![Care::default(); inner.categories.len()];
        for (product, node) in products.iter().zip(&inner.node_of) {
            inner.cares[*node as usize] = cares.of(&product.category);
        }
        let ids = || products.iter().map(|product| product.id).collect::<Vec<_>>();
        inner.judge = tables.map(|tables| Arc::new(Judge::new(tables.numbered(&ids()))));
        inner.next = tables.map(|tables| inner.next(tables)).unwrap_or_default();
        inner.products = products;
        Catalog(Arc::new(inner))
    }

    pub(super) fn care_of(&self, index: Index) -> Care {
        self.0.cares[self.node_of(index) as usize]
    }

    /// What was learned, products numbered as here.
    pub(super) fn judge(&self) -> Option<&Arc<Judge>> {
        self.0.judge.as_ref()
    }

    /// What is bought from after a category, the likeliest first.
    pub(super) fn next_after(&self, node: Node) -> &[NextCategory] {
        self.0.next.get(node as usize).map_or(&[], Vec::as_slice)
    }

    /// Every product, by id.
    pub fn products(&self) -> &[Product] {
        &self.0.products
    }

    pub fn get(&self, id: i64) -> Option<&Product> {
        self.index(id).map(|index| self.at(index))
    }

    pub fn by_sku(&self, sku: &str) -> Option<&Product> {
        self.0.by_sku.get(sku).map(|index| self.at(*index))
    }

    /// What is for sale in `market` in the category named by its whole path or by its last part, everything below it
    /// included, the most popular first.
    pub fn in_category(&self, market: &str, name: &str) -> impl Iterator<Item = &Product> {
        let shelf = self.shelf(market);
        let racks = self.nodes_named(name).iter().filter_map(|node| shelf.rack(*node));
        racks.flat_map(|rack| &rack.popular).map(|index| self.at(*index))
    }

    pub(super) fn at(&self, index: Index) -> &Product {
        &self.0.products[index as usize]
    }

    pub(super) fn index(&self, id: i64) -> Option<Index> {
        self.0.by_id.get(&id).copied()
    }

    pub(super) fn index_of_sku(&self, sku: &str) -> Option<Index> {
        self.0.by_sku.get(sku).copied()
    }

    pub(super) fn shelf(&self, market: &str) -> &Shelf {
        self.0.shelves.get(market).unwrap_or(&self.0.anywhere)
    }

    /// How many categories there are.
    pub(super) fn categories(&self) -> usize {
        self.0.categories.len()
    }

    pub(super) fn node_of(&self, index: Index) -> Node {
        self.0.node_of[index as usize]
    }

    /// The categories a name means: a whole path means one, a last part may mean several.
    pub(super) fn nodes_named(&self, name: &str) -> &[Node] {
        self.0.named.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn leaf_of(&self, node: Node) -> &Arc<str> {
        &self.0.categories[node as usize].leaf
    }

    /// Whether `node` is `above` or stands below it.
    pub(super) fn is_within(&self, node: Node, above: Node) -> bool {
        self.0.up_from(node).any(|node| node == above)
    }
}

impl Inner {
    /// The category of a path, made with all those above it where it is new.
    fn category(&mut self, path: &str) -> Node {
        let mut parent = None;
        let ends = path.match_indices('/').map(|(at, _)| at).take(DEPTH_MAX - 1).chain([path.len()]);
        for end in ends {
            let (path, last) = (&path[..end], leaf(&path[..end]));
            let known = self.named.get(path).and_then(|nodes| {
                nodes.iter().copied().find(|node| {
                    let category = &self.categories[*node as usize];
                    category.parent == parent && *category.leaf == *last
                })
            });
            parent = Some(known.unwrap_or_else(|| {
                let node = self.categories.len() as Node;
                self.categories.push(Category { leaf: last.into(), parent });
                self.named.entry(path.to_owned()).or_default().push(node);
                if last != path {
                    self.named.entry(last.to_owned()).or_default().push(node);
                }
                node
            }));
        }
        parent.expect("a path has at least one part")
    }

    /// What the tables say of categories, by the categories of this catalogue.
    fn next(&self, tables: &Tables) -> Vec<Vec<NextCategory>> {
        let node = |path: &str| self.named.get(path).and_then(|nodes| nodes.first()).copied();
        let mut next = vec![Vec::new(); self.categories.len()];
        for follow in &tables.follows {
            if let (Some(from), Some(to)) = (node(&follow.from), node(&follow.to)) {
                let told = NextCategory { node: to, lift: follow.lift, lag_ms: follow.lag_ms };
                next[from as usize].push(told);
            }
        }
        next
    }

    fn up_from(&self, node: Node) -> impl Iterator<Item = Node> {
        std::iter::successors(Some(node), |node| self.categories[*node as usize].parent)
    }

    fn shelf(&self, products: &[Product], market: &str, popularity: &[f64]) -> Shelf {
        let mut popular: Vec<Index> =
            (0..products.len() as Index).filter(|index| products[*index as usize].is_sold(market)).collect();
        let newer = |a: &Index, b: &Index| {
            let made = |index: &Index| (products[*index as usize].created_at_ms, products[*index as usize].id);
            made(b).cmp(&made(a))
        };
        let mut newest = popular.clone();
        newest.sort_by(newer);
        popular.sort_by(|a, b| popularity[*b as usize].total_cmp(&popularity[*a as usize]).then_with(|| newer(a, b)));
        let racks = std::iter::repeat_with(Rack::default).take(self.categories.len()).collect();
        let mut shelf = Shelf { bands: self.bands(products, market, &popular), racks, ..Shelf::default() };
        for index in &popular {
            let Product { brand, suite, pinned, .. } = &products[*index as usize];
            for (name, lists) in [(brand, &mut shelf.brands), (suite, &mut shelf.suites)] {
                if !name.is_empty() {
                    lists.entry(name.clone()).or_default().push(*index);
                }
            }
            if *pinned > 0 {
                shelf.pinned.push(*index);
            }
            for node in self.up_from(self.node_of[*index as usize]) {
                let rack = &mut shelf.racks[node as usize];
                rack.popular.push(*index);
                rack.bands[shelf.bands[*index as usize] as usize].push(*index);
            }
        }
        shelf.pinned.sort_by_key(|index| products[*index as usize].pinned);
        for index in &newest {
            for node in self.up_from(self.node_of[*index as usize]) {
                shelf.racks[node as usize].newest.push(*index);
            }
        }
        Shelf { popular, newest, ..shelf }
    }

    /// The fifth of its own category's prices in which each product lies.
    fn bands(&self, products: &[Product], market: &str, sold: &[Index]) -> Vec<u8> {
        let mut bands = vec![NOT_SOLD; products.len()];
        let price = |index: Index| products[index as usize].offer(market).map_or(0, |offer| offer.price_minor);
        let mut by_price: Vec<Index> = sold.to_vec();
        by_price.sort_by_key(|index| (self.node_of[*index as usize], price(*index), *index));
        for group in by_price.chunk_by(|a, b| self.node_of[*a as usize] == self.node_of[*b as usize]) {
            for (place, index) in group.iter().enumerate() {
                bands[*index as usize] = (place * BANDS / group.len()) as u8;
            }
        }
        bands
    }
}

impl Shelf {
    /// The price band of a product within its own category, or `None` where it is not for sale.
    pub fn band(&self, index: Index) -> Option<u8> {
        self.bands.get(index as usize).copied().filter(|band| *band != NOT_SOLD)
    }

    pub fn is_sold(&self, index: Index) -> bool {
        self.band(index).is_some()
    }

    /// What is for sale in a category; `None`: nothing.
    pub fn rack(&self, node: Node) -> Option<&Rack> {
        self.racks.get(node as usize).filter(|rack| !rack.popular.is_empty())
    }
}

/// How popular each product is, in each market and everywhere.
struct Popularity {
    everywhere: Vec<f64>,
    markets: HashMap<String, Vec<(Index, f64)>>,
}

impl Popularity {
    fn new(sold: &[Sold], by_id: &ById, products: usize) -> Popularity {
        let mut everywhere = vec![0.0; products];
        let mut markets: HashMap<String, Vec<(Index, f64)>> = HashMap::new();
        for sold in sold {
            if let Some(index) = by_id.get(&sold.product) {
                everywhere[*index as usize] += sold.weight;
                markets.entry(sold.market.clone()).or_default().push((*index, sold.weight));
            }
        }
        Popularity { everywhere, markets }
    }

    fn in_market(&self, market: &str) -> Vec<f64> {
        let mut all: Vec<f64> = self.everywhere.iter().map(|weight| weight * ELSEWHERE).collect();
        for (index, weight) in self.markets.get(market).into_iter().flatten() {
            all[*index as usize] += weight;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(id: i64, category: &str, price_minor: i64, market: &str, stock: Option<i64>) -> Product {
        let offer = Offer { market: market.into(), price_minor, currency: "EUR".into(), stock };
        let (sku, category) = (format!("S{id}"), category.to_owned());
        Product { id, sku, category, brand: "Aurelia".into(), offers: vec![offer], ..Product::default() }
    }

    fn ids<'a>(products: impl Iterator<Item = &'a Product>) -> Vec<i64> {
        products.map(|product| product.id).collect()
    }

    #[test]
    fn a_category_is_found_by_path_and_by_last_part_with_everything_below_it() {
        let catalog = Catalog::new(
            vec![
                product(1, "kitchen/refrigerator", 100, "", None),
                product(2, "kitchen/oven/steam", 200, "", None),
                product(3, "garden/oven", 300, "", None),
            ],
            &[Sold { product: 2, market: "de".into(), weight: 2.0 }],
        );
        assert_eq!(ids(catalog.in_category("", "kitchen")), [2, 1]);
        assert_eq!(ids(catalog.in_category("", "kitchen/oven")), [2]);
        assert_eq!(ids(catalog.in_category("", "oven")), [2, 3]);
        assert_eq!(ids(catalog.in_category("", "oven/steam")), [] as [i64; 0]);
    }

    #[test]
    fn a_market_sells_its_own_offers_and_those_of_no_market() {
        let mut both = product(1, "a", 100, "", Some(5));
        both.offers.push(Offer { market: "ru".into(), stock: Some(0), ..both.offers[0].clone() });
        let catalog = Catalog::new(vec![both, product(2, "a", 10, "ru", Some(1))], &[]);
        assert_eq!(ids(catalog.in_category("ru", "a")), [2], "sold out there, whatever is left elsewhere");
        assert_eq!(ids(catalog.in_category("de", "a")), [1]);
    }

    #[test]
    fn bands_are_fifths_of_the_categorys_prices() {
        let catalog = Catalog::new((1..=10).map(|id| product(id, "a", id * 100, "", None)).collect(), &[]);
        let bands: Vec<_> = (0..10).map(|index| catalog.shelf("").band(index).unwrap()).collect();
        assert_eq!(bands, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
    }
}
