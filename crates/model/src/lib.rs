//! The nouns of Ostler and the catalogue of OpenStack facts: what a cloud, a plan, a journal entry
//! and a release *are*, and the rules of their shape.
//!
//! This crate must never do input or output, never be async, and never know how anything outside is
//! spoken to: no route, no protocol, no shell syntax beyond the argument lists that the catalogue holds as data.

pub mod canary;
pub mod catalogue;
pub mod check;
pub mod cloud;
pub mod compute;
pub mod event;
pub mod function;
pub mod ha;
pub mod health;
pub mod ids;
pub mod inventory;
pub mod limits;
pub mod plan;
pub mod record;
pub mod release;
pub mod step;

pub use jiff::Timestamp;
