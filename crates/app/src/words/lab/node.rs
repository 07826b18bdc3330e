//! `ostler lab kill`, `revive`, `cut`, `mend`: power and network of one node.
//!
//! What they do is meant to hurt: it is how bad luck is tried.

use super::{Which, failure};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::{Args, ValueEnum};
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

/// Cut a node's networks, or one of them, or one direction.
#[derive(Debug, Args)]
#[command(after_help = "A node that is switched off and on has whole links again.

Examples:
  ostler lab cut cmp1
  ostler lab cut cmp1 --network storage
  ostler lab cut cmp1 --network management --one-way out")]
pub struct Cut {
    /// The node.
    node: String,
    /// The network; all that it has unless one is named.
    #[arg(long, value_name = "NETWORK")]
    network: Option<Network>,
    /// Only what comes in, or only what goes out.
    #[arg(long, value_name = "DIRECTION")]
    one_way: Option<Direction>,
    #[command(flatten)]
    which: Which,
}

/// Mend a node's networks.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler lab mend cmp1")]
pub struct Mend {
    /// The node.
    node: String,
    /// The network; all that it has unless one is named.
    #[arg(long, value_name = "NETWORK")]
    network: Option<Network>,
    #[command(flatten)]
    which: Which,
}

/// A network of a node.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Network {
    /// Where its services are reached.
    Management,
    /// Where it reaches its storage, in labs with nova.
    Storage,
}

impl From<Network> for ostler_lab::Network {
    fn from(network: Network) -> Self {
        match network {
            Network::Management => Self::Management,
            Network::Storage => Self::Storage,
        }
    }
}

/// A direction as the node sees it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Direction {
    /// The node hears nothing.
    In,
    /// Nobody hears the node.
    Out,
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

pub(super) async fn cut(context: &Context, typed: Cut) -> Result<Exit, Failure> {
    check_can_run().map_err(failure)?;
    let (what, words) = match typed.one_way {
        None => (ostler_lab::Cut::Whole, "runs and hears nobody"),
        Some(Direction::In) => (ostler_lab::Cut::In, "speaks and hears nobody"),
        Some(Direction::Out) => (ostler_lab::Cut::Out, "hears and is heard by nobody"),
    };
    let network = typed.network.map(Into::into);
    typed.which.lab()?.cut(&typed.node, network, what).await.map_err(failure)?;
    let place = match typed.network {
        None => "",
        Some(Network::Management) => " on the management network",
        Some(Network::Storage) => " on the storage network",
    };
    context.printer.note(&format!("{} {words}{place}", typed.node));
    Ok(Exit::Done)
}

pub(super) async fn mend(context: &Context, typed: Mend) -> Result<Exit, Failure> {
    check_can_run().map_err(failure)?;
    typed.which.lab()?.mend(&typed.node, typed.network.map(Into::into)).await.map_err(failure)?;
    context.printer.note(&format!("{} has its network again", typed.node));
    Ok(Exit::Done)
}
