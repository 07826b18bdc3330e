//! What may never happen, whatever goes wrong: each rule with a name and one sentence.
//!
//! The rules are judged from the journal and the world alone, by code that shares nothing with the fold. Rules about
//! single effects are seen by the pretended cloud itself, at the moment when an effect begins.

use crate::cloud::{Breach, SimCloud};
use ostler_engine::seam::Lease;
use ostler_model::event::{Entry, Event, Outcome, Verdict};
use ostler_model::inventory::ServerAdmin;
use ostler_model::limits::LEASE_S;
use ostler_model::plan::Plan;
use ostler_model::step::Gate;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Every rule: its name, and what it says.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("order", "a step begins only when every step before it is done, or a person vouched for it"),
    ("budgets", "no more steps run at once than their budget allows, also after a resume"),
    ("tries", "no step is tried more often than the plan allows, until a person resumes the run"),
    ("gates", "what waits for a person or a quiet time begins only after that"),
    ("one-writer", "the journal has no hole, and no earlier driver writes after a later one"),
    ("journal-closed", "nothing is begun in a run that is over or paused"),
    ("approved-plan-runs", "every effect is a step of a plan that was approved by its hash"),
    ("no-effect-twice", "no effect is begun again while it is there from an earlier attempt"),
    ("done-is-done", "what the journal calls done was done in the world"),
    ("not-done-is-not-done", "what the journal calls not done does not happen afterwards"),
    (
        "never-the-last-backend",
        "the last server that takes requests is taken out only where the plan announced it",
    ),
    ("drained-before-stopped", "no server is stopped while a load balancer sends it requests"),
    ("contract-after-the-last-old-process", "no contract begins while a process of the old release lives"),
    ("never-two-database-members-down", "no database member is taken away while another one is gone"),
    ("every-lease-ends", "no lease reaches farther than its term"),
    ("no-secret-in-the-journal", "no journal holds a secret of the cloud"),
    ("every-run-ends", "every run ends finished, rolled back, or asking a person, and never stuck"),
    ("nothing-left-behind", "what a canary of a finished run has made is gone"),
    ("world-agrees", "at the end the world is what the journal's verdict says"),
];

/// A secret that every pretended node holds.
pub const SECRET: &str = "correct-horse-battery-staple";

fn breach(invariant: &'static str, what: String) -> Breach {
    Breach { invariant, what }
}

/// Every text of an event that came from the world or from a person.
fn texts(event: &Event) -> impl Iterator<Item = &str> {
    let (why, facts, said) = match event {
        Event::Proved { outcome: Outcome::Done { facts }, .. } => (None, Some(facts), None),
        Event::Proved { outcome: Outcome::NotDone { why } | Outcome::Unknown { why }, .. }
        | Event::Postponed { why, .. }
        | Event::Paused { why, .. } => (Some(why), None, None),
        Event::Skipped { why, .. } | Event::Abandoned { why, .. } => (None, None, Some(why.as_str())),
        _ => (None, None, None),
    };
    let why = why.into_iter().flat_map(|why| std::iter::once(why.what.as_str()).chain(why.hint.as_deref()));
    let facts = facts
        .into_iter()
        .flat_map(|facts| facts.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    why.chain(facts).chain(said)
}

/// Judges a journal by itself.
pub fn journal(plan: &Plan, entries: &[Entry]) -> Vec<Breach> {
    let mut found = Vec::new();
    let steps: HashMap<_, _> = plan.body.steps.iter().map(|step| (&step.id, step)).collect();
    let widths: BTreeMap<_, _> =
        plan.body.budgets.iter().map(|budget| (&budget.name, budget.width)).collect();
    let (mut done, mut passed) = (BTreeSet::new(), BTreeSet::new());
    let mut doing: BTreeMap<_, u16> = BTreeMap::new();
    let mut tried: BTreeMap<_, u16> = BTreeMap::new();
    let (mut term, mut may_begin, mut approved) = (0, false, false);
    for (place, entry) in entries.iter().enumerate() {
        let at = format!("entry {place}");
        if entry.seq != place as u64 || (entry.term != 0 && entry.term < term) {
            found.push(breach(
                "one-writer",
                format!("{at} has place {} and term {} after {term}", entry.seq, entry.term),
            ));
        }
        term = term.max(entry.term);
        if texts(&entry.event).any(|text| text.contains(SECRET)) {
            found.push(breach("no-secret-in-the-journal", at.clone()));
        }
        match &entry.event {
            Event::Approved { hash, .. } => {
                approved = *hash == plan.id;
                may_begin = approved;
            }
            Event::Paused { .. } | Event::Abandoned { .. } | Event::Closed { .. } => may_begin = false,
            Event::Resumed { .. } => {
                may_begin = approved;
                tried.clear();
            }
            Event::Passed { step, .. } => {
                passed.insert(step.clone());
            }
            Event::Skipped { step, .. } => {
                doing.remove(step);
                done.insert(step.clone());
            }
            Event::Intended { step, attempt } => {
                let Some(planned) = steps.get(step) else {
                    found.push(breach("approved-plan-runs", format!("{at}: {step} is not in the plan")));
                    continue;
                };
                if !may_begin {
                    found.push(breach("journal-closed", format!("{at}: {step} is begun")));
                }
                if let Some(before) = planned.after.iter().find(|before| !done.contains(*before)) {
                    found.push(breach("order", format!("{at}: {step} is begun before {before} is done")));
                }
                let waits = matches!(planned.gate, Some(Gate::Operator { .. } | Gate::Quiet { .. }));
                if waits && !passed.contains(step) {
                    found.push(breach("gates", format!("{at}: {step} is begun before its gate is passed")));
                }
                let tries = tried.entry(step.clone()).or_default();
                *tries += 1;
                if *tries > planned.tries {
                    found.push(breach("tries", format!("{at}: {step} is tried {tries} times")));
                }
                if done.contains(step) || doing.contains_key(step) {
                    found.push(breach("no-effect-twice", format!("{at}: {step} is begun again")));
                }
                doing.insert(step.clone(), *attempt);
                for budget in &planned.draws {
                    let used = doing
                        .keys()
                        .filter(|id| steps.get(id).is_some_and(|step| step.draws.contains(budget)));
                    let (used, width) = (used.count() as u32, widths.get(budget).copied().unwrap_or(0));
                    if used > width {
                        found.push(breach(
                            "budgets",
                            format!("{at}: {used} steps draw on {budget}, {width} may"),
                        ));
                    }
                }
            }
            Event::Proved { step, outcome, .. } => match outcome {
                Outcome::Done { .. } => {
                    doing.remove(step);
                    done.insert(step.clone());
                }
                Outcome::NotDone { .. } => {
                    doing.remove(step);
                }
                Outcome::Unknown { .. } => {}
            },
            Event::Opened { .. } | Event::Postponed { .. } => {}
        }
        if let Event::Closed { verdict: Verdict::Finished } = entry.event
            && done.len() < plan.body.steps.len()
        {
            found.push(breach("order", format!("{at}: the run is finished with {} steps done", done.len())));
        }
    }
    found
}

/// Judges the leases that a store holds, at the end.
pub fn leases(leases: &[Lease], now: ostler_model::Timestamp, slack_ms: i64) -> Vec<Breach> {
    let limit = LEASE_S * 1000 + slack_ms;
    let late = leases.iter().filter(|lease| lease.until.duration_since(now).as_millis() > i128::from(limit));
    late.map(|lease| breach("every-lease-ends", format!("{} is held until {}", lease.name, lease.until)))
        .collect()
}

/// Judges the world at the end of a run: every node has this version, everything serves, and the heads are among these.
pub fn world(cloud: &SimCloud, version: &str, heads: &[Vec<String>]) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut wrong = |what: String| found.push(breach("world-agrees", what));
    let state = cloud.state();
    let members = state.cluster.members.len();
    for (host, node) in &state.nodes {
        if node.version.is_empty() {
            continue;
        }
        if node.version != version || !node.settled {
            wrong(format!("{host} has {} and not {version}", node.version));
        }
        if !node.service || node.running != version {
            wrong(format!(
                "{host} runs {} (its service is {})",
                node.running,
                if node.service { "up" } else { "down" }
            ));
        }
        if node.member && !state.cluster.view.contains(host) {
            wrong(format!("the database of {host} does not belong to the cluster of {members}"));
        }
        if node.member && !heads.contains(&node.heads) {
            wrong(format!("the heads on {host} are {:?}, expected {heads:?}", node.heads));
        }
        for (server, admin) in &node.proxy {
            if *admin != ServerAdmin::Ready {
                wrong(format!("{server} is not in service at {host}"));
            }
        }
    }
    found
}
