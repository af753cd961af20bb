//! A segment as its canonical text: what parses to the same tree again.

use std::fmt::{self, Display, Formatter, Write as _};

use super::ast::{Arithmetic, Events, Products, Segment, Value, Window};
use super::lex::{Word, is_name_part, is_name_start};

impl Display for Segment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Segment::Always(always) => write!(f, "{always}"),
            Segment::And(parts) => joined(f, parts, " and ", |part| matches!(part, Segment::And(_) | Segment::Or(_))),
            Segment::Or(parts) => joined(f, parts, " or ", |part| matches!(part, Segment::Or(_))),
            Segment::Not(inner) => match &**inner {
                Segment::In { value, list } => write!(f, "{value} not in [{}]", List(list)),
                Segment::IsSet(value) => write!(f, "{value} is not set"),
                Segment::And(_) | Segment::Or(_) => write!(f, "not ({inner})"),
                _ => write!(f, "not {inner}"),
            },
            Segment::Compare { left, op, right } => write!(f, "{left} {op} {right}"),
            Segment::Between { value, low, high } => write!(f, "{value} between {low} and {high}"),
            Segment::In { value, list } => write!(f, "{value} in [{}]", List(list)),
            Segment::Contains { value, text } => write!(f, "{value} contains {}", Quoted(text)),
            Segment::StartsWith { value, text } => write!(f, "{value} starts_with {}", Quoted(text)),
            Segment::IsSet(value) => write!(f, "{value} is set"),
            Segment::HasTag(key) => write!(f, "has_tag({})", Quoted(key)),
            Segment::Did { events, at_least } => call(f, "did", |arguments| {
                arguments.events(events)?;
                if *at_least == 1 { Ok(()) } else { arguments.named("at_least", at_least) }
            }),
            Segment::Product { act, products, window, not_bought } => call(f, act.as_str(), |arguments| {
                arguments.products(products)?;
                arguments.window(window.as_ref())?;
                if *not_bought { arguments.named("not_bought", true) } else { Ok(()) }
            }),
            Segment::Mail { act, campaign, window } => call(f, act.as_str(), |arguments| {
                arguments.named_text("campaign", campaign.as_ref())?;
                arguments.window(window.as_ref())
            }),
            Segment::Consent(topic) => write!(f, "consent({})", Quoted(topic)),
            Segment::Reachable => f.write_str("reachable()"),
            Segment::Suppressed => f.write_str("suppressed()"),
            Segment::InSegment(name) => write!(f, "in_segment({})", Quoted(name)),
        }
    }
}

fn joined(f: &mut Formatter<'_>, parts: &[Segment], by: &str, bracketed: fn(&Segment) -> bool) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(by)?;
        }
        if bracketed(part) { write!(f, "({part})")? } else { write!(f, "{part}")? }
    }
    Ok(())
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Percent(percent) => write!(f, "{percent}%"),
            Value::Text(text) => write!(f, "{}", Quoted(text)),
            Value::Duration(duration) => write!(f, "{}{}", duration.n, duration.unit),
            Value::Date(at_ms) => write_date(f, *at_ms),
            Value::Now => f.write_str("now()"),
            Value::Field(field) => write!(f, "{field}"),
            Value::Attribute(name) if is_plain_name(name) => write!(f, "attr.{name}"),
            Value::Attribute(name) => write!(f, "attr.{}", Quoted(name)),
            Value::Tag(key) => write!(f, "tag({})", Quoted(key)),
            Value::Count(events) => call(f, "count", |arguments| arguments.events(events)),
            Value::First(events) => call(f, "first", |arguments| arguments.events(events)),
            Value::Last(events) => call(f, "last", |arguments| arguments.events(events)),
            Value::Sum { events, of } => call(f, "sum", |arguments| {
                arguments.events(events)?;
                arguments.named("of", of)
            }),
            Value::Bucket(salt) => write!(f, "bucket(salt: {})", Quoted(salt)),
            Value::Arithmetic { left, op, right } => {
                // A sum reads from the left, so an equal operator on the right needs its brackets.
                side(f, left, binding(left) < op_binding(*op))?;
                write!(f, " {op} ")?;
                side(f, right, binding(right) <= op_binding(*op))
            }
        }
    }
}

fn op_binding(op: Arithmetic) -> u8 {
    match op {
        Arithmetic::Add | Arithmetic::Subtract => 1,
        Arithmetic::Multiply | Arithmetic::Divide => 2,
    }
}

fn binding(value: &Value) -> u8 {
    match value {
        Value::Arithmetic { op, .. } => op_binding(*op),
        _ => 3,
    }
}

fn side(f: &mut Formatter<'_>, value: &Value, bracketed: bool) -> fmt::Result {
    if bracketed { write!(f, "({value})") } else { write!(f, "{value}") }
}

fn is_plain_name(name: &str) -> bool {
    name.starts_with(is_name_start)
        && name.chars().all(is_name_part)
        && name.to_ascii_lowercase().parse::<Word>().is_err()
}

/// A date alone where it is midnight UTC, else with its time.
fn write_date(f: &mut Formatter<'_>, at_ms: i64) -> fmt::Result {
    let Ok(at) = jiff::Timestamp::from_millisecond(at_ms) else { return write!(f, "date(\"{at_ms}\")") };
    if at_ms.rem_euclid(86_400_000) == 0 {
        return write!(f, "date(\"{}\")", at.to_zoned(jiff::tz::TimeZone::UTC).date());
    }
    write!(f, "date(\"{at}\")")
}

struct Quoted<'t>(&'t str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

struct List<'v>(&'v [Value]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, value) in self.0.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{value}")?;
        }
        Ok(())
    }
}

/// Writes `name(…)`, the arguments by `write`.
fn call(f: &mut Formatter<'_>, name: &str, write: impl FnOnce(&mut Arguments<'_, '_>) -> fmt::Result) -> fmt::Result {
    write!(f, "{name}(")?;
    write(&mut Arguments { f, any: false })?;
    f.write_char(')')
}

struct Arguments<'a, 'f> {
    f: &'a mut Formatter<'f>,
    any: bool,
}

impl Arguments<'_, '_> {
    fn comma(&mut self) -> fmt::Result {
        if std::mem::replace(&mut self.any, true) { self.f.write_str(", ") } else { Ok(()) }
    }

    fn named(&mut self, name: &str, value: impl Display) -> fmt::Result {
        self.comma()?;
        write!(self.f, "{name}: {value}")
    }

    fn named_text(&mut self, name: &str, text: Option<&String>) -> fmt::Result {
        text.map_or(Ok(()), |text| self.named(name, Quoted(text)))
    }

    fn products(&mut self, products: &Products) -> fmt::Result {
        self.named_text("category", products.category.as_ref())?;
        self.named_text("product", products.product.as_ref())?;
        self.named_text("brand", products.brand.as_ref())
    }

    fn window(&mut self, window: Option<&Window>) -> fmt::Result {
        match window {
            None => Ok(()),
            Some(Window::Last(duration)) => self.named("last", Value::Duration(*duration)),
            Some(Window::Since(since)) => self.named("since", since),
        }
    }

    fn events(&mut self, events: &Events) -> fmt::Result {
        self.comma()?;
        write!(self.f, "{}", Quoted(&events.name))?;
        self.products(&events.products)?;
        self.window(events.window.as_ref())
    }
}
