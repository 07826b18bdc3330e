//! What may happen now: a pure function of a run and the time.
//!
//! It says what *may* be done; it never says how, and it never does it. It looks only at steps that are ready or
//! under way, so its cost does not grow with the plan.

use super::fold::{Run, RunState};
use ostler_model::Timestamp;
use ostler_model::event::{Verdict, Why};
use ostler_model::ids::StepId;
use ostler_model::step::Gate;

/// Moves offered at once. A driver that has made them asks again.
const MOVES_MAX: usize = 512;

/// One thing that may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// The plan needs approval.
    Approve,
    /// A person must pass the gate of a step.
    Ask(StepId),
    /// The quiet time before a step must be watched.
    Watch(StepId),
    /// A step may begin, once its guards hold.
    Begin(StepId),
    /// The world must be asked what came of a step.
    Settle(StepId),
    /// The run must stop and tell a person why.
    Pause(Why),
    /// Nothing before this time.
    Wait(Timestamp),
    /// The run is over.
    Close(Verdict),
}

/// What may happen now.
pub fn next(run: &Run, now: Timestamp) -> Vec<Move> {
    match &run.state {
        RunState::Closed(_) => return Vec::new(),
        RunState::Opened => return vec![Move::Approve],
        RunState::Running | RunState::Paused { .. } => {}
    }
    let running = run.state == RunState::Running;
    if running && run.remaining == 0 {
        return vec![Move::Close(Verdict::Finished)];
    }
    let mut moves = Vec::new();
    let mut wake: Option<Timestamp> = None;
    let mut sooner = |until: Timestamp| wake = Some(wake.map_or(until, |other| other.min(until)));

    for place in &run.doing {
        if run.needs_a_person(*place) {
            continue;
        }
        match run.steps[*place].not_before {
            Some(until) if until > now => sooner(until),
            _ => moves.push(Move::Settle(run.step(*place).id.clone())),
        }
    }
    if !running {
        moves.extend(wake.map(Move::Wait));
        return moves;
    }
    if let Some(why) = must_pause(run) {
        // What is under way is settled first: a person then sees a whole picture.
        if moves.is_empty() && wake.is_none() {
            return vec![Move::Pause(why)];
        }
        moves.extend(wake.map(Move::Wait));
        return moves;
    }
    let mut beginning: Vec<usize> = Vec::new();
    for place in &run.ready {
        if moves.len() >= MOVES_MAX {
            break;
        }
        let (step, state) = (run.step(*place), &run.steps[*place]);
        if let Some(until) = state.not_before
            && until > now
        {
            sooner(until);
            continue;
        }
        match &step.gate {
            Some(Gate::Operator { .. }) if !state.passed => {
                moves.push(Move::Ask(step.id.clone()));
                continue;
            }
            Some(Gate::Quiet { .. }) if !state.passed => {
                moves.push(Move::Watch(step.id.clone()));
                continue;
            }
            Some(Gate::Window { from, .. }) if now < *from => {
                sooner(*from);
                continue;
            }
            Some(Gate::Window { to, .. }) if now > *to => {
                let what = format!("the window of step {} ended at {to}", step.id);
                return vec![Move::Pause(Why::new(what).hint("plan again with a new window"))];
            }
            _ => {}
        }
        if run.affords(*place, &beginning).is_ok() {
            beginning.push(*place);
            moves.push(Move::Begin(step.id.clone()));
        }
    }
    moves.extend(wake.map(Move::Wait));
    moves
}

/// Why no further step may begin, if so.
fn must_pause(run: &Run) -> Option<Why> {
    if let Some(place) = run.failed.first() {
        let (step, state) = (run.step(*place), &run.steps[*place]);
        let cause = state.why.as_ref().map_or("it gave no reason", |why| why.what.as_str());
        let mut why = Why::new(format!("step {} failed: {cause}", step.id));
        why.hint = state.why.as_ref().and_then(|why| why.hint.clone());
        return Some(why);
    }
    let place = *run.doing.iter().chain(&run.ready).find(|place| run.needs_a_person(**place))?;
    let (step, state) = (run.step(place), &run.steps[place]);
    let cause = state.why.as_ref().map_or("it gave no reason", |why| why.what.as_str());
    let mut why = if run.doing.contains(&place) {
        Why::new(format!("nobody can say what came of step {}: {cause}", step.id))
    } else {
        Why::new(format!("step {} cannot begin: {cause}", step.id))
    };
    why.hint = state.why.as_ref().and_then(|why| why.hint.clone());
    Some(why)
}
