//! What plans for one host have in common: each is shown, agreed to, and carried out under a lease.
//!
//! Nothing here begins a plan that was not shown, or that a person did not agree to.

use crate::approval;
use crate::context::Context;
use crate::failure::Failure;
use crate::planning::Offer;
use crate::running::{self, End};
use crate::view::plan as view;
use crate::wiring::Site;
use ostler_engine::plan::Planned;
use ostler_engine::run::{approve, open};
use ostler_model::compute::Compute;
use ostler_model::ids::{HostName, RunId};
use ostler_model::plan::{Plan, Report};

/// The plan with what it was made from.
pub(super) fn offered(plan: Plan, host: &HostName, seen: &Compute) -> Offer {
    let report = Report { nodes: vec![host.clone()], ..Report::default() };
    Offer::of_compute(Planned { plan, report }, seen.taken)
}

/// Shows the plan. JSON is only written when nothing follows: what a run writes is one document of its own.
pub(super) fn show(context: &Context, offer: &Offer, is_dry_run: bool) -> Result<(), Failure> {
    match (context.printer.is_json(), is_dry_run) {
        (false, _) => context.printer.text(&view::page(&context.printer, offer)),
        (true, true) => context.printer.json(&view::to_json(offer)),
        (true, false) => Ok(()),
    }
}

/// Refuses a plan that may not run, and has a person agree to it. `otherwise` is what to type where nobody can be asked.
pub(super) async fn agreed(
    context: &Context,
    offer: &Offer,
    is_approved: bool,
    otherwise: &str,
) -> Result<(), Failure> {
    offer.may_run()?;
    approval::of_plan(context, &offer.plan, is_approved, otherwise).await
}

/// Carries the plan out under this lease. How it ended is not told yet.
pub(super) async fn carried_out(
    context: &Context,
    site: &Site,
    offer: &Offer,
    lease: &str,
    is_approved: bool,
) -> Result<(RunId, End), Failure> {
    let (store, clock, dice) =
        (site.seams.store.as_ref(), site.seams.clock.as_ref(), site.seams.dice.as_ref());
    let run = open(store, clock, dice, &offer.plan, context.person()).await?;
    approve(store, clock, &run, &offer.plan.id, context.person()).await?;
    context.printer.note(&format!("run {run}"));
    let end = running::drive_under(context, site, &run, is_approved, lease).await?;
    Ok((run, end))
}

/// The lease of a host's outages: while it is held nobody recovers from it.
pub(super) fn lease_of(host: &HostName) -> String {
    format!("ha/{host}")
}
