//! Addresses never to be mailed, as a list from elsewhere has them.

use std::collections::HashSet;

use super::Fault;
use super::batch::{self, Outcome};
use super::field::{self, change};
use super::table::Row;
use crate::domain::address::AddrSecret;
use crate::domain::suppression::{SCOPE_ALL, SuppressionReason, is_scope};
use crate::store::{Conn, StoreError, suppression};

pub(super) const COLUMNS: &[&str] = &["email", "scope", "reason", "source"];
/// The source of a row that names none.
const SOURCE: &str = "import";

/// An entry of the list; its address is kept as a key alone.
pub(super) struct SuppressionRow {
    addr_key: i64,
    scope: String,
    reason: SuppressionReason,
    source: String,
}

/// Judges the rows of a file.
pub(super) struct Door {
    secret: AddrSecret,
}

impl Door {
    pub(super) fn new(secret: AddrSecret) -> Door {
        Door { secret }
    }
}

impl batch::Door for Door {
    type Item = SuppressionRow;

    fn parse(&mut self, row: &Row) -> Result<SuppressionRow, Fault> {
        let email = field::email(row.need("email")?).map_err(|why| Fault::new("email", why))?;
        let scope = change(row, "scope", |text| match is_scope(text) {
            true => Ok(text.to_owned()),
            false => Err(format!("{text:?} is no scope: write all, or a topic")),
        })?;
        let reason = change(row, "reason", |text| {
            let known = || SuppressionReason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(", ");
            text.parse().map_err(|_| format!("{text:?} is none of {}", known()))
        })?;
        let source = change(row, "source", field::id)?;
        Ok(SuppressionRow {
            addr_key: self.secret.key(&email),
            scope: scope.given().cloned().unwrap_or_else(|| SCOPE_ALL.to_owned()),
            reason: reason.given().copied().unwrap_or(SuppressionReason::Manual),
            source: source.given().cloned().unwrap_or_else(|| SOURCE.to_owned()),
        })
    }
}

/// Writes entries; one that stands already stays as it is.
#[derive(Default)]
pub(super) struct Desk;

impl batch::Desk for Desk {
    type Item = SuppressionRow;

    async fn write(
        &mut self,
        conn: Conn<'_>,
        items: &[&SuppressionRow],
        now_ms: i64,
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut seen = HashSet::new();
        let first: Vec<bool> = items.iter().map(|row| seen.insert((row.addr_key, row.scope.as_str()))).collect();
        let entries = items.iter().zip(&first).filter(|(_, first)| **first);
        let entries: Vec<_> =
            entries.map(|(row, _)| (row.addr_key, row.scope.as_str(), row.reason, row.source.as_str())).collect();
        let made = suppression::suppress_all(conn, &entries, now_ms).await?;
        let outcome = |(row, first): (&&SuppressionRow, &bool)| match *first {
            true if made.contains(&(row.addr_key, row.scope.clone())) => Outcome::Inserted,
            _ => Outcome::Unchanged,
        };
        Ok(items.iter().zip(&first).map(outcome).collect())
    }

    fn forget(&mut self) {}
}
