//! `ostler power state`: reads, and changes nothing.
//!
//! A machine about which nobody can tell is an error: a recovery would wait for it.

use super::{failed, machines, tell};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::Args;
use ostler_engine::seam::PowerState;
use ostler_model::ids::HostName;

/// Read whether a machine has power, or all of them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ostler power state cmp1
  ostler power state          every machine that is declared, one after the other")]
pub struct State {
    /// The machine; all that are declared, if none is named.
    host: Option<String>,
}

pub(super) async fn state(context: &Context, typed: State) -> Result<Exit, Failure> {
    let machines = machines(context).await?;
    let word = |state| if state == PowerState::On { "on" } else { "off" };
    if let Some(host) = typed.host.map(HostName::new) {
        let (state, proof) = machines.read(&host).await.map_err(failed)?;
        return tell(context, &host, word(state), &proof);
    }
    let hosts: Vec<HostName> = machines.hosts().cloned().collect();
    if hosts.is_empty() {
        return Err(Failure::usage("no machine's power is declared")
            .hint("declare it below `[clouds.….power]` in ostler.toml: docs/fencing.md"));
    }
    let mut exit = Exit::Done;
    for host in hosts {
        match machines.read(&host).await {
            Ok((state, proof)) => {
                tell(context, &host, word(state), &proof)?;
            }
            Err(refusal) => {
                exit = Exit::Errors;
                context.printer.failure(&failed(refusal));
            }
        }
    }
    Ok(exit)
}
