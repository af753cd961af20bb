//! What the mails of a run are made from, kept as long as it holds: compiled template versions, the catalogue, senders.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::alone::Alone;
use super::category_rules::{CategoryRulesError, category_rules};
use super::config::{self, Config, Sender};
use super::engine::Engine;
use super::routes;
use crate::base::World;
use crate::domain::campaign::{MailClass, RunDoc, STANDING_MS};
use crate::domain::catalog::Catalog;
use crate::domain::provider::{OTHER, Pace, ProviderTable};
use crate::domain::retry::Retry;
use crate::flow::dispatch::{Asked, Library, Suggested};
use crate::flow::editions::{EditionError, Editions};
use crate::flow::gate::{Gate, Gates};
use crate::flow::handover::{ContextError, RunContext};
use crate::queue::claim::Claimed;
use crate::render::{self, Compiled, Signers, Stationery};
use crate::store::run::Run;
use crate::store::{Db, StoreError, provider};

/// The daemon's library; cheap to clone.
#[derive(Clone)]
pub struct Shelf {
    inner: Arc<Inner>,
    signers: Signers,
    alone: Option<Alone>,
    engine: Option<Arc<Engine>>,
}

struct Inner {
    db: Db,
    world: World,
    config: Arc<Config>,
    public_url: String,
    editions: Editions,
    providers: ProviderTable,
    gates: Arc<Gates>,
}

impl Shelf {
    /// # Errors
    /// A file of categories that cannot be used.
    pub fn new(
        db: Db,
        world: World,
        config: Arc<Config>,
        providers: ProviderTable,
        public_url: String,
    ) -> Result<Shelf, CategoryRulesError> {
        let editions = Editions::new(db.clone(), category_rules(&config)?);
        let gates = Arc::new(Gates::new(db.clone(), world.clone(), providers.throttle.clone()));
        let inner = Inner { db, world, config, providers, public_url, editions, gates };
        Ok(Shelf { inner: Arc::new(inner), signers: Signers::default(), alone: None, engine: None })
    }

    /// The same, with a way to render mails apart from this process.
    pub fn with_alone(self, alone: Alone) -> Shelf {
        Shelf { alone: Some(alone), ..self }
    }

    /// The same, with an engine outside that suggests products.
    pub fn with_engine(self, engine: Option<Engine>) -> Shelf {
        Shelf { engine: engine.map(Arc::new), ..self }
    }

    /// The same, with keys that sign what is sent.
    pub fn signing(self, signers: Signers) -> Shelf {
        Shelf { signers, ..self }
    }

    /// A template version, compiled once.
    ///
    /// # Errors
    /// When there is no such version, or it does not compile.
    pub async fn version(&self, id: i64) -> Result<Arc<Compiled>, ContextError> {
        self.inner.editions.version(id).await.map_err(|error| match error {
            EditionError::Store(error) => ContextError::Store(error),
            other => ContextError::Unfit(other.to_string()),
        })
    }

    /// What mails are rendered from, for others who render.
    pub fn editions(&self) -> Editions {
        self.inner.editions.clone()
    }

    /// What every mail of a campaign has in common; `run` 0 for a preview.
    ///
    /// # Errors
    /// When the sender is no longer configured.
    pub fn stationery(
        &self,
        run: u32,
        campaign: &str,
        topic: &str,
        class: MailClass,
        sender: &str,
    ) -> Result<Stationery, ContextError> {
        let found = self.inner.config.sender(sender).ok_or_else(|| {
            ContextError::Unfit(format!("there is no [[sender]] named {sender:?}; add it to the configuration"))
        })?;
        let stationery = Stationery::new(run, campaign, topic, class, render_sender(found), &self.inner.public_url);
        Ok(stationery.signed_by(&self.signers).timed(&self.inner.world))
    }

    /// The table of providers.
    pub fn providers(&self) -> ProviderTable {
        self.inner.providers.clone()
    }

    /// The daemon's gates.
    pub fn gates(&self) -> Arc<Gates> {
        self.inner.gates.clone()
    }

    /// The gate of a whole route or of a run; `None` where there is no bound.
    fn paced(&self, name: &str, per_second: Option<f64>) -> Option<Arc<Gate>> {
        let pace = Pace { per_second: Some(per_second?), ..Pace::default() };
        Some(self.inner.gates.open(name, (0, ""), pace))
    }

    /// The gate of a whole route; `None` where there is no bound.
    pub fn route_gate(&self, route: &config::Route) -> Option<Arc<Gate>> {
        self.paced(&route.name, route.per_second)
    }

    fn retry(&self, doc: &RunDoc) -> Retry {
        let config = &self.inner.config.retry;
        let (pauses, ttl_ms) = match doc.class {
            // It began long before most of its messages: their tries alone end them.
            MailClass::Transactional if doc.is_standing() => (&config.transactional_ms, 2 * STANDING_MS),
            MailClass::Marketing => (&config.bulk_ms, config.ttl_ms),
            MailClass::Transactional => (&config.transactional_ms, config.ttl_transactional_ms),
        };
        let tries = config.tries_max as usize;
        let last = pauses.last().copied().unwrap_or(1);
        let pauses_ms = pauses.iter().copied().chain(std::iter::repeat(last)).take(tries).collect();
        Retry { pauses_ms, jitter: config.jitter, ttl_ms }
    }
}

/// A configured sender as mails are written by it.
pub fn render_sender(sender: &Sender) -> render::Sender {
    render::Sender {
        key: sender.name.clone(),
        name: sender.display.clone(),
        from: sender.from.clone(),
        reply_to: sender.reply_to.clone().unwrap_or_default(),
        bounce_domain: sender.bounce_domain.clone(),
        postal_address: sender.postal_address.clone(),
    }
}

impl Library for Shelf {
    async fn context(&self, run: &Run) -> Result<RunContext, ContextError> {
        let doc = &run.doc;
        let mut versions = Vec::with_capacity(doc.variants.len());
        for variant in &doc.variants {
            versions.push((variant.template_version_id, self.version(variant.template_version_id).await?));
        }
        let id =
            u32::try_from(run.id).map_err(|_| ContextError::Unfit("run ids have run out of 32 bits".to_owned()))?;
        Ok(RunContext {
            run_id: run.id,
            generation: run.generation,
            started_at_ms: run.started_at_ms.unwrap_or(run.scheduled_for_ms),
            scope: doc.scope().to_owned(),
            stationery: self.stationery(id, &doc.campaign, &doc.topic, doc.class, &doc.sender)?,
            versions,
            retry: self.retry(doc),
            pace: self.paced(&format!("run:{}", run.id), doc.rate),
        })
    }

    async fn provider_name(&self, id: i64) -> Result<Arc<str>, StoreError> {
        let mut reader = self.inner.db.reader().await?;
        let known = provider::all(reader.conn()).await?;
        Ok(known.iter().find(|(known, _)| *known == id).map_or(OTHER, |(_, name)| name).into())
    }

    fn gate(&self, route: &str, provider: (i64, &str)) -> Arc<Gate> {
        let configured = self.inner.config.routes.iter().find(|configured| configured.name == route);
        let pace = configured.map(|route| routes::pace(route, &self.inner.providers, provider.1)).unwrap_or_default();
        self.inner.gates.open(route, provider, pace)
    }

    async fn deadly(&self, run_id: i64, suspects: &[Claimed]) -> io::Result<HashSet<i64>> {
        match &self.alone {
            Some(alone) => alone.deadly(run_id, suspects, self.inner.world.now_ms()).await,
            None => Ok(HashSet::new()),
        }
    }

    async fn suggest(&self, run_id: i64, members: &[Asked<'_>], catalog: &Catalog) -> Suggested {
        match &self.engine {
            Some(engine) => engine.suggest(run_id, members, catalog).await,
            None => Suggested::new(),
        }
    }

    async fn catalog(&self) -> Result<Catalog, StoreError> {
        self.inner.editions.catalog(self.inner.world.now_ms()).await
    }
}
