//! Shows a run while it goes on: a live display on a terminal, plain lines when piped, one entry per line for
//! programs.
//!
//! It hears of entries when they are durable and knows nothing else. It never holds up the run.

use crate::duration::words;
use crate::printer::{Ink, Printer};
use crate::view::{between, time_of_day};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use ostler_engine::run::{Run, RunState};
use ostler_model::event::{Actor, Entry, Event, Facts, Outcome};
use ostler_model::ids::StepId;
use ostler_model::limits::UNKNOWN_ANSWERS_MAX;
use ostler_model::step::{Gate, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

/// How often the live display is drawn.
const TICK: Duration = Duration::from_millis(250);

/// Piped: steps that are expected to take this long are announced.
const ANNOUNCED_MS: u64 = 3_000;

/// Characters from which on a hexadecimal word is a digest, and how many of them are shown.
const DIGEST_CHARACTERS: usize = 40;
const DIGEST_SHOWN: usize = 12;

/// Shows a run while it goes on.
pub struct Progress {
    printer: Printer,
    live: Option<Live>,
    /// Gates that were announced.
    announced: Mutex<BTreeSet<usize>>,
}

struct Live {
    all: MultiProgress,
    total: ProgressBar,
    steps: Mutex<BTreeMap<StepId, ProgressBar>>,
}

impl Progress {
    /// For a run, from where it stands.
    pub fn new(printer: Printer, run: &Run) -> Progress {
        let live = printer.may_animate.then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout_with_hz(8));
            let total = ProgressBar::new(run.steps.len() as u64)
                .with_style(style("{elapsed_precise}  [{pos}/{len}] {bar:24.green/dim}  {wide_msg}"))
                .with_position((run.steps.len() - run.remaining) as u64);
            let total = all.add(total);
            total.enable_steady_tick(TICK);
            Live { all, total, steps: Mutex::new(BTreeMap::new()) }
        });
        Progress { printer, live, announced: Mutex::new(BTreeSet::new()) }
    }

    /// The live display, if there is one.
    pub fn display(&self) -> Option<MultiProgress> {
        self.live.as_ref().map(|live| live.all.clone())
    }

    /// Takes the display away.
    pub fn end(&self) {
        if let Some(live) = &self.live {
            if let Ok(steps) = live.steps.lock() {
                steps.values().for_each(ProgressBar::finish_and_clear);
            }
            live.total.finish_and_clear();
        }
    }

    /// Does something on the terminal while the display is out of the way.
    pub async fn aside<T>(&self, does: impl Future<Output = T>) -> T {
        let Some(live) = &self.live else { return does.await };
        live.total.disable_steady_tick();
        let _ = live.all.clear();
        live.all.set_draw_target(ProgressDrawTarget::hidden());
        let answer = does.await;
        live.all.set_draw_target(ProgressDrawTarget::stdout_with_hz(8));
        live.total.enable_steady_tick(TICK);
        answer
    }

    /// An entry has become durable; `run` is the run after it.
    pub fn hear(&self, run: &Run, entry: &Entry) {
        if self.printer.is_json() {
            self.printer.json_line(entry);
            return;
        }
        if let Some(live) = &self.live {
            live.follow(run, entry);
        }
        if let Some(line) = line(&self.printer, run, entry, self.live.is_some()) {
            self.say(&line);
        }
        let Ok(mut announced) = self.announced.lock() else { return };
        if run.state != RunState::Running {
            return;
        }
        for at in &run.ready {
            if let Some(watching) = watching(run, *at)
                && announced.insert(*at)
            {
                self.say(&format!(
                    "{}  {} {}  {watching}",
                    time_of_day(entry.at),
                    place(run),
                    run.step(*at).id
                ));
            }
        }
    }

    fn say(&self, line: &str) {
        match &self.live {
            Some(live) => {
                let _ = live.all.println(line);
            }
            None => self.printer.progress_line(line),
        }
    }
}

impl Drop for Progress {
    /// Whoever drops a run on the way leaves no display behind that nobody draws any more.
    fn drop(&mut self) {
        self.end();
    }
}

impl Live {
    fn follow(&self, run: &Run, entry: &Entry) {
        let done = run.steps.len() - run.remaining;
        self.total.set_position(done as u64);
        let Ok(mut steps) = self.steps.lock() else { return };
        if let Event::Intended { step, .. } = &entry.event
            && let Ok(at) = run.place(step)
        {
            let planned = run.step(at);
            let bar = ProgressBar::new_spinner()
                .with_style(style("  {spinner} {prefix:<22}  {wide_msg}  {elapsed}"))
                .with_prefix(step.to_string())
                .with_message(planned.title.clone());
            let bar = self.all.add(bar);
            bar.enable_steady_tick(TICK);
            if let Some(title) = run.plan.body.waves.get(usize::from(planned.wave)) {
                self.total.set_message(title.clone());
            }
            steps.insert(step.clone(), bar);
        }
        steps.retain(|step, bar| {
            let goes_on = run.place(step).is_ok_and(|at| run.doing.contains(&at));
            if !goes_on {
                bar.finish_and_clear();
                self.all.remove(bar);
            }
            goes_on
        });
        if let (true, Some(at)) = (steps.is_empty(), run.ready.first())
            && let Some(watching) = watching(run, *at)
        {
            self.total.set_message(format!("{} {watching}", run.step(*at).id));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// How far a run is: `[12/41]`.
fn place(run: &Run) -> String {
    let all = run.steps.len().to_string();
    format!("[{:>width$}/{all}]", run.steps.len() - run.remaining, width = all.len())
}

/// One line for an entry, where it is worth one.
pub fn line(printer: &Printer, run: &Run, entry: &Entry, is_live: bool) -> Option<String> {
    let place = place(run);
    let took = |step: &StepId| {
        let began = run.state_of(step).and_then(|state| state.began);
        began.map_or_else(String::new, |began| words(between(began, entry.at)))
    };
    let text = match &entry.event {
        Event::Opened { .. } | Event::Approved { .. } => return None,
        Event::Passed { step, who } => format!("{place} {step}  gate passed by {who}"),
        Event::Intended { step, attempt } => {
            let planned = run.step(run.place(step).ok()?);
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            // The quiet time before it is over.
            let expect_ms = planned.expect_ms.saturating_sub(quiet_ms(planned));
            if is_live || (expect_ms < ANNOUNCED_MS && *attempt == 1) {
                return None;
            }
            format!("{place} {step}  begins  {} (about {}{again})", planned.title, words(expect_ms))
        }
        Event::Proved { step, outcome, .. } => match outcome {
            Outcome::Done { facts } => {
                let word = printer.ink(Ink::Good, "done");
                format!("{place} {step}  {word}  {}  {}", took(step), told(facts))
            }
            Outcome::NotDone { why } => {
                let word = printer.ink(Ink::Bad, "not done");
                format!("{place} {step}  {word}  {}  {}", took(step), why.what)
            }
            Outcome::Unknown { why } => {
                let word = printer.ink(Ink::Care, "in doubt");
                let asked = run.state_of(step).map_or(0, |state| state.unknowns);
                let again = match asked < UNKNOWN_ANSWERS_MAX {
                    true => format!("; asked {asked} of {UNKNOWN_ANSWERS_MAX} times"),
                    false => String::new(),
                };
                format!("{place} {step}  {word}  {}{again}", why.what)
            }
        },
        Event::Postponed { step, why, .. } => {
            let state = run.state_of(step)?;
            if state.postponed > 1 {
                return None;
            }
            format!("{place} {step}  {}  {}", printer.ink(Ink::Care, "waits"), why.what)
        }
        // Why is told at length when the command ends.
        Event::Paused { who: Actor::Rule(rule), .. } => format!("{place} paused: {rule}"),
        Event::Paused { who, why } => format!("{place} paused by {who}: {}", why.what),
        Event::Resumed { who } => format!("{place} resumed by {who}"),
        Event::Skipped { step, who, why } => format!("{place} {step}  skipped by {who}: {why}"),
        Event::Abandoned { who, why } => format!("{place} given up by {who}: {why}"),
        Event::Closed { verdict } => format!("{place} {verdict}"),
    };
    Some(format!("{}  {}", time_of_day(entry.at), text.trim_end()))
}

/// Facts in one line: what a person wants to see go by. The journal has all of them.
pub fn told(facts: &Facts) -> String {
    let worth = |(name, value): &(&String, &String)| {
        // How long it took stands beside it already; pages of text belong into `run show --format json`; that
        // nothing was cut off or failed is what everybody expects.
        let is_time = name.as_str() == "ms" || name.ends_with(" ms");
        let is_count_of_harm = name.ends_with("sessions-cut") || name.starts_with("failed");
        !(is_time || value.contains('\n') || is_count_of_harm && value.as_str() == "0")
    };
    let short = |value: &str| {
        value
            .split(' ')
            .map(|word| {
                match word.len() >= DIGEST_CHARACTERS && word.chars().all(|c| c.is_ascii_hexdigit()) {
                    true => &word[..DIGEST_SHOWN],
                    false => word,
                }
            })
            .collect::<Vec<_>>()
            .join(" ")
    };
    let told = facts.iter().filter(worth).map(|(name, value)| match name.strip_suffix("_ms") {
        Some(what) => format!("{} {} ms", what.replace('_', " "), short(value)),
        None => format!("{} {}", name.replace('_', " "), short(value)),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// How long all must be quiet before a step.
fn quiet_ms(step: &Step) -> u64 {
    match &step.gate {
        Some(Gate::Quiet { for_s, .. }) => u64::from(*for_s) * 1000,
        _ => 0,
    }
}

/// What a step that could begin is watching for, if it waits at a quiet gate.
fn watching(run: &Run, at: usize) -> Option<String> {
    match &run.step(at).gate {
        Some(Gate::Quiet { for_s, .. }) if !run.steps[at].passed => {
            Some(format!("watches that all is quiet for {}", words(u64::from(*for_s) * 1000)))
        }
        _ => None,
    }
}
