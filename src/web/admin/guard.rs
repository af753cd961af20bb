//! Keeps strangers' web pages out. A page anywhere on the internet can make a browser on this machine ask
//! `127.0.0.1`: under a name of its own that resolves to loopback (DNS rebinding), or with a form it posts across
//! sites. The first shows in `Host`, the second in `Origin` and `Sec-Fetch-Site`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::AdminState;

/// Refuses requests under foreign names and posts from foreign pages; gives every answer its protecting headers.
pub async fn guard(State(state): State<Arc<AdminState>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !is_ours(host, &state.hosts) {
        let said = "These pages answer only under this machine's own name, such as http://127.0.0.1.\n";
        return (StatusCode::MISDIRECTED_REQUEST, said).into_response();
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && !is_from_our_page(headers, host) {
        return (StatusCode::FORBIDDEN, "This change was asked for by a page that is not ours.\n").into_response();
    }
    let mut answer = next.run(request).await;
    protect(answer.headers_mut());
    answer
}

fn protect(headers: &mut HeaderMap) {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; \
        connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let all = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in all {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Whether `Host` names this machine: an address (which no foreign name can be), `localhost`, or a configured name.
fn is_ours(host: &str, hosts: &[String]) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name))
}

/// A browser says where a post comes from; what says nothing is no browser.
fn is_from_our_page(headers: &HeaderMap, host: &str) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let same_site = text(header::HeaderName::from_static("sec-fetch-site"))
        .is_none_or(|site| matches!(site, "same-origin" | "none"));
    let same_origin = text(header::ORIGIN)
        .is_none_or(|origin| origin.split_once("://").is_some_and(|(_, authority)| authority == host));
    same_site && same_origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_answered() {
        for ours in ["127.0.0.1:8081", "localhost", "LOCALHOST:1", "[::1]:8081", "mail.lan:80"] {
            assert!(is_ours(ours, &["mail.lan".to_owned()]), "{ours}");
        }
        for foreign in ["", "evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example"] {
            assert!(!is_ours(foreign, &["mail.lan".to_owned()]), "{foreign}");
        }
    }
}
