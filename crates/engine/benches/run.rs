//! The engine's own cost: what one event of a run costs to fold, what one question for the next moves costs, what a
//! large plan costs to make, and what a step of it weighs in memory.
//!
//! It prints a table and judges nothing: no test may depend on its figures.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a table for a person; it says what broke by panicking"
)]

use ostler_engine::plan::{Estimates, Scene, Wish, lint, schedule, upgrade};
use ostler_engine::run::{Move, Run, next};
use ostler_model::Timestamp;
use ostler_model::catalogue::Catalogue;
use ostler_model::cloud::{Cloud, DeclaredNode, Flavour, Role};
use ostler_model::event::{Actor, Entry, Event, Outcome};
use ostler_model::ids::{HostName, StepId};
use ostler_model::inventory::*;
use ostler_model::limits::RETRY_PAUSE_MS;
use ostler_model::plan::{Budget, PLAN_FORMAT, Plan, PlanBody, Purpose, RollbackWay};
use ostler_model::step::{Does, Step, Target, Undo};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// Steps of the made-up plans.
const STEPS: [usize; 3] = [100, 10_000, 100_000];

/// Steps that the wide plan lets run at once.
const WIDTH: u32 = 20;

/// One attempt in so many fails in the wide plan, and is made again later.
const FAILS_ONE_IN: u64 = 10;

/// Nodes of the planned upgrade.
const NODES: usize = 10_000;

/// Of these, how many have a load balancer and a database member.
const HEADS: usize = 3;

/// Runs of each figure, each with other dice.
const ROUNDS: u64 = 3;

fn main() {
    // Memory first: later parts would leave pages behind that belong to nobody.
    planning();
    println!();
    println!(
        "{:>7} steps  {:<34} {:>10} {:>12} {:>12} {:>12}",
        "", "shape", "events", "fold", "next", "longest next"
    );
    for steps in STEPS {
        running(steps, "a chain", |at| at.checked_sub(1).into_iter().collect(), &[], 0);
        let budget = [Budget { name: "wide".into(), width: WIDTH }];
        running(steps, "all at once, 20 wide, with retries", |_| Vec::new(), &budget, FAILS_ONE_IN);
    }
}

/// How long each fold and each question took, in nanoseconds.
#[derive(Default)]
struct Cost {
    fold: Vec<u128>,
    next: Vec<u128>,
}

fn running(
    steps: usize,
    shape: &str,
    after: impl Fn(usize) -> Vec<usize>,
    budgets: &[Budget],
    fails_one_in: u64,
) {
    let plan = Arc::new(made_up(steps, after, budgets));
    let mut cost = Cost::default();
    (0..ROUNDS).for_each(|seed| walk(&plan, seed, fails_one_in, &mut cost));
    let events = cost.fold.len() as u64 / ROUNDS;
    let (fold, next) = (halves(&mut cost.fold), halves(&mut cost.next));
    println!("{steps:>7} {shape:<40} {events:>8} {fold:>17} {next:>17}");
}

/// What half of the times stay below, and what all but the slowest hundredth do: other work on the machine, which
/// interrupts a few of them for milliseconds, does not show.
fn halves(times: &mut [u128]) -> String {
    times.sort_unstable();
    let of = |part: usize| times[(times.len() - 1) * part / 100];
    format!("{} {} ns", of(50), of(99))
}

/// Goes through a whole run as a driver would: asks after each event, begins what may begin, settles the oldest.
fn walk(plan: &Arc<Plan>, seed: u64, fails_one_in: u64, cost: &mut Cost) {
    let who = || Actor::Person("bench".into());
    let mut now = Timestamp::UNIX_EPOCH;
    let event = Event::Opened { plan: plan.id.clone(), who: who() };
    let first = Entry { run: "r".into(), seq: 0, at: now, term: 0, event };
    let mut run = Run::open(Arc::clone(plan), &first).unwrap();
    let mut dice = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut attempts: BTreeMap<StepId, u16> = BTreeMap::new();
    let mut doing: VecDeque<StepId> = VecDeque::new();
    let take_in = |run: &mut Run, cost: &mut Cost, at: Timestamp, event: Event| {
        let entry = Entry { run: run.id.clone(), seq: run.seq, at, term: 1, event };
        let began = Instant::now();
        run.take_in(&entry).unwrap();
        cost.fold.push(began.elapsed().as_nanos());
    };
    take_in(&mut run, cost, now, Event::Approved { hash: plan.id.clone(), who: who() });
    loop {
        let began = Instant::now();
        let moves = next(&run, now);
        cost.next.push(began.elapsed().as_nanos());
        let mut wait = None;
        let mut begin = None;
        for offered in moves {
            match offered {
                Move::Begin(step) => begin = begin.or(Some(step)),
                Move::Wait(until) => wait = Some(until),
                Move::Settle(_) => {}
                Move::Close(_) => return,
                other => panic!("{other:?}"),
            }
        }
        if let Some(step) = begin {
            let attempt = attempts.entry(step.clone()).or_default();
            *attempt += 1;
            take_in(&mut run, cost, now, Event::Intended { step: step.clone(), attempt: *attempt });
            doing.push_back(step);
        } else if let Some(step) = doing.pop_front() {
            now = now.checked_add(jiff::SignedDuration::from_millis(RETRY_PAUSE_MS / 100)).unwrap();
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let attempt = attempts[&step];
            // The last try succeeds: a step that has failed for good would end the walk.
            let fails = fails_one_in > 0 && attempt < 3 && dice.is_multiple_of(fails_one_in);
            let outcome = if fails { Outcome::not_done("no") } else { Outcome::done() };
            take_in(&mut run, cost, now, Event::Proved { step, attempt, outcome });
        } else {
            now = wait.unwrap();
        }
    }
}

fn made_up(steps: usize, after: impl Fn(usize) -> Vec<usize>, budgets: &[Budget]) -> Plan {
    let step = |at: usize| Step {
        id: StepId::new(format!("node{at}-stop")),
        title: "stop it".into(),
        wave: 0,
        does: Does::StopUnits { units: Vec::new() },
        on: Target::Node(HostName::new(format!("node{at}"))),
        after: after(at).into_iter().map(|at| StepId::new(format!("node{at}-stop"))).collect(),
        guard: Vec::new(),
        gate: None,
        tries: 3,
        limit_s: 10,
        expect_ms: 10,
        draws: budgets.iter().map(|budget| budget.name.clone()).collect(),
        undo: Undo::Nothing,
        may_fail: false,
        regardless: false,
    };
    let body = PlanBody {
        format: PLAN_FORMAT,
        parent: None,
        cloud: "c".into(),
        purpose: Purpose::Rollback { of: "r0".into(), way: RollbackWay::Undo },
        seen: Timestamp::UNIX_EPOCH,
        basis: String::new(),
        waves: vec!["all".into()],
        steps: (0..steps).map(step).collect(),
        budgets: budgets.to_vec(),
        cautions: Vec::new(),
    };
    Plan::seal(body).unwrap()
}

fn planning() {
    let nodes = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(NODES);
    let (cloud, catalogue, seen, estimates) =
        (cloud(nodes), Catalogue::embedded().unwrap(), inventory(nodes), Estimates::default());
    let wish = Wish {
        service: "keystone".into(),
        to: "2024.1".parse().unwrap(),
        strategy: None,
        soak_s: 5,
        packages: BTreeMap::from([("keystone".into(), "25.0.0".into())]),
        ask_before_final: true,
        function_check: false,
        canary: None,
    };
    let before = resident_kib();
    let mut best = [u64::MAX; 4];
    for round in 0..ROUNDS {
        let began = cpu_ns();
        let scene = Scene { cloud: &cloud, catalogue: &catalogue, seen: &seen, estimates: &estimates };
        let planned = upgrade(&wish, &scene).unwrap();
        let made = cpu_ns() - began;
        if round == 0 {
            let steps = planned.plan.body.steps.len();
            println!("{steps} steps on {nodes} nodes; first: {}", planned.report.decisions[0]);
            let plan = Arc::new(planned.plan.clone());
            let with_plan = resident_kib();
            let event = Event::Opened { plan: plan.id.clone(), who: Actor::Person("bench".into()) };
            let first = Entry { run: "r".into(), seq: 0, at: Timestamp::UNIX_EPOCH, term: 0, event };
            let run = Run::open(plan, &first).unwrap();
            let with_run = resident_kib();
            let each = |kib: u64| kib * 1024 / steps as u64;
            // Two copies of the plan are held at this point, the planner's and the run's.
            println!(
                "memory: {} bytes a step of the plan, {} bytes a step of the run",
                each(with_plan.saturating_sub(before)) / 2,
                each(with_run.saturating_sub(with_plan))
            );
            println!("stored: {} bytes a step", serde_json::to_vec(&run.plan.body).unwrap().len() / steps);
        }
        let began = cpu_ns();
        assert_eq!(lint(&planned.plan), []);
        let linted = cpu_ns() - began;
        let began = cpu_ns();
        assert!(planned.plan.is_intact());
        let hashed = cpu_ns() - began;
        let began = cpu_ns();
        assert!(schedule(&planned.plan).total_ms > 0);
        let scheduled = cpu_ns() - began;
        for (best, took) in best.iter_mut().zip([made, linted, hashed, scheduled]) {
            *best = took.min(*best);
        }
    }
    let [made, linted, hashed, scheduled] = best.map(|took| took / 1_000_000);
    println!(
        "CPU time, best of {ROUNDS}: plan and seal {made} ms, lint {linted} ms, schedule {scheduled} ms; \
         of seal and of lint {hashed} ms are the hash"
    );
    println!("highest resident memory: {} MiB", status_kib("VmHWM:") / 1024);
}

fn cloud(nodes: usize) -> Cloud {
    Cloud {
        name: "c".into(),
        flavour: Flavour::Debian,
        virtual_address: Some("192.0.2.10".into()),
        package_source: "deb http://packages/{release} ./".into(),
        backup_directory: "/var/backups/ostler".into(),
        nodes: (1..=nodes)
            .map(|n| {
                let node =
                    DeclaredNode { address: format!("192.0.2.{n}"), port: 22, roles: vec![Role::Controller] };
                (HostName::new(format!("node{n}")), node)
            })
            .collect(),
    }
}

fn inventory(nodes: usize) -> Inventory {
    let server = |n: usize| ServerSeen {
        backend: "keystone".into(),
        server: format!("node{n}"),
        address: String::new(),
        up: true,
        admin: ServerAdmin::Ready,
        sessions: 0,
        backup: false,
    };
    let file = |text: &str| FileSeen { sha256: text.into(), changed_by_hand: None };
    let node = |n: usize| Node {
        clock: Some(ClockSeen { offset_ms: 0, doubt_ms: 1 }),
        disks: BTreeMap::from([(
            "/var/backups/ostler".into(),
            DiskSeen { free_mib: 9_000, size_mib: 9_000 },
        )]),
        packages: BTreeMap::from([(
            "keystone".into(),
            PackageSeen { version: "2:23.0.2-1".into(), status: "ii".into(), unpacked: 1 },
        )]),
        units: BTreeMap::from([(
            "keystone.service".into(),
            UnitSeen { load: "loaded".into(), active: "active".into(), started: 2, ..UnitSeen::default() },
        )]),
        files: BTreeMap::from([
            ("/etc/keystone/keystone.conf".into(), file("conf")),
            ("/etc/keystone/fernet-keys".into(), file("keys")),
            ("/etc/keystone/credential-keys".into(), file("keys")),
        ]),
        galera: (n <= HEADS).then(|| GaleraSeen {
            cluster_status: "Primary".into(),
            cluster_size: HEADS as u32,
            local_state: 4,
            ready: true,
            cluster_uuid: "u".into(),
            ..GaleraSeen::default()
        }),
        schemas: if n <= HEADS {
            BTreeMap::from([("keystone".into(), vec!["29e87d24a316".into(), "e25ffa003242".into()])])
        } else {
            BTreeMap::new()
        },
        proxy: (n <= HEADS).then(|| (1..=nodes).map(server).collect()),
        cache: (n <= HEADS).then(|| CacheSeen { answers: true, version: "1".into() }),
        ..Node::default()
    };
    Inventory {
        format: INVENTORY_FORMAT,
        cloud: "c".into(),
        taken: Timestamp::UNIX_EPOCH,
        nodes: (1..=nodes)
            .map(|n| (HostName::new(format!("node{n}")), Seen::Fresh(Box::new(node(n)))))
            .collect(),
        gaps: Vec::new(),
    }
}

/// CPU time of this thread, in nanoseconds: what else the machine does hardly shows in it.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn resident_kib() -> u64 {
    status_kib("VmRSS:")
}

fn status_kib(what: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
