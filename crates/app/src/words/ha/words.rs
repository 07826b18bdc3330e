//! `ostler ha retry|cancel|acknowledge|release`: what a person says of an incident.
//!
//! Each is kept with who said it and when; servers act by it within seconds.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::instance_ha::{fresh, incident_named, word};
use clap::Args;
use ostler_engine::ha::{Answered, Saying, report_again, say};
use ostler_model::ha::Incident;
use serde_json::json;

/// Have an incident tried again: what is left of an open one, or what a closed one was about.
#[derive(Debug, Args)]
#[command(
    after_help = "An open incident gets another set of rounds, and goes on if a person had stopped it. For a closed one the
same is reported once more.

Example:
  ostler ha retry 1f2e3d4c"
)]
pub struct Retry {
    /// The incident: its name or the beginning of it, its host (the newest one), or `last`.
    incident: String,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", default_value = "")]
    because: String,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// Stop an incident: what is under way is finished, nothing more is moved.
#[derive(Debug, Args)]
#[command(
    after_help = "Instances that have moved become as they were, locks are opened, reserved hosts go back; the host stays off
and disabled until `ostler ha return`.

Example:
  ostler ha cancel 1f2e3d4c --because 'the rack is up again'"
)]
pub struct Cancel {
    /// The incident: its name or the beginning of it, its host (the newest one), or `last`.
    incident: String,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// Leave what is not back as it is, and close the incident.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler ha acknowledge 1f2e3d4c --because 'the owner rebuilds db-7'")]
pub struct Acknowledge {
    /// The incident: its name or the beginning of it, its host (the newest one), or `last`.
    incident: String,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// Let a host be fenced although the storm guard holds it.
#[derive(Debug, Args)]
#[command(
    after_help = "The guard holds recoveries back when so many hosts are silent that the trouble is likely our own. Look first.

Example:
  ostler ha release 1f2e3d4c --because 'the rack has burnt, I have seen it'"
)]
pub struct Release {
    /// The incident: its name or the beginning of it, its host (the newest one), or `last`.
    incident: String,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn retry(context: &Context, typed: Retry) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let incident = incident_named(store.as_ref(), &typed.incident).await?;
    if incident.closed.is_none() {
        return said(context, incident, Saying::Retry, &typed.because, typed.dry_run).await;
    }
    if typed.dry_run {
        return told(context, &incident, &incident, "would be reported once more", true);
    }
    let word = word(context, &typed.because);
    let answered = report_again(store.as_ref(), &incident, fresh(), &word).await?;
    let open = store.incident(answered.incident()).await?.unwrap_or_else(|| incident.clone());
    let what = match answered {
        Answered::Opened(_) => "is reported once more, and worked on as",
        Answered::Joined(_) => "is being taken care of already, as",
    };
    told(context, &incident, &open, what, false)
}

pub(super) async fn cancel(context: &Context, typed: Cancel) -> Result<Exit, Failure> {
    let incident = incident_named(context.store().await?.as_ref(), &typed.incident).await?;
    said(context, incident, Saying::Cancel, &typed.because, typed.dry_run).await
}

pub(super) async fn acknowledge(context: &Context, typed: Acknowledge) -> Result<Exit, Failure> {
    let incident = incident_named(context.store().await?.as_ref(), &typed.incident).await?;
    said(context, incident, Saying::Acknowledge, &typed.because, typed.dry_run).await
}

pub(super) async fn release(context: &Context, typed: Release) -> Result<Exit, Failure> {
    let incident = incident_named(context.store().await?.as_ref(), &typed.incident).await?;
    said(context, incident, Saying::Release, &typed.because, typed.dry_run).await
}

async fn said(
    context: &Context,
    incident: Incident,
    saying: Saying,
    because: &str,
    dry_run: bool,
) -> Result<Exit, Failure> {
    let (does, would) = match saying {
        Saying::Retry => ("is tried again", "would be tried again"),
        Saying::Cancel => ("goes no further: what is under way is finished", "would go no further"),
        Saying::Acknowledge => {
            ("is closed: what is not back stays as it is", "would be closed; what is not back stays as it is")
        }
        Saying::Release => ("is released from the storm guard", "would be released from the storm guard"),
        Saying::IsOff => ("counts as off", "would count as off"),
    };
    if dry_run {
        return told(context, &incident, &incident, would, true);
    }
    let store = context.store().await?;
    let word = word(context, because);
    let now = say(store.as_ref(), context.clock(), &incident.id, saying, &word).await?;
    told(context, &incident, &now, does, false)
}

fn told(
    context: &Context,
    of: &Incident,
    now: &Incident,
    what: &str,
    dry_run: bool,
) -> Result<Exit, Failure> {
    if context.printer.is_json() {
        context.printer.json(&json!({
            "incident": of.id, "now": now.id, "stage": now.stage, "closed": now.closed, "dry_run": dry_run,
        }))?;
        return Ok(Exit::Done);
    }
    let other = if of.id == now.id { String::new() } else { format!(" {}", now.id) };
    context.printer.text(&format!(
        "incident {} {what}{other}\n  see how it goes: `ostler ha show {}`\n",
        of.id, now.id
    ))?;
    Ok(Exit::Done)
}
