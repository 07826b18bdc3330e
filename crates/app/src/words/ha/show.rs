//! `ostler ha show`: the course of one incident, with how long each part of it took, and each instance.
//!
//! It looks at nothing but the register and the journals.

use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use crate::instance_ha::{Registered, incident_named, policy, runs_of};
use crate::view::incident::{self as view, Told};
use clap::Args;
use ostler_engine::ha::{stands, tale};
use ostler_model::ha::Named;

/// The course of one incident: how long what took, and each instance.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ostler ha show last
  ostler ha show cmp3
  ostler ha show 1f2e3d4c --format json")]
pub struct Show {
    /// The incident: its name or the beginning of it, its host (the newest one), or `last`.
    incident: String,
}

pub(super) async fn show(context: &Context, typed: Show) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let mut incident = incident_named(store.as_ref(), &typed.incident).await?;
    let registered = Registered::read(store.as_ref()).await?;
    let host = registered.host_name(&incident);
    let opener = store.notification(&Named::Id(incident.notification.to_string())).await?;
    let runs = runs_of(store.as_ref(), &incident).await;
    (incident.stage, incident.why) = stands(&incident, &runs);
    let policy = policy(context);
    let tale = tale(&incident, opener.as_ref(), &host, &runs, &policy)
        .map_err(|why| Failure::because(Kind::Failed, &why))?;
    let joined = store.joined(&incident.id).await?;
    let told =
        Told { registered: &registered, incident: &incident, tale: &tale, runs: &runs, joined: &joined };
    if context.printer.is_json() {
        context.printer.json(&view::course_json(&told, context.clock().now()))?;
    } else {
        context.printer.text(&view::course(&context.printer, &told, context.clock().now()))?;
    }
    Ok(Exit::Done)
}
