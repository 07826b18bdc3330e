//! What a lab looks like from this machine: which nodes have power, which services answer.
//!
//! Must never change anything.

use crate::bmc;
use crate::cloud::catalogue::{On, running_on};
use crate::cluster::{answers_ssh, galera};
use crate::hypervisor;
use crate::keystone::Keystone;
use crate::machine::Machine;
use crate::network::{self, Link, Network};
use crate::settings::{Ground, Record};
use futures_util::future::{join, join_all};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

/// How long one look at a service may take.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// How long one look inside a node may take.
const INSIDE_LIMIT: Duration = Duration::from_secs(10);

/// The role of nodes that run guests.
const COMPUTE: &str = "compute";

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
    /// Whether the power controllers are there; none in a lab without them.
    pub power_controllers: Option<bool>,
    /// Its nodes.
    pub nodes: Vec<NodeStatus>,
}

/// A node as it is now.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// The node's name.
    pub name: String,
    /// What it is: `controller` or `compute`.
    pub role: &'static str,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether it has power.
    pub running: bool,
    /// Whether its link is whole.
    pub connected: bool,
    /// Its link to the first network.
    pub link: Link,
    /// Its link to the second network; none where there is one network.
    pub storage_link: Option<Link>,
    /// The cloud's services that should run on it, with systemd's word for how they are.
    pub services: BTreeMap<String, String>,
    /// How many guests run on its own hypervisor; none where it has no hypervisor or does not answer.
    pub guests: Option<usize>,
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
        let controller = database && self.keystone && self.haproxy;
        let storage = self.storage_link.is_none_or(|link| link == Link::Up);
        self.running
            && self.connected
            && storage
            && self.ssh
            && (controller || self.role == COMPUTE)
            && self.not_active().is_empty()
    }

    /// The cloud's services that should run here and do not.
    pub fn not_active(&self) -> Vec<&str> {
        let not = self.services.iter().filter(|(_, state)| *state != "active");
        not.map(|(name, _)| name.as_str()).collect()
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
        power_controllers: ground.has_cloud().then(|| bmc::is_running(ground.lab.as_str())),
        nodes,
    }
}

async fn node(machine: &Machine, address: Ipv4Addr, ground: &Ground, cloud: &Keystone) -> NodeStatus {
    let is_compute = ground.computes().iter().any(|(name, _)| *name == machine.node);
    let wanted: Vec<&str> = running_on(if is_compute { On::Compute } else { On::Controller }, &ground.parts)
        .map(|package| package.name)
        .collect();
    let mut status = NodeStatus {
        name: machine.node.clone(),
        role: if is_compute { COMPUTE } else { "controller" },
        link: Link::Absent,
        storage_link: machine.storage_link.as_ref().map(|_| Link::Absent),
        services: wanted.iter().map(|name| ((*name).to_owned(), "unknown".to_owned())).collect(),
        guests: None,
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
    status.link = network::state(machine, Network::Management).await;
    status.connected = status.link == Link::Up;
    if status.storage_link.is_some() {
        status.storage_link = Some(network::state(machine, Network::Storage).await);
    }
    if is_compute {
        let (ssh, guests) = join(answers_ssh(address), hypervisor::ask(machine, ground.virt)).await;
        status.ssh = ssh;
        let runs = |guest: &&hypervisor::Guest| guest.state == "running";
        status.guests = guests.ok().map(|found| found.guests.iter().filter(runs).count());
    }
    if !wanted.is_empty() {
        // `is-active` fails when one is not; what it prints is what counts.
        let script = format!("systemctl is-active {} || true", wanted.join(" "));
        let said = machine.run("looking", &script, INSIDE_LIMIT).await.unwrap_or_default();
        for (name, state) in wanted.iter().zip(said.lines()) {
            status.services.insert((*name).to_owned(), state.to_owned());
        }
    }
    if is_compute {
        return status;
    }
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
