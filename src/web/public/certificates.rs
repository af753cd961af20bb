//! The certificates that SNS signs with: fetched from Amazon itself, kept as long as the daemon lives.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_rustls::rustls::ClientConfig;

use crate::inbound::webhook::{Key, is_certificate_url};
use crate::web::fetch::{self, Address, FetchError};

/// Keys kept: one for each region that speaks, and its next.
const KEYS_MAX: usize = 8;
/// After a failure nobody is asked for so long, milliseconds: what is forged must not make us a nuisance.
const PAUSE_MS: i64 = 5_000;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("it is not where Amazon keeps certificates")]
    Elsewhere,
    #[error("fetching failed a moment ago, and is not tried again so soon")]
    Paused,
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("Amazon answered {0}")]
    Status(hyper::StatusCode),
    #[error("Amazon's answer is no certificate")]
    Nonsense,
}

/// Fetches and keeps.
pub struct Certificates {
    tls: Arc<ClientConfig>,
    /// Where Amazon's names lead to; `None`: where DNS says.
    to: Option<SocketAddr>,
    /// Held while one is fetched: one at a time.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    keys: Vec<(String, Arc<Vec<u8>>)>,
    paused_until_ms: i64,
}

impl Certificates {
    pub fn new(tls: Arc<ClientConfig>) -> Certificates {
        Certificates { tls, to: None, kept: Mutex::default() }
    }

    /// The same, with every name leading to `address`; certificates of TLS are checked all the same.
    pub fn at(self, address: SocketAddr) -> Certificates {
        Certificates { to: Some(address), ..self }
    }

    /// The public key of the certificate at `url`.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub async fn key(&self, url: &str, now_ms: i64) -> Result<Arc<Vec<u8>>, CertificateError> {
        if !is_certificate_url(url) {
            return Err(CertificateError::Elsewhere);
        }
        let mut kept = self.kept.lock().await;
        if let Some((_, key)) = kept.keys.iter().find(|(known, _)| known == url) {
            return Ok(key.clone());
        }
        if now_ms < kept.paused_until_ms {
            return Err(CertificateError::Paused);
        }
        let key = self.fetch(url).await.inspect_err(|_| kept.paused_until_ms = now_ms + PAUSE_MS)?;
        if kept.keys.len() == KEYS_MAX {
            kept.keys.remove(0);
        }
        kept.keys.push((url.to_owned(), key.clone()));
        Ok(key)
    }

    async fn fetch(&self, url: &str) -> Result<Arc<Vec<u8>>, CertificateError> {
        let mut address = Address::parse(url)?;
        if let Some(to) = self.to {
            address = address.at(to);
        }
        let answer = fetch::get(&address, &self.tls).await?;
        if !answer.status.is_success() {
            return Err(CertificateError::Status(answer.status));
        }
        let text = std::str::from_utf8(&answer.body).map_err(|_| CertificateError::Nonsense)?;
        if !text.contains("BEGIN CERTIFICATE") {
            return Err(CertificateError::Nonsense);
        }
        Key::public(text).map(Arc::new).map_err(|_| CertificateError::Nonsense)
    }
}
