//! `ostler run pause`: lets a run begin nothing more until it is resumed.
//!
//! It is a word in the journal; what is under way is brought to its end by whoever drives the run.

use super::{named, say};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::Args;
use ostler_engine::run::{RunState, load};
use ostler_model::event::{Event, Why};

/// Let a run begin nothing more until it is resumed.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler run pause last --because 'a customer calls'")]
pub struct Pause {
    /// The run: its name, the beginning or end of it, or `last`.
    run: String,
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT", default_value = "a person wants it")]
    because: String,
    /// Only say whether it could be paused.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn pause(context: &Context, typed: Pause) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let id = named(store.as_ref(), &typed.run).await?;
    if let RunState::Paused { who, why } = load(store.as_ref(), &id).await?.state {
        return Err(Failure::usage(format!("run {id} is paused already, by {who}: {}", why.what))
            .hint(format!("go on with: `ostler run resume {id}`")));
    }
    let event = Event::Paused { who: context.person(), why: Why::new(typed.because) };
    say(context, &id, event, typed.dry_run).await?;
    let would = if typed.dry_run {
        "would be paused"
    } else {
        "is paused: what is under way is finished, nothing new begins"
    };
    context.printer.note(&format!("run {id} {would}"));
    context.printer.note(&format!("go on with: `ostler run resume {id}`"));
    Ok(Exit::Done)
}
