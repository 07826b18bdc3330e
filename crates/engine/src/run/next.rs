//! What may happen now: a pure function of a run and the time.
//!
//! It says what *may* be done; it never says how, and it never does it. It takes what is due from where the fold has
//! filed it, so its cost follows what it offers, and not how much is ready, under way or in the plan.

use super::agenda::Stand;
use super::fold::{Run, RunState};
use ostler_model::Timestamp;
use ostler_model::event::{Verdict, Why};
use ostler_model::ids::StepId;

/// Steps that are offered and in hand at once: more conversations than that gain nothing, and each holds memory and
/// connections. A driver that has made its moves asks again.
const AT_ONCE_MAX: usize = 512;

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
        let verdict = if run.given_up > 0 { Verdict::PartlyDone } else { Verdict::Finished };
        return vec![Move::Close(verdict)];
    }
    let settle = run.to_settle(now);
    let wake = settle.wake;
    let mut moves: Vec<Move> =
        settle.moves.into_iter().map(|at| Move::Settle(run.step(at).id.clone())).collect();
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
    if let Some((at, to)) = run.first_too_late(now) {
        let what = format!("the window of step {} ended at {to}", run.step(at).id);
        return vec![Move::Pause(Why::new(what).hint("plan again with a new window"))];
    }
    let room = AT_ONCE_MAX.saturating_sub(moves.len() + run.in_hand());
    let begin = run.to_begin(now, room);
    for (at, stand) in begin.moves {
        let step = run.step(at).id.clone();
        moves.push(match stand {
            Stand::Ask => Move::Ask(step),
            Stand::Watch => Move::Watch(step),
            _ => Move::Begin(step),
        });
    }
    moves.extend(wake.into_iter().chain(begin.wake).min().map(Move::Wait));
    moves
}

/// Whether one step may begin now, whatever else may.
pub fn may_begin(run: &Run, at: usize, now: Timestamp) -> bool {
    run.state == RunState::Running
        && run.failed.is_empty()
        && run.first_stuck().is_none()
        && run.first_too_late(now).is_none()
        && run.stand(at, now) == Stand::Begin
        && run.affords(at).is_ok()
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
    let place = run.first_stuck()?;
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
