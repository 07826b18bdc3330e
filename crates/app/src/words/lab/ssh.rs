//! `ostler lab ssh`: a shell on a node, or one command there.
//!
//! It becomes the ssh program, whose exit code is then that of the command.

use super::{Which, failure};
use crate::failure::{Exit, Failure};
use clap::Args;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Open a shell on a node, or run a command there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ostler lab ssh ctl1
  ostler lab ssh ctl1 -- systemctl --failed")]
pub struct Ssh {
    /// The node.
    node: String,
    #[command(flatten)]
    which: Which,
    /// The command, as root.
    #[arg(last = true)]
    command: Vec<String>,
}

pub(super) fn ssh(typed: Ssh) -> Result<Exit, Failure> {
    let words = typed.which.lab()?.ssh_argv(&typed.node, &typed.command).map_err(failure)?;
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::failed("the lab gave no command for ssh"));
    };
    // Returns only if it failed.
    let error = Command::new(program).args(arguments).exec();
    Err(Failure::failed(format!("{program} did not start: {error}"))
        .hint("install it: `apt-get install openssh-client`"))
}
