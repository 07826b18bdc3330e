//! An outage of a host from its beginning to its end: what is due next, as a pure function of the incident, its runs, and
//! the compute side as seen.
//!
//! It must never forget an instance that it has once written down, nor end while one may be on its way.

use super::policy::{Policy, Segment};
use super::recover::{Failure, Left, give_back, left, recover, settle_only, unsettled};
use crate::plan::Planned;
use crate::run::{Run, RunState, Status};
use ostler_model::Timestamp;
use ostler_model::compute::{Compute, Instance};
use ostler_model::event::Why;
use ostler_model::ids::{HostName, InstanceId, RunId};
use ostler_model::step::{Does, Word};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Instances that are named in one line.
const NAMED_MAX: usize = 20;

/// What those wait for that fit nowhere.
pub const NO_ROOM: &str = "wait for a host with room for them";

/// How long an evacuation may be under way until it is said that it may be lost: longer than its limits.
const MAY_BE_LOST_AFTER_S: i64 = 1_800;

/// An outage of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The host.
    pub host: HostName,
    /// Since when.
    pub opened: Timestamp,
    /// Its instances as they were before. Written once: later looks would see what the recovery has left behind.
    pub before: Option<BTreeMap<InstanceId, Instance>>,
    /// The runs that work on it, the oldest first.
    pub runs: Vec<RunId>,
    /// Runs that do not count against the rounds any more, since a person asked for another set of them.
    pub forgiven: usize,
    /// A person's word that the host is off.
    pub word: Option<Word>,
    /// A person's word that what is not back is left as it is.
    pub given_up: Option<Word>,
    /// A person's word that the storm guard shall not hold it.
    pub released: Option<Word>,
    /// Why it waits, where it does.
    pub waits: Option<String>,
    /// Whether it is over.
    pub over: bool,
}

impl Incident {
    /// An outage that begins now.
    pub fn open(host: HostName, now: Timestamp) -> Incident {
        Incident {
            host,
            opened: now,
            before: None,
            runs: Vec::new(),
            forgiven: 0,
            word: None,
            given_up: None,
            released: None,
            waits: None,
            over: false,
        }
    }
}

/// What is due.
#[derive(Clone, Debug)]
pub enum Next {
    /// A run is to be driven.
    Drive(RunId),
    /// A plan is to be run.
    Plan(Box<Planned>),
    /// Nothing now; the same question later.
    Wait(Why),
    /// Nothing before a person says something.
    Ask(Why),
    /// It is over: everything that could come back is back.
    Over(String),
}

/// What is due for an outage. `runs` are its runs in the incident's order; without `before` there is nothing to ask.
pub fn decide(
    incident: &Incident,
    cloud: &str,
    segment: &Segment,
    policy: &Policy,
    seen: &Compute,
    runs: &[Run],
) -> Result<Next, serde_json::Error> {
    // A run that nobody approved was left behind by a crash between its opening and its approval: it has done nothing.
    let begun: Vec<&Run> = runs.iter().filter(|run| run.state != RunState::Opened).collect();
    if let Some(open) = begun.iter().find(|run| !matches!(run.state, RunState::Closed(_))) {
        return Ok(Next::Drive(open.id.clone()));
    }
    let empty = BTreeMap::new();
    let before = incident.before.as_ref().unwrap_or(&empty);
    let settled = settled(&begun, &incident.host);
    let in_use = spares_in_use(runs);
    let failure = Failure {
        cloud,
        host: &incident.host,
        segment,
        policy,
        before,
        seen,
        settled: &settled,
        tired: &in_use.keys().cloned().collect(),
        word: incident.word.as_ref(),
        round: begun.len() as u32 + 1,
    };
    let left = left(&failure);
    if let Some(word) = &incident.given_up {
        return wind_up(&failure, &left, word, &begun, &in_use);
    }
    let is_fenced = begun.iter().any(|run| has_done(run, |does| matches!(does, Does::ForceDown {})));
    if !is_fenced {
        return Ok(Next::Plan(Box::new(recover(&failure)?)));
    }
    let rounds = begun.len().saturating_sub(incident.forgiven) as u32;
    let is_due = !left.to_move.is_empty() || !left.to_settle.is_empty();
    if is_due && rounds < policy.rounds {
        let planned = recover(&failure)?;
        let does_something = planned
            .plan
            .body
            .steps
            .iter()
            .any(|step| matches!(step.does, Does::Evacuate { .. } | Does::Settle { .. }));
        if does_something {
            return Ok(Next::Plan(Box::new(planned)));
        }
        // Who waits is its owner's again meanwhile: an earlier outage, whose new host this one was, may have locked it.
        let locked = unsettled(&failure, &left);
        if !locked.is_empty() {
            return Ok(Next::Plan(Box::new(settle_only(&failure, &locked)?)));
        }
        let count = left.to_move.len();
        let what = format!("{count} instances {NO_ROOM}");
        return Ok(Next::Wait(Why::new(what).hint("add a reserved host to the segment, or make room")));
    }
    if !left.under_way.is_empty() {
        return Ok(Next::Wait(on_their_way(&failure, &left)));
    }
    let unused: Vec<(HostName, Vec<String>)> =
        in_use.into_iter().filter(|(spare, _)| !seen_on(seen, spare)).collect();
    if !unused.is_empty() {
        return Ok(Next::Plan(Box::new(give_back(&failure, &unused)?)));
    }
    if is_due {
        let names: Vec<String> = left
            .to_move
            .iter()
            .map(|(_, before, ..)| before.name.clone())
            .chain(left.to_settle.iter().map(|(_, before, _)| before.name.clone()))
            .collect();
        let what = format!("after {rounds} rounds these are not back: {}", names.join(", "));
        return Ok(Next::Ask(Why::new(what).hint("find out why, then retry, or acknowledge")));
    }
    if let Some((_, _, place)) = left.stranded.first() {
        let names: Vec<&str> = left.stranded.iter().map(|(_, before, _)| before.name.as_str()).collect();
        let what = format!("the new host of {} is dead, too, for example {place}", named(&names));
        let hint = "its own outage moves them on; `ostler ha return HOST` brings it back";
        return Ok(Next::Wait(Why::new(what).hint(hint)));
    }
    let (back, gone, alone) = (left.back.len(), left.gone.len(), left.alone.len());
    Ok(Next::Over(format!(
        "{back} instances are back, {gone} were deleted meanwhile, {alone} were left alone"
    )))
}

/// Whether a look shows instances that still wait for a place, so that it must be known what room there is.
pub(super) fn must_place(
    incident: &Incident,
    segment: &Segment,
    policy: &Policy,
    seen: &Compute,
    runs: &[Run],
) -> bool {
    let (Some(before), None) = (&incident.before, &incident.given_up) else { return false };
    let begun: Vec<&Run> = runs.iter().filter(|run| run.state != RunState::Opened).collect();
    let failure = Failure {
        cloud: "",
        host: &incident.host,
        segment,
        policy,
        before,
        seen,
        settled: &settled(&begun, &incident.host),
        tired: &BTreeSet::new(),
        word: None,
        round: begun.len() as u32 + 1,
    };
    !left(&failure).to_move.is_empty()
}

/// What is due for an outage that a person has given up: nothing moves any more, but what has moved becomes as it was, locks
/// are opened, and reserved hosts on which nothing landed go back.
fn wind_up(
    failure: &Failure<'_>,
    left: &Left<'_>,
    word: &Word,
    begun: &[&Run],
    in_use: &BTreeMap<HostName, Vec<String>>,
) -> Result<Next, serde_json::Error> {
    if !left.under_way.is_empty() {
        return Ok(Next::Wait(on_their_way(failure, left)));
    }
    let only_settles = |run: &&&Run| !has_step(run, |does| matches!(does, Does::Evacuate { .. }));
    let rounds = begun.iter().filter(only_settles).count() as u32;
    let unsettled = unsettled(failure, left);
    if !unsettled.is_empty() && rounds < failure.policy.rounds {
        return Ok(Next::Plan(Box::new(settle_only(failure, &unsettled)?)));
    }
    let unused: Vec<(HostName, Vec<String>)> = in_use
        .iter()
        .filter(|(spare, _)| !seen_on(failure.seen, spare))
        .map(|(spare, aggregates)| (spare.clone(), aggregates.clone()))
        .collect();
    if !unused.is_empty() {
        return Ok(Next::Plan(Box::new(give_back(failure, &unused)?)));
    }
    let mut what = format!("given up by {}: {}", word.who, word.why);
    let stranded = left.stranded.iter().map(|(_, before, _)| before.name.as_str());
    let names: Vec<&str> =
        left.to_move.iter().map(|(_, before, ..)| before.name.as_str()).chain(stranded).collect();
    if !names.is_empty() {
        what.push_str(&format!("; not back: {}", named(&names)));
    }
    Ok(Next::Over(what))
}

/// What is waited for while instances move. One that nothing comes of any more has a name and a way out: the compute service
/// itself forgets what its process died with, and only a person can say that it did.
fn on_their_way(failure: &Failure<'_>, left: &Left<'_>) -> Why {
    let seen = failure.seen;
    let is_old = |id: &InstanceId| {
        let records = seen.evacuations.iter().filter(|record| record.instance == *id);
        let newest = records.filter_map(|record| record.created).max();
        newest.is_some_and(|created| seen.taken.duration_since(created).as_secs() >= MAY_BE_LOST_AFTER_S)
    };
    let old = left.under_way.iter().filter(|id| is_old(id));
    let names: Vec<&str> = old.filter_map(|id| Some(failure.before.get(*id)?.name.as_str())).collect();
    if names.is_empty() {
        return Why::new(format!("{} instances are on their way", left.under_way.len()));
    }
    Why::new(format!(
        "{} said to be on the way, and nothing has come of it for half an hour; if the compute service has lost it (a conductor \
         or broker died meanwhile): `openstack server set --state error SERVER`, then it is asked for again",
        named(&names)
    ))
}

/// Names in one line, as many as fit.
fn named(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Whether a run has a step of a kind, done or not.
pub(super) fn has_step(run: &Run, is_it: impl Fn(&Does) -> bool) -> bool {
    run.plan.body.steps.iter().any(|step| is_it(&step.does))
}

/// Whether a run still tries to prove that its host is off, and no person's word is in its plan.
pub(super) fn lacks_proof(run: &Run) -> bool {
    run.steps.iter().enumerate().any(|(at, state)| {
        let is_proved = matches!(state.status, Status::Done | Status::Skipped);
        matches!(run.step(at).does, Does::Fence { word: None }) && !is_proved
    })
}

fn has_done(run: &Run, is_it: impl Fn(&Does) -> bool) -> bool {
    run.steps.iter().enumerate().any(|(at, state)| {
        matches!(state.status, Status::Done | Status::Skipped) && is_it(&run.step(at).does)
    })
}

/// Instances that were given their state after their move.
pub(super) fn settled(runs: &[&Run], source: &HostName) -> BTreeSet<InstanceId> {
    let mut found = BTreeSet::new();
    for run in runs {
        for (at, state) in run.steps.iter().enumerate() {
            if let Does::Settle { instance, .. } = &run.step(at).does {
                let host = state.facts.get("host").map(String::as_str);
                if state.status == Status::Done && host.is_some_and(|host| host != source.as_str()) {
                    found.insert(instance.clone());
                }
            }
        }
    }
    found
}

/// Reserved hosts that runs have put to use, or may have, and not given back, with the aggregates that they joined for it.
pub fn spares_in_use(runs: &[Run]) -> BTreeMap<HostName, Vec<String>> {
    let mut used: BTreeMap<HostName, Vec<String>> = BTreeMap::new();
    for run in runs {
        for (at, state) in run.steps.iter().enumerate() {
            let step = run.step(at);
            let Some(host) = step.on.node() else { continue };
            match &step.does {
                Does::UseSpare { aggregates } if state.attempt > 0 => {
                    used.entry(host.clone()).or_default().extend(aggregates.iter().cloned());
                }
                Does::GiveBackSpare { .. } if state.status == Status::Done => {
                    used.remove(host);
                }
                _ => {}
            }
        }
    }
    used
}

/// Whether an instance that we know of is on a host, or on its way there.
fn seen_on(seen: &Compute, host: &HostName) -> bool {
    seen.instances.values().any(|instance| instance.host.as_ref() == Some(host))
        || seen.evacuations.iter().any(|record| {
            record.target.as_ref() == Some(host) && record.stage == ostler_model::compute::MoveStage::UnderWay
        })
}
