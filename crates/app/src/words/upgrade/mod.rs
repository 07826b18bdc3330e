//! `ostler upgrade`: bring a service to another release.
//!
//! The plan is the engine's; here it is asked for, shown, approved and run.

mod plan;
mod run;

use crate::context::Context;
use crate::duration::Seconds;
use crate::failure::{Exit, Failure};
use crate::planning::{self, Ask};
use crate::settings::Canary;
use crate::wiring::Site;
use clap::{Args, Subcommand, ValueEnum};
use ostler_model::plan::Strategy;

/// Bring a service to another release.
#[derive(Debug, Subcommand)]
pub enum Upgrade {
    /// Look at the cloud and show what would be done; changes nothing.
    Plan(plan::Plan),
    /// Plan, have it approved, and do it.
    Run(run::Run),
}

pub(super) async fn speak(context: &Context, verb: Upgrade) -> Result<Exit, Failure> {
    match verb {
        Upgrade::Plan(typed) => plan::plan(context, typed).await,
        Upgrade::Run(typed) => run::run(context, typed).await,
    }
}

/// What is wanted.
#[derive(Debug, Args)]
struct Wanted {
    /// The release to go to, by series or name: 2025.1, epoxy.
    #[arg(long, value_name = "RELEASE")]
    to: Option<String>,
    /// The service to upgrade.
    #[arg(long, value_name = "SERVICE")]
    only: Option<String>,
    /// The way (else ostler.toml says, else the gentlest that is possible here is chosen).
    #[arg(long, value_enum, value_name = "STRATEGY")]
    strategy: Option<Way>,
    /// How long all must be quiet before what cannot be taken back: 30s, 10m (else ostler.toml says, else 10m).
    #[arg(long, value_name = "TIME")]
    soak: Option<Seconds>,
    /// After each change do not ask all servers again and again, nor read their logs, before the next one.
    #[arg(long)]
    no_function_check: bool,
    /// What a user does and is tried before the first change and before what cannot be taken back (else ostler.toml says,
    /// else basic); what the cloud does not have is skipped.
    #[arg(long, value_enum, value_name = "SUITE")]
    canary: Option<Canary>,
}

/// A strategy as typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    /// Node after node, while the others serve.
    ZeroDowntime,
    /// One short stop; one database member keeps the old data.
    MinimalDowntime,
    /// Stop everything, change everything, start everything.
    Offline,
}

impl From<Way> for Strategy {
    fn from(way: Way) -> Strategy {
        match way {
            Way::ZeroDowntime => Strategy::ZeroDowntime,
            Way::MinimalDowntime => Strategy::MinimalDowntime,
            Way::Offline => Strategy::Offline,
        }
    }
}

impl Wanted {
    fn ask(&self, site: &Site) -> Result<Ask, Failure> {
        let Some(to) = &self.to else {
            let known: Vec<String> = site.catalogue.releases.keys().map(ToString::to_string).collect();
            return Err(Failure::usage("it is not said where to")
                .hint(format!("name the release: `--to RELEASE`, one of {}", known.join(", "))));
        };
        Ok(Ask {
            service: planning::service(site, self.only.as_deref())?,
            to: planning::release(site, to)?,
            strategy: self.strategy.map(Strategy::from).or(site.cloud.strategy),
            soak_s: self.soak.map_or(site.cloud.soak_s, |soak| soak.0),
            function_check: site.cloud.function_check && !self.no_function_check,
            canary: self.canary.map_or(site.cloud.canary, Canary::suite),
        })
    }
}
