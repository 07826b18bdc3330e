//! What the monitors on a compute host see and send: guests through libvirt, processes and units, clusters that watch
//! hosts, heartbeats, and reports to a server that speaks the Masakari API, version 1.
//!
//! It must never hold an administrator's credentials, never decide what a report is worth, and never leave a child
//! process behind.

pub mod child;
pub mod cluster;
pub mod delivery;
pub mod guests;
pub mod heartbeat;
pub mod isolation;
pub mod keys;
pub mod processes;
pub mod report;
pub mod spool;
pub mod systemd;
mod token;
mod wire;

pub use token::Account;
