//! What a recovery's runs have done so far, step by step, as clients are told of it: one task for each wave.
//!
//! A pure function of runs. It must never tell a step that was not begun, nor give one step two marks.

use crate::run::{Run, Status};
use ostler_model::Timestamp;
use ostler_model::ha::{Progress, TaskState};
use ostler_model::ids::NotificationId;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Begun,
    Done,
    Failed,
}

impl Turn {
    fn word(self) -> &'static str {
        match self {
            Turn::Begun => "begun",
            Turn::Done => "done",
            Turn::Failed => "failed",
        }
    }
}

/// The steps of runs, in the order of time.
pub fn steps(runs: &[Run], notification: &NotificationId) -> Vec<Progress> {
    let mut told = Vec::new();
    for (round, run) in runs.iter().enumerate() {
        let mut turns: Vec<(Timestamp, Turn, usize)> = Vec::new();
        for (at, state) in run.steps.iter().enumerate() {
            let Some(began) = state.began else { continue };
            turns.push((began, Turn::Begun, at));
            let ended = state.ended.unwrap_or(run.latest);
            match state.status {
                Status::Done | Status::Skipped => turns.push((ended, Turn::Done, at)),
                Status::Failed | Status::GivenUp => turns.push((ended, Turn::Failed, at)),
                Status::Waiting | Status::Ready | Status::Doing => {}
            }
        }
        turns.sort_unstable();
        let waves = &run.plan.body.waves;
        let mut totals = vec![0usize; waves.len()];
        for at in 0..run.steps.len() {
            if let Some(total) = totals.get_mut(usize::from(run.step(at).wave)) {
                *total += 1;
            }
        }
        let mut done = vec![0usize; waves.len()];
        let mut failed = vec![0usize; waves.len()];
        for (when, turn, at) in turns {
            let step = run.step(at);
            let wave = usize::from(step.wave);
            let (Some(title), Some(total)) = (waves.get(wave), totals.get(wave)) else { continue };
            match turn {
                Turn::Begun => {}
                Turn::Done => done[wave] += 1,
                Turn::Failed => failed[wave] += 1,
            }
            let state = match (done[wave] + failed[wave] >= *total, failed[wave]) {
                (true, 0) => TaskState::Success,
                (true, _) => TaskState::Failure,
                (false, _) => TaskState::Running,
            };
            let why = run.steps[at].why.as_ref().filter(|_| turn == Turn::Failed);
            let why = why.map_or_else(String::new, |why| format!(": {}", why.what));
            let again = if round > 0 { format!(", round {}", round + 1) } else { String::new() };
            told.push(Progress {
                notification: notification.clone(),
                mark: format!("{}/{}/{}", run.id, step.id, turn.word()),
                task: format!("{title}{again}"),
                state,
                permille: u16::try_from(done[wave] * 1000 / (*total).max(1)).unwrap_or(1000),
                at: when,
                message: format!("{}: {}{why}", turn.word(), step.title),
            });
        }
    }
    told
}
