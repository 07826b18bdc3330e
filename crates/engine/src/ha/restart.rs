//! Plans for one instance whose guest died, and for a host whose compute process died.
//!
//! Neither moves anything. It must never start what its owner has switched off.

use super::fate::is_ha_enabled;
use super::policy::Policy;
use ostler_model::Timestamp;
use ostler_model::compute::{Instance, VmState};
use ostler_model::ids::{HostName, InstanceId, StepId};
use ostler_model::plan::{PLAN_FORMAT_SECOND, Plan, PlanBody, Purpose};
use ostler_model::step::{Does, Step, Target, Undo};

/// Tries of each step: a busy compute service answers a few seconds later.
const TRIES: u16 = 5;

/// How long a stop may take.
const STOP_LIMIT_S: u32 = 180;

/// How long a start may take.
const START_LIMIT_S: u32 = 60;

fn step(id: String, title: String, on: Target, does: Does, after: Vec<StepId>, limit_s: u32) -> Step {
    Step {
        id: StepId::new(id),
        title,
        wave: 0,
        does,
        on,
        after,
        guard: Vec::new(),
        gate: None,
        tries: TRIES,
        limit_s,
        expect_ms: 3_000,
        draws: Vec::new(),
        undo: Undo::Nothing,
        may_fail: false,
        regardless: false,
    }
}

fn seal(cloud: &str, what: String, seen: Timestamp, steps: Vec<Step>) -> Result<Plan, serde_json::Error> {
    Plan::seal(PlanBody {
        format: PLAN_FORMAT_SECOND,
        parent: None,
        cloud: cloud.to_owned(),
        purpose: Purpose::Recover { what, round: 1 },
        seen,
        basis: String::new(),
        waves: vec!["recover".into()],
        steps,
        budgets: Vec::new(),
        cautions: Vec::new(),
    })
}

/// Why an instance is not restarted: an answer, and no failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRestarted {
    /// Nobody asked for it.
    Unmarked(String),
    /// Its state is its owner's affair.
    Owners(String),
}

/// The plan that restarts an instance whose guest died, or why none is made.
pub fn restart(
    cloud: &str,
    id: &InstanceId,
    instance: &Instance,
    seen: Timestamp,
    policy: &Policy,
) -> Result<Result<Plan, NotRestarted>, serde_json::Error> {
    if !policy.restart_all && !is_ha_enabled(instance, policy) {
        let why = format!("{} is not set, and only instances that have it are restarted", policy.ha_key);
        return Ok(Err(NotRestarted::Unmarked(why)));
    }
    let reset = match instance.state {
        VmState::Active | VmState::Stopped | VmState::Error => false,
        VmState::Resized => true,
        other => return Ok(Err(NotRestarted::Owners(format!("it is {other}: its owner decides")))),
    };
    let name = &instance.name;
    let mut steps = Vec::new();
    let mut after = Vec::new();
    if instance.state != VmState::Stopped {
        let does = Does::StopInstance { instance: id.clone(), reset };
        let title = format!("stop {name}");
        steps.push(step(format!("stop-{id}"), title, Target::Cloud, does, Vec::new(), STOP_LIMIT_S));
        after.push(StepId::new(format!("stop-{id}")));
    }
    let does = Does::StartInstance { instance: id.clone() };
    steps.push(step(
        format!("start-{id}"),
        format!("start {name}"),
        Target::Cloud,
        does,
        after,
        START_LIMIT_S,
    ));
    seal(cloud, format!("the instance {name}"), seen, steps).map(Ok)
}

/// The plan that keeps new instances away from a host whose compute process died.
pub fn disable(
    cloud: &str,
    host: &HostName,
    seen: Timestamp,
    policy: &Policy,
) -> Result<Plan, serde_json::Error> {
    let does = Does::DisableCompute { reason: policy.process_reason.clone() };
    let title = format!("keep new instances away from {host}");
    let on = Target::Node(host.clone());
    let steps = vec![step(format!("{host}-disable"), title, on, does, Vec::new(), STOP_LIMIT_S)];
    seal(cloud, format!("the compute process of {host}"), seen, steps)
}
