//! What mail providers tell: `POST /w/{provider}/{name}`, proved on the body as it came, durable before the answer.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{Asked, CertificateError, Certificates, Site};
use crate::flow::bounce::{Telling, Tellings};
use crate::inbound::webhook::{self, Arrived, Key, Proved, Provider, Refused};
use crate::web::form::{self, FormError};
use crate::web::server::Body;

/// Deliveries taken in at once; more are asked to come again. Each may hold its body in memory.
const DELIVERIES_MAX: usize = 32;

/// One configured hook.
#[derive(Debug)]
pub struct Hook {
    pub provider: Provider,
    pub name: String,
    pub key: Key,
}

/// Every configured hook, and where what they are told goes.
pub struct Hooks {
    hooks: Vec<Hook>,
    tellings: Option<Tellings>,
    room: Semaphore,
    certificates: Option<Certificates>,
}

impl Hooks {
    pub fn new(hooks: Vec<Hook>, tellings: Tellings) -> Hooks {
        Hooks { hooks, tellings: Some(tellings), room: Semaphore::new(DELIVERIES_MAX), certificates: None }
    }

    /// No hooks at all.
    pub fn none() -> Hooks {
        Hooks { hooks: Vec::new(), tellings: None, room: Semaphore::new(0), certificates: None }
    }

    /// The same, with certificates fetched where a hook has none of its own.
    pub fn fetching(self, certificates: Certificates) -> Hooks {
        Hooks { certificates: Some(certificates), ..self }
    }

    fn find(&self, path: &str) -> Option<&Hook> {
        let (provider, name) = path.split_once('/')?;
        self.hooks.iter().find(|hook| hook.provider.as_str() == provider && hook.name == name)
    }
}

impl Site {
    pub(super) async fn webhook(&self, asked: &Asked<'_>, body: Incoming) -> Response<Body> {
        let hooks = &self.state.hooks;
        let Some((hook, tellings)) = hooks.find(asked.token).zip(hooks.tellings.as_ref()) else {
            return told(StatusCode::NOT_FOUND, "no such hook");
        };
        let Ok(_seat) = hooks.room.try_acquire() else { return later() };
        let body = match form::bytes(body, hook.provider.body_bytes_max()).await {
            Ok(body) => body,
            Err(FormError::TooLong) => return told(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long"),
            Err(FormError::Broken) => return told(StatusCode::BAD_REQUEST, "the body did not arrive"),
        };
        let headers = texts(asked.headers);
        let arrived = Arrived { headers: &headers, body: &body };
        let now_ms = self.state.world.now_ms();
        let fetched = match self.certificate(hook, &arrived, now_ms).await {
            Ok(fetched) => fetched,
            Err(error) => {
                tracing::warn!(provider = %hook.provider, hook = hook.name, "no certificate to check a delivery with: {error}");
                return later();
            }
        };
        let certificate = fetched.as_ref().map(|key| key.as_slice());
        let proved = match webhook::prove(hook.provider, &hook.key, &arrived, certificate, now_ms) {
            Ok(proved) => proved,
            Err(refused) => return refuse(hook, refused),
        };
        self.take(hook, tellings, &arrived, &proved, now_ms).await
    }

    /// The key of the certificate that a delivery names, where one is wanted.
    async fn certificate(
        &self,
        hook: &Hook,
        arrived: &Arrived<'_>,
        now_ms: i64,
    ) -> Result<Option<Arc<Vec<u8>>>, CertificateError> {
        match webhook::wanted_certificate(&hook.key, arrived).zip(self.state.hooks.certificates.as_ref()) {
            Some((url, certificates)) => certificates.key(&url, now_ms).await.map(Some),
            None => Ok(None),
        }
    }

    async fn take(
        &self,
        hook: &Hook,
        tellings: &Tellings,
        arrived: &Arrived<'_>,
        proved: &Proved,
        now_ms: i64,
    ) -> Response<Body> {
        let source = format!("{}/{}", hook.provider, hook.name);
        if let Some(url) = &proved.confirm_url {
            // A person says yes: no address that came from outside is asked for by itself.
            tracing::warn!(hook = source, "SNS asks to confirm the topic; if it is yours, open this address: {url}");
        }
        let events = match webhook::read(hook.provider, arrived) {
            Ok(events) => events,
            Err(refused) => return refuse(hook, refused),
        };
        let telling = Telling { hook: &source, once: proved.once.as_deref(), events: &events };
        match tellings.take_in(&telling, now_ms).await {
            Ok(Some(tally)) => answer(StatusCode::OK, json!(tally).to_string()),
            // Mailgun does not send again what is answered so.
            Ok(None) => told(StatusCode::NOT_ACCEPTABLE, "it came before"),
            Err(error) => {
                tracing::error!(%error, hook = source, "what a provider told was not taken in: {error}");
                later()
            }
        }
    }
}

fn refuse(hook: &Hook, refused: Refused) -> Response<Body> {
    tracing::warn!(provider = %hook.provider, hook = hook.name, "a delivery was refused: {refused}");
    let status = match refused {
        Refused::Unreadable => StatusCode::BAD_REQUEST,
        Refused::Forged | Refused::Stale | Refused::Topic => StatusCode::FORBIDDEN,
    };
    told(status, &refused.to_string())
}

/// The headers that are text.
fn texts(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}

fn later() -> Response<Body> {
    let mut answer = told(StatusCode::SERVICE_UNAVAILABLE, "come again");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    answer
}

fn told(status: StatusCode, what: &str) -> Response<Body> {
    answer(status, json!({ "error": what }).to_string())
}

fn answer(status: StatusCode, json: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(json));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
