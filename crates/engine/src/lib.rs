//! Decisions: makes plans from what is seen, folds journals into the state of runs, says what may happen next,
//! judges checks, and drives runs through the six seams.
//!
//! This crate must never open a socket or a file, never read the clock or the environment, never draw, and
//! never branch on the name of a service: what differs between services is catalogue data.

pub mod availability;
pub mod canary;
pub mod check;
pub mod ha;
pub mod health;
pub mod monitor;
pub mod plan;
pub mod run;
pub mod seam;
pub mod triage;
