//! `ostler lab kill`, `revive`, `cut`, `mend`: power and network of one node.
//!
//! What they do is meant to hurt: it is how bad luck is tried.

use super::{Which, failure};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::Args;
use ostler_lab::check_can_run;

/// One node of a lab.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler lab kill ctl2")]
pub struct Node {
    /// The node.
    node: String,
    #[command(flatten)]
    which: Which,
}

/// Give a node its power back.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler lab revive ctl2 --wait")]
pub struct Revive {
    /// The node.
    node: String,
    /// Wait until its database, keystone and load balancer are back.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    which: Which,
}

pub(super) async fn kill(context: &Context, typed: Node) -> Result<Exit, Failure> {
    check_can_run().map_err(failure)?;
    typed.which.lab()?.kill(&typed.node).await.map_err(failure)?;
    context.printer.note(&format!("{} has no power", typed.node));
    Ok(Exit::Done)
}

pub(super) async fn revive(context: &Context, typed: Revive) -> Result<Exit, Failure> {
    check_can_run().map_err(failure)?;
    let lab = typed.which.lab()?;
    lab.revive(&typed.node).await.map_err(failure)?;
    context.printer.note(&format!("{} has power and answers ssh", typed.node));
    if typed.wait {
        lab.returned(&typed.node).await.map_err(failure)?;
        context.printer.note(&format!("the services of {} are back", typed.node));
    }
    Ok(Exit::Done)
}

pub(super) async fn cut(context: &Context, typed: Node) -> Result<Exit, Failure> {
    check_can_run().map_err(failure)?;
    typed.which.lab()?.cut(&typed.node).await.map_err(failure)?;
    context.printer.note(&format!("{} runs and hears nobody", typed.node));
    Ok(Exit::Done)
}

pub(super) async fn mend(context: &Context, typed: Node) -> Result<Exit, Failure> {
    check_can_run().map_err(failure)?;
    typed.which.lab()?.mend(&typed.node).await.map_err(failure)?;
    context.printer.note(&format!("{} has its network again", typed.node));
    Ok(Exit::Done)
}
