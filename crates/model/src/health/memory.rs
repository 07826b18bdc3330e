//! What is remembered from one look to the next: since when what is bad, how often it changed, and what is muted.
//!
//! It must never be needed to judge: without it everything counts as seen for the first time.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format of a stored memory. A reader refuses a newer one.
pub const MEMORY_FORMAT: u16 = 1;

/// The format of stored mutes. A reader refuses a newer one.
pub const MUTES_FORMAT: u16 = 1;

/// Changes of one condition that are kept: more than flapping needs to be told.
pub const CHANGES_KEPT: usize = 12;

/// What earlier looks found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Format of this record.
    pub format: u16,
    /// When the last look was.
    pub last: Option<Timestamp>,
    /// By code, by object.
    pub conditions: BTreeMap<String, BTreeMap<String, Condition>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { format: MEMORY_FORMAT, last: None, conditions: BTreeMap::new() }
    }
}

/// How one condition of one object went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Since when it has been bad.
    pub since: Timestamp,
    /// When it was last bad.
    pub last: Timestamp,
    /// Bad looks in a row.
    pub bad: u16,
    /// Good looks in a row since.
    pub good: u16,
    /// Whether it counts.
    pub is_raised: bool,
    /// When it began or ended to count, the newest last.
    #[serde(default)]
    pub changes: Vec<Timestamp>,
}

/// What nobody wants to be told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutes {
    /// Format of this record.
    pub format: u16,
    /// The mutes.
    pub mutes: Vec<Mute>,
}

impl Default for Mutes {
    fn default() -> Self {
        Self { format: MUTES_FORMAT, mutes: Vec::new() }
    }
}

/// A code that is not told of for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// The code.
    pub code: String,
    /// One object; none: all.
    pub object: Option<String>,
    /// Until when.
    pub until: Timestamp,
    /// Since when.
    pub since: Timestamp,
    /// Who.
    pub who: String,
    /// Why.
    pub why: Option<String>,
    /// Objects that were affected then: when there are more, it is told of again.
    pub objects: usize,
    /// It stays, also when more are affected or all are well.
    pub is_sticky: bool,
}
