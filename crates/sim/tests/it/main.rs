//! The production planner, fold and driver against a pretended cloud.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what broke by panicking")]

mod contract;
mod each_step;
mod faults;
mod kills;
mod rollbacks;
mod storms;
mod story;
mod two_drivers;
