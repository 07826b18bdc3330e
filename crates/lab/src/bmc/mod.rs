//! The power controllers of a lab's nodes: one server that speaks Redfish, outside the nodes and their networks, as a BMC is.
//! What it does is real: `ForceOff` kills the node's processes, `PowerState` is read from them.
//!
//! Must never outlive its lab, nor act on a node of another one.

mod mood;
mod redfish;
mod server;

pub use mood::Mood;

pub(crate) use mood::set as set_mood;
pub(crate) use server::{PORT, USER, end, is_running, start};

/// The mood of one node's power controller.
pub(crate) fn mood(path: &std::path::Path, node: &str) -> Mood {
    mood::read(path).get(node).copied().unwrap_or_default()
}
