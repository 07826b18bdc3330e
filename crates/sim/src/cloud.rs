//! The state of a pretended cloud, and what was done to it.
//!
//! Every effect is recorded with the step that caused it, so that a test can say whether one was done twice.

use ostler_model::Timestamp;
use ostler_model::cloud::{Cloud, DeclaredNode, Flavour, Role};
use ostler_model::ids::{HostName, RunId, StepId};
use ostler_model::inventory::{
    CacheSeen, ClockSeen, DiskSeen, FileSeen, GaleraSeen, Gap, INVENTORY_FORMAT, Inventory, Node,
    PackageSeen, Seen, ServerAdmin, ServerSeen, UnitSeen,
};
use ostler_model::step::Job;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One pretended node.
#[derive(Clone, Debug)]
pub struct SimNode {
    /// Whether it has power and network.
    pub up: bool,
    /// Upstream version of the service's package.
    pub version: String,
    /// Whether the service runs, and since when (counted in effects).
    pub service: bool,
    /// Whether the database runs.
    pub database: bool,
    /// Heads that this node's copy of the database has.
    pub heads: Vec<String>,
    /// The main configuration's content, by a name.
    pub config: String,
    /// What its load balancer was told of each server.
    pub proxy: BTreeMap<String, ServerAdmin>,
    /// Dumps in its backup directory: run, heads.
    pub dumps: BTreeMap<RunId, Vec<String>>,
    /// Work under way or finished, by run, step and attempt.
    pub(crate) jobs: BTreeMap<(RunId, StepId, u16), Work>,
}

/// A job on a node.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) job: Job,
    pub(crate) ends: Timestamp,
    pub(crate) result: Option<Result<(), String>>,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// By which run.
    pub run: RunId,
    /// By which step.
    pub step: StepId,
    /// By which attempt.
    pub attempt: u16,
    /// The verb.
    pub verb: &'static str,
}

/// A fault that a test has ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The step's command fails this many times.
    Fails(u32),
    /// The step's command never ends.
    Hangs,
    /// The node loses power when the step begins, and stays off.
    PowerCut,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) nodes: BTreeMap<HostName, SimNode>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) faults: BTreeMap<StepId, Fault>,
    pub(crate) versions: Vec<String>,
    /// How often no server at all took requests, counted at each change.
    pub(crate) outages: u32,
}

/// A pretended cloud with one service on its controllers.
#[derive(Debug)]
pub struct SimCloud {
    /// As its operator would declare it.
    pub declared: Cloud,
    /// The service's load balancer backend.
    pub backend: String,
    /// The service's package.
    pub package: String,
    /// The service's unit.
    pub unit: String,
    /// The service's database.
    pub database: String,
    /// Files that are the same everywhere.
    pub files: Vec<String>,
    state: Mutex<State>,
}

/// What the pretended service is called, and where it stands.
#[derive(Clone, Debug)]
pub struct SimService {
    /// Load balancer backend.
    pub backend: String,
    /// Package.
    pub package: String,
    /// Unit.
    pub unit: String,
    /// Database.
    pub database: String,
    /// Files whose digests a survey reports; the first one is the main configuration.
    pub files: Vec<String>,
    /// Installed upstream version.
    pub version: String,
    /// Versions that the package source offers.
    pub offered: Vec<String>,
    /// Heads of the database.
    pub heads: Vec<String>,
}

impl SimCloud {
    /// A healthy cloud of some controllers.
    pub fn new(controllers: usize, service: SimService) -> SimCloud {
        let names: Vec<HostName> = (1..=controllers).map(|n| HostName::new(format!("ctl{n}"))).collect();
        let declared = Cloud {
            name: "sim".into(),
            flavour: Flavour::Debian,
            virtual_address: Some("192.0.2.10".into()),
            package_source: "deb sim:/{release} ./".into(),
            backup_directory: "/var/backups/ostler".into(),
            nodes: names
                .iter()
                .enumerate()
                .map(|(n, name)| {
                    let address = format!("192.0.2.{}", 11 + n);
                    (name.clone(), DeclaredNode { address, port: 22, roles: vec![Role::Controller] })
                })
                .collect(),
        };
        let node = SimNode {
            up: true,
            version: service.version.clone(),
            service: true,
            database: true,
            heads: service.heads.clone(),
            config: "as shipped".into(),
            proxy: names.iter().map(|name| (name.to_string(), ServerAdmin::Ready)).collect(),
            dumps: BTreeMap::new(),
            jobs: BTreeMap::new(),
        };
        let state = State {
            nodes: names.into_iter().map(|name| (name, node.clone())).collect(),
            versions: service.offered,
            ..State::default()
        };
        SimCloud {
            declared,
            backend: service.backend,
            package: service.package,
            unit: service.unit,
            database: service.database,
            files: service.files,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a node, as a person at its console would.
    pub fn change(&self, host: &str, change: impl FnOnce(&mut SimNode)) {
        if let Some(node) = self.state().nodes.get_mut(&HostName::new(host)) {
            change(node);
        }
    }

    /// A copy of a node.
    pub fn node(&self, host: &str) -> Option<SimNode> {
        self.state().nodes.get(&HostName::new(host)).cloned()
    }

    /// Orders a fault for a step.
    pub fn order(&self, step: &str, fault: Fault) {
        self.state().faults.insert(StepId::new(step), fault);
    }

    /// Everything that was done.
    pub fn effects(&self) -> Vec<Effect> {
        self.state().effects.clone()
    }

    /// How often no server took requests.
    pub fn outages(&self) -> u32 {
        self.state().outages
    }

    /// What a survey of these hosts sees.
    pub fn look(&self, hosts: &[HostName], now: Timestamp) -> Inventory {
        let state = self.state();
        let nodes = hosts
            .iter()
            .map(|host| {
                let seen = match state.nodes.get(host) {
                    Some(node) if node.up => Seen::Fresh(Box::new(self.seen(&state, node))),
                    _ => Seen::Unreachable { why: "it does not answer on port 22: timed out".into() },
                };
                (host.clone(), seen)
            })
            .collect();
        let gaps: Vec<Gap> = Vec::new();
        Inventory { format: INVENTORY_FORMAT, cloud: self.declared.name.clone(), taken: now, nodes, gaps }
    }

    fn seen(&self, state: &State, node: &SimNode) -> Node {
        let members = state.nodes.values().filter(|other| other.up && other.database).count() as u32;
        let primary = members as usize * 2 > state.nodes.len();
        let servers = node.proxy.iter().map(|(server, admin)| {
            let target = state.nodes.get(&HostName::new(server.as_str()));
            ServerSeen {
                backend: self.backend.clone(),
                server: server.clone(),
                address: String::new(),
                up: target.is_some_and(|target| target.up && target.service),
                admin: *admin,
                sessions: 0,
                backup: false,
            }
        });
        let package = PackageSeen { version: node.version.clone(), status: "ii".into(), unpacked: 0 };
        let active = if node.service { "active" } else { "inactive" };
        let unit =
            UnitSeen { load: "loaded".into(), active: active.into(), started: 1, ..UnitSeen::default() };
        let file = |name: &String| {
            let sha256 = if Some(name) == self.files.first() { node.config.clone() } else { "same".into() };
            (name.clone(), FileSeen { sha256, changed_by_hand: None })
        };
        let database = UnitSeen { load: "loaded".into(), ..UnitSeen::default() };
        Node {
            os: "simulated".into(),
            boot_id: "1".into(),
            clock: Some(ClockSeen { offset_ms: 0, doubt_ms: 1 }),
            disks: BTreeMap::from([(
                self.declared.backup_directory.clone(),
                DiskSeen { free_mib: 50_000, size_mib: 100_000 },
            )]),
            packages: BTreeMap::from([(self.package.clone(), package)]),
            units: BTreeMap::from([(self.unit.clone(), unit), ("mariadb.service".into(), database)]),
            files: self.files.iter().map(file).collect(),
            galera: node.database.then(|| GaleraSeen {
                cluster_status: if primary { "Primary" } else { "non-Primary" }.into(),
                cluster_size: members,
                local_state: 4,
                ready: primary,
                cluster_uuid: "sim".into(),
                ..GaleraSeen::default()
            }),
            schemas: match node.database {
                true => BTreeMap::from([(self.database.clone(), node.heads.clone())]),
                false => BTreeMap::new(),
            },
            proxy: Some(servers.collect()),
            cache: Some(CacheSeen { answers: true, version: "1".into() }),
        }
    }
}
