//! Contracts of the seams, held against the real thing.

// Clippy takes only the functions marked as tests for tests, not what these call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod node_lab;
mod node_power;
mod node_sshd;
mod node_sshd_server;
mod register_contract;
mod store;
mod store_cluster;
mod store_contract;
mod store_galera;
