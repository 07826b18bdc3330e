//! The power of machines, by their controllers: Redfish, IPMI, MAAS, any fence agent, an operator's word.
//!
//! It must never call a machine off because an order to switch it off was accepted: off is what was *read back*, twice.

mod child;
mod fence_agent;
mod hook;
mod ipmi;
mod maas;
mod machines;
mod manual;
mod none;
mod redfish;
mod secret;
mod switch;

pub use fence_agent::FenceAgent;
pub use ipmi::Ipmi;
pub use maas::Maas;
pub use machines::{How, Machines, Means, Supply};
pub use manual::{Word, Words};
pub use redfish::{Login, Redfish};
pub use secret::SecretFile;
pub use switch::{Proof, Refusal};
