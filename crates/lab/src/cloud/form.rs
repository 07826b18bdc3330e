//! Makes a cloud of nodes on which keystone serves already: broker, accounts, services, compute nodes.
//!
//! Must never report a cloud as up whose compute nodes Nova does not see.

use super::api::{Api, NOVA, PLACEMENT};
use super::catalogue::{On, Part, running_on};
use super::emulator::{self, Virt};
use super::identity;
use super::monitors;
use crate::cluster::carries;
use crate::command::Command;
use crate::error::LabError;
use crate::machine::Machine;
use crate::progress::Teller;
use crate::secrets::Secrets;
use crate::settings::Ground;
use crate::wait::{Seen, until};
use futures_util::future::{try_join, try_join_all};
use serde_json::Value;
use std::time::Duration;

/// How long the brokers may take to be one cluster.
const BROKER_LIMIT: Duration = Duration::from_secs(300);
/// How long one question to a broker may take.
const BROKER_ASK_LIMIT: Duration = Duration::from_secs(120);
/// How long a start of services may take: systemd only starts them.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a command of the cloud may take, nearly all of it imports.
const COMMAND_LIMIT: Duration = Duration::from_secs(300);
/// How long compute nodes may take to be seen by Nova, on a busy machine.
const SEEN_LIMIT: Duration = Duration::from_secs(600);

const CONSOLE: &str = "look at the controllers with `ostler lab ssh`: `systemctl --failed`, /var/log/nova";

/// Makes the cloud. `machines` are all nodes, controllers first.
pub(crate) async fn form(
    machines: &[Machine],
    ground: &Ground,
    secrets: &Secrets,
    teller: &Teller<'_>,
) -> Result<(), LabError> {
    let (controllers, computes) = machines.split_at(ground.controllers().len().min(machines.len()));
    let start = async {
        try_join_all(controllers.iter().map(|machine| broker(machine, controllers.len()))).await?;
        teller.tell("cluster", "the broker serves");
        if let ([first, _, ..], true) = (controllers, controllers.len() > 1) {
            // The template in the tables is for one broker.
            let script = "cell=$(nova-manage cell_v2 list_cells 2>/dev/null | awk '$2 == \"cell1\" { print $4 }')\n\
                          nova-manage cell_v2 update_cell --cell_uuid \"$cell\" 2>&1";
            first.run("telling nova its brokers", script, COMMAND_LIMIT).await?;
        }
        let units: Vec<String> = running_on(On::Controller, &ground.parts)
            .map(|package| format!("{}.service", package.name))
            .collect();
        let script = format!("systemctl enable --quiet --now {}", units.join(" "));
        try_join_all(
            controllers.iter().map(|machine| machine.run("starting the services", &script, START_LIMIT)),
        )
        .await
    };
    let register = async {
        let api = Api::log_in(ground.virtual_address, secrets.admin.reveal()).await?;
        identity::register(&api, ground, secrets).await?;
        teller.tell("cluster", "keystone knows the services");
        Ok(api)
    };
    let (_, api) = try_join(start, register).await?;
    teller.tell("cluster", "the services start");
    let mut units = match ground.virt {
        Virt::Fake => Vec::new(),
        Virt::Qemu => emulator::UNITS.to_vec(),
    };
    units.push("nova-compute.service");
    units.extend(monitors::units(ground.virt));
    let start_compute = format!("systemctl enable --quiet --now {}", units.join(" "));
    try_join_all(
        computes.iter().map(|machine| {
            machine.run("starting nova-compute and its monitors", &start_compute, START_LIMIT)
        }),
    )
    .await?;
    let backends: Vec<&str> = running_on(On::Controller, &ground.parts)
        .filter(|package| package.port().is_some())
        .map(|package| package.name)
        .collect();
    try_join_all(controllers.iter().map(|balancer| {
        let backends = &backends;
        async move {
            for (node, _) in ground.controllers() {
                carries(balancer, node, backends).await?;
            }
            Ok::<(), LabError>(())
        }
    }))
    .await?;
    teller.tell("cluster", "all APIs answer");
    seen(&api, ground).await?;
    teller.tell("cluster", format!("nova sees {} compute nodes", computes.len()));
    if ground.parts.contains(&Part::Masakari) {
        teller.tell("cluster", "masakari serves, too");
    }
    Ok(())
}

/// Waits until a node's broker runs in a cluster of this size.
async fn broker(machine: &Machine, size: usize) -> Result<(), LabError> {
    let what = format!("the broker on {}", machine.node);
    // systemd calls it active when it serves. Each of its own commands starts an Erlang of its own, so only a cluster is asked.
    let script = match size {
        1 => "systemctl is-active --quiet rabbitmq-server.service",
        _ => {
            "systemctl is-active --quiet rabbitmq-server.service && rabbitmqctl --silent cluster_status --formatter json"
        }
    };
    until(what, "read `journalctl -u rabbitmq-server` on the node", BROKER_LIMIT, async || {
        match machine.run("asking the broker", script, BROKER_ASK_LIMIT).await {
            Ok(_) if size == 1 => Seen::Holds(()),
            Ok(said) => {
                let status: Value = serde_json::from_str(&said).unwrap_or_default();
                match status["running_nodes"].as_array().map_or(0, Vec::len) {
                    members if members >= size => Seen::Holds(()),
                    members => Seen::NotYet(format!("{members} of {size} members")),
                }
            }
            Err(error) => Seen::NotYet(error.to_string()),
        }
    })
    .await
}

/// Waits until Nova sees all compute nodes up and the scheduler can use them.
async fn seen(api: &Api, ground: &Ground) -> Result<(), LabError> {
    let wanted = ground.computes().len();
    until("compute nodes that nova sees", CONSOLE, SEEN_LIMIT, async || match compute_nodes_up(api).await {
        Ok(up) if up.len() >= wanted => Seen::Holds(()),
        Ok(up) => Seen::NotYet(format!("{} of {wanted}: {}", up.len(), up.join(" "))),
        Err(error) => Seen::NotYet(error.to_string()),
    })
    .await?;
    // Nova lists a compute node before Placement has its inventory, and an instance that is made between the two finds
    // no host.
    let path = "/allocation_candidates?resources=VCPU:1,MEMORY_MB:1,DISK_GB:1";
    until("compute nodes that placement offers", CONSOLE, SEEN_LIMIT, async || {
        match api.get(PLACEMENT, path).await {
            Ok(answer) => match answer["provider_summaries"].as_object().map_or(0, serde_json::Map::len) {
                offered if offered >= wanted => Seen::Holds(()),
                offered => Seen::NotYet(format!("{offered} of {wanted}")),
            },
            Err(error) => Seen::NotYet(error.to_string()),
        }
    })
    .await
}

/// The compute nodes that are up and known to the scheduler.
async fn compute_nodes_up(api: &Api) -> Result<Vec<String>, LabError> {
    let answer = api.get(NOVA, "/v2.1/os-services?binary=nova-compute").await?;
    let services = answer["services"].as_array().cloned().unwrap_or_default();
    // A service that is new counts as up for a while, then as down until its first report: that one must have come.
    let has_reported = |host: &str| {
        services.iter().any(|service| {
            service["host"] == host && service["state"] == "up" && service["updated_at"].is_string()
        })
    };
    let answer = api.get(NOVA, "/v2.1/os-hypervisors/detail").await?;
    let all = answer["hypervisors"].as_array().cloned().unwrap_or_default();
    let is_up = |hypervisor: &&Value| hypervisor["state"] == "up";
    let hosts = all.iter().filter(is_up).filter_map(|hypervisor| hypervisor["service"]["host"].as_str());
    Ok(hosts.filter(|host| has_reported(host)).map(str::to_owned).collect())
}

/// Where the nodes' copies of images lie on this machine: they are one folder, as storage that controllers share is.
pub(crate) async fn give_to(machine: &Machine, folder: &std::path::Path, user: &str) -> Result<(), LabError> {
    let passwd = machine.root().join("etc/passwd");
    let text = std::fs::read_to_string(&passwd).map_err(LabError::file("reading", &passwd))?;
    let owner = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(1).map(str::to_owned)).flatten()
    });
    std::fs::create_dir_all(folder).map_err(LabError::file("creating", folder))?;
    Command::new("giving a folder to its account", "chown", START_LIMIT)
        .arg(owner.unwrap_or_default())
        .arg(folder.to_string_lossy())
        .run()
        .await
        .map(drop)
}
