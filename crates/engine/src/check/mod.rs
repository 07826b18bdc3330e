//! Judges checks: a pure function from a question and what was seen to a finding with evidence.
//!
//! What was not seen is never taken for well: a check whose facts are missing is an error that says so.

mod facts;
mod judge;
#[cfg(test)]
mod tests;

pub use facts::{facts, hosts};
pub use judge::judge;
