//! The rules that turn events into tags: the file the configuration names, else the embedded ones.

use std::path::PathBuf;

use super::config::Config;
use crate::domain::tagging::{Faults, Rules};

/// Largest file of rules, bytes.
const BYTES_MAX: u64 = 1 << 20;

/// Why the rules could not be had.
#[derive(Debug, thiserror::Error)]
pub enum TagRulesError {
    #[error("could not read {} ([rules] tags): {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{} ([rules] tags) is larger than {BYTES_MAX} bytes", file.display())]
    TooLarge { file: PathBuf },
    #[error("{0}")]
    Faults(#[from] Faults),
}

/// The rules in force.
///
/// # Errors
/// A file that cannot be read, or every fault in it.
pub fn tag_rules(config: &Config) -> Result<Rules, TagRulesError> {
    let Some(file) = config.rules.tags.as_deref() else { return Ok(Rules::embedded()) };
    let failed = |source| TagRulesError::Read { file: file.to_owned(), source };
    if std::fs::metadata(file).map_err(failed)?.len() > BYTES_MAX {
        return Err(TagRulesError::TooLarge { file: file.to_owned() });
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    Ok(Rules::parse(&text, &file.display().to_string())?)
}
