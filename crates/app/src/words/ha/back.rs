//! `ostler ha return`: takes a host into use again after it was recovered from or worked on, in the one order that leaves no two copies.
//!
//! It shows the plan, has it approved, and clears the host's flags only when every step is done.

use super::coverage::look;
use super::host_plan::{agreed, carried_out, lease_of, offered, show};
use super::move_back::taken_away;
use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use crate::instance_ha::host_named;
use crate::planning::Offer;
use crate::running;
use crate::wiring::Site;
use clap::Args;
use ostler_engine::ha::{Comeback, comeback, forget_word};
use ostler_engine::seam::PowerState;
use ostler_model::compute::{Compute, MoveStage, Scope};
use ostler_model::ha::{Host, HostChange, IncidentKey, Written};
use ostler_model::ids::HostName;

/// The unit of the compute process, where nobody says otherwise.
const UNIT: &str = "nova-compute.service";

/// Take a host into use again after it was recovered from, or worked on.
#[derive(Debug, Args)]
#[command(
    after_help = "It gets power if it has none; its compute process starts anew and removes its copies of what was moved away;
then it is let in again, and its flags are cleared, maintenance too. Repair the machine first. After planned work on it
(`ostler ha maintain`) nothing is restarted that is well.

Examples:
  ostler ha return cmp3 --dry-run
  ostler ha return cmp3"
)]
pub struct Return {
    /// The host.
    host: String,
    /// The unit of its compute process.
    #[arg(long, value_name = "UNIT", default_value = UNIT)]
    unit: String,
    /// You restart its compute process yourself: it is only waited for.
    #[arg(long, conflicts_with = "unit")]
    by_hand: bool,
    /// Approve the plan without asking.
    #[arg(long)]
    yes: bool,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn back(context: &Context, typed: Return) -> Result<Exit, Failure> {
    let site = Site::open(context).await?;
    let registered = host_named(site.seams.store.as_ref(), &typed.host).await?;
    let host = HostName::new(registered.name.as_str());
    no_outage(&site, &registered).await?;
    let seen = look(&site, &Scope { on: vec![host.clone()], ..Scope::default() }).await?;
    if is_in_use(&registered, &seen, &host) {
        return Err(Failure::new(Kind::Nothing, format!("{host} is in use already")));
    }
    let offer = offer(context, &site, &typed, &host, &seen).await?;
    show(context, &offer, typed.dry_run)?;
    if typed.dry_run {
        return Ok(Exit::Done);
    }
    let otherwise = format!("ostler ha return {host} --yes");
    agreed(context, &offer, typed.yes, &otherwise).await?;
    site.credentials.clone()?;
    let (run, end) = carried_out(context, &site, &offer, &lease_of(&host), typed.yes).await?;
    running::tell(context, &site, &run, end).await?;
    cleared(&site, &registered, &host).await?;
    context.printer.note(&format!("{host} is in use and protected again"));
    let was_recovered = seen.evacuations.iter().any(|one| one.source == host && one.stage == MoveStage::Done);
    if was_recovered && !taken_away(site.seams.store.as_ref(), &host).await?.is_empty() {
        context.printer.note(&format!(
            "what was taken away from it stays where it is; to move it back while it runs: `ostler ha move-back {host}`"
        ));
    }
    Ok(Exit::Done)
}

/// Refuses while the host is being recovered from.
pub(super) async fn no_outage(site: &Site, host: &Host) -> Result<(), Failure> {
    let key = IncidentKey::host(&host.id);
    let open = site.seams.store.open_incidents().await?;
    match open.into_iter().find(|incident| incident.key == key) {
        None => Ok(()),
        Some(incident) => Err(Failure::refused(
            "incident-open",
            format!("{} is still being recovered from: {}", host.name, incident.stage),
        )
        .hint(format!("see how it stands: `ostler ha show {}`", incident.id))
        .hint(format!("to stop it there: `ostler ha cancel {} --because TEXT`", incident.id))),
    }
}

pub(super) fn is_in_use(host: &Host, seen: &Compute, name: &HostName) -> bool {
    let service = seen.services.get(name);
    !host.is_out() && service.is_some_and(|service| service.up && service.enabled && !service.forced_down)
}

/// Whether its compute process must start anew: something was moved away and may still be there, or it was declared down,
/// or it does not report. After planned work it runs well, and nobody disturbs it.
fn may_hold_copies(seen: &Compute, host: &HostName) -> bool {
    let is_well = seen.services.get(host).is_some_and(|service| service.up && !service.forced_down);
    let is_clean = |stage| matches!(stage, MoveStage::Completed | MoveStage::Failed);
    !is_well || seen.evacuations.iter().any(|record| record.source == *host && !is_clean(record.stage))
}

async fn offer(
    context: &Context,
    site: &Site,
    typed: &Return,
    host: &HostName,
    seen: &Compute,
) -> Result<Offer, Failure> {
    let power_on = match site.seams.power.state(host).await {
        Ok(reading) => reading.state == PowerState::Off,
        Err(why) => {
            context
                .printer
                .note(&format!("nobody can tell whether {host} has power ({}): see to it", why.what));
            false
        }
    };
    let starts_anew = may_hold_copies(seen, host) && !typed.by_hand;
    let is_reached = site.cloud.cloud.nodes.contains_key(host);
    if !is_reached && starts_anew {
        return Err(Failure::usage(format!(
            "{host} is no node of this cloud's settings, so nothing restarts {} there",
            typed.unit
        ))
        .hint(format!("declare it below [clouds.{}.nodes.{host}]", site.cloud.cloud.name))
        .hint("or restart its compute process yourself and say `--by-hand`"));
    }
    let units: Vec<String> = if starts_anew { vec![typed.unit.clone()] } else { Vec::new() };
    let wish = Comeback { cloud: &site.cloud.cloud.name, host, units: &units, power_on, seen };
    let plan = comeback(&wish).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(offered(plan, host, seen))
}

/// Clears the host's flags, and takes back that somebody said it is off.
async fn cleared(site: &Site, registered: &Host, host: &HostName) -> Result<(), Failure> {
    let store = site.seams.store.as_ref();
    forget_word(store, host).await?;
    let change = HostChange {
        on_maintenance: Some(false),
        under_recovery: Some(false),
        quarantined: Some(false),
        ..HostChange::default()
    };
    match store.change_host(&registered.id, &change, site.now()).await? {
        Written::Done(_) => Ok(()),
        Written::Gone | Written::NameTaken => {
            Err(Failure::failed(format!("{host} is back, but registered no more: it is not protected")))
        }
    }
}
