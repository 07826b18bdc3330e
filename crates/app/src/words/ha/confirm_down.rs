//! `ostler ha confirm-down`: a person says that a host is off.
//!
//! It stands for the proof that a power controller would give, so it is asked for twice and kept with who gave it and when.

use crate::approval;
use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use crate::instance_ha::{fresh, host_named, word};
use clap::Args;
use ostler_engine::ha::vouch;
use serde_json::json;

/// Say that a host is off: you have looked at it.
#[derive(Debug, Args)]
#[command(
    after_help = "Its instances are started elsewhere because of it. If the host still runs, they run twice and destroy their
disks. The word is good for an hour, and until `ostler ha return`.

Example:
  ostler ha confirm-down cmp3 --because 'I have pulled its plugs'"
)]
pub struct ConfirmDown {
    /// The host.
    host: String,
    /// How you know, for the record.
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn confirm_down(context: &Context, typed: ConfirmDown) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let host = host_named(store.as_ref(), &typed.host).await?;
    if host.on_maintenance {
        return Err(Failure::refused("maintenance", format!("{} is in maintenance", host.name)).hint(
            "nothing is recovered from it; to change that: `openstack segment host update --on_maintenance False`",
        ));
    }
    if typed.dry_run {
        context.printer.note(&format!(
            "{} would count as off by your word, and its instances would be started elsewhere",
            host.name
        ));
        return Ok(Exit::Done);
    }
    let question =
        format!("{} is off, and stays off: its instances are started elsewhere now. Is that so?", host.name);
    if approval::at_gate(context, &question, typed.yes).await != Some(true) {
        return Err(Failure::new(
            Kind::Waiting,
            format!("{} was not confirmed; nothing was changed", host.name),
        )
        .hint(format!("if it is off: `ostler ha confirm-down {} --because TEXT --yes`", host.name)));
    }
    let word = word(context, &typed.because);
    let answered = vouch(store.as_ref(), context.clock(), &host, fresh(), &word).await?;
    let incident = answered.incident();
    if context.printer.is_json() {
        context.printer.json(&json!({ "host": host.name, "incident": incident, "word": word }))?;
    } else {
        context.printer.text(&format!(
            "{} counts as off by the word of {}\n  see how it goes: `ostler ha show {incident}`\n",
            host.name, word.who
        ))?;
    }
    Ok(Exit::Done)
}
