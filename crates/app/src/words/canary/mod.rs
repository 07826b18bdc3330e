//! `ostler canary`: does what a user would, and takes everything away again.
//!
//! What is made is written into the state before it is made, so that a sweep finds it whatever happens here.

mod history;
mod run;
mod sweep;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::Subcommand;

/// Try the cloud as a user would.
#[derive(Debug, Subcommand)]
pub enum Canary {
    /// Make things, use them, and take them away again.
    Run(run::Run),
    /// Show how earlier trials went, and how long stages took.
    History(history::History),
    /// Take away what trials have left behind that were broken off.
    Sweep(sweep::Sweep),
}

pub(super) async fn speak(context: &Context, verb: Canary) -> Result<Exit, Failure> {
    match verb {
        Canary::Run(typed) => run::run(context, typed).await,
        Canary::History(typed) => history::history(context, typed).await,
        Canary::Sweep(typed) => sweep::sweep(context, typed).await,
    }
}
