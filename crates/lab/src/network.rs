//! Cuts and mends the networks of one node: whole links, or one direction of them.
//!
//! Must never cut what leads to a node's power controller: that is not on the node's networks.

use crate::bridge;
use crate::command::Command;
use crate::error::LabError;
use crate::machine::{Machine, STORAGE_DEVICE};
use serde::Serialize;
use std::time::Duration;

/// How long a change of a link may take.
const LINK_LIMIT: Duration = Duration::from_secs(10);
/// The node's own name for its link to the first network.
const DEVICE: &str = "host0";

/// A network of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Where its services are reached.
    Management,
    /// Where it reaches its storage, in labs with Nova.
    Storage,
}

/// What of a link is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of it: the node sees that there is no carrier.
    Whole,
    /// What comes to the node.
    In,
    /// What the node sends.
    Out,
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// There is none, as the node has no power.
    Absent,
    /// Whole.
    Up,
    /// Cut in both directions.
    Cut,
    /// The node hears nothing.
    CutIn,
    /// Nobody hears the node.
    CutOut,
}

/// A network's link: its name on this machine, its name on the node.
fn ends(machine: &Machine, network: Network) -> Result<(String, &'static str), LabError> {
    let off = || LabError::NodeIsOff { node: machine.node.clone() };
    match network {
        Network::Management => Ok((machine.link().ok_or_else(off)?, DEVICE)),
        Network::Storage => {
            machine.power().ok_or_else(off)?;
            let none = || {
                LabError::refused(
                    format!("`{}` has one network only", machine.node),
                    "cut that one, or make a lab with `--with nova`: its nodes have two",
                )
            };
            Ok((machine.storage_link.clone().ok_or_else(none)?, STORAGE_DEVICE))
        }
    }
}

fn tc(words: &[&str]) -> Command {
    Command::new("changing what a link lets through", "tc", LINK_LIMIT).args(words.iter().copied())
}

/// The same as the node sees it.
fn tc_inside(init: u32, words: &[&str]) -> Command {
    Command::new("changing what a link lets through", "nsenter", LINK_LIMIT)
        .arg(format!("--net=/proc/{init}/ns/net"))
        .args(["--", "tc"])
        .args(words.iter().copied())
}

/// Cuts a node's link to a network.
pub(crate) async fn cut(machine: &Machine, network: Network, what: Cut) -> Result<(), LabError> {
    let (link, device) = ends(machine, network)?;
    match (what, machine.power()) {
        (Cut::Whole, _) => bridge::set_link(&link, false).await,
        // What this machine sends into the link is what the node would hear.
        (Cut::In, _) => tc(&["qdisc", "replace", "dev", &link, "root", "blackhole"]).run().await.map(drop),
        (Cut::Out, Some(power)) => {
            let words = ["qdisc", "replace", "dev", device, "root", "blackhole"];
            tc_inside(power.init, &words).run().await.map(drop)
        }
        (Cut::Out, None) => Err(LabError::NodeIsOff { node: machine.node.clone() }),
    }
}

/// Mends a node's link to a network, whatever was cut.
pub(crate) async fn mend(machine: &Machine, network: Network) -> Result<(), LabError> {
    let (link, device) = ends(machine, network)?;
    bridge::set_link(&link, true).await?;
    if swallows(tc(&["qdisc", "show", "dev", &link])).await {
        tc(&["qdisc", "delete", "dev", &link, "root"]).run().await?;
    }
    if let Some(power) = machine.power()
        && swallows(tc_inside(power.init, &["qdisc", "show", "dev", device])).await
    {
        tc_inside(power.init, &["qdisc", "delete", "dev", device, "root"]).run().await?;
    }
    Ok(())
}

/// How a node's link to a network is.
pub(crate) async fn state(machine: &Machine, network: Network) -> Link {
    let (Ok((link, device)), Some(power)) = (ends(machine, network), machine.power()) else {
        return Link::Absent;
    };
    let deaf = swallows(tc(&["qdisc", "show", "dev", &link])).await;
    let mute = swallows(tc_inside(power.init, &["qdisc", "show", "dev", device])).await;
    match (bridge::is_link_up(&link), deaf, mute) {
        (false, ..) | (true, true, true) => Link::Cut,
        (true, true, false) => Link::CutIn,
        (true, false, true) => Link::CutOut,
        (true, false, false) => Link::Up,
    }
}

async fn swallows(show: Command) -> bool {
    show.run().await.is_ok_and(|text| text.contains("blackhole"))
}
