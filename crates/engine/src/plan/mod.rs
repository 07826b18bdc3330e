//! Planning: from what is seen and what is wanted to a finished, hashed plan, and a report of what was not
//! planned and why.
//!
//! Planners are pure. They never branch on the name of a service: everything that differs is catalogue data.

mod differences;
mod lint;
mod minimal;
mod offline;
mod preflight;
mod rollback;
mod scene;
mod schedule;
mod steps;
#[cfg(test)]
mod tests;
mod turn;
mod upgrade;
mod zero;

pub use differences::differences;
pub use lint::lint;
pub use preflight::{fitting_heads, preflight};
pub use rollback::{Choice, rollback};
pub use scene::{Estimates, Scene, ServiceSeen, basis, look_at};
pub use schedule::{Outage, Schedule, WaveTime, schedule};
pub use upgrade::{Wish, upgrade};

use ostler_model::event::Why;
use ostler_model::plan::{Plan, Report};

/// A plan and why it is as it is.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The report.
    pub report: Report,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// What kind of refusal.
    pub kind: RefusedKind,
    /// What was found, and the way out.
    pub why: Why,
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedKind {
    /// The wish makes no sense: a mistake in what was typed.
    Usage,
    /// There is nothing to do.
    Nothing,
    /// A guard refuses, by its name.
    Guard(&'static str),
}

impl Refused {
    fn usage(why: Why) -> Refused {
        Refused { kind: RefusedKind::Usage, why }
    }

    fn guard(name: &'static str, why: Why) -> Refused {
        Refused { kind: RefusedKind::Guard(name), why }
    }
}
