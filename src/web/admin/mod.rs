//! The listener for the machine's own people: health, metrics, the API, the pages, the built-in mailbox.
//!
//! There is no sign-in yet, so it listens on loopback only, and [`guard`] keeps other people's web pages from reaching
//! it through the browser of somebody who sits here. What changes by itself on a page is a fragment of it, fetched
//! again by `templates/admin/live.js`: one template tells the same at first and later.

mod api;
mod error;
mod guard;
mod health;
mod mailbox;
mod pages;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::page::Pages;
use crate::base::World;
use crate::base::metrics::Metrics;
use crate::domain::address::AddrSecret;
use crate::domain::tagging::Rules;
use crate::smtp::mailbox::Mailbox;
use crate::store::Db;

/// Longest body of a request, bytes: no form here is long.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What the admin pages stand on.
pub struct AdminState {
    pub db: Db,
    pub world: World,
    pub metrics: Metrics,
    pub pages: Pages,
    /// Turns addresses into keys, to find a member by address.
    pub secret: AddrSecret,
    /// Today's tagging rules, to tell which events are behind a tag.
    pub rules: Arc<Rules>,
    /// The built-in mailbox, where there is one.
    pub mailbox: Option<Arc<Mailbox>>,
    /// Cancelled when the daemon has begun to drain: it lives, and is not ready.
    pub draining: CancellationToken,
    /// Names besides loopback under which a browser may ask for these pages.
    pub hosts: Vec<String>,
    /// Pages of whoever runs the daemon: the sample shop of a demonstration.
    pub extra: Router,
}

/// Serves until `shutdown`.
pub async fn serve(listener: TcpListener, state: AdminState, shutdown: CancellationToken) {
    let served = axum::serve(listener, router(state)).with_graceful_shutdown(shutdown.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin listener ended");
    }
}

fn router(mut state: AdminState) -> Router {
    let extra = std::mem::take(&mut state.extra);
    let state = Arc::new(state);
    let api = Router::new()
        .route("/campaigns", get(api::campaigns))
        .route("/campaigns/{name}", get(api::campaign))
        .route("/campaigns/{name}/report", get(api::report))
        .route("/campaigns/{name}/{act}", post(api::act))
        .route("/members", get(api::members))
        .route("/members/{key}", get(api::member))
        .route("/mailbox", get(mailbox::list))
        .route("/mailbox/{id}", get(mailbox::letter));
    let pages = Router::new()
        .route("/", get(pages::home))
        .route("/admin", get(pages::overview))
        .route("/admin/live", get(pages::overview_live))
        .route("/admin/campaigns/{name}", get(pages::campaign))
        .route("/admin/campaigns/{name}/live", get(pages::campaign_live))
        .route("/admin/campaigns/{name}/progress", get(pages::campaign_progress))
        .route("/admin/campaigns/{name}/{act}", post(pages::act))
        .route("/admin/members", get(pages::members))
        .route("/admin/members/{id}", get(pages::member))
        .route("/admin/members/{id}/live", get(pages::member_live))
        .route("/admin/members/{id}/tags", get(pages::member_tags))
        .route("/admin/assets/{name}", get(pages::asset))
        .route("/mailbox", get(mailbox::index))
        .route("/mailbox/{id}", get(mailbox::show))
        .route("/mailbox/{id}/html", get(mailbox::html));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/api/openapi.json", get(api::description))
        .nest("/api/v1", api)
        .merge(pages)
        .fallback(error::nothing_here)
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(state.clone(), guard::guard))
        .with_state(state)
        .merge(extra)
}
