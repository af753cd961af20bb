//! The rules for mail servers' replies: the file of `[rules] replies`, else the built-in ones. Read again when the file
//! changes, so that a phrase learned today counts today.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use super::config::Config;
use super::workers::Worker;
use crate::domain::bounce::{Faults, Rules};

/// Largest file of rules, bytes.
const BYTES_MAX: u64 = 1 << 20;

/// Why the rules could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ReplyRulesError {
    #[error("could not read {} ([rules] replies): {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{} ([rules] replies) is larger than {BYTES_MAX} bytes", file.display())]
    TooLarge { file: PathBuf },
    #[error("{0}")]
    Faults(#[from] Faults),
}

/// What a file looked like when it was read: when it was changed, and its length.
type Stamp = (Option<SystemTime>, u64);

/// The rules in force, and the file they are read from again.
pub struct ReplyRules {
    file: Option<PathBuf>,
    read: Option<Stamp>,
    rules: watch::Sender<Arc<Rules>>,
}

impl ReplyRules {
    /// Reads the rules.
    ///
    /// # Errors
    /// A file that cannot be read, or every fault in it.
    pub fn load(config: &Config) -> Result<ReplyRules, ReplyRulesError> {
        let Some(file) = config.rules.replies.clone() else {
            let (rules, _) = watch::channel(Arc::new(Rules::built_in()));
            return Ok(ReplyRules { file: None, read: None, rules });
        };
        let stamp = stamp(&file)?;
        let (rules, _) = watch::channel(Arc::new(parse(&file)?));
        Ok(ReplyRules { file: Some(file), read: Some(stamp), rules })
    }

    /// Where the rules in force can be seen at any time.
    pub fn current(&self) -> watch::Receiver<Arc<Rules>> {
        self.rules.subscribe()
    }
}

impl Worker for ReplyRules {
    type Error = ReplyRulesError;

    async fn tick(&mut self) -> Result<bool, ReplyRulesError> {
        let Some(file) = &self.file else { return Ok(false) };
        let stamp = stamp(file)?;
        if self.read == Some(stamp) {
            return Ok(false);
        }
        // A file with a fault fails every tick, which is told once, and the former rules stay.
        self.rules.send_replace(Arc::new(parse(file)?));
        self.read = Some(stamp);
        tracing::info!(file = %file.display(), "read the rules for replies again");
        Ok(false)
    }
}

fn stamp(file: &PathBuf) -> Result<Stamp, ReplyRulesError> {
    let read = std::fs::metadata(file).map_err(|source| ReplyRulesError::Read { file: file.clone(), source })?;
    match read.len() > BYTES_MAX {
        true => Err(ReplyRulesError::TooLarge { file: file.clone() }),
        false => Ok((read.modified().ok(), read.len())),
    }
}

fn parse(file: &PathBuf) -> Result<Rules, ReplyRulesError> {
    let text = std::fs::read_to_string(file).map_err(|source| ReplyRulesError::Read { file: file.clone(), source })?;
    Ok(Rules::parse(&text, &file.display().to_string())?)
}
