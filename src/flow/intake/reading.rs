//! Files of the import format read for what they say, into no database: what an evaluation is made of.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use super::batch::Door;
use super::lines::Lines;
use super::table::Table;
use super::{IntakeError, Kind, events, orders, products};
use crate::domain::address::AddrSecret;
use crate::domain::recommend::log::{Deed, Gather, Log};

/// What was read, and how much of the files was not understood.
pub struct Reading {
    pub log: Log,
    pub rows: u64,
    pub rejected: u64,
    /// The first row that was not understood: its line and why.
    pub first_rejected: Option<String>,
}

/// What a row says was done.
pub(super) struct Said<'a> {
    pub member: &'a dyn Display,
    pub sku: &'a str,
    pub deed: Deed,
    pub price_minor: Option<i64>,
    pub category: Option<String>,
}

/// Reads a file of orders or of events, and what categories a file of products gives them.
///
/// # Errors
/// A file that cannot be read, or whose header is of neither kind.
pub fn read(deeds: &Path, catalogue: Option<&Path>, now_ms: i64) -> Result<Reading, IntakeError> {
    // Members are only told apart, never looked up: any secret serves.
    let secret = || AddrSecret::new([0; 32]);
    let mut gather = Gather::default();
    let mut tally = Tally::default();
    match open(deeds, Kind::Orders) {
        Ok(Source { table, is_json: false }) => {
            let door = orders::Door::new(secret(), now_ms);
            tally.walk(deeds, table, door, |row: orders::OrderRow| row.say(|said| add(&mut gather, said)))?;
        }
        Ok(_) | Err(IntakeError::Header(_)) => {
            let door = events::Door::new(secret(), now_ms);
            let table = open(deeds, Kind::Events)?.table;
            tally.walk(deeds, table, door, |call: events::Call| call.say(|said| add(&mut gather, said)))?;
        }
        Err(other) => return Err(other),
    }
    if let Some(path) = catalogue {
        let table = open(path, Kind::Products)?.table;
        tally.walk(path, table, products::Door, |row: products::ProductRow| {
            let (sku, category) = row.category();
            if let (Some(item), Some(category)) = (gather.known(sku), category) {
                category.clone_into(&mut item.category);
            }
        })?;
    }
    Ok(Reading { log: gather.finish(), rows: tally.rows, rejected: tally.rejected, first_rejected: tally.first })
}

fn add(gather: &mut Gather, said: Said<'_>) {
    let product = gather.product(said.sku);
    if let Some(item) = gather.known(said.sku) {
        item.price_minor = said.price_minor.unwrap_or(item.price_minor);
        item.category = said.category.unwrap_or_else(|| std::mem::take(&mut item.category));
    }
    gather.add(&said.member.to_string(), Deed { product, ..said.deed });
}

struct Source {
    table: Table,
    is_json: bool,
}

fn open(path: &Path, kind: Kind) -> Result<Source, IntakeError> {
    let mut lines = Lines::open(path, None, Arc::default())?;
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let first = lines.first_byte().map_err(|source| IntakeError::Read { line: 1, source })?;
    Ok(Source { table: Table::new(lines, kind, &extension, &[])?, is_json: first == Some(b'{') })
}

#[derive(Default)]
struct Tally {
    rows: u64,
    rejected: u64,
    first: Option<String>,
}

impl Tally {
    fn walk<D: Door>(
        &mut self,
        path: &Path,
        mut table: Table,
        mut door: D,
        mut take: impl FnMut(D::Item),
    ) -> Result<(), IntakeError> {
        let failed = |source| IntakeError::File { path: path.to_owned(), source };
        while let Some(numbered) = table.next().map_err(failed)? {
            self.rows += 1;
            match numbered.row.and_then(|row| door.parse(&row)) {
                Ok(item) => take(item),
                Err(fault) => {
                    self.rejected += 1;
                    let line = numbered.line;
                    let say = || format!("{} line {line}: {} {}", path.display(), fault.field, fault.reason);
                    self.first.get_or_insert_with(say);
                }
            }
        }
        Ok(())
    }
}
