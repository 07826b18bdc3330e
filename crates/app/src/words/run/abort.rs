//! `ostler run abort`: gives a run up; what was done stays done.
//!
//! It says plainly in which state each node is left.

use super::{named, say};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::run as view;
use clap::Args;
use ostler_engine::run::load;
use ostler_model::event::Event;
use serde_json::json;

/// Give a run up; what was done stays done.
#[derive(Debug, Args)]
#[command(after_help = "Nothing is taken back: for that, `ostler run rollback`.

Example:
  ostler run abort last --because 'finished by hand'")]
pub struct Abort {
    /// The run: its name, the beginning or end of it, or `last`.
    run: String,
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// Only say in which state the nodes would be left.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn abort(context: &Context, typed: Abort) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let id = named(store.as_ref(), &typed.run).await?;
    let run = load(store.as_ref(), &id).await?;
    say(context, &id, Event::Abandoned { who: context.person(), why: typed.because }, typed.dry_run).await?;
    let left = view::left_behind(&run);
    if context.printer.is_json() {
        context.printer.json(&json!({ "run": id, "dry_run": typed.dry_run, "left": left }))?;
        return Ok(Exit::Done);
    }
    let mut text = match typed.dry_run {
        true => format!("run {id} would be given up; it would leave\n"),
        false => format!("run {id} is given up; nothing of it goes on or is taken back; it leaves\n"),
    };
    left.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    text.push_str("see what that means: `ostler cloud check`\n");
    context.printer.text(&text)?;
    Ok(Exit::Done)
}
