//! `ostler upgrade run`: plans, has the plan approved by its hash, and drives the run to its end.
//!
//! A plan that was made before is looked at again: if the cloud has changed since, the difference is shown and
//! the new plan needs an approval of its own.

use super::Wanted;
use crate::approval;
use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use crate::going::{self, OnFailure};
use crate::planning::{self, Offer};
use crate::running;
use crate::view::plan as view;
use crate::wiring::Site;
use clap::Args;
use ostler_engine::plan::differences;

/// Plan, have it approved, and do it.
#[derive(Debug, Args)]
#[command(after_help = "Interrupted, it goes on with `ostler run resume last`; nothing is done twice.

Examples:
  ostler upgrade run --only keystone --to 2025.1
  ostler upgrade run --plan 3f5a90c1d2e4
  ostler upgrade run --only keystone --to 2025.1 --yes --on-failure rollback")]
pub struct Run {
    #[command(flatten)]
    wanted: Wanted,
    /// Run a plan that was made before, by the beginning of its hash.
    #[arg(long, value_name = "HASH", conflicts_with_all = ["to", "only", "strategy", "soak", "no_function_check", "canary"])]
    plan: Option<String>,
    /// Approve the plan and pass its gates without asking.
    #[arg(long)]
    yes: bool,
    /// What to do when a step fails.
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    on_failure: OnFailure,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(context: &Context, typed: Run) -> Result<Exit, Failure> {
    let site = Site::open(context).await?;
    if !typed.dry_run {
        running::nobody_at_work(context, &site).await?;
        running::no_other(&site, &[], None).await?;
    }
    let offer = match &typed.plan {
        None => planning::upgrade(&site, &typed.wanted.ask(&site)?).await?,
        Some(hash) => {
            let plan = planning::kept(site.seams.store.as_ref(), hash).await?;
            match planning::again(&site, plan.clone()).await? {
                Ok(offer) => offer,
                Err(offer) => changed(context, &plan, *offer, &typed)?,
            }
        }
    };
    show(context, &offer, typed.dry_run)?;
    if typed.dry_run {
        return Ok(Exit::Done);
    }
    offer.may_run()?;
    let otherwise = format!("{} --yes", view::command(&offer.plan));
    approval::of_plan(context, &offer.plan, typed.yes, &otherwise).await?;
    let run = running::begin(context, &site, &offer).await?;
    context.printer.note(&format!("run {run}"));
    going::to_the_end(context, &site, &run, typed.yes, typed.on_failure).await
}

fn show(context: &Context, offer: &Offer, dry_run: bool) -> Result<(), Failure> {
    match (context.printer.is_json(), dry_run) {
        (false, _) => context.printer.text(&view::page(&context.printer, offer)),
        (true, true) => context.printer.json(&view::to_json(offer)),
        (true, false) => Ok(()),
    }
}

/// The cloud is not what the approved plan was made for: says what would be done otherwise now.
fn changed(
    context: &Context,
    plan: &ostler_model::plan::Plan,
    offer: Offer,
    typed: &Run,
) -> Result<Offer, Failure> {
    let mut failure = Failure::new(
        Kind::Waiting,
        format!("the cloud has changed since plan {} was made; nothing was changed", plan.id.short()),
    )
    .evidences(differences(plan, &offer.plan));
    if typed.dry_run || (context.can_ask() && !typed.yes) {
        // The new plan is shown, and a person is asked for its own approval.
        failure.hints.clear();
        context.printer.note(&failure.to_string().replacen("error: ", "", 1));
        return Ok(offer);
    }
    failure = failure.hint(format!("approve the new plan: `{} --yes`", view::command(&offer.plan)));
    Err(failure)
}
