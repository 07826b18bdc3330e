//! Questions about a cloud that can be answered from what is seen: preflight checks and the guards of steps.
//!
//! A check is a value; the engine judges it over an inventory. It never says how a fact is obtained.

use crate::ids::HostName;
use serde::{Deserialize, Serialize};

/// One question with its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "check", rename_all = "kebab-case")]
pub enum Check {
    /// Every node answers.
    Reachable {
        /// Which nodes.
        nodes: Vec<HostName>,
    },
    /// On every node: Primary, Synced, ready, the same cluster, `size` members, nothing queued.
    GaleraWhole {
        /// Members of the cluster.
        nodes: Vec<HostName>,
        /// Expected size.
        size: u32,
    },
    /// Every load balancer answers and sends requests to each of these servers.
    AllServe {
        /// The backend.
        backend: String,
        /// Servers that must serve.
        servers: Vec<String>,
        /// Load balancers.
        proxies: Vec<HostName>,
    },
    /// Every load balancer answers and has another server than this one that takes requests.
    OthersServe {
        /// The backend.
        backend: String,
        /// The server that is about to be taken out.
        server: String,
        /// Load balancers.
        proxies: Vec<HostName>,
    },
    /// Every load balancer answers and sends no request to this server.
    OutOfService {
        /// The backend.
        backend: String,
        /// The server.
        server: String,
        /// Load balancers.
        proxies: Vec<HostName>,
    },
    /// The caches answer.
    CacheAnswers {
        /// Where they run.
        nodes: Vec<HostName>,
    },
    /// There is room.
    DiskFree {
        /// Where.
        nodes: Vec<HostName>,
        /// In which directory's file system.
        directory: String,
        /// How much.
        mib: u64,
    },
    /// The clocks agree with each other.
    ClocksAgree {
        /// Whose.
        nodes: Vec<HostName>,
        /// How far apart they may be.
        within_ms: i64,
    },
    /// A directory of keys is the same everywhere.
    SameFiles {
        /// Where.
        nodes: Vec<HostName>,
        /// The directory or file.
        path: String,
    },
    /// A database's heads are one of these sets.
    HeadsAre {
        /// The database.
        database: String,
        /// Who may be asked: the first that answers.
        nodes: Vec<HostName>,
        /// Acceptable sets of heads, each sorted.
        any_of: Vec<Vec<String>>,
    },
    /// Units run.
    UnitsActive {
        /// Where.
        nodes: Vec<HostName>,
        /// Which.
        units: Vec<String>,
    },
    /// Packages are installed completely, in exactly these versions, and the units started after that.
    Runs {
        /// Where.
        nodes: Vec<HostName>,
        /// The package.
        package: String,
        /// The upstream version that must be installed.
        version: String,
        /// The units that run its code.
        units: Vec<String>,
    },
    /// The power of a node does not read as on. No reading leaves an earlier proof as it is.
    PowerIsOff {
        /// The node.
        node: HostName,
    },
    /// No package is left half-configured.
    PackagesSettled {
        /// Where.
        nodes: Vec<HostName>,
    },
}

impl Check {
    /// The check's name: stable, for reports and tests.
    pub fn name(&self) -> &'static str {
        match self {
            Check::Reachable { .. } => "nodes-reachable",
            Check::GaleraWhole { .. } => "galera-whole",
            Check::AllServe { .. } => "backends-serve",
            Check::OthersServe { .. } => "others-serve",
            Check::OutOfService { .. } => "out-of-service",
            Check::CacheAnswers { .. } => "cache-answers",
            Check::DiskFree { .. } => "disk-free",
            Check::ClocksAgree { .. } => "clocks-agree",
            Check::SameFiles { .. } => "same-files",
            Check::HeadsAre { .. } => "schema-heads",
            Check::UnitsActive { .. } => "units-active",
            Check::Runs { .. } => "runs-version",
            Check::PackagesSettled { .. } => "packages-settled",
            Check::PowerIsOff { .. } => "power-is-off",
        }
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; blocks nothing.
    Advice,
    /// Something should be done soon.
    Warning,
    /// Something is wrong; work that depends on it must not begin.
    Error,
}

/// The answer to a check, with evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check's name.
    pub check: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, in one line.
    pub summary: String,
    /// What it was seen by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What to do now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
