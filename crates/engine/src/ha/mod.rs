//! Decisions about hosts that may have died.
//!
//! Nothing here speaks to a host or a cloud, and nothing reads the clock: time is given.

pub mod heartbeat;
