//! `ostler ha pause|resume`: the switch of a segment.
//!
//! Off, nothing begins any more in it, also not of what is under way. It is the flag that the Masakari API calls `enabled`.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::instance_ha::{Registered, segment_named, word};
use clap::Args;
use ostler_engine::ha::switch;
use ostler_model::Timestamp;
use ostler_model::ha::{Segment, Stage};
use serde_json::json;

/// Closed incidents that are looked through for such as were dismissed while the switch was off.
const LOOK_BACK: u32 = 500;

/// Switch instance HA off for a segment, at once.
#[derive(Debug, Args)]
#[command(
    after_help = "What is under way is finished, nothing new begins; what is reported meanwhile is dismissed and shown by
`ostler ha resume`.

Example:
  ostler ha pause rack-a --because 'the switch is being replaced'"
)]
pub struct Pause {
    /// The segment, by name.
    segment: String,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// Switch it on again.
#[derive(Debug, Args)]
#[command(after_help = "Recoveries that were stopped go on. What was dismissed meanwhile is named.

Example:
  ostler ha resume rack-a")]
pub struct Resume {
    /// The segment, by name.
    segment: String,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn pause(context: &Context, typed: Pause) -> Result<Exit, Failure> {
    let segment = segment_named(context.store().await?.as_ref(), &typed.segment).await?;
    if !segment.enabled {
        return Err(nothing(&segment, "off"));
    }
    let does = "instance HA is off: what is under way is finished, nothing new begins";
    thrown(context, segment, false, &typed.because, typed.dry_run, does).await
}

pub(super) async fn resume(context: &Context, typed: Resume) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let segment = segment_named(store.as_ref(), &typed.segment).await?;
    if segment.enabled {
        return Err(nothing(&segment, "on"));
    }
    let since = segment.updated.unwrap_or(segment.created);
    let done = thrown(context, segment.clone(), true, "", typed.dry_run, "instance HA is on").await?;
    if !context.printer.is_json() {
        dismissed(context, &segment, since).await?;
    }
    Ok(done)
}

fn nothing(segment: &Segment, word: &str) -> Failure {
    Failure::new(
        crate::failure::Kind::Nothing,
        format!("instance HA is {word} for the segment {} already", segment.name),
    )
}

async fn thrown(
    context: &Context,
    segment: Segment,
    on: bool,
    because: &str,
    dry_run: bool,
    does: &str,
) -> Result<Exit, Failure> {
    let store = context.store().await?;
    if !dry_run {
        let word = word(context, because);
        let found = switch(store.as_ref(), &segment, on, &word).await?;
        found
            .ok_or_else(|| Failure::failed(format!("the segment {} was deleted meanwhile", segment.name)))?;
    }
    if context.printer.is_json() {
        context.printer.json(&json!({
            "segment": segment.id, "name": segment.name, "enabled": on, "dry_run": dry_run,
        }))?;
    } else {
        let would = if dry_run { "; this is what would be so" } else { "" };
        context.printer.text(&format!("segment {}: {does}{would}\n", segment.name))?;
    }
    Ok(Exit::Done)
}

/// Names what was dismissed while the switch was off: nobody else remembers it.
async fn dismissed(context: &Context, segment: &Segment, since: Timestamp) -> Result<(), Failure> {
    let store = context.store().await?;
    let registered = Registered::read(store.as_ref()).await?;
    let all = store.incidents(LOOK_BACK).await?;
    let meanwhile = all.iter().filter(|incident| {
        incident.segment.as_ref() == Some(&segment.id)
            && incident.stage == Stage::Dismissed
            && incident.closed.is_some_and(|closed| closed >= since)
    });
    for incident in meanwhile {
        context.printer.text(&format!(
            "  {} was reported meanwhile and dismissed; to have it recovered: `ostler ha retry {}`\n",
            registered.about(incident),
            incident.id
        ))?;
    }
    Ok(())
}
