//! The web version of a sent mail.

use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use hyper::{Response, StatusCode};

use super::{Asked, Site, html, lang};
use crate::base::token::Use;
use crate::domain::touch::TouchKind;
use crate::web::server::Body;

/// A mail may show pictures and lead on; it runs nothing.
const MAIL_POLICY: &str = "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline' http: https:; \
    font-src http: https:; base-uri 'none'; frame-ancestors 'none'; sandbox allow-popups \
    allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation";

impl Site {
    pub(super) async fn web_version(&self, asked: &Asked<'_>) -> Response<Body> {
        let Ok(token) = self.state.keys.open(Use::WebVersion, asked.token) else {
            return self.forged(asked);
        };
        if token.run == 0 {
            return self.notice(lang(asked), StatusCode::OK, "preview");
        }
        let now_ms = self.state.world.now_ms();
        match self.state.web_versions.html(token.run, token.message, now_ms).await {
            Ok(Some(page)) => {
                self.record(asked, TouchKind::WebVersion, &token, None).await;
                let mut answer = html(StatusCode::OK, page);
                answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(MAIL_POLICY));
                answer
            }
            Ok(None) => self.notice(lang(asked), StatusCode::NOT_FOUND, "gone"),
            Err(error) => {
                tracing::error!(%error, run = token.run, message = token.message, "a mail could not be shown again");
                self.notice(lang(asked), StatusCode::SERVICE_UNAVAILABLE, "later")
            }
        }
    }
}
