//! Segments against the database: resolved, compiled to SQL, counted, sampled, explained, saved.
//!
//! [`resolve`] reads what the names in a segment mean ([`Resolved`]), [`compile`] turns that into a [`Where`]: a
//! predicate on alias `m` of `member`. This is the one place where SQL is put together at run time. Its text holds only
//! the identifiers and signs written in `compile.rs`; everything that somebody typed is bound.

mod ask;
mod compile;
mod filled;
mod patience;
mod resolve;
mod saved;

pub use ask::{Estimate, Leaf, LeafValue, count, count_sample, explain, has, sample};
pub use compile::{Bind, Where, compile};
pub use filled::Filled;
pub use resolve::{Resolved, resolve};
pub use saved::{Saved, latest, list, save};

use super::StoreError;
use crate::domain::segment::{ExpandError, SegmentError};

/// Why a segment could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SegmentFault {
    #[error("{0}")]
    Text(#[from] SegmentError),
    #[error("{0}")]
    Names(#[from] ExpandError),
    /// A stored segment no longer reads: its name, and why.
    #[error("the saved segment {name:?} does not read: {error}")]
    Saved { name: String, error: SegmentError },
    #[error("{what:?} is no name for a segment: 1 to {} bytes, no control characters", saved::NAME_BYTES_MAX)]
    Name { what: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}
