//! Trials of canaries as pages: one line for a stage, and a history.
//!
//! A view looks only at what it is given. It must never call a stage passed that was skipped.

use super::{count, local, table};
use crate::duration::words;
use crate::printer::{Ink, Printer};
use ostler_engine::canary::{History, Swept};
use ostler_model::canary::{Came, Stage, Thing, Trial};

/// Times of stages are short: below a second they are told in milliseconds.
fn took(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { words(ms) }
}

/// One line for a stage.
pub fn line(printer: &Printer, stage: &Stage) -> String {
    let ink = match stage.came {
        Came::Passed => Ink::Good,
        Came::Failed => Ink::Bad,
        Came::Skipped => Ink::Faint,
    };
    let took = if stage.came == Came::Skipped { String::new() } else { self::took(stage.took_ms) };
    let word = printer.ink(ink, &format!("{:<7}", stage.came.as_str()));
    format!("{:<16}  {word}  {took:<8}  {}", stage.name, stage.what).trim_end().to_owned()
}

/// What a trial came to, in one line.
pub fn verdict(trial: &Trial) -> String {
    let of = |came: Came| trial.stages.iter().filter(|stage| stage.came == came).count();
    let took = trial
        .ended
        .map_or(String::new(), |ended| format!(" in {}", words(super::between(trial.began, ended))));
    format!(
        "canary {}, suite {}: {} passed, {} failed, {} skipped{took}",
        trial.name,
        trial.suite,
        of(Came::Passed),
        of(Came::Failed),
        of(Came::Skipped)
    )
}

/// The history of many trials.
pub fn history(trials: &[Trial], told: &History) -> String {
    let (Some(newest), Some(oldest)) = (trials.first(), trials.last()) else {
        return "no canary has been tried in that time\n".to_owned();
    };
    let mut text = format!(
        "{} from {} to {}: {} with a failure, {} broken off\n\n",
        count(told.trials, "trial"),
        local(oldest.began),
        local(newest.began),
        told.failed,
        told.broken_off
    );
    let time = |ms: Option<u64>| ms.map_or("-".to_owned(), took);
    let rows = told.stages.iter().map(|stage| {
        vec![
            stage.name.clone(),
            stage.passed.to_string(),
            stage.failed.to_string(),
            stage.skipped.to_string(),
            time(stage.min_ms),
            time(stage.median_ms),
            time(stage.p95_ms),
            time(stage.max_ms),
        ]
    });
    let heading = ["STAGE", "PASSED", "FAILED", "SKIPPED", "MIN", "MEDIAN", "P95", "MAX"];
    text.push_str(&table(&heading, rows.collect()));
    if let Some(failed) = trials.iter().find_map(|trial| {
        let stage = trial.stages.iter().find(|stage| stage.came == Came::Failed)?;
        Some(format!(
            "\nlast failure: {} of {} at {}: {}\n",
            stage.name,
            trial.name,
            local(trial.began),
            stage.what
        ))
    }) {
        text.push_str(&failed);
    }
    text
}

/// What a sweep came to.
pub fn swept(swept: &Swept, only_looked: bool) -> String {
    let mut text = String::new();
    let name = |thing: &Thing| format!("{} {}", thing.kind, thing.name);
    for thing in &swept.gone {
        text.push_str(&format!("gone        {}\n", name(thing)));
    }
    for (thing, why) in &swept.left {
        match only_looked {
            true => text.push_str(&format!("would go    {}\n", name(thing))),
            false => text.push_str(&format!("still there {}: {why}\n", name(thing))),
        }
    }
    for thing in &swept.busy {
        text.push_str(&format!("in use      {}: by trial {} of {}\n", name(thing), thing.trial, thing.owner));
    }
    for record in &swept.unreadable {
        text.push_str(&format!("unreadable  {record}: written by a newer ostler\n"));
    }
    if text.is_empty() {
        text.push_str("nothing is left behind\n");
    }
    text
}
