//! `ostler ha simulate`: what would come back if a host failed now, where to, what would not, and why.
//!
//! It asks Nova and Placement, and the code that a recovery asks. It changes nothing.

use super::coverage::{ahead, look};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::instance_ha::Registered;
use crate::settings::closest;
use crate::view::foresight as view;
use crate::wiring::Site;
use clap::Args;
use ostler_model::compute::Scope;
use ostler_model::ids::HostName;

/// What would come back if a host failed now, where to, and what would not.
#[derive(Debug, Args)]
#[command(
    after_help = "Ends with 0 when everything would come back, 3 when something would not, 4 when nothing would.

Example:
  ostler ha simulate cmp3"
)]
pub struct Simulate {
    /// The host, by the name of its compute service.
    host: String,
}

pub(super) async fn simulate(context: &Context, typed: Simulate) -> Result<Exit, Failure> {
    let site = Site::open(context).await?;
    let registered = Registered::read(site.seams.store.as_ref()).await?;
    let services = look(&site, &Scope::default()).await?.services;
    let host = HostName::new(typed.host.as_str());
    let is_known = services.contains_key(&host)
        || registered.hosts.iter().any(|registered| registered.name == typed.host);
    if !is_known {
        let failure = Failure::usage(format!("neither Nova nor a segment knows a host `{host}`"));
        let meant = closest(&typed.host, services.keys().map(HostName::as_str));
        return Err(failure.maybe_hint(meant.map(|name| format!("did you mean `{name}`?"))));
    }
    let found = ahead(context, &site, &registered, std::slice::from_ref(&host)).await?;
    for foresight in &found {
        if context.printer.is_json() {
            context.printer.json(foresight)?;
        } else {
            context.printer.text(&view::one(&context.printer, foresight))?;
        }
    }
    Ok(view::exit(&found))
}
