//! What may stand in `ostler.toml`. Every key here is explained in docs/ostler-toml.md.
//!
//! A key that is not listed here is refused, so that a typo never passes for a wish.

use super::power::PowerTable;
use crate::duration::Seconds;
use clap::ValueEnum;
use ostler_model::canary::Suite;
use ostler_model::cloud::{Flavour, Role};
use ostler_model::plan::Strategy;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// The cloud that is meant when none is named.
    pub default_cloud: Option<Spanned<String>>,
    /// The clouds by name.
    #[serde(default)]
    pub clouds: BTreeMap<Spanned<String>, CloudTable>,
    /// Where plans and journals are kept.
    pub state: Option<StateTable>,
    /// A site's own catalogue pages.
    pub catalogue: Option<CatalogueTable>,
    /// The server.
    pub serve: Option<super::serve::ServeTable>,
}

/// `[clouds.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CloudTable {
    /// The clouds.yaml that holds the credentials.
    pub clouds_yaml: PathBuf,
    /// The entry in it.
    pub clouds_entry: Option<String>,
    /// How OpenStack is installed.
    #[serde(default)]
    pub flavour: Flavour,
    /// The address in front of the load balancers.
    pub virtual_address: Option<String>,
    /// How nodes are reached.
    pub ssh: SshTable,
    /// Where packages come from.
    pub packages: PackagesTable,
    /// Where backups go.
    #[serde(default)]
    pub backup: BackupTable,
    /// How upgrades are done.
    #[serde(default)]
    pub upgrade: UpgradeTable,
    /// How machines are switched off.
    #[serde(default)]
    pub power: PowerTable,
    /// The nodes by name.
    #[serde(default)]
    pub nodes: BTreeMap<Spanned<String>, NodeTable>,
}

/// `[clouds.NAME.ssh]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SshTable {
    /// The account on the nodes.
    pub user: String,
    /// The private key.
    pub key: PathBuf,
    /// The nodes' host keys.
    pub known_hosts: PathBuf,
}

/// `[clouds.NAME.packages]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PackagesTable {
    /// The source line, with `{release}`.
    pub source: Spanned<String>,
}

/// `[clouds.NAME.backup]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BackupTable {
    /// The directory on the nodes.
    pub directory: Spanned<String>,
}

impl Default for BackupTable {
    fn default() -> Self {
        Self { directory: Spanned::new(0..0, "/var/backups/ostler".to_owned()) }
    }
}

/// `[clouds.NAME.upgrade]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct UpgradeTable {
    /// How long the new release must have served without trouble before anything final.
    pub soak: Seconds,
    /// The strategy, unless the planner shall choose.
    pub strategy: Option<Strategy>,
    /// Whether everything is asked again and again, and logs are read, after each change.
    pub function_check: bool,
    /// What a user does and is tried before the first change and before what cannot be taken back.
    pub canary: Canary,
}

/// What a canary tries in an upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Canary {
    /// Nothing.
    None,
    /// A token, an image, a server.
    #[default]
    Basic,
    /// A network, a subnet, a router, a port.
    Network,
    /// An image, a volume.
    Storage,
    /// All of it, and a live migration.
    Full,
}

impl Canary {
    /// The suite, if anything is tried.
    pub fn suite(self) -> Option<Suite> {
        match self {
            Canary::None => None,
            Canary::Basic => Some(Suite::Basic),
            Canary::Network => Some(Suite::Network),
            Canary::Storage => Some(Suite::Storage),
            Canary::Full => Some(Suite::Full),
        }
    }
}

impl Default for UpgradeTable {
    fn default() -> Self {
        Self { soak: Seconds(600), strategy: None, function_check: true, canary: Canary::default() }
    }
}

/// `[clouds.NAME.nodes.NODE]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NodeTable {
    /// Address or name.
    pub address: String,
    /// SSH port.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// What the node is for.
    pub roles: Vec<Role>,
}

fn ssh_port() -> u16 {
    22
}

/// `[state]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StateTable {
    /// A file, or `mysql://…`.
    pub store: String,
}

/// `[catalogue]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CatalogueTable {
    /// The directory with `releases/*.toml` and `services/*.toml`.
    pub directory: PathBuf,
}
