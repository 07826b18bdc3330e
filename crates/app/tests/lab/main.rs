//! The real thing: this binary against a real cluster in the lab, under load, with kills, power cuts and bad luck.
//!
//! One lab serves all tests, one after another (`./test lab`); each makes sure that it finds what it needs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what broke by panicking")]

mod bad_luck;
mod failed_creates;
mod ground;
mod health;
mod isolated;
mod kills;
mod nova;
mod nova_ha;
mod offline;
mod power;
mod real_guests;
mod serve;
mod three_servers;
mod zero_downtime;
