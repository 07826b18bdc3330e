//! The journal: what happened to a run, entry by entry.
//!
//! An entry is appended once and never changed. `(run, seq)` is its key, so two writers can never both own a
//! place in a journal. No entry ever holds a secret.

use crate::ids::{PlanId, RunId, StepId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The format of a stored entry.
pub const ENTRY_FORMAT: u16 = 1;

/// One entry of a run's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The run.
    pub run: RunId,
    /// Its place, from 0 without a hole.
    pub seq: u64,
    /// When, by the writer's clock.
    pub at: Timestamp,
    /// The writer's fencing token: the lease's term when it wrote.
    pub term: u64,
    /// What happened.
    pub event: Event,
}

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run was opened for a plan.
    Opened {
        /// The plan.
        plan: PlanId,
        /// By whom.
        who: Actor,
    },
    /// The plan was approved, by its hash.
    Approved {
        /// The hash that was named.
        hash: PlanId,
        /// By whom.
        who: Actor,
    },
    /// A gate was passed.
    Passed {
        /// The step that waited at it.
        step: StepId,
        /// By whom: a person, or Ostler after a quiet time.
        who: Actor,
    },
    /// A step is about to be done: written before its effect.
    Intended {
        /// The step.
        step: StepId,
        /// Which attempt, from 1.
        attempt: u16,
    },
    /// What came of it.
    Proved {
        /// The step.
        step: StepId,
        /// Which attempt.
        attempt: u16,
        /// What came of it.
        outcome: Outcome,
    },
    /// A guard did not hold, so the step was not begun.
    Postponed {
        /// The step.
        step: StepId,
        /// Not before this.
        until: Timestamp,
        /// Which guard, and what it saw.
        why: Why,
    },
    /// The run stopped beginning steps.
    Paused {
        /// By whom.
        who: Actor,
        /// Why.
        why: Why,
    },
    /// The run goes on; failed steps may be tried again.
    Resumed {
        /// By whom.
        who: Actor,
    },
    /// A person vouches for a step, or for its not being needed.
    Skipped {
        /// The step.
        step: StepId,
        /// Who.
        who: Actor,
        /// Their reason.
        why: String,
    },
    /// A person gave the run up; what was done stays done.
    Abandoned {
        /// Who.
        who: Actor,
        /// Their reason.
        why: String,
    },
    /// The run has ended.
    Closed {
        /// How.
        verdict: Verdict,
    },
}

impl Event {
    /// The step that the event is about.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Event::Passed { step, .. }
            | Event::Intended { step, .. }
            | Event::Proved { step, .. }
            | Event::Postponed { step, .. }
            | Event::Skipped { step, .. } => Some(step),
            _ => None,
        }
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A person, by the name they have on the machine where they typed.
    Person(String),
    /// Ostler itself, by a rule that it names.
    Rule(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Person(name) => f.pad(name),
            Actor::Rule(rule) => write!(f, "ostler ({rule})"),
        }
    }
}

/// A reason, and the way out where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// What happened, to what.
    pub what: String,
    /// What to do now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Why {
    /// A reason without a hint.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    /// The same reason with a way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// What was learnt while a step was done, by name.
pub type Facts = BTreeMap<String, String>;

/// What came of a step. A failure may be claimed only when it is *known* that the step's effect is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The effect is there.
    Done {
        /// What was learnt.
        facts: Facts,
    },
    /// The effect is not there, and it is not on its way.
    NotDone {
        /// Why.
        why: Why,
    },
    /// Nobody knows.
    Unknown {
        /// Why not.
        why: Why,
    },
}

impl Outcome {
    /// Done, with nothing to add.
    pub fn done() -> Self {
        Outcome::Done { facts: Facts::new() }
    }

    /// Not done.
    pub fn not_done(what: impl Into<String>) -> Self {
        Outcome::NotDone { why: Why::new(what) }
    }

    /// Unknown.
    pub fn unknown(what: impl Into<String>) -> Self {
        Outcome::Unknown { why: Why::new(what) }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every step was done.
    Finished,
    /// Every step was done or given up, and at least one was given up.
    PartlyDone,
    /// Another run took it back.
    RolledBack {
        /// Which.
        by: RunId,
    },
    /// A person gave it up.
    Abandoned,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Finished => f.pad("finished"),
            Verdict::PartlyDone => f.pad("partly done"),
            Verdict::RolledBack { by } => write!(f, "rolled back by {by}"),
            Verdict::Abandoned => f.pad("abandoned"),
        }
    }
}
