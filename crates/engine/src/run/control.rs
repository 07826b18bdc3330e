//! What a person may say to a run: open, approve, pause, resume, skip, abandon. Each is one entry in its journal.
//!
//! A word is appended at the journal's end whether or not a driver is at work; if the driver took the place, the
//! journal is read again and the word judged anew. Nothing here has an effect on the cloud.

use super::fold::{Impossible, Run, fold};
use crate::seam::{Clock, Dice, Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::event::{Actor, Entry, Event};
use ostler_model::ids::{PlanId, RunId};
use ostler_model::plan::Plan;

/// How often a word is tried again when a driver keeps taking the place at the journal's end.
const COLLISIONS_MAX: usize = 50;

/// Why a run could not be read or spoken to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no such run.
    #[error("there is no run {run}")]
    NoSuchRun {
        /// Named.
        run: RunId,
    },
    /// The run's plan is not in the store.
    #[error("the plan {} of run {run} is not in the store", plan.short())]
    NoPlan {
        /// The run.
        run: RunId,
        /// Its plan.
        plan: PlanId,
    },
    /// The word does not fit.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A new run's name: when it began, and four characters that nobody can guess.
pub fn run_id(now: Timestamp, dice: &dyn Dice) -> RunId {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut roll = dice.roll();
    let tail: String = (0..4)
        .map(|_| {
            let letter = LETTERS[(roll % 32) as usize] as char;
            roll /= 32;
            letter
        })
        .collect();
    let stamp: String = now.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let (day, time) = stamp.split_at(stamp.len().min(8));
    RunId::new(format!("{day}-{time}-{tail}"))
}

/// Opens a run for a plan.
pub async fn open(
    store: &dyn Store,
    clock: &dyn Clock,
    dice: &dyn Dice,
    plan: &Plan,
    who: Actor,
) -> Result<RunId, ControlError> {
    store.keep_plan(plan).await?;
    let now = clock.now();
    let run = run_id(now, dice);
    let event = Event::Opened { plan: plan.id.clone(), who };
    store.append(&[Entry { run: run.clone(), seq: 0, at: now, term: 0, event }]).await?;
    Ok(run)
}

/// Reads a run.
pub async fn load(store: &dyn Store, run: &RunId) -> Result<Run, ControlError> {
    let entries = store.entries(run, 0).await?;
    let plan = match entries.first().map(|entry| &entry.event) {
        Some(Event::Opened { plan, .. }) => plan.clone(),
        _ => return Err(ControlError::NoSuchRun { run: run.clone() }),
    };
    let body = store.plan(&plan).await?.ok_or_else(|| ControlError::NoPlan { run: run.clone(), plan })?;
    Ok(Run::replay(body, &entries)?)
}

/// Approves a run by naming the hash of its plan.
pub async fn approve(
    store: &dyn Store,
    clock: &dyn Clock,
    run: &RunId,
    hash: &PlanId,
    who: Actor,
) -> Result<Run, ControlError> {
    command(store, clock, run, Event::Approved { hash: hash.clone(), who }).await
}

/// Says one word to a run and returns the run as it is then.
pub async fn command(
    store: &dyn Store,
    clock: &dyn Clock,
    run: &RunId,
    event: Event,
) -> Result<Run, ControlError> {
    let mut state = load(store, run).await?;
    for _ in 0..COLLISIONS_MAX {
        // Term 0 marks a word that no driver wrote; a driver folds it and goes on.
        let entry =
            Entry { run: run.clone(), seq: state.seq, at: clock.now(), term: 0, event: event.clone() };
        let after = fold(state, &entry)?;
        match store.append(std::slice::from_ref(&entry)).await {
            Ok(()) => return Ok(after),
            Err(StoreError::Taken { .. }) => state = load(store, run).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(ControlError::Store(StoreError::Unavailable {
        what: format!(
            "the journal of run {run} grew {COLLISIONS_MAX} times while one word was written to it"
        ),
        hint: Some("try again".into()),
    }))
}
