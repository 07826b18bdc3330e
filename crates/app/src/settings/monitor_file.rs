//! What may stand in `monitor.toml`. Every key here is explained in docs/monitors.md.
//!
//! A key that is not listed here is refused, so that a typo never passes for a wish.

use crate::duration::Seconds;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    pub host: Option<Spanned<String>>,
    #[serde(default = "state_directory")]
    pub state_directory: PathBuf,
    pub key_file: Option<PathBuf>,
    #[serde(default)]
    pub reports: ReportsTable,
    pub heartbeat: Option<HeartbeatTable>,
    pub isolation: Option<Spanned<IsolationTable>>,
    pub pacemaker: Option<PacemakerTable>,
    pub consul: Option<Spanned<ConsulTable>>,
    #[serde(default)]
    pub instance: InstanceTable,
    #[serde(default)]
    pub process: ProcessTable,
}

fn state_directory() -> PathBuf {
    PathBuf::from("/var/lib/ostler/monitor")
}

/// `[reports]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ReportsTable {
    #[serde(default)]
    pub servers: Vec<Spanned<String>>,
    pub ca_file: Option<PathBuf>,
    pub keystone: Option<KeystoneTable>,
}

/// `[reports.keystone]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct KeystoneTable {
    pub auth_url: String,
    pub username: String,
    #[serde(default = "default_domain")]
    pub user_domain: String,
    pub project: String,
    #[serde(default = "default_domain")]
    pub project_domain: String,
    pub password_file: PathBuf,
    #[serde(default = "interface")]
    pub interface: String,
    pub region: Option<String>,
}

fn default_domain() -> String {
    "Default".to_owned()
}

fn interface() -> String {
    "internal".to_owned()
}

/// `[heartbeat]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct HeartbeatTable {
    #[serde(default = "beat_every")]
    pub every: Seconds,
    pub networks: BTreeMap<Spanned<String>, NetworkTable>,
}

fn beat_every() -> Seconds {
    Seconds(3)
}

/// `[heartbeat.networks.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct NetworkTable {
    pub bind: Option<Spanned<String>>,
    pub servers: Vec<Spanned<String>>,
}

/// `[isolation]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct IsolationTable {
    pub action: Action,
    pub after: Seconds,
    pub storage: PathBuf,
    pub watchdog: Option<PathBuf>,
}

/// What a host that is cut off does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Ends its guests.
    StopGuests,
    /// Stops feeding the watchdog, which resets the machine.
    Watchdog,
}

/// `[pacemaker]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PacemakerTable {
    #[serde(default = "look_every")]
    pub every: Seconds,
    #[serde(default = "looks")]
    pub looks: u32,
    #[serde(default)]
    pub remotes_only: bool,
    #[serde(default)]
    pub host_status: HostStatus,
}

fn look_every() -> Seconds {
    Seconds(10)
}

fn looks() -> u32 {
    2
}

/// When a host that is gone is reported as being without power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostStatus {
    /// When the cluster has fenced it.
    #[default]
    Fenced,
    /// Always.
    AlwaysNormal,
    /// Never.
    Unknown,
}

/// `[consul]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConsulTable {
    pub agents: BTreeMap<String, String>,
    pub matrix: Option<PathBuf>,
    #[serde(default = "look_every")]
    pub every: Seconds,
    #[serde(default = "looks")]
    pub looks: u32,
    #[serde(default = "consul_status")]
    pub host_status: HostStatus,
}

fn consul_status() -> HostStatus {
    HostStatus::Unknown
}

/// `[instance]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct InstanceTable {
    pub connection: String,
    pub compare_every: Seconds,
    pub failures_max: usize,
    pub failures_window: Seconds,
    pub guest_agent: Option<AgentTable>,
}

impl Default for InstanceTable {
    fn default() -> Self {
        Self {
            connection: "qemu:///system".to_owned(),
            compare_every: Seconds(60),
            failures_max: 3,
            failures_window: Seconds(3_600),
            guest_agent: None,
        }
    }
}

/// `[instance.guest-agent]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct AgentTable {
    pub every: Seconds,
    pub patience: Seconds,
    pub misses_max: u32,
}

impl Default for AgentTable {
    fn default() -> Self {
        Self { every: Seconds(10), patience: Seconds(2), misses_max: 3 }
    }
}

/// `[process]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct ProcessTable {
    pub every: Seconds,
    pub tries_max: u32,
    pub try_pause: Seconds,
    pub restarts_max: usize,
    pub restarts_window: Seconds,
    pub settle: Seconds,
    pub list: Option<PathBuf>,
    pub watch: Vec<Spanned<WatchTable>>,
}

impl Default for ProcessTable {
    fn default() -> Self {
        Self {
            every: Seconds(5),
            tries_max: 4,
            try_pause: Seconds(5),
            restarts_max: 8,
            restarts_window: Seconds(1_800),
            settle: Seconds(30),
            list: None,
            watch: Vec::new(),
        }
    }
}

/// `[[process.watch]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WatchTable {
    pub name: Option<String>,
    pub unit: Option<String>,
    pub program: Option<String>,
    pub restart: Option<String>,
}
