//! What a lab looks like from this machine: which nodes have power, which services answer.
//!
//! Must never change anything.

use crate::bridge::is_link_up;
use crate::cluster::{answers_ssh, galera};
use crate::keystone::Keystone;
use crate::machine::Machine;
use crate::settings::{Ground, Record};
use futures_util::future::{join, join_all};
use serde::Serialize;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

/// How long one look at a service may take.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// How long one look inside a node may take.
const INSIDE_LIMIT: Duration = Duration::from_secs(10);

/// A lab as it is now.
#[derive(Clone, Debug, Serialize)]
pub struct LabStatus {
    /// The lab's name.
    pub name: String,
    /// The release that its nodes were made with.
    pub release: String,
    /// Whether it has been seen to serve after it was made; if not, making it was interrupted.
    pub complete: bool,
    /// When it was made.
    pub made: jiff::Timestamp,
    /// The virtual address.
    pub virtual_address: Ipv4Addr,
    /// Where keystone is.
    pub auth_url: String,
    /// Whether keystone answers at the virtual address.
    pub keystone_answers: bool,
    /// Releases whose packages the nodes can see.
    pub releases: Vec<String>,
    /// Its nodes.
    pub nodes: Vec<NodeStatus>,
}

/// A node as it is now.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// The node's name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether it has power.
    pub running: bool,
    /// Whether its link is up on this machine's side.
    pub connected: bool,
    /// Whether its sshd answers.
    pub ssh: bool,
    /// What its database says about itself, `Synced` when all is well; none when it does not answer.
    pub galera: Option<String>,
    /// How many members its database sees; none when it does not answer.
    pub galera_size: Option<u32>,
    /// Whether its database is in the primary component.
    pub galera_primary: bool,
    /// Whether its keystone says that it is healthy.
    pub keystone: bool,
    /// The installed version of keystone's package.
    pub keystone_version: Option<String>,
    /// Whether its load balancer runs.
    pub haproxy: bool,
    /// Whether it holds the virtual address.
    pub virtual_address: bool,
}

impl NodeStatus {
    /// Whether everything on the node serves.
    pub fn is_well(&self) -> bool {
        let database = self.galera_primary && self.galera.as_deref() == Some("Synced");
        self.running && self.connected && self.ssh && database && self.keystone && self.haproxy
    }
}

/// Looks at a lab.
pub(crate) async fn look(
    machines: &[Machine],
    ground: &Ground,
    record: &Record,
    releases: &Path,
) -> LabStatus {
    let cloud = Keystone::new(ground.virtual_address, "");
    let nodes = join_all(
        machines
            .iter()
            .zip(&ground.nodes)
            .map(|(machine, (_, address))| node(machine, *address, ground, &cloud)),
    );
    let (nodes, keystone_answers) = join(nodes, cloud.is_healthy(LOOK_LIMIT)).await;
    let mut seen: Vec<String> = std::fs::read_dir(releases)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    seen.sort();
    LabStatus {
        name: ground.lab.to_string(),
        release: record.release.clone(),
        complete: record.complete,
        made: record.made,
        virtual_address: ground.virtual_address,
        auth_url: format!("http://{}:5000/v3", ground.virtual_address),
        keystone_answers,
        releases: seen,
        nodes,
    }
}

async fn node(machine: &Machine, address: Ipv4Addr, ground: &Ground, cloud: &Keystone) -> NodeStatus {
    let mut status = NodeStatus {
        name: machine.node.clone(),
        address,
        running: machine.power().is_some(),
        connected: false,
        ssh: false,
        galera: None,
        galera_size: None,
        galera_primary: false,
        keystone: false,
        keystone_version: None,
        haproxy: false,
        virtual_address: false,
    };
    if !status.running {
        return status;
    }
    status.connected = machine.link().is_some_and(|link| is_link_up(&link));
    let here = cloud.at(address);
    let outside = join(answers_ssh(address), here.is_healthy(LOOK_LIMIT));
    let script = format!(
        "systemctl is-active --quiet haproxy.service && echo haproxy\n\
         ip -4 -o address show dev host0 | grep -qF ' {}/' && echo virtual\n\
         dpkg-query --show --showformat='version ${{Version}}\\n' keystone\n",
        ground.virtual_address
    );
    let script = format!("set +e\n{script}true");
    let inside = join(galera(machine), machine.run("looking", &script, INSIDE_LIMIT));
    let ((ssh, keystone), (galera, words)) = join(outside, inside).await;
    let words = words.unwrap_or_default();
    status.ssh = ssh;
    status.keystone = keystone;
    status.haproxy = words.lines().any(|line| line == "haproxy");
    status.virtual_address = words.lines().any(|line| line == "virtual");
    status.keystone_version = words.lines().find_map(|line| line.strip_prefix("version ")).map(str::to_owned);
    if let Ok(galera) = galera {
        status.galera_primary = galera.status == "Primary";
        status.galera_size = Some(galera.size);
        status.galera = Some(galera.state);
    }
    status
}
