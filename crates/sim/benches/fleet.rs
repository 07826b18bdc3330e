//! What a run over a large fleet costs: ten thousand pretended nodes, twelve steps each, one attempt in ten fails, driven
//! by the production driver on a clock that jumps.
//!
//! It prints a line and judges nothing: no test may depend on its figures.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a line for a person; it says what broke by panicking"
)]

use ostler_engine::run;
use ostler_engine::seam::{Fut, Nodes};
use ostler_model::Timestamp;
use ostler_model::event::{Actor, Outcome, Verdict, Why};
use ostler_model::ids::{HostName, StepId};
use ostler_model::inventory::{Fact, Inventory};
use ostler_model::plan::{Budget, PLAN_FORMAT, Plan, PlanBody, Purpose, RollbackWay};
use ostler_model::step::{Does, Job, Step, Target, Undo};
use ostler_sim::cloud::Size;
use ostler_sim::storm::{catalogue, on_paused_clock, service_at};
use ostler_sim::{MemoryStore, SimClock, SimCloud, seams_at};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Nodes of the fleet.
const NODES: usize = 10_000;

/// Nodes that are changed at once.
const WIDTH: u32 = 200;

/// One attempt in so many fails; the last of a step's tries never does.
const FAILS_ONE_IN: u64 = 10;

/// Tries of each step.
const TRIES: u16 = 4;

fn main() {
    let nodes = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(NODES);
    let began = cpu_ns();
    let plan = plan(nodes);
    let planned = cpu_ns() - began;
    let steps = plan.body.steps.len();
    let (attempts, entries, simulated, highest_mib) = on_paused_clock(drive(nodes, plan)).unwrap();
    println!(
        "{nodes} nodes, {steps} steps, {attempts} attempts, {entries} entries; CPU time: made and sealed {} ms, \
         driven to the end {} ms; highest resident memory {highest_mib} MiB",
        planned / 1_000_000,
        simulated / 1_000_000,
    );
}

async fn drive(nodes: usize, plan: Plan) -> (u64, u64, u64, u64) {
    let catalogue = catalogue().unwrap();
    let (_, service) = catalogue.services.iter().next().unwrap();
    let (from, to) = (service.releases[0].series, service.releases[1].series);
    let size = Size { controllers: nodes, balancers: 1, members: 1, computes: 0 };
    let cloud = Arc::new(SimCloud::sized(size, service_at(service, from, to).unwrap()));
    let (clock, store) = (SimClock::default(), Arc::new(MemoryStore::default()));
    let mut seams = seams_at(&cloud, store.clone(), 1, clock);
    seams.nodes = Arc::new(Unlucky(Arc::clone(&seams.nodes)));
    let began = cpu_ns();
    let who = || Actor::Person("bench".into());
    let (keeper, time) = (seams.store.as_ref(), seams.clock.as_ref());
    let id = run::open(keeper, time, seams.dice.as_ref(), &plan, who()).await.unwrap();
    run::approve(keeper, time, &id, &plan.id, who()).await.unwrap();
    // The driver loads its own.
    drop(plan);
    let lease = run::take(keeper, time, "cloud/sim", "bench", &|_| false).await.unwrap();
    let ended = run::drive(&id, &seams, lease, &|_, _| {}).await.unwrap();
    assert!(matches!(ended, run::Ended::Closed(Verdict::Finished)), "{ended:?}");
    let simulated = cpu_ns() - began;
    let highest_mib = status_kib("VmHWM:") / 1024;
    let entries = store.all(&id);
    let attempts =
        entries.iter().filter(|entry| matches!(entry.event, ostler_model::event::Event::Intended { .. }));
    (attempts.count() as u64, entries.len() as u64, simulated, highest_mib)
}

/// Nodes on which one attempt in ten fails, always the same ones.
struct Unlucky(Arc<dyn Nodes>);

impl Nodes for Unlucky {
    fn survey<'a>(&'a self, hosts: &'a [HostName], facts: &'a [Fact]) -> Fut<'a, Inventory> {
        self.0.survey(hosts, facts)
    }

    fn available<'a>(
        &'a self,
        host: &'a HostName,
        source: &'a str,
        packages: &'a [String],
    ) -> Fut<'a, Result<BTreeMap<String, Vec<String>>, Why>> {
        self.0.available(host, source, packages)
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        let mut hash = DefaultHasher::new();
        (job.step.as_str(), job.attempt).hash(&mut hash);
        if job.attempt < TRIES && hash.finish().is_multiple_of(FAILS_ONE_IN) {
            return Box::pin(async { Err(Why::new("not this time")) });
        }
        self.0.begin(job)
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        self.0.settle(job)
    }
}

fn plan(nodes: usize) -> Plan {
    let names =
        ["stop", "start", "reload", "halt", "wake", "rest", "rise", "down", "up", "off", "on", "last"];
    let budgets = vec![Budget { name: "wide".into(), width: WIDTH }];
    let width = nodes.to_string().len();
    let steps = (1..=nodes).flat_map(|node| {
        let host = HostName::new(format!("ctl{node:0width$}"));
        names.iter().enumerate().map(move |(at, name)| Step {
            id: StepId::new(format!("{host}-{name}")),
            title: (*name).to_owned(),
            wave: 0,
            does: if at.is_multiple_of(2) {
                Does::StopUnits { units: vec!["a.service".into()] }
            } else {
                Does::StartUnits { units: vec!["a.service".into()], packages: Vec::new() }
            },
            on: Target::Node(host.clone()),
            after: at
                .checked_sub(1)
                .map(|before| StepId::new(format!("{host}-{}", names[before])))
                .into_iter()
                .collect(),
            guard: Vec::new(),
            gate: None,
            tries: TRIES,
            limit_s: 60,
            expect_ms: 1_000,
            draws: vec!["wide".into()],
            undo: Undo::Nothing,
            may_fail: false,
            regardless: false,
        })
    });
    let body = PlanBody {
        format: PLAN_FORMAT,
        parent: None,
        cloud: "sim".into(),
        purpose: Purpose::Rollback { of: "r0".into(), way: RollbackWay::Undo },
        seen: Timestamp::UNIX_EPOCH,
        basis: String::new(),
        waves: vec!["all".into()],
        steps: steps.collect(),
        budgets,
        cautions: Vec::new(),
    };
    Plan::seal(body).unwrap()
}

/// CPU time of this thread, in nanoseconds: what else the machine does hardly shows in it.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn status_kib(what: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
