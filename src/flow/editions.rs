//! What mails are rendered from, kept while it holds: compiled template versions and the catalogue. One for the whole
//! daemon, whoever renders.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::domain::catalog::Catalog;
use crate::domain::recommend::care::Cares;
use crate::render::{Compiled, compile};
use crate::store::{Db, StoreError, catalog, template};

/// How old a catalogue may be before its tables are looked at again, milliseconds.
const CATALOG_LOOK_MS: i64 = 5_000;
/// Compiled versions kept.
const VERSIONS_MAX: usize = 64;

/// Why there is nothing to render from.
#[derive(Debug, thiserror::Error)]
pub enum EditionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no template version {0}")]
    Missing(i64),
    #[error("template {name} does not compile: {fault}")]
    Broken { name: String, fault: String },
}

/// The kept ones; cheap to clone.
#[derive(Clone)]
pub struct Editions(Arc<Kept>);

struct Kept {
    db: Db,
    cares: Cares,
    versions: Mutex<HashMap<i64, Arc<Compiled>>>,
    catalog: Mutex<Option<Loaded>>,
}

struct Loaded {
    catalog: Catalog,
    version: catalog::Version,
    looked_at_ms: i64,
}

impl Editions {
    /// `cares`: what is known of categories.
    pub fn new(db: Db, cares: Cares) -> Editions {
        Editions(Arc::new(Kept { db, cares, versions: Mutex::default(), catalog: Mutex::default() }))
    }

    /// A template version, compiled once.
    ///
    /// # Errors
    /// When there is no such version, or it does not compile.
    pub async fn version(&self, id: i64) -> Result<Arc<Compiled>, EditionError> {
        let mut versions = self.0.versions.lock().await;
        if let Some(compiled) = versions.get(&id) {
            return Ok(compiled.clone());
        }
        let mut reader = self.0.db.reader().await?;
        let source = template::source(reader.conn(), id).await?.ok_or(EditionError::Missing(id))?;
        let compiled = compile(&source).map_err(|faults| EditionError::Broken {
            fault: faults.first().map(ToString::to_string).unwrap_or_default(),
            name: source.name.clone(),
        })?;
        let compiled = Arc::new(compiled.of_version(id));
        if versions.len() >= VERSIONS_MAX {
            versions.clear();
        }
        versions.insert(id, compiled.clone());
        Ok(compiled)
    }

    /// The catalogue, at most some seconds old; loaded again only when it has changed.
    ///
    /// # Errors
    /// The database's.
    pub async fn catalog(&self, now_ms: i64) -> Result<Catalog, StoreError> {
        let mut kept = self.0.catalog.lock().await;
        if let Some(loaded) = kept.as_ref().filter(|loaded| (now_ms - loaded.looked_at_ms).abs() < CATALOG_LOOK_MS) {
            return Ok(loaded.catalog.clone());
        }
        let mut reader = self.0.db.reader().await?;
        let version = catalog::version(reader.conn(), now_ms).await?;
        if let Some(loaded) = kept.as_mut().filter(|loaded| loaded.version == version) {
            loaded.looked_at_ms = now_ms;
            return Ok(loaded.catalog.clone());
        }
        let catalog = catalog::load(reader.conn(), &self.0.cares, now_ms).await?;
        *kept = Some(Loaded { catalog: catalog.clone(), version, looked_at_ms: now_ms });
        Ok(catalog)
    }
}
