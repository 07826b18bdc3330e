//! The production planner, fold and driver against a pretended cloud.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what broke by panicking")]

mod attended;
mod breach;
mod canary;
mod contract;
mod deadly_register;
mod each_step;
mod faults;
mod kills;
mod outages;
mod register;
#[path = "../../../world/tests/it/register_contract.rs"]
mod register_contract;
mod rollbacks;
mod said;
mod storms;
mod story;
mod two_drivers;
