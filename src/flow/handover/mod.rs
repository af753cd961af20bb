//! What dispatch hands to its couriers, and the bounded queue it is handed over by.

mod health;
mod jobs;

use std::sync::Arc;

pub use health::Health;
pub use jobs::Jobs;

use super::gate::Gate;
use crate::base::metrics::{Metrics, Timer};
use crate::domain::catalog::Catalog;
use crate::domain::member::Member;
use crate::domain::recommend::History;
use crate::domain::retry::Retry;
use crate::domain::routing::KeptFor;
use crate::queue::Outcome;
use crate::queue::claim::Claimed;
use crate::render::{Compiled, Stationery};
use crate::smtp::Route;

/// What all mails of a run have in common, as of one generation of it.
pub struct RunContext {
    pub run_id: i64,
    pub generation: i64,
    pub started_at_ms: i64,
    /// What stops its mails besides `all` ([`RunDoc::scope`](crate::domain::campaign::RunDoc::scope)).
    pub scope: String,
    pub stationery: Stationery,
    /// The compiled template version of each variant, with its row's id.
    pub versions: Vec<(i64, Arc<Compiled>)>,
    pub retry: Retry,
    /// The run's own rate.
    pub pace: Option<Arc<Gate>>,
}

/// Why a run's mails can not be made.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// Its template, its sender or its rate is not what it was.
    #[error("{0}")]
    Unfit(String),
}

/// One claimed message with everything its mail is made from.
pub struct Job {
    pub run: Arc<RunContext>,
    pub row: Claimed,
    pub member: Member,
    pub history: History,
    /// The catalogue as it was when the job was claimed: prices and stock seconds old.
    pub catalog: Catalog,
    /// The gate of its provider on the route it was given to.
    pub gate: Arc<Gate>,
}

/// Counts what becomes of a route's messages.
pub struct Tally {
    metrics: Metrics,
    route: Arc<str>,
}

impl Tally {
    pub fn new(metrics: Metrics, route: &str) -> Tally {
        Tally { metrics, route: route.into() }
    }

    /// An attempt ended; what was only given back is not counted.
    pub fn ended(&self, job: &Job, outcome: &Outcome) {
        job.gate.ended(outcome);
        let state = match outcome {
            Outcome::Sent { .. } => "sent",
            Outcome::Bounced { .. } => "bounced",
            Outcome::Deferred { .. } => "deferred",
            Outcome::Failed { .. } => "failed",
            Outcome::Skipped { .. } => "skipped",
            Outcome::Lost => "in_doubt",
            Outcome::Released { .. } => return,
        };
        self.metrics.settle(state, &self.route, &job.gate.provider);
    }

    /// A delivery begins.
    pub fn start(&self) -> Timer {
        self.metrics.delivery.start()
    }
}

/// A route as dispatch and its couriers share it.
pub struct RouteLink {
    pub tally: Tally,
    pub route: Route,
    pub jobs: Jobs,
    pub connections: usize,
    /// Whether our keys sign what goes over it, or whoever it leads to.
    pub signs: bool,
    /// Mails over one connection, before a new one is opened.
    pub mails_per_connection: Option<u32>,
    pub health: Health,
    /// How much it takes beside other routes, above 0.
    pub weight: f64,
    pub kept_for: KeptFor,
}
