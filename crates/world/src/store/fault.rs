//! What can go wrong between Ostler and its state, in words for an operator.
//!
//! It must never show a password: a message names the place as [`super::place::Place`] prints it.

use ostler_engine::seam::StoreError;

/// Why a statement did not go through.
#[derive(Debug)]
pub(super) enum Fault {
    /// A row with this key is there already.
    Duplicate,
    /// Anything else.
    Failed(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Failed(error)
    }
}

/// The store does not answer, or may not be written.
pub(super) fn unavailable(what: impl Into<String>, hint: impl Into<String>) -> StoreError {
    StoreError::Unavailable { what: what.into(), hint: Some(hint.into()) }
}

/// What is stored cannot be read.
pub(super) fn corrupt(what: impl Into<String>, hint: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into(), hint: Some(hint.into()) }
}

/// A record or state that this program is too old for.
pub(super) fn too_new(what: impl std::fmt::Display, theirs: i64, ours: i64) -> StoreError {
    corrupt(
        format!("{what} was written by a newer Ostler (format {theirs}; this one knows up to {ours})"),
        "Nothing was changed. Use the Ostler that wrote it, or a later one.",
    )
}
