//! `ostler lab load`: real clients that issue and validate tokens through the virtual address.
//!
//! No request is repeated: every failure counts.

use super::{Which, failure};
use crate::context::Context;
use crate::duration::{Seconds, words};
use crate::failure::{Exit, Failure};
use crate::view::{local, table, time_of_day};
use clap::Args;
use ostler_lab::{KindReport, LoadOptions, LoadReport};
use std::collections::BTreeMap;
use std::time::Duration;

/// Let real clients issue and validate tokens, and count what fails.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0: no request failed; 4: some did. Ctrl-C ends the load early and counts.

Example:
  ostler lab load --rate 15 --for 60s")]
pub struct Load {
    #[command(flatten)]
    which: Which,
    /// Requests a second.
    #[arg(long, default_value_t = LoadOptions::default().rate, value_name = "NUMBER")]
    rate: f64,
    /// How long; 0 until it is stopped.
    #[arg(long = "for", default_value = "60s", value_name = "TIME")]
    length: Seconds,
    /// A file to write the report to as JSON, too.
    #[arg(long, value_name = "FILE")]
    report: Option<std::path::PathBuf>,
}

pub(super) async fn load(context: &Context, typed: Load) -> Result<Exit, Failure> {
    let lab = typed.which.lab()?;
    let duration = (typed.length.0 > 0).then(|| Duration::from_secs(u64::from(typed.length.0)));
    let options = LoadOptions { rate: typed.rate, duration };
    let printer = context.printer;
    let told = |report: &LoadReport| {
        printer.note(&format!(
            "{}  {} requests, {} failed, longest gap {}",
            time_of_day(report.to),
            report.requests,
            report.failed,
            words(report.longest_gap_ms)
        ));
    };
    let report = lab.load(options, context.until_stopped(), told).await.map_err(failure)?;
    if let Some(path) = &typed.report {
        let text =
            serde_json::to_string_pretty(&report).map_err(|error| Failure::failed(error.to_string()))?;
        std::fs::write(path, text)
            .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
    }
    if printer.is_json() {
        printer.json(&report)?;
    } else {
        printer.text(&page(&report))?;
    }
    Ok(if report.failed == 0 { Exit::Done } else { Exit::Errors })
}

fn page(report: &LoadReport) -> String {
    let mut text = format!(
        "{} requests from {} to {}, {} failed, longest gap {}\n\n",
        report.requests,
        local(report.from),
        time_of_day(report.to),
        report.failed,
        words(report.longest_gap_ms)
    );
    let row = |name: &str, kind: &KindReport| {
        vec![
            name.to_owned(),
            kind.requests.to_string(),
            kind.failed.to_string(),
            failures(&kind.failures),
            format!("{:.0} ms", kind.p50_ms),
            format!("{:.0} ms", kind.p99_ms),
            format!("{:.0} ms", kind.max_ms),
            words(kind.longest_gap_ms),
        ]
    };
    let rows = vec![row("issue", &report.issue), row("validate", &report.validate)];
    text.push_str(&table(
        &["TOKENS", "REQUESTS", "FAILED", "BY", "P50", "P99", "SLOWEST", "LONGEST GAP"],
        rows,
    ));
    text.push_str(&failed_requests(report));
    text
}

/// The failed requests one by one, with the names under which the servers' logs have them.
pub(in crate::words) fn failed_requests(report: &LoadReport) -> String {
    if report.failed_requests.is_empty() {
        return String::new();
    }
    let rows = report.failed_requests.iter().map(|one| {
        vec![
            time_of_day(one.at),
            one.kind.clone(),
            one.failure.clone(),
            format!("{} ms", one.took_ms),
            one.request_id.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let head = ["FAILED AT", "TOKEN", "WITH", "AFTER", "REQUEST ID"];
    format!("\n{}", table(&head, rows.collect()))
}

fn failures(by: &BTreeMap<String, u64>) -> String {
    match by.is_empty() {
        true => "-".to_owned(),
        false => by.iter().map(|(word, number)| format!("{word}: {number}")).collect::<Vec<_>>().join(", "),
    }
}
