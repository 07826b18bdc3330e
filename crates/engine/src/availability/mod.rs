//! The function-check matrix: which services answered at which addresses, in what share of the time, with which gaps.
//!
//! Pure but for the loop in `watch`, which goes through the seams. What nobody could tell is shown and counts neither as
//! good nor as bad.

mod table;
mod watch;

#[cfg(test)]
mod tests;

pub use table::{Availability, Figures, Gap, Row, table};
pub use watch::{Wanted, Watch, questions};

/// The kind of the records that spans are kept as.
pub const KIND: &str = "availability";

/// How long a span lasts before the next one begins: ten minutes are read quickly and lost cheaply.
pub const SPAN_MS: u64 = 600_000;

/// How long spans are kept: a month, so that this month's outages can be told at its end.
pub const KEEP_S: i64 = 31 * 24 * 3_600;
