//! What can go wrong in a lab, in words for the person who asked for it.
//!
//! Must never print a secret: no command line with a password in it comes in here.

use std::path::PathBuf;
use std::time::Duration;

/// A failure of the lab: what happened, to what, what to do now.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The machine cannot run a lab at all.
    #[error("this machine cannot run a lab: {why}; {todo}")]
    CannotRun {
        /// What is missing.
        why: String,
        /// What to do about it.
        todo: String,
    },
    /// The request itself is wrong; nothing was changed.
    #[error("{what}; {todo}")]
    Refused {
        /// What is wrong with the request.
        what: String,
        /// What to ask for instead.
        todo: String,
    },
    /// The lab is not there.
    #[error(
        "there is no lab `{lab}` here; `ostler lab up` makes one, `ostler lab status` shows what is there"
    )]
    NoSuchLab {
        /// The lab's name.
        lab: String,
    },
    /// The lab is there already.
    #[error("lab `{lab}` is up already; use it, or take it down first with `ostler lab down`")]
    AlreadyUp {
        /// The lab's name.
        lab: String,
    },
    /// The lab has no such node.
    #[error("lab `{lab}` has no node `{node}`; its nodes are {nodes}")]
    NoSuchNode {
        /// The lab's name.
        lab: String,
        /// What was asked for.
        node: String,
        /// What there is.
        nodes: String,
    },
    /// The node is not running.
    #[error("node `{node}` has no power; switch it on with `ostler lab revive {node}`")]
    NodeIsOff {
        /// The node.
        node: String,
    },
    /// A program failed.
    #[error("{doing} failed ({status}): {output}; {todo}")]
    Command {
        /// What it was to do.
        doing: String,
        /// How it ended.
        status: String,
        /// The last lines that it printed.
        output: String,
        /// What to do now.
        todo: String,
    },
    /// A file or folder could not be handled.
    #[error("{doing} {path}: {source}; see to the file's place, rights and free space, then try again", path = path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something did not come about in time.
    #[error("{what} did not come about within {limit:?} (last seen: {seen}); {todo}")]
    TooLate {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// What was there instead.
        seen: String,
        /// What to do now.
        todo: String,
    },
    /// A service answered something else than it should.
    #[error(
        "{what}: {why}; look at the nodes with `ostler lab status` and at the service's log under /var/log there"
    )]
    Service {
        /// What was asked.
        what: String,
        /// What came back.
        why: String,
    },
}

impl LabError {
    /// Whether the machine is at fault and not the request: nothing was changed.
    pub fn is_about_this_machine(&self) -> bool {
        matches!(self, Self::CannotRun { .. })
    }

    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    pub(crate) fn refused(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), todo: todo.into() }
    }
}
