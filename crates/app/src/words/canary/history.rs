//! `ostler canary history`: how earlier trials went.
//!
//! It looks at nothing but the state.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::canary as view;
use crate::words::logs::moment;
use clap::Args;
use ostler_engine::canary::{self, TRIAL};
use ostler_model::Timestamp;
use ostler_model::canary::{CANARY_FORMAT, Trial};
use ostler_model::record::{RECORDS_MAX, RecordQuery};
use serde_json::json;

/// Show how earlier trials went, and how long stages took.
#[derive(Debug, Args)]
#[command(after_help = "Times are of stages that passed. Trials are kept for three months.

Examples:
  ostler canary history --since 7d
  ostler canary history --host cmp17")]
pub struct History {
    /// From when on: a moment, a length of time back (`12h`), or a run's name.
    #[arg(long, value_name = "MOMENT")]
    since: Option<String>,
    /// Only trials that were pinned to this host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

pub(super) async fn history(context: &Context, typed: History) -> Result<Exit, Failure> {
    let since = moment::typed(context, "--since", typed.since.as_deref()).await?;
    let from = since.and_then(|since| Timestamp::from_microsecond(since).ok()).unwrap_or(Timestamp::MIN);
    let cloud = context.cloud()?.cloud.name.clone();
    let query = RecordQuery { from, limit: RECORDS_MAX, ..RecordQuery::all(TRIAL, &cloud) };
    let records = context.store().await?.records(&query).await?;
    let mut trials: Vec<Trial> = Vec::with_capacity(records.len());
    let mut unread = 0;
    for record in records {
        match serde_json::from_str::<Trial>(&record.body) {
            Ok(trial) if trial.format <= CANARY_FORMAT => trials.push(trial),
            _ => unread += 1,
        }
    }
    if let Some(host) = &typed.host {
        trials.retain(|trial| trial.host.as_ref().is_some_and(|pinned| pinned.as_str() == host));
    }
    let told = canary::history(&trials);
    if context.printer.is_json() {
        let stages: Vec<serde_json::Value> = told
            .stages
            .iter()
            .map(|stage| {
                json!({
                    "stage": stage.name, "passed": stage.passed, "failed": stage.failed, "skipped": stage.skipped,
                    "min-ms": stage.min_ms, "median-ms": stage.median_ms, "p95-ms": stage.p95_ms, "max-ms": stage.max_ms,
                })
            })
            .collect();
        context.printer.json(&json!({
            "cloud": cloud, "trials": told.trials, "failed": told.failed, "broken-off": told.broken_off, "stages": stages,
        }))?;
    } else {
        context.printer.text(&view::history(&trials, &told))?;
    }
    if unread > 0 {
        context.printer.note(&format!("{unread} trials are damaged or of a newer ostler and were left out"));
        return Ok(Exit::Partly);
    }
    Ok(Exit::Done)
}
