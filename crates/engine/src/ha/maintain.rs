//! Takes a host out of use because somebody works on it: nothing new comes to it.
//!
//! What runs there is its operator's affair: it must never move, stop or start an instance.

use ostler_model::Timestamp;
use ostler_model::ids::{HostName, StepId};
use ostler_model::plan::{PLAN_FORMAT, Plan, PlanBody, Purpose};
use ostler_model::step::{Does, Step, Target, Undo};

/// Tries of the step: a busy compute service answers a few seconds later.
const TRIES: u16 = 5;

/// Time for it.
const LIMIT_S: u32 = 120;

/// The plan that keeps new instances away from a host. `reason` is what Nova shows for it.
pub fn maintain(
    cloud: &str,
    host: &HostName,
    seen: Timestamp,
    reason: &str,
) -> Result<Plan, serde_json::Error> {
    let disable = Step {
        id: StepId::new(format!("{host}-disable")),
        title: format!("keep new instances away from {host}"),
        wave: 0,
        does: Does::DisableCompute { reason: reason.to_owned() },
        on: Target::Node(host.clone()),
        after: Vec::new(),
        guard: Vec::new(),
        gate: None,
        tries: TRIES,
        limit_s: LIMIT_S,
        expect_ms: 1_000,
        draws: Vec::new(),
        undo: Undo::Steps(vec![Does::EnableCompute {}]),
        may_fail: false,
        regardless: false,
    };
    Plan::seal(PlanBody {
        format: PLAN_FORMAT,
        parent: None,
        cloud: cloud.to_owned(),
        purpose: Purpose::Maintain { host: host.clone() },
        seen,
        basis: String::new(),
        waves: vec![format!("take {host} out of use")],
        steps: vec![disable],
        budgets: Vec::new(),
        cautions: vec![format!("until `ostler ha return {host}` nothing is recovered from it")],
    })
}
