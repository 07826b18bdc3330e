//! Contracts of the seams, held against the real thing.

mod node_lab;
mod node_sshd;
mod store;
mod store_cluster;
mod store_contract;
mod store_galera;
