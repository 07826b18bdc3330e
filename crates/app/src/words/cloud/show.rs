//! `ostler cloud show`: what was seen last, with its age.
//!
//! It looks at nothing but the store.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::inventory;
use crate::wiring;
use clap::Args;

/// Show what was seen last, with its age.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler cloud show --format json")]
pub struct Show {}

pub(super) async fn show(context: &Context, _: Show) -> Result<Exit, Failure> {
    let name = &context.cloud()?.cloud.name;
    let catalogue = wiring::catalogue(context)?;
    let Some(seen) = context.store().await?.inventory(name).await? else {
        return Err(Failure::usage(format!("cloud {name} has not been looked at yet"))
            .hint(format!("look: `ostler cloud scan --cloud {name}`")));
    };
    if context.printer.is_json() {
        context.printer.json(&seen)?;
    } else {
        context.printer.text(&inventory::page(&context.printer, &seen, &catalogue, context.clock().now()))?;
    }
    Ok(Exit::Done)
}
