//! Health for other programs: a line for Nagios, metrics for Prometheus.
//!
//! A look that failed is unknown, never well.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::health::state;
use ostler_model::health::{Report, Severity};
use std::fmt::Write as _;
use std::path::Path;

/// Findings that are named in the one line that Nagios shows.
const NAMED_MAX: usize = 5;

/// One line, and Nagios' exit codes.
pub(super) fn nagios(context: &Context, report: &Report) -> Result<Exit, Failure> {
    let (word, code) = match report.worst {
        Some(Severity::Critical | Severity::Error) => ("CRITICAL", 2),
        Some(Severity::Warning) => ("WARNING", 1),
        Some(Severity::Info) | None if !report.is_whole => ("UNKNOWN", 3),
        Some(Severity::Info) | None => ("OK", 0),
    };
    let counting: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.counts() && finding.severity > Severity::Info)
        .collect();
    let mut says: Vec<String> = counting
        .iter()
        .take(NAMED_MAX)
        .map(|finding| format!("{} ({})", finding.code, plain(&finding.summary)))
        .collect();
    if counting.len() > NAMED_MAX {
        says.push(format!("and {} more", counting.len() - NAMED_MAX));
    }
    if !report.is_whole {
        says.push(format!("{} not seen", report.unseen.len()));
    }
    if says.is_empty() {
        says.push(format!("{} checks are well", report.checks));
    }
    let of = |severity| {
        report.findings.iter().filter(|finding| finding.counts() && finding.severity == severity).count()
    };
    let figures = format!(
        "critical={} errors={} warnings={} unseen={} checks={}",
        of(Severity::Critical),
        of(Severity::Error),
        of(Severity::Warning),
        report.unseen.len(),
        report.checks
    );
    context.printer.text(&format!("{word} - {}: {} | {figures}", report.cloud, says.join("; ")))?;
    Ok(Exit::Foreign(code))
}

/// A look that failed, for Nagios.
pub(super) fn nagios_failed(context: &Context, failure: &Failure) -> Result<Exit, Failure> {
    context.printer.text(&format!("UNKNOWN - {}", plain(&failure.error)))?;
    Ok(Exit::Foreign(3))
}

/// In Nagios' line a bar begins the figures.
fn plain(text: &str) -> String {
    text.replace(['|', '\n'], "/")
}

/// Writes metrics; the file has its name only when it is whole.
pub(super) fn textfile(path: &Path, report: &Report) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed(format!("cannot write the metrics to {}: {error}", path.display()))
            .hint("name a file in the directory of the textfile collector that this account may write to")
    };
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, metrics(report)).map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)
}

/// The metrics of a report, in Prometheus' text format.
pub fn metrics(report: &Report) -> String {
    let cloud = label(&report.cloud);
    let level = |severity: Option<Severity>| match severity {
        None => 0,
        Some(Severity::Info) => 1,
        Some(Severity::Warning) => 2,
        Some(Severity::Error) => 3,
        Some(Severity::Critical) => 4,
    };
    let mut text = String::new();
    let mut family = |name: &str, help: &str, rows: Vec<(String, String)>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in rows {
            let _ = writeln!(text, "{name}{{cloud=\"{cloud}\"{labels}}} {value}");
        }
    };
    family(
        "ostler_health_worst",
        "The worst finding that is neither muted nor expected: 0 none, 1 info, 2 warning, 3 error, 4 critical.",
        vec![(String::new(), level(report.worst).to_string())],
    );
    let finding = |finding: &ostler_model::health::Finding| {
        let severity = finding.severity.to_string().to_lowercase();
        (
            format!(
                ",code=\"{}\",severity=\"{severity}\",counts=\"{}\"",
                label(&finding.code),
                finding.counts()
            ),
            finding.objects.len().to_string(),
        )
    };
    family(
        "ostler_health_finding_objects",
        "Objects that a code affects.",
        report.findings.iter().map(finding).collect(),
    );
    family(
        "ostler_health_unseen",
        "Reasons for which something could not be judged.",
        vec![(String::new(), report.unseen.len().to_string())],
    );
    family(
        "ostler_health_checks",
        "Checks that were judged.",
        vec![(String::new(), report.checks.to_string())],
    );
    family(
        "ostler_health_taken_timestamp_seconds",
        "When the evidence was taken.",
        vec![(String::new(), report.taken.as_second().to_string())],
    );
    let part = |cost: &ostler_model::health::Cost| format!(",part=\"{}\"", label(&cost.part));
    family(
        "ostler_health_look_requests",
        "Requests and commands that the look took.",
        report.cost.iter().map(|cost| (part(cost), cost.requests.to_string())).collect(),
    );
    family(
        "ostler_health_look_seconds",
        "How long the look took.",
        report.cost.iter().map(|cost| (part(cost), format!("{:.3}", cost.ms as f64 / 1_000.0))).collect(),
    );
    let _ = writeln!(text, "# {} {}", state(report), report.cloud.replace('\n', " "));
    text
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
