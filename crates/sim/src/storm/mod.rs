//! Storms: random clouds, random plans and random faults, each from one seed, told against the production code and
//! judged by rules that must hold whatever happens.
//!
//! A storm never decides what Ostler does. What it finds it can tell again, and smaller.

mod invariants;
mod shrink;
mod story;
mod tell;
mod trouble;
mod weather;

pub use invariants::{INVARIANTS, SECRET};
pub use shrink::shrink;
pub use story::{Mood, NODES_MAX, Story, catalogue, service_at};
pub use tell::{Told, on_paused_clock, tell, tell_plan};
pub use trouble::{Ill, Ordered, Trouble};
pub(crate) use weather::{Life, StoreIll, Weather};

use std::collections::BTreeMap;

/// What many stories came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Stories told.
    pub stories: u64,
    /// How they ended.
    pub ends: BTreeMap<&'static str, u64>,
    /// Entries of all journals.
    pub entries: u64,
    /// Which event followed which.
    pub followed: BTreeMap<(&'static str, &'static str), u64>,
    /// Which trouble came while which verb was the last one begun.
    pub hits: BTreeMap<(&'static str, &'static str), u64>,
    /// Seeds of stories that broke a rule, with the rule and what happened.
    pub broken: Vec<(u64, &'static str, String)>,
}

impl Report {
    /// Adds what other stories came to.
    pub fn join(&mut self, other: Report) {
        self.stories += other.stories;
        self.entries += other.entries;
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        for (pair, count) in other.followed {
            *self.followed.entry(pair).or_default() += count;
        }
        for (hit, count) in other.hits {
            *self.hits.entry(hit).or_default() += count;
        }
        self.broken.extend(other.broken);
        self.broken.sort_unstable();
    }

    /// Adds one story.
    pub fn add(&mut self, seed: u64, told: &Told) {
        self.stories += 1;
        *self.ends.entry(told.end).or_default() += 1;
        self.entries += told.entries;
        for (pair, count) in &told.followed {
            *self.followed.entry(*pair).or_default() += count;
        }
        for (hit, count) in &told.hits {
            *self.hits.entry(*hit).or_default() += count;
        }
        if let Some(first) = told.breaches.first() {
            self.broken.push((seed, first.invariant, first.what.clone()));
        }
    }
}

/// Tells the stories of these seeds, until so many have broken a rule.
pub fn storm(seeds: std::ops::Range<u64>, broken_max: usize) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let Some(story) = Story::of(seed) else { continue };
        report.add(seed, &tell(&story, false));
        if report.broken.len() >= broken_max {
            break;
        }
    }
    report
}
