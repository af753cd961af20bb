//! Products and what they cost in each market.

use std::collections::HashMap;

use serde_json::json;

use super::{Conn, Pair, Rows, StoreError};
use crate::{bulk, on};

/// A product's own columns. The same in every market.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Product {
    pub id: i64,
    pub sku: String,
    pub name: String,
    pub category: String,
    pub brand: String,
    pub url: String,
    pub image_url: String,
    pub suite: String,
    pub successor: String,
    pub pinned: i64,
}

/// What a product costs in one market.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Offer {
    pub product_id: i64,
    pub market: String,
    pub price_minor: i64,
    pub currency: String,
    pub stock: Option<i64>,
}

/// The ids of products by sku; unknown ones are not in the map.
pub async fn ids(conn: Conn<'_>, skus: &[&str]) -> Result<HashMap<String, i64>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(sku) as (select value ->> 0 from",
        "$1",
        ") select p.sku, p.id from row join product p on p.sku = row.sku"
    );
    if skus.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = conn.pick(&SQL);
    let rows = Rows::of(skus.iter().map(|sku| (sku,))).json();
    let ids: Vec<(String, i64)> =
        on!(conn, "find products", c => sqlx::query_as(sql).bind(rows).fetch_all(&mut *c).await)?;
    Ok(ids.into_iter().collect())
}

/// The products with these skus, and all their offers.
pub async fn with_offers(mut conn: Conn<'_>, skus: &[&str]) -> Result<(Vec<Product>, Vec<Offer>), StoreError> {
    const PRODUCTS: Pair = bulk!(
        "with row(sku) as (select distinct value ->> 0 from",
        "$1",
        ") select p.id, p.sku, p.name, p.category, p.brand, p.url, p.image_url, p.suite, p.successor, p.pinned
           from row join product p on p.sku = row.sku"
    );
    const OFFERS: Pair = bulk!(
        "with row(sku) as (select distinct value ->> 0 from",
        "$1",
        ") select o.product_id, o.market, o.price_minor, o.currency, o.stock
           from row join product p on p.sku = row.sku join product_market o on o.product_id = p.id"
    );
    let rows = Rows::of(skus.iter().map(|sku| (sku,))).json();
    let sql = conn.pick(&PRODUCTS);
    let products = on!(conn.again(), "load products", c => sqlx::query_as(sql).bind(&rows).fetch_all(&mut *c).await)?;
    let sql = conn.pick(&OFFERS);
    let offers = on!(conn, "load offers", c => sqlx::query_as(sql).bind(&rows).fetch_all(&mut *c).await)?;
    Ok((products, offers))
}

/// Writes products by sku, each at most once, and returns their ids by sku. Ids given are ignored.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn upsert(conn: Conn<'_>, products: &[&Product], now_ms: i64) -> Result<HashMap<String, i64>, StoreError> {
    const SQL: Pair = bulk!(
        "insert into product (sku, name, category, brand, url, image_url, suite, successor, pinned, created_at_ms, updated_at_ms)
         select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           cast(value ->> 8 as bigint), $2, $2 from",
        "$1",
        "where true on conflict (sku) do update set name = excluded.name, category = excluded.category,
           brand = excluded.brand, url = excluded.url, image_url = excluded.image_url, suite = excluded.suite,
           successor = excluded.successor, pinned = excluded.pinned,
           updated_at_ms = excluded.updated_at_ms
         returning sku, id"
    );
    if products.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = conn.pick(&SQL);
    let row = |p: &&Product| {
        let p = *p;
        json!([p.sku, p.name, p.category, p.brand, p.url, p.image_url, p.suite, p.successor, p.pinned])
    };
    let rows = Rows::of(products.iter().map(row)).json();
    let ids: Vec<(String, i64)> =
        on!(conn, "write products", c => sqlx::query_as(sql).bind(rows).bind(now_ms).fetch_all(&mut *c).await)?;
    Ok(ids.into_iter().collect())
}

/// Writes offers, each (product, market) at most once.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn upsert_offers(conn: Conn<'_>, offers: &[Offer], now_ms: i64) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "insert into product_market (product_id, market, price_minor, currency, stock, updated_at_ms)
         select cast(value ->> 0 as bigint), value ->> 1, cast(value ->> 2 as bigint), value ->> 3,
           cast(value ->> 4 as bigint), $2 from",
        "$1",
        "where true on conflict (product_id, market) do update set price_minor = excluded.price_minor,
           currency = excluded.currency, stock = excluded.stock, updated_at_ms = excluded.updated_at_ms"
    );
    if offers.is_empty() {
        return Ok(());
    }
    let sql = conn.pick(&SQL);
    let rows = Rows::of(offers.iter().map(|o| (o.product_id, &o.market, o.price_minor, &o.currency, o.stock))).json();
    on!(conn, "write offers", c => sqlx::query(sql).bind(rows).bind(now_ms).execute(&mut *c).await.map(|_| ()))
}
