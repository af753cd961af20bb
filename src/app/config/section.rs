//! Reading one table of a configuration, key by key: a key is known because it was asked for, and every fault is kept.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::duration;
use super::fault::Fault;
use super::tree::{Node, Place, Table, Value};

/// What is gathered while a configuration is read.
pub struct Book {
    /// Where relative paths begin.
    pub folder: PathBuf,
    pub faults: RefCell<Vec<Fault>>,
    /// Every key that was asked for, as in `route.host`.
    pub known: RefCell<Vec<String>>,
}

/// One table being read.
pub struct Section<'b> {
    book: &'b Book,
    /// Its path in faults, as in `route[0]`; empty for the root.
    path: String,
    /// Its path without places in lists, as in `route`.
    name: String,
    place: Place,
    rest: Table,
    asked: BTreeMap<&'static str, Place>,
}

impl<'b> Section<'b> {
    pub fn root(book: &'b Book, table: Table) -> Section<'b> {
        Section {
            book,
            path: String::new(),
            name: String::new(),
            place: Place::Default,
            rest: table,
            asked: BTreeMap::new(),
        }
    }

    /// The table under `key`, empty when absent.
    pub fn section(&mut self, key: &'static str) -> Section<'b> {
        let (rest, place) = match self.take(key) {
            Some(Node { value: Value::Table(table), place }) => (table, place),
            Some(node) => {
                self.complain(key, &node, &format!("a table, written as [{}]", self.path_of(key)));
                (Table::new(), node.place)
            }
            None => (Table::new(), Place::Default),
        };
        Section {
            book: self.book,
            path: self.path_of(key),
            name: self.name_of(key),
            place,
            rest,
            asked: BTreeMap::new(),
        }
    }

    /// The tables under `key`, written as `[[key]]`.
    pub fn sections(&mut self, key: &'static str) -> Vec<Section<'b>> {
        let nodes = match self.take(key) {
            Some(Node { value: Value::List(nodes), .. }) => nodes,
            Some(node) => {
                self.complain(key, &node, &format!("a list of tables, each written as [[{}]]", self.name_of(key)));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut sections = Vec::with_capacity(nodes.len());
        for (nth, node) in nodes.into_iter().enumerate() {
            let path = format!("{}[{nth}]", self.path_of(key));
            let Value::Table(rest) = node.value else {
                let fix = format!("write a table under [[{}]]", self.name_of(key));
                self.push(Fault::new(node.place, &path, format!("is {}, not a table", node.value.kind()), fix));
                continue;
            };
            let (name, place) = (self.name_of(key), node.place);
            sections.push(Section { book: self.book, path, name, place, rest, asked: BTreeMap::new() });
        }
        sections
    }

    /// A text; `None` when absent.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.take(key)?;
        match node.value {
            Value::Text(text) | Value::Env(text) => Some(text),
            _ => self.wrong(key, &node, "a text in quotes"),
        }
    }

    /// A text that must be there and not empty.
    pub fn need(&mut self, key: &'static str, fix: &str) -> String {
        let was = self.rest.contains_key(key);
        match self.text(key) {
            Some(text) if !text.trim().is_empty() => return text,
            Some(_) => self.fault(key, "is empty", fix),
            None if was => {}
            None => self.fault(key, "is missing", fix),
        }
        String::new()
    }

    /// A text that parses as `T`. `expected` ends the sentence "needs …".
    pub fn parsed<T: FromStr>(&mut self, key: &'static str, expected: &str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.text(key)?;
        text.parse()
            .map_err(|error| self.fault(key, &format!("is not understood: {error}"), &format!("write {expected}")))
            .ok()
    }

    /// A number between `least` and `most`.
    pub fn number<T>(&mut self, key: &'static str, least: T, most: T) -> Option<T>
    where
        T: FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        let node = self.take(key)?;
        let (Value::Number(text) | Value::Env(text)) = &node.value else {
            return self.wrong(key, &node, "a number without quotes");
        };
        let fix = format!("write a number from {least} to {most}");
        match text.trim().parse::<T>() {
            Ok(number) if number >= least && number <= most => Some(number),
            Ok(number) => {
                self.fault(key, &format!("= {number} is out of its bounds"), &fix);
                None
            }
            Err(_) => {
                self.fault(key, &format!("= {text:?} is no number that fits"), &fix);
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        let node = self.take(key)?;
        match &node.value {
            Value::Flag(flag) => Some(*flag),
            Value::Env(text) if text == "true" || text == "false" => Some(text == "true"),
            _ => self.wrong(key, &node, "true or false without quotes"),
        }
    }

    /// A length of time such as "250ms", "5m" or "1h30m", in milliseconds, at least `least_ms`.
    pub fn duration_ms(&mut self, key: &'static str, least_ms: i64) -> Option<i64> {
        let text = self.text(key)?;
        let fix = "write a length of time in quotes, such as \"250ms\", \"30s\", \"5m\" or \"1h30m\"";
        match duration::parse_ms(&text) {
            Ok(ms) if ms >= least_ms => return Some(ms),
            Ok(_) => self.fault(key, &format!("= {text:?} is below {}", duration::show_ms(least_ms)), fix),
            Err(what) => self.fault(key, &format!("= {text:?} {what}"), fix),
        }
        None
    }

    /// A list of texts; from the environment, separated by commas.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let node = self.take(key)?;
        let expected = "a list of texts such as [\"a\", \"b\"]";
        match &node.value {
            Value::Env(text) => {
                Some(text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
            }
            Value::List(items) => {
                let texts = items.iter().map(|item| match &item.value {
                    Value::Text(text) | Value::Env(text) => Some(text.clone()),
                    _ => self.wrong(key, item, expected),
                });
                texts.collect()
            }
            _ => self.wrong(key, &node, expected),
        }
    }

    /// A path; relative ones begin at the configuration's folder.
    pub fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let text = self.text(key)?;
        if text.trim().is_empty() {
            self.fault(key, "is empty", "write a path, or leave the key out");
            return None;
        }
        Some(self.resolve(&text))
    }

    /// A path as written, from the configuration's folder.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.book.folder.join(Path::new(path))
    }

    /// Records a fault of a key of this table, at the place where the key stands, else where the table begins.
    pub fn fault(&self, key: &'static str, what: &str, fix: &str) {
        let place = match self.asked.get(key) {
            Some(Place::Default) | None => self.place.clone(),
            Some(place) => place.clone(),
        };
        self.push(Fault::new(place, &self.path_of(key), what, fix));
    }

    /// Ends the table: keys nobody asked for are faults.
    pub fn finish(self) {
        for (key, node) in &self.rest {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            let near = nearest(key, self.asked.keys());
            let fix = match near {
                Some(near) => format!("did you mean {near}?"),
                None => format!("remove it; known here: {}", self.asked.keys().copied().collect::<Vec<_>>().join(", ")),
            };
            self.push(Fault::new(node.place.clone(), &path, "is no known key", fix));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        let node = self.rest.remove(key);
        self.asked.insert(key, node.as_ref().map_or(Place::Default, |node| node.place.clone()));
        let name = self.name_of(key);
        let mut known = self.book.known.borrow_mut();
        if !known.contains(&name) {
            known.push(name);
        }
        node
    }

    fn complain(&self, key: &str, node: &Node, expected: &str) {
        let what = format!("is {}", node.value.kind());
        self.push(Fault::new(node.place.clone(), &self.path_of(key), what, format!("write {expected}")));
    }

    fn wrong<T>(&self, key: &str, node: &Node, expected: &str) -> Option<T> {
        self.complain(key, node, expected);
        None
    }

    fn push(&self, fault: Fault) {
        self.book.faults.borrow_mut().push(fault);
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn name_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

/// The known key that was meant: the nearest within two edits, else one that goes on where this one ends.
fn nearest<'k>(key: &str, known: impl Iterator<Item = &'k &'static str> + Clone) -> Option<&'static str> {
    let near = known.clone().map(|known| (edits(key, known), *known)).filter(|(edits, _)| *edits <= 2).min();
    near.map(|(_, known)| known).or_else(|| known.copied().find(|known| key.len() > 3 && known.starts_with(key)))
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (corner + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}
