//! `ostler bench storm`: random clouds, plans and faults, or outages of hosts, against the production code, and what was
//! covered.
//!
//! It needs nothing but this binary. A story that breaks a rule is told again by its seed, and smaller.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::{count, table};
use clap::Args;
use ostler_sim::outage;
use ostler_sim::storm::{INVARIANTS, Report, Story, shrink, storm, tell};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;

/// Stories that one command may tell.
const SEEDS_MAX: u64 = 10_000_000;

/// Stories that break a rule before a storm is over.
const BROKEN_MAX: usize = 10;

/// Seeds that one thread tells before it looks for more.
const SHARE: u64 = 250;

/// Run Ostler through random faults on pretended clouds; every rule must hold.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0: every rule held; 4: one was broken.

Examples:
  ostler bench storm --seeds 100000
  ostler bench storm --seed 4711            tell one story line by line
  ostler bench storm --outages              hosts die, servers of instance HA attend and die, too
  ostler bench storm --rules                what may never happen")]
pub struct Storm {
    /// How many stories.
    #[arg(long, default_value_t = 2_000, allow_negative_numbers = true, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    from_seed: u64,
    /// Tell one story line by line; if it breaks a rule, make it smaller.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from_seed", "rules"])]
    seed: Option<u64>,
    /// Name the rules.
    #[arg(long)]
    rules: bool,
    /// Outages of hosts, and instance HA, instead of upgrades.
    #[arg(long)]
    outages: bool,
    /// Threads; stories share nothing.
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
}

pub(super) async fn run(context: &Context, typed: Storm) -> Result<Exit, Failure> {
    if typed.rules {
        let rules = if typed.outages { outage::RULES } else { INVARIANTS };
        let rows = rules.iter().map(|(name, says)| vec![(*name).to_owned(), (*says).to_owned()]);
        context.printer.text(&table(&["RULE", "SAYS"], rows.collect()))?;
        return Ok(Exit::Done);
    }
    if typed.outages {
        return outages(context, &typed).await;
    }
    if let Some(seed) = typed.seed {
        let text = tokio::task::spawn_blocking(move || one(seed)).await.map_err(broke_off)?;
        let (text, exit) = text.ok_or_else(|| Failure::failed("the catalogue has no service to upgrade"))?;
        context.printer.text(&text)?;
        return Ok(exit);
    }
    let began = Instant::now();
    let mut all = Report::default();
    let mut parts = Vec::new();
    let end = typed.from_seed.saturating_add(typed.seeds);
    let next = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(typed.from_seed));
    for _ in 0..typed.threads {
        let next = std::sync::Arc::clone(&next);
        parts.push(tokio::task::spawn_blocking(move || share(&next, end)));
    }
    for part in parts {
        all.join(part.await.map_err(broke_off)?);
    }
    let seconds = began.elapsed().as_secs_f64();
    if context.printer.is_json() {
        context.printer.json(&to_json(&all, seconds))?;
    } else {
        context.printer.text(&page(&all, seconds, typed.threads))?;
    }
    Ok(if all.broken.is_empty() { Exit::Done } else { Exit::Errors })
}

fn broke_off(error: tokio::task::JoinError) -> Failure {
    Failure::failed(format!("a storm broke off: {error}"))
}

/// The same with outages.
async fn outages(context: &Context, typed: &Storm) -> Result<Exit, Failure> {
    if let Some(seed) = typed.seed {
        let (text, exit) = tokio::task::spawn_blocking(move || one_outage(seed)).await.map_err(broke_off)?;
        context.printer.text(&text)?;
        return Ok(exit);
    }
    let began = Instant::now();
    let end = typed.from_seed.saturating_add(typed.seeds);
    let next = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(typed.from_seed));
    let parts: Vec<_> = (0..typed.threads)
        .map(|_| {
            let next = std::sync::Arc::clone(&next);
            tokio::task::spawn_blocking(move || share_of_outages(&next, end))
        })
        .collect();
    let mut all = outage::Report::default();
    for part in parts {
        all.join(part.await.map_err(broke_off)?);
    }
    let seconds = began.elapsed().as_secs_f64();
    if context.printer.is_json() {
        context.printer.json(&json!({
            "storms": all.stories,
            "seconds": seconds,
            "ends": all.ends,
            "asked": all.asked,
            "broken": broken(&all.broken),
        }))?;
    } else {
        context.printer.text(&page_of_outages(&all, seconds, typed.threads))?;
    }
    Ok(if all.broken.is_empty() { Exit::Done } else { Exit::Errors })
}

fn share_of_outages(next: &std::sync::atomic::AtomicU64, end: u64) -> outage::Report {
    let mut all = outage::Report::default();
    loop {
        let first = next.fetch_add(SHARE, std::sync::atomic::Ordering::Relaxed);
        if first >= end || all.broken.len() >= BROKEN_MAX {
            return all;
        }
        all.join(outage::storm(first..end.min(first + SHARE), BROKEN_MAX));
    }
}

/// One outage, line by line.
fn one_outage(seed: u64) -> (String, Exit) {
    let story = outage::Story::of(seed);
    let told = outage::tell(&story);
    let mut text = format!("{}\nseed {seed}: {}\n{story:#?}\n", told.trace, told.ends.join(", "));
    for breach in &told.breaches {
        text.push_str(&format!("broke {}: {}\n", breach.rule, breach.what));
    }
    if told.breaches.is_empty() {
        text.push_str("every rule held\n");
        return (text, Exit::Done);
    }
    (text, Exit::Errors)
}

fn page_of_outages(all: &outage::Report, seconds: f64, threads: u64) -> String {
    let mut text = format!(
        "{} of outages in {seconds:.1} s on {} ({:.0} a second): {} rules, {} broken\n",
        count(all.stories as usize, "storm"),
        count(threads as usize, "thread"),
        all.stories as f64 / seconds.max(0.001),
        outage::RULES.len(),
        all.broken.len()
    );
    let ends: Vec<String> = all.ends.iter().map(|(end, times)| format!("{times} {end}")).collect();
    let asked = count(all.asked as usize, "question");
    text.push_str(&format!("outages at the end: {}; {asked} of the servers\n", ends.join(", ")));
    for (seed, rule, what) in &all.broken {
        let again = format!("ostler bench storm --outages --seed {seed}");
        text.push_str(&format!("broke {rule}: {what}\n  tell it again: {again}\n"));
    }
    text
}

/// Tells stories as long as there are seeds.
fn share(next: &std::sync::atomic::AtomicU64, end: u64) -> Report {
    let mut all = Report::default();
    loop {
        let first = next.fetch_add(SHARE, std::sync::atomic::Ordering::Relaxed);
        if first >= end || all.broken.len() >= BROKEN_MAX {
            return all;
        }
        all.join(storm(first..end.min(first + SHARE), BROKEN_MAX));
    }
}

/// One story, line by line.
fn one(seed: u64) -> Option<(String, Exit)> {
    let story = Story::of(seed)?;
    let told = tell(&story, true);
    let mut text = told.trace.join("\n");
    text.push_str(&format!("\n\nseed {seed}: {}\n", told.end));
    for line in story.words() {
        text.push_str(&format!("  {line}\n"));
    }
    let Some(first) = told.breaches.first() else {
        text.push_str("every rule held\n");
        return Some((text, Exit::Done));
    };
    for breach in &told.breaches {
        text.push_str(&format!("broke {}: {}\n", breach.invariant, breach.what));
    }
    text.push_str("the same rule is broken by this part of it:\n");
    for line in shrink(&story, first.invariant).words() {
        text.push_str(&format!("  {line}\n"));
    }
    Some((text, Exit::Errors))
}

fn page(all: &Report, seconds: f64, threads: u64) -> String {
    let mut text = format!(
        "{} in {seconds:.1} s on {} ({:.0} a second): {} rules, {} broken\n",
        count(all.stories as usize, "storm"),
        count(threads as usize, "thread"),
        all.stories as f64 / seconds.max(0.001),
        INVARIANTS.len(),
        all.broken.len()
    );
    let ends: Vec<String> = all.ends.iter().map(|(end, times)| format!("{times} {end}")).collect();
    text.push_str(&format!("they ended: {}; {} journal entries\n", ends.join(", "), all.entries));
    for (seed, rule, what) in &all.broken {
        text.push_str(&format!("broke {rule}: {what}\n  tell it again: ostler bench storm --seed {seed}\n"));
    }
    text.push_str(&format!("\n{} of events that followed each other\n", count(all.followed.len(), "pair")));
    let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((first, second), times) in &all.followed {
        rows.entry(first).or_default().push(format!("{second} {times}"));
    }
    let rows = rows.into_iter().map(|(first, after)| vec![first.to_owned(), after.join(", ")]);
    text.push_str(&table(&["EVENT", "WAS FOLLOWED BY"], rows.collect()));
    text.push_str(&format!(
        "\n{} of a trouble and the verb that was begun last\n",
        count(all.hits.len(), "pair")
    ));
    let mut rows: BTreeMap<&str, (u64, Vec<&str>)> = BTreeMap::new();
    for ((trouble, verb), times) in &all.hits {
        let row = rows.entry(trouble).or_default();
        row.0 += times;
        row.1.push(verb);
    }
    let rows = rows.into_iter().map(|(trouble, (times, verbs))| {
        vec![trouble.to_owned(), times.to_string(), verbs.len().to_string(), verbs.join(", ")]
    });
    text.push_str(&table(&["TROUBLE", "TIMES", "VERBS", "HIT"], rows.collect()));
    text
}

fn to_json(all: &Report, seconds: f64) -> serde_json::Value {
    let pairs = |pairs: &BTreeMap<(&'static str, &'static str), u64>| -> Vec<serde_json::Value> {
        pairs.iter().map(|((first, second), times)| json!([first, second, times])).collect()
    };
    json!({
        "storms": all.stories,
        "seconds": seconds,
        "ends": all.ends,
        "entries": all.entries,
        "broken": broken(&all.broken),
        "followed": pairs(&all.followed),
        "hits": pairs(&all.hits),
    })
}

fn broken(seeds: &[(u64, &'static str, String)]) -> Vec<serde_json::Value> {
    seeds.iter().map(|(seed, rule, what)| json!({ "seed": seed, "rule": rule, "what": what })).collect()
}
