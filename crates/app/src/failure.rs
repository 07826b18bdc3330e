//! Why a command did not do what was asked: what happened, to what, what to do now, and the exit code.
//!
//! A failure is words for a person. It must never hold a secret, and is never a panic.

use ostler_engine::plan::{Refused, RefusedKind};
use ostler_engine::run::{ControlError, Impossible};
use ostler_engine::seam::StoreError;
use ostler_model::event::Why;
use serde_json::json;
use std::fmt;

/// How a command ended, as the shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, healthy.
    Done,
    /// Something should be done soon.
    Warnings,
    /// Something is wrong.
    Errors,
    /// The answer is not whole: something could not be read.
    Partly,
    /// What another program's convention wants.
    Foreign(u8),
}

impl Exit {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Warnings => 3,
            Exit::Errors => 4,
            Exit::Partly => 6,
            Exit::Foreign(code) => code,
        }
    }
}

/// What kind of failure; each has one exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It failed.
    Failed,
    /// What was typed or configured makes no sense; nothing was changed.
    Usage,
    /// A guard refused, by its name.
    Refused(String),
    /// Partly done; it can be resumed.
    Resumable,
    /// It failed and was rolled back.
    RolledBack,
    /// It waits for the operator.
    Waiting,
    /// Another run holds the lock.
    Held,
    /// Interrupted; it can be resumed.
    Interrupted,
    /// There is nothing to do: no failure at all.
    Nothing,
    /// Nobody reads the output any more: no failure at all.
    NobodyListens,
}

impl Kind {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Kind::Nothing | Kind::NobodyListens => 0,
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Refused(_) => 5,
            Kind::Resumable => 6,
            Kind::RolledBack => 7,
            Kind::Waiting => 8,
            Kind::Held => 9,
            Kind::Interrupted => 130,
        }
    }

    /// The kind's name in JSON.
    fn word(&self) -> &'static str {
        match self {
            Kind::Nothing => "nothing",
            Kind::NobodyListens => "nobody-listens",
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::Refused(_) => "refused",
            Kind::Resumable => "resumable",
            Kind::RolledBack => "rolled-back",
            Kind::Waiting => "waiting",
            Kind::Held => "held",
            Kind::Interrupted => "interrupted",
        }
    }
}

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// What happened, to what, in one line.
    pub error: String,
    /// Evidence below it, line by line.
    pub evidence: Vec<String>,
    /// What to do now.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: Kind, error: impl Into<String>) -> Failure {
        Failure { kind, error: error.into(), evidence: Vec::new(), hints: Vec::new() }
    }

    /// It failed.
    pub fn failed(error: impl Into<String>) -> Failure {
        Failure::new(Kind::Failed, error)
    }

    /// What was typed or configured makes no sense.
    pub fn usage(error: impl Into<String>) -> Failure {
        Failure::new(Kind::Usage, error)
    }

    /// A guard refused.
    pub fn refused(guard: impl Into<String>, error: impl Into<String>) -> Failure {
        Failure::new(Kind::Refused(guard.into()), error)
    }

    /// The same with one more hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hints.push(hint.into());
        self
    }

    /// The same with a hint, where there is one.
    pub fn maybe_hint(mut self, hint: Option<impl Into<String>>) -> Failure {
        self.hints.extend(hint.map(Into::into));
        self
    }

    /// The same with a line of evidence.
    pub fn evidence(mut self, line: impl Into<String>) -> Failure {
        self.evidence.push(line.into());
        self
    }

    /// The same with lines of evidence.
    pub fn evidences(mut self, lines: impl IntoIterator<Item = String>) -> Failure {
        self.evidence.extend(lines);
        self
    }

    /// A failure that carries a reason with its way out.
    pub fn because(kind: Kind, why: &Why) -> Failure {
        Failure::new(kind, why.what.clone()).maybe_hint(why.hint.clone())
    }

    /// For programs.
    pub fn to_json(&self) -> serde_json::Value {
        let guard = match &self.kind {
            Kind::Refused(guard) => Some(guard),
            _ => None,
        };
        json!({
            "error": {
                "kind": self.kind.word(),
                "exit": self.kind.code(),
                "guard": guard,
                "what": self.error,
                "evidence": self.evidence,
                "hints": self.hints,
            }
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Refused(guard) => writeln!(f, "error: refused by {guard}: {}", self.error)?,
            Kind::Nothing => writeln!(f, "nothing to do: {}", self.error)?,
            _ => writeln!(f, "error: {}", self.error)?,
        }
        for line in &self.evidence {
            writeln!(f, "{}", format!("  {line}").trim_end())?;
        }
        for hint in &self.hints {
            writeln!(f, "hint: {hint}")?;
        }
        Ok(())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match error {
            StoreError::Unavailable { what, hint } | StoreError::Corrupt { what, hint } => {
                Failure::failed(what).maybe_hint(hint)
            }
            StoreError::Taken { .. } => Failure::new(Kind::Held, error.to_string()),
        }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Failure {
        match error {
            ControlError::Store(error) => error.into(),
            ControlError::NoSuchRun { .. } => {
                Failure::usage(error.to_string()).hint("see which there are: `ostler run list`")
            }
            ControlError::Impossible(Impossible::NoSuchStep { .. }) => {
                Failure::usage(error.to_string()).hint("see its steps: `ostler run show RUN`")
            }
            ControlError::Impossible(Impossible::WrongState { event, state }) => {
                Failure::usage(format!("the run is {state}: it cannot be {event}"))
                    .hint("see how it stands: `ostler run show RUN`")
            }
            ControlError::Impossible(Impossible::WrongStep { .. }) => {
                Failure::usage(error.to_string()).hint("see how it stands: `ostler run show RUN`")
            }
            ControlError::NoPlan { .. } => {
                Failure::usage(error.to_string()).hint("is `--state` the store that the run was opened in?")
            }
            ControlError::Impossible(_) => {
                Failure::failed(error.to_string()).hint("is `--state` the store that the run was opened in?")
            }
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        let kind = match refused.kind {
            RefusedKind::Usage => Kind::Usage,
            RefusedKind::Nothing => Kind::Nothing,
            RefusedKind::Guard(name) => Kind::Refused(name.to_owned()),
        };
        Failure::because(kind, &refused.why)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::new(Kind::NobodyListens, "nobody reads the output"),
            _ => Failure::failed(format!("cannot write: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_happened_and_what_to_do() {
        let failure = Failure::refused("galera-whole", "2 of 3 members are Synced")
            .evidence("ctl2: Donor")
            .hint("wait until ctl2 has given its data");
        assert_eq!(
            failure.to_string(),
            "error: refused by galera-whole: 2 of 3 members are Synced\n  ctl2: Donor\nhint: wait until ctl2 has given its data\n"
        );
        assert_eq!(failure.kind.code(), 5);
        assert_eq!(failure.to_json()["error"]["guard"], "galera-whole");
    }

    #[test]
    fn a_broken_pipe_is_no_failure() {
        let failure: Failure = std::io::Error::from(std::io::ErrorKind::BrokenPipe).into();
        assert_eq!(failure.kind.code(), 0);
    }
}
