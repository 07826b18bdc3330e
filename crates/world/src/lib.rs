//! Real effects: SSH to nodes, calls to OpenStack, the store on disk or in the cloud's database, time and chance.
//!
//! This crate speaks protocols. It must never decide anything that an operator would want to see or argue with:
//! it carries out what a step says, and reports what is.

pub mod announce;
pub mod health;
pub mod instrument;
pub mod monitor;
pub mod node;
pub mod openstack;
pub mod oslo_ini;
pub mod power;
pub mod store;
pub mod system;
pub mod web;
