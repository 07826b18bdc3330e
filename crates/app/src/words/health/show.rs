//! `ostler health` and `ostler health detail`: looks or reads, judges, tells.
//!
//! What is left out by `--only` and `--host` is left out of the exit code, too.

use super::looking::{Looking, Seen, judged, library};
use super::outside;
use super::telling::{Receivers, Telling};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::health as view;
use clap::Args;
use ostler_engine::health::{Explained, Library};
use ostler_model::health::{Report, Severity};
use std::path::PathBuf;

/// Letters of a code's beginning that say which is meant.
const BEGINNING_LEAST: usize = 5;

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
    #[command(flatten)]
    telling: Telling,
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
    let receivers = Receivers::typed(&typed.telling, None)?;
    let mut report = match judged(context, &checks, typed.from.as_ref(), &typed.looking).await {
        Ok(seen) => {
            tell(context, &receivers, &seen).await?;
            seen.report
        }
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

/// Tells who is to be told; who does not take it is a warning.
pub(super) async fn tell(context: &Context, receivers: &Receivers, seen: &Seen) -> Result<(), Failure> {
    let Some(memory) = &seen.memory else { return Ok(()) };
    let store = context.store().await?;
    for complaint in receivers.tell(store.as_ref(), context.clock(), &seen.report, memory).await? {
        context.printer.note(&format!("warning: {complaint}"));
    }
    Ok(())
}

/// A code that there is, or what was meant.
pub fn known<'a>(checks: &'a Library, code: &str) -> Result<Explained<'a>, Failure> {
    checks.explain(code).ok_or_else(|| {
        let failure = Failure::usage(format!("there is no code `{code}`"));
        match meant(&code.to_ascii_uppercase(), checks.codes()) {
            Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
            None => failure.hint("see all: `ostler explain --all`"),
        }
    })
}

/// The code that was mistyped: one letter in four may be wrong, or its end may be missing. Codes share their beginnings, so
/// that what is merely alike is another code.
fn meant<'a>(given: &str, codes: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong_max = (given.len() / 4).max(1);
    let distance = |code: &&str| match code.starts_with(given) && given.len() >= BEGINNING_LEAST {
        true => 0,
        false => strsim::osa_distance(given, code),
    };
    codes.min_by_key(distance).filter(|code| distance(code) <= wrong_max)
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

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn only_a_code_that_is_near_is_suggested() {
        let codes = ["HOST_DISK", "HOST_LOAD", "MQ_PARTITION", "NOVA_CELL_DOWN"];
        for (given, code) in [
            ("HOST_DISKS", Some("HOST_DISK")),
            ("MQ_PARTITON", Some("MQ_PARTITION")),
            ("MQ_PART", Some("MQ_PARTITION")),
            ("NOSUCH", None),
            ("HOST_", Some("HOST_DISK")),
            ("HOST_FANS", None),
        ] {
            assert_eq!(meant(given, codes.into_iter()), code, "{given}");
        }
    }
}
