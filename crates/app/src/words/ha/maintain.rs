//! `ostler ha maintain`: planned work on a host, without instance HA taking its silence for a failure.
//!
//! The flag comes first: from then on nothing fences it or moves what it runs. It must never touch an instance.

use super::back::no_outage;
use super::coverage::look;
use super::host_plan::{agreed, carried_out, lease_of, offered, show};
use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use crate::instance_ha::host_named;
use crate::running;
use crate::wiring::Site;
use clap::Args;
use ostler_engine::ha::maintain as plan_of;
use ostler_model::compute::{Compute, Scope};
use ostler_model::ha::{HostChange, Written};
use ostler_model::ids::HostName;

/// Instances that are named; of more only the number is.
const NAMED_MAX: usize = 20;

/// What Nova shows as the reason begins with this.
const REASON: &str = "ostler: maintenance";

/// Work on a host: nothing new comes to it, and it is not fenced while it is down.
#[derive(Debug, Args)]
#[command(
    after_help = "Instances stay where they are: move those first that must run meanwhile. The host may be switched off
afterwards; `ostler ha return` takes it into use again.

Examples:
  ostler ha maintain cmp3 --because 'new memory' --dry-run
  ostler ha maintain cmp3 --because 'new memory'"
)]
pub struct Maintain {
    /// The host.
    host: String,
    /// Why, for the record, and for whoever looks at Nova.
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// Approve the plan without asking.
    #[arg(long)]
    yes: bool,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn maintain(context: &Context, typed: Maintain) -> Result<Exit, Failure> {
    let site = Site::open(context).await?;
    let store = site.seams.store.as_ref();
    let registered = host_named(store, &typed.host).await?;
    let host = HostName::new(registered.name.as_str());
    no_outage(&site, &registered).await?;
    let seen = look(&site, &Scope { on: vec![host.clone()], ..Scope::default() }).await?;
    let is_disabled = seen.services.get(&host).is_some_and(|service| !service.enabled);
    if registered.on_maintenance && is_disabled {
        return Err(Failure::new(Kind::Nothing, format!("{host} is in maintenance already"))
            .hint(format!("to take it into use again: `ostler ha return {host}`")));
    }
    let reason = format!("{REASON}: {}", typed.because);
    let plan = plan_of(&site.cloud.cloud.name, &host, seen.taken, &reason);
    let plan = plan.map_err(|error| Failure::failed(error.to_string()))?;
    let offer = offered(plan, &host, &seen);
    show(context, &offer, typed.dry_run)?;
    stays(context, &seen, &host);
    if typed.dry_run {
        return Ok(Exit::Done);
    }
    let otherwise = format!("ostler ha maintain {host} --because TEXT --yes");
    agreed(context, &offer, typed.yes, &otherwise).await?;
    let change = HostChange { on_maintenance: Some(true), ..HostChange::default() };
    if !matches!(store.change_host(&registered.id, &change, site.now()).await?, Written::Done(_)) {
        return Err(Failure::failed(format!("{host} was taken out of its segment meanwhile")));
    }
    // Between the look and the flag a report may have come: what has begun is brought to its end.
    no_outage(&site, &registered).await.map_err(|failure| {
        failure
            .hint(format!("{host} is marked as in maintenance all the same, until `ostler ha return {host}`"))
    })?;
    context
        .printer
        .note(&format!("{host} is in maintenance: it is not fenced, and nothing is moved from it"));
    let (run, end) = carried_out(context, &site, &offer, &lease_of(&host), typed.yes).await?;
    running::tell(context, &site, &run, end).await?;
    context.printer.note(&format!("work on it; then: `ostler ha return {host}`"));
    Ok(Exit::Done)
}

/// Names what stays on the host, and would be down with it.
fn stays(context: &Context, seen: &Compute, host: &HostName) {
    let here = seen.instances.values().filter(|instance| instance.host.as_ref() == Some(host));
    let mut names: Vec<&str> = here.map(|instance| instance.name.as_str()).collect();
    names.sort_unstable();
    if names.is_empty() {
        return context.printer.note(&format!("no instance is on {host}"));
    }
    let shown = names.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > NAMED_MAX { ", …" } else { "" };
    context.printer.note(&format!(
        "{} on {host} stay there, and stop when it does: {shown}{more}; to move one: `openstack server migrate --live-migration SERVER`",
        crate::view::count(names.len(), "instance")
    ));
}
