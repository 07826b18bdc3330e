//! `ostler logs debug`: debug logging of a service on a node, for a while, with an end that comes by itself.
//!
//! Nothing is restarted without `--restart`, and nothing is switched on that the node would not switch off again alone.

use crate::context::Context;
use crate::duration::Seconds;
use crate::failure::{Exit, Failure};
use crate::view::table;
use clap::{Args, Subcommand};
use ostler_model::cloud::Cloud;
use ostler_model::ids::HostName;
use ostler_world::instrument::{
    DEBUG_S_MAX, DebugError, DebugLease, debug_off, debug_on, debug_status, hears_signal,
};
use ostler_world::node::{Connections, SshAccess};
use serde_json::json;

/// Switch debug logging on for a while.
#[derive(Debug, Subcommand)]
pub enum Debug {
    /// Switch it on; it ends by itself.
    On(On),
    /// Switch it off now.
    Off(Off),
    /// See where it is on, and until when.
    Status,
}

/// Switch debug logging of a service on.
#[derive(Debug, Args)]
#[command(
    after_help = "A timer on the node takes it back, also when Ostler or this machine is gone and when the node was restarted.

Examples:
  ostler logs debug on nova-compute --node cmp1 --for 15m
  ostler logs debug on keystone --node ctl1 --restart      a service that has to be restarted for it, now and at the end"
)]
pub struct On {
    /// The service: its unit on the node.
    service: String,
    /// The node.
    #[arg(long, value_name = "HOST")]
    node: String,
    /// How long.
    #[arg(long = "for", value_name = "TIME", default_value = "15m")]
    lasts: Seconds,
    /// Restart the service if it does not read its configuration anew otherwise; and again at the end.
    #[arg(long)]
    restart: bool,
    /// Say what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// Switch debug logging of a service off now.
#[derive(Debug, Args)]
pub struct Off {
    /// The service.
    service: String,
    /// The node.
    #[arg(long, value_name = "HOST")]
    node: String,
}

pub(super) async fn debug(context: &Context, verb: Debug) -> Result<Exit, Failure> {
    if context.given().is_some() {
        return Err(Failure::usage("the services of a pretended cloud write no logs"));
    }
    let settings = context.cloud()?;
    let access = SshAccess {
        user: settings.ssh_user.clone(),
        key: settings.ssh_key.clone(),
        known_hosts: settings.known_hosts.clone(),
    };
    let nodes = Connections::new(&settings.cloud, access);
    match verb {
        Debug::On(typed) => on(context, &settings.cloud, &nodes, typed).await,
        Debug::Off(typed) => {
            let host = known(&settings.cloud, &typed.node)?;
            let lease = debug_off(&nodes, &host, unit(&typed.service)).await.map_err(failure)?;
            tell(context, &lease, "debug logging is off again", json!(null))
        }
        Debug::Status => status(context, &settings.cloud, &nodes).await,
    }
}

/// A unit as one types it.
fn unit(service: &str) -> &str {
    service.strip_suffix(".service").unwrap_or(service)
}

fn known(cloud: &Cloud, name: &str) -> Result<HostName, Failure> {
    let host = HostName::new(name);
    if cloud.nodes.contains_key(&host) {
        return Ok(host);
    }
    let nodes: Vec<&str> = cloud.nodes.keys().map(HostName::as_str).collect();
    Err(Failure::usage(format!("the cloud {} has no node `{name}`", cloud.name))
        .hint(format!("its nodes: {}", nodes.join(", "))))
}

fn failure(error: DebugError) -> Failure {
    match error {
        DebugError::Refused { guard, what } => Failure::refused(&guard, what),
        DebugError::Failed(why) => Failure::failed(why.what).maybe_hint(why.hint),
    }
}

async fn on(context: &Context, cloud: &Cloud, nodes: &Connections, typed: On) -> Result<Exit, Failure> {
    let host = known(cloud, &typed.node)?;
    let unit = unit(&typed.service);
    let seconds = typed.lasts.0;
    if seconds == 0 || seconds > DEBUG_S_MAX {
        return Err(Failure::usage(format!("debug logging for {seconds} s is not possible"))
            .hint(format!("up to `--for {}h`", DEBUG_S_MAX / 3_600)));
    }
    let by_restart = !hears_signal(unit);
    if by_restart && !typed.restart {
        let what = format!(
            "{unit} does not read its configuration anew while it runs: it would have to be restarted now and again at the end"
        );
        return Err(Failure::refused("restart", what).hint("if that may be: `--restart`"));
    }
    let how = if by_restart { "a restart" } else { "SIGHUP" };
    if typed.dry_run {
        context.printer.note(&format!(
            "{unit} on {host} would be told by {how} to log debug messages, and again {seconds} s later to stop"
        ));
        return Ok(Exit::Done);
    }
    let who = context.person().to_string();
    let lease = debug_on(nodes, &host, unit, seconds, &who, by_restart).await.map_err(failure)?;
    let text = format!("debug logging is on until {}; told by {how}", lease.until);
    tell(context, &lease, &text, json!(by_restart))
}

fn tell(
    context: &Context,
    lease: &DebugLease,
    text: &str,
    restarted: serde_json::Value,
) -> Result<Exit, Failure> {
    if context.printer.is_json() {
        let mut row = row(lease);
        row["restarted"] = restarted;
        context.printer.json(&row)?;
    } else {
        context.printer.text(&format!("{} on {}: {text}\n", lease.unit, lease.host))?;
        if lease.stayed == Some(true) {
            context.printer.note(&format!(
                "see it: ostler logs merge node:{} --since 1m; switch it off before: ostler logs debug off {} --node {}",
                lease.host, lease.unit, lease.host
            ));
        }
    }
    Ok(Exit::Done)
}

fn row(lease: &DebugLease) -> serde_json::Value {
    json!({"host": lease.host, "unit": lease.unit, "file": lease.file, "until": lease.until, "who": lease.who})
}

async fn status(context: &Context, cloud: &Cloud, nodes: &Connections) -> Result<Exit, Failure> {
    let (mut leases, mut unseen) = (Vec::new(), Vec::new());
    for host in cloud.nodes.keys() {
        match debug_status(nodes, host).await {
            Ok(found) => leases.extend(found),
            Err(DebugError::Refused { what, .. }) => unseen.push(what),
            Err(DebugError::Failed(why)) => unseen.push(why.what),
        }
    }
    if context.printer.is_json() {
        let rows: Vec<_> = leases.iter().map(row).collect();
        context.printer.json(&json!({"leases": rows, "unseen": unseen}))?;
    } else {
        let cells = |lease: &DebugLease| {
            vec![
                lease.host.to_string(),
                lease.unit.clone(),
                lease.until.clone(),
                lease.who.clone(),
                lease.file.clone(),
            ]
        };
        match leases.is_empty() {
            true => context.printer.text("debug logging is on nowhere by a lease of ostler\n")?,
            false => {
                let head = ["NODE", "SERVICE", "UNTIL", "WHO", "FILE"];
                context.printer.text(&table(&head, leases.iter().map(cells).collect()))?;
            }
        }
        unseen.iter().for_each(|what| context.printer.note(&format!("not seen: {what}")));
    }
    Ok(if unseen.is_empty() { Exit::Done } else { Exit::Partly })
}
