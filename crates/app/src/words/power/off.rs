//! `ostler power off`: switches a machine off as a recovery would, and shows the proof.
//!
//! It switches nothing without `--yes`: what runs there dies.

use super::{failed, machines, tell};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::Args;
use ostler_model::ids::HostName;

/// Switch a machine off and read back that it is.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler power off cmp1 --yes")]
pub struct Off {
    /// The machine.
    host: String,
    /// Really: everything that runs there dies.
    #[arg(long)]
    yes: bool,
    /// Only read its power, by the means that would switch it.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

pub(super) async fn off(context: &Context, typed: Off) -> Result<Exit, Failure> {
    let machines = machines(context).await?;
    let host = HostName::new(typed.host);
    if let Some(reason) = machines.forbidden(&host) {
        let what = format!("{host} is not to be switched off by a program: {reason}");
        return Err(
            Failure::refused("do-not-fence", what).hint("switch it off by hand, where you can see it")
        );
    }
    if typed.dry_run {
        let (_, proof) = machines.read(&host).await.map_err(failed)?;
        context
            .printer
            .note(&format!("{host} would be switched off, by `{}`, which says: {}", proof.means, proof.what));
        return Ok(Exit::Done);
    }
    if !typed.yes {
        return Err(Failure::refused(
            "yes",
            format!("{host} would be switched off, and everything that runs there would die"),
        )
        .hint(format!("if that is what you want: `ostler power off {host} --yes`"))
        .hint(format!("to see whether it could be: `ostler power off {host} --dry-run`")));
    }
    let proof = machines.off(&host).await.map_err(failed)?;
    tell(context, &host, "off", &proof)
}
