//! `ostler lab`: a real cloud on this machine, to try things on.
//!
//! Only words: making, unmaking and loading the cloud is the lab's own work.

mod load;
mod node;
mod ssh;
mod status;
mod up;

use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use clap::{Args, Subcommand};
pub(in crate::words) use load::failed_requests;
use ostler_lab::{Lab as Labs, LabError, LabPaths};
use std::path::PathBuf;

/// Where labs are kept.
const STATE: &str = "/var/lib/ostler/lab";

/// What all labs share: images and packages that were built.
const CACHE: &str = "/var/cache/ostler";

/// A real cloud on this machine, to try things on.
#[derive(Debug, Subcommand)]
pub enum Lab {
    /// Make the cloud and wait until it serves.
    Up(up::Up),
    /// Take the cloud down and leave nothing of it.
    Down(up::Down),
    /// Show its nodes and what answers on them.
    Status(status::Status),
    /// Open a shell on a node, or run a command there.
    Ssh(ssh::Ssh),
    /// Take a node's power away, as pulling the plug does.
    Kill(node::Node),
    /// Give a node its power back.
    Revive(node::Revive),
    /// Cut a node's network; it runs on and hears nobody.
    Cut(node::Node),
    /// Mend a node's network.
    Mend(node::Node),
    /// Show another release's packages to the nodes, building them first if need be.
    Publish(up::Publish),
    /// Take a release's packages away from the nodes, as when a mirror vanishes.
    Withdraw(up::Withdraw),
    /// Let real clients issue and validate tokens, and count what fails.
    Load(load::Load),
}

pub(super) async fn speak(context: &Context, verb: Lab) -> Result<Exit, Failure> {
    match verb {
        Lab::Up(typed) => up::up(context, typed).await,
        Lab::Down(typed) => up::down(context, typed).await,
        Lab::Publish(typed) => up::publish(context, typed).await,
        Lab::Withdraw(typed) => up::withdraw(context, typed).await,
        Lab::Status(typed) => status::status(context, typed).await,
        Lab::Ssh(typed) => ssh::ssh(typed),
        Lab::Kill(typed) => node::kill(context, typed).await,
        Lab::Revive(typed) => node::revive(context, typed).await,
        Lab::Cut(typed) => node::cut(context, typed).await,
        Lab::Mend(typed) => node::mend(context, typed).await,
        Lab::Load(typed) => load::load(context, typed).await,
    }
}

/// Which lab.
#[derive(Debug, Args)]
pub(in crate::words) struct Which {
    /// The lab's name.
    #[arg(long, default_value = "lab", value_name = "NAME")]
    name: String,
    /// Where the lab is kept (else /var/lib/ostler/lab/NAME).
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Where built images and packages are kept for all labs.
    #[arg(long, default_value = CACHE, value_name = "DIRECTORY")]
    cache: PathBuf,
}

impl Which {
    pub(in crate::words) fn lab(&self) -> Result<Labs, Failure> {
        let state = self.directory.clone().unwrap_or_else(|| PathBuf::from(STATE).join(&self.name));
        Labs::new(&self.name, LabPaths { state, cache: self.cache.clone() }).map_err(failure)
    }
}

/// A lab's error in the words and codes of the command line.
pub(in crate::words) fn failure(error: LabError) -> Failure {
    match error {
        LabError::CannotRun { why, todo } => {
            Failure::refused("this machine", format!("it cannot run a lab: {why}")).hint(todo)
        }
        LabError::Refused { what, todo } => Failure::usage(what).hint(todo),
        LabError::NoSuchLab { lab } => Failure::usage(format!("there is no lab `{lab}` here"))
            .hint("make one: `ostler lab up`")
            .hint("it may have another name: `--name NAME`"),
        LabError::AlreadyUp { lab } => Failure::usage(format!("lab `{lab}` is up already"))
            .hint("use it: `ostler lab status`")
            .hint("or take it down first: `ostler lab down`"),
        LabError::NoSuchNode { lab, node, nodes } => {
            Failure::usage(format!("lab `{lab}` has no node `{node}`")).hint(format!("its nodes are {nodes}"))
        }
        LabError::NodeIsOff { node } => Failure::new(Kind::Usage, format!("node `{node}` has no power"))
            .hint(format!("switch it on: `ostler lab revive {node}`")),
        other => Failure::failed(other.to_string()),
    }
}
