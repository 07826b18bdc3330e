//! The network of a lab: one bridge on this machine, no way out.
//!
//! Must never give the nodes a route to anywhere else, nor touch a link that is not of the lab that was named.

use crate::command::Command;
use crate::error::LabError;
use crate::name::{LabName, Subnet};
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

/// How long a change of a link may take.
const LINK_LIMIT: Duration = Duration::from_secs(20);
/// Held while a network is chosen, so that two labs do not choose the same one.
const CHOICE_LOCK: &str = "/run/ostler-lab-network.lock";

fn ip(doing: String, arguments: &[&str]) -> Command {
    Command::new(doing, "ip", LINK_LIMIT).args(arguments.iter().copied())
}

/// Makes the lab's bridge with an address in a free network.
pub(crate) async fn raise(lab: &LabName) -> Result<Subnet, LabError> {
    let lock = File::create(CHOICE_LOCK).map_err(LabError::file("opening", CHOICE_LOCK))?;
    // Held for a moment only, by whoever holds it.
    lock.lock().map_err(LabError::file("locking", CHOICE_LOCK))?;
    let mut taken = ip("listing addresses".into(), &["-4", "-o", "address", "show"]).run().await?;
    taken.push_str(&ip("listing routes".into(), &["-4", "route", "show"]).run().await?);
    let subnet = Subnet::choose(&taken).ok_or_else(|| LabError::CannotRun {
        why: "every network of 198.18.0.0/16 is in use".to_owned(),
        todo: "take labs down that nobody needs".to_owned(),
    })?;
    make(&lab.bridge(), subnet.bridge_address()).await?;
    Ok(subnet)
}

/// Makes the bridge of the lab's second network.
pub(crate) async fn raise_storage(lab: &LabName, subnet: Subnet) -> Result<(), LabError> {
    make(&lab.storage_bridge(), subnet.storage_bridge_address()).await
}

async fn make(bridge: &str, address: Ipv4Addr) -> Result<(), LabError> {
    let address = format!("{address}/24");
    let doing = || format!("making the bridge {bridge}");
    ip(doing(), &["link", "add", "name", bridge, "type", "bridge", "stp_state", "0", "mcast_snooping", "0"])
        .run()
        .await?;
    ip(doing(), &["address", "add", &address, "dev", bridge]).run().await?;
    ip(doing(), &["link", "set", "dev", bridge, "up"]).run().await.map(drop)
}

/// Hangs a link of this machine on a bridge.
pub(crate) async fn join(link: &str, bridge: &str) -> Result<(), LabError> {
    ip(format!("hanging the link {link} on {bridge}"), &["link", "set", "dev", link, "master", bridge, "up"])
        .run()
        .await
        .map(drop)
}

/// Whether the lab's bridge is there.
pub(crate) fn is_up(lab: &LabName) -> bool {
    Path::new("/sys/class/net").join(lab.bridge()).exists()
}

/// Removes the lab's bridges and what hangs on them.
pub(crate) async fn remove(lab: &LabName) -> Result<(), LabError> {
    for bridge in [lab.bridge(), lab.storage_bridge()] {
        remove_one(&bridge).await?;
    }
    Ok(())
}

async fn remove_one(bridge: &str) -> Result<(), LabError> {
    let ports = std::fs::read_dir(Path::new("/sys/class/net").join(bridge).join("brif"));
    for port in ports.into_iter().flatten().flatten() {
        let name = port.file_name().to_string_lossy().into_owned();
        // The link of a node that just lost power vanishes by itself.
        let _ = ip(format!("removing the link {name}"), &["link", "delete", "dev", &name]).run().await;
    }
    if Path::new("/sys/class/net").join(bridge).exists() {
        ip(format!("removing the bridge {bridge}"), &["link", "delete", "dev", bridge]).run().await?;
    }
    Ok(())
}

/// Cuts a node's link on this machine's side, or mends it.
pub(crate) async fn set_link(link: &str, up: bool) -> Result<(), LabError> {
    let state = if up { "up" } else { "down" };
    ip(format!("setting the link {link} {state}"), &["link", "set", "dev", link, state]).run().await.map(drop)
}

/// Whether a link is up on this machine's side.
pub(crate) fn is_link_up(link: &str) -> bool {
    let flags = std::fs::read_to_string(format!("/sys/class/net/{link}/flags")).unwrap_or_default();
    u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).is_ok_and(|flags| flags & 1 == 1)
}
