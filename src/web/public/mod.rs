//! The listener that faces the world: the links of sent mails, the sign-up form, what mail providers tell, and nothing
//! else.
//!
//! Every link is asked for with a sealed token (see [`crate::base::token`]); what a provider tells proves itself. `GET`
//! and `HEAD` never change anything but the record of touches; what changes consent is a `POST`. No cookies, no
//! redirect but to an address that we put into the mail ourselves.

mod certificates;
mod guess;
mod preferences;
mod signup;
mod touch;
mod view;
mod webhook;

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::certificates::{CertificateError, Certificates};
pub use self::signup::{SignupForm, Topic};
pub use self::webhook::{Hook, Hooks};
use super::client::TrustedProxies;
use super::page::{Lang, Pages};
pub use super::server::Bounds;
use super::server::{Answer, Body, serve as serve_http};
use crate::base::World;
use crate::base::metrics::Metrics;
use crate::base::token::Keyring;
use crate::domain::touch::Agents;
use crate::flow::track::Tracker;
use crate::flow::web_version::WebVersions;
use crate::store::Db;

/// Longest path answered, bytes: a sealed link at its longest, and some room.
const PATH_BYTES_MAX: usize = 2_200;

/// What the public pages stand on.
pub struct PublicState {
    pub db: Db,
    pub world: World,
    pub keys: Arc<Keyring>,
    pub tracker: Tracker,
    pub metrics: Metrics,
    pub pages: Pages,
    pub agents: Agents,
    /// Shows sent mails again.
    pub web_versions: WebVersions,
    pub proxies: TrustedProxies,
    pub bounds: Bounds,
    /// What mail providers may tell.
    pub hooks: Hooks,
    /// The sign-up form; `None`: there is none.
    pub signup: Option<SignupForm>,
    /// Where the shop of a demonstration is: the sample mail's links to `/demo…` are sent on to it.
    pub shop: Option<String>,
}

/// Serves the public pages until `shutdown`, then finishes what is under way.
pub async fn serve(listener: TcpListener, state: PublicState, shutdown: CancellationToken) {
    let (bounds, metrics) = (state.bounds.clone(), state.metrics.clone());
    let guesses = guess::Guesses::new(&state.world);
    let site = Arc::new(Site { pixel: touch::pixel_headers(), guesses, state });
    serve_http(listener, bounds, site, metrics, shutdown).await;
}

struct Site {
    state: PublicState,
    /// The headers of every pixel, made once.
    pixel: HeaderMap,
    guesses: guess::Guesses,
}

/// One request, taken apart.
struct Asked<'a> {
    method: &'static str,
    token: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    peer: IpAddr,
}

impl Answer for Site {
    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let (page, token) = split(path);
        let Some(method) = known(&head.method).filter(|_| path.len() <= PATH_BYTES_MAX) else {
            return self.refuse(&head.headers, page, path.len());
        };
        let query = head.uri.query().unwrap_or_default();
        let asked = Asked { method, token, path, query, headers: &head.headers, peer };
        let answer = match (page, method) {
            ("o", "GET" | "HEAD") => self.open(&asked).await,
            // Apart, so that the pixel's future is not as large as the largest page's, and as slow to move.
            _ => Box::pin(self.page(page, &asked, body)).await,
        };
        self.state.metrics.answered(page, answer.status().as_u16());
        answer
    }
}

impl Site {
    async fn page(&self, page: &'static str, asked: &Asked<'_>, body: Incoming) -> Response<Body> {
        let method = asked.method;
        match (page, method) {
            ("c", "GET" | "HEAD") => self.click(asked).await,
            ("u", "POST") => self.unsubscribe_act(asked, body).await,
            ("u", _) => self.unsubscribe_page(asked).await,
            ("p", "POST") => self.preferences_act(asked, body).await,
            ("p", _) => self.preferences_page(asked).await,
            ("v", "GET" | "HEAD") => self.web_version(asked).await,
            ("j", "POST") if asked.token.is_empty() => self.signup_ask(asked, body).await,
            ("j", _) if asked.token.is_empty() => self.signup_page(asked),
            ("j", "POST") => self.confirm_act(asked, body).await,
            ("j", _) => self.confirm_page(asked).await,
            ("w", "POST") => self.webhook(asked, body).await,
            ("robots", "GET" | "HEAD") => text("User-agent: *\nDisallow: /\n"),
            ("other", "GET") if asked.path.starts_with("/demo") => self.shop(asked),
            ("o" | "c" | "v" | "w", _) => self.method_not_allowed(asked.headers),
            _ => self.notice(lang(asked), StatusCode::NOT_FOUND, "not_found"),
        }
    }

    fn refuse(&self, headers: &HeaderMap, page: &'static str, path_len: usize) -> Response<Body> {
        let answer = if path_len > PATH_BYTES_MAX {
            self.notice(Lang::of_headers(headers), StatusCode::URI_TOO_LONG, "not_found")
        } else {
            self.method_not_allowed(headers)
        };
        self.state.metrics.answered(page, answer.status().as_u16());
        answer
    }

    /// The answer to a token that proves nothing: that there is no such page, or to whoever tries on and on, to wait.
    fn forged(&self, asked: &Asked<'_>) -> Response<Body> {
        self.slowed(asked).unwrap_or_else(|| self.notice(lang(asked), StatusCode::NOT_FOUND, "not_found"))
    }

    /// The answer to whoever guessed too often.
    fn slowed(&self, asked: &Asked<'_>) -> Option<Response<Body>> {
        let address = self.state.proxies.client(asked.peer, asked.headers);
        if self.guesses.may_be_wrong(address) {
            return None;
        }
        let mut answer = Response::new(Body::default());
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        // The next guess costs a new connection.
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        Some(answer)
    }

    fn shop(&self, asked: &Asked<'_>) -> Response<Body> {
        let location = self.state.shop.as_ref().and_then(|shop| format!("{shop}{}", asked.path).parse().ok());
        let Some(location) = location else {
            return self.notice(lang(asked), StatusCode::NOT_FOUND, "not_found");
        };
        let mut answer = Response::new(Body::default());
        *answer.status_mut() = StatusCode::FOUND;
        answer.headers_mut().insert(header::LOCATION, location);
        answer
    }

    fn method_not_allowed(&self, headers: &HeaderMap) -> Response<Body> {
        let mut answer = self.notice(Lang::of_headers(headers), StatusCode::METHOD_NOT_ALLOWED, "method");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        answer
    }

    /// A page that says one thing, in the words `<what>_title` and `<what>_text`.
    fn notice(&self, lang: Lang, status: StatusCode, what: &str) -> Response<Body> {
        #[derive(serde::Serialize)]
        struct Notice<'a> {
            title: &'a str,
            text: &'a str,
        }
        let pages = &self.state.pages;
        let (title, text) = (pages.word(lang, &format!("{what}_title")), pages.word(lang, &format!("{what}_text")));
        let mut answer = html(status, pages.public("notice", lang, &Notice { title, text }));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        }
        answer
    }
}

/// The page a path asks for, by its letter, and the token after it.
fn split(path: &str) -> (&'static str, &str) {
    let Some((letter, token)) = path.get(1..).and_then(|rest| rest.split_once('/')) else {
        let page = match path {
            "/robots.txt" => "robots",
            "/j" => "j",
            _ => "other",
        };
        return (page, "");
    };
    let page = match letter {
        "o" => "o",
        "c" => "c",
        "u" => "u",
        "p" => "p",
        "v" => "v",
        "j" => "j",
        "w" => "w",
        _ => "other",
    };
    (page, token)
}

fn known(method: &Method) -> Option<&'static str> {
    match *method {
        Method::GET => Some("GET"),
        Method::HEAD => Some("HEAD"),
        Method::POST => Some("POST"),
        _ => None,
    }
}

fn lang(asked: &Asked<'_>) -> Lang {
    Lang::of_headers(asked.headers)
}

fn text(body: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// A page nobody may keep, frame, or learn our address from.
fn html(status: StatusCode, body: String) -> Response<Body> {
    const HEADERS: [(header::HeaderName, &str); 6] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
