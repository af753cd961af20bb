//! What a member's page shows beside the profile and the timeline: what mails showed and what was done with them,
//! orders.

use std::collections::HashMap;

use super::{Conn, Pair, Rows, StoreError};
use crate::domain::catalog::Product;
use crate::{bulk, on};

/// How often a mail was touched in one way by one class.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TouchCount {
    pub message_id: i64,
    pub kind: String,
    pub class: String,
    pub n: i64,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Order {
    pub id: i64,
    pub order_id: String,
    pub ordered_at_ms: i64,
    pub status: String,
    pub currency: String,
    pub revenue_minor: i64,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct Line {
    #[serde(skip)]
    pub orders_id: i64,
    pub sku: String,
    pub name: String,
    pub quantity: i64,
    pub price_minor: i64,
}

/// What the last `n` campaign mails to a member showed, as (message, JSON); not yet armed ones showed nothing.
pub async fn shown(conn: Conn<'_>, member: i64, n: i64) -> Result<Vec<(i64, String)>, StoreError> {
    const SQL: &str = "select g.id, s.body from run r join message g on g.run_id = r.id and g.origin = $1 and g.seq = 0
        join shown s on s.run_id = g.run_id and s.message_id = g.id
        where g.member_id = $1 order by r.id desc limit $2";
    on!(conn, "list what mails showed", c => sqlx::query_as(SQL).bind(member).bind(n).fetch_all(&mut *c).await)
}

/// Everything done with a member's mails, counted.
pub async fn touches(conn: Conn<'_>, member: i64) -> Result<Vec<TouchCount>, StoreError> {
    const SQL: &str = "select message_id, kind, class, count(*) as n from touch
        where member_id = $1 group by message_id, kind, class";
    on!(conn, "count a member's touches", c => sqlx::query_as(SQL).bind(member).fetch_all(&mut *c).await)
}

/// The last orders of a member with their lines.
pub async fn orders(mut conn: Conn<'_>, member: i64, limit: i64) -> Result<(Vec<Order>, Vec<Line>), StoreError> {
    const ORDERS: &str = "select id, order_id, ordered_at_ms, status, currency, revenue_minor from orders
        where member_id = $1 order by ordered_at_ms desc, id desc limit $2";
    const LINES: &str = "select l.orders_id, p.sku, p.name, l.quantity, l.price_minor
        from order_line l join product p on p.id = l.product_id
        where l.orders_id in (select id from orders where member_id = $1 order by ordered_at_ms desc, id desc limit $2)
        order by l.orders_id, p.sku";
    let orders = on!(conn.again(), "list a member's orders", c => sqlx::query_as(ORDERS).bind(member).bind(limit).fetch_all(&mut *c).await)?;
    let lines = on!(conn, "list a member's order lines", c => sqlx::query_as(LINES).bind(member).bind(limit).fetch_all(&mut *c).await)?;
    Ok((orders, lines))
}

/// These products without their offers, of those that are still known.
pub async fn products(conn: Conn<'_>, ids: &[i64]) -> Result<HashMap<i64, Product>, StoreError> {
    const SQL: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") select p.id, p.sku, p.name, p.category, p.brand, p.url, p.suite from row join product p on p.id = row.id"
    );
    let (sql, ids) = (conn.pick(&SQL), Rows::of(ids.iter().map(|id| (id,))).json());
    let rows: Vec<(i64, String, String, String, String, String, String)> =
        on!(conn, "name products", c => sqlx::query_as(sql).bind(&ids).fetch_all(&mut *c).await)?;
    let product = |(id, sku, name, category, brand, url, suite)| Product {
        id,
        sku,
        name,
        category,
        brand,
        url,
        suite,
        ..Product::default()
    };
    Ok(rows.into_iter().map(|row| (row.0, product(row))).collect())
}
