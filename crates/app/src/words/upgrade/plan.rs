//! `ostler upgrade plan`: looks at the cloud and shows what would be done.
//!
//! It changes nothing on the cloud; the plan is kept, so that it can be run by its hash.

use super::Wanted;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::planning;
use crate::view::plan as view;
use crate::wiring::Site;
use clap::Args;

/// Look at the cloud and show what would be done; changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ostler upgrade plan --only keystone --to 2025.1
  ostler upgrade plan --only keystone --to 2025.1 --strategy minimal-downtime --format json")]
pub struct Plan {
    #[command(flatten)]
    wanted: Wanted,
}

pub(super) async fn plan(context: &Context, typed: Plan) -> Result<Exit, Failure> {
    let site = Site::open(context).await?;
    let offer = planning::upgrade(&site, &typed.wanted.ask(&site)?).await?;
    if context.printer.is_json() {
        context.printer.json(&view::to_json(&offer))?;
        return Ok(Exit::Done);
    }
    let mut text = view::page(&context.printer, &offer);
    match offer.may_run() {
        Ok(()) => text.push_str(&format!("run it: {}\n", view::command(&offer.plan))),
        Err(failure) => text.push_str(&format!("it would be refused now: {}\n", failure.error)),
    }
    context.printer.text(&text)?;
    Ok(Exit::Done)
}
