//! Records: what is kept beside runs and plans, with a time, so that it can be asked for by time and taken away by age.
//!
//! A record says nothing of what its body means: its kind does, and the body carries a format of its own.

use jiff::Timestamp;

/// Records that one question brings at most: a month of ten-minute spans, and some.
pub const RECORDS_MAX: u32 = 5_000;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is: `availability`, `canary`, `canary-thing`.
    pub kind: String,
    /// Whom it is of: the cloud.
    pub subject: String,
    /// Its name among those.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// What it says.
    pub body: String,
}

/// Which records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordQuery {
    /// Of this kind.
    pub kind: String,
    /// Of this subject.
    pub subject: String,
    /// From this time on.
    pub from: Timestamp,
    /// And before this one.
    pub until: Timestamp,
    /// At most so many, the newest ones; never more than [`RECORDS_MAX`].
    pub limit: u32,
}

impl RecordQuery {
    /// Every record of a kind and subject.
    pub fn all(kind: &str, subject: &str) -> RecordQuery {
        RecordQuery {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            from: Timestamp::MIN,
            until: Timestamp::MAX,
            limit: RECORDS_MAX,
        }
    }
}
