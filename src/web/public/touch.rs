//! The pixel and the click: what is asked a thousand times a second, answered when it is written down.

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

use super::{Asked, Site, lang};
use crate::base::text::clean;
use crate::base::token::{Token, Use};
use crate::domain::people::HIDDEN_SLOT;
use crate::domain::touch::{TouchClass, TouchKind};
use crate::store::touch::{self, AGENT_BYTES_MAX, Touch};
use crate::web::server::Body;

/// A transparent picture of one dot: GIF89a, 43 bytes.
const PIXEL: &[u8; 43] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\
\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// A picture that is asked for again whenever it is shown.
pub fn pixel_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("image/gif")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache, must-revalidate, private, max-age=0")),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
        (header::EXPIRES, HeaderValue::from_static("0")),
    ])
}

impl Site {
    /// The pixel is the same for everybody: who guesses a token learns nothing, and a mail is not disfigured because
    /// our database is away. An open that could not be written down is not counted; the log says so.
    pub(super) async fn open(&self, asked: &Asked<'_>) -> Response<Body> {
        let token = asked.token.strip_suffix(".gif").unwrap_or_default();
        match self.state.keys.open(Use::Open, token) {
            Ok(token) => self.record(asked, TouchKind::Open, &token, None).await,
            Err(_) => {
                if let Some(slowed) = self.slowed(asked) {
                    return slowed;
                }
            }
        }
        let mut answer = Response::new(Body::from(PIXEL.as_slice()));
        *answer.headers_mut() = self.pixel.clone();
        answer
    }

    /// Leads on to where we put into the mail; the reader is led on even when the click could not be written down.
    pub(super) async fn click(&self, asked: &Asked<'_>) -> Response<Body> {
        let keys = &self.state.keys;
        if let Ok(token) = keys.open(Use::Click, asked.token) {
            if token.run == 0 && token.product == 0 {
                return self.notice(lang(asked), StatusCode::OK, "preview");
            }
            let (found, ()) =
                tokio::join!(self.destination(&token), self.record(asked, TouchKind::Click, &token, None));
            return match found {
                Ok(Some(url)) => self.lead_on(asked, &url),
                Ok(None) => self.notice(lang(asked), StatusCode::NOT_FOUND, "gone"),
                Err(error) => {
                    tracing::error!(%error, "could not look up where a link leads");
                    self.notice(lang(asked), StatusCode::SERVICE_UNAVAILABLE, "later")
                }
            };
        }
        let Ok((token, url)) = keys.open_link(asked.token) else {
            return self.forged(asked);
        };
        self.record(asked, TouchKind::Click, &token, Some(url.clone())).await;
        self.lead_on(asked, &url)
    }

    async fn destination(&self, token: &Token) -> Result<Option<String>, crate::store::StoreError> {
        let mut reader = self.state.db.reader().await?;
        // Who follows the link no reader sees is led on like everybody else.
        let slot = if token.slot == HIDDEN_SLOT { 1 } else { token.slot };
        touch::destination(reader.conn(), token.run, token.message, slot, token.product).await
    }

    /// Only http and https, whatever the tables hold: a `javascript:` address of an imported product goes nowhere.
    fn lead_on(&self, asked: &Asked<'_>, url: &str) -> Response<Body> {
        let web = url.starts_with("https://") || url.starts_with("http://");
        let Some(location) = web.then(|| HeaderValue::from_str(&ascii(url)).ok()).flatten() else {
            return self.notice(lang(asked), StatusCode::NOT_FOUND, "gone");
        };
        let mut answer = Response::new(Body::default());
        *answer.status_mut() = StatusCode::FOUND;
        answer.headers_mut().insert(header::LOCATION, location);
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        answer
    }

    /// Writes a touch down and waits until it is durable. A preview's token (run 0) proves nothing and is not kept.
    pub(super) async fn record(&self, asked: &Asked<'_>, kind: TouchKind, token: &Token, url: Option<String>) {
        if token.run != 0 {
            // The writer has logged the failure of the whole batch.
            let _ = self.state.tracker.record(self.touch(asked, kind, token, url)).await;
        }
    }

    /// The evidence of this request.
    pub(super) fn touch(&self, asked: &Asked<'_>, kind: TouchKind, token: &Token, url: Option<String>) -> Touch {
        let agent = asked.headers.get(header::USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
        let agent = clean(&String::from_utf8_lossy(agent), AGENT_BYTES_MAX);
        let hidden = kind == TouchKind::Click && token.slot == HIDDEN_SLOT;
        let alone = self.state.agents.classify(kind, asked.method, &agent);
        Touch {
            at_ms: self.state.world.now_ms(),
            run: token.run,
            message: token.message,
            kind,
            class: if hidden { TouchClass::Scanner } else { alone },
            slot: token.slot,
            product: token.product,
            url,
            method: asked.method,
            agent,
            ip: self.state.proxies.client(asked.peer, asked.headers),
        }
    }
}

/// An address with what is not ASCII percent-encoded, as a header must carry it.
fn ascii(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for byte in url.bytes() {
        match byte {
            0x21..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
