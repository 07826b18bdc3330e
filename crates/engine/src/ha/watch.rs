//! Works one outage off: looks, decides, plans, drives, and writes down what came of it, under a lease of its own.
//!
//! It remembers nothing: a process that takes over reads the incident and its runs and goes on. It must never fence or
//! move outside a run, nor wake a run that a person has paused.

use super::earlier;
use super::incident::{Incident, Next, decide, has_step, lacks_proof, must_place};
use super::limits::pause_before_resume_ms;
use super::policy::{Policy, Segment};
use crate::plan::{Planned, lint};
use crate::run::{self, DriveError, Ended, LeaseError, Observer, Run, RunState};
use crate::seam::{Fut, Seams, StoreError};
use ostler_model::Timestamp;
use ostler_model::compute::Scope;
use ostler_model::event::{Actor, Event, Verdict, Why};
use ostler_model::ids::{HostName, RunId};
use ostler_model::step::{Does, Word};

/// The rule that approves the runs of an outage, named in their journals.
const RULE: &str = "instance HA";

/// Keeps an incident durably before anything is done that it must know of. `Err` says that it could not, or that somebody
/// else has changed it meanwhile; then nothing further is done.
pub type Keep<'a> = &'a (dyn Fn(&Incident) -> Fut<'a, Result<(), StoreError>> + Send + Sync);

/// Who works, and whether another owner of a lease is known to be gone.
pub type Owner<'a> = (&'a str, &'a (dyn Fn(&str) -> bool + Send + Sync));

/// Where one turn of work has left an outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Went {
    /// There is more to do at once.
    On,
    /// There is more to do, but not now.
    Later {
        /// After this time.
        ms: u64,
        /// What it waits for.
        why: Why,
    },
    /// A person must say something.
    Asks(Why),
    /// It is over.
    Over(String),
}

/// Why a turn of work ended without an answer. The next turn, of whichever process, goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// Somebody else works on it.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The run could not be driven.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A plan is not fit to run: a defect, and nothing was done.
    #[error("the plan for {host} was refused: {what}")]
    Unfit {
        /// The host.
        host: HostName,
        /// What is wrong with it.
        what: String,
    },
}

impl From<run::ControlError> for WorkError {
    fn from(error: run::ControlError) -> Self {
        WorkError::Drive(error.into())
    }
}

/// How long an outage that waits for something else is left alone.
const WAIT_MS: u64 = 2_000;

/// The lease of whoever works on what failed.
pub(super) fn lease_name(what: &str) -> String {
    format!("{}{what}", run::OUTAGE)
}

/// Everything that a turn of work needs. `gone` says whether an owner of a lease is known to exist no more.
#[allow(clippy::too_many_arguments)]
pub async fn work(
    seams: &Seams,
    incident: &mut Incident,
    cloud: &str,
    segment: &Segment,
    policy: &Policy,
    (owner, gone): Owner<'_>,
    keep: Keep<'_>,
    observer: Observer<'_>,
) -> Result<Went, WorkError> {
    if incident.over {
        return Ok(Went::Over(incident.waits.clone().unwrap_or_default()));
    }
    // The kill switch stops everything, also what is under way: nothing more is begun.
    if !segment.enabled {
        switch_off(seams, incident).await?;
        let why = Why::new(format!("instance HA is off for the segment {}", segment.name));
        return Ok(Went::Later { ms: WAIT_MS, why });
    }
    let name = lease_name(incident.host.as_str());
    let mut lease = run::take(seams.store.as_ref(), seams.clock.as_ref(), &name, owner, &gone).await?;
    let went = turn(seams, incident, cloud, segment, policy, &mut lease, keep, observer).await;
    // Given back in any case: whoever comes next need not wait for its end.
    let _ends_by_itself = run::give_back(seams.store.as_ref(), &lease).await;
    went
}

#[allow(clippy::too_many_arguments)]
async fn turn(
    seams: &Seams,
    incident: &mut Incident,
    cloud: &str,
    segment: &Segment,
    policy: &Policy,
    lease: &mut crate::seam::Lease,
    keep: Keep<'_>,
    observer: Observer<'_>,
) -> Result<Went, WorkError> {
    let store = seams.store.as_ref();
    let mut runs = Vec::with_capacity(incident.runs.len());
    for id in &incident.runs {
        runs.push(run::load(store, id).await?);
    }
    if let Some(open) = runs.iter().find(|run| is_begun(run) && !is_closed(run)) {
        let moves = |does: &Does| matches!(does, Does::Evacuate { .. } | Does::Fence { .. });
        let no_more = incident.given_up.as_ref().filter(|_| has_step(open, moves));
        // With a person's word the round begins anew: nothing has moved without the proof that it stands for.
        if let Some(word) = no_more.or(incident.word.as_ref().filter(|_| lacks_proof(open))) {
            return stop(seams, incident, open, word, lease, observer).await;
        }
        return go_on(seams, incident, open, lease, observer).await;
    }
    let those = incident.before.iter().flat_map(|before| before.keys().cloned()).collect();
    // After a round mostly nothing is left to be placed: then nobody asks every host for its room. What waits, waits for room.
    let room = incident.waits.is_some() || !runs.iter().any(is_closed);
    let mut scope = Scope { on: vec![incident.host.clone()], those, room };
    let seen = loop {
        // A Nova that is slow, or a host that is full, takes longer to look at than the lease lasts.
        let look = seams.cloud.look(&scope);
        match run::keeping(store, seams.clock.as_ref(), lease, look).await? {
            Ok(seen) if !scope.room && must_place(incident, segment, policy, &seen, &runs) => {
                scope.room = true
            }
            Ok(seen) => break seen,
            Err(why) => return Ok(Went::Later { ms: WAIT_MS, why }),
        }
    };
    if incident.before.is_none() {
        let here = |host: &Option<HostName>| host.as_ref() == Some(&incident.host);
        let those = seen.instances.iter().filter(|(_, instance)| here(&instance.host));
        let mut before = those.map(|(id, instance)| (id.clone(), instance.clone())).collect();
        earlier::remember(store, &incident.host, &mut before).await?;
        incident.before = Some(before);
        keep(incident).await?;
    }
    let unfit = |what: String| WorkError::Unfit { host: incident.host.clone(), what };
    let next = decide(incident, cloud, segment, policy, &seen, &runs);
    match next.map_err(|error| unfit(error.to_string()))? {
        Next::Drive(_) => Ok(Went::On),
        Next::Plan(planned) => {
            // What failed a moment ago fails again now: rounds are spread over minutes, not spent in seconds.
            if let Some(ms) = rest_ms(&runs, seams.clock.now()) {
                let again = Why::new("what is left is tried again in a moment");
                return match wait(incident, again, keep).await? {
                    Went::Later { why, .. } => Ok(Went::Later { ms, why }),
                    went => Ok(went),
                };
            }
            let Planned { plan, report: _ } = *planned;
            if let Some(finding) = lint(&plan).first() {
                return Err(unfit(format!("{} {}", finding.summary, finding.evidence.join("; "))));
            }
            let (clock, dice) = (seams.clock.as_ref(), seams.dice.as_ref());
            let run = run::open(store, clock, dice, &plan, Actor::Rule(RULE.into())).await?;
            // Written down before its approval: a run that no incident knows of never begins.
            incident.runs.push(run.clone());
            incident.waits = None;
            keep(incident).await?;
            run::approve(store, clock, &run, &plan.id, Actor::Rule(RULE.into())).await?;
            drive(seams, incident, &run, lease, observer).await
        }
        Next::Wait(why) => wait(incident, why, keep).await,
        Next::Ask(why) => {
            // Written down when it is new, not each time that it is looked at: a person may take days.
            if incident.waits.as_ref() != Some(&why.what) {
                incident.waits = Some(why.what.clone());
                keep(incident).await?;
            }
            Ok(Went::Asks(why))
        }
        Next::Over(what) => {
            incident.over = true;
            incident.waits = Some(what.clone());
            keep(incident).await?;
            Ok(Went::Over(what))
        }
    }
}

/// Stops what is under way after the kill switch was thrown: a driver hears of it within a second.
async fn switch_off(seams: &Seams, incident: &Incident) -> Result<(), WorkError> {
    for id in &incident.runs {
        if run::load(seams.store.as_ref(), id).await?.state == RunState::Running {
            let why = Why::new("instance HA was switched off for the segment");
            let paused = Event::Paused { who: Actor::Rule(RULE.into()), why };
            run::command(seams.store.as_ref(), seams.clock.as_ref(), id, paused).await?;
        }
    }
    Ok(())
}

/// How long to rest before another round. None: no longer.
fn rest_ms(runs: &[Run], now: Timestamp) -> Option<u64> {
    let last = runs.iter().rfind(|run| is_closed(run))?;
    if last.state == RunState::Closed(Verdict::Finished) {
        return None;
    }
    let rounds = runs.iter().filter(|run| is_closed(run)).count() as u32;
    let waited = now.duration_since(last.latest).as_millis();
    let left = i128::from(pause_before_resume_ms(rounds.saturating_sub(1))) - waited;
    u64::try_from(left).ok().filter(|ms| *ms > 0)
}

async fn wait(incident: &mut Incident, why: Why, keep: Keep<'_>) -> Result<Went, WorkError> {
    if incident.waits.as_ref() != Some(&why.what) {
        incident.waits = Some(why.what.clone());
        keep(incident).await?;
    }
    Ok(Went::Later { ms: WAIT_MS, why })
}

fn is_begun(run: &Run) -> bool {
    run.state != RunState::Opened
}

fn is_closed(run: &Run) -> bool {
    matches!(run.state, RunState::Closed(_))
}

/// Goes on with a run that is not over. One that stopped by itself is tried again: what fails now may work in a minute,
/// and an outage is never forgotten. One that a person stopped is theirs.
async fn go_on(
    seams: &Seams,
    incident: &Incident,
    open: &Run,
    lease: &crate::seam::Lease,
    observer: Observer<'_>,
) -> Result<Went, WorkError> {
    if let RunState::Paused { who, why } = &open.state {
        if matches!(who, Actor::Person(_)) {
            return Ok(Went::Asks(why.clone()));
        }
        let waited = seams.clock.now().duration_since(open.latest).as_millis();
        let pause_ms = pause_before_resume_ms(pauses(open));
        if waited < i128::from(pause_ms) {
            let ms = u64::try_from(i128::from(pause_ms) - waited).unwrap_or(pause_ms);
            return Ok(Went::Later { ms, why: why.clone() });
        }
        let resumed = Event::Resumed { who: Actor::Rule(RULE.into()) };
        run::command(seams.store.as_ref(), seams.clock.as_ref(), &open.id, resumed).await?;
    }
    drive(seams, incident, &open.id, lease, observer).await
}

/// Ends a run because of what a person said: nothing more begins, what is under way comes to its end, then it is closed.
async fn stop(
    seams: &Seams,
    incident: &Incident,
    open: &Run,
    word: &Word,
    lease: &crate::seam::Lease,
    observer: Observer<'_>,
) -> Result<Went, WorkError> {
    let (store, clock) = (seams.store.as_ref(), seams.clock.as_ref());
    if open.state == RunState::Running {
        let who = Actor::Person(word.who.clone());
        let paused = Event::Paused { who, why: Why::new(word.why.clone()) };
        run::command(store, clock, &open.id, paused).await?;
    }
    if !open.doing.is_empty() {
        drive(seams, incident, &open.id, lease, observer).await?;
    }
    let now = run::load(store, &open.id).await?;
    if !now.doing.is_empty() {
        let why = Why::new(format!("of {} steps it is not known yet what came of them", now.doing.len()));
        return Ok(Went::Later { ms: WAIT_MS, why });
    }
    if !is_closed(&now) {
        let abandoned = Event::Abandoned { who: Actor::Person(word.who.clone()), why: word.why.clone() };
        run::command(store, clock, &open.id, abandoned).await?;
    }
    Ok(Went::On)
}

/// How often a run has been tried in vain, by the attempts of the step that stopped it.
fn pauses(run: &Run) -> u32 {
    let most = run.failed.iter().map(|at| run.steps[*at].attempt / run.step(*at).tries.max(1)).max();
    u32::from(most.unwrap_or(1)).saturating_sub(1)
}

async fn drive(
    seams: &Seams,
    incident: &Incident,
    run: &RunId,
    lease: &crate::seam::Lease,
    observer: Observer<'_>,
) -> Result<Went, WorkError> {
    match run::drive(run, seams, lease.clone(), observer).await? {
        Ended::Closed(_) => Ok(Went::On),
        Ended::Paused { who: Actor::Person(_), why } => Ok(Went::Asks(why)),
        Ended::Paused { why, .. } => Ok(Went::Later { ms: WAIT_MS, why }),
        Ended::Unapproved => Ok(Went::On),
        Ended::Asking { question, .. } => {
            let what = format!("the recovery of {} asks: {question}", incident.host);
            Ok(Went::Asks(Why::new(what)))
        }
    }
}
