//! What was seen of a cloud, with its age and its holes.
//!
//! An inventory is never assumed complete: a node that did not answer is in it as a node that did not answer,
//! and each thing that could not be read is a gap with its reason. It holds digests of keys, never keys.

use crate::ids::HostName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format of a stored inventory. A reader refuses a newer one.
pub const INVENTORY_FORMAT: u16 = 1;

/// A cloud as seen at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Format of this record.
    pub format: u16,
    /// The cloud's name.
    pub cloud: String,
    /// When the survey began.
    pub taken: Timestamp,
    /// Every declared node, seen or not.
    pub nodes: BTreeMap<HostName, Seen>,
    /// What could not be seen although the node answered.
    pub gaps: Vec<Gap>,
}

impl Inventory {
    /// A node that answered in this survey.
    pub fn fresh(&self, host: &HostName) -> Option<&Node> {
        match self.nodes.get(host) {
            Some(Seen::Fresh(node)) => Some(node),
            _ => None,
        }
    }

    /// All nodes that answered in this survey.
    pub fn all_fresh(&self) -> impl Iterator<Item = (&HostName, &Node)> {
        self.nodes.iter().filter_map(|(host, seen)| match seen {
            Seen::Fresh(node) => Some((host, node.as_ref())),
            _ => None,
        })
    }
}

/// A node as far as it could be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// It answered.
    Fresh(Box<Node>),
    /// It did not answer this time; what it said last.
    Stale {
        /// The last answer.
        last: Box<Node>,
        /// When that was.
        since: Timestamp,
        /// Why it did not answer now.
        why: String,
    },
    /// It has never answered.
    Unreachable {
        /// Why not.
        why: String,
    },
}

/// One thing that could not be seen, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Where.
    pub host: HostName,
    /// What could not be read: `galera`, `schema keystone`, `haproxy`.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A kind of fact that a survey can gather. Asking for few makes a survey cheap enough to guard a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// Operating system, boot, clock, disks.
    System,
    /// Versions and states of the catalogue's packages.
    Packages,
    /// States of the catalogue's units, and the transient units of runs.
    Units,
    /// Digests of configuration files and key directories.
    Files,
    /// Galera's state.
    Galera,
    /// Schema heads of the catalogue's databases.
    Schemas,
    /// Servers and sessions of the load balancer.
    Proxy,
    /// The cache's answer.
    Cache,
}

impl Fact {
    /// Every kind.
    pub const ALL: [Fact; 8] = [
        Fact::System,
        Fact::Packages,
        Fact::Units,
        Fact::Files,
        Fact::Galera,
        Fact::Schemas,
        Fact::Proxy,
        Fact::Cache,
    ];
}

/// What one node said. A part that was not asked for, or could not be read, is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// `PRETTY_NAME` of the operating system.
    pub os: String,
    /// Identity of this boot: another value means that the node has restarted.
    pub boot_id: String,
    /// The node's clock minus ours, in milliseconds, and how sure that is.
    pub clock: Option<ClockSeen>,
    /// Free space where it matters, by directory.
    pub disks: BTreeMap<String, DiskSeen>,
    /// Packages by name.
    pub packages: BTreeMap<String, PackageSeen>,
    /// Units by name.
    pub units: BTreeMap<String, UnitSeen>,
    /// Files and key directories by path.
    pub files: BTreeMap<String, FileSeen>,
    /// Galera, where the node has it.
    pub galera: Option<GaleraSeen>,
    /// Schema heads by database. An empty list: the database has no version table.
    pub schemas: BTreeMap<String, Vec<String>>,
    /// Load balancer servers, where the node has one.
    pub proxy: Option<Vec<ServerSeen>>,
    /// Cache, where the node has one.
    pub cache: Option<CacheSeen>,
}

/// A clock as read from afar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSeen {
    /// Their clock minus ours.
    pub offset_ms: i64,
    /// Half the round trip: the true offset is within this of the value.
    pub doubt_ms: i64,
}

/// Space in a directory's file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSeen {
    /// Free for an ordinary user.
    pub free_mib: u64,
    /// In all.
    pub size_mib: u64,
}

/// A package as the package database has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageSeen {
    /// Installed version.
    pub version: String,
    /// `ii` when all is well; anything else is half-way.
    pub status: String,
    /// When its files were last unpacked (the package database's file list changed), by the node's clock, in
    /// seconds since 1970; 0 when unknown. A process that started before that runs the code of before.
    #[serde(default)]
    pub unpacked: i64,
}

/// A unit as systemd has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSeen {
    /// `loaded`, `not-found`, `masked`.
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating` …
    pub active: String,
    /// `running`, `dead`, `exited` …
    pub sub: String,
    /// Whether it starts at boot.
    pub enabled: String,
    /// Main process, 0 when there is none.
    pub main_pid: u32,
    /// When the main process started, by the node's clock, in seconds since 1970; 0 when unknown.
    pub started: i64,
    /// `success`, `exit-code`, `signal`, `timeout` …
    pub result: String,
    /// Exit status of the main process.
    pub exit_status: i32,
}

/// A file, or all files of a directory, by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSeen {
    /// SHA-256 in hexadecimal; of a directory: over names and contents, in order of name.
    pub sha256: String,
    /// For a package's configuration file: whether it differs from what the package shipped.
    pub changed_by_hand: Option<bool>,
}

/// Galera on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GaleraSeen {
    /// `Primary`, `non-Primary`, `Disconnected`.
    pub cluster_status: String,
    /// Members that this node sees.
    pub cluster_size: u32,
    /// 4 is Synced, 2 Donor or desynced.
    pub local_state: u32,
    /// Whether it answers queries.
    pub ready: bool,
    /// The cluster's identity.
    pub cluster_uuid: String,
    /// Last write-set applied.
    pub last_committed: i64,
    /// Oldest write-set kept for a returning member.
    pub cached_downto: i64,
    /// Write-sets waiting to be applied.
    pub recv_queue: u32,
}

/// One server of one load balancer backend, as one load balancer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSeen {
    /// The backend.
    pub backend: String,
    /// The server's name within it.
    pub server: String,
    /// Its address and port.
    pub address: String,
    /// Health as the balancer has it: up means that it would get requests were it not drained.
    pub up: bool,
    /// What an operator ordered.
    pub admin: ServerAdmin,
    /// Running sessions.
    pub sessions: u32,
    /// A stand-by server gets requests only when no other can.
    pub backup: bool,
}

impl ServerSeen {
    /// Whether new requests go there.
    pub fn serves(&self) -> bool {
        self.up && self.admin == ServerAdmin::Ready
    }
}

/// What an operator ordered for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerAdmin {
    /// In service.
    Ready,
    /// Finishes what it has, gets nothing new.
    Drain,
    /// Out of service.
    Maint,
}

/// A memory cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSeen {
    /// Whether it answered.
    pub answers: bool,
    /// Its version.
    pub version: String,
}
