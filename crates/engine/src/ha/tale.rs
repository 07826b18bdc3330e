//! The course of an incident in time: when it was noticed, proved, fenced, when the first instance moved, and how long
//! each was away. For pages, metrics and events alike.
//!
//! A pure function of record and runs. It must never fill a gap with a guess: what nobody wrote down is absent.

use super::fate::{Fate, fate};
use super::kept;
use super::moves::{MovedStatus, moves};
use super::policy::Policy;
use crate::run::{Run, Status};
use ostler_model::Timestamp;
use ostler_model::compute::Instance;
use ostler_model::event::Why;
use ostler_model::ha::{self, Stage};
use ostler_model::ids::{HostName, InstanceId};
use ostler_model::step::Does;
use serde::Serialize;
use std::collections::BTreeMap;

/// A stretch of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stretch {
    /// From what the reporter saw until its report was taken.
    Report,
    /// Until guards and witnesses let the recovery begin.
    Confirm,
    /// Until it was read that the host is off.
    Fence,
    /// Until the compute service was told.
    Declare,
    /// Until the first instance was asked to move.
    FirstMove,
    /// Until the last instance was back.
    Moves,
}

impl Stretch {
    /// Its name for people and labels.
    pub fn word(self) -> &'static str {
        match self {
            Stretch::Report => "report",
            Stretch::Confirm => "confirm",
            Stretch::Fence => "fence",
            Stretch::Declare => "declare-down",
            Stretch::FirstMove => "first-move",
            Stretch::Moves => "moves",
        }
    }
}

/// A stretch with its times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// Which.
    pub stretch: Stretch,
    /// Since when.
    pub from: Timestamp,
    /// Until when; none: it is not over.
    pub to: Option<Timestamp>,
    /// What was learnt.
    pub what: String,
}

/// How far an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It waits.
    Waiting,
    /// It is on its way.
    Moving,
    /// It is elsewhere.
    Back,
    /// Its last attempt failed.
    Failed,
    /// It is left alone.
    Left,
}

impl Standing {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Waiting => "waiting",
            Standing::Moving => "moving",
            Standing::Back => "back",
            Standing::Failed => "failed",
            Standing::Left => "left",
        }
    }
}

/// What became of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Course {
    /// Which.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub standing: Standing,
    /// Where it is, if it moved.
    pub to: Option<HostName>,
    /// Attempts, over all rounds.
    pub rounds: usize,
    /// When it was last asked to move.
    pub asked: Option<Timestamp>,
    /// When it was as before.
    pub back: Option<Timestamp>,
    /// Why it is as it is.
    pub why: Option<String>,
}

/// The course of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tale {
    /// When it was seen by whoever reported it, by their clock.
    pub seen: Timestamp,
    /// Its stretches.
    pub phases: Vec<Phase>,
    /// Its instances, by name.
    pub instances: Vec<Course>,
}

impl Tale {
    /// How long a stretch took; none while it is not over.
    pub fn took_ms(&self, stretch: Stretch) -> Option<u64> {
        let phase = self.phases.iter().find(|phase| phase.stretch == stretch)?;
        Some(ms(phase.from, phase.to?))
    }

    /// How long an instance was away, if it is back.
    pub fn away_ms(&self, course: &Course) -> Option<u64> {
        (course.standing == Standing::Back).then(|| Some(ms(self.seen, course.back?))).flatten()
    }
}

fn ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

/// The course of an incident. `runs` are its runs in the record's order.
pub fn tale(
    record: &ha::Incident,
    opener: Option<&ha::Notification>,
    host: &HostName,
    runs: &[Run],
    policy: &Policy,
) -> Result<Tale, Why> {
    let incident = kept::read(record, host)?;
    let empty = BTreeMap::new();
    let before = incident.before.as_ref().unwrap_or(&empty);
    // A clock that is ahead of ours must not make a stretch that runs backwards.
    let seen = opener.map_or(record.opened, |one| one.generated.min(record.opened));
    let instances = courses(before, runs, policy);
    let phases = phases(record, opener, seen, runs, &instances);
    Ok(Tale { seen, phases, instances })
}

/// How an incident stands, and why. Its record is written between two rounds; while one is under way its journal knows
/// better what it waits for.
pub fn stands(record: &ha::Incident, runs: &[Run]) -> (Stage, String) {
    if record.closed.is_some() || record.stage != Stage::Working {
        return (record.stage, record.why.clone());
    }
    let fence = runs.last().and_then(|run| {
        let steps = run.steps.iter().enumerate();
        steps
            .filter(|(at, _)| matches!(run.step(*at).does, Does::Fence { .. }))
            .map(|(_, state)| state)
            .next()
    });
    match fence {
        // The first try takes as long as the machine needs.
        Some(state) if state.status != Status::Done && state.attempt > 1 => {
            let why = state.why.as_ref().map_or_else(|| record.why.clone(), |why| why.what.clone());
            (Stage::Proof, why)
        }
        _ => (record.stage, record.why.clone()),
    }
}

/// Says of a verb whether it is of a kind.
type Kind = fn(&Does) -> bool;

/// The first time that a step of a kind was done, with what was learnt.
fn first_done(runs: &[Run], is_it: impl Fn(&Does) -> bool) -> Option<(Timestamp, String)> {
    let done = runs.iter().flat_map(|run| {
        run.steps.iter().enumerate().filter_map(|(at, state)| {
            let counts = state.status == Status::Done && is_it(&run.step(at).does);
            let means = state.facts.get("means").cloned().unwrap_or_default();
            counts.then_some((state.ended?, means))
        })
    });
    done.min()
}

fn first_begun(runs: &[Run], is_it: impl Fn(&Does) -> bool) -> Option<Timestamp> {
    let begun = runs.iter().flat_map(|run| {
        let steps = run.steps.iter().enumerate();
        steps.filter(|(at, _)| is_it(&run.step(*at).does)).filter_map(|(_, state)| state.began)
    });
    begun.min()
}

fn phases(
    record: &ha::Incident,
    opener: Option<&ha::Notification>,
    seen: Timestamp,
    runs: &[Run],
    instances: &[Course],
) -> Vec<Phase> {
    let by = opener.map(|one| format!("by {}", one.reporter)).unwrap_or_default();
    let mut phases = vec![Phase { stretch: Stretch::Report, from: seen, to: Some(record.opened), what: by }];
    let began = runs.first().map(|run| run.opened);
    // What was closed without a run was never confirmed.
    let confirmed = began.or(record.closed);
    let why = if began.is_none() { record.why.clone() } else { String::new() };
    phases.push(Phase { stretch: Stretch::Confirm, from: record.opened, to: confirmed, what: why });
    let Some(mut from) = began else { return phases };
    let has = |is_it: Kind| runs.iter().any(|run| (0..run.steps.len()).any(|at| is_it(&run.step(at).does)));
    let is_fence = |does: &Does| matches!(does, Does::Fence { .. });
    let is_down = |does: &Does| matches!(does, Does::ForceDown {});
    let is_move = |does: &Does| matches!(does, Does::Evacuate { .. });
    let fenced = first_done(runs, is_fence);
    let declared = first_done(runs, is_down);
    let moved = first_begun(runs, is_move).map(|at| (at, String::new()));
    let steps: [(Stretch, Kind, _); 3] = [
        (Stretch::Fence, is_fence, fenced),
        (Stretch::Declare, is_down, declared),
        (Stretch::FirstMove, is_move, moved),
    ];
    for (stretch, is_it, ended) in steps {
        if !has(is_it) {
            return phases;
        }
        let what = match (&ended, stretch) {
            (Some((_, means)), Stretch::Fence) => format!("off, by {means}"),
            (None, _) => record.why.clone(),
            _ => String::new(),
        };
        let to = ended.map(|(at, _)| at);
        phases.push(Phase { stretch, from, to, what });
        match to {
            Some(at) => from = at,
            None => return phases,
        }
    }
    let is_over = |one: &Course| matches!(one.standing, Standing::Back | Standing::Left);
    let last = instances.iter().filter_map(|one| one.back).max();
    let to = match instances.iter().all(is_over) {
        true => last,
        false => record.closed,
    };
    let back = instances.iter().filter(|one| one.standing == Standing::Back).count();
    let what = format!("{back} of {} back", instances.len());
    phases.push(Phase { stretch: Stretch::Moves, from, to, what });
    phases
}

fn courses(before: &BTreeMap<InstanceId, Instance>, runs: &[Run], policy: &Policy) -> Vec<Course> {
    let mut courses: BTreeMap<InstanceId, Course> = BTreeMap::new();
    for (id, instance) in before {
        let why = match fate(instance, policy) {
            Fate::Leave { why } => Some(why),
            Fate::Move { .. } => None,
        };
        let standing = if why.is_some() { Standing::Left } else { Standing::Waiting };
        let name = instance.name.clone();
        let course =
            Course { id: id.clone(), name, standing, to: None, rounds: 0, asked: None, back: None, why };
        courses.insert(id.clone(), course);
    }
    for moved in moves(runs) {
        let Some(course) = courses.get_mut(&moved.instance) else { continue };
        course.standing = match moved.status {
            MovedStatus::Pending => Standing::Waiting,
            MovedStatus::Ongoing => Standing::Moving,
            MovedStatus::Succeeded => Standing::Back,
            MovedStatus::Failed => Standing::Failed,
        };
        course.rounds += usize::from(moved.start.is_some());
        course.asked = moved.start.or(course.asked);
        if moved.status == MovedStatus::Succeeded {
            (course.to, course.back) = (moved.dest, moved.end);
        }
        course.why = moved.message.filter(|_| moved.status != MovedStatus::Succeeded);
    }
    // An instance is back when it is as it was, and not when it has merely arrived.
    for run in runs {
        for (at, state) in run.steps.iter().enumerate() {
            let Does::Settle { instance, source, .. } = &run.step(at).does else { continue };
            let host = state.facts.get("host").map(String::as_str);
            let is_settled = state.status == Status::Done && host.is_some_and(|host| host != source.as_str());
            if let (true, Some(course)) = (is_settled, courses.get_mut(instance)) {
                course.standing = Standing::Back;
                course.back = state.ended.or(course.back);
                course.to = host.map(HostName::new).or(course.to.take());
                course.why = None;
            }
        }
    }
    let mut courses: Vec<Course> = courses.into_values().collect();
    courses.sort_by(|one, other| one.name.cmp(&other.name).then_with(|| one.id.cmp(&other.id)));
    courses
}
