//! Runs: the list, the course of one with its steps, and what a run leaves behind when it is given up.
//!
//! Everything here follows from the fold of the journal.

use super::{age, between, count, local, table, time_of_day};
use crate::duration::words;
use crate::printer::{Ink, Printer};
use crate::progress::told;
use ostler_engine::run::{Run, RunState, Status};
use ostler_model::Timestamp;
use ostler_model::event::{Entry, Event, Verdict};
use ostler_model::step::{Gate, Step};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where steps work that belong to no node.
const CLOUD: &str = "the cloud as a whole";

/// Where a run stands, in a word. `is_driven`: an ostler is at work on its cloud.
pub fn state(run: &Run, is_driven: bool) -> String {
    match &run.state {
        RunState::Opened => "waits for approval".to_owned(),
        RunState::Running if waits_at_gate(run) => "waits at a gate".to_owned(),
        RunState::Running if is_driven => "under way".to_owned(),
        RunState::Running => "interrupted".to_owned(),
        RunState::Paused { .. } => "paused".to_owned(),
        RunState::Closed(Verdict::Abandoned) if !may_have_changed(run) => {
            "closed, nothing changed".to_owned()
        }
        RunState::Closed(Verdict::Abandoned) => "given up".to_owned(),
        RunState::Closed(verdict) => verdict.to_string(),
    }
}

/// Whether a run can only go on by a person's word.
fn waits_at_gate(run: &Run) -> bool {
    let asks =
        |at: &usize| matches!(run.step(*at).gate, Some(Gate::Operator { .. })) && !run.steps[*at].passed;
    run.doing.is_empty() && !run.ready.is_empty() && run.ready.iter().all(asks)
}

fn done(run: &Run) -> usize {
    run.steps.len() - run.remaining
}

/// The list of runs, each with whether an ostler is at work on its cloud.
pub fn list(runs: &[(Run, bool)], now: Timestamp) -> String {
    let rows = runs.iter().map(|(run, is_driven)| {
        vec![
            run.id.to_string(),
            run.plan.body.cloud.clone(),
            run.plan.body.purpose.to_string(),
            state(run, *is_driven),
            format!("{}/{}", done(run), run.steps.len()),
            age(run.opened, now),
            words(between(run.opened, run.latest)),
        ]
    });
    table(&["RUN", "CLOUD", "PURPOSE", "STATE", "STEPS", "BEGAN", "TOOK"], rows.collect())
}

/// One run for programs.
pub fn to_json(run: &Run) -> Value {
    let (who, why) = match &run.state {
        RunState::Paused { who, why } => (Some(who), Some(why)),
        _ => (None, None),
    };
    let verdict = match &run.state {
        RunState::Closed(verdict) => Some(verdict),
        _ => None,
    };
    json!({
        "run": run.id,
        "cloud": run.plan.body.cloud,
        "plan": run.plan.id,
        "purpose": run.plan.body.purpose,
        "state": run.state.word(),
        "verdict": verdict,
        "paused_by": who,
        "why": why,
        "opened": run.opened,
        "opened_by": run.who,
        "latest": run.latest,
        "steps_done": done(run),
        "steps": run.steps.len(),
    })
}

/// One run's steps for programs.
pub fn steps_to_json(run: &Run) -> Value {
    let steps = run.plan.body.steps.iter().zip(&run.steps).map(|(step, state)| {
        json!({
            "step": step.id,
            "title": step.title,
            "status": word(state.status),
            "attempts": state.attempt,
            "began": state.began,
            "ended": state.ended,
            "facts": state.facts,
            "why": state.why,
        })
    });
    Value::Array(steps.collect())
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Waiting => "waiting",
        Status::Ready => "ready",
        Status::Doing => "doing",
        Status::Done => "done",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
        Status::GivenUp => "given-up",
    }
}

/// The course of one run. `entries` is its journal; `is_driven`: an ostler is at work on its cloud.
pub fn page(printer: &Printer, run: &Run, entries: &[Entry], is_driven: bool, now: Timestamp) -> String {
    let body = &run.plan.body;
    let mut text = format!("{}\n", printer.ink(Ink::Heading, &format!("run {}: {}", run.id, body.purpose)));
    text.push_str(&format!(
        "  cloud {}, plan {}, opened {} by {}\n",
        body.cloud,
        run.plan.id.short(),
        local(run.opened),
        run.who
    ));
    let length = words(between(run.opened, run.latest));
    text.push_str(&format!(
        "  {}: {} of {} done, {length} from the first entry to the last\n",
        state(run, is_driven),
        done(run),
        count(run.steps.len(), "step")
    ));
    if let RunState::Paused { who, why } = &run.state {
        text.push_str(&format!("  paused by {who}: {}\n", why.what));
        if let Some(hint) = &why.hint {
            text.push_str(&format!("  hint: {hint}\n"));
        }
    }
    let wide = body.steps.iter().map(|step| step.id.as_str().chars().count()).max().unwrap_or(0).min(32);
    let mut wave = None;
    for (at, (step, state)) in body.steps.iter().zip(&run.steps).enumerate() {
        if wave != Some(step.wave) {
            wave = Some(step.wave);
            let title = body.waves.get(usize::from(step.wave)).map_or("", String::as_str);
            text.push_str(&format!("\n{}\n", printer.ink(Ink::Heading, title)));
        }
        let began = state.began.map_or_else(|| "        ".to_owned(), time_of_day);
        let took = match (state.began, state.ended) {
            (Some(began), Some(ended)) => words(between(began, ended)),
            (Some(began), None) if run.doing.contains(&at) => words(between(began, now)),
            _ => String::new(),
        };
        let mark = match state.status {
            Status::Done => printer.ink(Ink::Good, "done    "),
            Status::Failed => printer.ink(Ink::Bad, "failed  "),
            Status::Doing if !is_driven || state.unknowns > 0 => printer.ink(Ink::Care, "in doubt"),
            Status::Doing => printer.ink(Ink::Care, "doing   "),
            Status::Skipped => printer.ink(Ink::Care, "skipped "),
            Status::GivenUp => printer.ink(Ink::Bad, "given up"),
            Status::Waiting | Status::Ready => printer.ink(Ink::Faint, "-       "),
        };
        let line =
            format!("  {began}  {mark}  {:<wide$}  {took:>11}  {}", step.id, beside(run, at, step, entries));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What stands beside a step: what was learnt, why it failed, what it waits for; else what it does.
fn beside(run: &Run, at: usize, step: &Step, entries: &[Entry]) -> String {
    let state = &run.steps[at];
    let mut parts = Vec::new();
    if state.attempt > 1 {
        parts.push(format!("attempt {}", state.attempt));
    }
    let skipped = entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Skipped { step: skipped, who, why } if *skipped == step.id => Some(format!("by {who}: {why}")),
        _ => None,
    });
    if let (Some(skipped), Status::Skipped) = (skipped, state.status) {
        parts.push(skipped);
    } else if let (Some(why), false) = (&state.why, state.status == Status::Done) {
        parts.push(why.what.clone());
    } else if !state.facts.is_empty() {
        parts.push(told(&state.facts));
    } else if let (Some(gate), Status::Ready, false) = (&step.gate, state.status, state.passed) {
        parts.push(match gate {
            Gate::Operator { question } => format!("asks: {question}"),
            Gate::Quiet { .. } => "watches that all is quiet".to_owned(),
            Gate::Window { .. } => "waits for its window".to_owned(),
        });
    } else {
        parts.push(step.title.clone());
    }
    parts.join("; ")
}

/// In which state a run that is given up leaves each node.
pub fn left_behind(run: &Run) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, step) in run.plan.body.steps.iter().enumerate() {
        let place = step.on.node().map_or_else(|| CLOUD.to_owned(), ToString::to_string);
        places.entry(place).or_default().push(at);
    }
    let is_told = |place: &str, steps: &[usize]| {
        place != CLOUD
            || steps.iter().any(|at| run.steps[*at].attempt > 0 && !run.step(*at).does.only_looks())
    };
    places
        .into_iter()
        .filter(|(place, steps)| is_told(place, steps))
        .map(|(place, steps)| {
            let of = |status: Status| -> Vec<usize> {
                steps.iter().copied().filter(|at| run.steps[*at].status == status).collect()
            };
            let (finished, doing) = (of(Status::Done), of(Status::Doing));
            let changed = finished.iter().filter(|at| !run.step(**at).does.only_looks()).count();
            let mut words = match (finished.last(), changed) {
                (_, 0) => "nothing changed".to_owned(),
                (Some(last), _) => format!(
                    "{} of {} done, the last was {} ({})",
                    finished.len(),
                    count(steps.len(), "step"),
                    run.step(*last).id,
                    run.step(*last).title
                ),
                (None, _) => "nothing done".to_owned(),
            };
            for at in doing {
                words.push_str(&format!("; {} was begun and is left to its unit", run.step(at).id));
            }
            for at in of(Status::Failed) {
                words.push_str(&format!("; {} failed", run.step(at).id));
            }
            format!("{place}: {words}")
        })
        .collect()
}

/// Whether a run has changed anything, or may have.
pub fn may_have_changed(run: &Run) -> bool {
    run.plan
        .body
        .steps
        .iter()
        .zip(&run.steps)
        .any(|(step, state)| state.attempt > 0 && !step.does.only_looks())
}

/// Whether a run is over.
pub fn is_over(run: &Run) -> bool {
    matches!(run.state, RunState::Closed(_))
}
