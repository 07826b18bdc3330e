//! `ostler power on`: gives a machine its power back.
//!
//! It does not bring its instances back: a host that was evacuated is returned by another word.

use super::{failed, machines, tell};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::Args;
use ostler_model::ids::HostName;

/// Switch a machine on.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler power on cmp1")]
pub struct On {
    /// The machine.
    host: String,
}

pub(super) async fn on(context: &Context, typed: On) -> Result<Exit, Failure> {
    let host = HostName::new(typed.host);
    let proof = machines(context).await?.on(&host).await.map_err(failed)?;
    tell(context, &host, "on", &proof)
}
