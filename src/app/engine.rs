//! `[recommend.engine]`: an engine outside that is asked, for each claim at once, what to show its members.
//!
//! It is one more source of candidates, never a condition: what does not come in time, or is no answer, is done
//! without. It learns members' numbers, languages, markets and what they looked at and bought; no names, no addresses.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::ClientConfig;

use super::config::{self, Config};
use crate::base::World;
use crate::domain::catalog::Catalog;
use crate::domain::member::Member;
use crate::domain::recommend::{Act, History, SUGGESTED_MAX};
use crate::flow::dispatch::{self, Suggested};
use crate::smtp::TlsConfigs;
use crate::web::fetch;

/// An engine that failed so often in a row is left alone for a while, milliseconds.
const FAILURES_MAX: u32 = 3;
const REST_MS: i64 = 10_000;
/// What a member did last, of each kind, that it is told.
const ACTS_TOLD: usize = 20;

/// The engine, and how it did lately.
pub struct Engine {
    configured: config::Engine,
    world: World,
    tls: Arc<ClientConfig>,
    failures: AtomicU32,
    asked_again_at_ms: AtomicI64,
}

#[derive(Serialize)]
struct Question<'q> {
    run: i64,
    /// How many articles of each are looked at.
    n: usize,
    members: Vec<Asked<'q>>,
}

#[derive(Serialize)]
struct Asked<'q> {
    id: i64,
    external_id: Option<&'q str>,
    locale: &'q str,
    market: &'q str,
    /// Article numbers, the latest first.
    viewed: Vec<&'q str>,
    bought: Vec<&'q str>,
}

#[derive(Deserialize)]
struct Answer {
    members: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    id: i64,
    /// Article numbers, the best first.
    skus: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum EngineError {
    #[error("it took more than {0} ms")]
    Slow(i64),
    #[error(transparent)]
    Fetch(#[from] fetch::FetchError),
    #[error("it answered with status {0}")]
    Status(StatusCode),
    #[error("its answer is no answer of ours: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl Engine {
    /// The engine of a configuration, if it names one.
    pub fn configured(config: &Config, world: &World) -> Option<Engine> {
        let (configured, world) = (config.recommend.engine.clone()?, world.clone());
        let tls = TlsConfigs::native().0.shared();
        Some(Engine { configured, world, tls, failures: AtomicU32::new(0), asked_again_at_ms: AtomicI64::new(0) })
    }

    /// What it suggests for these members: products of the catalogue by member, the best first. Whoever wants nothing
    /// personal is not asked about. Nothing where it is slow, wrong or resting.
    pub async fn suggest(&self, run: i64, members: &[dispatch::Asked<'_>], catalog: &Catalog) -> Suggested {
        let now_ms = self.world.now_ms();
        let asked: Vec<Asked<'_>> = members
            .iter()
            .filter(|(member, _)| member.wishes.personalise)
            .map(|(member, history)| Asked::of(member, *history, catalog))
            .collect();
        if asked.is_empty() || now_ms < self.asked_again_at_ms.load(Ordering::Relaxed) {
            return Suggested::new();
        }
        let question = Question { run, n: SUGGESTED_MAX, members: asked };
        match self.ask(&question).await {
            Ok(answer) => {
                self.failures.store(0, Ordering::Relaxed);
                known(answer, &question, catalog)
            }
            Err(error) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::debug!(%error, "the recommending engine is done without: {error}");
                if failures.is_multiple_of(FAILURES_MAX) {
                    tracing::warn!(%error, "the recommending engine is left alone for {} s: {error}", REST_MS / 1000);
                    self.asked_again_at_ms.store(now_ms + REST_MS, Ordering::Relaxed);
                }
                Suggested::new()
            }
        }
    }

    async fn ask(&self, question: &Question<'_>) -> Result<Answer, EngineError> {
        let budget_ms = self.configured.budget_ms;
        let body = serde_json::to_vec(question)?.into();
        let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let posting = fetch::post(&self.configured.address, &self.tls, &headers, body);
        let answer = tokio::time::timeout(Duration::from_millis(budget_ms.unsigned_abs()), posting).await;
        let answer = answer.map_err(|_| EngineError::Slow(budget_ms))??;
        match answer.status {
            StatusCode::OK => Ok(serde_json::from_slice(&answer.body)?),
            status => Err(EngineError::Status(status)),
        }
    }
}

impl<'q> Asked<'q> {
    fn of(member: &'q Member, history: Option<&History>, catalog: &'q Catalog) -> Asked<'q> {
        let skus = |acts: &[Act]| {
            let known = acts.iter().filter_map(|act| catalog.get(act.product));
            known.take(ACTS_TOLD).map(|product| product.sku.as_str()).collect()
        };
        Asked {
            id: member.id,
            external_id: member.external_id.as_deref(),
            locale: &member.locale,
            market: &member.market,
            viewed: history.map_or_else(Vec::new, |history| skus(&history.viewed)),
            bought: history.map_or_else(Vec::new, |history| skus(&history.bought)),
        }
    }
}

/// Of an answer what was asked for: members of the question, products of the catalogue, each once, no more than enough.
fn known(answer: Answer, question: &Question<'_>, catalog: &Catalog) -> Suggested {
    let mut suggested: Suggested = question.members.iter().map(|asked| (asked.id, Vec::new())).collect();
    for told in answer.members {
        let Some(products) = suggested.get_mut(&told.id) else { continue };
        for product in told.skus.iter().filter_map(|sku| catalog.by_sku(sku)) {
            if products.len() < SUGGESTED_MAX && !products.contains(&product.id) {
                products.push(product.id);
            }
        }
    }
    suggested
}
