//! `ostler cloud`: see what is there.
//!
//! Nothing here changes the cloud.

mod check;
mod scan;
mod show;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::Subcommand;

/// See what is there.
#[derive(Debug, Subcommand)]
pub enum Cloud {
    /// Look at every node anew, and remember what was seen.
    Scan(scan::Scan),
    /// Show what was seen last, with its age.
    Show(show::Show),
    /// Look anew and judge: what is wrong, where, and what to do.
    Check(check::Check),
}

pub(super) async fn speak(context: &Context, verb: Cloud) -> Result<Exit, Failure> {
    match verb {
        Cloud::Scan(typed) => scan::scan(context, typed).await,
        Cloud::Show(typed) => show::show(context, typed).await,
        Cloud::Check(typed) => check::check(context, typed).await,
    }
}
