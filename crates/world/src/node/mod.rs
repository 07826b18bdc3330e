//! Nodes over SSH: looks at them, starts steps on them, and finds out what came of a step.
//!
//! This module must never decide what should be done, never call an effect absent of which it does not know that,
//! and never hold on a connection what must outlive it: effects run as transient units on the nodes.

mod backup;
mod config;
mod database;
mod known_hosts;
mod log_gate;
mod logs;
mod package;
mod parse;
mod proxy;
pub(crate) mod redact;
mod schema;
mod service;
pub(crate) mod shell;
mod ssh;
mod steps;
mod survey;
mod unit;
mod words;

pub use logs::{Lines, LogQuery, NODE_BYTES_MAX, NodeClock};
pub use ssh::{Connections, SshAccess, SshError};
pub use steps::SshNodes;
