//! `ostler run show`: the course of one run, step by step.
//!
//! It looks at nothing but the store.

use super::named;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::running;
use crate::view::run as view;
use clap::Args;
use ostler_engine::run::load;

/// Show the course of one run, step by step.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ostler run show last
  ostler run show last --format json --entries")]
pub struct Show {
    /// The run: its name, the beginning or end of it, or `last`.
    run: String,
    /// With --format json: every entry of the journal, too.
    #[arg(long)]
    entries: bool,
}

pub(super) async fn show(context: &Context, typed: Show) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let id = named(store.as_ref(), &typed.run).await?;
    let run = load(store.as_ref(), &id).await?;
    if context.printer.is_json() {
        let mut page = view::to_json(&run);
        page["timeline"] = view::steps_to_json(&run);
        if typed.entries {
            page["entries"] = serde_json::to_value(store.entries(&id, 0).await?)
                .map_err(|error| Failure::failed(error.to_string()))?;
        }
        context.printer.json(&page)?;
    } else {
        let entries = store.entries(&id, 0).await?;
        let cloud = &run.plan.body.cloud;
        let is_driven = running::is_somebody_at_work(context, store.as_ref(), cloud).await?;
        let now = context.clock().now();
        context.printer.text(&view::page(&context.printer, &run, &entries, is_driven, now))?;
    }
    Ok(Exit::Done)
}
