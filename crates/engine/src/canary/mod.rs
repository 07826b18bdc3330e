//! The canary: does in a cloud what a user would, and takes everything away again.
//!
//! What is made is written down before it is made, and taken out of the books when it is gone. It must never take away
//! anything whose name is not a canary's.

mod history;
mod stages;
mod trial;

#[cfg(test)]
mod tests;

pub use history::{History, Told, history};
pub use stages::{Step, needs, steps};
pub use trial::{Swept, Wanted, name, run, sweep};

/// The kind of the records that trials are kept as.
pub const TRIAL: &str = "canary";

/// The kind of the records that things are kept as.
pub const THING: &str = "canary-thing";

/// How long a trial may take in all; after that its things are anybody's to sweep.
pub const TRIAL_LIMIT_S: i64 = 3_600;

/// How long trials are kept.
pub const KEEP_S: i64 = 90 * 24 * 3_600;
