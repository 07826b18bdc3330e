//! `ostler cloud scan`: looks at every node anew and remembers what was seen.
//!
//! A node that is down makes a gap, never an error.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::survey;
use crate::view::inventory;
use crate::wiring::Site;
use clap::Args;

/// Look at every node anew, and remember what was seen.
#[derive(Debug, Args)]
#[command(
    after_help = "What could not be seen is listed with the reason; a node that is down is a gap, not an error.

Example:
  ostler cloud scan --cloud lab"
)]
pub struct Scan {}

pub(super) async fn scan(context: &Context, _: Scan) -> Result<Exit, Failure> {
    let site = Site::open(context).await?;
    let seen = survey::fresh(&site).await?;
    if context.printer.is_json() {
        context.printer.json(&seen)?;
    } else {
        context.printer.text(&inventory::page(&context.printer, &seen, &site.catalogue, site.now()))?;
    }
    Ok(Exit::Done)
}
