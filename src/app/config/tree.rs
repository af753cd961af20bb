//! A configuration as one tree of values that know where they were written: the file's lines, overlaid by the
//! environment. Nothing is judged here but the syntax.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;

/// What every overriding variable of the environment begins with.
const ENV_PREFIX: &str = "INDICIA__";
/// Deepest path and longest list the environment may write: `INDICIA__ROUTE__99__HOST`.
const LIST_LEN_MAX: usize = 100;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of the configuration file, from 1.
    Line(usize),
    /// A variable of the environment.
    Env(String),
    /// Nowhere: a default.
    Default,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    pub value: Value,
    pub place: Place,
}

/// A value as written. A variable of the environment has no type of its own: it takes the one that is asked of it.
#[derive(Debug, Clone)]
pub enum Value {
    Text(String),
    Number(String),
    Flag(bool),
    Env(String),
    /// A date or time, which no key takes.
    Date,
    List(Vec<Node>),
    Table(Table),
}

/// The keys of a table.
pub type Table = BTreeMap<String, Node>;

impl Value {
    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text in quotes",
            Value::Number(_) => "a number",
            Value::Flag(_) => "true or false",
            Value::Env(_) => "a text",
            Value::Date => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// Reads a file's text into a tree, with every fault of its syntax. What can be read is read, so that later faults
/// are found too. The parser's own message quotes the line, which may hold a password: only its first words are kept.
pub fn parse(text: &str, faults: &mut Vec<Fault>) -> Table {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let place = error.span().map_or(Place::Default, |span| Place::Line(line_of(text, span.start)));
        faults.push(Fault::new(place, "", format!("is no TOML: {}", error.message()), "mend the syntax of this line"));
    }
    table_of(text, table.get_ref())
}

fn table_of(text: &str, table: &DeTable<'_>) -> Table {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), node_of(text, key.span().start, value))).collect()
}

fn node_of(text: &str, start: usize, value: &Spanned<DeValue<'_>>) -> Node {
    let place = Place::Line(line_of(text, start));
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Value::Number(number.as_str().to_owned()),
        DeValue::Integer(number) => Value::Number(number.to_string()),
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(items.iter().map(|item| node_of(text, item.span().start, item)).collect()),
        DeValue::Table(table) => Value::Table(table_of(text, table)),
    };
    Node { value, place }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

/// Lays variables such as `INDICIA__ROUTE__0__HOST` over the tree. A number is a place in a list; the list grows by
/// one when the number is its length.
pub fn overlay(root: &mut Table, env: impl Iterator<Item = (String, String)>, faults: &mut Vec<Fault>) {
    let mut variables: Vec<(String, String)> = env.filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect();
    variables.sort();
    for (name, text) in variables {
        let path: Vec<String> = name[ENV_PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        let node = Node { value: Value::Env(text), place: Place::Env(name.clone()) };
        if let Err(what) = put(root, &path, node) {
            let fix = "write it like INDICIA__HTTP__LISTEN or INDICIA__ROUTE__0__HOST";
            faults.push(Fault::new(Place::Env(name), &path.join("."), what, fix));
        }
    }
}

fn put(table: &mut Table, path: &[String], node: Node) -> Result<(), String> {
    let [key, rest @ ..] = path else { return Err("names no key".to_owned()) };
    if key.is_empty() {
        return Err("has an empty part in its name".to_owned());
    }
    let [next, ..] = rest else {
        table.insert(key.clone(), node);
        return Ok(());
    };
    let place = node.place.clone();
    let empty = match next.parse::<usize>() {
        Ok(_) => Value::List(Vec::new()),
        Err(_) => Value::Table(Table::new()),
    };
    let inner = table.entry(key.clone()).or_insert(Node { value: empty, place });
    match &mut inner.value {
        Value::Table(table) => put(table, rest, node),
        Value::List(list) => put_at(list, rest, node),
        _ => Err(format!("goes into {key}, which is no table")),
    }
}

fn put_at(list: &mut Vec<Node>, path: &[String], node: Node) -> Result<(), String> {
    let at: usize = path[0].parse().map_err(|_| format!("names {:?}, where a number is needed", path[0]))?;
    if at > list.len() || at >= LIST_LEN_MAX {
        return Err(format!("names place {at} of a list that has {} entries", list.len()));
    }
    let [_, rest @ ..] = path else { return Err("names no key".to_owned()) };
    if at == list.len() {
        let value = if rest.is_empty() { Value::Date } else { Value::Table(Table::new()) };
        list.push(Node { value, place: node.place.clone() });
    }
    match &mut list[at].value {
        _ if rest.is_empty() => list[at] = node,
        Value::Table(table) => put(table, rest, node)?,
        _ => return Err(format!("goes into entry {at}, which is no table")),
    }
    Ok(())
}
