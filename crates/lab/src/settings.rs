//! What a lab writes down: its own record, and the files by which `ostler` and any OpenStack client find the cloud.
//!
//! Must never write a secret into a file that others can read.

use crate::bmc;
use crate::cache::write_whole;
use crate::cloud::catalogue::Part;
use crate::cloud::emulator::Virt;
use crate::cloud::monitors::{HEARTBEAT_PORT, REPORTS_PORT};
use crate::error::LabError;
use crate::name::{LabName, Subnet, compute_name, controller_name};
use crate::release::Release;
use crate::secrets::{Secrets, write_private};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::Path;

/// The version of the record's form.
const RECORD_FORMAT: u32 = 1;

/// A lab as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) format: u32,
    /// The `N` of `198.18.N.0/24`.
    pub(crate) network: u8,
    pub(crate) controllers: u8,
    /// How many compute nodes it has.
    #[serde(default)]
    pub(crate) computes: u8,
    /// What it has beyond keystone.
    #[serde(default)]
    pub(crate) parts: Vec<Part>,
    /// What runs its guests.
    #[serde(default)]
    pub(crate) virt: Virt,
    pub(crate) release: String,
    /// Whether it has been seen to serve.
    pub(crate) complete: bool,
    pub(crate) made: jiff::Timestamp,
}

impl Record {
    pub(crate) fn new(subnet: Subnet, controllers: u8, release: &str) -> Self {
        Self {
            format: RECORD_FORMAT,
            network: subnet.0,
            controllers,
            computes: 0,
            parts: Vec::new(),
            virt: Virt::default(),
            release: release.to_owned(),
            complete: false,
            made: jiff::Timestamp::now(),
        }
    }

    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), LabError> {
        write_whole(path, serde_json::to_string_pretty(self).unwrap_or_default().as_bytes())
    }
}

/// Names and addresses of a lab.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) lab: LabName,
    pub(crate) subnet: Subnet,
    pub(crate) virtual_address: Ipv4Addr,
    /// Controllers first.
    pub(crate) nodes: Vec<(String, Ipv4Addr)>,
    controllers: usize,
    /// What the lab has beyond keystone.
    pub(crate) parts: Vec<Part>,
    /// What runs its guests.
    pub(crate) virt: Virt,
    /// How the release that the nodes are made with speaks to memcached.
    pub(crate) cache_backend: &'static str,
}

impl Ground {
    pub(crate) fn new(lab: &LabName, record: &Record) -> Self {
        let subnet = Subnet(record.network);
        let controllers =
            (0..record.controllers).map(|index| (controller_name(index), subnet.controller(index)));
        let computes = (0..record.computes).map(|index| (compute_name(index), subnet.compute(index)));
        Self {
            lab: lab.clone(),
            subnet,
            virtual_address: subnet.virtual_address(),
            nodes: controllers.chain(computes).collect(),
            controllers: usize::from(record.controllers),
            parts: record.parts.clone(),
            virt: record.virt,
            cache_backend: Release::named(&record.release).map_or("", |release| release.cache_backend()),
        }
    }
}

impl Ground {
    /// The controllers, in their order.
    pub(crate) fn controllers(&self) -> &[(String, Ipv4Addr)] {
        self.nodes.split_at_checked(self.controllers).map_or(&[], |(controllers, _)| controllers)
    }

    /// The compute nodes, in their order.
    pub(crate) fn computes(&self) -> &[(String, Ipv4Addr)] {
        self.nodes.split_at_checked(self.controllers).map_or(&[], |(_, computes)| computes)
    }

    /// Whether there is more than keystone.
    pub(crate) fn has_cloud(&self) -> bool {
        self.parts.contains(&Part::Nova)
    }
}

/// Writes the files by which the cloud is found. `host_keys` are in the order of the nodes.
pub(crate) fn write(
    state: &Path,
    ground: &Ground,
    secrets: &Secrets,
    host_keys: &[String],
) -> Result<(), LabError> {
    let mut known = String::new();
    for ((node, address), key) in ground.nodes.iter().zip(host_keys) {
        known.push_str(&format!("{address} {key}\n{node} {key}\n"));
    }
    write_whole(&state.join("known_hosts"), known.as_bytes())?;
    write_private(&state.join("clouds.yaml"), &clouds_yaml(ground, secrets))?;
    write_whole(&state.join("ostler.toml"), ostler_toml(ground).as_bytes())
}

fn clouds_yaml(ground: &Ground, secrets: &Secrets) -> String {
    format!(
        "clouds:\n  {name}:\n    auth:\n      auth_url: http://{address}:5000/v3\n      username: admin\n      \
         password: \"{password}\"\n      project_name: admin\n      user_domain_name: Default\n      \
         project_domain_name: Default\n    region_name: RegionOne\n    identity_api_version: 3\n",
        name = ground.lab,
        address = ground.virtual_address,
        password = secrets.admin.reveal(),
    )
}

fn ostler_toml(ground: &Ground) -> String {
    let name = &ground.lab;
    let mut text = format!(
        "# Written by `ostler lab up`: how ostler reaches this lab.\n\
         [clouds.{name}]\nclouds-yaml = \"clouds.yaml\"\nclouds-entry = \"{name}\"\nflavour = \"debian\"\n\
         virtual-address = \"{address}\"\n\n\
         [clouds.{name}.ssh]\nuser = \"ostler\"\nkey = \"id_ed25519\"\nknown-hosts = \"known_hosts\"\n\n\
         [clouds.{name}.packages]\nsource = \"deb [trusted=yes] file:/srv/openstack/{{release}} ./\"\n\n\
         [clouds.{name}.backup]\ndirectory = \"/var/backups/ostler\"\n\n\
         [clouds.{name}.upgrade]\nsoak = \"5s\"\n",
        address = ground.virtual_address,
    );
    let controllers = ground.controllers().iter().map(|node| (node, "controller"));
    let computes = ground.computes().iter().map(|node| (node, "compute"));
    for ((node, address), role) in controllers.chain(computes) {
        text.push_str(&format!(
            "\n[clouds.{name}.nodes.{node}]\naddress = \"{address}\"\nroles = [\"{role}\"]\n"
        ));
    }
    if ground.has_cloud() {
        text.push_str(&instance_ha(ground));
    }
    text
}

/// How machines are switched off, and how a server on this machine recovers from their failures.
fn instance_ha(ground: &Ground) -> String {
    let name = &ground.lab;
    let (server, storage) = (ground.subnet.bridge_address(), ground.subnet.storage_bridge_address());
    format!(
        "\n[clouds.{name}.power]\nuse = [\"redfish\"]\n\n\
         [clouds.{name}.power.means.redfish]\nkind = \"redfish\"\naddress = \"http://{server}:{bmc}\"\nuser = \"{user}\"\n\
         password-file = \"bmc.password\"\nsystem = \"{{host}}\"\n\n\
         [serve]\nlisten = \"{server}:{REPORTS_PORT}\"\nclouds-yaml = \"clouds.yaml\"\nclouds-entry = \"{name}\"\n\
         server-keys = [\"server.key\"]\n\n\
         [serve.recovery]\nheartbeat-listen = [\"{server}:{HEARTBEAT_PORT}\", \"{storage}:{HEARTBEAT_PORT}\"]\n",
        bmc = bmc::PORT,
        user = bmc::USER,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_say_where_the_cloud_is_and_only_one_has_the_password() {
        let home = tempfile::tempdir().unwrap();
        let mut record = Record::new(Subnet(4), 3, "2024.1");
        record.computes = 1;
        let ground = Ground::new(&LabName::new("try-1").unwrap(), &record);
        let secrets = Secrets::draw().unwrap();
        let keys: Vec<String> = ["a", "b", "c", "d"].map(|key| format!("ssh-ed25519 {key}")).into();
        write(home.path(), &ground, &secrets, &keys).unwrap();
        let text = std::fs::read_to_string(home.path().join("ostler.toml")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let cloud = &table["clouds"]["try-1"];
        assert_eq!(cloud["nodes"]["ctl3"]["address"].as_str(), Some("198.18.4.13"));
        assert_eq!(cloud["nodes"]["cmp1"]["roles"][0].as_str(), Some("compute"));
        assert_eq!(
            cloud["packages"]["source"].as_str(),
            Some("deb [trusted=yes] file:/srv/openstack/{release} ./")
        );
        assert!(!text.contains(secrets.admin.reveal()));
        let yaml = std::fs::read_to_string(home.path().join("clouds.yaml")).unwrap();
        assert!(yaml.contains(secrets.admin.reveal()) && yaml.contains("http://198.18.4.10:5000/v3"));
        let known = std::fs::read_to_string(home.path().join("known_hosts")).unwrap();
        assert!(known.contains("198.18.4.12 ssh-ed25519 b\nctl2 ssh-ed25519 b\n"), "{known}");
        record.write(&home.path().join("lab.json")).unwrap();
        assert_eq!(Record::read(&home.path().join("lab.json")), Some(record));
    }
}
