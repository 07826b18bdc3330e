//! Runs: a plan being carried out. Its state is the fold of its journal; `next` says what may happen; `drive`
//! makes it happen and writes down what came of it.
//!
//! Nothing about a run is remembered anywhere but in its journal.

mod agenda;
mod control;
mod drive;
mod fold;
mod function_check;
mod lease;
mod next;
mod power;
mod routed;
mod shape;
#[cfg(test)]
mod tests;
mod user;

pub use control::{ControlError, approve, command, load, open, run_id};
pub use drive::{DriveError, Ended, Observer, drive};
pub(crate) use fold::later;
pub use fold::{Impossible, Run, RunState, Status, StepState, fold};
pub use lease::{LeaseError, OUTAGE, Tenure, give_back, keeping, take};
pub use next::{Move, next};
