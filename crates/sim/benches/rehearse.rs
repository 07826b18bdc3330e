//! What a thousand rehearsals cost: a zero-downtime upgrade of twelve pretended nodes, on a copy of them, under faults.
//!
//! It prints a line and judges nothing: no test may depend on its figures.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a line for a person; it says what broke by panicking"
)]

use ostler_engine::plan::{Estimates, Scene, Wish, upgrade};
use ostler_model::Timestamp;
use ostler_model::ids::HostName;
use ostler_model::plan::Strategy;
use ostler_sim::SimCloud;
use ostler_sim::cloud::Size;
use ostler_sim::rehearse::{Stage, rehearse};
use ostler_sim::storm::{catalogue, service_at};
use std::collections::BTreeMap;

/// Nodes with the service; three of them have load balancers and the database.
const NODES: usize = 12;

/// Rehearsals.
const REHEARSALS: u64 = 1_000;

fn main() {
    let catalogue = catalogue().unwrap();
    let (name, service) = catalogue.services.iter().next().unwrap();
    let (from, to) = ("2023.1".parse().unwrap(), "2024.1".parse().unwrap());
    let size = Size { controllers: NODES, balancers: 3, members: 3, computes: 0 };
    let cloud = SimCloud::sized(size, service_at(service, from, to).unwrap());
    let hosts: Vec<HostName> = cloud.declared.nodes.keys().cloned().collect();
    let seen = cloud.look(&hosts, Timestamp::UNIX_EPOCH);
    let wish = Wish {
        service: name.clone(),
        to,
        strategy: Some(Strategy::ZeroDowntime),
        soak_s: 5,
        packages: BTreeMap::from([(
            cloud.package.clone(),
            format!("{}.0.0", service.release(to).unwrap().major),
        )]),
        ask_before_final: false,
        function_check: false,
        canary: None,
    };
    let estimates = Estimates::default();
    let scene = Scene { cloud: &cloud.declared, catalogue, seen: &seen, estimates: &estimates };
    let plan = upgrade(&wish, &scene).unwrap().plan;
    let stage =
        Stage { declared: &cloud.declared, seen: &seen, catalogue, service, plan: &plan, fault: None };
    let began = cpu_ns();
    let all = rehearse(&stage, 0..REHEARSALS).unwrap();
    println!(
        "{} rehearsals of {} steps on {NODES} nodes in {:.1} CPU seconds: {} by themselves, {} with a person, {} taken back, {} defects",
        all.tellings,
        plan.body.steps.len(),
        (cpu_ns() - began) as f64 / 1e9,
        all.by_itself,
        all.with_a_person,
        all.rolled_back,
        all.defects,
    );
}

/// CPU time of this thread, in nanoseconds: what else the machine does hardly shows in it.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}
