//! Orders with their lines, and what they add up to for a member.

use std::collections::HashMap;

use super::{Conn, Pair, Rows, StoreError};
use crate::{bulk, on};

/// An order's own columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Order {
    pub id: i64,
    pub order_id: String,
    pub member_id: i64,
    pub ordered_at_ms: i64,
    pub status: String,
    pub currency: String,
    pub coupon: Option<String>,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Line {
    pub orders_id: i64,
    pub product_id: i64,
    pub sku: String,
    pub quantity: i64,
    /// Of one piece.
    pub price_minor: i64,
}

/// The orders with these ids of the shop's, and all their lines.
pub async fn with_lines(mut conn: Conn<'_>, order_ids: &[&str]) -> Result<(Vec<Order>, Vec<Line>), StoreError> {
    const ORDERS: Pair = bulk!(
        "with row(order_id) as (select value ->> 0 from",
        "$1",
        ") select o.id, o.order_id, o.member_id, o.ordered_at_ms, o.status, o.currency, o.coupon
           from row join orders o on o.order_id = row.order_id"
    );
    const LINES: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        ") select l.orders_id, l.product_id, p.sku, l.quantity, l.price_minor
           from row join order_line l on l.orders_id = row.id join product p on p.id = l.product_id"
    );
    let sql = conn.pick(&ORDERS);
    let rows = Rows::of(order_ids.iter().map(|id| (id,))).json();
    let orders: Vec<Order> =
        on!(conn.again(), "load orders", c => sqlx::query_as(sql).bind(rows).fetch_all(&mut *c).await)?;
    if orders.is_empty() {
        return Ok((orders, Vec::new()));
    }
    let sql = conn.pick(&LINES);
    let rows = Rows::of(orders.iter().map(|order| (order.id,))).json();
    let lines = on!(conn, "load order lines", c => sqlx::query_as(sql).bind(rows).fetch_all(&mut *c).await)?;
    Ok((orders, lines))
}

/// Writes orders by the shop's id, each at most once, and returns their row ids. Their revenue is [`add_up`]'s.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn upsert(conn: Conn<'_>, orders: &[&Order], now_ms: i64) -> Result<HashMap<String, i64>, StoreError> {
    const SQL: Pair = bulk!(
        "insert into orders (order_id, member_id, ordered_at_ms, status, currency, coupon, revenue_minor, updated_at_ms)
         select value ->> 0, cast(value ->> 1 as bigint), cast(value ->> 2 as bigint), value ->> 3, value ->> 4,
           value ->> 5, 0, $2 from",
        "$1",
        "where true on conflict (order_id) do update set member_id = excluded.member_id,
           ordered_at_ms = excluded.ordered_at_ms, status = excluded.status, currency = excluded.currency,
           coupon = excluded.coupon, updated_at_ms = excluded.updated_at_ms
         returning order_id, id"
    );
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = conn.pick(&SQL);
    let row = |o: &&Order| {
        (o.order_id.clone(), o.member_id, o.ordered_at_ms, o.status.clone(), o.currency.clone(), o.coupon.clone())
    };
    let rows = Rows::of(orders.iter().map(row)).json();
    let ids: Vec<(String, i64)> =
        on!(conn, "write orders", c => sqlx::query_as(sql).bind(rows).bind(now_ms).fetch_all(&mut *c).await)?;
    Ok(ids.into_iter().collect())
}

/// Writes lines, each (order, product) at most once.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn upsert_lines(conn: Conn<'_>, lines: &[Line]) -> Result<(), StoreError> {
    const SQL: Pair = bulk!(
        "insert into order_line (orders_id, product_id, quantity, price_minor)
         select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as bigint),
           cast(value ->> 3 as bigint) from",
        "$1",
        "where true on conflict (orders_id, product_id) do update set quantity = excluded.quantity,
           price_minor = excluded.price_minor"
    );
    if lines.is_empty() {
        return Ok(());
    }
    let sql = conn.pick(&SQL);
    let rows = Rows::of(lines.iter().map(|l| (l.orders_id, l.product_id, l.quantity, l.price_minor))).json();
    on!(conn, "write order lines", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))
}

/// Adds up the lines of orders (by row id), then the completed orders of members: their number, the time of the
/// latest, and the revenue of those in the latest's currency.
///
/// # Crash
/// Part of the caller's transaction.
pub async fn add_up(mut conn: Conn<'_>, orders: &[i64], members: &[i64]) -> Result<(), StoreError> {
    const ORDERS: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        "), total as (
             select row.id, cast(coalesce(sum(l.quantity * l.price_minor), 0) as bigint) as minor
             from row left join order_line l on l.orders_id = row.id group by row.id)
           update orders set revenue_minor = total.minor from total where orders.id = total.id"
    );
    const MEMBERS: Pair = bulk!(
        "with row(id) as (select cast(value ->> 0 as bigint) from",
        "$1",
        "), done as (
             select o.member_id, o.ordered_at_ms, o.revenue_minor, o.currency, first_value(o.currency)
               over (partition by o.member_id order by o.ordered_at_ms desc, o.id desc) as latest_currency
             from row join orders o on o.member_id = row.id where o.status = 'completed'),
           total as (
             select row.id, count(done.member_id) as n, max(done.ordered_at_ms) as latest_ms, cast(coalesce(sum(
               case when done.currency = done.latest_currency then done.revenue_minor else 0 end), 0) as bigint) as minor
             from row left join done on done.member_id = row.id group by row.id)
           update member set orders = total.n, revenue_minor = total.minor, last_order_at_ms = total.latest_ms
           from total where member.id = total.id"
    );
    if !orders.is_empty() {
        let sql = conn.pick(&ORDERS);
        let rows = Rows::of(orders.iter().map(|id| (id,))).json();
        on!(conn.again(), "add up orders", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))?;
    }
    if !members.is_empty() {
        let sql = conn.pick(&MEMBERS);
        let rows = Rows::of(members.iter().map(|id| (id,))).json();
        on!(conn, "add up members' orders", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))?;
    }
    Ok(())
}
