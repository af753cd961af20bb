//! What was written into what is meant: names known, kinds fitting, arguments in place.

use std::borrow::Cow;

use super::ast::{Act, Arithmetic, Comparison, Events, Field, MailAct, Measure, Products, Segment, Value, Window};
use super::error::Fault;
use super::parse::{Argument, Node, Raw};
use super::vocabulary::{unknown_argument, unknown_field, unknown_function};
use super::{NUMBER_MAX, OPERATORS_MAX};
use crate::domain::consent::is_topic;
use crate::domain::event;

type Checked<T> = Result<T, Fault>;

/// What kind of thing a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Number,
    /// A part of a whole, written as a percentage.
    Share,
    Text,
    Instant,
    Duration,
    /// A member's own attribute: a text and, where it reads as one, a number.
    Attribute,
}

impl Kind {
    fn describe(self) -> &'static str {
        match self {
            Kind::Number => "a number",
            Kind::Share => "a percentage",
            Kind::Text => "a text",
            Kind::Instant => "an instant",
            Kind::Duration => "a duration",
            Kind::Attribute => "an attribute",
        }
    }
}

impl Value {
    /// What kind of thing it is.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Number(_) | Value::Tag(_) | Value::Count(_) | Value::Sum { .. } => Kind::Number,
            Value::Percent(_) | Value::Bucket(_) => Kind::Share,
            Value::Text(_) => Kind::Text,
            Value::Duration(_) => Kind::Duration,
            Value::Date(_) | Value::Now | Value::First(_) | Value::Last(_) => Kind::Instant,
            Value::Attribute(_) => Kind::Attribute,
            Value::Field(field) => match field {
                Field::Points | Field::Orders | Field::Revenue => Kind::Number,
                Field::LastOrderAt | Field::CreatedAt => Kind::Instant,
                _ => Kind::Text,
            },
            Value::Arithmetic { left, op, right } => {
                arithmetic_kind(left.kind(), *op, right.kind()).unwrap_or(Kind::Number)
            }
        }
    }

    fn operators(&self) -> usize {
        match self {
            Value::Arithmetic { left, right, .. } => 1 + left.operators() + right.operators(),
            _ => 0,
        }
    }
}

fn arithmetic_kind(left: Kind, op: Arithmetic, right: Kind) -> Option<Kind> {
    use Kind::{Attribute, Duration, Instant, Number, Share};
    let as_number = |kind| if kind == Attribute { Number } else { kind };
    Some(match (as_number(left), op, as_number(right)) {
        (Number, _, Number) => Number,
        (Share, Arithmetic::Add | Arithmetic::Subtract | Arithmetic::Multiply, Share) => Share,
        (Duration, Arithmetic::Add | Arithmetic::Subtract, Duration) => Duration,
        (Instant, Arithmetic::Add | Arithmetic::Subtract, Duration) => Instant,
        (Duration, Arithmetic::Add, Instant) => Instant,
        (Instant, Arithmetic::Subtract, Instant) => Duration,
        (Number, Arithmetic::Multiply, Share) | (Share, Arithmetic::Multiply, Number) => Number,
        (Duration, Arithmetic::Multiply | Arithmetic::Divide, Number | Share) => Duration,
        (Number | Share, Arithmetic::Multiply, Duration) => Duration,
        (Duration, Arithmetic::Divide, Duration) | (Share, Arithmetic::Divide, Share) => Number,
        (Share, Arithmetic::Divide, Number) => Share,
        (Number, Arithmetic::Divide, Share) => Number,
        _ => return None,
    })
}

/// Whether the two may be compared.
fn comparable(left: Kind, right: Kind) -> bool {
    let flexible = |kind| matches!(kind, Kind::Text | Kind::Number | Kind::Attribute);
    left == right || (left == Kind::Attribute && flexible(right)) || (right == Kind::Attribute && flexible(left))
}

/// The condition that `raw` means.
pub(super) fn segment(raw: &Raw) -> Checked<Segment> {
    let all = |parts: &[Raw]| parts.iter().map(segment).collect::<Checked<Vec<_>>>();
    Ok(match &raw.node {
        Node::Bool(always) => Segment::Always(*always),
        Node::And(parts) => Segment::And(all(parts)?),
        Node::Or(parts) => Segment::Or(all(parts)?),
        Node::Not(inner) => Segment::Not(Box::new(segment(inner)?)),
        Node::Compare { left, op, right } => compare(left, *op, right)?,
        Node::Between { value: of, low, high } => between(of, low, high)?,
        Node::In { value: of, list } => is_in(of, list)?,
        Node::Contains { value, text } => {
            let (value, text) = text_test(value, text)?;
            Segment::Contains { value, text }
        }
        Node::StartsWith { value, text } => {
            let (value, text) = text_test(value, text)?;
            Segment::StartsWith { value, text }
        }
        Node::IsSet(inner) => is_set(inner)?,
        Node::Call { name, arguments } => match condition_call(raw, name, arguments)? {
            Some(condition) => condition,
            None => return Err(not_a_condition(raw, &value(raw)?)),
        },
        _ => return Err(not_a_condition(raw, &value(raw)?)),
    })
}

fn not_a_condition(raw: &Raw, value: &Value) -> Fault {
    let kind = value.kind().describe();
    Fault::new(
        raw.span.clone(),
        format!("expected a condition, found {kind}: compare it with something, as in `… >= 1`"),
    )
}

fn compare(left_raw: &Raw, op: Comparison, right_raw: &Raw) -> Checked<Segment> {
    let (left, right) = (value(left_raw)?, value(right_raw)?);
    if matches!(right, Value::Tag(_)) {
        return Err(Fault::new(
            right_raw.span.clone(),
            "`tag(…)` stands left of its comparison, as in `tag(\"k\") >= 0.5`",
        ));
    }
    if let Value::Tag(_) = left {
        if matches!(op, Comparison::Eq | Comparison::Ne) {
            return Err(Fault::new(
                left_raw.span.clone(),
                "a score never equals a number for long; use `>=`, `<` or `between`",
            ));
        }
        check_tag_bound(&right, right_raw)?;
    }
    check_kinds(&left, right_raw, &right)?;
    let ordered = !matches!(op, Comparison::Eq | Comparison::Ne);
    if ordered && is_text_comparison(&left, &right) {
        let message = format!("texts have no order here: `{op}` compares numbers, instants and durations");
        return Err(Fault::new(right_raw.span.clone(), message));
    }
    Ok(Segment::Compare { left, op, right })
}

/// Whether the two are compared as texts: two attributes are.
pub(crate) fn is_text_comparison(left: &Value, right: &Value) -> bool {
    let (left, right) = (left.kind(), right.kind());
    left == Kind::Text || right == Kind::Text || (left == Kind::Attribute && right == Kind::Attribute)
}

fn check_kinds(left: &Value, right_raw: &Raw, right: &Value) -> Checked<()> {
    let (l, r) = (left.kind(), right.kind());
    if comparable(l, r) {
        return Ok(());
    }
    let help = match (l, r) {
        (Kind::Share, Kind::Number) => "; write a percentage, as in `10%`",
        (Kind::Number, Kind::Share) => "; write the number without `%`",
        (Kind::Instant, Kind::Duration) => "; write `now() - 90d` for 90 days ago",
        (Kind::Instant, Kind::Text) => "; write a date as `date(\"2026-06-18\")`",
        (Kind::Duration, Kind::Number) => "; write a duration, as in `90d`",
        _ => "",
    };
    let message = format!("{} does not compare with {}{help}", l.describe(), r.describe());
    Err(Fault::new(right_raw.span.clone(), message))
}

/// A decayed score is compared by its logarithm, so the other side must be known beforehand.
fn check_tag_bound(bound: &Value, raw: &Raw) -> Checked<()> {
    if bound.is_constant() && bound.kind() == Kind::Number {
        return Ok(());
    }
    Err(Fault::new(raw.span.clone(), "a tag's score is compared with a plain number, as in `tag(\"k\") >= 0.5`"))
}

fn between(of: &Raw, low_raw: &Raw, high_raw: &Raw) -> Checked<Segment> {
    let (value, low, high) = (value(of)?, value(low_raw)?, value(high_raw)?);
    for (bound, raw) in [(&low, low_raw), (&high, high_raw)] {
        if matches!(value, Value::Tag(_)) || matches!(bound, Value::Tag(_)) {
            check_tag_bound(bound, raw)?;
        }
        check_kinds(&value, raw, bound)?;
        if is_text_comparison(&value, bound) {
            return Err(Fault::new(raw.span.clone(), "texts have no order here: use `in [\"a\", \"b\"]`"));
        }
    }
    Ok(Segment::Between { value, low, high })
}

fn is_in(of: &Raw, list: &[Raw]) -> Checked<Segment> {
    let left = value(of)?;
    if matches!(left, Value::Tag(_)) {
        return Err(Fault::new(of.span.clone(), "a score never equals a number for long; use `>=`, `<` or `between`"));
    }
    let mut items = Vec::new();
    for raw in list {
        let item = value(raw)?;
        check_kinds(&left, raw, &item)?;
        if !item.is_constant() {
            return Err(Fault::new(raw.span.clone(), "a list holds plain values: numbers, texts, dates"));
        }
        if items.first().is_some_and(|first: &Value| first.kind() != item.kind()) {
            return Err(Fault::new(raw.span.clone(), "a list holds values of one kind"));
        }
        items.push(item);
    }
    Ok(Segment::In { value: left, list: items })
}

fn text_test(of: &Raw, text: &Raw) -> Checked<(Value, String)> {
    let left = value(of)?;
    if !matches!(left.kind(), Kind::Text | Kind::Attribute) {
        let message = format!("expected a text or an attribute, found {}", left.kind().describe());
        return Err(Fault::new(of.span.clone(), message));
    }
    match &text.node {
        Node::Text(text) if !text.is_empty() => Ok((left, text.clone())),
        _ => Err(Fault::new(text.span.clone(), "expected a text of at least one letter in double quotes")),
    }
}

fn is_set(inner: &Raw) -> Checked<Segment> {
    match value(inner)? {
        Value::Tag(key) => Err(Fault::new(inner.span.clone(), format!("write `has_tag({})`", Value::Text(key)))),
        value @ (Value::Field(_) | Value::Attribute(_) | Value::First(_) | Value::Last(_)) => Ok(Segment::IsSet(value)),
        _ => Err(Fault::new(inner.span.clone(), "only fields, attributes, `first(…)` and `last(…)` can be unset")),
    }
}

/// The value that `raw` means.
fn value(raw: &Raw) -> Checked<Value> {
    Ok(match &raw.node {
        Node::Number(number) => Value::Number(*number),
        Node::Percent(percent) => Value::Percent(*percent),
        Node::Duration(duration) => Value::Duration(*duration),
        Node::Text(text) if text.is_empty() => {
            let message = "an empty text is unset: write `is set` or `is not set`";
            return Err(Fault::new(raw.span.clone(), message));
        }
        Node::Text(text) => Value::Text(text.clone()),
        Node::Attribute(name) => Value::Attribute(name.clone()),
        Node::Name(name) => match name.parse() {
            Ok(field) => Value::Field(field),
            Err(_) => return Err(Fault::new(raw.span.clone(), unknown_field(name))),
        },
        Node::Call { name, arguments } => value_call(raw, name, arguments)?,
        Node::Arithmetic { left, op, right } => arithmetic(raw, left, *op, right)?,
        _ => return Err(Fault::new(raw.span.clone(), "expected a value, found a condition")),
    })
}

fn arithmetic(raw: &Raw, left_raw: &Raw, op: Arithmetic, right_raw: &Raw) -> Checked<Value> {
    let (left, right) = (value(left_raw)?, value(right_raw)?);
    for (side, raw) in [(&left, left_raw), (&right, right_raw)] {
        if matches!(side, Value::Tag(_)) {
            return Err(Fault::new(raw.span.clone(), "a tag's score is only compared, not reckoned with"));
        }
    }
    if arithmetic_kind(left.kind(), op, right.kind()).is_none() {
        let message = format!("`{op}` does not join {} and {}", left.kind().describe(), right.kind().describe());
        return Err(Fault::new(raw.span.clone(), message));
    }
    let joined = Value::Arithmetic { left: Box::new(left), op, right: Box::new(right) };
    if joined.operators() > OPERATORS_MAX {
        return Err(Fault::new(raw.span.clone(), format!("at most {OPERATORS_MAX} operators in one sum")));
    }
    Ok(joined)
}

/// A call that is a condition; `None` where it is a value or nothing known.
fn condition_call(raw: &Raw, name: &str, given: &[Argument]) -> Checked<Option<Segment>> {
    let mut arguments = Arguments::new(raw, name, given);
    let condition = match name {
        "has_tag" => Segment::HasTag(arguments.text("the tag's key")?),
        "consent" => Segment::Consent(arguments.topic()?),
        "in_segment" => Segment::InSegment(arguments.text("the segment's name")?),
        "reachable" => Segment::Reachable,
        "suppressed" => Segment::Suppressed,
        "did" => {
            let events = arguments.events()?;
            Segment::Did { events, at_least: arguments.at_least()? }
        }
        "viewed" | "added" | "bought" => {
            let act: Act = name.parse().expect("one of the three");
            let not_bought = act != Act::Bought && arguments.flag("not_bought")?;
            Segment::Product { act, products: arguments.products()?, window: arguments.window()?, not_bought }
        }
        "opened" | "clicked" | "received" => {
            let act: MailAct = name.parse().expect("one of the three");
            Segment::Mail { act, campaign: arguments.named_text("campaign")?, window: arguments.window()? }
        }
        _ => return Ok(None),
    };
    arguments.finish()?;
    Ok(Some(condition))
}

fn value_call(raw: &Raw, name: &str, given: &[Argument]) -> Checked<Value> {
    let mut arguments = Arguments::new(raw, name, given);
    let value = match name {
        "now" => Value::Now,
        "tag" => Value::Tag(arguments.text("the tag's key")?),
        "date" => Value::Date(arguments.date()?),
        "count" => Value::Count(arguments.events()?),
        "first" => Value::First(arguments.events()?),
        "last" => Value::Last(arguments.events()?),
        "sum" => {
            let events = arguments.events()?;
            Value::Sum { events, of: arguments.measure()? }
        }
        "bucket" => match arguments.named_text("salt")? {
            Some(salt) => Value::Bucket(salt),
            None => return Err(arguments.fault("`bucket` needs a salt, as in `bucket(salt: \"spring\") < 10%`")),
        },
        _ if condition_call(raw, name, given)?.is_some() => {
            return Err(arguments.fault(format!("`{name}(…)` is a condition by itself and compares with nothing")));
        }
        _ => return Err(arguments.fault(unknown_function(name))),
    };
    arguments.finish()?;
    Ok(value)
}

/// The arguments of a call, taken one by one; what is left over is a fault.
struct Arguments<'r> {
    raw: &'r Raw,
    function: &'r str,
    left: Vec<&'r Argument>,
    asked: Vec<&'static str>,
}

impl<'r> Arguments<'r> {
    fn new(raw: &'r Raw, function: &'r str, given: &'r [Argument]) -> Arguments<'r> {
        Arguments { raw, function, left: given.iter().collect(), asked: Vec::new() }
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.raw.span.start..self.raw.span.start + self.function.len(), message)
    }

    /// The text that must come first and without a name.
    fn text(&mut self, what: &str) -> Checked<String> {
        match self.left.first() {
            Some(Argument { name: None, value }) => {
                self.left.remove(0);
                text_of(value)
            }
            _ => Err(self.fault(format!("`{}` needs {what} first, as a text in double quotes", self.function))),
        }
    }

    fn topic(&mut self) -> Checked<String> {
        let place = self.left.first().map_or(self.raw.span.clone(), |argument| argument.value.span.clone());
        let topic = self.text("the topic")?;
        if is_topic(&topic) {
            return Ok(topic);
        }
        Err(Fault::new(place, "a topic's name has only lower-case letters a to z, digits, `-` and `_`"))
    }

    fn named(&mut self, name: &'static str) -> Option<&'r Raw> {
        self.asked.push(name);
        let at =
            self.left.iter().position(|argument| argument.name.as_ref().is_some_and(|(given, _)| given == name))?;
        Some(&self.left.remove(at).value)
    }

    fn named_text(&mut self, name: &'static str) -> Checked<Option<String>> {
        self.named(name).map(text_of).transpose()
    }

    fn flag(&mut self, name: &'static str) -> Checked<bool> {
        match self.named(name) {
            None => Ok(false),
            Some(Raw { node: Node::Bool(flag), .. }) => Ok(*flag),
            Some(raw) => Err(Fault::new(raw.span.clone(), "expected `true` or `false`")),
        }
    }

    fn at_least(&mut self) -> Checked<u32> {
        match self.named("at_least") {
            None => Ok(1),
            Some(Raw { node: Node::Number(n), .. }) if n.fract() == 0.0 && (1.0..=1e6).contains(n) => Ok(*n as u32),
            Some(raw) => Err(Fault::new(raw.span.clone(), "expected a whole number from 1 to 1000000")),
        }
    }

    fn products(&mut self) -> Checked<Products> {
        Ok(Products {
            category: self.named_text("category")?,
            product: self.named_text("product")?,
            brand: self.named_text("brand")?,
        })
    }

    fn window(&mut self) -> Checked<Option<Window>> {
        match (self.named("last"), self.named("since")) {
            (None, None) => Ok(None),
            (Some(Raw { node: Node::Duration(duration), .. }), None) => Ok(Some(Window::Last(*duration))),
            (Some(raw), None) => Err(Fault::new(raw.span.clone(), "expected a duration, as in `last: 30d`")),
            (Some(_), Some(raw)) => Err(Fault::new(raw.span.clone(), "give `last:` or `since:`, not both")),
            (None, Some(raw)) => {
                let since = value(raw)?;
                if since.kind() != Kind::Instant || !since.is_constant() {
                    let message = "expected an instant, as in `since: date(\"2026-06-18\")` or `since: now() - 30d`";
                    return Err(Fault::new(raw.span.clone(), message));
                }
                Ok(Some(Window::Since(Box::new(since))))
            }
        }
    }

    fn events(&mut self) -> Checked<Events> {
        let place = self.left.first().map_or(self.raw.span.clone(), |argument| argument.value.span.clone());
        let name = self.text("the event's name")?;
        let Some(name) = event::name(&name).map(Cow::into_owned) else {
            return Err(Fault::new(place, format!("an event's name is at most {} bytes long", event::NAME_BYTES_MAX)));
        };
        Ok(Events { name, products: self.products()?, window: self.window()? })
    }

    fn measure(&mut self) -> Checked<Measure> {
        let wanted = "`sum` needs what to add up: `of: value`";
        match self.named("of") {
            Some(Raw { node: Node::Name(name), span }) => name.parse().map_err(|_| Fault::new(span.clone(), wanted)),
            Some(raw) => Err(Fault::new(raw.span.clone(), wanted)),
            None => Err(self.fault(wanted)),
        }
    }

    fn date(&mut self) -> Checked<i64> {
        let place = self.left.first().map_or(self.raw.span.clone(), |argument| argument.value.span.clone());
        let text = self.text("a date")?;
        instant_ms(&text).ok_or_else(|| {
            Fault::new(
                place,
                "expected a date, as in \"2026-06-18\" or \"2026-06-18T10:00:00+08:00\" (years 1900 to 2999)",
            )
        })
    }

    fn finish(self) -> Checked<()> {
        let Some(extra) = self.left.first() else { return Ok(()) };
        match &extra.name {
            Some((name, span)) if self.asked.contains(&name.as_str()) => {
                Err(Fault::new(span.clone(), format!("`{name}:` is given twice")))
            }
            Some((name, span)) => Err(Fault::new(span.clone(), unknown_argument(self.function, name, &self.asked))),
            None if self.asked.is_empty() => {
                Err(Fault::new(extra.value.span.clone(), format!("`{}` takes no more than that", self.function)))
            }
            None => {
                let names = self.asked.join(":, ");
                let message = format!("`{}` wants its arguments by name: {names}:", self.function);
                Err(Fault::new(extra.value.span.clone(), message))
            }
        }
    }
}

fn text_of(raw: &Raw) -> Checked<String> {
    match &raw.node {
        Node::Text(text) if !text.is_empty() => Ok(text.clone()),
        _ => Err(Fault::new(raw.span.clone(), "expected a text of at least one letter in double quotes")),
    }
}

/// The instant a date names, unix milliseconds: midnight UTC, or a time with its offset.
fn instant_ms(text: &str) -> Option<i64> {
    let instant = match text.parse::<jiff::civil::Date>() {
        Ok(date) if text.len() == 10 => date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
        _ => text.parse::<jiff::Timestamp>().ok()?,
    };
    let year = instant.to_zoned(jiff::tz::TimeZone::UTC).year();
    ((1900..3000).contains(&year) && (instant.as_millisecond() as f64).abs() < NUMBER_MAX)
        .then(|| instant.as_millisecond())
}
