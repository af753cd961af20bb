//! Whether the daemon lives, whether it is ready, and what it counts.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::AdminState;
use crate::store::setting;

/// How long the database may take to answer a probe, seconds.
const PROBE_TIMEOUT_S: u64 = 2;

/// Alive: the process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Ready: the database answers, is migrated, and the daemon is not draining.
pub async fn ready(State(state): State<Arc<AdminState>>) -> Response {
    let database = tokio::time::timeout(Duration::from_secs(PROBE_TIMEOUT_S), probe(&state)).await;
    let database = match database {
        Ok(Ok(())) => "ok".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("did not answer within {PROBE_TIMEOUT_S} s"),
    };
    let draining = state.draining.is_cancelled();
    let ready = database == "ok" && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ "ready": ready, "database": database, "draining": draining }))).into_response()
}

/// Reads from a table that the migrations make.
async fn probe(state: &AdminState) -> Result<(), crate::store::StoreError> {
    let mut reader = state.db.reader().await?;
    setting::get(reader.conn(), "addr_secret").await.map(|_| ())
}

/// Every instrument, as OpenMetrics text.
pub async fn metrics(State(state): State<Arc<AdminState>>) -> impl IntoResponse {
    const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, KIND)], state.metrics.text())
}
