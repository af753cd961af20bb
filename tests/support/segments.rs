//! Random segments over a small vocabulary, in the canonical shape that the parser gives.

use indicia::domain::segment::{
    Act, Arithmetic, Comparison, Duration, Events, Field, MailAct, Measure, Products, Segment, Unit, Value, Window,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

pub const NOW_MS: i64 = 1_780_000_000_000;
pub const DAY_MS: i64 = 86_400_000;

pub const TAGS: &[&str] = &["interest:refrigerator", "brand:casarte", "member", "ghost tag"];
pub const EVENTS: &[&str] =
    &["Product Viewed", "Product Added", "Order Completed", "Kettle \"Descaled\"", "Ghost Event"];
pub const ATTRIBUTES: &[&str] = &["city", "age", "any name", "in", "ghost"];
pub const TEXTS: &[&str] = &["Perm", "Пермь", "zh-Hans", "a\"b\\c", "pe", "5", "Europe/Moscow", "%", "ru"];
pub const CAMPAIGNS: &[&str] = &["spring", "autumn", "ghost"];
pub const TOPICS: &[&str] = &["offers", "news"];
pub const CATEGORIES: &[&str] = &["kitchen", "refrigerator", "kitchen/refrigerator", "laundry", "fridge", "Kitchen"];
pub const BRANDS: &[&str] = &["Casarte", "Aurora"];
pub const SKUS: &[&str] = &["R-1", "R-2", "W-1", "X-9"];
pub const SAVED: &[&str] = &["rich", "rich and open"];

/// A random segment; the same for the same seed.
pub fn segment(seed: u64) -> Segment {
    Source(StdRng::seed_from_u64(seed)).condition(3)
}

/// A source of random pieces.
pub struct Source(pub StdRng);

impl Source {
    pub fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    pub fn word(&mut self, all: &[&str]) -> String {
        self.of(all).to_owned()
    }

    fn condition(&mut self, depth: usize) -> Segment {
        if depth > 0 && !self.one_in(3) {
            return match self.below(3) {
                0 => Segment::And(self.conditions(depth)),
                1 => Segment::Or(self.conditions(depth)),
                _ => Segment::Not(Box::new(self.condition(depth - 1))),
            };
        }
        self.leaf()
    }

    fn conditions(&mut self, depth: usize) -> Vec<Segment> {
        (0..2 + self.below(2)).map(|_| self.condition(depth - 1)).collect()
    }

    fn leaf(&mut self) -> Segment {
        match self.below(17) {
            0 => Segment::Always(self.one_in(2)),
            1 | 2 => self.compare_numbers(),
            3 => self.compare_instants(),
            4 => self.compare_texts(),
            5 => self.between(),
            6 => self.is_in(),
            7 => Segment::Contains { value: self.text_value(), text: self.word(TEXTS) },
            8 => Segment::StartsWith { value: self.text_value(), text: self.word(TEXTS) },
            9 => Segment::IsSet(self.settable()),
            10 => Segment::HasTag(self.word(TAGS)),
            11 => Segment::Did { events: self.events(), at_least: 1 + self.below(3) as u32 },
            12 | 13 => {
                let act = self.of(Act::ALL);
                let not_bought = act != Act::Bought && self.one_in(2);
                Segment::Product { act, products: self.products(), window: self.window(), not_bought }
            }
            14 => {
                let campaign = self.one_in(2).then(|| self.word(CAMPAIGNS));
                Segment::Mail { act: self.of(MailAct::ALL), campaign, window: self.window() }
            }
            15 => match self.below(3) {
                0 => Segment::Consent(self.word(TOPICS)),
                1 => Segment::Reachable,
                _ => Segment::Suppressed,
            },
            _ => self.score_or_saved(),
        }
    }

    fn score_or_saved(&mut self) -> Segment {
        if self.one_in(4) {
            return Segment::InSegment(self.word(SAVED));
        }
        let left = Value::Tag(self.word(TAGS));
        let right = Value::Number(self.of(&[0.0, 0.05, 0.5, 1.0, 2.0, -1.0]));
        if self.one_in(4) {
            return Segment::Between { value: left, low: right, high: Value::Number(self.of(&[0.5, 1.0, 3.0])) };
        }
        let op = self.of(&[Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge]);
        Segment::Compare { left, op, right }
    }

    fn compare_numbers(&mut self) -> Segment {
        let op = self.of(Comparison::ALL);
        if self.one_in(6) {
            let left = Value::Bucket(self.word(&["a", "b"]));
            return Segment::Compare { left, op, right: Value::Percent(self.of(&[0.0, 10.0, 33.3, 50.0, 100.0])) };
        }
        let left = self.sum(2);
        let right = if self.one_in(3) { self.sum(1) } else { self.constant_number() };
        // Two attributes would compare as texts, which have no order.
        let texts = matches!((&left, &right), (Value::Attribute(_), Value::Attribute(_)));
        let op = if texts { Comparison::Ne } else { op };
        Segment::Compare { left, op, right }
    }

    fn constant_number(&mut self) -> Value {
        Value::Number(self.of(&[0.0, 1.0, 2.0, 3.5, 5.0, 500.0, 999.99, -2.0, 1e6]))
    }

    fn sum(&mut self, depth: usize) -> Value {
        if depth > 0 && self.one_in(3) {
            let op = self.of(Arithmetic::ALL);
            let (left, right) = (Box::new(self.sum(depth - 1)), Box::new(self.sum(depth - 1)));
            return Value::Arithmetic { left, op, right };
        }
        match self.below(7) {
            0 => Value::Field(Field::Points),
            1 => Value::Field(Field::Orders),
            2 => Value::Field(Field::Revenue),
            3 => Value::Attribute(self.word(ATTRIBUTES)),
            4 => Value::Count(self.events()),
            5 => Value::Sum { events: self.events(), of: Measure::Value },
            _ => self.constant_number(),
        }
    }

    fn instant(&mut self) -> Value {
        match self.below(5) {
            0 => Value::Field(Field::LastOrderAt),
            1 => Value::Field(Field::CreatedAt),
            2 => Value::First(self.events()),
            3 => Value::Last(self.events()),
            _ => self.constant_instant(),
        }
    }

    fn constant_instant(&mut self) -> Value {
        match self.below(3) {
            0 => Value::Now,
            1 => Value::Date((NOW_MS / DAY_MS - self.below(60) as i64) * DAY_MS + self.of(&[0, 1, 3_600_000])),
            _ => Value::Arithmetic {
                left: Box::new(Value::Now),
                op: Arithmetic::Subtract,
                right: Box::new(Value::Duration(self.duration())),
            },
        }
    }

    fn compare_instants(&mut self) -> Segment {
        let op = self.of(Comparison::ALL);
        if self.one_in(3) {
            let (left, right) = (Box::new(self.instant()), Box::new(self.instant()));
            let left = Value::Arithmetic { left, op: Arithmetic::Subtract, right };
            return Segment::Compare { left, op, right: Value::Duration(self.duration()) };
        }
        Segment::Compare { left: self.instant(), op, right: self.instant() }
    }

    fn compare_texts(&mut self) -> Segment {
        let op = self.of(&[Comparison::Eq, Comparison::Ne]);
        let right = if self.one_in(4) { self.text_value() } else { Value::Text(self.word(TEXTS)) };
        Segment::Compare { left: self.text_value(), op, right }
    }

    fn text_value(&mut self) -> Value {
        if self.one_in(2) {
            return Value::Attribute(self.word(ATTRIBUTES));
        }
        Value::Field(self.of(&[
            Field::Email,
            Field::ExternalId,
            Field::FirstName,
            Field::LastName,
            Field::Locale,
            Field::Zone,
            Field::Market,
        ]))
    }

    fn settable(&mut self) -> Value {
        match self.below(4) {
            0 => self.text_value(),
            1 => Value::Field(self.of(Field::ALL)),
            2 => Value::First(self.events()),
            _ => Value::Last(self.events()),
        }
    }

    fn between(&mut self) -> Segment {
        if self.one_in(2) {
            return Segment::Between { value: self.instant(), low: self.instant(), high: self.instant() };
        }
        let (low, high) = (self.constant_number(), self.constant_number());
        Segment::Between { value: self.sum(1), low, high }
    }

    fn is_in(&mut self) -> Segment {
        let n = 1 + self.below(3);
        if self.one_in(2) {
            let list = (0..n).map(|_| Value::Text(self.word(TEXTS))).collect();
            return Segment::In { value: self.text_value(), list };
        }
        let list = (0..n).map(|_| self.constant_number()).collect();
        Segment::In { value: self.sum(1), list }
    }

    fn events(&mut self) -> Events {
        Events { name: self.word(EVENTS), products: self.products(), window: self.window() }
    }

    fn products(&mut self) -> Products {
        Products {
            category: self.one_in(3).then(|| self.word(CATEGORIES)),
            product: self.one_in(6).then(|| self.word(SKUS)),
            brand: self.one_in(6).then(|| self.word(BRANDS)),
        }
    }

    fn window(&mut self) -> Option<Window> {
        match self.below(4) {
            0 => None,
            1 => Some(Window::Since(Box::new(self.constant_instant()))),
            _ => Some(Window::Last(self.duration())),
        }
    }

    pub fn duration(&mut self) -> Duration {
        let (n, unit) = self.of(&[
            (90, Unit::Minute),
            (12, Unit::Hour),
            (1, Unit::Day),
            (7, Unit::Day),
            (30, Unit::Day),
            (2, Unit::Week),
            (1, Unit::Year),
        ]);
        Duration { n, unit }
    }
}
