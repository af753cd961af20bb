//! Intake: files of members, products, orders, events and suppressions become rows.
//!
//! One thread reads and parses ([`lines`], [`csv`], [`table`], [`field`]: everything that can be judged from the row
//! itself is judged here), and hands over rows that mean something. The other side matches a batch of them against the
//! database and writes what is new ([`members`], [`products`], [`orders`], [`events`], [`suppressions`]). A row that is
//! refused on either side goes to `FILE.rejected.csv`, and the others go on.
//!
//! A batch is one transaction of about [`BATCH_MS`]: it is there or it is not, and since a row that stands already
//! changes nothing, running the same file again finishes what a crash cut short.

mod batch;
mod csv;
mod events;
mod field;
mod lines;
mod members;
mod orders;
mod products;
mod reading;
mod rejects;
mod suppressions;
mod table;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::base::World;
use crate::domain::address::AddrSecret;
use crate::domain::provider::ProviderTable;
use crate::store::schema::statistics;
use crate::store::{Db, Lane, StoreError, setting};
use crate::text_enum;

pub use batch::{BATCH_MS, BATCH_ROWS_MAX, Progress};
pub use lines::{FILE_LINES_MAX, ROW_BYTES_MAX};
pub use reading::{Reading, read};
pub use table::COLUMNS_MAX;

text_enum! {
    /// What a file holds.
    pub enum Kind {
        Members = "members",
        Products = "products",
        Orders = "orders",
        Events = "events",
        Suppressions = "suppressions",
    }
}

impl Kind {
    /// The columns a file of this kind may have, by our names.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Kind::Members => members::COLUMNS,
            Kind::Products => products::COLUMNS,
            Kind::Orders => orders::COLUMNS,
            Kind::Events => events::COLUMNS,
            Kind::Suppressions => suppressions::COLUMNS,
        }
    }

    /// The columns a CSV header must have; of each list, one.
    fn needed(self) -> &'static [&'static [&'static str]] {
        match self {
            Kind::Members => &[&["email", "external_id"]],
            Kind::Products => &[&["sku"]],
            Kind::Orders => &[
                &["order_id"],
                &["email", "external_id"],
                &["ordered_at"],
                &["sku"],
                &["quantity"],
                &["price"],
                &["currency"],
            ],
            Kind::Events => &[&["event"], &["messageId"], &["userId", "email"], &["timestamp"]],
            Kind::Suppressions => &[&["email"]],
        }
    }

    /// Whether a column we do not know means something: an attribute of a member, a property of an event.
    fn takes_others(self) -> bool {
        matches!(self, Kind::Members | Kind::Events)
    }
}

/// What to import, and how.
#[derive(Clone)]
pub struct Import {
    pub kind: Kind,
    pub path: PathBuf,
    /// The file's encoding, if it is not UTF-8.
    pub encoding: Option<String>,
    /// Columns to rename, each (theirs, ours).
    pub renames: Vec<(String, String)>,
    /// A tag to give every member of the file.
    pub tag: Option<String>,
    /// One rejected row, and nothing is imported.
    pub strict: bool,
    /// Whose servers a domain is.
    pub providers: Arc<ProviderTable>,
}

impl Import {
    pub fn new(kind: Kind, path: impl Into<PathBuf>, providers: Arc<ProviderTable>) -> Import {
        let path = path.into();
        Import { kind, path, encoding: None, renames: Vec::new(), tag: None, strict: false, providers }
    }
}

/// What became of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rows of the file, without its header and empty lines. The sum of the four below, unless `refused`.
    pub read: u64,
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub rejected: u64,
    /// Where the rejected rows lie, if there are any.
    #[serde(skip)]
    pub rejected_file: Option<PathBuf>,
    /// A strict import found rejected rows: nothing was imported.
    #[serde(skip)]
    pub refused: bool,
}

/// Why a row was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The column at fault; empty where it is the whole row.
    pub field: Cow<'static, str>,
    /// What is wrong and how to mend it.
    pub reason: String,
}

impl Fault {
    fn new(field: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Fault {
        Fault { field: field.into(), reason: reason.into() }
    }

    fn row(reason: impl Into<String>) -> Fault {
        Fault::new("", reason)
    }
}

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("could not read or write {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("could not read on after line {line}: {source}")]
    Read { line: u64, source: std::io::Error },
    #[error("cannot import this file: {0}")]
    Header(String),
    #[error("there is no encoding {label:?}: use a name of the WHATWG list, as in gb18030, windows-1251, utf-16le")]
    Encoding { label: String },
    #[error("{what}")]
    Option { what: String },
    #[error("the thread that reads the file died: nothing after the last full batch was imported")]
    Reader,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IntakeError {
    fn header(why: impl Into<String>) -> IntakeError {
        IntakeError::Header(why.into())
    }
}

/// Imports a file. `progress` is told after every batch.
///
/// # Errors
/// A file that cannot be read, a header that does not fit, an encoding nobody knows, the database.
///
/// # Crash
/// Whole batches are in, the rest is not; the same file again finishes the work.
pub async fn import(
    db: &Db,
    world: &World,
    import: &Import,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Summary, IntakeError> {
    check_options(import)?;
    let mut tx = db.begin(Lane::Bulk).await?;
    let secret = setting::addr_secret(tx.conn(), world).await?;
    tx.commit().await?;
    let summary = match import.kind {
        Kind::Members => {
            let door = || members::Door::new(secret.clone(), import.strict);
            let desk = || members::Desk::new(import, world);
            batch::run(db, world, import, door, desk, progress).await
        }
        Kind::Products => {
            batch::run(db, world, import, products::Door::default, products::Desk::default, progress).await
        }
        Kind::Orders => {
            let door = || orders::Door::new(secret.clone(), world.now_ms());
            batch::run(db, world, import, door, orders::Desk::default, progress).await
        }
        Kind::Events => {
            let door = || events::Door::new(secret.clone(), world.now_ms());
            batch::run(db, world, import, door, events::Desk::default, progress).await
        }
        Kind::Suppressions => {
            let door = || suppressions::Door::new(secret.clone());
            batch::run(db, world, import, door, suppressions::Desk::default, progress).await
        }
    }?;
    statistics::renew(db).await;
    Ok(summary)
}

fn check_options(import: &Import) -> Result<(), IntakeError> {
    let wrong = |what: String| Err(IntakeError::Option { what });
    if import.tag.is_some() && import.kind != Kind::Members {
        return wrong(format!("--tag is for members, not for {}", import.kind));
    }
    if let Some(tag) = &import.tag
        && (tag.trim().is_empty() || tag.len() > 100 || tag.chars().any(char::is_control))
    {
        return wrong(format!("--tag {tag:?} is no name of a tag: at most 100 bytes, and not empty"));
    }
    for (theirs, ours) in &import.renames {
        if !import.kind.takes_others() && !import.kind.columns().contains(&ours.as_str()) {
            let known = import.kind.columns().join(", ");
            return wrong(format!("--map {theirs}={ours}: {} have no column {ours}; they have {known}", import.kind));
        }
    }
    Ok(())
}

/// Who a row of orders or events is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Who {
    addr_key: Option<i64>,
    external_id: Option<String>,
}

impl Who {
    fn read(row: &table::Row, external: &'static str, secret: &AddrSecret) -> Result<Who, Fault> {
        let email = field::change(row, "email", field::email)?;
        let external_id = field::change(row, external, field::id)?;
        let who =
            Who { addr_key: email.given().map(|email| secret.key(email)), external_id: external_id.given().cloned() };
        if who == Who::default() {
            return Err(Fault::new(
                "email",
                format!("is missing, and so is {external}: name the member by one of them"),
            ));
        }
        Ok(who)
    }

    fn key(&self) -> (Option<i64>, Option<&str>) {
        (self.addr_key, self.external_id.as_deref())
    }

    /// One text for each member, for telling them apart.
    fn name(&self) -> String {
        self.external_id.clone().unwrap_or_else(|| self.addr_key.unwrap_or_default().to_string())
    }

    /// The member meant: by external id, else by address.
    fn find(&self, found: &crate::store::member::Found) -> Result<i64, Fault> {
        let by_external = self.external_id.as_ref().and_then(|id| found.by_external.get(id));
        let by_addr = self.addr_key.and_then(|key| found.by_addr.get(&key));
        match (by_external, by_addr) {
            (Some(a), Some(b)) if a != b => {
                Err(Fault::new("email", "belongs to another member than the external id: keep one of them"))
            }
            (Some(id), _) | (None, Some(id)) => Ok(*id),
            (None, None) => {
                Err(Fault::new("email", "belongs to no member: import members first, then this file again"))
            }
        }
    }
}
