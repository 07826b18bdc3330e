//! The way home of the instances that a recovery took away from a host, while they run and few at a time.
//!
//! Only what still is where the recovery brought it is moved: it must never stop an instance, nor move one that somebody has moved
//! since.

use crate::plan::Planned;
use ostler_model::compute::{Compute, Instance, VmState};
use ostler_model::ha::{Move, MoveStatus};
use ostler_model::ids::{BudgetName, HostName, InstanceId, StepId};
use ostler_model::plan::{Budget, HeldBack, PLAN_FORMAT, Plan, PlanBody, Purpose, Report};
use ostler_model::step::{Does, Step, Target, Undo};
use std::collections::BTreeSet;

/// Instances on their way at once. Each copies its memory over the network that others use; and a compute service sends one at
/// a time unless told otherwise, so that more would only wait there.
const AT_ONCE: u32 = 2;

/// The budget that all of them draw on.
const MOVES: &str = "moves back";

/// Tries of each: what was refused once is mostly refused again.
const TRIES: u16 = 2;

/// How long one may take, with its wait for those before it: much memory that changes fast is copied for long.
const LIMIT_S: u32 = 3_600;

/// How long one is expected to take.
const EXPECT_MS: u64 = 20_000;

/// The plan that moves back to a host what its last recovery took away; `moves` are that recovery's, the newest first. Without
/// steps nothing is left to be moved, and the report says why.
pub fn move_back(
    cloud: &str,
    host: &HostName,
    moves: &[Move],
    seen: &Compute,
) -> Result<Planned, serde_json::Error> {
    let mut known: BTreeSet<&InstanceId> = BTreeSet::new();
    let mut steps: Vec<Step> = Vec::new();
    let mut report = Report { nodes: vec![host.clone()], ..Report::default() };
    for moved in moves.iter().filter(|moved| moved.status == MoveStatus::Succeeded) {
        let (Some(instance), true) = (seen.instances.get(&moved.instance), known.insert(&moved.instance))
        else {
            continue;
        };
        let Some(source) = instance.host.as_ref() else { continue };
        if source == host {
            continue;
        }
        match stays(moved, instance, source, seen) {
            Some(why) => report.held_back.push(HeldBack { what: instance.name.clone(), why }),
            None => steps.push(step(&moved.instance, instance, source, host)),
        }
    }
    steps.sort_by(|one, other| (&one.title, &one.id).cmp(&(&other.title, &other.id)));
    report.held_back.sort_by(|one, other| one.what.cmp(&other.what));
    let plan = Plan::seal(PlanBody {
        format: PLAN_FORMAT,
        parent: None,
        cloud: cloud.to_owned(),
        purpose: Purpose::MoveBack { host: host.clone() },
        seen: seen.taken,
        basis: String::new(),
        waves: vec![format!("move instances back to {host}")],
        steps,
        budgets: vec![Budget { name: MOVES.into(), width: AT_ONCE }],
        cautions: vec!["each goes on running, stands still for a moment at the end, and copies its memory over the network".into()],
    })?;
    Ok(Planned { plan, report })
}

/// Why an instance is left where it is; none: it goes.
fn stays(moved: &Move, instance: &Instance, source: &HostName, seen: &Compute) -> Option<String> {
    if moved.destination.as_deref() != Some(source.as_str()) {
        let brought = moved.destination.as_deref().unwrap_or("another host");
        return Some(format!(
            "it is on {source}, and the recovery brought it to {brought}: somebody has moved it since"
        ));
    }
    if let Some(task) = &instance.task {
        return Some(format!("it is {task}: try again when that is over"));
    }
    if !matches!(instance.state, VmState::Active | VmState::Paused) {
        return Some(format!("it is {}: only what runs can be moved while it runs", instance.state));
    }
    if seen.services.get(source).is_none_or(|service| !service.up) {
        return Some(format!("its host {source} is down"));
    }
    None
}

fn step(id: &InstanceId, instance: &Instance, source: &HostName, host: &HostName) -> Step {
    let does = Does::LiveMigrate { instance: id.clone(), source: source.clone(), target: host.clone() };
    Step {
        id: StepId::new(format!("move-{id}")),
        title: format!("move {} back from {source}", instance.name),
        wave: 0,
        does,
        on: Target::Cloud,
        after: Vec::new(),
        guard: Vec::new(),
        gate: None,
        tries: TRIES,
        limit_s: LIMIT_S,
        expect_ms: EXPECT_MS,
        draws: vec![BudgetName::new(MOVES)],
        undo: Undo::Nothing,
        may_fail: true,
        regardless: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{instance, service};
    use super::*;
    use crate::plan::lint;
    use ostler_model::Timestamp;
    use ostler_model::ha::MoveKind;
    use std::collections::BTreeMap;

    fn moved(name: &str, to: Option<&str>, status: MoveStatus) -> Move {
        Move {
            number: 1,
            id: format!("move-{name}").as_str().into(),
            notification: "n".into(),
            instance: name.into(),
            instance_name: name.to_owned(),
            source: Some("home".to_owned()),
            destination: to.map(str::to_owned),
            started: None,
            ended: None,
            kind: MoveKind::Evacuation,
            status,
            message: None,
            created: Timestamp::UNIX_EPOCH,
            updated: None,
        }
    }

    /// What becomes of one instance that was brought to `away`: the title of its step, or why it stays.
    fn becomes(change: impl FnOnce(&mut Instance)) -> Result<String, String> {
        let mut one = instance("web", "away");
        change(&mut one);
        planned(&[moved("web", Some("away"), MoveStatus::Succeeded)], one)
    }

    fn planned(moves: &[Move], one: Instance) -> Result<String, String> {
        let mut dead = service(true);
        dead.up = false;
        let seen = Compute {
            taken: Timestamp::UNIX_EPOCH,
            services: [("home", service(true)), ("away", service(true)), ("dead", dead)]
                .map(|(host, service)| (HostName::new(host), service))
                .into(),
            instances: BTreeMap::from([(InstanceId::new("web"), one)]),
            evacuations: Vec::new(),
            room: BTreeMap::new(),
            aggregates: Vec::new(),
        };
        let Planned { plan, report } = move_back("c", &HostName::new("home"), moves, &seen).unwrap();
        if !plan.body.steps.is_empty() {
            assert_eq!(lint(&plan), [], "a plan must be fit to run");
        }
        let titles: Vec<String> = plan.body.steps.into_iter().map(|step| step.title).collect();
        match (titles.as_slice(), report.held_back.as_slice()) {
            ([title], []) => Ok(title.clone()),
            ([], [held]) => Err(held.why.clone()),
            ([], []) => Err(String::new()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_runs_where_it_was_brought_goes_home() {
        assert_eq!(becomes(|_| {}), Ok("move web back from away".to_owned()));
        assert!(becomes(|one| one.state = VmState::Paused).is_ok());
        assert!(becomes(|one| one.locked = true).is_ok(), "an operator's move is no act of its owner");
    }

    #[test]
    fn what_stays_is_named_with_its_reason() {
        let says = |change: fn(&mut Instance), words: &str| {
            let why = becomes(change).unwrap_err();
            assert!(why.contains(words), "{why}");
        };
        says(|one| one.state = VmState::Stopped, "it is stopped");
        says(|one| one.task = Some("migrating".into()), "it is migrating");
        says(|one| one.host = Some("dead".into()), "it is on dead, and the recovery brought it to away");
        let moves = [moved("web", Some("dead"), MoveStatus::Succeeded)];
        let why = planned(&moves, instance("web", "dead")).unwrap_err();
        assert_eq!(why, "its host dead is down");
    }

    #[test]
    fn what_is_home_or_was_never_moved_is_not_spoken_of() {
        assert_eq!(becomes(|one| one.host = Some("home".into())), Err(String::new()));
        let moves = [moved("web", None, MoveStatus::Failed)];
        assert_eq!(planned(&moves, instance("web", "away")), Err(String::new()));
    }

    #[test]
    fn the_newest_move_of_an_instance_counts() {
        let moves = [
            moved("web", Some("away"), MoveStatus::Succeeded),
            moved("web", Some("dead"), MoveStatus::Succeeded),
        ];
        assert!(planned(&moves, instance("web", "away")).is_ok());
    }
}
