//! The way back of a host that was recovered from: power, a new start of its compute process, its copies gone, and only
//! then its flags.
//!
//! A host that was only cut off still runs everything that was moved away: it must never be let in before its compute
//! process has started anew and removed that.

use ostler_model::Timestamp;
use ostler_model::compute::Compute;
use ostler_model::ids::{HostName, StepId};
use ostler_model::plan::{PLAN_FORMAT_SECOND, Plan, PlanBody, Purpose};
use ostler_model::step::{Does, Step, Target, Undo};

/// Tries of each step.
const TRIES: u16 = 3;

/// How long a machine may take to boot until its units can be spoken to.
const BOOT_LIMIT_S: u32 = 600;

/// How long a compute process may take to remove its copies: seconds for each, many of them.
const COPIES_LIMIT_S: u32 = 1_800;

/// Time for everything else.
const LIMIT_S: u32 = 120;

/// What a return depends on.
#[derive(Clone, Copy, Debug)]
pub struct Comeback<'a> {
    /// The cloud's name.
    pub cloud: &'a str,
    /// The host.
    pub host: &'a HostName,
    /// The units of the compute process there. Without any, a person restarts it: the copies are waited for all the same.
    pub units: &'a [String],
    /// Whether it is given power first.
    pub power_on: bool,
    /// The compute side as seen.
    pub seen: &'a Compute,
}

/// The plan that takes a host into use again.
pub fn comeback(wish: &Comeback<'_>) -> Result<Plan, serde_json::Error> {
    let host = wish.host;
    let mut steps: Vec<Step> = Vec::new();
    let mut add = |name: &str, title: String, does: Does, limit_s: u32| {
        let after: Vec<StepId> = steps.last().map(|step| step.id.clone()).into_iter().collect();
        steps.push(Step {
            id: StepId::new(format!("{host}-{name}")),
            title,
            wave: 0,
            does,
            on: Target::Node(host.clone()),
            after,
            guard: Vec::new(),
            gate: None,
            tries: TRIES,
            limit_s,
            expect_ms: 5_000,
            draws: Vec::new(),
            undo: Undo::Nothing,
            may_fail: false,
            regardless: false,
        });
    };
    if wish.power_on {
        add("power-on", format!("give {host} power"), Does::PowerOn {}, LIMIT_S);
    }
    if !wish.units.is_empty() {
        let units = wish.units.to_vec();
        let does = Does::StopUnits { units: units.clone() };
        add("stop", format!("stop the compute process of {host}"), does, BOOT_LIMIT_S);
        let does = Does::StartUnits { units, packages: Vec::new() };
        add("start", "start it anew: it removes its copies of what was moved away".to_owned(), does, LIMIT_S);
    }
    let title = format!("wait until {host} has removed its copies of what was moved away");
    add("copies-gone", title, Does::AwaitCopiesGone {}, COPIES_LIMIT_S);
    if wish.seen.services.get(host).is_none_or(|service| service.forced_down) {
        let title = format!("take back that {host} is declared down");
        add("clear-forced-down", title, Does::ClearForcedDown {}, LIMIT_S);
    }
    add("up", format!("wait until {host} is up"), Does::AwaitComputeUp {}, LIMIT_S);
    add("enable", format!("let new instances come to {host}"), Does::EnableCompute {}, LIMIT_S);
    Plan::seal(PlanBody {
        format: PLAN_FORMAT_SECOND,
        parent: None,
        cloud: wish.cloud.to_owned(),
        purpose: Purpose::Return { host: host.clone() },
        seen: wish.seen.taken.max(Timestamp::UNIX_EPOCH),
        basis: String::new(),
        waves: vec![format!("return {host}")],
        steps,
        budgets: Vec::new(),
        cautions: vec!["flags are cleared last: until then nothing is placed on it".into()],
    })
}
