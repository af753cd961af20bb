//! The hooks of the configuration with their keys read.

use std::path::{Path, PathBuf};

use super::config::{Config, Webhook};
use crate::inbound::webhook::{Key, KeyFault, Provider};
use crate::web::public::Hook;

/// Largest key file, bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What is wrong with a hook's key. Never quotes it.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    #[error("[[webhook]] {hook}: could not read {}: {source}; mend the file, or what the key names", file.display())]
    Read { hook: String, file: PathBuf, source: std::io::Error },
    #[error("[[webhook]] {hook}: {} {source}; write it anew from the provider's settings", file.display())]
    Key { hook: String, file: PathBuf, source: KeyFault },
}

/// Reads every hook's key.
///
/// # Errors
/// The first that cannot be read.
pub fn hooks(config: &Config) -> Result<Vec<Hook>, HookError> {
    config.webhooks.iter().filter_map(|hook| hook.provider.map(|provider| one(hook, provider))).collect()
}

/// One hook with its key.
///
/// # Errors
/// As [`hooks`].
pub fn one(hook: &Webhook, provider: Provider) -> Result<Hook, HookError> {
    let public = || hook.public_key_file.as_deref().map(|file| key(hook, file, Key::public)).transpose();
    let key = match provider {
        Provider::Ses => Key::Topic { arn: hook.topic_arn.clone().unwrap_or_default(), public: public()? },
        Provider::SendGrid => Key::Public(public()?.unwrap_or_default()),
        _ => key(hook, hook.secret_file.as_deref().unwrap_or(Path::new("")), Key::secret)?,
    };
    Ok(Hook { provider, name: hook.name.clone(), key })
}

fn key<K>(hook: &Webhook, file: &Path, parse: fn(&str) -> Result<K, KeyFault>) -> Result<K, HookError> {
    let failed = |source| HookError::Read { hook: hook.path(), file: file.to_owned(), source };
    if std::fs::metadata(file).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    parse(&text).map_err(|source| HookError::Key { hook: hook.path(), file: file.to_owned(), source })
}
