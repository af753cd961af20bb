//! What a template can call. None does I/O; all they reach is the desk of the mail being rendered.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use tera::{Error, Kwargs, Map, State, Tera, TeraResult, Value};

use crate::base::text::clean;
use crate::domain::catalog::{Catalog, Product};
use crate::domain::member::Member;
use crate::domain::recommend::{Pick, Reason, Request, Strategy, pick};

use super::bounds::{PRODUCT_CALLS_MAX, PRODUCTS_MAX, RANGE_MAX, VALUE_BYTES_MAX};
use super::desk::{Block, Desk, DeskRef};
use super::links::{mark, too_many_sealed};

/// Every function with its arguments and what it answers: what `template check --fields` prints.
pub const FUNCTIONS: &[(&str, &str)] = &[
    (
        "products(strategy=, n=, category=, exclude=, pinned=, point_value=)",
        "products picked for this member: name, sku, price, currency, image_url, brand, category, url, reason; strategies for_you, viewed, suite, successor, affordable_with_points (point_value: minor units a point pays for, 1 unless given), popular, new, pinned",
    ),
    ("link(url=, label=)", "a tracked link whose destination is worked out per member"),
    ("t(key, …)", "the text of that name in <locale>.toml [texts], {name} filled from the arguments"),
    ("tag(key)", "the member's score for a tag now, 0 without it"),
    ("unsubscribe_url()", "where the member unsubscribes"),
    ("preferences_url()", "where the member chooses topics"),
    ("web_version_url()", "this mail as a page"),
    ("confirm_url()", "where a sign-up is confirmed, in the mail that asks for it"),
    ("now_local()", "now in the member's zone, as 2026-11-26T10:00:00"),
    ("range(end=, start=, step_by=)", "numbers, at most 200"),
    ("abort(reason)", "skips this member, for that reason"),
];

/// Functions that take their first argument by position, and its name.
pub const POSITIONAL: &[(&str, &str)] = &[("t", "key"), ("tag", "key"), ("abort", "reason"), ("link", "url")];

/// Gives `tera` the functions that work on `desk`.
pub fn register(tera: &mut Tera, desk: &DeskRef) {
    let on = |f: fn(&mut Desk, Kwargs) -> TeraResult<Value>| {
        let desk = desk.clone();
        move |kwargs: Kwargs, _: &State| f(&mut desk.lock(), kwargs)
    };
    tera.register_function("products", on(products));
    tera.register_function("link", on(link));
    tera.register_function("t", on(t));
    tera.register_function("tag", on(tag));
    tera.register_function("abort", on(abort));
    tera.register_function("range", on(range));
    tera.register_function("now_local", on(now_local));
    tera.register_function("throw", on(abort));
    tera.register_function("unsubscribe_url", |_: Kwargs, _: &State| mark('U', 0));
    tera.register_function("preferences_url", |_: Kwargs, _: &State| mark('F', 0));
    tera.register_function("web_version_url", |_: Kwargs, _: &State| mark('W', 0));
    tera.register_function("confirm_url", |_: Kwargs, _: &State| mark('J', 0));
}

fn products(desk: &mut Desk, kwargs: Kwargs) -> TeraResult<Value> {
    let asked = request(&kwargs)?;
    if let Some(block) = desk.blocks.iter_mut().find(|block| !block.used && block.asked == asked) {
        block.used = true;
        return Ok(block.value.clone());
    }
    if desk.blocks.len() >= PRODUCT_CALLS_MAX {
        return Err(Error::message(format!("products() is called more than {PRODUCT_CALLS_MAX} times in one mail")));
    }
    let Some(catalog) = desk.catalog.clone() else {
        return Ok(Value::from(Vec::<Value>::new()));
    };
    let picks = match &mut desk.replay {
        Some(shown) => again(&catalog, shown, asked.n),
        None => pick(&catalog, &desk.member, &desk.history, &asked, &mut desk.sitting, desk.mail),
    };
    let values: Vec<Value> = picks
        .iter()
        .filter_map(|pick| catalog.get(pick.product).map(|product| product_value(desk, product, &pick.reason)))
        .collect();
    let value = Value::from(values);
    desk.blocks.push(Block { asked, value: value.clone(), used: true });
    Ok(value)
}

fn request(kwargs: &Kwargs) -> TeraResult<Request> {
    let words = |name: &str| -> TeraResult<Vec<String>> {
        let Some(value) = kwargs.get::<Value>(name)? else { return Ok(Vec::new()) };
        match (value.as_str(), value.as_array()) {
            (Some(text), _) => {
                Ok(text.split([',', ' ', ';']).filter(|word| !word.is_empty()).map(str::to_owned).collect())
            }
            (_, Some(array)) => Ok(array.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            _ => Err(Error::message(format!("{name}= takes a text or a list of texts"))),
        }
    };
    let strategy = match kwargs.get::<&str>("strategy")? {
        Some(name) => name.parse::<Strategy>().map_err(|unknown| Error::message(format!("strategy= {unknown}")))?,
        None => Strategy::ForYou,
    };
    let n = kwargs.get::<usize>("n")?.unwrap_or(3);
    if !(1..=PRODUCTS_MAX).contains(&n) {
        return Err(Error::message(format!("n= is {n}, must be 1 to {PRODUCTS_MAX}")));
    }
    let category = kwargs.get::<&str>("category")?.filter(|text| !text.is_empty()).map(str::to_owned);
    let point_value = kwargs.get::<f64>("point_value")?.unwrap_or(1.0);
    if !(point_value > 0.0 && point_value.is_finite()) {
        return Err(Error::message(format!("point_value= is {point_value}, must be above 0")));
    }
    Ok(Request { strategy, n, category, exclude: words("exclude")?, pinned: words("pinned")?, point_value })
}

/// The next `n` products of an earlier rendering.
fn again(catalog: &Catalog, shown: &mut Vec<(i64, String)>, n: usize) -> Vec<Pick> {
    let next = shown.drain(..n.min(shown.len()));
    next.filter_map(|(product, code)| {
        let reason = Reason::from_code(&code, catalog.get(product)?)?;
        Some(Pick { product, reason })
    })
    .collect()
}

fn product_value(desk: &mut Desk, product: &Product, reason: &Reason) -> Value {
    let number = desk.products.len();
    desk.products.push(u32::try_from(product.id).unwrap_or(0));
    desk.shown.push((product.id, reason.code(product)));
    let (price, currency) = product.offer(&desk.member.market).map_or((0, ""), |o| (o.price_minor, &*o.currency));
    if desk.currency != currency {
        currency.clone_into(&mut desk.currency);
    }
    let seen = Seen {
        name: plain(&product.name),
        sku: plain(&product.sku),
        price,
        currency,
        image_url: plain(&product.image_url),
        brand: plain(&product.brand),
        category: plain(&product.category),
        kind: plain(product.category_leaf()),
        url: mark('P', number),
        reason: desk.reasons.of(reason.why),
        why: reason.why.as_str(),
    };
    Value::from_serializable(&seen)
}

/// A product as a template sees it.
#[derive(Serialize)]
struct Seen<'s> {
    name: Cow<'s, str>,
    sku: Cow<'s, str>,
    /// Minor units.
    price: i64,
    currency: &'s str,
    image_url: Cow<'s, str>,
    brand: Cow<'s, str>,
    category: Cow<'s, str>,
    /// The last part of the category.
    kind: Cow<'s, str>,
    url: String,
    /// Why it is shown, for the reader, and as a word.
    reason: &'s str,
    why: &'static str,
}

/// Text from a profile or the catalogue, fit for a template: bounded and without control characters.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.len() <= VALUE_BYTES_MAX && !text.bytes().any(|c| c < b' ') {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(clean(text, VALUE_BYTES_MAX))
    }
}

fn link(desk: &mut Desk, kwargs: Kwargs) -> TeraResult<Value> {
    let url = kwargs.must_get::<&str>("url")?;
    if url.starts_with('\u{2}') {
        return Ok(Value::from(url));
    }
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        return Err(Error::message(format!("link() takes a whole http or https URL, not {url:?}")));
    }
    if too_many_sealed(desk.sealed.len()) {
        return Err(Error::message("link() is called too often in one mail"));
    }
    desk.sealed.push(url.to_owned());
    Ok(Value::from(mark('S', desk.sealed.len() - 1)))
}

fn t(desk: &mut Desk, kwargs: Kwargs) -> TeraResult<Value> {
    let key = kwargs.must_get::<&str>("key")?;
    let Some(text) = desk.texts.get(key) else {
        return Err(Error::message(format!("there is no text {key:?} in this locale's [texts]")));
    };
    if !text.contains('{') {
        return Ok(Value::from(text.as_str()));
    }
    let mut out = text.clone();
    for (name, value) in kwargs.iter() {
        if let Some(name) = name.as_str() {
            let value = match value.as_i64() {
                Some(n) => super::numbers::whole(n, desk.lang),
                None => clean(&value.to_string(), VALUE_BYTES_MAX),
            };
            out = out.replace(&format!("{{{name}}}"), &value);
        }
        if out.len() > 4 * VALUE_BYTES_MAX {
            return Err(Error::message(format!("the text {key:?} grows too long")));
        }
    }
    Ok(Value::from(out))
}

fn tag(desk: &mut Desk, kwargs: Kwargs) -> TeraResult<Value> {
    Ok(Value::from(desk.history.tag(kwargs.must_get::<&str>("key")?)))
}

fn abort(desk: &mut Desk, kwargs: Kwargs) -> TeraResult<Value> {
    let reason = kwargs.get::<&str>("reason")?.or(kwargs.get::<&str>("message")?).unwrap_or("no reason given");
    desk.aborted = Some(clean(reason, 200));
    Err(Error::message("the template asked not to be sent"))
}

fn range(desk: &mut Desk, kwargs: Kwargs) -> TeraResult<Value> {
    let start = kwargs.get::<i64>("start")?.unwrap_or(0);
    let end = kwargs.must_get::<i64>("end")?;
    let step = kwargs.get::<i64>("step_by")?.unwrap_or(1);
    if step < 1 {
        return Err(Error::message("range() needs a step_by of at least 1"));
    }
    let len = end.saturating_sub(start).max(0).saturating_add(step - 1) / step;
    if len > RANGE_MAX {
        return Err(Error::message(format!("range() of {len} numbers, at most {RANGE_MAX} are allowed")));
    }
    desk.range_left -= len;
    if desk.range_left < 0 {
        return Err(Error::message("the ranges of this mail are too many together"));
    }
    Ok(Value::from((0..len).map(|n| Value::from(start + n * step)).collect::<Vec<_>>()))
}

fn now_local(desk: &mut Desk, _: Kwargs) -> TeraResult<Value> {
    let name = desk.member.zone.clone();
    let zone = desk.zone(&name);
    let now = Timestamp::from_millisecond(desk.mail.now_ms).unwrap_or_default().to_zoned(zone);
    Ok(Value::from(now.strftime("%Y-%m-%dT%H:%M:%S").to_string()))
}

/// The profile as the template's `member`, with the balance that is to be shown.
pub fn member_value(member: &Member, balance: i64) -> Value {
    #[derive(Serialize)]
    struct Profile<'p> {
        first_name: Cow<'p, str>,
        last_name: Cow<'p, str>,
        name: Cow<'p, str>,
        email: Cow<'p, str>,
        external_id: Cow<'p, str>,
        locale: Cow<'p, str>,
        zone: Cow<'p, str>,
        market: Cow<'p, str>,
        points: i64,
        orders: i64,
        revenue: i64,
        last_order_at: Option<i64>,
    }
    let name = match (&member.first_name, &member.last_name) {
        (Some(first), Some(last)) => plain(&format!("{first} {last}")).into_owned().into(),
        (Some(only), None) | (None, Some(only)) => plain(only),
        (None, None) => Cow::Borrowed(""),
    };
    Value::from_serializable(&Profile {
        first_name: plain(member.first_name.as_deref().unwrap_or_default()),
        last_name: plain(member.last_name.as_deref().unwrap_or_default()),
        name,
        email: plain(&member.email),
        external_id: plain(member.external_id.as_deref().unwrap_or_default()),
        locale: plain(&member.locale),
        zone: plain(&member.zone),
        market: plain(&member.market),
        points: balance,
        orders: member.orders,
        revenue: member.revenue_minor,
        last_order_at: member.last_order_at_ms,
    })
}

/// The profile's attributes as the template's `attr`.
pub fn attributes_value(member: &Member) -> Value {
    let entries = member.attributes.iter().map(|(name, text)| (name.clone().into(), Value::from(&*plain(text))));
    Value::from(entries.collect::<Map>())
}
