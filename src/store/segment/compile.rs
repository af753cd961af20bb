//! A resolved segment as a predicate on alias `m` of `member`.
//!
//! A condition may come out null, which selects nobody, as false does; `and` and `or` keep that so, and `not` is
//! written `… is not true`. What a member did is asked by correlated subqueries, because a freeze walks ranges of
//! members: each then costs one look into an index that starts with the member.

use super::resolve::{Resolved, Tag};
use crate::base::draw::{LOT_MODULUS, Permutation};
use crate::domain::engagement::SCORE_MIN;
use crate::domain::event::ORDER_COMPLETED;
use crate::domain::segment::{
    Act, Comparison, Events, Field, Kind, MailAct, NUMBER_MAX, Products, ScoreTest, Segment, Value, Window,
    category_needle, is_text_comparison, score_test,
};
use crate::domain::suppression::SCOPE_ALL;
use crate::store::Conn;

use super::filled::Filled;

/// A value to bind.
#[derive(Debug, Clone, PartialEq)]
pub enum Bind {
    Int(i64),
    Float(f64),
    Text(String),
}

impl rusqlite::ToSql for Bind {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Bind::Int(int) => int.to_sql(),
            Bind::Float(float) => float.to_sql(),
            Bind::Text(text) => text.to_sql(),
        }
    }
}

/// A predicate on alias `m` of `member`, true for the live members of a segment.
#[derive(Debug, Clone)]
pub struct Where {
    /// Without the word `where`; safe to stand between `and`s.
    pub sql: String,
    /// For `$first`, `$first + 1`, …
    pub binds: Vec<Bind>,
    first: usize,
}

impl Where {
    /// A statement around it: `text` holds `{where}` once, and its own placeholders `$1 … $n` take `leading`, where n +
    /// 1 is the first placeholder the predicate was compiled for.
    ///
    /// # Panics
    /// When these numbers do not fit, which is a mistake in the caller's text.
    pub fn fill(&self, text: &'static str, leading: &[Bind]) -> Filled {
        assert_eq!(leading.len() + 1, self.first, "the predicate was compiled for other placeholders");
        assert_eq!(text.matches("{where}").count(), 1, "one gap for the predicate");
        let binds = leading.iter().chain(&self.binds).cloned().collect();
        Filled::new(text.replace("{where}", &self.sql), binds)
    }
}

/// The predicate of `resolved` at `now_ms`, its placeholders counted from `first`.
pub fn compile(conn: &Conn<'_>, resolved: &Resolved, now_ms: i64, first: usize) -> Where {
    let mut compiler = Compiler::new(conn, resolved, now_ms, first);
    let condition = compiler.condition(&resolved.segment).sql;
    let fenced = !conn.is_sqlite() && condition.matches("exists (").count() > JOINS_MAX;
    let fence = if fenced { " is true" } else { "" };
    Where { sql: format!("m.status = 'live' and ({condition}){fence}"), binds: compiler.binds, first }
}

/// The question whether `leaf`, one condition of `resolved`, holds for a member, and what value it looks at. Its row is
/// (1 or 0, number, text); the tag says that the number is its log-score.
pub(super) fn leaf_question(
    conn: &Conn<'_>,
    resolved: &Resolved,
    leaf: &Segment,
    now_ms: i64,
    member_id: i64,
) -> (Filled, Shown) {
    let mut compiler = Compiler::new(conn, resolved, now_ms, 2);
    let condition = compiler.condition(leaf).sql;
    let (shown, value) = compiler.shown(leaf);
    let (number, text) = match shown {
        Shown::Nothing => ("null".to_owned(), "null".to_owned()),
        Shown::Text => ("null".to_owned(), value),
        Shown::Number | Shown::Instant | Shown::Score(_) => (value, "null".to_owned()),
    };
    let sql = format!(
        "select cast(case when {condition} then 1 else 0 end as bigint), cast({number} as double precision), \
         cast({text} as text) from member m where m.id = $1"
    );
    let binds = std::iter::once(Bind::Int(member_id)).chain(compiler.binds).collect();
    (Filled::new(sql, binds), shown)
}

/// What kind of value a condition looks at.
#[derive(Clone, Copy)]
pub(super) enum Shown {
    Nothing,
    Number,
    Instant,
    Text,
    Score(Tag),
}

/// PostgreSQL turns every `exists` that must hold into a join, and plans the order of joins at a cost that grows with
/// their factorial: 245 of them took more than a minute. Above so many, `is true` around the condition keeps them
/// subqueries.
const JOINS_MAX: usize = 6;

/// A piece of SQL, and whether it is never null.
struct Sql {
    sql: String,
    strict: bool,
}

fn strict(sql: String) -> Sql {
    Sql { sql, strict: true }
}

fn loose(sql: String) -> Sql {
    Sql { sql, strict: false }
}

struct Compiler<'r> {
    resolved: &'r Resolved,
    now_ms: i64,
    first: usize,
    binds: Vec<Bind>,
    /// SQLite has no statistics here and would take the index by event name, which for one member is the wrong end; a
    /// unary plus forbids it. PostgreSQL may choose for itself.
    plus: &'static str,
    /// "Position of a text in a text", which goes by two names: `instr` and `strpos`.
    position: &'static str,
}

impl<'r> Compiler<'r> {
    fn new(conn: &Conn<'_>, resolved: &'r Resolved, now_ms: i64, first: usize) -> Compiler<'r> {
        let (plus, position) = if conn.is_sqlite() { ("+", "instr") } else { ("", "strpos") };
        Compiler { resolved, now_ms, first, binds: Vec::new(), plus, position }
    }

    /// Binds a value and gives its placeholder. A prepared statement is kept under its text and keeps the types it was
    /// prepared with, so where a place may take either kind of number the text must say which.
    fn bind(&mut self, bind: Bind) -> String {
        let is_float = matches!(bind, Bind::Float(_));
        self.binds.push(bind);
        let placeholder = format!("${}", self.first + self.binds.len() - 1);
        if is_float { format!("cast({placeholder} as double precision)") } else { placeholder }
    }

    fn int(&mut self, int: i64) -> String {
        self.bind(Bind::Int(int))
    }

    fn text(&mut self, text: &str) -> String {
        self.bind(Bind::Text(text.to_owned()))
    }

    /// A number, bound as an integer where it is one: PostgreSQL then compares with an integer column by its index.
    fn number_bind(&mut self, number: f64) -> String {
        let whole = number.fract() == 0.0 && number.abs() < (1i64 << 53) as f64;
        self.bind(if whole { Bind::Int(number as i64) } else { Bind::Float(number) })
    }

    fn condition(&mut self, segment: &Segment) -> Sql {
        match segment {
            Segment::Always(always) => constant(*always),
            Segment::And(parts) => self.joined(parts, " and "),
            Segment::Or(parts) => self.joined(parts, " or "),
            Segment::Not(inner) => {
                let inner = self.condition(inner);
                strict(if inner.strict {
                    format!("not ({})", inner.sql)
                } else {
                    format!("({}) is not true", inner.sql)
                })
            }
            Segment::Compare { left: Value::Tag(key), op, right } => self.score(key, *op, right),
            Segment::Compare { left, op, right } => self.compare(left, *op, right),
            Segment::Between { value: Value::Tag(key), low, high } => {
                let (low, high) = (self.score(key, Comparison::Ge, low), self.score(key, Comparison::Le, high));
                strict(format!("({} and {})", low.sql, high.sql))
            }
            Segment::Between { value, low, high } => self.between(value, low, high),
            Segment::In { value, list } => self.is_in(value, list),
            Segment::Contains { value, text } => {
                let (value, text) = (self.text_value(value), self.text(text));
                loose(format!("{}({value}, {text}) > 0", self.position))
            }
            Segment::StartsWith { value, text } => {
                let (value, text) = (self.text_value(value), self.text(text));
                loose(format!("substr({value}, 1, length({text})) = {text}"))
            }
            Segment::IsSet(value) => {
                let as_text = matches!(value.kind(), Kind::Attribute);
                let value = self.value(value, as_text);
                strict(format!("{value} is not null"))
            }
            Segment::HasTag(key) => self.score(key, Comparison::Ge, &Value::Number(SCORE_MIN)),
            Segment::Did { events, at_least } => self.did(events, *at_least),
            Segment::Product { act, products, window, not_bought } => {
                self.product(*act, products, window.as_ref(), *not_bought)
            }
            Segment::Mail { act, campaign, window } => self.mail(*act, campaign.as_deref(), window.as_ref()),
            Segment::Consent(topic) => {
                let topic = self.text(topic);
                strict(format!(
                    "exists (select 1 from consent c where c.member_id = m.id and c.topic = {topic} and c.state = 'granted')"
                ))
            }
            Segment::Reachable => {
                let suppressed = self.suppressed("s.scope in ({all}, c.topic)");
                strict(format!(
                    "exists (select 1 from consent c where c.member_id = m.id and c.state = 'granted' and not {suppressed})"
                ))
            }
            Segment::Suppressed => strict(self.suppressed("s.scope = {all}")),
            Segment::InSegment(_) => unreachable!("a resolved segment names no other"),
        }
    }

    fn joined(&mut self, parts: &[Segment], by: &str) -> Sql {
        let parts: Vec<Sql> = parts.iter().map(|part| self.condition(part)).collect();
        let strict = parts.iter().all(|part| part.strict);
        let sql: Vec<String> = parts.into_iter().map(|part| part.sql).collect();
        Sql { sql: format!("({})", sql.join(by)), strict }
    }

    fn suppressed(&mut self, scope: &str) -> String {
        let scope = scope.replace("{all}", &self.text(SCOPE_ALL));
        let now = self.int(self.now_ms);
        format!(
            "exists (select 1 from suppression s where s.addr_key = m.addr_key and {scope} \
             and (s.expires_at_ms is null or s.expires_at_ms > {now}))"
        )
    }

    fn score(&mut self, key: &str, op: Comparison, bound: &Value) -> Sql {
        let Some(bound) = bound.constant(self.now_ms) else { return constant(false) };
        let (upward, strictly) = match op {
            Comparison::Ge => (true, false),
            Comparison::Gt => (true, true),
            Comparison::Lt => (false, false),
            Comparison::Le => (false, true),
            Comparison::Eq | Comparison::Ne => return constant(false),
        };
        let above = self.score_is_above(key, bound, strictly);
        if upward { strict(above) } else { strict(format!("not {above}")) }
    }

    fn score_is_above(&mut self, key: &str, bound: f64, strictly: bool) -> String {
        let tag = self.resolved.tags.get(key).copied();
        let test = score_test(bound, strictly, tag.map(|tag| tag.decay).unwrap_or_default(), self.now_ms);
        let Some(tag) = tag else { return constant(matches!(test, ScoreTest::Always)).sql };
        let reach = match test {
            ScoreTest::Always => return constant(true).sql,
            ScoreTest::Never => return constant(false).sql,
            ScoreTest::AnyRow => String::new(),
            ScoreTest::Reaches(threshold) => format!(" and t.lscore >= {}", self.bind(Bind::Float(threshold))),
            ScoreTest::Above(threshold) => format!(" and t.lscore > {}", self.bind(Bind::Float(threshold))),
        };
        let id = self.int(tag.id);
        format!("exists (select 1 from member_tag t where t.tag_id = {id} and t.member_id = m.id{reach})")
    }

    fn compare(&mut self, left: &Value, op: Comparison, right: &Value) -> Sql {
        let as_text = is_text_comparison(left, right);
        let (left, right) = (self.value(left, as_text), self.value(right, as_text));
        let op = if op == Comparison::Ne { "<>" } else { op.as_str() };
        loose(format!("{left} {op} {right}"))
    }

    fn between(&mut self, value: &Value, low: &Value, high: &Value) -> Sql {
        let (value, low, high) = (self.value(value, false), self.value(low, false), self.value(high, false));
        loose(format!("{value} between {low} and {high}"))
    }

    fn is_in(&mut self, value: &Value, list: &[Value]) -> Sql {
        let as_text = list.first().is_some_and(|item| is_text_comparison(value, item));
        let value = self.value(value, as_text);
        let numbers: Vec<f64> = list.iter().filter_map(|item| item.constant(self.now_ms)).collect();
        // PostgreSQL wants the members of a list to be of one type.
        let whole = numbers.iter().all(|number| number.fract() == 0.0 && number.abs() < (1i64 << 53) as f64);
        let items: Vec<String> = if as_text {
            list.iter().map(|item| self.text_value(item)).collect()
        } else if whole {
            numbers.into_iter().map(|number| self.int(number as i64)).collect()
        } else {
            numbers.into_iter().map(|number| self.bind(Bind::Float(number))).collect()
        };
        if items.is_empty() {
            return constant(false);
        }
        loose(format!("{value} in ({})", items.join(", ")))
    }

    /// A value to be compared; null where it is unset.
    fn value(&mut self, value: &Value, as_text: bool) -> String {
        if as_text {
            return self.text_value(value);
        }
        if let Value::Field(field) = value
            && let Some(text) = text_column(*field)
        {
            return text.to_owned();
        }
        if let Some(number) = value.constant(self.now_ms) {
            return self.number_bind(number);
        }
        match value {
            Value::Field(Field::Points) => "m.points".to_owned(),
            Value::Field(Field::Orders) => "m.orders".to_owned(),
            Value::Field(Field::LastOrderAt) => "m.last_order_at_ms".to_owned(),
            Value::Field(Field::CreatedAt) => "m.created_at_ms".to_owned(),
            Value::Field(Field::Revenue) => money("m.revenue_minor"),
            Value::Attribute(name) => {
                self.attribute(name, &format!("case when abs(a.number) <= {NUMBER_MAX:?} then a.number end"))
            }
            Value::Count(events) => self.of_events(events, "count(*)", "0"),
            Value::Sum { events, .. } => {
                money(&self.of_events(events, "coalesce(cast(sum(e.value_minor) as bigint), 0)", "0"))
            }
            Value::First(events) => self.of_events(events, "min(e.at_ms)", "null"),
            Value::Last(events) => self.of_events(events, "max(e.at_ms)", "null"),
            Value::Bucket(salt) => {
                let permutation = Permutation::new(0, salt);
                let (a, b) = (self.int(permutation.a), self.int(permutation.b));
                let landed = format!("({a} * m.lot + {b}) % {LOT_MODULUS}");
                format!("(cast({landed} as double precision) / cast({LOT_MODULUS} as double precision))")
            }
            Value::Arithmetic { left, op, right } => {
                let (left, right) = (self.operand(left), self.operand(right));
                match op.as_str() {
                    "/" => format!("({left} / nullif({right}, 0))"),
                    op => format!("({left} {op} {right})"),
                }
            }
            _ => "cast(null as double precision)".to_owned(),
        }
    }

    /// A value to be reckoned with: always a double, as the evaluator reckons.
    fn operand(&mut self, value: &Value) -> String {
        match value.constant(self.now_ms) {
            Some(number) => self.bind(Bind::Float(number)),
            None => format!("cast({} as double precision)", self.value(value, false)),
        }
    }

    fn text_value(&mut self, value: &Value) -> String {
        match value {
            // Cast, as a number may stand in the same place of another statement.
            Value::Text(text) => format!("cast({} as text)", self.text(text)),
            Value::Field(field) => text_column(*field).unwrap_or("null").to_owned(),
            Value::Attribute(name) => self.attribute(name, "nullif(a.text, '')"),
            _ => "cast(null as text)".to_owned(),
        }
    }

    fn attribute(&mut self, name: &str, column: &str) -> String {
        let Some(id) = self.resolved.attributes.get(name).copied() else {
            let kind = if column.contains("number") { "double precision" } else { "text" };
            return format!("cast(null as {kind})");
        };
        let id = self.int(id);
        format!("(select {column} from member_attribute a where a.member_id = m.id and a.attribute_id = {id})")
    }

    /// An aggregate over events of the member; `none` where no event can match.
    fn of_events(&mut self, events: &Events, aggregate: &str, none: &str) -> String {
        match self.events(&events.name, &events.products, events.window.as_ref()) {
            Some(from) => format!("(select {aggregate} {from})"),
            None => format!("cast({none} as bigint)"),
        }
    }

    /// `from event e where …`; `None` where no event can match.
    fn events(&mut self, name: &str, products: &Products, window: Option<&Window>) -> Option<String> {
        let name_id = self.resolved.event_names.get(name).copied()?;
        let window = self.window("e.at_ms", window)?;
        let name_id = self.int(name_id);
        let (table, matching) = self.products(products);
        Some(format!(
            "from event e{table} where e.member_id = m.id and {}e.name_id = {name_id}{window}{matching}",
            self.plus
        ))
    }

    /// ` and COLUMN >= $n`; `None` where nothing can belong to the window.
    fn window(&mut self, column: &str, window: Option<&Window>) -> Option<String> {
        match window {
            None => Some(String::new()),
            Some(window) => {
                let from_ms = window.from_ms(self.now_ms)?;
                Some(format!(" and {column} >= {}", self.int(from_ms)))
            }
        }
    }

    /// The product behind `e`, joined in this order on SQLite too (which a `cross join` demands there), and what it
    /// must be.
    fn products(&mut self, products: &Products) -> (&'static str, String) {
        if products.is_any() {
            return ("", String::new());
        }
        let mut matching = " and p.id = e.product_id".to_owned();
        if let Some(category) = &products.category {
            let needle = self.text(&category_needle(category));
            matching += &format!(" and {}('/' || p.category || '/', {needle}) > 0", self.position);
        }
        if let Some(sku) = &products.product {
            matching += &format!(" and p.sku = {}", self.text(sku));
        }
        if let Some(brand) = &products.brand {
            matching += &format!(" and p.brand = {}", self.text(brand));
        }
        (" cross join product p", matching)
    }

    fn did(&mut self, events: &Events, at_least: u32) -> Sql {
        let Some(from) = self.events(&events.name, &events.products, events.window.as_ref()) else {
            return constant(false);
        };
        if at_least <= 1 {
            return strict(format!("exists (select 1 {from})"));
        }
        // Counted no further than is asked for: a member may have a million.
        let at_least = self.int(i64::from(at_least));
        strict(format!("(select count(*) from (select 1 {from} limit {at_least}) b) >= {at_least}"))
    }

    fn product(&mut self, act: Act, products: &Products, window: Option<&Window>, not_bought: bool) -> Sql {
        let Some(from) = self.events(act.event_name(), products, window) else { return constant(false) };
        let plus = self.plus;
        let bought = self.resolved.event_names.get(ORDER_COMPLETED).copied();
        let not_since = bought.filter(|_| not_bought).map(|id| self.int(id)).map_or(String::new(), |id| {
            format!(
                " and not exists (select 1 from event b where b.member_id = m.id and {plus}b.name_id = {id} \
                 and b.product_id = e.product_id and b.at_ms >= e.at_ms)"
            )
        });
        let without = if not_bought { format!(" and e.product_id is not null{not_since}") } else { String::new() };
        strict(format!("exists (select 1 {from}{without})"))
    }

    fn mail(&mut self, act: MailAct, campaign: Option<&str>, window: Option<&Window>) -> Sql {
        let campaign_id = match campaign.map(|name| self.resolved.campaigns.get(name).copied()) {
            None => None,
            Some(Some(id)) => Some(id),
            Some(None) => return constant(false),
        };
        let column = if act == MailAct::Received { "x.sent_at_ms" } else { "u.at_ms" };
        let Some(within) = self.window(column, window) else { return constant(false) };
        let of_campaign = campaign_id.map(|id| format!("r.campaign_id = {}", self.int(id)));
        if act == MailAct::Received {
            return strict(self.received(&within, of_campaign, window));
        }
        let kind = if act == MailAct::Opened { "open" } else { "click" };
        let run = of_campaign
            .map_or(String::new(), |of| format!(" and {}u.run_id in (select r.id from run r where {of})", self.plus));
        strict(format!(
            "exists (select 1 from touch u where u.member_id = m.id and u.kind = '{kind}' and u.class = 'human'{within}{run})"
        ))
    }

    /// Runs are few and messages many: from each run that may have sent in the window, the member's one row.
    fn received(&mut self, within: &str, of_campaign: Option<String>, window: Option<&Window>) -> String {
        let of_campaign = of_campaign.map_or(String::new(), |of| format!(" and {of}"));
        let lately = match window.and_then(|window| window.from_ms(self.now_ms)) {
            None => String::new(),
            Some(from_ms) => {
                let from = self.int(from_ms.saturating_sub(LATE_ANSWER_MS));
                format!(" and (r.finished_at_ms is null or r.finished_at_ms >= {from})")
            }
        };
        format!(
            "exists (select 1 from run r cross join message x where x.run_id = r.id and x.origin = m.id and x.seq = 0 \
             and x.member_id = m.id and x.state = 'sent'{within}{of_campaign}{lately})"
        )
    }

    /// The value a condition looks at, and its SQL.
    fn shown(&mut self, leaf: &Segment) -> (Shown, String) {
        if let Segment::Did { events, .. } = leaf {
            return (Shown::Number, self.of_events(events, "count(*)", "0"));
        }
        let key = match leaf {
            Segment::HasTag(key) => Some(key),
            _ => match leaf.values().first() {
                Some(Value::Tag(key)) => Some(key),
                _ => None,
            },
        };
        if let Some(tag) = key.and_then(|key| self.resolved.tags.get(key).copied()) {
            let id = self.int(tag.id);
            let sql = format!("(select t.lscore from member_tag t where t.tag_id = {id} and t.member_id = m.id)");
            return (Shown::Score(tag), sql);
        }
        match leaf.values().first().copied() {
            _ if key.is_some() => (Shown::Number, "0".to_owned()),
            Some(value) if !value.is_constant() => {
                let shown = match value.kind() {
                    Kind::Text | Kind::Attribute => Shown::Text,
                    Kind::Instant => Shown::Instant,
                    Kind::Number | Kind::Share | Kind::Duration => Shown::Number,
                };
                (shown, self.value(value, matches!(shown, Shown::Text)))
            }
            _ => (Shown::Nothing, String::new()),
        }
    }
}

/// How long after a run's end an answer to one of its mails may still come, milliseconds.
const LATE_ANSWER_MS: i64 = 7 * 86_400_000;

fn constant(always: bool) -> Sql {
    strict(if always { "1 = 1" } else { "1 = 0" }.to_owned())
}

/// Minor units as whole ones.
fn money(minor: &str) -> String {
    format!("(cast({minor} as double precision) / cast(100 as double precision))")
}

/// The column of a text field, null where it is empty.
fn text_column(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::Email => "nullif(m.email, '')",
        Field::ExternalId => "nullif(m.external_id, '')",
        Field::FirstName => "nullif(m.first_name, '')",
        Field::LastName => "nullif(m.last_name, '')",
        Field::Locale => "nullif(m.locale, '')",
        Field::Zone => "nullif(m.zone, '')",
        Field::Market => "nullif(m.market, '')",
        Field::Points | Field::Orders | Field::Revenue | Field::LastOrderAt | Field::CreatedAt => return None,
    })
}
