//! What dispatch hands to its couriers, and the bounded queue it is handed over by.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::pace::Pace;
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
    /// The topic whose suppression counts besides `all`; empty for transactional mail.
    pub scope: String,
    pub stationery: Stationery,
    /// The compiled template version of each variant, with its row's id.
    pub versions: Vec<(i64, Arc<Compiled>)>,
    pub retry: Retry,
    pub pace: Option<Arc<Pace>>,
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
    /// The name of the group of servers it goes to.
    pub provider: Arc<str>,
    /// The pace of the job's provider on the route it was given to.
    pub provider_pace: Option<Arc<Pace>>,
}

/// The jobs of one route: filled by dispatch, emptied by its couriers.
#[derive(Default)]
pub struct Jobs {
    waiting: Mutex<VecDeque<Job>>,
    filled: Notify,
    lowered: Notify,
}

impl Jobs {
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn push(&self, jobs: impl IntoIterator<Item = Job>) {
        let mut waiting = self.lock();
        waiting.extend(jobs);
        for _ in 0..waiting.len().min(64) {
            self.filled.notify_one();
        }
    }

    /// The next job if one waits.
    pub fn try_take(&self) -> Option<Job> {
        let job = self.lock().pop_front();
        if job.is_some() {
            self.lowered.notify_one();
        }
        job
    }

    /// The next job, waited for.
    pub async fn take(&self) -> Job {
        loop {
            let filled = self.filled.notified();
            if let Some(job) = self.try_take() {
                return job;
            }
            filled.await;
        }
    }

    /// Waits until a job was taken.
    pub async fn lowered(&self) {
        self.lowered.notified().await;
    }

    /// Takes back the jobs that `unwanted` picks.
    pub fn withdraw(&self, unwanted: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut waiting = self.lock();
        let all = std::mem::take(&mut *waiting);
        let (out, kept): (Vec<Job>, VecDeque<Job>) =
            all.into_iter().fold(Default::default(), |(mut out, mut kept), job| {
                if unwanted(&job) {
                    out.push(job)
                } else {
                    kept.push_back(job)
                }
                (out, kept)
            });
        *waiting = kept;
        out
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Job>> {
        self.waiting.lock().expect("nothing panics while holding the jobs")
    }
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

    /// An attempt ended; what was only given back has not.
    pub fn ended(&self, job: &Job, outcome: &Outcome) {
        let state = match outcome {
            Outcome::Sent { .. } => "sent",
            Outcome::Bounced { .. } => "bounced",
            Outcome::Deferred { .. } => "deferred",
            Outcome::Failed { .. } => "failed",
            Outcome::Skipped { .. } => "skipped",
            Outcome::Lost => "in_doubt",
            Outcome::Released { .. } => return,
        };
        self.metrics.settle(state, &self.route, &job.provider);
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
    pub pace: Option<Arc<Pace>>,
    pub health: Health,
    /// How much it takes beside other routes, above 0.
    pub weight: f64,
    pub kept_for: KeptFor,
}

/// Whether a route can be reached: a route that cannot is left alone for a while, longer each time.
pub struct Health {
    first_pause_ms: i64,
    last_pause_ms: i64,
    failures: AtomicU32,
    retry_at_ms: AtomicI64,
    missing_replies: AtomicU32,
    lockstep_until_ms: AtomicI64,
}

/// How long a route whose pipelined replies went missing twice is spoken to in lockstep, milliseconds.
const LOCKSTEP_MS: i64 = 3_600_000;

impl Health {
    pub fn new(first_pause_ms: i64, last_pause_ms: i64) -> Health {
        Health {
            first_pause_ms,
            last_pause_ms,
            failures: AtomicU32::new(0),
            retry_at_ms: AtomicI64::new(0),
            missing_replies: AtomicU32::new(0),
            lockstep_until_ms: AtomicI64::new(0),
        }
    }

    /// When the route may be used again; in the past: now.
    pub fn retry_at_ms(&self) -> i64 {
        self.retry_at_ms.load(Ordering::Relaxed)
    }

    pub fn is_up(&self, now_ms: i64) -> bool {
        self.retry_at_ms() <= now_ms
    }

    /// The route answered as it should.
    pub fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// The route could not be used. Of many couriers that see one failure, the first counts it. Returns when to try again.
    pub fn failed(&self, now_ms: i64) -> i64 {
        let until = self.retry_at_ms();
        if until > now_ms {
            return until;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(30);
        let pause = self.first_pause_ms.saturating_mul(1 << failures).clamp(1, self.last_pause_ms.max(1));
        let next = now_ms + pause;
        match self.retry_at_ms.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => next,
            Err(theirs) => theirs,
        }
    }

    /// A reply went missing on a pipelining connection; the second in a row turns pipelining off for an hour.
    pub fn reply_missing(&self, now_ms: i64) {
        if self.missing_replies.fetch_add(1, Ordering::Relaxed) >= 1 {
            self.lockstep_until_ms.store(now_ms + LOCKSTEP_MS, Ordering::Relaxed);
        }
    }

    pub fn reply_came(&self) {
        self.missing_replies.store(0, Ordering::Relaxed);
    }

    pub fn in_lockstep(&self, now_ms: i64) -> bool {
        self.lockstep_until_ms.load(Ordering::Relaxed) > now_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_seen_by_many_is_counted_once_and_pauses_double() {
        let health = Health::new(1_000, 60_000);
        assert!(health.is_up(10));
        assert_eq!((health.failed(10), health.failed(500)), (1_010, 1_010));
        assert!(!health.is_up(1_000));
        assert_eq!(health.failed(2_000), 4_000);
        for _ in 0..40 {
            health.failed(health.retry_at_ms() + 1);
        }
        assert_eq!(health.failed(health.retry_at_ms() + 1) - health.retry_at_ms(), 0);
        health.succeeded();
        let now = health.retry_at_ms() + 1;
        assert_eq!(health.failed(now), now + 1_000);
    }
}
