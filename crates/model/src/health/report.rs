//! What was found: findings with their objects, what could not be judged, what is hidden and why.
//!
//! The shape is documented for programs; a field is never given another meaning.

use super::evidence::{Cost, Gap};
use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The format of a report.
pub const REPORT_FORMAT: u16 = 1;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something should be done soon.
    Warning,
    /// Redundancy or a part of the cloud is lost.
    Error,
    /// Users are hurt, or data is in danger.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Info => "INFO",
            Severity::Warning => "WARN",
            Severity::Error => "ERR",
            Severity::Critical => "CRIT",
        })
    }
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Format of this record.
    pub format: u16,
    /// The cloud.
    pub cloud: String,
    /// When the evidence was taken.
    pub taken: Timestamp,
    /// The worst finding that is neither muted nor expected; none: all is well as far as was seen.
    pub worst: Option<Severity>,
    /// Whether something could not be judged.
    pub is_whole: bool,
    /// How many checks were judged on at least one row.
    pub checks: usize,
    /// Findings, the root of trouble first.
    pub findings: Vec<Finding>,
    /// What could not be judged.
    pub unseen: Vec<Unseen>,
    /// What is a consequence of a finding above.
    pub hidden: Vec<Hidden>,
    /// What it cost the cloud.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cost: Vec<Cost>,
}

/// One code and what it affects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The code.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it means.
    pub title: String,
    /// The first object and what was seen of it, or how many there are.
    pub summary: String,
    /// What is affected.
    pub objects: Vec<Affected>,
    /// Since when the oldest has been bad, as far as is remembered.
    pub since: Timestamp,
    /// How many consequences it explains.
    pub explains: usize,
    /// Why it was to be expected: maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Whether it is muted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<Muted>,
    /// The next command.
    pub next: String,
}

impl Finding {
    /// Whether it counts for the verdict.
    pub fn counts(&self) -> bool {
        self.muted.is_none() && self.expected.is_none()
    }
}

/// One affected object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Affected {
    /// Its name.
    pub object: String,
    /// The host that it is on, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen.
    pub evidence: String,
    /// Since when, as far as is remembered.
    pub since: Timestamp,
}

/// Who muted a finding, until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Muted {
    /// Until when.
    pub until: Timestamp,
    /// Who.
    pub who: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What could not be judged, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// Codes that could not be judged for this reason.
    pub codes: Vec<String>,
    /// What could not be seen.
    pub what: String,
    /// Where and why.
    pub gap: Gap,
}

/// A consequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden {
    /// The code.
    pub code: String,
    /// The object.
    pub object: String,
    /// The code that explains it.
    pub by: String,
}
