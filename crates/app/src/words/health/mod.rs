//! `ostler health`: what is wrong with the cloud, the root of trouble first, with evidence and the next command.
//!
//! It collects, remembers and prints; what is wrong is the engine's word over checks that are data.

mod collect;
mod looking;
mod mute;
mod outside;
mod show;
mod telling;
mod watch;

pub use looking::{Looking, judged_of, library};
pub use outside::metrics;
pub use show::known;
pub use telling::Receivers;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::{Args, Subcommand};

/// See what is wrong with the cloud, the root of trouble first.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit code 0: healthy; 3: warnings; 4: errors; 6: nothing wrong in what was seen, but not all was seen.

Examples:
  ostler health                              look, judge, tell
  ostler health detail --only HOST_DISK      every object of one code, with its evidence
  ostler health --nagios                     one line, exit code 0, 1, 2 or 3
  ostler health --prom /var/lib/node_exporter/ostler.prom
  ostler health collect --to tonight.json    keep what was seen, without secrets
  ostler health --from tonight.json          judge it elsewhere, or again"
)]
pub struct Health {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: show::Show,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// The same with every object, its evidence, and since when.
    Detail(show::Show),
    /// Do not tell of a code for a while.
    Mute(mute::Mute),
    /// Tell of it again.
    Unmute(mute::Unmute),
    /// Look again and again, and tell what changes.
    Watch(watch::Watch),
    /// Keep what is seen in a file, to be judged elsewhere.
    Collect(collect::Collect),
}

pub(super) async fn speak(context: &Context, typed: Health) -> Result<Exit, Failure> {
    match typed.verb {
        None => show::show(context, typed.show, false).await,
        Some(Verb::Detail(show)) => show::show(context, show, true).await,
        Some(Verb::Mute(typed)) => mute::mute(context, typed).await,
        Some(Verb::Unmute(typed)) => mute::unmute(context, typed).await,
        Some(Verb::Watch(typed)) => watch::watch(context, typed).await,
        Some(Verb::Collect(typed)) => collect::collect(context, typed).await,
    }
}
