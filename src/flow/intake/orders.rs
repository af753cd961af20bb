//! Orders, a row per line; each completed line is also an event, so that segments and recommendations see it.

use std::collections::{BTreeSet, HashMap};

use super::batch::{self, Outcome};
use super::field::{self, Change, change};
use super::reading::Said;
use super::table::Row;
use super::{Fault, Who};
use crate::domain::address::AddrSecret;
use crate::domain::order::OrderStatus;
use crate::domain::recommend::log::Deed;
use crate::domain::{event as names, money};
use crate::store::event::{self, NewEvent};
use crate::store::order::{self, Line, Order};
use crate::store::{Conn, StoreError, member, product};

pub(super) const COLUMNS: &[&str] =
    &["order_id", "email", "external_id", "ordered_at", "sku", "quantity", "price", "currency", "status", "coupon"];
/// Most pieces of one line.
const QUANTITY_MAX: i64 = 100_000;

/// One line of an order.
pub(super) struct OrderRow {
    order_id: String,
    who: Who,
    ordered_at_ms: i64,
    sku: String,
    quantity: i64,
    /// Of one piece, minor units.
    price_minor: i64,
    currency: String,
    status: Change<OrderStatus>,
    coupon: Change<String>,
}

impl OrderRow {
    /// The purchase it tells of; none that was cancelled or given back.
    pub(super) fn say(&self, mut take: impl FnMut(Said<'_>)) {
        if !matches!(self.status.given(), None | Some(OrderStatus::Completed | OrderStatus::Pending)) {
            return;
        }
        take(Said {
            member: &self.who.name(),
            sku: &self.sku,
            deed: Deed { at_ms: self.ordered_at_ms, product: 0, bought: true },
            price_minor: Some(self.price_minor),
            category: None,
        });
    }
}

/// Judges the rows of an orders file.
pub(super) struct Door {
    secret: AddrSecret,
    now_ms: i64,
    /// The order of the row before, and the skus of its lines so far.
    order: Option<(String, Who, i64, String)>,
    skus: BTreeSet<String>,
}

impl Door {
    pub(super) fn new(secret: AddrSecret, now_ms: i64) -> Door {
        Door { secret, now_ms, order: None, skus: BTreeSet::new() }
    }

    /// Lines of one order that follow each other must agree on what is the order's.
    fn agree(&mut self, row: &OrderRow) -> Result<(), Fault> {
        let (at_ms, currency) = (row.ordered_at_ms, row.currency.clone());
        let this = (row.order_id.clone(), row.who.clone(), at_ms, currency);
        match &self.order {
            Some(before) if before.0 == this.0 => {
                let differs = |field, what: &str| {
                    Err(Fault::new(field, format!("is not that of the line before: an order has one {what}")))
                };
                if before.1 != this.1 {
                    return differs("email", "member");
                }
                if before.2 != this.2 {
                    return differs("ordered_at", "time");
                }
                if before.3 != this.3 {
                    return differs("currency", "currency");
                }
            }
            _ => {
                self.order = Some(this);
                self.skus.clear();
            }
        }
        if !self.skus.insert(row.sku.clone()) {
            return Err(Fault::new(
                "sku",
                format!("{:?} stands in the order twice: add the quantities up in one line", row.sku),
            ));
        }
        Ok(())
    }
}

impl batch::Door for Door {
    type Item = OrderRow;

    fn parse(&mut self, row: &Row) -> Result<OrderRow, Fault> {
        let short = |name| field::id(row.need(name)?).map_err(|why| Fault::new(name, why));
        let currency = row.need("currency")?.to_uppercase();
        let price_minor = money::parse(row.need("price")?, &currency).map_err(|error| match error {
            money::MoneyError::Currency(_) => Fault::new("currency", error.to_string()),
            _ => Fault::new("price", error.to_string()),
        })?;
        let quantity = field::whole(row.need("quantity")?).map_err(|why| Fault::new("quantity", why))?;
        if !(1..=QUANTITY_MAX).contains(&quantity) {
            return Err(Fault::new("quantity", format!("is {quantity}: write 1 to {QUANTITY_MAX}")));
        }
        if !(0..=money::MINOR_MAX / QUANTITY_MAX).contains(&price_minor) {
            return Err(Fault::new("price", format!("is {}: negative, or too much for one piece", row.need("price")?)));
        }
        let status = |text: &str| match text.to_lowercase().as_str() {
            "canceled" => Ok(OrderStatus::Cancelled),
            text => text.parse().map_err(|unknown: crate::base::text_enum::Unknown| unknown.to_string()),
        };
        let parsed = OrderRow {
            order_id: short("order_id")?,
            who: Who::read(row, "external_id", &self.secret)?,
            ordered_at_ms: field::instant_ms(row.need("ordered_at")?, self.now_ms)
                .map_err(|why| Fault::new("ordered_at", why))?,
            sku: short("sku")?,
            status: change(row, "status", status)?,
            coupon: change(row, "coupon", field::id)?,
            quantity,
            price_minor,
            currency,
        };
        self.agree(&parsed)?;
        Ok(parsed)
    }
}

/// Matches and writes orders.
#[derive(Default)]
pub(super) struct Desk {
    products: HashMap<String, i64>,
    completed_name: Option<i64>,
}

/// An order of a batch: as the database has it, and as the rows so far leave it.
struct Basket {
    before: Option<Order>,
    now: Order,
    lines_before: HashMap<i64, Line>,
    lines: HashMap<i64, Line>,
}

impl batch::Desk for Desk {
    type Item = OrderRow;

    async fn write(
        &mut self,
        mut conn: Conn<'_>,
        items: &[&OrderRow],
        now_ms: i64,
    ) -> Result<Vec<Outcome>, StoreError> {
        let found = member::find(conn.again(), items.iter().map(|row| row.who.key())).await?;
        let skus: BTreeSet<&str> =
            items.iter().map(|row| &*row.sku).filter(|sku| !self.products.contains_key(*sku)).collect();
        self.products.extend(product::ids(conn.again(), &skus.into_iter().collect::<Vec<_>>()).await?);
        let ids: BTreeSet<&str> = items.iter().map(|row| &*row.order_id).collect();
        let (orders, lines) = order::with_lines(conn.again(), &ids.into_iter().collect::<Vec<_>>()).await?;
        let mut baskets = baskets(orders, lines);
        let mut outcomes = Vec::with_capacity(items.len());
        for row in items {
            let placed = row.who.find(&found).and_then(|member_id| self.place(&mut baskets, row, member_id));
            outcomes.push(placed.unwrap_or_else(Outcome::Rejected));
        }
        self.store(conn, baskets, now_ms).await?;
        Ok(outcomes)
    }

    fn forget(&mut self) {
        self.completed_name = None;
    }
}

fn baskets(orders: Vec<Order>, lines: Vec<Line>) -> HashMap<String, Basket> {
    let mut by_order: HashMap<i64, HashMap<i64, Line>> = HashMap::new();
    for line in lines {
        by_order.entry(line.orders_id).or_default().insert(line.product_id, line);
    }
    let basket = |order: Order| {
        let lines = by_order.remove(&order.id).unwrap_or_default();
        let basket = Basket { before: Some(order.clone()), now: order, lines_before: lines.clone(), lines };
        (basket.now.order_id.clone(), basket)
    };
    orders.into_iter().map(basket).collect()
}

impl Desk {
    fn place(&self, baskets: &mut HashMap<String, Basket>, row: &OrderRow, member_id: i64) -> Result<Outcome, Fault> {
        let product_id = *self.products.get(&row.sku).ok_or_else(|| {
            Fault::new(
                "sku",
                format!("{:?} is no product of ours: import products first, then this file again", row.sku),
            )
        })?;
        let fresh = || Basket {
            before: None,
            now: Order {
                order_id: row.order_id.clone(),
                status: OrderStatus::Completed.to_string(),
                ..Order::default()
            },
            lines_before: HashMap::new(),
            lines: HashMap::new(),
        };
        let basket = baskets.entry(row.order_id.clone()).or_insert_with(fresh);
        let alone = basket.lines.keys().all(|id| *id == product_id);
        if !alone && basket.now.currency != row.currency {
            let reason = format!("is {}, but order {} is in {}", row.currency, row.order_id, basket.now.currency);
            return Err(Fault::new("currency", reason));
        }
        let order_before = basket.now.clone();
        basket.now.member_id = member_id;
        basket.now.ordered_at_ms = row.ordered_at_ms;
        basket.now.currency.clone_from(&row.currency);
        let mut status = basket.now.status.clone();
        row.status.given().inspect(|given| status = given.to_string());
        basket.now.status = status;
        row.coupon.apply_to(&mut basket.now.coupon);
        let (quantity, price_minor) = (row.quantity, row.price_minor);
        let line = Line { orders_id: basket.now.id, product_id, sku: row.sku.clone(), quantity, price_minor };
        let line_before = basket.lines.insert(product_id, line.clone());
        Ok(match line_before {
            None => Outcome::Inserted,
            Some(before) if before == line && order_before == basket.now => Outcome::Unchanged,
            Some(_) => Outcome::Updated,
        })
    }

    async fn store(
        &mut self,
        mut conn: Conn<'_>,
        mut baskets: HashMap<String, Basket>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        baskets.retain(|_, basket| basket.before.as_ref() != Some(&basket.now) || basket.lines != basket.lines_before);
        if baskets.is_empty() {
            return Ok(());
        }
        let changed: Vec<&Order> = baskets.values().map(|basket| &basket.now).collect();
        let ids = order::upsert(conn.again(), &changed, now_ms).await?;
        let mut lines = Vec::new();
        let mut members = BTreeSet::new();
        for basket in baskets.values() {
            let orders_id = ids[&basket.now.order_id];
            let changed = basket.lines.values().filter(|line| basket.lines_before.get(&line.product_id) != Some(line));
            lines.extend(changed.map(|line| Line { orders_id, ..line.clone() }));
            members.insert(basket.now.member_id);
            members.extend(basket.before.as_ref().map(|order| order.member_id));
        }
        order::upsert_lines(conn.again(), &lines).await?;
        let orders: Vec<i64> = ids.into_values().collect();
        order::add_up(conn.again(), &orders, &members.into_iter().collect::<Vec<_>>()).await?;
        self.tell(conn, &baskets, now_ms).await
    }

    /// Makes the events of completed lines be those of the orders as they now are.
    async fn tell(
        &mut self,
        mut conn: Conn<'_>,
        baskets: &HashMap<String, Basket>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let name_id = match self.completed_name {
            Some(id) => id,
            None => event::name_ids(conn.again(), &[names::ORDER_COMPLETED]).await?[names::ORDER_COMPLETED],
        };
        self.completed_name = Some(name_id);
        let (mut gone, mut worth, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for basket in baskets.values() {
            let deed =
                |order: &Order| (order.member_id, order.ordered_at_ms, order.status == OrderStatus::Completed.as_str());
            let before = basket.before.as_ref().map(deed);
            let (member_id, at_ms, completed) = deed(&basket.now);
            let moved = before != Some((member_id, at_ms, completed));
            if moved && let Some((_, old_ms, true)) = before {
                gone.extend(basket.lines_before.values().map(|line| (old_ms, dedup(&basket.now, line))));
            }
            for line in basket.lines.values().filter(|_| completed) {
                let value_minor = line.price_minor * line.quantity;
                let dedup = dedup(&basket.now, line);
                match basket.lines_before.get(&line.product_id) {
                    Some(old) if !moved && old == line => {}
                    Some(_) if !moved => worth.push((at_ms, dedup, value_minor)),
                    _ => new.push(NewEvent {
                        at_ms,
                        dedup,
                        member_id,
                        name_id,
                        product_id: Some(line.product_id),
                        value_minor: Some(value_minor),
                        props: serde_json::json!({ "order_id": basket.now.order_id, "sku": line.sku }).to_string(),
                    }),
                }
            }
        }
        event::withdraw(conn.again(), &gone).await?;
        event::revalue(conn.again(), &worth).await?;
        event::append(conn, &new, now_ms).await.map(|_| ())
    }
}

fn dedup(order: &Order, line: &Line) -> i64 {
    names::dedup(&["order", &order.order_id, &line.sku])
}
