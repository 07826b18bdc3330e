//! What the monitors on a compute host decide: what is worth a report, what is restarted first, when a host that
//! is cut off stops its own guests.
//!
//! Nothing here asks a hypervisor, a cluster or a process, and nothing reads the clock: what was seen and the time
//! are given.

pub mod guests;
pub mod isolation;
pub mod matrix;
pub mod peers;
pub mod processes;

use jiff::Timestamp;

/// The pause before the n-th repetition (from 0): doubled each time, with a ceiling.
fn widened_ms(first_ms: i64, times: u32, most_ms: i64) -> i64 {
    first_ms.saturating_mul(1i64 << times.min(20)).min(most_ms)
}

fn later(time: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond().saturating_add(ms)).unwrap_or(time)
}

fn ms_between(earlier: Timestamp, later: Timestamp) -> i64 {
    later.as_millisecond() - earlier.as_millisecond()
}

#[cfg(test)]
fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
}
