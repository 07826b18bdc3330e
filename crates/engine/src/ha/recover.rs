//! Makes the plan of one round of a recovery: isolate and fence the host, then move what is left to move, in order, within
//! budgets, and give each instance the state that it had.
//!
//! Every round begins with the fence: a machine that got power again in the meantime loses it before anything moves. It must
//! never plan an evacuation without one, nor promise reserved hosts that are not there.

use super::fate::{Fate, fate, is_ha_enabled, priority};
use super::place::{Candidate, place};
use super::policy::{Method, Policy, Segment};
use crate::plan::Planned;
use ostler_model::check::Check;
use ostler_model::compute::{Compute, Evacuation, Instance, MoveStage};
use ostler_model::ids::{HostName, InstanceId, StepId};
use ostler_model::plan::{Budget, HeldBack, PLAN_FORMAT_SECOND, Plan, PlanBody, Purpose, Report};
use ostler_model::step::{Does, Step, Target, Undo, Wanted, Word};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The reason of a lock that is ours: whoever finds it after a crash knows that it may be opened.
pub const LOCK_REASON: &str = "ostler: recovery of its failed host";

/// The budget of evacuations in all.
const EVACUATIONS: &str = "evacuations";

/// Tries of a step that the rest waits for: with the pause between them long enough for a service to be restarted.
const TRIES: u16 = 10;

/// Time for one change of a service.
const CHANGE_LIMIT_S: u32 = 60;

/// Time for an instance to take on its state: a stop asks the guest first, for a minute.
const SETTLE_LIMIT_S: u32 = 180;

/// What a fence is expected to take.
const FENCE_EXPECT_MS: u64 = 5_000;

/// What an evacuation is expected to take.
const EVACUATION_EXPECT_MS: u64 = 15_000;

/// What any other step is expected to take.
const EXPECT_MS: u64 = 300;

/// A failed host, and all that a plan for it depends on.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// The cloud's name.
    pub cloud: &'a str,
    /// The host.
    pub host: &'a HostName,
    /// Its segment.
    pub segment: &'a Segment,
    /// What the site wants.
    pub policy: &'a Policy,
    /// The host's instances as they were before it failed.
    pub before: &'a BTreeMap<InstanceId, Instance>,
    /// The compute side now.
    pub seen: &'a Compute,
    /// Instances that have been given their state after their move.
    pub settled: &'a BTreeSet<InstanceId>,
    /// Reserved hosts that were used without success: others come first.
    pub tired: &'a BTreeSet<HostName>,
    /// A person's word that the host is off.
    pub word: Option<&'a Word>,
    /// Which round it is, from 1.
    pub round: u32,
}

/// What is left of a failed host's instances.
#[derive(Clone, Debug, Default)]
pub(super) struct Left<'a> {
    /// Still there, in the order in which they are moved.
    pub(super) to_move: Vec<(&'a InstanceId, &'a Instance, bool, Wanted)>,
    /// Elsewhere, and not yet as they were.
    pub(super) to_settle: Vec<(&'a InstanceId, &'a Instance, Wanted)>,
    /// On their way.
    pub(super) under_way: Vec<&'a InstanceId>,
    /// Elsewhere, and not as they were, on a host whose compute service is dead in its turn: nobody there would obey. Its
    /// own outage moves them on, or its return ends the wait.
    pub(super) stranded: Vec<(&'a InstanceId, &'a Instance, &'a HostName)>,
    /// Elsewhere, as they were.
    pub(super) back: Vec<&'a InstanceId>,
    /// Deleted by somebody in the meantime.
    pub(super) gone: Vec<&'a InstanceId>,
    /// Not touched, and why.
    pub(super) alone: Vec<(&'a InstanceId, &'a Instance, String)>,
}

/// Sorts a failed host's instances by what is still to be done.
pub(super) fn left<'a>(failure: &Failure<'a>) -> Left<'a> {
    let mut left = Left::default();
    for (id, before) in failure.before {
        let (reset, to) = match fate(before, failure.policy) {
            Fate::Leave { why } => {
                left.alone.push((id, before, why));
                continue;
            }
            Fate::Move { reset, to } => (reset, to),
        };
        let Some(now) = failure.seen.instances.get(id) else {
            left.gone.push(id);
            continue;
        };
        if is_under_way(failure, id) {
            left.under_way.push(id);
        } else if now.host.as_ref() == Some(failure.host) {
            left.to_move.push((id, before, reset, to));
        } else if failure.settled.contains(id) && now.lock_reason.as_deref() != Some(LOCK_REASON) {
            left.back.push(id);
        } else if let Some(place) = now.host.as_ref().filter(|place| is_dead(failure, place)) {
            left.stranded.push((id, before, place));
        } else {
            left.to_settle.push((id, before, to));
        }
    }
    left.to_move.sort_by_key(|(id, before, ..)| {
        let marked = is_ha_enabled(before, failure.policy);
        (Reverse(marked), Reverse(priority(before, failure.policy)), before.name.clone(), (*id).clone())
    });
    left
}

/// Whether an evacuation may still end by itself. One to a host that was declared down, which happens only after a proof,
/// cannot while that host has no power.
///
/// The task counts as much as the record. An instance in none was reset by a person, since the compute service lost what its
/// own process died with; its record stays as it is for ever. And a source that comes back in the middle calls the record
/// completed while the target goes on: then the instance is in a task that it was not in before.
fn is_under_way(failure: &Failure<'_>, id: &InstanceId) -> bool {
    let task = failure.seen.instances.get(id).and_then(|now| now.task.as_ref());
    let before = failure.before.get(id).and_then(|before| before.task.as_ref());
    if task.is_none() {
        return false;
    }
    let records = failure.seen.evacuations.iter();
    let ours: Vec<&Evacuation> =
        records.filter(|record| record.instance == *id && record.source == *failure.host).collect();
    let newest = ours.iter().map(|record| record.id).max();
    ours.iter().any(|record| {
        let goes_on = match record.stage {
            MoveStage::UnderWay => true,
            MoveStage::Completed => Some(record.id) == newest && task != before,
            MoveStage::Done | MoveStage::Failed => false,
        };
        let target = record.target.as_ref().and_then(|target| failure.seen.services.get(target));
        goes_on && target.is_none_or(|service| !service.forced_down)
    })
}

fn is_dead(failure: &Failure<'_>, host: &HostName) -> bool {
    let service = failure.seen.services.get(host);
    service.is_some_and(|service| service.forced_down || !service.up)
}

/// Hosts that were asked to take an instance and were declared down before they had it. The request waits for their
/// compute process and is obeyed when that starts, however late: until then nobody else may be asked unless they are off.
fn may_still_obey(failure: &Failure<'_>, id: &InstanceId) -> BTreeSet<HostName> {
    let waits = failure.seen.evacuations.iter().filter(|record| {
        record.instance == *id && record.source == *failure.host && record.stage == MoveStage::UnderWay
    });
    waits.filter_map(|record| record.target.clone()).filter(|target| is_dead(failure, target)).collect()
}

struct Maker {
    waves: Vec<String>,
    steps: Vec<Step>,
}

impl Maker {
    fn add(&mut self, id: String, title: String, on: Target, does: Does, after: &[StepId]) -> StepId {
        let id = StepId::new(id);
        let expect_ms = match does {
            Does::Fence { .. } => FENCE_EXPECT_MS,
            Does::Evacuate { .. } => EVACUATION_EXPECT_MS,
            _ => EXPECT_MS,
        };
        self.steps.push(Step {
            id: id.clone(),
            title,
            wave: self.waves.len().saturating_sub(1) as u16,
            does,
            on,
            after: after.to_vec(),
            guard: Vec::new(),
            gate: None,
            tries: TRIES,
            limit_s: CHANGE_LIMIT_S,
            expect_ms,
            draws: Vec::new(),
            undo: Undo::Nothing,
            may_fail: false,
            regardless: false,
        });
        id
    }

    fn last(&mut self, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.steps.last_mut() {
            change(step);
        }
    }
}

/// Makes the plan of one round. It isolates and fences in any case; what cannot be moved now is in the report.
pub fn recover(failure: &Failure<'_>) -> Result<Planned, serde_json::Error> {
    let left = left(failure);
    let mut report = Report { nodes: vec![failure.host.clone()], ..Report::default() };
    for (id, instance, why) in &left.alone {
        held_back(&mut report, id, instance, why);
    }
    let mut maker = Maker { waves: vec![format!("isolate {}", failure.host)], steps: Vec::new() };
    let isolated = isolate(failure, &mut maker);
    maker.waves.push("move".into());
    let routes = routes(failure, &left, &mut report);
    let mut prepared: BTreeMap<HostName, StepId> = BTreeMap::new();
    for spare in &routes.spares {
        prepared.insert(spare.clone(), use_spare(failure, spare, &mut maker, &isolated));
    }
    let mut barrier: Option<(u16, StepId)> = None;
    let mut of_priority: Vec<StepId> = Vec::new();
    for (id, before, reset, to) in &left.to_move {
        let Some(targets) = routes.targets.get(*id) else { continue };
        let rank = priority(before, failure.policy);
        if failure.policy.one_priority_after_the_other {
            let changes = barrier.as_ref().is_none_or(|(of, _)| *of != rank);
            if changes && !of_priority.is_empty() {
                let title = format!("wait for priority {}", barrier.as_ref().map_or(rank, |(of, _)| *of));
                let name = format!("after-{}", of_priority.len() + maker.steps.len());
                let does = Does::Check { checks: Vec::new() };
                let gate = maker.add(name, title, Target::Cloud, does, &of_priority);
                maker.last(|step| step.regardless = true);
                of_priority.clear();
                barrier = Some((rank, gate));
            } else if changes {
                barrier = Some((rank, isolated.clone()));
            }
        }
        let mut after = vec![isolated.clone()];
        after.extend(barrier.iter().map(|(_, gate)| gate.clone()).filter(|gate| *gate != isolated));
        let first = targets.first().cloned().flatten();
        after.extend(first.iter().filter_map(|spare| prepared.get(spare)).cloned());
        let place = first.as_ref().map_or("elsewhere".to_owned(), |host| format!("to {host}"));
        let does = Does::Evacuate {
            instance: (*id).clone(),
            source: failure.host.clone(),
            targets: targets.clone(),
            reset: *reset,
            lock: LOCK_REASON.into(),
        };
        let title = format!("move {} {place}", before.name);
        let moved = maker.add(format!("move-{id}"), title, Target::Cloud, does, &after);
        maker.last(|step| {
            step.tries = failure.policy.tries;
            step.limit_s = failure.policy.evacuation_limit_s;
            step.may_fail = true;
            step.guard = vec![Check::PowerIsOff { node: failure.host.clone() }];
            step.guard.extend(may_still_obey(failure, id).into_iter().map(|node| Check::PowerIsOff { node }));
            step.draws = vec![EVACUATIONS.into()];
            step.draws.extend(first.as_ref().map(|host| budget_of(host).as_str().into()));
            let because = "it runs elsewhere from then on".into();
            step.undo = Undo::Impossible { because };
        });
        of_priority.push(settle(failure, &mut maker, &(*id, *before, *to, failure.host), &[moved]));
    }
    for (id, before, to) in &left.to_settle {
        let settled = (*id, *before, *to, failure.host);
        settle(failure, &mut maker, &settled, std::slice::from_ref(&isolated));
    }
    let moves = maker.steps.iter().filter(|step| matches!(step.does, Does::Evacuate { .. })).count();
    report.decisions.push(format!("{moves} instances are moved, {} are left alone", left.alone.len()));
    let plan = seal(failure, maker)?;
    Ok(Planned { plan, report })
}

fn held_back(report: &mut Report, id: &InstanceId, instance: &Instance, why: &str) {
    report.held_back.push(HeldBack { what: format!("{} ({id})", instance.name), why: why.to_owned() });
}

fn budget_of(host: &HostName) -> String {
    format!("to-{host}")
}

fn seal(failure: &Failure<'_>, maker: Maker) -> Result<Plan, serde_json::Error> {
    let named: BTreeSet<&str> =
        maker.steps.iter().flat_map(|step| &step.draws).map(|name| name.as_str()).collect();
    let width = |name: &str| match name {
        EVACUATIONS => failure.policy.at_once.max(1),
        _ => failure.policy.to_one_host.max(1),
    };
    let budgets = named.iter().map(|name| Budget { name: (*name).into(), width: width(name) }).collect();
    Plan::seal(PlanBody {
        format: PLAN_FORMAT_SECOND,
        parent: None,
        cloud: failure.cloud.to_owned(),
        purpose: Purpose::Recover { what: format!("the host {}", failure.host), round: failure.round },
        seen: failure.seen.taken,
        basis: String::new(),
        waves: maker.waves,
        steps: maker.steps,
        budgets,
        cautions: Vec::new(),
    })
}

/// Disables, fences, and declares down. Answers the step after which instances may move.
fn isolate(failure: &Failure<'_>, maker: &mut Maker) -> StepId {
    let host = failure.host;
    let on = || Target::Node(host.clone());
    let reason = failure.policy.host_reason.clone();
    let title = format!("keep new instances away from {host}");
    maker.add(format!("{host}-disable"), title, on(), Does::DisableCompute { reason }, &[]);
    maker.last(|step| step.undo = Undo::Steps(vec![Does::EnableCompute {}]));
    let title = format!("take the power of {host} away and read back that it is off");
    let does = Does::Fence { word: failure.word.cloned() };
    let fenced = maker.add(format!("{host}-fence"), title, on(), does, &[]);
    maker.last(|step| step.limit_s = failure.policy.fence_limit_s);
    let title = format!("declare the compute service of {host} down");
    maker.add(format!("{host}-force-down"), title, on(), Does::ForceDown {}, &[fenced])
}

fn use_spare(failure: &Failure<'_>, spare: &HostName, maker: &mut Maker, isolated: &StepId) -> StepId {
    let aggregates = match failure.policy.spares_join_aggregates {
        true => {
            let there = failure.seen.aggregates_of(spare);
            let mut wanted = failure.seen.aggregates_of(failure.host);
            wanted.retain(|name| !there.contains(name));
            wanted
        }
        false => Vec::new(),
    };
    let reason = failure.policy.spare_reason.clone();
    let back = Does::GiveBackSpare { aggregates: aggregates.clone(), reason };
    let title = format!("put the reserved host {spare} to use");
    let on = Target::Node(spare.clone());
    let after = std::slice::from_ref(isolated);
    let used = maker.add(format!("{spare}-use"), title, on, Does::UseSpare { aggregates }, after);
    maker.last(|step| {
        step.may_fail = true;
        step.undo = Undo::Steps(vec![back]);
    });
    used
}

/// What is to be settled: an instance, what it was, what it becomes, and the host that it is to have left for that. Where it
/// is still on that one, only its lock is opened.
type Settled<'a> = (&'a InstanceId, &'a Instance, Wanted, &'a HostName);

fn settle(
    failure: &Failure<'_>,
    maker: &mut Maker,
    (id, before, state, source): &Settled<'_>,
    after: &[StepId],
) -> StepId {
    let (instance, source) = ((*id).clone(), (*source).clone());
    let does = Does::Settle { instance, source, state: *state, lock: LOCK_REASON.into() };
    let title = format!("give {} its state and its owner back", before.name);
    let settled = maker.add(format!("settle-{id}"), title, Target::Cloud, does, after);
    maker.last(|step| {
        step.tries = failure.policy.tries;
        step.limit_s = SETTLE_LIMIT_S;
        step.may_fail = true;
        step.regardless = true;
    });
    settled
}

/// Where each instance goes, attempt by attempt, and which reserved hosts that takes.
#[derive(Default)]
struct Routes {
    targets: BTreeMap<InstanceId, Vec<Option<HostName>>>,
    spares: Vec<HostName>,
}

fn routes(failure: &Failure<'_>, left: &Left<'_>, report: &mut Report) -> Routes {
    let wanted: Vec<(&InstanceId, &Instance)> =
        left.to_move.iter().map(|(id, before, ..)| (*id, *before)).collect();
    let (common, spares) = (common(failure), spares(failure));
    // What failed by the method's first way is tried by its second one in every second round.
    let by_turns = failure.round.is_multiple_of(2);
    let spares_first = match failure.segment.method {
        Method::Auto => None,
        Method::ReservedHost => Some(true),
        Method::RhPriority => Some(!by_turns),
        Method::AutoPriority => Some(by_turns),
    };
    let mut routes = Routes::default();
    let mut rest = wanted.clone();
    if spares_first == Some(true) {
        rest = onto_spares(&rest, &spares, &mut routes);
    }
    if failure.segment.method != Method::ReservedHost {
        rest = anywhere(failure, &rest, &common, &mut routes);
    }
    if spares_first == Some(false) {
        rest = onto_spares(&rest, &spares, &mut routes);
    }
    for (id, instance) in rest {
        if failure.segment.method == Method::ReservedHost {
            held_back(report, id, instance, "it waits for a reserved host with room for it");
        } else if failure.policy.within_segment {
            held_back(report, id, instance, "no host of the segment has room for it");
        } else {
            held_back(
                report,
                id,
                instance,
                "no host is known to have room for it; the scheduler is asked all the same",
            );
            routes.targets.insert(id.clone(), vec![None]);
        }
    }
    routes
}

type Wishes<'a> = Vec<(&'a InstanceId, &'a Instance)>;

/// Fills reserved hosts one after the other, no more of them than it takes. Answers what fits on none.
fn onto_spares<'a>(wanted: &Wishes<'a>, spares: &[Candidate], routes: &mut Routes) -> Wishes<'a> {
    let mut rest = wanted.clone();
    for spare in spares {
        let places = place(&rest, std::slice::from_ref(spare));
        if !places.is_empty() {
            routes.spares.push(spare.host.clone());
        }
        rest.retain(|(id, _)| !places.contains_key(*id));
        routes.targets.extend(places.into_keys().map(|id| (id, vec![Some(spare.host.clone())])));
    }
    rest
}

/// Spreads over the hosts that are in use. Answers what fits on none.
fn anywhere<'a>(
    failure: &Failure<'_>,
    wanted: &Wishes<'a>,
    common: &[Candidate],
    routes: &mut Routes,
) -> Wishes<'a> {
    let mut rest = wanted.clone();
    let places = place(&rest, common);
    rest.retain(|(id, _)| !places.contains_key(*id));
    for (id, hosts) in places {
        let mut targets: Vec<Option<HostName>> = hosts.into_iter().map(Some).collect();
        if !failure.policy.within_segment {
            // The scheduler knows rules that nobody sees from outside: its choice stands last, and for all that follow.
            targets.push(None);
        }
        routes.targets.insert(id, targets);
    }
    rest
}

fn candidate(failure: &Failure<'_>, host: &HostName) -> Option<Candidate> {
    let service = failure.seen.services.get(host)?;
    let room = failure.seen.room.get(host)?;
    let lives = service.up && !service.forced_down && host != failure.host;
    lives.then(|| Candidate { host: host.clone(), room: *room, zone: service.zone.clone() })
}

fn common(failure: &Failure<'_>) -> Vec<Candidate> {
    let member = |host: &HostName| failure.segment.hosts.iter().find(|member| member.host == *host);
    let usable = |host: &&HostName| match member(host) {
        Some(member) => !member.reserved && !member.on_maintenance,
        None => !failure.policy.within_segment,
    };
    let enabled = failure.seen.services.iter().filter(|(_, service)| service.enabled);
    enabled.map(|(host, _)| host).filter(usable).filter_map(|host| candidate(failure, host)).collect()
}

/// Reserved hosts of the segment that live, those first that have not failed yet.
fn spares(failure: &Failure<'_>) -> Vec<Candidate> {
    let reserved = failure.segment.hosts.iter().filter(|member| member.reserved && !member.on_maintenance);
    let mut found: Vec<Candidate> = reserved.filter_map(|member| candidate(failure, &member.host)).collect();
    found.sort_by_key(|spare| failure.tired.contains(&spare.host));
    found
}

/// What a recovery that goes no further for now has left unfinished: instances elsewhere that are not as they were, and such
/// as hold a lock of ours at their old place, or on a host that is dead, too.
pub(super) fn unsettled<'a>(failure: &Failure<'a>, left: &Left<'a>) -> Vec<Settled<'a>> {
    let is_ours = |id: &InstanceId| {
        let now = failure.seen.instances.get(id);
        now.is_some_and(|now| now.lock_reason.as_deref() == Some(LOCK_REASON))
    };
    let elsewhere = left.to_settle.iter().map(|(id, before, to)| (*id, *before, *to, failure.host));
    let here = left.to_move.iter().map(|(id, before, _, to)| (*id, *before, *to, failure.host));
    let stranded = left.stranded.iter().map(|(id, before, place)| (*id, *before, Wanted::Active, *place));
    elsewhere.chain(here.chain(stranded).filter(|(id, ..)| is_ours(id))).collect()
}

/// A plan that moves nothing and finishes what was begun.
pub(super) fn settle_only(
    failure: &Failure<'_>,
    unsettled: &[Settled<'_>],
) -> Result<Planned, serde_json::Error> {
    let mut maker = Maker { waves: vec!["finish what was begun".into()], steps: Vec::new() };
    for settled in unsettled {
        settle(failure, &mut maker, settled, &[]);
    }
    Ok(Planned { plan: seal(failure, maker)?, report: Report::default() })
}

/// A small plan that puts reserved hosts back on which nothing landed.
pub(super) fn give_back(
    failure: &Failure<'_>,
    spares: &[(HostName, Vec<String>)],
) -> Result<Planned, serde_json::Error> {
    let mut maker = Maker { waves: vec!["give reserved hosts back".into()], steps: Vec::new() };
    for (spare, aggregates) in spares {
        let reason = failure.policy.spare_reason.clone();
        let does = Does::GiveBackSpare { aggregates: aggregates.clone(), reason };
        let title = format!("put {spare} back into reserve: nothing landed on it");
        maker.add(format!("{spare}-give-back"), title, Target::Node(spare.clone()), does, &[]);
    }
    Ok(Planned { plan: seal(failure, maker)?, report: Report::default() })
}
