//! The keys that sign mail, read from their files.

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};

use super::config::{Config, Dkim};
use crate::render::{DkimError, DkimKey, Secret, Signers};

/// Why a configured key does not sign. Never quotes its file.
#[derive(Debug, thiserror::Error)]
pub enum DkimKeyError {
    #[error("could not read {} (key_file of [[dkim]] {selector}): {source}", file.display())]
    Read { selector: String, file: PathBuf, source: pem::Error },
    #[error("{} (key_file of [[dkim]] {selector}) {source}", file.display())]
    Key { selector: String, file: PathBuf, source: DkimError },
}

/// Every configured key.
///
/// # Errors
/// The first file that cannot be read or holds no key that may sign.
pub fn signers(config: &Config) -> Result<Signers, DkimKeyError> {
    config.dkim.iter().map(key).collect::<Result<_, _>>().map(Signers::new)
}

/// One key.
///
/// # Errors
/// When its file cannot be read or holds no key that may sign.
pub fn key(dkim: &Dkim) -> Result<DkimKey, DkimKeyError> {
    let Dkim { domain, selector, key_file, not_before_ms, retire_ms } = dkim.clone();
    let secret = secret(&selector, &key_file)?;
    Ok(DkimKey { domain, selector, secret, not_before_ms, retire_ms })
}

fn secret(selector: &str, file: &Path) -> Result<Secret, DkimKeyError> {
    let (selector, file) = (selector.to_owned(), file.to_owned());
    let read = match PrivateKeyDer::from_pem_file(&file) {
        Ok(PrivateKeyDer::Pkcs8(der)) => Secret::pkcs8(der.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(der)) => Secret::pkcs1(der.secret_pkcs1_der()),
        Ok(_) => Err(DkimError::Key),
        Err(source) => return Err(DkimKeyError::Read { selector, file, source }),
    };
    read.map_err(|source| DkimKeyError::Key { selector, file, source })
}
