//! `ostler lab status`: the lab's nodes and what answers on them.
//!
//! It changes nothing.

use super::{Which, failure};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::table;
use clap::Args;
use ostler_lab::{LabStatus, NodeStatus};

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
    let rows = status.nodes.iter().map(|node| {
        let size = node.galera_size.map_or_else(String::new, |size| format!(", {size} members"));
        vec![
            node.name.clone(),
            node.address.to_string(),
            yes(node.running, "on"),
            yes(node.connected, "up"),
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
    text
}
