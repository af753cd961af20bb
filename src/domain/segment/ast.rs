//! The tree of a segment. Its serde form is the canonical JSON.

use serde::{Deserialize, Serialize};

use crate::domain::event;
use crate::text_enum;

/// A condition on one member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Segment {
    /// Everybody, or nobody.
    Always(bool),
    And(Vec<Segment>),
    Or(Vec<Segment>),
    Not(Box<Segment>),
    Compare {
        left: Value,
        op: Comparison,
        right: Value,
    },
    /// Both ends belong to it.
    Between {
        value: Value,
        low: Value,
        high: Value,
    },
    In {
        value: Value,
        list: Vec<Value>,
    },
    Contains {
        value: Value,
        text: String,
    },
    StartsWith {
        value: Value,
        text: String,
    },
    IsSet(Value),
    HasTag(String),
    Did {
        events: Events,
        at_least: u32,
    },
    /// Viewed, added or bought a product.
    Product {
        act: Act,
        #[serde(default, flatten)]
        products: Products,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Window>,
        #[serde(default)]
        not_bought: bool,
    },
    /// Opened, clicked or received a mail.
    Mail {
        act: MailAct,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        campaign: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Window>,
    },
    Consent(String),
    Reachable,
    Suppressed,
    InSegment(String),
}

/// Something to compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Value {
    Number(f64),
    /// As written: `10%` is 10.
    Percent(f64),
    Text(String),
    Duration(Duration),
    /// Unix milliseconds.
    Date(i64),
    Now,
    Field(Field),
    Attribute(String),
    Tag(String),
    Count(Events),
    Sum {
        events: Events,
        of: Measure,
    },
    First(Events),
    Last(Events),
    /// A fixed share per member and salt.
    Bucket(String),
    Arithmetic {
        left: Box<Value>,
        op: Arithmetic,
        right: Box<Value>,
    },
}

/// Events of one name, narrowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    pub name: String,
    #[serde(default, skip_serializing_if = "Products::is_any")]
    pub products: Products,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// Which products: each part given must match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Products {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The product's SKU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
}

impl Products {
    /// Whether every product is meant, even none.
    pub fn is_any(&self) -> bool {
        self.category.is_none() && self.product.is_none() && self.brand.is_none()
    }
}

/// From when on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    Last(Duration),
    /// An instant that does not depend on the member.
    Since(Box<Value>),
}

/// A length of time as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duration {
    pub n: u32,
    pub unit: Unit,
}

impl Duration {
    pub fn ms(self) -> i64 {
        i64::from(self.n) * self.unit.ms()
    }
}

text_enum! {
    /// A unit of time.
    pub enum Unit { Minute = "min", Hour = "h", Day = "d", Week = "w", Year = "y" }
}

impl Unit {
    /// Milliseconds; a year is 365 days.
    pub fn ms(self) -> i64 {
        match self {
            Unit::Minute => 60_000,
            Unit::Hour => 3_600_000,
            Unit::Day => 86_400_000,
            Unit::Week => 7 * 86_400_000,
            Unit::Year => 365 * 86_400_000,
        }
    }
}

text_enum! {
    /// A column of the member.
    pub enum Field {
        Email = "email",
        ExternalId = "external_id",
        FirstName = "first_name",
        LastName = "last_name",
        Locale = "locale",
        Zone = "zone",
        Market = "market",
        Points = "points",
        Orders = "orders",
        Revenue = "revenue",
        LastOrderAt = "last_order_at",
        CreatedAt = "created_at",
    }
}

text_enum! {
    /// How two values compare.
    pub enum Comparison { Eq = "=", Ne = "!=", Lt = "<", Le = "<=", Gt = ">", Ge = ">=" }
}

impl Comparison {
    /// Whether `left` stands so to `right`.
    pub fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Comparison::Eq => left == right,
            Comparison::Ne => left != right,
            Comparison::Lt => left < right,
            Comparison::Le => left <= right,
            Comparison::Gt => left > right,
            Comparison::Ge => left >= right,
        }
    }
}

text_enum! {
    pub enum Arithmetic { Add = "+", Subtract = "-", Multiply = "*", Divide = "/" }
}

text_enum! {
    /// What a member did with a product.
    pub enum Act { Viewed = "viewed", Added = "added", Bought = "bought" }
}

impl Act {
    /// The event that records it.
    pub fn event_name(self) -> &'static str {
        match self {
            Act::Viewed => event::PRODUCT_VIEWED,
            Act::Added => event::PRODUCT_ADDED,
            Act::Bought => event::ORDER_COMPLETED,
        }
    }
}

text_enum! {
    /// What a member did with a mail, or we did.
    pub enum MailAct { Opened = "opened", Clicked = "clicked", Received = "received" }
}

text_enum! {
    /// What `sum` adds up.
    pub enum Measure { Value = "value" }
}

impl Value {
    /// The value as a number, where it does not depend on the member: milliseconds for times, 0.1 for `10%`.
    pub fn constant(&self, now_ms: i64) -> Option<f64> {
        Some(match self {
            Value::Number(number) => *number,
            Value::Percent(percent) => percent / 100.0,
            Value::Duration(duration) => duration.ms() as f64,
            Value::Date(at_ms) => *at_ms as f64,
            Value::Now => now_ms as f64,
            Value::Arithmetic { left, op, right } => op.of(left.constant(now_ms)?, right.constant(now_ms)?)?,
            _ => return None,
        })
    }

    /// Whether the value is the same for every member.
    pub fn is_constant(&self) -> bool {
        match self {
            Value::Arithmetic { left, right, .. } => left.is_constant() && right.is_constant(),
            Value::Number(_)
            | Value::Percent(_)
            | Value::Text(_)
            | Value::Duration(_)
            | Value::Date(_)
            | Value::Now => true,
            _ => false,
        }
    }
}

impl Arithmetic {
    /// `left op right`; nothing when dividing by zero.
    pub fn of(self, left: f64, right: f64) -> Option<f64> {
        match self {
            Arithmetic::Add => Some(left + right),
            Arithmetic::Subtract => Some(left - right),
            Arithmetic::Multiply => Some(left * right),
            Arithmetic::Divide => (right != 0.0).then(|| left / right),
        }
    }
}

impl Window {
    /// The first millisecond that belongs to it. Nothing where `since` divides by zero: then nothing belongs to it.
    pub fn from_ms(&self, now_ms: i64) -> Option<i64> {
        match self {
            Window::Last(duration) => Some(now_ms - duration.ms()),
            Window::Since(value) => value.constant(now_ms).map(|at_ms| at_ms.ceil() as i64),
        }
    }
}
