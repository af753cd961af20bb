//! The sample shop of the demonstration: home appliances under invented brands, members in three languages, two years
//! of orders and behaviour. All of it is drawn from a seed, written as the files a shop would export, and imported
//! through the real intake.

mod deeds;
mod dice;
mod goods;
mod people;
mod picture;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::World;
use crate::domain::provider::ProviderTable;
use crate::flow::intake::{self, Import, IntakeError, Kind, Progress, Summary};
use crate::store::Db;

use deeds::{Deeds, Look, Purchase};
use goods::{MARKETS, Product, SORTS};
use people::Person;

pub use picture::picture;

/// Members of the shop, unless told otherwise.
pub const MEMBERS: usize = 5_000;

/// Which shop to draw. The same values give the same files, byte for byte.
#[derive(Debug, Clone)]
pub struct Shop {
    pub seed: u64,
    /// The moment the history ends.
    pub now_ms: i64,
    pub members: usize,
    /// Where the shop's pages are: products link to `{base_url}/demo/{sku}`, pictures are
    /// `{base_url}/demo/img/{sku}.svg`.
    pub base_url: String,
}

/// A shop's failure to be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write the sample shop to {}: {source}", folder.display())]
pub struct ShopError {
    folder: PathBuf,
    source: io::Error,
}

/// The files of a shop, in the order in which they must be imported.
pub const FILES: [(Kind, &str); 4] = [
    (Kind::Members, "members.csv"),
    (Kind::Products, "products.csv"),
    (Kind::Orders, "orders.csv"),
    (Kind::Events, "events.jsonl"),
];

impl Shop {
    pub fn new(now_ms: i64, base_url: &str) -> Shop {
        Shop { seed: 26, now_ms, members: MEMBERS, base_url: base_url.trim_end_matches('/').to_owned() }
    }

    /// Writes the four [`FILES`] into `folder`, which is made when missing.
    ///
    /// # Errors
    /// When the folder or a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ShopError> {
        self.write_files(folder).map_err(|source| ShopError { folder: folder.to_owned(), source })
    }

    fn write_files(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let people: Vec<Person> = (0..self.members).map(|n| people::person(self.seed, n, self.now_ms)).collect();
        let shelves: Vec<Vec<Product>> = (0..MARKETS.len()).map(|market| goods::products(self.seed, market)).collect();
        let mut deeds = Deeds::default();
        for (n, person) in people.iter().enumerate() {
            deeds.live(self.seed, n, person, &shelves[person.market], self.now_ms);
        }
        deeds.looks.sort_by_key(|look| (look.at_ms, look.person));
        deeds.purchases.sort_by_key(|purchase| (purchase.at_ms, purchase.person, purchase.visit));
        let product = |person: usize, at: usize| &shelves[people[person].market][at];
        members(&folder.join(FILES[0].1), &people)?;
        self.products(&folder.join(FILES[1].1), &shelves)?;
        orders(&folder.join(FILES[2].1), &deeds.purchases, &people, product)?;
        events(&folder.join(FILES[3].1), &deeds.looks, &people, product)
    }

    fn products(&self, path: &Path, shelves: &[Vec<Product>]) -> io::Result<()> {
        let mut file = csv::Writer::from_path(path)?;
        file.write_record([
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
        ])?;
        for (market, shelf) in MARKETS.iter().zip(shelves) {
            for product in shelf {
                let url = format!("{}/demo/{}", self.base_url, product.sku);
                let image = format!("{}/demo/img/{}.svg", self.base_url, product.sku);
                let stock = product.stock.map_or(r"\N".to_owned(), |n| n.to_string());
                let (price, category) = (amount(product.price_minor), SORTS[product.sort].category);
                file.write_record([
                    &product.sku,
                    &product.name,
                    category,
                    product.brand,
                    &price,
                    market.currency,
                    &url,
                    &image,
                    &stock,
                    market.code,
                ])?;
            }
        }
        file.flush()
    }
}

fn members(path: &Path, people: &[Person]) -> io::Result<()> {
    let mut file = csv::Writer::from_path(path)?;
    file.write_record([
        "email",
        "external_id",
        "first_name",
        "last_name",
        "locale",
        "zone",
        "market",
        "topics",
        "points",
        "city",
        "household",
        "joined",
    ])?;
    for person in people {
        let joined = date(person.joined_at_ms);
        file.write_record([
            &person.email,
            &person.external_id,
            person.first_name,
            &person.last_name,
            person.locale,
            person.zone,
            MARKETS[person.market].code,
            person.topics,
            &person.points.to_string(),
            person.city,
            &person.household.to_string(),
            &joined,
        ])?;
    }
    file.flush()
}

fn orders<'a>(
    path: &Path,
    purchases: &[Purchase],
    people: &[Person],
    product: impl Fn(usize, usize) -> &'a Product,
) -> io::Result<()> {
    let mut file = csv::Writer::from_path(path)?;
    file.write_record(["order_id", "email", "ordered_at", "sku", "quantity", "price", "currency", "status", "coupon"])?;
    let mut seen = HashSet::new();
    for purchase in purchases {
        let (person, product) = (&people[purchase.person], product(purchase.person, purchase.product));
        let order_id = format!("D{:06}", purchase.visit);
        if !seen.insert((purchase.visit, product.sku.as_str())) {
            continue;
        }
        file.write_record([
            &order_id,
            &person.email,
            &instant(purchase.at_ms),
            &product.sku,
            &purchase.quantity.to_string(),
            &amount(product.price_minor),
            MARKETS[person.market].currency,
            purchase.status,
            purchase.coupon,
        ])?;
    }
    file.flush()
}

fn events<'a>(
    path: &Path,
    looks: &[Look],
    people: &[Person],
    product: impl Fn(usize, usize) -> &'a Product,
) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (n, look) in looks.iter().enumerate() {
        let (person, product) = (&people[look.person], product(look.person, look.product));
        let event = if look.added { "Product Added" } else { "Product Viewed" };
        let call = serde_json::json!({
            "type": "track",
            "event": event,
            "messageId": format!("demo-{n}"),
            "userId": person.external_id,
            "timestamp": instant(look.at_ms),
            "properties": {
                "sku": product.sku,
                "category": SORTS[product.sort].category,
                "brand": product.brand,
                "price": amount(product.price_minor),
                "currency": MARKETS[person.market].currency,
            },
        });
        writeln!(file, "{call}")?;
    }
    file.flush()
}

fn amount(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

fn instant(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map(|at| at.to_string()).unwrap_or_default()
}

fn date(at_ms: i64) -> String {
    instant(at_ms).chars().take(10).collect()
}

/// Imports the files that [`Shop::write`] wrote, one after the other; a second time changes nothing.
///
/// # Errors
/// What the intake says.
///
/// # Crash
/// Whole batches are in; the same again finishes the work.
pub async fn import(
    db: &Db,
    world: &World,
    providers: Arc<ProviderTable>,
    folder: &Path,
    progress: &(dyn Fn(Kind, Progress) + Sync),
) -> Result<Vec<(Kind, Summary)>, IntakeError> {
    let mut summaries = Vec::with_capacity(FILES.len());
    for (kind, name) in FILES {
        let file = Import::new(kind, folder.join(name), providers.clone());
        summaries.push((kind, intake::import(db, world, &file, &|so_far| progress(kind, so_far)).await?));
    }
    Ok(summaries)
}
