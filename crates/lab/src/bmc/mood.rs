//! How a power controller behaves: honestly, or as bad ones do.
//!
//! Must never be remembered by the server: it is read from a file at each request, so that anybody can change it.

use crate::cache::write_whole;
use crate::error::LabError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// How a node's power controller behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mood {
    /// It does what it is asked and says what is.
    #[default]
    Honest,
    /// It accepts orders, does nothing, and says that it did.
    Lie,
    /// It accepts orders, does nothing, and says what is.
    Stuck,
    /// It accepts connections and never answers.
    Hang,
    /// It answers every request with an error.
    Fail,
}

/// The moods of all nodes; who is not in it is honest.
pub(crate) type Moods = BTreeMap<String, Mood>;

/// Reads the moods; an unreadable file means that all are honest.
pub(crate) fn read(path: &Path) -> Moods {
    std::fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Changes the mood of one node.
pub(crate) fn set(path: &Path, node: &str, mood: Mood) -> Result<(), LabError> {
    let mut moods = read(path);
    moods.insert(node.to_owned(), mood);
    write_whole(path, serde_json::to_string(&moods).unwrap_or_default().as_bytes())
}
