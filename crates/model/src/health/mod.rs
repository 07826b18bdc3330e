//! Health as nouns: what was seen (evidence), what is asked of it (checks), what was found (a report), and what is
//! remembered from one look to the next.
//!
//! Nothing here judges or collects; names of tables and columns are data.

mod check;
mod evidence;
mod memory;
mod report;
mod told;

pub use check::{Check, CheckPage, Level, PAGES, Root, pages};
pub use evidence::{Cost, EVIDENCE_FORMAT, Evidence, Gap, ROWS_MAX, Row, Table, Value};
pub use memory::{CHANGES_KEPT, Condition, MEMORY_FORMAT, MUTES_FORMAT, Memory, Mute, Mutes};
pub use report::{Affected, Finding, Hidden, Muted, REPORT_FORMAT, Report, Severity, Unseen};
pub use told::{Heard, Standing, Stands, TOLD_FORMAT, Told};
