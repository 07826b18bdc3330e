//! `ostler health` and `ostler health detail`: looks or reads, judges, tells.
//!
//! What is left out by `--only` and `--host` is left out of the exit code, too.

use super::looking::{Looking, judged, library};
use super::outside;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::settings::closest;
use crate::view::health as view;
use clap::Args;
use ostler_engine::health::Library;
use ostler_model::health::{Report, Severity};
use std::path::PathBuf;

/// See what is wrong with the cloud, with every object and its evidence.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler health detail --only SERVER_ERROR --only PORT_ORPHAN")]
pub struct Show {
    /// Judge what was kept in a file instead of looking.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    looking: Looking,
    /// Only these codes.
    #[arg(long, value_name = "CODE")]
    only: Vec<String>,
    /// Only what concerns this host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// One line and an exit code as Nagios wants them: 0, 1, 2, 3.
    #[arg(long)]
    nagios: bool,
    /// Write metrics for Prometheus into a file of the textfile collector.
    #[arg(long, value_name = "FILE")]
    prom: Option<PathBuf>,
    /// Say what the look cost the cloud.
    #[arg(long)]
    stats: bool,
}

pub(super) async fn show(context: &Context, typed: Show, in_detail: bool) -> Result<Exit, Failure> {
    let checks = library(context)?;
    for code in &typed.only {
        known(&checks, code)?;
    }
    let mut report = match judged(context, &checks, typed.from.as_ref(), &typed.looking).await {
        Ok(seen) => seen.report,
        Err(failure) if typed.nagios => return outside::nagios_failed(context, &failure),
        Err(failure) => return Err(failure),
    };
    narrow(&mut report, &typed.only, typed.host.as_deref());
    if let Some(path) = &typed.prom {
        outside::textfile(path, &report)?;
    }
    if typed.nagios {
        return outside::nagios(context, &report);
    }
    if context.printer.is_json() {
        context.printer.json(&report)?;
    } else {
        let now = context.clock().now();
        context.printer.text(&view::page(&context.printer, &report, in_detail, typed.stats, now))?;
    }
    Ok(exit(&report))
}

/// A code that there is, or what was meant.
pub(super) fn known(checks: &Library, code: &str) -> Result<(), Failure> {
    if checks.explain(code).is_some() {
        return Ok(());
    }
    let failure = Failure::usage(format!("there is no code `{code}`"));
    Err(match closest(&code.to_ascii_uppercase(), checks.codes()) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure.hint("see all: `ostler explain --all`"),
    })
}

/// Leaves out what was not asked for.
fn narrow(report: &mut Report, only: &[String], host: Option<&str>) {
    if !only.is_empty() {
        report.findings.retain(|finding| only.contains(&finding.code));
        report.hidden.retain(|hidden| only.contains(&hidden.code));
        for unseen in &mut report.unseen {
            unseen.codes.retain(|code| only.contains(code));
        }
        report.unseen.retain(|unseen| !unseen.codes.is_empty());
    }
    if let Some(host) = host {
        for finding in &mut report.findings {
            finding.objects.retain(|object| object.host.as_deref() == Some(host));
            if let Some(worst) = finding.objects.iter().map(|object| object.severity).max() {
                finding.severity = if finding.expected.is_some() { Severity::Info } else { worst };
            }
            if let Some(first) = finding.objects.first() {
                finding.summary = format!("{}: {}", first.object, first.evidence);
            }
        }
        report.findings.retain(|finding| !finding.objects.is_empty());
        report.unseen.retain(|unseen| unseen.gap.host.as_deref().is_none_or(|other| other == host));
    }
    report.worst =
        report.findings.iter().filter(|finding| finding.counts()).map(|finding| finding.severity).max();
    report.is_whole = report.unseen.is_empty();
}

/// The exit code of a report.
pub(super) fn exit(report: &Report) -> Exit {
    match report.worst {
        Some(Severity::Critical | Severity::Error) => Exit::Errors,
        Some(Severity::Warning) => Exit::Warnings,
        Some(Severity::Info) | None if !report.is_whole => Exit::Partly,
        Some(Severity::Info) | None => Exit::Done,
    }
}
