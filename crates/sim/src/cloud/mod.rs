//! The state of a pretended cloud, and what was done to it.
//!
//! Every effect is recorded with the step that caused it, so that a test can say whether one was done twice. Nothing
//! here decides what is done; it only happens here.

mod effects;
mod from_seen;
mod galera;
mod look;
mod power;
mod repair;
mod user;
mod verbs;

pub(crate) use effects::JobSeen;
pub use galera::Cluster;

use crate::storm::SECRET;
use ostler_model::Timestamp;
use ostler_model::cloud::{Cloud, DeclaredNode, Flavour, Role};
use ostler_model::ids::{HostName, PlanId, RunId, StepId};
use ostler_model::inventory::ServerAdmin;
use ostler_model::plan::Plan;
use ostler_model::step::Job;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One attempt of a step: the name under which a node knows it.
pub(crate) type Key = (RunId, StepId, u16);

/// How a node can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// As it should be.
    #[default]
    Up,
    /// Nothing gets through, neither from us nor among nodes.
    Cut,
    /// It hears us and does what it is told; its answers get lost.
    Mute,
    /// It answers, this many milliseconds late.
    Slow(u32),
}

/// One pretended node.
#[derive(Clone, Debug)]
pub struct SimNode {
    /// Whether it has power.
    pub up: bool,
    /// How it can be reached.
    pub link: Link,
    /// How often it has booted.
    pub boot: u32,
    /// Upstream version of the service's package.
    pub version: String,
    /// Whether the package is installed all the way.
    pub settled: bool,
    /// Whether the service runs.
    pub service: bool,
    /// The version that the running process has loaded.
    pub running: String,
    /// Whether the node has a load balancer.
    pub balances: bool,
    /// Whether the node is a member of the database cluster.
    pub member: bool,
    /// Whether the database runs.
    pub database: bool,
    /// Whether the database is kept from starting at boot.
    pub held_back: bool,
    /// Whether the database stopped so that its position is known.
    pub clean: bool,
    /// Whether its data were thrown away.
    pub wiped: bool,
    /// Heads that this node's copy of the database has.
    pub heads: Vec<String>,
    /// The main configuration's content, by a name.
    pub config: String,
    /// What was laid beside it.
    pub staged: Option<String>,
    /// The key directories' content, by a name.
    pub keys: String,
    /// Whether the cache answers.
    pub cache: bool,
    /// Free space, in MiB.
    pub free_mib: u64,
    /// How far its clock is ahead.
    pub ahead_ms: i64,
    /// What its load balancer was told of each server.
    pub proxy: BTreeMap<String, ServerAdmin>,
    /// Configuration in its backup directory, by run.
    pub files: BTreeMap<RunId, String>,
    /// Dumps in its backup directory: run, heads.
    pub dumps: BTreeMap<RunId, Vec<String>>,
    /// When the package's files were unpacked and when the process started, in effects: the later one is the newer.
    pub(crate) unpacked: i64,
    pub(crate) started: i64,
    /// Work under way or finished, by run, step and attempt.
    pub(crate) jobs: BTreeMap<Key, Work>,
    /// Attempts that were given up before they were begun.
    pub(crate) closed: BTreeSet<Key>,
}

impl SimNode {
    /// Whether others can reach it.
    pub fn reachable(&self) -> bool {
        self.up && self.link != Link::Cut
    }

    /// Whether it answers us.
    pub fn answers(&self) -> bool {
        self.reachable() && self.link != Link::Mute
    }
}

/// A job on a node.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) job: Arc<Job>,
    pub(crate) ends: Timestamp,
    pub(crate) how: How,
    /// What the unit wrote down: none while it runs, or when that was lost.
    pub(crate) result: Option<Result<(), String>>,
    pub(crate) over: bool,
}

/// How a command goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum How {
    /// As it should.
    #[default]
    Well,
    /// It fails and has done nothing.
    Fails,
    /// It does everything, and what it wrote down is lost.
    Silent,
    /// It breaks off in the middle.
    Breaks,
    /// It never ends.
    Hangs,
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

/// A fault that a test has ordered for a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The step's command fails this many times.
    Fails(u32),
    /// The step's command never ends.
    Hangs,
    /// The node loses power when the step begins, and stays off.
    PowerCut,
    /// The command does its work, and nobody hears of it.
    Silent,
    /// The command breaks off in the middle.
    Breaks,
}

/// Something that no cloud of ours may ever do, seen at the moment when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The invariant's name.
    pub invariant: &'static str,
    /// What happened.
    pub what: String,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) nodes: BTreeMap<HostName, SimNode>,
    pub(crate) cluster: Cluster,
    pub(crate) effects: Vec<Effect>,
    pub(crate) faults: BTreeMap<StepId, Fault>,
    /// What happens to commands that are begun next.
    pub(crate) next: VecDeque<How>,
    pub(crate) versions: Vec<String>,
    /// Work by the time when it is due.
    pub(crate) due: BTreeSet<(Timestamp, HostName, Key)>,
    /// What happens by itself later: a node gets power, a link heals.
    pub(crate) later: BTreeMap<(Timestamp, u64), Later>,
    pub(crate) numbered: u64,
    /// How often no server at all took requests, and for how long.
    pub(crate) outages: u32,
    pub(crate) outage_began: Option<Timestamp>,
    pub(crate) outage_ms: u64,
    pub(crate) longest_outage_ms: u64,
    /// Plans by the runs that may act.
    pub(crate) approved: BTreeMap<RunId, Arc<Plan>>,
    pub(crate) breaches: Vec<Breach>,
    pub(crate) user: user::User,
    /// What happened, line by line, if that is wanted.
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) changes: i64,
}

/// What happens by itself later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Later {
    Power(HostName),
    Link(HostName),
    Database(HostName),
    Joined(HostName),
}

impl State {
    pub(crate) fn note(&mut self, now: Timestamp, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10} {}", now.as_millisecond(), line()));
        }
    }

    pub(crate) fn breach(&mut self, invariant: &'static str, what: String) {
        self.breaches.push(Breach { invariant, what });
    }

    pub(crate) fn later(&mut self, at: Timestamp, what: Later) {
        self.numbered += 1;
        self.later.insert((at, self.numbered), what);
    }
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
    /// Milliseconds that a verb takes, where they are known.
    pub takes: BTreeMap<String, u64>,
    /// The version that was installed at first, and the heads that its code knows.
    pub(crate) first: (String, Vec<String>),
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

/// How many nodes of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Nodes with the service.
    pub controllers: usize,
    /// How many of them balance load.
    pub balancers: usize,
    /// How many of them are members of the database cluster.
    pub members: usize,
    /// Nodes that only bear instances.
    pub computes: usize,
}

impl Size {
    /// Controllers that do everything.
    pub fn of(controllers: usize) -> Size {
        Size { controllers, balancers: controllers, members: controllers, computes: 0 }
    }
}

impl SimCloud {
    /// A healthy cloud of some controllers.
    pub fn new(controllers: usize, service: SimService) -> SimCloud {
        SimCloud::sized(Size::of(controllers), service)
    }

    /// A healthy cloud of this size.
    pub fn sized(size: Size, service: SimService) -> SimCloud {
        // Names of one length sort as they count.
        let named = |stem: &'static str, count: usize, role: Role| {
            let width = count.to_string().len();
            (1..=count).map(move |n| (HostName::new(format!("{stem}{n:0width$}")), role))
        };
        let controllers = named("ctl", size.controllers, Role::Controller);
        let computes = named("cmp", size.computes, Role::Compute);
        let nodes = controllers
            .chain(computes)
            .enumerate()
            .map(|(n, (name, role))| {
                let address = format!("198.51.{}.{}", n / 250, n % 250 + 1);
                (name, DeclaredNode { address, port: 22, roles: vec![role] })
            })
            .collect();
        let declared = Cloud {
            name: "sim".into(),
            flavour: Flavour::Debian,
            virtual_address: Some("192.0.2.10".into()),
            package_source: "deb sim:/{release} ./".into(),
            backup_directory: "/var/backups/ostler".into(),
            nodes,
        };
        SimCloud::declared(declared, size, service)
    }

    /// A healthy cloud as it was declared.
    pub fn declared(declared: Cloud, size: Size, service: SimService) -> SimCloud {
        let controllers = declared.with_role(Role::Controller);
        let servers: BTreeMap<String, ServerAdmin> =
            controllers.iter().map(|name| (name.to_string(), ServerAdmin::Ready)).collect();
        let mut nodes = BTreeMap::new();
        for name in declared.nodes.keys() {
            let place = controllers.iter().position(|other| other == name);
            let is_below = |end: usize| place.is_some_and(|place| place < end);
            let balances = is_below(size.balancers);
            let node = SimNode {
                up: true,
                link: Link::Up,
                boot: 1,
                version: if place.is_some() { service.version.clone() } else { String::new() },
                settled: true,
                service: place.is_some(),
                running: service.version.clone(),
                balances,
                member: is_below(size.members),
                database: is_below(size.members),
                held_back: false,
                clean: false,
                wiped: false,
                heads: service.heads.clone(),
                config: format!("as shipped, password {SECRET}"),
                staged: None,
                keys: "same".into(),
                cache: true,
                free_mib: 50_000,
                ahead_ms: 0,
                proxy: if balances { servers.clone() } else { BTreeMap::new() },
                files: BTreeMap::new(),
                dumps: BTreeMap::new(),
                unpacked: 0,
                started: 1,
                jobs: BTreeMap::new(),
                closed: BTreeSet::new(),
            };
            nodes.insert(name.clone(), node);
        }
        let members = nodes.iter().filter(|(_, node)| node.member).map(|(name, _)| name.clone());
        let cluster = Cluster::of(members.collect());
        let state = State { nodes, cluster, versions: service.offered, ..State::default() };
        SimCloud {
            declared,
            backend: service.backend,
            package: service.package,
            unit: service.unit,
            database: service.database,
            files: service.files,
            takes: BTreeMap::new(),
            first: (service.version, service.heads),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a node, as a person at its console would.
    pub fn change(&self, host: &str, change: impl FnOnce(&mut SimNode)) {
        let mut state = self.state();
        if let Some(node) = state.nodes.get_mut(&HostName::new(host)) {
            change(node);
        }
        // A person may have started or stopped a database by hand.
        galera::count(&mut state);
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

    /// How long no server took requests: in all, and at the longest.
    pub fn outage_ms(&self) -> (u64, u64) {
        let state = self.state();
        (state.outage_ms, state.longest_outage_ms)
    }

    /// Says which plan a run may carry out: a job of another plan is a breach.
    pub fn approve(&self, run: &RunId, plan: &Arc<Plan>) {
        self.state().approved.insert(run.clone(), Arc::clone(plan));
    }

    /// The plan that a run was approved for.
    pub fn approved(&self, run: &RunId) -> Option<PlanId> {
        self.state().approved.get(run).map(|plan| plan.id.clone())
    }

    /// What was done that no cloud of ours may do.
    pub fn breaches(&self) -> Vec<Breach> {
        self.state().breaches.clone()
    }

    /// Keeps a trace from now on.
    pub fn keep_trace(&self) {
        self.state().trace.get_or_insert_default();
    }

    /// The trace so far.
    pub fn trace(&self) -> Vec<String> {
        self.state().trace.clone().unwrap_or_default()
    }

    /// Writes a line into the trace.
    pub fn say(&self, now: Timestamp, line: impl FnOnce() -> String) {
        self.state().note(now, line);
    }
}
