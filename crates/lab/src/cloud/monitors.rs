//! Ostler's own monitors on the compute nodes: the program, its units, a key of each node's own. They are started together
//! with what they watch.
//!
//! The server that they speak to is on this machine, where a person or a test starts it. Must never give a node another
//! node's key.

use super::emulator::Virt;
use crate::command::Command;
use crate::error::LabError;
use crate::node_files::Place;
use crate::secrets::{Secrets, write_private};
use crate::settings::Ground;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the server answers monitors, on this machine's addresses in the lab's networks.
pub(crate) const REPORTS_PORT: u16 = 15_868;
/// Where the server hears heartbeats.
pub(crate) const HEARTBEAT_PORT: u16 = 15_869;

/// How long making a key may take.
const KEY_LIMIT: Duration = Duration::from_secs(30);

/// The units that run on every compute node.
const UNITS: [(&str, &str); 2] = [
    ("ostler-monitor-host.service", include_str!("../../../app/data/units/ostler-monitor-host.service")),
    (
        "ostler-monitor-process.service",
        include_str!("../../../app/data/units/ostler-monitor-process.service"),
    ),
];

/// The unit that runs where guests are libvirt's.
const GUESTS_UNIT: (&str, &str) = (
    "ostler-monitor-instance.service",
    include_str!("../../../app/data/units/ostler-monitor-instance.service"),
);

/// The names of the units that run on a compute node.
pub(crate) fn units(virt: Virt) -> Vec<&'static str> {
    files(virt).into_iter().map(|(name, _)| name).collect()
}

fn files(virt: Virt) -> Vec<(&'static str, &'static str)> {
    let mut all = UNITS.to_vec();
    if virt == Virt::Qemu {
        all.push(GUESTS_UNIT);
    }
    all
}

/// What the nodes run, as a file of the lab's own: the program may be replaced while the lab is up.
pub(crate) fn program(state: &Path) -> PathBuf {
    state.join("ostler")
}

/// Keeps the program for the nodes, and the servers' key.
pub(crate) fn keep(state: &Path, secrets: &Secrets) -> Result<(), LabError> {
    let (own, kept) = (format!("/proc/{}/exe", std::process::id()), program(state));
    std::fs::copy(&own, &kept).map_err(LabError::file("copying this program to", &kept))?;
    write_private(&state.join("server.key"), secrets.monitors.reveal())
}

/// Writes what a compute node's monitors need.
pub(crate) async fn write(
    place: &Place<'_>,
    node: usize,
    ground: &Ground,
    state: &Path,
) -> Result<(), LabError> {
    let (name, address) = &ground.nodes[node];
    let program = program(state);
    let said = Command::new(format!("making the key of {name}"), &program.to_string_lossy(), KEY_LIMIT)
        .args(["monitor", "key", name, "--key-file", &state.join("server.key").to_string_lossy()])
        .run()
        .await?;
    place.file("etc/ostler/host.key", 0o600, said.trim())?;
    let (server, storage) = (ground.subnet.bridge_address(), ground.subnet.storage_bridge_address());
    let bind = crate::name::Subnet::storage(*address);
    let text = format!(
        "key-file = \"host.key\"\n\n\
         [reports]\nservers = [\"http://{server}:{REPORTS_PORT}/v1\"]\n\n\
         [heartbeat.networks.management]\nservers = [\"{server}:{HEARTBEAT_PORT}\"]\n\n\
         [heartbeat.networks.storage]\nbind = \"{bind}\"\nservers = [\"{storage}:{HEARTBEAT_PORT}\"]\n\n\
         [[process.watch]]\nunit = \"nova-compute\"\n"
    );
    place.file("etc/ostler/monitor.toml", 0o644, &text)?;
    for (unit, text) in files(ground.virt) {
        place.file(&format!("etc/systemd/system/{unit}"), 0o644, text)?;
    }
    Ok(())
}
