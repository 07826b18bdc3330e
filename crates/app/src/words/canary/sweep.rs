//! `ostler canary sweep`: takes away what trials have left behind that are over.
//!
//! Only what stands in the state and bears a canary's name is taken away, and nothing of a trial that may be under way.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::canary as view;
use crate::wiring::Site;
use clap::Args;
use ostler_engine::canary;
use serde_json::json;

/// Take away what trials have left behind that were broken off.
#[derive(Debug, Args)]
#[command(
    after_help = "A trial is over when its process is gone from this machine, or an hour after it began.
Exit code 0: nothing is left behind; 6: something is still there.

Example:
  ostler canary sweep --dry-run"
)]
pub struct Sweep {
    /// Say what would be taken away, and take away nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn sweep(context: &Context, typed: Sweep) -> Result<Exit, Failure> {
    let site = Site::open(context).await?;
    site.credentials.clone()?;
    let is_gone = context.is_gone();
    let swept = canary::sweep(&site.seams, &site.cloud.cloud.name, is_gone.as_ref(), typed.dry_run).await?;
    if context.printer.is_json() {
        let left: Vec<serde_json::Value> =
            swept.left.iter().map(|(thing, why)| json!({ "thing": thing, "why": why })).collect();
        context.printer.json(&json!({
            "gone": swept.gone, "left": left, "busy": swept.busy, "unreadable": swept.unreadable,
        }))?;
    } else {
        context.printer.text(&view::swept(&swept, typed.dry_run))?;
    }
    let is_clean = (typed.dry_run || swept.left.is_empty()) && swept.unreadable.is_empty();
    Ok(if is_clean { Exit::Done } else { Exit::Partly })
}

/// The sweep before a trial: it says only what it did.
pub(super) async fn before(context: &Context, site: &Site) -> Result<(), Failure> {
    let is_gone = context.is_gone();
    let swept = canary::sweep(&site.seams, &site.cloud.cloud.name, is_gone.as_ref(), false).await?;
    if !swept.gone.is_empty() || !swept.left.is_empty() {
        context.printer.note(view::swept(&swept, false).trim_end());
    }
    Ok(())
}
