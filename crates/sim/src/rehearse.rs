//! Rehearses a plan for a real cloud: the same plan, on a copy of the cloud as it was seen, under faults, many times.
//!
//! What runs is the production code. A rehearsal changes nothing outside itself, and it promises nothing: it says how
//! often what happened.

use crate::cloud::SimCloud;
use crate::dice::Rolls;
use crate::storm::{Mood, Ordered, Told, Trouble, on_paused_clock, tell_plan};
use ostler_model::catalogue::{Catalogue, Service};
use ostler_model::cloud::Cloud;
use ostler_model::ids::StepId;
use ostler_model::inventory::Inventory;
use ostler_model::plan::Plan;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rehearsals in one go.
pub const SEEDS_MAX: u64 = 100_000;

/// Stories that are told in the end: the worst ones.
const WORST: usize = 3;

/// Questions to the world for each step of a plan, about: troubles are strewn over so many.
const QUESTIONS_PER_STEP: u64 = 5;

/// What is rehearsed.
#[derive(Clone, Debug)]
pub struct Stage<'a> {
    /// The cloud as declared.
    pub declared: &'a Cloud,
    /// The cloud as seen.
    pub seen: &'a Inventory,
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// The service that the plan is about.
    pub service: &'a Service,
    /// The plan.
    pub plan: &'a Plan,
    /// Only this kind of trouble; none: all.
    pub fault: Option<&'a str>,
}

/// What many rehearsals came to.
#[derive(Clone, Debug, Default)]
pub struct Rehearsal {
    /// How many.
    pub tellings: u64,
    /// Ended by themselves, as planned.
    pub by_itself: u64,
    /// Ended as planned after a person had come.
    pub with_a_person: u64,
    /// Were taken back by the person who came.
    pub rolled_back: u64,
    /// Ended otherwise, or broke a rule: a defect of Ostler's.
    pub defects: u64,
    /// The longest times without an answer, sorted, in milliseconds.
    pub outages_ms: Vec<u64>,
    /// How long they took, sorted, in milliseconds.
    pub took_ms: Vec<u64>,
    /// At which step a person had to come first, and how often.
    pub trouble_at: BTreeMap<String, u64>,
    /// The worst ones: seed, outage, times that a person came, what went wrong.
    pub worst: Vec<(u64, u64, u32, Vec<String>)>,
    /// What had to be assumed of the cloud.
    pub assumed: Vec<String>,
}

impl Rehearsal {
    /// The value that `percent` of 100 do not exceed.
    pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }

    /// Puts two together.
    pub fn join(mut self, other: Rehearsal) -> Rehearsal {
        self.tellings += other.tellings;
        self.by_itself += other.by_itself;
        self.with_a_person += other.with_a_person;
        self.rolled_back += other.rolled_back;
        self.defects += other.defects;
        self.outages_ms.extend(other.outages_ms);
        self.took_ms.extend(other.took_ms);
        for (step, count) in other.trouble_at {
            *self.trouble_at.entry(step).or_default() += count;
        }
        self.worst.extend(other.worst);
        self.outages_ms.sort_unstable();
        self.took_ms.sort_unstable();
        self.keep_worst();
        if self.assumed.is_empty() {
            self.assumed = other.assumed;
        }
        self
    }

    fn keep_worst(&mut self) {
        self.worst.sort_by_key(|(seed, outage, rounds, _)| (std::cmp::Reverse((*outage, *rounds)), *seed));
        self.worst.truncate(WORST);
    }
}

/// Every kind of trouble that can be asked for.
pub fn faults() -> Vec<&'static str> {
    let mut rolls = Rolls::new(0);
    let mut kinds: Vec<&str> = (0..2_000).map(|_| Trouble::drawn(&mut rolls, 3).kind()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Rehearses with these seeds. None: the catalogue does not say how the service is installed there.
pub fn rehearse(stage: &Stage<'_>, seeds: std::ops::Range<u64>) -> Option<Rehearsal> {
    let mut rehearsal = Rehearsal::default();
    for seed in seeds {
        let (mut cloud, assumed) = SimCloud::as_seen(stage.declared, stage.seen, stage.service)?;
        for step in &stage.plan.body.steps {
            cloud.takes.insert(step.does.name().to_owned(), step.expect_ms);
        }
        rehearsal.assumed = assumed;
        let hosts: Vec<String> = cloud.with_service().iter().map(ToString::to_string).collect();
        let mut rolls = Rolls::new(seed);
        let span = QUESTIONS_PER_STEP * stage.plan.body.steps.len() as u64;
        let count = rolls.between(1, 3);
        let mut troubles: Vec<Ordered> = Vec::new();
        while (troubles.len() as u64) < count {
            let trouble = Trouble::drawn(&mut rolls, hosts.len().max(1));
            let wanted = stage.fault.is_none_or(|fault| fault == trouble.kind());
            let tick = rolls.between(1, span);
            if wanted {
                troubles.push(Ordered { tick, trouble });
            }
        }
        let mood = Mood {
            turns_back: if seed % 4 == 0 { 100 } else { 0 },
            regrets: false,
            way: None,
            careless: 0,
            seed: rolls.roll(),
        };
        let name = |at: usize| hosts.get(at % hosts.len().max(1)).cloned().unwrap_or_default();
        let words: Vec<String> = troubles.iter().map(|ordered| ordered.trouble.words(&name)).collect();
        let told = on_paused_clock(tell_plan(Arc::new(cloud), stage.catalogue, stage.plan, troubles, mood))?;
        rehearsal.add(seed, &told, words);
    }
    rehearsal.outages_ms.sort_unstable();
    rehearsal.took_ms.sort_unstable();
    rehearsal.keep_worst();
    Some(rehearsal)
}

impl Rehearsal {
    fn add(&mut self, seed: u64, told: &Told, words: Vec<String>) {
        self.tellings += 1;
        match told.end {
            _ if !told.breaches.is_empty() => self.defects += 1,
            "finished" if told.asked == 0 => self.by_itself += 1,
            "finished" => self.with_a_person += 1,
            "rolled back" => self.rolled_back += 1,
            _ => self.defects += 1,
        }
        if let Some(step) = &told.trouble_at {
            *self.trouble_at.entry(step.as_str().to_owned()).or_default() += 1;
        }
        self.outages_ms.push(told.outage_ms);
        self.took_ms.push(told.took_ms);
        self.worst.push((seed, told.outage_ms, told.asked, words));
        if self.worst.len() > 64 {
            self.keep_worst();
        }
    }
}

/// The step that a pause was about, as its reason names it.
pub(crate) fn step_of(plan: &Plan, why: &str) -> Option<StepId> {
    let mut words = why.split([' ', ':']);
    words.by_ref().find(|word| *word == "step")?;
    let named = words.next()?;
    plan.body.steps.iter().map(|step| &step.id).find(|id| id.as_str() == named).cloned()
}
