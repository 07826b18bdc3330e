//! What receivers were told of the health of a cloud, so that they are told of changes and of nothing else.
//!
//! It is kept for each receiver: one that did not take a message hears it again.

use super::report::Severity;
use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format of what is kept. A reader refuses a newer one.
pub const TOLD_FORMAT: u16 = 1;

/// What all receivers were told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Format of this record.
    pub format: u16,
    /// By receiver.
    pub receivers: BTreeMap<String, Heard>,
}

impl Default for Told {
    fn default() -> Self {
        Self { format: TOLD_FORMAT, receivers: BTreeMap::new() }
    }
}

/// What one receiver was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// When it last took something.
    pub at: Timestamp,
    /// What stands, as far as it knows.
    pub standing: Standing,
}

/// What stands: by code, by object.
pub type Standing = BTreeMap<String, BTreeMap<String, Stands>>;

/// One object that is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stands {
    /// How bad it was when it was told.
    pub severity: Severity,
    /// The host that it is on, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Since when.
    pub since: Timestamp,
}
