//! `ostler lab up`, `down`, `publish`, `withdraw`: the lab as a whole, and the releases its nodes can see.
//!
//! Long work tells of itself line by line.

use super::{Which, failure};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::printer::Printer;
use clap::{Args, ValueEnum};
use ostler_lab::{Part, Progress, UpOptions, Virt};
use serde_json::json;

/// Make the cloud and wait until it serves.
#[derive(Debug, Args)]
#[command(after_help = "Needs root, Debian or Ubuntu, and about 4 GB of memory for three controllers.

Examples:
  ostler lab up --controllers 3 --release 2024.1
  ostler lab up --controllers 1 --release 2025.1 --with nova --computes 4 --instances 20
  ostler lab up --controllers 1 --release 2025.1 --with nova --virt qemu --instances 2
  export OSTLER_CONFIG=/var/lib/ostler/lab/lab/ostler.toml
  ostler cloud scan")]
pub struct Up {
    #[command(flatten)]
    which: Which,
    /// One controller or three.
    #[arg(long, default_value_t = 3, value_name = "NUMBER")]
    controllers: u8,
    /// The release to install; unless told 2024.1, and with nova, which the lab has from 2025.1 on, 2025.1.
    #[arg(long, value_name = "RELEASE")]
    release: Option<String>,
    /// What it shall have beyond keystone.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    with: Vec<With>,
    /// How many compute nodes, with nova.
    #[arg(long, value_name = "NUMBER")]
    computes: Option<u8>,
    /// What runs the guests, with nova.
    #[arg(long, value_enum, default_value_t = Hypervisor::Fake, value_name = "HYPERVISOR")]
    virt: Hypervisor,
    /// How many instances to begin with, a port each; real guests have none.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    instances: u16,
    /// Leave the instances without ports.
    #[arg(long)]
    no_ports: bool,
    /// Further releases whose packages the nodes can see, to upgrade to.
    #[arg(long, value_name = "RELEASE")]
    publish: Vec<String>,
}

/// A part of a cloud beyond keystone.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum With {
    /// Nova, with RabbitMQ, Placement, Glance, Neutron and compute nodes.
    Nova,
    /// Masakari's API and engine, to compare with.
    Masakari,
}

/// The release of a lab with nova, unless told.
const NOVA_RELEASE: &str = "2025.1";

/// What runs the guests of compute nodes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Hypervisor {
    /// A file with a line for each guest: quick, and as many as one likes.
    Fake,
    /// libvirt and qemu: few guests that compute and write on disks, which all compute nodes share.
    Qemu,
}

impl From<Hypervisor> for Virt {
    fn from(hypervisor: Hypervisor) -> Self {
        match hypervisor {
            Hypervisor::Fake => Self::Fake,
            Hypervisor::Qemu => Self::Qemu,
        }
    }
}

/// How many compute nodes a lab with nova has unless told.
const COMPUTES: u8 = 2;

/// Take the cloud down and leave nothing of it.
#[derive(Debug, Args)]
#[command(after_help = "Built images and packages stay in the cache.

Example:
  ostler lab down")]
pub struct Down {
    #[command(flatten)]
    which: Which,
}

/// Show another release's packages to the nodes, building them first if need be.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler lab publish 2025.1")]
pub struct Publish {
    /// The release.
    release: String,
    #[command(flatten)]
    which: Which,
}

/// Take a release's packages away from the nodes, as when a mirror vanishes.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler lab withdraw 2024.1")]
pub struct Withdraw {
    /// The release.
    release: String,
    #[command(flatten)]
    which: Which,
}

pub(super) async fn up(context: &Context, typed: Up) -> Result<Exit, Failure> {
    let lab = typed.which.lab()?;
    let mut parts: Vec<Part> = typed
        .with
        .iter()
        .map(|part| match part {
            With::Nova => Part::Nova,
            With::Masakari => Part::Masakari,
        })
        .collect();
    parts.sort_unstable();
    parts.dedup();
    let has_nova = parts.contains(&Part::Nova);
    let computes = typed.computes.unwrap_or(if has_nova { COMPUTES } else { 0 });
    let release = if has_nova { NOVA_RELEASE.to_owned() } else { UpOptions::default().release };
    let options = UpOptions {
        controllers: typed.controllers,
        release: typed.release.unwrap_or(release),
        parts,
        computes,
        virt: typed.virt.into(),
        instances: typed.instances,
        ports: !typed.no_ports,
    };
    let mut listener = listener(context.printer);
    lab.up(&options, &mut listener).await.map_err(failure)?;
    for release in &typed.publish {
        lab.publish(release, &mut listener).await.map_err(failure)?;
    }
    let status = lab.status().await.map_err(failure)?;
    if context.printer.is_json() {
        context.printer.json(&json!({ "lab": status, "settings": lab.settings() }))?;
    } else {
        context.printer.text(&format!(
            "\nlab {} serves {} at {}\n  use it: export OSTLER_CONFIG={}\n",
            status.name,
            status.release,
            status.auth_url,
            lab.settings().display()
        ))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn down(context: &Context, typed: Down) -> Result<Exit, Failure> {
    let lab = typed.which.lab()?;
    lab.down().await.map_err(failure)?;
    context.printer.note(&format!("lab {} is down; nothing of it is left", lab.name()));
    Ok(Exit::Done)
}

pub(super) async fn publish(context: &Context, typed: Publish) -> Result<Exit, Failure> {
    let lab = typed.which.lab()?;
    lab.publish(&typed.release, &mut listener(context.printer)).await.map_err(failure)?;
    Ok(Exit::Done)
}

pub(super) async fn withdraw(context: &Context, typed: Withdraw) -> Result<Exit, Failure> {
    let lab = typed.which.lab()?;
    lab.withdraw(&typed.release).await.map_err(failure)?;
    context.printer.note(&format!("the nodes of lab {} no longer see {}", lab.name(), typed.release));
    Ok(Exit::Done)
}

/// Tells of progress: lines for people, one JSON document per line for programs.
fn listener(printer: Printer) -> impl FnMut(Progress) + Send {
    move |progress| match printer.is_json() {
        true => printer.json_line(&json!({
            "after_ms": u64::try_from(progress.after.as_millis()).unwrap_or(u64::MAX),
            "subject": progress.subject,
            "message": progress.message,
        })),
        false => printer.progress_line(&progress.to_string()),
    }
}
