//! An incident: one outage of one thing, from the first report to the last instance that is back; and the steps that
//! are told of it.
//!
//! A body carries a number of its format. It must never hold a secret, and never grow without a bound: what is told
//! once for each instance has rows of its own.

use super::{Payload, Purged};
use crate::ids::{HostId, IncidentId, NotificationId, RunId, SegmentId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The format of a stored incident.
pub const INCIDENT_FORMAT: u16 = 1;

/// Pieces of evidence that an incident keeps: a report from each of a few hundred monitors, and what was found out.
pub const EVIDENCE_MAX: usize = 1_000;

/// What an incident is about: at most one is open for a key at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentKey(String);

impl IncidentKey {
    /// A host that is gone.
    pub fn host(host: &HostId) -> Self {
        Self(format!("host/{host}"))
    }

    /// An instance that failed. Its identity counts, not how it is written.
    pub fn instance(instance: &str) -> Self {
        Self(format!("vm/{}", instance.replace('-', "").to_ascii_lowercase()))
    }

    /// A process that failed on a host.
    pub fn process(host: &HostId, name: &str) -> Self {
        Self(format!("process/{host}/{name}"))
    }

    /// A key as it was stored.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IncidentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

super::words! {
    /// How an incident stands.
    Stage {
        /// Nobody has looked at it yet.
        Open = "open",
        /// It waits for a proof that the host is off.
        Proof = "waiting-for-proof",
        /// A guard holds it back, or a person does.
        Held = "held",
        /// It waits for room: a reserved host, or capacity.
        Room = "waiting-for-room",
        /// It is worked on.
        Working = "working",
        /// Everything that was to come back is back.
        Recovered = "recovered",
        /// It was given up; something did not come back.
        Failed = "failed",
        /// There was nothing to do.
        Nothing = "nothing-to-do",
        /// A rule or a person said that nothing shall be done.
        Dismissed = "dismissed",
    }
}

/// What was seen, when, by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When.
    pub at: Timestamp,
    /// By whom: a monitor, a power controller, a person.
    pub from: String,
    /// What.
    pub what: String,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its identity.
    pub id: IncidentId,
    /// What it is about.
    pub key: IncidentKey,
    /// The host.
    pub host: HostId,
    /// The host's segment when it was opened.
    pub segment: Option<SegmentId>,
    /// The notification that opened it.
    pub notification: NotificationId,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was closed; a closed one stays as it is.
    pub closed: Option<Timestamp>,
    /// How it stands.
    pub stage: Stage,
    /// Why it stands so, in one line for a person.
    pub why: String,
    /// Somebody is at work on it until then, unless they say so again. In the past: nobody is.
    pub at_work_until: Timestamp,
    /// Rises with each `save_incident`; whoever saves an older one is told that they lost.
    pub version: u64,
    /// The rest.
    pub body: IncidentBody,
}

impl Incident {
    /// Whether somebody is at work on it: only then is its segment in use.
    pub fn is_at_work(&self, now: Timestamp) -> bool {
        self.closed.is_none() && self.at_work_until > now
    }

    /// Writes evidence down, unless there is more of it than anybody could read.
    pub fn add_evidence(&mut self, at: Timestamp, from: impl Into<String>, what: impl Into<String>) {
        if self.body.evidence.len() < EVIDENCE_MAX {
            self.body.evidence.push(Evidence { at, from: from.into(), what: what.into() });
        }
    }
}

/// What an incident holds beside what it is found by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentBody {
    /// Its format.
    pub format: u16,
    /// What was seen.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// The runs that work on it, in order.
    #[serde(default)]
    pub runs: Vec<RunId>,
    /// Notifications that it takes care of, beside the one that opened it.
    #[serde(default)]
    pub absorbed: Vec<NotificationId>,
    /// The guests as they were before the failure, taken once. Whoever works on the incident knows their form.
    #[serde(default)]
    pub guests: Option<serde_json::Value>,
}

impl Default for IncidentBody {
    fn default() -> Self {
        Self {
            format: INCIDENT_FORMAT,
            evidence: Vec::new(),
            runs: Vec::new(),
            absorbed: Vec::new(),
            guests: None,
        }
    }
}

/// The incident that a report asks for. Host, segment and time are those of the notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Its identity, if it is opened.
    pub id: IncidentId,
    /// What it is about.
    pub key: IncidentKey,
    /// Until when it counts as worked on, so that whoever looks for work can come to it.
    pub at_work_until: Timestamp,
}

/// A report that joined an incident: the same payload is one of these, however often and by whomever it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The incident.
    pub incident: IncidentId,
    /// Who sent it first.
    pub reporter: String,
    /// What it says.
    pub payload: Payload,
    /// When it happened, by the reporter's clock.
    pub generated: Timestamp,
    /// When it was taken.
    pub at: Timestamp,
}

super::words! {
    /// How a task of a recovery stands, in the words of the clients that show it.
    TaskState {
        /// It is worked on.
        Running = "RUNNING",
        /// It is done.
        Success = "SUCCESS",
        /// It failed.
        Failure = "FAILURE",
        /// It was undone.
        Reverted = "REVERTED",
    }
}

/// One step of a task, as clients are told of it: a row each, so that nothing overflows and nothing is reordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The notification that is worked on.
    pub notification: NotificationId,
    /// What makes it one step: the same mark twice is one row, so that a step may be told again after a crash.
    pub mark: String,
    /// The task: tasks are shown in the order of their first steps.
    pub task: String,
    /// How the task stands with this step.
    pub state: TaskState,
    /// How far the task is, in thousandths.
    pub permille: u16,
    /// When.
    pub at: Timestamp,
    /// What happened, for a person.
    pub message: String,
}

impl std::ops::AddAssign for Purged {
    fn add_assign(&mut self, more: Purged) {
        self.segments += more.segments;
        self.hosts += more.hosts;
        self.notifications += more.notifications;
        self.moves += more.moves;
        self.progress += more.progress;
        self.incidents += more.incidents;
        self.joined += more.joined;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_one_key_however_its_name_is_written() {
        let key = IncidentKey::instance("9D3A0000-0000-4000-8000-000000000001");
        assert_eq!(key, IncidentKey::instance("9d3a0000000040008000000000000001"));
    }
}
