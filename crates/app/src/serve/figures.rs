//! Figures for Prometheus: what stands now, and what was counted since this server began.
//!
//! Whoever scrapes gets the last look, without a question to the register. It must never name an instance or a project:
//! every label has few values.

use ostler_engine::ha::{Standing, Stretch, Tale};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The media type of the text format.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper ends of the buckets of what takes seconds to minutes.
const SECONDS: &[f64] = &[0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];

/// Upper ends of the buckets of what takes milliseconds to seconds.
const SHORT_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Label sets of one figure that are kept: a figure with more has a label that it should not have.
const SERIES_MAX: usize = 1_000;

/// Name, help, kind.
type Family = (&'static str, &'static str, &'static str);

const INCIDENTS_OPEN: Family = ("ostler_ha_incidents_open", "Open incidents by stage and subject.", "gauge");
const WAITING: Family =
    ("ostler_ha_incidents_waiting", "Open incidents that only go on with a person.", "gauge");
const OLDEST: Family =
    ("ostler_ha_incident_oldest_seconds", "Age of the oldest open incident; 0 without any.", "gauge");
const HOSTS: Family = ("ostler_ha_hosts", "Registered hosts.", "gauge");
const UNPROTECTED: Family =
    ("ostler_ha_hosts_unprotected", "Registered hosts that are not protected, by reason.", "gauge");
const OFF: Family = ("ostler_ha_segments_off", "Segments for which instance HA is switched off.", "gauge");
const UP: Family = ("ostler_register_up", "Whether the register answered at the last look.", "gauge");
const CLOSED: Family = (
    "ostler_ha_incidents_closed_total",
    "Incidents closed since this server began, by their end.",
    "counter",
);
const INSTANCES: Family = (
    "ostler_ha_instances_total",
    "Instances of failed hosts, by what became of them, since this server began.",
    "counter",
);
const PHASES: Family = (
    "ostler_ha_phase_seconds",
    "How long each part of a recovery took: report is the delay of detection, fence the time to the proof.",
    "histogram",
);
const AWAY: Family =
    ("ostler_ha_instance_away_seconds", "From a host's failure until an instance was back.", "histogram");
const REQUESTS: Family =
    ("ostler_http_requests_total", "Requests answered by this server, by method and status.", "counter");
const REQUEST_TIME: Family = ("ostler_http_request_seconds", "How long answers took.", "histogram");
const MESSAGES: Family =
    ("ostler_messages_total", "Messages to webhooks and Alertmanagers, by what came of them.", "counter");

const LOOKS: Family = (
    "ostler_health_looks_total",
    "Looks at the health of the cloud by this server, by what came of them.",
    "counter",
);

/// Gauges that are set anew at each look.
const LEVELS: [Family; 7] = [INCIDENTS_OPEN, WAITING, OLDEST, HOSTS, UNPROTECTED, OFF, UP];

/// Labels of one series, ready to print.
type Labels = String;

#[derive(Clone, Debug)]
struct Histogram {
    ends: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
    count: u64,
}

impl Histogram {
    fn new(ends: &'static [f64]) -> Self {
        Self { ends, counts: vec![0; ends.len()], sum: 0.0, count: 0 }
    }

    fn add(&mut self, value: f64) {
        for (end, count) in self.ends.iter().zip(&mut self.counts) {
            *count += u64::from(value <= *end);
        }
        self.sum += value;
        self.count += 1;
    }
}

#[derive(Debug, Default)]
struct Inner {
    levels: BTreeMap<&'static str, BTreeMap<Labels, f64>>,
    counters: BTreeMap<&'static str, BTreeMap<Labels, u64>>,
    histograms: BTreeMap<&'static str, BTreeMap<Labels, Histogram>>,
    /// The figures of the last look at the health of the cloud, ready to print.
    health: String,
}

/// What stands, for one look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels {
    /// Open incidents by stage and subject.
    pub open: BTreeMap<(&'static str, &'static str), u64>,
    /// Those that wait for a person.
    pub waiting: u64,
    /// The age of the oldest.
    pub oldest_s: f64,
    /// Registered hosts.
    pub hosts: u64,
    /// Hosts that are not protected, by reason.
    pub unprotected: BTreeMap<&'static str, u64>,
    /// Segments that are switched off.
    pub off: u64,
}

/// Figures of one server.
#[derive(Debug, Default)]
pub struct Figures(Mutex<Inner>);

fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

impl Figures {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a look has found.
    pub fn stands(&self, levels: &Levels) {
        let mut inner = self.inner();
        inner.levels.clear();
        let open = levels.open.iter().map(|((stage, about), number)| {
            (format!("{},{}", label("stage", stage), label("about", about)), *number as f64)
        });
        inner.levels.insert(INCIDENTS_OPEN.0, open.collect());
        let unprotected = levels.unprotected.iter();
        let unprotected = unprotected.map(|(reason, number)| (label("reason", reason), *number as f64));
        inner.levels.insert(UNPROTECTED.0, unprotected.collect());
        let single = [
            (WAITING, levels.waiting as f64),
            (OLDEST, levels.oldest_s),
            (HOSTS, levels.hosts as f64),
            (OFF, levels.off as f64),
            (UP, 1.0),
        ];
        for (family, value) in single {
            inner.levels.insert(family.0, BTreeMap::from([(String::new(), value)]));
        }
    }

    /// The register did not answer: what stood is not known any more.
    pub fn nothing_seen(&self) {
        let mut inner = self.inner();
        inner.levels.clear();
        inner.levels.insert(UP.0, BTreeMap::from([(String::new(), 0.0)]));
    }

    fn count(&self, family: Family, labels: Labels, more: u64) {
        let mut inner = self.inner();
        let series = inner.counters.entry(family.0).or_default();
        if series.len() < SERIES_MAX || series.contains_key(&labels) {
            *series.entry(labels).or_default() += more;
        }
    }

    fn add(&self, family: Family, labels: Labels, ends: &'static [f64], value: f64) {
        let mut inner = self.inner();
        let series = inner.histograms.entry(family.0).or_default();
        if series.len() < SERIES_MAX || series.contains_key(&labels) {
            series.entry(labels).or_insert_with(|| Histogram::new(ends)).add(value);
        }
    }

    /// An incident was closed.
    pub fn closed(&self, stage: &str, about: &str, tale: Option<&Tale>) {
        self.count(CLOSED, format!("{},{}", label("stage", stage), label("about", about)), 1);
        let Some(tale) = tale else { return };
        use Stretch::{Confirm, Declare, Fence, FirstMove, Moves, Report};
        for stretch in [Report, Confirm, Fence, Declare, FirstMove, Moves] {
            if let Some(ms) = tale.took_ms(stretch) {
                self.add(PHASES, label("phase", stretch.word()), SECONDS, ms as f64 / 1_000.0);
            }
        }
        for one in &tale.instances {
            self.count(INSTANCES, label("standing", one.standing.word()), 1);
            if let (Standing::Back, Some(ms)) = (one.standing, tale.away_ms(one)) {
                self.add(AWAY, String::new(), SECONDS, ms as f64 / 1_000.0);
            }
        }
    }

    /// A request was answered.
    pub fn answered(&self, method: &str, status: u16, seconds: f64) {
        let status = status.to_string();
        self.count(REQUESTS, format!("{},{}", label("method", method), label("status", &status)), 1);
        self.add(REQUEST_TIME, label("method", method), SHORT_SECONDS, seconds);
    }

    /// A message was sent, or not.
    pub fn sent(&self, to: &str, outcome: &str) {
        self.count(MESSAGES, format!("{},{}", label("to", to), label("outcome", outcome)), 1);
    }

    /// What a look at the health of the cloud has found, in the text format; none: it could not be made, and what the one
    /// before found stays, with its time.
    pub fn looked(&self, found: Option<String>) {
        self.count(LOOKS, label("outcome", if found.is_some() { "judged" } else { "failed" }), 1);
        if let Some(found) = found {
            self.inner().health = found;
        }
    }

    /// All of them, in the text format.
    pub fn text(&self) -> String {
        let inner = self.inner();
        let mut text = String::new();
        for (name, help, kind) in LEVELS {
            if let Some(series) = inner.levels.get(name) {
                head(&mut text, (name, help, kind));
                series.iter().for_each(|(labels, value)| line(&mut text, name, labels, *value));
            }
        }
        for (name, help, kind) in [CLOSED, INSTANCES, REQUESTS, MESSAGES, LOOKS] {
            if let Some(series) = inner.counters.get(name) {
                head(&mut text, (name, help, kind));
                series.iter().for_each(|(labels, value)| line(&mut text, name, labels, *value as f64));
            }
        }
        for (name, help, kind) in [PHASES, AWAY, REQUEST_TIME] {
            if let Some(series) = inner.histograms.get(name) {
                head(&mut text, (name, help, kind));
                series.iter().for_each(|(labels, held)| histogram(&mut text, name, labels, held));
            }
        }
        text.push_str(&inner.health);
        text
    }
}

fn head(text: &mut String, (name, help, kind): Family) {
    // Writing to a text cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    let _ = match labels.is_empty() {
        true => writeln!(text, "{name} {value}"),
        false => writeln!(text, "{name}{{{labels}}} {value}"),
    };
}

fn histogram(text: &mut String, name: &str, labels: &str, held: &Histogram) {
    let bucket = format!("{name}_bucket");
    let before = if labels.is_empty() { String::new() } else { format!("{labels},") };
    for (end, count) in held.ends.iter().zip(&held.counts) {
        line(text, &bucket, &format!("{before}{}", label("le", &end.to_string())), *count as f64);
    }
    line(text, &bucket, &format!("{before}{}", label("le", "+Inf")), held.count as f64);
    line(text, &format!("{name}_sum"), labels, held.sum);
    line(text, &format!("{name}_count"), labels, held.count as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_and_what_was_counted_is_told_in_the_text_format() {
        let figures = Figures::default();
        figures.stands(&Levels {
            open: BTreeMap::from([(("working", "host"), 2)]),
            waiting: 1,
            oldest_s: 12.5,
            hosts: 40,
            unprotected: BTreeMap::from([("maintenance", 3)]),
            off: 0,
        });
        figures.closed("recovered", "host", None);
        figures.answered("GET", 200, 0.03);
        figures.answered("GET", 200, 20.0);
        figures.sent("webhook", "taken");
        insta::assert_snapshot!(figures.text());
    }

    #[test]
    fn what_nobody_has_seen_is_not_told_as_nothing() {
        let figures = Figures::default();
        figures.stands(&Levels { hosts: 7, ..Levels::default() });
        figures.nothing_seen();
        let text = figures.text();
        assert!(text.contains("ostler_register_up 0") && !text.contains("ostler_ha_hosts"), "{text}");
    }
}
