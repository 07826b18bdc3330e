//! `ostler run show`: the course of one run, step by step.
//!
//! It looks at nothing but the store.

use super::named;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::run as view;
use clap::Args;
use ostler_engine::run::load;
use ostler_engine::seam::Clock;
use ostler_world::system::SystemClock;

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
        context.printer.text(&view::page(&context.printer, &run, SystemClock.now()))?;
    }
    Ok(Exit::Done)
}
