//! Contracts of the seams, held against the real thing.

// Clippy takes only the functions marked as tests for tests, not what these call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod health;
mod http_server;
mod keystone;
mod masakari_import;
mod node_contract;
mod node_contract_lab;
mod node_lab;
mod node_power;
mod node_sshd;
mod node_sshd_server;
mod nova;
mod nova_fake;
mod nova_live;
mod nova_recovery;
mod power;
mod power_emulators;
mod register_contract;
mod store;
mod store_cluster;
mod store_contract;
mod store_galera;
