//! `ostler logs`: reads logs across services and hosts.
//!
//! Where logs are, what is asked of them, and pages for a person. How lines are read is the crate `logs`'s; nothing here may
//! know what a line looks like.

mod debug;
mod errors;
mod gate;
mod merge;
pub(super) mod moment;
mod place;
mod rate;
mod tail;
mod trace;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::Subcommand;
use ostler_logs::place::Unread;

/// Read logs across services and hosts.
#[derive(Debug, Subcommand)]
pub enum Logs {
    /// Group errors by what they have in common: how often, where, since when, and what is known of the cause.
    Errors(errors::Errors),
    /// Follow one server, request, port or volume through every service.
    Trace(trace::Trace),
    /// Print many logs as one, in true order of time.
    Merge(merge::Merge),
    /// Say whether errors appeared that were not there before a moment.
    Gate(gate::Gate),
    /// Count requests by service, route and status, and how long they took.
    Rate(rate::Rate),
    /// Follow logs as they grow.
    Tail(tail::Tail),
    /// Have a service log debug messages for a while.
    #[command(subcommand, arg_required_else_help = true)]
    Debug(debug::Debug),
}

pub(super) async fn speak(context: &Context, verb: Logs) -> Result<Exit, Failure> {
    match verb {
        Logs::Errors(typed) => errors::errors(context, typed).await,
        Logs::Trace(typed) => trace::trace(context, typed).await,
        Logs::Merge(typed) => merge::merge(context, typed).await,
        Logs::Gate(typed) => gate::gate(context, typed).await,
        Logs::Rate(typed) => rate::rate(context, typed).await,
        Logs::Tail(typed) => tail::tail(context, typed).await,
        Logs::Debug(verb) => debug::debug(context, verb).await,
    }
}

/// Does work that reads much beside the one thread of the program, so that an interruption is heard.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::failed(format!("reading broke off: {error}")))
}

/// Says what was not read. Text: beside the answer, so that a pipe gets only the answer.
fn say_unread(context: &Context, unread: &[Unread]) {
    const SHOWN_MAX: usize = 20;
    if unread.is_empty() {
        return;
    }
    context.printer.note(&format!("not read, or not wholly: {}", unread.len()));
    for one in unread.iter().take(SHOWN_MAX) {
        context.printer.note(&format!("  {}: {}", one.what, one.why));
    }
    if unread.len() > SHOWN_MAX {
        context
            .printer
            .note(&format!("  … and {} more; `--format json` has them all", unread.len() - SHOWN_MAX));
    }
}

/// The exit code: an answer that is not whole says so before what it found.
fn exit(unread: &[Unread], found: Exit) -> Exit {
    if unread.is_empty() { found } else { Exit::Partly }
}

/// Bytes for a person.
fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
