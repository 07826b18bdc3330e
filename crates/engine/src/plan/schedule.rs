//! When steps are expected to run, and what is down for how long: the figures of a preview.
//!
//! It follows the order and the expectations alone; budgets and noise make the real run longer.

use ostler_model::plan::Plan;
use ostler_model::step::Does;
use std::collections::{BTreeMap, HashMap};

/// The expected course of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Schedule {
    /// How long the whole takes.
    pub total_ms: u64,
    /// Start and end of each step, in the plan's order.
    pub steps: Vec<(u64, u64)>,
    /// Start and length of each wave.
    pub waves: Vec<WaveTime>,
    /// What is out of service, and when; whole backends first.
    pub outages: Vec<Outage>,
}

/// A wave's expected time.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WaveTime {
    /// Its title.
    pub title: String,
    /// When it begins.
    pub from_ms: u64,
    /// How long it takes.
    pub for_ms: u64,
}

/// Something that is out of service for a while.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Outage {
    /// What.
    pub what: String,
    /// Whether it is a whole backend: requests fail meanwhile.
    pub total: bool,
    /// From when.
    pub from_ms: u64,
    /// How long.
    pub for_ms: u64,
}

/// The expected course of a plan. Steps that come after something unknown are taken to begin at once.
pub fn schedule(plan: &Plan) -> Schedule {
    let steps = &plan.body.steps;
    let index: HashMap<_, _> = steps.iter().enumerate().map(|(at, step)| (&step.id, at)).collect();
    let mut times: Vec<(u64, u64)> = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        // Planners add steps behind those they wait for, so earlier places are known.
        let before = step.after.iter().filter_map(|id| index.get(id)).filter(|place| **place < at);
        let start = before.map(|place| times[*place].1).max().unwrap_or(0);
        times.push((start, start + step.expect_ms));
    }
    let total_ms = times.iter().map(|(_, end)| *end).max().unwrap_or(0);
    let mut spans = vec![(u64::MAX, 0); plan.body.waves.len()];
    for (step, (start, end)) in steps.iter().zip(&times) {
        if let Some((from, to)) = spans.get_mut(usize::from(step.wave)) {
            (*from, *to) = ((*from).min(*start), (*to).max(*end));
        }
    }
    let waves = plan.body.waves.iter().zip(spans).map(|(title, (from, to))| {
        let from_ms = from.min(to);
        WaveTime { title: title.clone(), from_ms, for_ms: to - from_ms }
    });
    let waves = waves.collect();
    Schedule { total_ms, waves, outages: outages(plan, &times, total_ms), steps: times }
}

type Spans = Vec<(u64, u64)>;

fn outages(plan: &Plan, times: &[(u64, u64)], end: u64) -> Vec<Outage> {
    let mut backends: BTreeMap<&str, BTreeMap<&str, Spans>> = BTreeMap::new();
    let mut turns: Vec<(u64, bool, &str, &str)> = Vec::new();
    for (step, (_, done)) in plan.body.steps.iter().zip(times) {
        match &step.does {
            Does::Drain { backend, server, .. } => turns.push((*done, false, backend, server)),
            Does::Enable { backend, server, .. } => turns.push((*done, true, backend, server)),
            _ => {}
        }
    }
    turns.sort();
    for (when, enables, backend, server) in turns {
        let spans = backends.entry(backend).or_default().entry(server).or_default();
        match (enables, spans.last_mut()) {
            (true, Some(open)) if open.1 == end => open.1 = when,
            (true, None) => spans.push((0, when)),
            (false, Some(open)) if open.1 == end => {}
            (false, _) => spans.push((when, end)),
            (true, Some(_)) => {}
        }
    }
    let mut found = Vec::new();
    for (backend, servers) in &backends {
        if servers.len() > 1 {
            let common = servers.values().cloned().reduce(|a, b| overlap(&a, &b)).unwrap_or_default();
            found.extend(common.iter().filter(|(from, to)| to > from).map(|(from, to)| Outage {
                what: format!("{backend}, the whole API"),
                total: true,
                from_ms: *from,
                for_ms: to - from,
            }));
        }
    }
    for (backend, servers) in &backends {
        for (server, spans) in servers {
            found.extend(spans.iter().map(|(from, to)| Outage {
                what: format!("{backend} on {server}"),
                total: servers.len() == 1,
                from_ms: *from,
                for_ms: to - from,
            }));
        }
    }
    found
}

fn overlap(a: &Spans, b: &Spans) -> Spans {
    let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x.0.max(y.0), x.1.min(y.1))));
    pairs.filter(|(from, to)| from < to).collect()
}
