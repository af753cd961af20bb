//! The catalogue as one snapshot, and how to know that it is out of date.

use std::collections::HashMap;

use super::{Conn, Pair, Rows, StoreError, recommend};
use crate::domain::catalog::{Catalog, Offer, Product, Sold};
use crate::domain::recommend::care::Cares;
use crate::domain::recommend::tables::Tables;
use crate::{bulk, on};

/// Most products that are loaded, the newest first; about 1 KB each.
pub const PRODUCTS_MAX: i64 = 200_000;
/// How far back sales count, weeks.
const SALES_WEEKS: i64 = 26;
/// What a sale is worth halves in this time, weeks.
const SALE_HALF_LIFE_WEEKS: f64 = 4.0;
const WEEK_MS: i64 = 7 * 86_400_000;
/// How long popularity may be out of date, milliseconds.
const POPULARITY_AGE_MS: i64 = 3_600_000;

/// The state of the tables a catalogue is made from: a catalogue loaded under an equal version is still right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    products: (i64, i64),
    offers: (i64, i64, i64),
    /// Popularity is taken anew each hour.
    hour: i64,
    /// The build of the recommender's tables.
    tables: Option<i64>,
}

/// The version now: two short scans, cheap enough for every few seconds.
pub async fn version(mut conn: Conn<'_>, now_ms: i64) -> Result<Version, StoreError> {
    const PRODUCTS: &str = "select count(*), coalesce(max(updated_at_ms), 0) from product";
    const OFFERS: &str = "select count(*), coalesce(max(updated_at_ms), 0),
        cast(coalesce(sum(price_minor + 31 * coalesce(stock, -1)), 0) as bigint) from product_market";
    let products = on!(conn.again(), "look at the products", c => sqlx::query_as(PRODUCTS).fetch_one(&mut *c).await)?;
    let offers = on!(conn.again(), "look at the offers", c => sqlx::query_as(OFFERS).fetch_one(&mut *c).await)?;
    Ok(Version {
        products,
        offers,
        hour: now_ms.div_euclid(POPULARITY_AGE_MS),
        tables: recommend::newest(conn).await?.map(|(id, _)| id),
    })
}

/// Everything for sale, with what sold lately. Reads all orders of half a year: some seconds with millions of them,
/// so call it beside the work, and only when [`version`] changed.
pub async fn load(mut conn: Conn<'_>, cares: &Cares, now_ms: i64) -> Result<Catalog, StoreError> {
    let mut products = products(conn.again()).await?;
    let places: HashMap<i64, usize> = products.iter().enumerate().map(|(place, product)| (product.id, place)).collect();
    for (id, offer) in offers(conn.again()).await? {
        if let Some(place) = places.get(&id) {
            products[*place].offers.push(offer);
        }
    }
    let sold = sold(conn.again(), now_ms).await?;
    let tables = match recommend::newest(conn.again()).await? {
        // Tables of another version are built anew in time; until then products are picked without.
        Some((build, _)) => Tables::from_bytes(&recommend::get(conn, build, recommend::TABLES).await?).ok(),
        None => None,
    };
    Ok(Catalog::informed(products, &sold, cares, tables.as_ref()))
}

#[derive(sqlx::FromRow)]
struct ProductRow {
    id: i64,
    sku: String,
    name: String,
    category: String,
    brand: String,
    url: String,
    image_url: String,
    created_at_ms: i64,
    suite: String,
    successor: String,
    pinned: i64,
}

async fn products(conn: Conn<'_>) -> Result<Vec<Product>, StoreError> {
    const SQL: &str = "select id, sku, name, category, brand, url, image_url, created_at_ms, suite, successor, pinned
        from product order by id desc limit $1";
    let rows: Vec<ProductRow> =
        on!(conn, "load products", c => sqlx::query_as(SQL).bind(PRODUCTS_MAX).fetch_all(&mut *c).await)?;
    let product = |row: ProductRow| Product {
        id: row.id,
        sku: row.sku,
        name: row.name,
        category: row.category,
        brand: row.brand,
        url: row.url,
        image_url: row.image_url,
        created_at_ms: row.created_at_ms,
        suite: row.suite,
        successor: row.successor,
        pinned: row.pinned,
        offers: Vec::new(),
    };
    Ok(rows.into_iter().map(product).collect())
}

async fn offers(conn: Conn<'_>) -> Result<Vec<(i64, Offer)>, StoreError> {
    const SQL: &str = "select product_id, market, price_minor, currency, stock from product_market
        order by product_id desc, market limit $1";
    let rows: Vec<(i64, String, i64, String, Option<i64>)> =
        on!(conn, "load offers", c => sqlx::query_as(SQL).bind(8 * PRODUCTS_MAX).fetch_all(&mut *c).await)?;
    let offer = |(id, market, price_minor, currency, stock)| (id, Offer { market, price_minor, currency, stock });
    Ok(rows.into_iter().map(offer).collect())
}

/// What was bought in each market, quantities weighing less by age. SQLite has no `exp`: the weights of the weeks are
/// the argument.
async fn sold(conn: Conn<'_>, now_ms: i64) -> Result<Vec<Sold>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(age, weight) as (select cast(value ->> 0 as bigint), cast(value ->> 1 as double precision) from",
        "$1",
        ") select l.product_id, m.market, sum(l.quantity * row.weight)
           from orders o join row on row.age = ($2 - o.ordered_at_ms) / $3
           join member m on m.id = o.member_id join order_line l on l.orders_id = o.id
           where o.ordered_at_ms > $4 and o.ordered_at_ms <= $2 and o.status in ('completed', 'pending')
           group by l.product_id, m.market"
    );
    let weeks = (0..SALES_WEEKS).map(|age| (age, (-(age as f64) / SALE_HALF_LIFE_WEEKS).exp2()));
    let (sql, weights) = (conn.pick(&SQL), Rows::of(weeks).json());
    let since = now_ms - SALES_WEEKS * WEEK_MS;
    let rows: Vec<(i64, String, f64)> = on!(conn, "load what sold",
        c => sqlx::query_as(sql).bind(&weights).bind(now_ms).bind(WEEK_MS).bind(since).fetch_all(&mut *c).await)?;
    Ok(rows.into_iter().map(|(product, market, weight)| Sold { product, market, weight }).collect())
}
