//! What is known of categories: the file the configuration names, else the embedded one.

use std::path::PathBuf;

use super::config::Config;
use crate::domain::recommend::care::{CareError, Cares};

/// Largest file of categories, bytes.
const BYTES_MAX: u64 = 1 << 20;

/// Why it could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CategoryRulesError {
    #[error("could not read {} ([rules] categories): {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{} ([rules] categories) is larger than {BYTES_MAX} bytes", file.display())]
    TooLarge { file: PathBuf },
    #[error(transparent)]
    Fault(#[from] CareError),
}

/// What is known of categories.
///
/// # Errors
/// A file that cannot be read, or a fault in it.
pub fn category_rules(config: &Config) -> Result<Cares, CategoryRulesError> {
    let Some(file) = config.rules.categories.as_deref() else { return Ok(Cares::embedded()) };
    let failed = |source| CategoryRulesError::Read { file: file.to_owned(), source };
    if std::fs::metadata(file).map_err(failed)?.len() > BYTES_MAX {
        return Err(CategoryRulesError::TooLarge { file: file.to_owned() });
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    Ok(Cares::parse(&text, &file.display().to_string())?)
}
