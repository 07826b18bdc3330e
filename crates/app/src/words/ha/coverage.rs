//! `ostler ha coverage`: which hosts and instances are protected, and why others are not.
//!
//! It asks Nova and Placement, and the code that a recovery asks. It changes nothing.

use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use crate::instance_ha::{Registered, policy, shown};
use crate::view::foresight as view;
use crate::wiring::Site;
use clap::Args;
use ostler_engine::ha::{Ahead, Foresight};
use ostler_model::compute::{Compute, Scope};
use ostler_model::ids::HostName;

/// Hosts whose instances are looked at in one go: an answer that has not come yet is not held in memory with all others.
const HOSTS_AT_ONCE: usize = 50;

/// Which hosts and instances are protected, and why others are not.
#[derive(Debug, Args)]
#[command(
    after_help = "Each host is taken as the only one that fails. Ends with 0 when everything would come back, 3 when some
instances would not, 4 when a host with instances is not protected at all.

Examples:
  ostler ha coverage
  ostler ha coverage --instances
  ostler ha coverage --format json"
)]
pub struct Coverage {
    /// List every instance, not only those that are not protected.
    #[arg(long)]
    instances: bool,
}

pub(super) async fn coverage(context: &Context, typed: Coverage) -> Result<Exit, Failure> {
    let site = Site::open(context).await?;
    let registered = Registered::read(site.seams.store.as_ref()).await?;
    let services = look(&site, &Scope::default()).await?;
    let known = registered.hosts.iter().map(|host| HostName::new(host.name.as_str()));
    let mut hosts: Vec<HostName> = services.services.keys().cloned().chain(known).collect();
    hosts.sort();
    hosts.dedup();
    let found = ahead(context, &site, &registered, &hosts).await?;
    if context.printer.is_json() {
        context.printer.json(&view::coverage_json(&found))?;
    } else {
        context.printer.text(&view::coverage(&context.printer, &found, typed.instances))?;
    }
    Ok(view::exit(&found))
}

/// What would become of the instances of each of these hosts, if it alone failed now.
pub(super) async fn ahead(
    context: &Context,
    site: &Site,
    registered: &Registered,
    hosts: &[HostName],
) -> Result<Vec<Foresight>, Failure> {
    let (policy, power) = (policy(context), shown(&site.cloud.power));
    let mut found = Vec::with_capacity(hosts.len());
    let mut rest: Option<Compute> = None;
    for some in hosts.chunks(HOSTS_AT_ONCE) {
        // Room and aggregates are asked for once; instances host by host.
        let scope = Scope { on: some.to_vec(), those: Vec::new(), room: rest.is_none() };
        let mut seen = look(site, &scope).await?;
        match &rest {
            None => rest = Some(Compute { instances: Default::default(), ..seen.clone() }),
            Some(first) => {
                (seen.room, seen.aggregates) = (first.room.clone(), first.aggregates.clone());
            }
        }
        let ahead = Ahead {
            cloud: &site.cloud.cloud.name,
            policy: &policy,
            segments: &registered.segments,
            hosts: &registered.hosts,
            power: &power,
            seen: &seen,
        };
        for host in some {
            let foresight = ostler_engine::ha::foresee(&ahead, host);
            found.push(foresight.map_err(|error| Failure::failed(error.to_string()))?);
        }
    }
    Ok(found)
}

/// Looks at the compute side.
pub(super) async fn look(site: &Site, scope: &Scope) -> Result<Compute, Failure> {
    site.credentials.clone()?;
    site.seams.cloud.look(scope).await.map_err(|why| Failure::because(Kind::Failed, &why))
}
