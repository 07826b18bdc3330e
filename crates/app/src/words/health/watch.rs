//! `ostler health watch`: looks again and again, and tells only what has changed.
//!
//! A look that fails is told and followed by the next one.

use super::looking::{Looking, judged, library};
use super::telling::{Receivers, Telling};
use crate::context::Context;
use crate::duration::Seconds;
use crate::failure::{Exit, Failure};
use crate::view::health as view;
use clap::Args;
use ostler_model::health::Report;
use serde_json::json;
use std::collections::BTreeMap;

/// The shortest pause: a look asks every API and node.
const EVERY_LEAST_S: u32 = 10;

/// Look again and again, and tell what changes.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler health watch --every 2m")]
pub struct Watch {
    /// Pause between two looks.
    #[arg(long, value_name = "TIME", default_value = "1m")]
    every: Seconds,
    /// How many looks; none: until it is interrupted.
    #[arg(long, value_name = "NUMBER")]
    count: Option<u32>,
    #[command(flatten)]
    looking: Looking,
    #[command(flatten)]
    telling: Telling,
}

pub(super) async fn watch(context: &Context, typed: Watch) -> Result<Exit, Failure> {
    if typed.every.0 < EVERY_LEAST_S {
        return Err(Failure::usage(format!("a pause of {} s is too short for the cloud", typed.every.0))
            .hint(format!("give at least `--every {EVERY_LEAST_S}s`")));
    }
    let checks = library(context)?;
    let receivers = Receivers::typed(&typed.telling, Some(typed.every.0))?;
    let mut before: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut last = Exit::Done;
    let mut looks = 0u32;
    loop {
        match judged(context, &checks, None, &typed.looking).await {
            Ok(seen) => {
                super::show::tell(context, &receivers, &seen).await?;
                let now = objects(&seen.report);
                tell(context, &seen.report, &before, &now, looks == 0);
                before = now;
                last = super::show::exit(&seen.report);
            }
            Err(failure) if looks > 0 => context.printer.failure(&failure),
            Err(failure) => return Err(failure),
        }
        looks = looks.saturating_add(1);
        if typed.count.is_some_and(|count| looks >= count) {
            return Ok(last);
        }
        context.clock().sleep(u64::from(typed.every.0) * 1_000).await;
    }
}

/// Everything that counts: code and object, with what was seen.
fn objects(report: &Report) -> BTreeMap<(String, String), String> {
    let counting = report.findings.iter().filter(|finding| finding.counts());
    counting
        .flat_map(|finding| {
            finding.objects.iter().map(|object| {
                let key = (finding.code.clone(), object.object.clone());
                (key, format!("{} {}", object.severity, object.evidence))
            })
        })
        .collect()
}

fn tell(
    context: &Context,
    report: &Report,
    before: &BTreeMap<(String, String), String>,
    now: &BTreeMap<(String, String), String>,
    is_first: bool,
) {
    let appeared = now.iter().filter(|(key, _)| !before.contains_key(*key));
    let gone = before.iter().filter(|(key, _)| !now.contains_key(*key));
    if context.printer.is_json() {
        for (change, ((code, object), evidence)) in
            appeared.map(|one| ("new", one)).chain(gone.map(|one| ("over", one)))
        {
            context.printer.json_line(&json!({
                "at": report.taken, "change": change, "code": code, "object": object, "evidence": evidence,
            }));
        }
        return;
    }
    let at = crate::view::time_of_day(report.taken);
    if is_first {
        context.say(&format!("{at}  {}", view::heading(&context.printer, report)));
    }
    for ((code, object), evidence) in appeared {
        context.say(&format!("{at}  new   {code} {object}: {evidence}"));
    }
    for ((code, object), _) in gone {
        context.say(&format!("{at}  over  {code} {object}"));
    }
}
