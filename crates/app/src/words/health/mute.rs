//! `ostler health mute` and `unmute`: what nobody wants to be told of for a while.
//!
//! A mute always has an end, and ends by itself when more objects are affected or all are well.

use super::looking::{keep_mutes, library, mutes};
use super::show::known;
use crate::context::Context;
use crate::duration::Seconds;
use crate::failure::{Exit, Failure};
use crate::view::local;
use clap::Args;
use ostler_engine::health;
use ostler_model::Timestamp;
use ostler_model::event::Actor;
use serde_json::json;

/// Do not tell of a code for a while.
#[derive(Debug, Args)]
#[command(
    after_help = "A mute ends by itself when more objects are affected than at the last look, or when all are well; with --sticky
only at its end. What is muted stays in the report, marked, and out of the exit code.

Examples:
  ostler health mute HOST_DISK --ttl 4h --because 'new disks come at noon'
  ostler health mute SERVER_ERROR --object 7d1c… --ttl 2d
  ostler health mute                            what is muted now"
)]
pub struct Mute {
    /// The code; none: show what is muted.
    code: Option<String>,
    /// Only this object of it.
    #[arg(long, value_name = "OBJECT", requires = "code")]
    object: Option<String>,
    /// For how long: `90m`, `4h`, `2d`; at most a week.
    #[arg(long, value_name = "TIME", default_value = "4h")]
    ttl: Seconds,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Keep it muted also when it spreads.
    #[arg(long)]
    sticky: bool,
}

/// Tell of a code again.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler health unmute HOST_DISK")]
pub struct Unmute {
    /// The code.
    code: String,
    /// Only this object of it.
    #[arg(long, value_name = "OBJECT")]
    object: Option<String>,
}

pub(super) async fn mute(context: &Context, typed: Mute) -> Result<Exit, Failure> {
    let cloud = context.cloud()?.cloud.name.clone();
    let store = context.store().await?;
    let mut all = mutes(store.as_ref(), &cloud).await?;
    let now = context.clock().now();
    let Some(code) = typed.code else {
        all.mutes.retain(|one| one.until > now);
        if context.printer.is_json() {
            context.printer.json(&all.mutes)?;
        } else if all.mutes.is_empty() {
            context.printer.note("nothing is muted");
        } else {
            for one in &all.mutes {
                let object = one.object.as_ref().map(|object| format!(" {object}")).unwrap_or_default();
                let why = one.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                context.printer.text(&format!(
                    "{}{object} until {} by {}{why}",
                    one.code,
                    local(one.until),
                    one.who
                ))?;
            }
        }
        return Ok(Exit::Done);
    };
    known(&library(context)?, &code)?;
    let until = Timestamp::from_second(now.as_second() + i64::from(typed.ttl.0))
        .map_err(|error| Failure::usage(error.to_string()))?;
    let objects = affected(context, &cloud, &code).await?;
    let who = match context.person() {
        Actor::Person(name) => name,
        other => format!("{other:?}"),
    };
    let one = ostler_model::health::Mute {
        code: code.clone(),
        object: typed.object,
        until,
        since: now,
        who,
        why: typed.because,
        objects,
        is_sticky: typed.sticky,
    };
    health::mute(&mut all, one).map_err(Failure::usage)?;
    keep_mutes(store.as_ref(), &cloud, &all).await?;
    if context.printer.is_json() {
        context.printer.json(&json!({ "muted": code, "until": until }))?;
    } else {
        context.printer.note(&format!("{code} is muted until {}", local(until)));
    }
    Ok(Exit::Done)
}

/// How many objects a code affected at the last look; none: as many as there will be at the next.
async fn affected(context: &Context, cloud: &str, code: &str) -> Result<usize, Failure> {
    let memory = super::looking::memory(context.store().await?.as_ref(), cloud).await?;
    let raised =
        memory.conditions.get(code).map(|objects| objects.values().filter(|one| one.is_raised).count());
    Ok(raised.unwrap_or(usize::MAX))
}

pub(super) async fn unmute(context: &Context, typed: Unmute) -> Result<Exit, Failure> {
    let cloud = context.cloud()?.cloud.name.clone();
    let store = context.store().await?;
    let mut all = mutes(store.as_ref(), &cloud).await?;
    if !health::unmute(&mut all, &typed.code, typed.object.as_deref()) {
        return Err(
            Failure::usage(format!("{} is not muted", typed.code)).hint("see what is: `ostler health mute`")
        );
    }
    keep_mutes(store.as_ref(), &cloud, &all).await?;
    context.printer.note(&format!("{} is told of again", typed.code));
    Ok(Exit::Done)
}
