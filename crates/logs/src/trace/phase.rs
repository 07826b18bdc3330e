//! From records to phases: what each proves, how long it took, and what first went wrong.
//!
//! Markers are data (`data/phases.toml`). What no marker knows is no phase; an error is an anomaly all the same.

use super::{By, Step, Verdict};
use crate::clock::Moment;
use crate::known::{Known, known};
use crate::line::Severity;
use crate::place::Source;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Letters of a message in a phase.
const NOTE_LETTERS_MAX: usize = 160;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    phase: String,
    service: String,
    says: Vec<String>,
    within_s: Option<i64>,
    #[serde(default)]
    begins: bool,
    #[serde(default)]
    ends: bool,
    #[serde(default)]
    fails: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    name: String,
    services: Vec<String>,
    loggers: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pages {
    marker: Vec<Marker>,
    expected: Vec<Expected>,
}

static PAGES: LazyLock<Pages> =
    // A test reads the same pages: they are sound in what is built.
    LazyLock::new(|| toml::from_str(include_str!("../../data/phases.toml")).unwrap_or_default());

/// A phase.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// Its name.
    pub phase: String,
    /// Who proved it.
    pub service: String,
    /// Where.
    pub host: String,
    /// Seconds since the trace began.
    pub start_s: f64,
    /// Seconds until the next phase began.
    pub seconds: f64,
    /// `ok`, `failed`, or `late`: the next one was expected earlier.
    pub status: &'static str,
    /// What was said.
    pub note: String,
    #[serde(skip)]
    at: Moment,
    #[serde(skip)]
    last: Moment,
    #[serde(skip)]
    within_s: Option<i64>,
    #[serde(skip)]
    ends: bool,
}

/// What first went wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Anomaly {
    /// In which phase.
    pub phase: Option<String>,
    /// Seconds since the trace began.
    pub start_s: f64,
    /// Where.
    pub host: String,
    /// Which service.
    pub service: String,
    /// What was said, or not said.
    pub what: String,
    /// What is known of the cause.
    pub known: Option<&'static Known>,
    /// How sure that is: `high`, `medium`, `low`.
    pub confidence: &'static str,
}

pub(super) struct Told {
    pub phases: Vec<Phase>,
    pub anomaly: Option<Anomaly>,
    pub verdict: Verdict,
    /// When it was over, where that was seen.
    pub over: Option<Moment>,
}

fn marker_of(step: &Step) -> Option<&'static Marker> {
    PAGES.marker.iter().find(|marker| {
        (step.program.contains(&marker.service) || step.service.contains(&marker.service))
            && marker.says.iter().all(|says| step.message.contains(says) || step.exception.contains(says))
    })
}

fn note(step: &Step) -> String {
    let first = step.message.lines().next().unwrap_or_default();
    let mut note: String = first.chars().take(NOTE_LETTERS_MAX).collect();
    if note.len() < first.len() {
        note.push('…');
    }
    note
}

/// Tells the phases of records in order of time.
pub(super) fn tell(steps: &[Step]) -> Told {
    let begin = steps.first().map_or(0, |step| step.at);
    let seconds = |at: Moment| (at - begin) as f64 / 1e6;
    let mut phases: Vec<Phase> = Vec::new();
    // Where the action that is going on begins in the list.
    let mut action = 0;
    let mut failed: Option<usize> = None;
    for (number, step) in steps.iter().enumerate() {
        let Some(marker) = marker_of(step) else { continue };
        if marker.begins {
            action = phases.len();
        }
        if marker.fails && failed.is_none() {
            failed = Some(number);
        }
        match phases[action..].iter_mut().find(|phase| phase.phase == marker.phase) {
            Some(phase) => {
                phase.last = step.at;
                phase.ends |= marker.ends;
                if marker.fails && phase.status != "failed" {
                    phase.status = "failed";
                    phase.note = note(step);
                    phase.host = step.host.clone();
                    phase.service = step.service.clone();
                }
            }
            None => phases.push(Phase {
                phase: marker.phase.clone(),
                service: step.service.clone(),
                host: step.host.clone(),
                start_s: seconds(step.at),
                seconds: 0.0,
                status: if marker.fails { "failed" } else { "ok" },
                note: note(step),
                at: step.at,
                last: step.at,
                within_s: marker.within_s,
                ends: marker.ends,
            }),
        }
    }
    let mut late: Option<usize> = None;
    for number in 0..phases.len() {
        let next = phases.get(number + 1).map(|phase| phase.at);
        let phase = &mut phases[number];
        let end = next.unwrap_or(phase.last).max(phase.at);
        phase.seconds = (end - phase.at) as f64 / 1e6;
        let waited_s = next.map_or(0, |next| (next - phase.last) / 1_000_000);
        if phase.status == "ok" && !phase.ends && phase.within_s.is_some_and(|within| waited_s > within) {
            phase.status = "late";
            late.get_or_insert(number);
        }
    }
    let verdict = match () {
        () if failed.is_some() || phases.iter().any(|phase| phase.status == "failed") => Verdict::Failed,
        () if phases.iter().any(|phase| phase.ends) => Verdict::Done,
        () if steps.iter().any(|step| step.severity >= Severity::Error && step.by != By::Resource) => {
            Verdict::Failed
        }
        () => Verdict::Open,
    };
    let is_over = matches!(verdict, Verdict::Done | Verdict::Failed);
    let over = phases.iter().map(|phase| phase.last).max().filter(|_| is_over);
    Told { anomaly: first_wrong(steps, &phases, late, seconds), phases, verdict, over }
}

/// The first record that says that something is wrong, or the first silence that was too long.
fn first_wrong(
    steps: &[Step],
    phases: &[Phase],
    late: Option<usize>,
    seconds: impl Fn(Moment) -> f64,
) -> Option<Anomaly> {
    let said = |step: &Step| known(format!("{} {}", step.message, step.exception).as_bytes());
    let is_wrong = |step: &Step| {
        step.severity >= Severity::Error
            || marker_of(step).is_some_and(|marker| marker.fails)
            || (step.severity == Severity::Warning && said(step).is_some())
    };
    let wrong = steps.iter().find(|step| is_wrong(step));
    let silence = late.map(|number| &phases[number]);
    // A cause that is known further down explains an error that is not.
    let any_known = || steps.iter().filter(|step| is_wrong(step)).find_map(said);
    let phase_at =
        |at: Moment| phases.iter().rev().find(|phase| phase.at <= at).map(|phase| phase.phase.clone());
    // A silence that was over before something failed for a known reason is not what went wrong; a wait that ran out may be.
    let is_told = || {
        steps
            .iter()
            .any(|step| is_wrong(step) && said(step).is_some_and(|known| !known.code.ends_with("_TIMEOUT")))
    };
    match (wrong, silence) {
        (Some(step), silence) if silence.is_none_or(|phase| step.at <= phase.last || is_told()) => {
            let known = said(step);
            let confidence = match (known, any_known()) {
                (Some(_), _) => "high",
                (None, Some(_)) => "medium",
                _ => "low",
            };
            let what = if step.exception.is_empty() {
                note(step)
            } else {
                format!("{} ({})", note(step), step.exception)
            };
            Some(Anomaly {
                phase: marker_of(step).map(|marker| marker.phase.clone()).or_else(|| phase_at(step.at)),
                start_s: seconds(step.at),
                host: step.host.clone(),
                service: step.service.clone(),
                what,
                known: known.or_else(any_known),
                confidence,
            })
        }
        (_, Some(phase)) => {
            let known = any_known();
            Some(Anomaly {
                phase: Some(phase.phase.clone()),
                start_s: seconds(phase.last),
                host: phase.host.clone(),
                service: phase.service.clone(),
                what: format!(
                    "nothing for {:.1} s after `{}`; the next phase was expected within {} s",
                    phase.start_s + phase.seconds - seconds(phase.last),
                    phase.note,
                    phase.within_s.unwrap_or_default()
                ),
                known,
                confidence: if known.is_some() { "medium" } else { "low" },
            })
        }
        _ => None,
    }
}

/// Whose logs should have been there and were not.
pub(super) fn missing(sources: &[Source], steps: &[Step]) -> Vec<String> {
    PAGES
        .expected
        .iter()
        .filter(|expected| {
            let has_log = sources
                .iter()
                .any(|source| expected.services.iter().any(|name| source.service.contains(name.as_str())));
            let has_step = steps.iter().any(|step| {
                expected.loggers.iter().any(|logger| step.program.starts_with(logger.as_str()))
                    || expected.services.iter().any(|name| step.service.contains(name.as_str()))
            });
            !has_log && !has_step
        })
        .map(|expected| format!("no log of {} was read", expected.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_sound() {
        let pages: Pages = toml::from_str(include_str!("../../data/phases.toml")).unwrap();
        assert!(pages.marker.len() > 40 && pages.expected.len() >= 5);
    }
}
