//! Which seam answers for a step: guards and checks are judged here over a survey, calls and what the compute service
//! does go to the cloud, power to its controllers, all else to the nodes.
//!
//! A step that only looks may be looked at again after a crash; every other step is settled, never repeated.

use super::function_check::{self, Wanted};
use super::{power, user};
use crate::check;
use crate::seam::Seams;
use ostler_model::Timestamp;
use ostler_model::check::{Check, Finding, Severity};
use ostler_model::event::{Facts, Outcome, Why};
use ostler_model::inventory::Inventory;
use ostler_model::step::{By, Call, Does, Job, Through};
use std::collections::BTreeSet;

/// Pause between two rounds of calls while a server warms up.
const WARM_UP_PAUSE_MS: u64 = 250;

/// Pause between two rounds of calls while a quiet time is watched.
const QUIET_PAUSE_MS: u64 = 500;

/// Begins a job and waits for what comes of it.
pub(super) async fn carry_out(seams: &Seams, job: &Job, since: Option<Timestamp>) -> Outcome {
    if let Some(outcome) = look(seams, job, since).await {
        return outcome;
    }
    let begun = match job.does.by() {
        By::Node => seams.nodes.begin(job).await,
        By::Compute => seams.cloud.begin(job).await,
        By::Power => power::order(seams, job).await,
    };
    match begun {
        Ok(()) => ended(seams, job).await,
        Err(why) => Outcome::NotDone { why },
    }
}

async fn ended(seams: &Seams, job: &Job) -> Outcome {
    match job.does.by() {
        By::Node => seams.nodes.settle(job).await,
        By::Compute => seams.cloud.settle(job).await,
        By::Power => power::read_back(seams, job).await,
    }
}

/// Finds out what came of a job that another driver may have begun.
pub(super) async fn settle(seams: &Seams, job: &Job, since: Option<Timestamp>) -> Outcome {
    match look(seams, job, since).await {
        Some(outcome) => outcome,
        None => ended(seams, job).await,
    }
}

/// The jobs that only look, and that no node answers for.
async fn look(seams: &Seams, job: &Job, since: Option<Timestamp>) -> Option<Outcome> {
    match &job.does {
        Does::Check { checks } => Some(judged(seams, checks).await),
        Does::WarmUp { through, calls, rounds } => {
            Some(warm_up(seams, through, calls, *rounds, u64::from(job.limit_s) * 1000).await)
        }
        Does::Verify { through, calls } => Some(match seams.cloud.call(through, calls).await {
            Ok(called) => Outcome::Done {
                facts: Facts::from([
                    ("calls".to_owned(), called.calls.to_string()),
                    ("slowest_ms".to_owned(), called.slowest_ms.to_string()),
                ]),
            },
            Err(why) => Outcome::NotDone { why },
        }),
        Does::FunctionCheck { through, calls, rounds, every_ms, least_permille, logs } => {
            let wanted =
                Wanted { calls, rounds: *rounds, every_ms: *every_ms, least_permille: *least_permille };
            Some(function_check::check(seams, through, wanted, logs.as_ref(), since).await)
        }
        Does::Canary { cloud, suite } => Some(user::tried(seams, job, cloud, *suite).await),
        _ => None,
    }
}

/// Looks at what these checks need, in one survey, and judges each.
pub(super) async fn findings(seams: &Seams, checks: &[Check]) -> (Vec<Finding>, Inventory) {
    let hosts: BTreeSet<_> = checks.iter().flat_map(check::hosts).collect();
    let facts: BTreeSet<_> = checks.iter().flat_map(check::facts).collect();
    let hosts: Vec<_> = hosts.into_iter().collect();
    let facts: Vec<_> = facts.into_iter().collect();
    let seen = seams.nodes.survey(&hosts, &facts).await;
    (checks.iter().map(|question| check::judge(question, &seen)).collect(), seen)
}

async fn judged(seams: &Seams, checks: &[Check]) -> Outcome {
    let (found, _) = findings(seams, checks).await;
    match worst(&found) {
        Some(why) => Outcome::NotDone { why },
        None => {
            let facts = found
                .iter()
                .filter(|finding| finding.severity != Severity::Ok)
                .map(|finding| (finding.check.clone(), finding.summary.clone()));
            Outcome::Done { facts: facts.collect() }
        }
    }
}

/// The guards of a step: `Err` says which does not hold.
pub(super) async fn guard(seams: &Seams, checks: &[Check]) -> Result<(), Why> {
    if checks.is_empty() {
        return Ok(());
    }
    let (power, others): (Vec<&Check>, Vec<&Check>) =
        checks.iter().partition(|check| matches!(check, Check::PowerIsOff { .. }));
    for check in power {
        if let Check::PowerIsOff { node } = check {
            power::still_off(seams, node).await?;
        }
    }
    if others.is_empty() {
        return Ok(());
    }
    let others: Vec<Check> = others.into_iter().cloned().collect();
    let (found, _) = findings(seams, &others).await;
    worst(&found).map_or(Ok(()), Err)
}

fn worst(found: &[Finding]) -> Option<Why> {
    let errors: Vec<&Finding> = found.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let first = errors.first()?;
    let what: Vec<String> = errors
        .iter()
        .map(|finding| match finding.evidence.is_empty() {
            true => finding.summary.clone(),
            false => format!("{} ({})", finding.summary, finding.evidence.join("; ")),
        })
        .collect();
    let mut why = Why::new(what.join("; "));
    why.hint = first.hint.clone();
    Some(why)
}

async fn warm_up(seams: &Seams, through: &Through, calls: &[Call], rounds: u16, limit_ms: u64) -> Outcome {
    let (mut good, mut made, mut failures, mut slowest) = (0, 0, 0, 0);
    let began = seams.clock.now();
    loop {
        match seams.cloud.call(through, calls).await {
            Ok(called) => {
                good += 1;
                made += called.calls;
                slowest = called.slowest_ms.max(slowest);
                if good >= rounds {
                    return Outcome::Done {
                        facts: Facts::from([
                            ("calls".to_owned(), made.to_string()),
                            ("failed_rounds".to_owned(), failures.to_string()),
                            ("slowest_ms".to_owned(), slowest.to_string()),
                        ]),
                    };
                }
            }
            Err(why) => {
                good = 0;
                failures += 1;
                let spent = seams.clock.now().duration_since(began).as_millis();
                if spent >= i128::from(limit_ms) {
                    return Outcome::NotDone { why };
                }
                seams.clock.sleep(WARM_UP_PAUSE_MS).await;
            }
        }
    }
}

/// Watches a quiet time: the calls must succeed all through it.
pub(super) async fn quiet(seams: &Seams, through: &Through, calls: &[Call], for_s: u32) -> Result<u32, Why> {
    let began = seams.clock.now();
    let mut rounds = 0;
    loop {
        seams.cloud.call(through, calls).await?;
        rounds += 1;
        if seams.clock.now().duration_since(began).as_millis() >= i128::from(for_s) * 1000 {
            return Ok(rounds);
        }
        seams.clock.sleep(QUIET_PAUSE_MS).await;
    }
}
