//! What a template can pipe a value through, besides Tera's own.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use tera::{Error, Kwargs, State, Tera, TeraResult, Value};

use super::bounds::{RANGE_MAX, VALUE_BYTES_MAX};
use super::desk::DeskRef;
use super::numbers::{self, Lang};

/// Every filter and what it does: what `template check --fields` prints.
pub const FILTERS: &[(&str, &str)] = &[
    ("money(currency=)", "minor units as an amount, in the reader's way of writing"),
    ("number", "a number with its digits grouped"),
    ("date(format=, zone=)", "an instant or day: format long, short or strftime"),
    ("plural_ru(one=, few=, many=)", "the Russian form that goes with the number"),
    ("truncate(length=)", "at most so many characters, with … where cut"),
    ("attr", "a text made safe for an HTML attribute"),
    ("url_param", "a text percent-encoded for a URL"),
];

/// Gives `tera` the filters that work on `desk`.
pub fn register(tera: &mut Tera, desk: &DeskRef) {
    let d = desk.clone();
    tera.register_filter("money", move |value: Value, kwargs: Kwargs, _: &State| money(&d, &value, &kwargs));
    let d = desk.clone();
    tera.register_filter("number", move |value: Value, _: Kwargs, _: &State| number(&value, d.lock().lang));
    let d = desk.clone();
    tera.register_filter("date", move |value: Value, kwargs: Kwargs, _: &State| date(&d, &value, &kwargs));
    tera.register_filter("plural_ru", |value: Value, kwargs: Kwargs, _: &State| plural_ru(&value, &kwargs));
    tera.register_filter("truncate", |value: Value, kwargs: Kwargs, _: &State| truncate(&value, &kwargs));
    tera.register_filter("attr", |value: Value, _: Kwargs, state: &State| attribute(&value, state));
    tera.register_filter("replace", |value: Value, kwargs: Kwargs, _: &State| replace(&value, &kwargs));
    tera.register_filter("join", |value: Value, kwargs: Kwargs, _: &State| join(&value, &kwargs));
    tera.register_filter("indent", |_: Value, _: Kwargs, _: &State| -> TeraResult<Value> {
        Err(Error::message("indent is not for mails: white space folds"))
    });
    tera.register_filter("url_param", |value: Value, _: Kwargs, _: &State| url_param(&value.to_string()));
}

fn money(desk: &DeskRef, value: &Value, kwargs: &Kwargs) -> TeraResult<String> {
    let minor = value.as_i64().ok_or_else(|| Error::message("money takes whole minor units, as p.price"))?;
    let desk = desk.lock();
    let given = kwargs.get::<&str>("currency")?.filter(|text| !text.is_empty());
    let currency = given.unwrap_or(&desk.currency);
    if currency.is_empty() {
        return Err(Error::message("money does not know the currency here: say money(currency=\"EUR\")"));
    }
    Ok(numbers::money(minor, currency, desk.lang))
}

fn number(value: &Value, lang: Lang) -> TeraResult<String> {
    if let Some(n) = value.as_i64() {
        return Ok(numbers::whole(n, lang));
    }
    let n = value.as_f64().ok_or_else(|| Error::message("number takes a number"))?;
    let text = format!("{n:.2}");
    let (units, rest) = text.split_once('.').unwrap_or((&text, ""));
    let units = numbers::whole(units.parse().unwrap_or(0), lang);
    let rest = rest.trim_end_matches('0');
    let point = if lang == Lang::Ru { ',' } else { '.' };
    let minus = if n < 0.0 && !units.starts_with('-') { "-" } else { "" };
    Ok(if rest.is_empty() { format!("{minus}{units}") } else { format!("{minus}{units}{point}{rest}") })
}

fn date(desk: &DeskRef, value: &Value, kwargs: &Kwargs) -> TeraResult<String> {
    let mut desk = desk.lock();
    let zone = kwargs.get::<&str>("zone")?.map_or_else(|| desk.member.zone.clone(), str::to_owned);
    let refused = || Error::message("date takes unix milliseconds, an RFC 3339 instant or a day such as 2026-11-26");
    let local: DateTime = if let Some(ms) = value.as_i64() {
        Timestamp::from_millisecond(ms).map_err(|_| refused())?.to_zoned(desk.zone(&zone)).datetime()
    } else {
        let text = value.as_str().ok_or_else(refused)?;
        let day = || text.parse::<Date>().ok().map(|day| day.at(0, 0, 0, 0));
        let instant = || text.parse::<Timestamp>().ok().map(|at| at.to_zoned(desk.zone(&zone)).datetime());
        let mut instant = instant;
        instant().or_else(|| text.parse::<DateTime>().ok()).or_else(day).ok_or_else(refused)?
    };
    match kwargs.get::<&str>("format")?.unwrap_or("long") {
        "long" => Ok(numbers::day(local.date(), desk.lang)),
        "short" => Ok(numbers::month_day(local.date(), desk.lang)),
        format => jiff::fmt::strtime::format(format, local)
            .map_err(|why| Error::message(format!("date(format={format:?}): {why}"))),
    }
}

fn plural_ru(value: &Value, kwargs: &Kwargs) -> TeraResult<String> {
    let n = value.as_i64().ok_or_else(|| Error::message("plural_ru takes a whole number"))?;
    let form = |name| kwargs.must_get::<&str>(name);
    Ok(numbers::plural_ru(n, form("one")?, form("few")?, form("many")?).to_owned())
}

fn truncate(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let length = kwargs.get::<usize>("length")?.unwrap_or(60);
    let end = kwargs.get::<&str>("end")?.unwrap_or("…");
    let text = value.to_string();
    match text.char_indices().nth(length) {
        None => Ok(value.clone()),
        Some((at, _)) => Ok(Value::from(format!("{}{end}", text[..at].trim_end()))),
    }
}

fn attribute(value: &Value, state: &State) -> TeraResult<Value> {
    let text: String = value.to_string().chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    Ok(Value::safe_string(&state.escape(&text)?))
}

/// Tera's own would let a short text grow into gigabytes.
fn replace(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let (from, to) = (kwargs.must_get::<&str>("from")?, kwargs.must_get::<&str>("to")?);
    let text = value.to_string();
    if from.is_empty() {
        return Err(Error::message("replace(from=\"\") has nothing to look for"));
    }
    let len = text.len() + text.matches(from).count() * to.len();
    bounded(len, "replace")?;
    Ok(Value::from(text.replace(from, to)))
}

fn join(value: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let items = value.as_array().ok_or_else(|| Error::message("join takes a list"))?;
    let separator = kwargs.get::<&str>("sep")?.unwrap_or_default();
    let items: Vec<String> = items.iter().take(RANGE_MAX as usize + 1).map(Value::to_string).collect();
    bounded(items.iter().map(|item| item.len() + separator.len()).sum(), "join")?;
    Ok(Value::from(items.join(separator)))
}

fn bounded(len: usize, filter: &str) -> TeraResult<()> {
    let bound = 16 * VALUE_BYTES_MAX;
    if len <= bound {
        return Ok(());
    }
    Err(Error::message(format!("{filter} would make a text of {len} bytes, at most {bound} are allowed")))
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
fn url_param(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
