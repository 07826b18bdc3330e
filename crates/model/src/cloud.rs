//! A cloud as its operator declares it: which nodes there are, what they are for, and how they are reached.
//!
//! This is what is *said*; what is *seen* is an inventory. Secrets are never held here, only where they are kept.

use crate::ids::HostName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How OpenStack is installed on a cloud's nodes; names a section of each service's catalogue page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// Debian or Ubuntu packages with systemd units.
    #[default]
    Debian,
}

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// APIs, database, load balancer, cache.
    Controller,
    /// Other people's instances.
    Compute,
    /// Routers, DHCP, gateways.
    Network,
    /// Volumes and objects.
    Storage,
}

/// One node as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredNode {
    /// Address or name that SSH connects to; also the address that its services listen on.
    pub address: String,
    /// SSH port.
    pub port: u16,
    /// What the node is for.
    pub roles: Vec<Role>,
}

/// One cloud as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cloud {
    /// The cloud's name in the settings.
    pub name: String,
    /// How OpenStack is installed there.
    pub flavour: Flavour,
    /// The address in front of the load balancers, where there is one.
    pub virtual_address: Option<String>,
    /// The package source of a release: `{release}` stands for the series.
    pub package_source: String,
    /// The directory on nodes that holds backups.
    pub backup_directory: String,
    /// The nodes by name.
    pub nodes: BTreeMap<HostName, DeclaredNode>,
}

impl Cloud {
    /// The nodes with a role, in order of name.
    pub fn with_role(&self, role: Role) -> Vec<HostName> {
        self.nodes
            .iter()
            .filter(|(_, node)| node.roles.contains(&role))
            .map(|(name, _)| name.clone())
            .collect()
    }
}
