//! `ostler run list`: runs, newest first.
//!
//! It looks at nothing but the store.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::running;
use crate::view::run as view;
use clap::Args;

/// List runs, newest first.
#[derive(Debug, Args)]
#[command(after_help = "With --cloud, only the runs of that cloud.

Example:
  ostler run list --limit 5")]
pub struct List {
    /// How many at most.
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    limit: u32,
}

pub(super) async fn list(context: &Context, typed: List) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let mut runs = running::all(store.as_ref(), typed.limit).await?;
    if let Some(cloud) = context.cloud_typed() {
        runs.retain(|run| run.plan.body.cloud == cloud);
    }
    if context.printer.is_json() {
        context.printer.json(&runs.iter().map(view::to_json).collect::<Vec<_>>())?;
    } else if runs.is_empty() {
        context.printer.note("no run yet");
    } else {
        let mut told = Vec::new();
        for run in runs {
            let cloud = &run.plan.body.cloud;
            let is_driven = running::is_somebody_at_work(context, store.as_ref(), cloud).await?;
            told.push((run, is_driven));
        }
        context.printer.text(&view::list(&told, context.clock().now()))?;
    }
    Ok(Exit::Done)
}
