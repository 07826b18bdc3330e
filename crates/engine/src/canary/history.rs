//! How stages did over many trials: how often, how many failed, and how long the good ones took.
//!
//! Only stages that passed have a time: one that failed fast is not a fast one.

use super::stages::steps;
use ostler_model::canary::{Came, Suite, Trial};
use std::collections::BTreeMap;

/// What many trials came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Trials.
    pub trials: usize,
    /// Trials in which a stage failed.
    pub failed: usize,
    /// Trials that were broken off.
    pub broken_off: usize,
    /// One for each stage, in the order of the fullest suite.
    pub stages: Vec<Told>,
}

/// How one stage did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The stage.
    pub name: String,
    /// How often it passed.
    pub passed: usize,
    /// How often it failed.
    pub failed: usize,
    /// How often it was skipped.
    pub skipped: usize,
    /// The shortest time.
    pub min_ms: Option<u64>,
    /// Half took at most so long.
    pub median_ms: Option<u64>,
    /// Of a hundred, ninety-five took at most so long.
    pub p95_ms: Option<u64>,
    /// The longest time.
    pub max_ms: Option<u64>,
}

/// Counts trials, oldest first or newest first.
pub fn history(trials: &[Trial]) -> History {
    let mut order: Vec<&str> = Vec::new();
    let mut found: BTreeMap<&str, (Told, Vec<u64>)> = BTreeMap::new();
    for stage in trials.iter().flat_map(|trial| &trial.stages) {
        let name = stage.name.as_str();
        let (told, times) = found.entry(name).or_insert_with(|| {
            order.push(name);
            let told = Told {
                name: name.to_owned(),
                passed: 0,
                failed: 0,
                skipped: 0,
                min_ms: None,
                median_ms: None,
                p95_ms: None,
                max_ms: None,
            };
            (told, Vec::new())
        });
        match stage.came {
            Came::Passed => {
                told.passed += 1;
                times.push(stage.took_ms);
            }
            Came::Failed => told.failed += 1,
            Came::Skipped => told.skipped += 1,
        }
    }
    order.sort_by_key(|name| place(name));
    let stages = order.into_iter().filter_map(|name| found.remove(name)).map(|(told, mut times)| {
        times.sort_unstable();
        Told {
            min_ms: times.first().copied(),
            median_ms: of_hundred(&times, 50),
            p95_ms: of_hundred(&times, 95),
            max_ms: times.last().copied(),
            ..told
        }
    });
    let is_failed = |trial: &&Trial| trial.stages.iter().any(|stage| stage.came == Came::Failed);
    History {
        trials: trials.len(),
        failed: trials.iter().filter(is_failed).count(),
        broken_off: trials.iter().filter(|trial| trial.ended.is_none()).count(),
        stages: stages.collect(),
    }
}

/// Where a stage stands among all.
fn place(name: &str) -> (bool, usize) {
    let of =
        |wanted: &str| steps(Suite::Full).iter().position(|step| step.name() == wanted).unwrap_or(usize::MAX);
    match name.strip_prefix("delete ") {
        None => (false, of(name)),
        // What was made last goes first.
        Some(kind) => (true, usize::MAX - of(kind)),
    }
}

/// The least time that so many of a hundred did not exceed.
fn of_hundred(sorted: &[u64], share: usize) -> Option<u64> {
    sorted.get((sorted.len() * share).div_ceil(100).checked_sub(1)?).copied()
}
