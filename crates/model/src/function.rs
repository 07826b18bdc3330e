//! What is asked of a service to see that it works, and how it was found to be: nouns of the function-check matrix.
//!
//! What is asked is data, one page for each service; a site can add or override pages. It holds no credentials.

use crate::ids::{HostName, ServiceName};
use crate::step::Call;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The newest format of a stored span. A reader refuses a newer one.
pub const SPAN_FORMAT: u16 = 1;

/// Stands in a path for the identity of the project that is asked as.
pub const PROJECT_PLACE: &str = "{project}";

/// What is asked of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Function {
    /// The service.
    pub name: ServiceName,
    /// Its types in the cloud's catalogue, the usual one first.
    pub kinds: Vec<String>,
    /// The port of a server of it, where the catalogue's address names none.
    pub port: u16,
    /// What is asked without a token.
    pub live: Live,
    /// What is asked with one; paths begin at the root of the service.
    #[serde(default)]
    pub calls: Vec<Call>,
}

/// What a server answers to anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Live {
    /// The path.
    pub path: String,
    /// The answers that mean that it lives.
    pub ok: Vec<u16>,
}

/// A service that a cloud offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its type in the catalogue.
    pub kind: String,
    /// Its address for everybody.
    pub url: String,
}

/// Whom a sample is taken of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// One server, at its node's own address.
    Server(HostName),
    /// The virtual address, as a client would.
    Virtual,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asked::Server(host) => f.pad(host.as_str()),
            Asked::Virtual => f.pad("virtual"),
        }
    }
}

/// One question of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub function: Function,
    /// The service's address for everybody: its scheme, and the name that its certificate must bear.
    pub url: String,
    /// Whom.
    pub asked: Asked,
    /// Whether a server is reached through the SSH server of its node instead of directly.
    pub by_ssh: bool,
    /// How long the whole answer may take.
    pub limit_ms: u64,
}

/// How a service was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It answered everything.
    Up,
    /// It lives, but a call with a token failed.
    Refused,
    /// It does not answer, or says that it does not live.
    Down,
    /// Nobody can tell: what was needed for asking was missing.
    Unknown,
    /// It was not asked.
    NotAsked,
}

impl Mark {
    /// As it is stored.
    pub fn as_char(self) -> char {
        match self {
            Mark::Up => '+',
            Mark::Refused => 'a',
            Mark::Down => '-',
            Mark::Unknown => '?',
            Mark::NotAsked => '.',
        }
    }

    /// As it was stored; what is odd counts as not asked.
    pub fn of(char: char) -> Mark {
        match char {
            '+' => Mark::Up,
            'a' => Mark::Refused,
            '-' => Mark::Down,
            '?' => Mark::Unknown,
            _ => Mark::NotAsked,
        }
    }

    /// Whether a client would have been turned away.
    pub fn is_failure(self) -> bool {
        matches!(self, Mark::Refused | Mark::Down)
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How it was.
    pub mark: Mark,
    /// How long it took.
    pub took_ms: u64,
    /// What went wrong, in words.
    pub what: Option<String>,
}

/// What was found in a stretch of time, tick by tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Format of this record.
    pub format: u16,
    /// When the first tick was.
    pub began: Timestamp,
    /// Time from tick to tick.
    pub tick_ms: u64,
    /// Ticks so far.
    pub ticks: u32,
    /// What was asked, and how it was found.
    pub cells: Vec<Cell>,
}

/// One service at one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The service.
    pub service: ServiceName,
    /// Whom.
    pub asked: Asked,
    /// A mark for each tick.
    pub marks: String,
    /// How many good answers took how long: by number of a step on a scale of [`scale`].
    pub took: BTreeMap<u16, u32>,
    /// The first failures of the span, and the last one.
    pub faults: Vec<Fault>,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// At which tick.
    pub tick: u32,
    /// What.
    pub what: String,
}

/// Errors that logs may hold although nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogAllowance {
    /// Texts, one of which stands in the error.
    pub says: Vec<String>,
    /// How often at most.
    pub most: u64,
    /// Why, for people.
    pub because: String,
}

/// Which logs must hold no error that was not there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogGate {
    /// The nodes.
    pub nodes: Vec<HostName>,
    /// Files and directories on each.
    pub paths: Vec<String>,
    /// What may be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<LogAllowance>,
}

/// An error in logs that was not there before a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    /// The nodes that have it.
    pub nodes: Vec<HostName>,
    /// The service, as the logs tell.
    pub service: String,
    /// What it says, without secrets.
    pub what: String,
    /// How often since.
    pub count: u64,
}

/// A scale of times on which every step is a tenth longer than the one before.
pub mod scale {
    const STEP: f64 = 1.1;

    /// The step that holds a time.
    pub fn step(ms: u64) -> u16 {
        // Times of days fit many times over.
        ((ms.max(1) as f64).ln() / STEP.ln()).floor().min(f64::from(u16::MAX)) as u16
    }

    /// The longest time on a step.
    pub fn longest_ms(step: u16) -> u64 {
        STEP.powi(i32::from(step) + 1).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_scale_holds_its_times_and_is_at_most_a_tenth_too_long() {
        for ms in [0, 1, 2, 9, 43, 250, 5_000, 60_000, 3_600_000] {
            let longest = scale::longest_ms(scale::step(ms));
            assert!(longest >= ms, "{ms} on a step up to {longest}");
            assert!(longest as f64 <= ms.max(1) as f64 * 1.1 + 1.0, "{ms} on a step up to {longest}");
        }
    }

    #[test]
    fn marks_are_read_as_they_were_written() {
        for mark in [Mark::Up, Mark::Refused, Mark::Down, Mark::Unknown, Mark::NotAsked] {
            assert_eq!(Mark::of(mark.as_char()), mark);
        }
        assert_eq!(Mark::of('x'), Mark::NotAsked);
    }
}
