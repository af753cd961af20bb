//! Events: Segment track calls, each kept once by its messageId.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::batch::{self, Outcome};
use super::field;
use super::reading::Said;
use super::table::{Cell, Row};
use super::{Fault, Kind, Who};
use crate::domain::address::AddrSecret;
use crate::domain::recommend::log;
use crate::domain::{event as names, money};
use crate::store::event::{self, NewEvent};
use crate::store::{Conn, StoreError, member, product};

/// The fields of a track call that are read or, those of Segment's own bookkeeping, known and left aside.
pub(super) const COLUMNS: &[&str] = &[
    "type",
    "event",
    "messageId",
    "userId",
    "email",
    "timestamp",
    "properties",
    "context",
    "anonymousId",
    "originalTimestamp",
    "sentAt",
    "receivedAt",
    "integrations",
    "version",
    "channel",
];
/// Longest properties kept with an event, bytes of JSON.
const PROPS_BYTES_MAX: usize = 8 * 1024;
/// Most products of one event, as `Cart Viewed` lists them.
const PRODUCTS_MAX: usize = 100;

/// One call, with a deed for each product it names.
pub(super) struct Call {
    who: Who,
    name: String,
    at_ms: i64,
    props: String,
    deeds: Vec<Deed>,
}

impl Call {
    /// The looks and purchases it tells of.
    pub(super) fn say(&self, mut take: impl FnMut(Said<'_>)) {
        let bought = self.name == names::ORDER_COMPLETED;
        let looked = [names::PRODUCT_VIEWED, names::PRODUCT_CLICKED, names::PRODUCT_ADDED].contains(&&*self.name);
        if !bought && !looked {
            return;
        }
        let props: Map<String, Value> = serde_json::from_str(&self.props).unwrap_or_default();
        for deed in &self.deeds {
            let Some((sku, _)) = &deed.sku else { continue };
            take(Said {
                member: &self.who.name(),
                sku,
                deed: log::Deed { at_ms: self.at_ms, product: 0, bought },
                price_minor: deed.value_minor,
                category: text(&props, "category"),
            });
        }
    }
}

struct Deed {
    dedup: i64,
    /// The product meant, and whether it must be known: a `sku` is ours, a `product_id` may be anybody's.
    sku: Option<(String, bool)>,
    value_minor: Option<i64>,
}

/// Judges the rows of an events file.
pub(super) struct Door {
    secret: AddrSecret,
    now_ms: i64,
}

impl Door {
    pub(super) fn new(secret: AddrSecret, now_ms: i64) -> Door {
        Door { secret, now_ms }
    }
}

impl batch::Door for Door {
    type Item = Call;

    fn parse(&mut self, row: &Row) -> Result<Call, Fault> {
        if let Some(kind) = row.cell("type").text()
            && kind != "track"
        {
            return Err(Fault::new("type", format!("is {kind:?}: only track calls are events")));
        }
        let name = row.need("event")?;
        let name = names::name(name).ok_or_else(|| {
            Fault::new(
                "event",
                format!("is no name of an event: at most {} bytes without control characters", names::NAME_BYTES_MAX),
            )
        })?;
        let message_id = row.need("messageId").map_err(|fault| {
            Fault::new("messageId", format!("{}: without it the same event could count twice", fault.reason))
        })?;
        let message_id = field::id(message_id).map_err(|why| Fault::new("messageId", why))?;
        let at_ms =
            field::instant_ms(row.need("timestamp")?, self.now_ms).map_err(|why| Fault::new("timestamp", why))?;
        let properties = properties(row)?;
        let props = serde_json::to_string(&properties).expect("JSON is JSON");
        if props.len() > PROPS_BYTES_MAX {
            return Err(Fault::new("properties", format!("are longer than {PROPS_BYTES_MAX} bytes")));
        }
        Ok(Call {
            who: Who::read(row, "userId", &self.secret)?,
            deeds: deeds(&properties, &message_id, &name)?,
            name: name.into_owned(),
            at_ms,
            props,
        })
    }
}

/// The call's properties: the object of that name, and in CSV every column that is not the call's own.
fn properties(row: &Row) -> Result<Map<String, Value>, Fault> {
    if let Some(object) = &row.json {
        return match object.iter().find(|(key, _)| key.eq_ignore_ascii_case("properties")).map(|(_, value)| value) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(properties)) => Ok(properties.clone()),
            Some(_) => Err(Fault::new("properties", "is no object")),
        };
    }
    let given = row.others(Kind::Events).filter_map(|(name, cell)| match cell {
        Cell::Text(text) => Some((name.to_owned(), Value::from(text))),
        Cell::Leave | Cell::Clear => None,
    });
    Ok(given.collect())
}

fn deeds(properties: &Map<String, Value>, message_id: &str, name: &str) -> Result<Vec<Deed>, Fault> {
    let currency = text(properties, "currency").map(|currency| currency.to_uppercase());
    let products = properties.get("products").and_then(Value::as_array).filter(|products| !products.is_empty());
    let Some(products) = products else {
        let value_minor = value(properties, currency.as_deref())?;
        return Ok(vec![Deed { dedup: names::dedup(&["track", message_id]), sku: sku(properties), value_minor }]);
    };
    if products.len() > PRODUCTS_MAX {
        return Err(Fault::new("properties.products", format!("lists more than {PRODUCTS_MAX} products")));
    }
    let order_id = text(properties, "order_id").filter(|_| name == names::ORDER_COMPLETED);
    let mut deeds: Vec<Deed> = Vec::new();
    for (at, product) in products.iter().enumerate() {
        let Value::Object(product) = product else {
            return Err(Fault::new("properties.products", "holds what is no object"));
        };
        let sku = sku(product);
        // An order told by an event and by a file of orders, at the same time, is one order.
        let dedup = match (&order_id, &sku) {
            (Some(order_id), Some((sku, _))) => names::dedup(&["order", order_id, sku]),
            _ => names::dedup(&["track", message_id, &at.to_string()]),
        };
        deeds.push(Deed { dedup, sku, value_minor: value(product, currency.as_deref())? });
    }
    Ok(deeds)
}

fn sku(properties: &Map<String, Value>) -> Option<(String, bool)> {
    let ours = text(properties, "sku").map(|sku| (sku, true));
    ours.or_else(|| text(properties, "product_id").map(|id| (id, false)))
}

/// What the deed was worth: price times quantity, else value, revenue or total; nothing without a currency.
fn value(properties: &Map<String, Value>, currency: Option<&str>) -> Result<Option<i64>, Fault> {
    let own = text(properties, "currency").map(|currency| currency.to_uppercase());
    let Some(currency) = own.as_deref().or(currency) else { return Ok(None) };
    let Some((name, amount)) =
        ["price", "value", "revenue", "total"].iter().find_map(|name| Some((*name, text(properties, name)?)))
    else {
        return Ok(None);
    };
    let wrong = |why: String| Fault::new(format!("properties.{name}"), why);
    let minor = money::parse(&amount, currency).map_err(|error| wrong(error.to_string()))?;
    let quantity = match text(properties, "quantity").filter(|_| name == "price") {
        None => 1,
        Some(quantity) => field::whole(&quantity).map_err(|why| Fault::new("properties.quantity", why))?,
    };
    minor.checked_mul(quantity).map(Some).ok_or_else(|| wrong("is too much".to_owned()))
}

fn text(properties: &Map<String, Value>, name: &str) -> Option<String> {
    match properties.get(name)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Matches and writes events.
#[derive(Default)]
pub(super) struct Desk {
    names: HashMap<String, i64>,
    products: HashMap<String, i64>,
}

impl batch::Desk for Desk {
    type Item = Call;

    async fn write(&mut self, mut conn: Conn<'_>, items: &[&Call], now_ms: i64) -> Result<Vec<Outcome>, StoreError> {
        let found = member::find(conn.again(), items.iter().map(|call| call.who.key())).await?;
        self.learn(conn.again(), items).await?;
        let mut new = Vec::new();
        let mut outcomes = Vec::with_capacity(items.len());
        for call in items {
            let placed = call.who.find(&found).and_then(|member_id| self.place(call, member_id));
            outcomes.push(match placed {
                Ok(events) => {
                    new.extend(events);
                    Outcome::Unchanged
                }
                Err(fault) => Outcome::Rejected(fault),
            });
        }
        let mut fresh: std::collections::HashSet<(i64, i64)> =
            event::append(conn, &new, now_ms).await?.into_iter().collect();
        for (call, outcome) in items.iter().zip(&mut outcomes) {
            let inserted = call.deeds.iter().filter(|deed| fresh.remove(&(call.at_ms, deed.dedup))).count();
            if inserted > 0 {
                *outcome = Outcome::Inserted;
            }
        }
        Ok(outcomes)
    }

    fn forget(&mut self) {
        self.names.clear();
    }
}

impl Desk {
    /// Fetches what the calls name and we have not met yet.
    async fn learn(&mut self, mut conn: Conn<'_>, items: &[&Call]) -> Result<(), StoreError> {
        let mut names: Vec<&str> =
            items.iter().map(|call| &*call.name).filter(|n| !self.names.contains_key(*n)).collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            self.names.extend(event::name_ids(conn.again(), &names).await?);
        }
        let skus = items.iter().flat_map(|call| &call.deeds).filter_map(|deed| deed.sku.as_ref());
        let mut skus: Vec<&str> = skus.map(|(sku, _)| &**sku).filter(|sku| !self.products.contains_key(*sku)).collect();
        skus.sort_unstable();
        skus.dedup();
        self.products.extend(product::ids(conn, &skus).await?);
        Ok(())
    }

    fn place(&self, call: &Call, member_id: i64) -> Result<Vec<NewEvent>, Fault> {
        let place = |deed: &Deed| {
            let product_id = deed.sku.as_ref().and_then(|(sku, _)| self.products.get(sku)).copied();
            match &deed.sku {
                Some((sku, true)) if product_id.is_none() => Err(Fault::new(
                    "properties.sku",
                    format!("{sku:?} is no product of ours: import products first, then this file again"),
                )),
                _ => Ok(NewEvent {
                    at_ms: call.at_ms,
                    dedup: deed.dedup,
                    member_id,
                    name_id: self.names[&call.name],
                    product_id,
                    value_minor: deed.value_minor,
                    props: call.props.clone(),
                }),
            }
        };
        call.deeds.iter().map(place).collect()
    }
}
