//! Judges the health of a cloud: a pure function from evidence, checks and what is remembered to a report.
//!
//! What was not seen is never taken for well, and nothing here knows what a table or a column means: checks are data.

mod changes;
mod expr;
mod judge;
mod library;
mod mute;
mod roots;
mod template;
mod value;

#[cfg(test)]
mod tests;

pub use changes::{Change, Turn, changes};
pub use judge::{Judged, judge};
pub use library::{Explained, Library, LibraryError};
pub use mute::{after_look, mute, unmute};
