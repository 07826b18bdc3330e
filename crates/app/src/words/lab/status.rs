//! `ostler lab status`: the lab's nodes and what answers on them.
//!
//! It changes nothing.

use super::{Which, failure};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::table;
use clap::Args;
use ostler_lab::{LabStatus, Link, NodeStatus};

/// Show its nodes and what answers on them.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0: all is well; 4: something is not.

Example:
  ostler lab status --format json")]
pub struct Status {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn status(context: &Context, typed: Status) -> Result<Exit, Failure> {
    let status = typed.which.lab()?.status().await.map_err(failure)?;
    if context.printer.is_json() {
        context.printer.json(&status)?;
    } else {
        context.printer.text(&page(&status))?;
    }
    let is_well = status.keystone_answers && status.nodes.iter().all(NodeStatus::is_well);
    Ok(if is_well { Exit::Done } else { Exit::Errors })
}

fn page(status: &LabStatus) -> String {
    let serves = if status.keystone_answers { "serves" } else { "does not serve" };
    let mut text = format!(
        "lab {} {serves} at {}; nodes see {}\n\n",
        status.name,
        status.auth_url,
        status.releases.join(", ")
    );
    let yes = |is: bool, word: &str| if is { word.to_owned() } else { "-".to_owned() };
    let controllers = status.nodes.iter().filter(|node| node.role == "controller");
    let rows = controllers.map(|node| {
        let size = node.galera_size.map_or_else(String::new, |size| format!(", {size} members"));
        vec![
            node.name.clone(),
            node.address.to_string(),
            yes(node.running, "on"),
            link(node.link),
            yes(node.ssh, "answers"),
            node.galera.as_ref().map_or("-".to_owned(), |state| format!("{state}{size}")),
            node.keystone_version.clone().unwrap_or_else(|| "-".to_owned()),
            yes(node.keystone, "healthy"),
            yes(node.haproxy, "runs"),
            yes(node.virtual_address, "here"),
        ]
    });
    let heading =
        ["NODE", "ADDRESS", "POWER", "LINK", "SSH", "DATABASE", "PACKAGE", "KEYSTONE", "HAPROXY", "VIRTUAL"];
    text.push_str(&table(&heading, rows.collect()));
    if let Some(running) = status.power_controllers {
        text.push_str(&cloud(status, running));
    }
    text
}

/// What a lab with Nova has besides.
fn cloud(status: &LabStatus, power_controllers: bool) -> String {
    let computes = status.nodes.iter().filter(|node| node.role == "compute");
    let rows = computes.map(|node| {
        let service = node.services.get("nova-compute").cloned();
        vec![
            node.name.clone(),
            node.address.to_string(),
            if node.running { "on" } else { "-" }.to_owned(),
            link(node.link),
            node.storage_link.map_or("-".to_owned(), link),
            if node.ssh { "answers" } else { "-" }.to_owned(),
            service.unwrap_or_else(|| "-".to_owned()),
            node.guests.map_or("-".to_owned(), |guests| guests.to_string()),
        ]
    });
    let heading = ["NODE", "ADDRESS", "POWER", "LINK", "STORAGE", "SSH", "NOVA-COMPUTE", "GUESTS"];
    let mut text = format!("\n{}\n", table(&heading, rows.collect()));
    for node in status.nodes.iter().filter(|node| node.running && !node.not_active().is_empty()) {
        text.push_str(&format!("{}: not active: {}\n", node.name, node.not_active().join(", ")));
    }
    let word = if power_controllers { "serve" } else { "do not serve" };
    text.push_str(&format!("power controllers {word}\n"));
    text
}

fn link(link: Link) -> String {
    match link {
        Link::Absent => "-",
        Link::Up => "up",
        Link::Cut => "cut",
        Link::CutIn => "cut in",
        Link::CutOut => "cut out",
    }
    .to_owned()
}
