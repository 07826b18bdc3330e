//! The settings of the cloud's services on one node.
//!
//! Must never be written while the node runs, nor give a password to an account that does not need it.

use super::catalogue::{On, PROJECTS, Serves, running_on};
use super::emulator::{self, Virt};
use crate::error::LabError;
use crate::node_files::Place;
use crate::secrets::{Secrets, node_identity};
use crate::settings::Ground;
use crate::template::fill;

/// Masakari and Neutron and Nova speak through brokers on all controllers.
const BROKER_PORT: u16 = 5672;

/// Writes a node's files for the cloud's services.
pub(crate) fn write(
    place: &Place<'_>,
    index: usize,
    ground: &Ground,
    secrets: &Secrets,
) -> Result<(), LabError> {
    if index < ground.controllers().len() {
        controller(place, index, ground, secrets)
    } else {
        compute(place, index, ground, secrets)
    }
}

fn controller(place: &Place<'_>, index: usize, ground: &Ground, secrets: &Secrets) -> Result<(), LabError> {
    let address = ground.nodes[index].1.to_string();
    for project in &PROJECTS {
        let text = settings(project.name, index, ground, secrets, true)?;
        place.owned(
            &format!("etc/{}/{}", project.name, project.settings),
            0o640,
            &text,
            &format!("root:{}", project.name),
        )?;
    }
    for package in running_on(On::Controller, &ground.parts) {
        if let Serves::Wsgi { port, .. } = package.serves {
            // Nova's API waits for Neutron and Placement most of the time.
            let processes = if package.name == "nova-api" && ground.controllers().len() == 1 { 2 } else { 1 };
            let text = format!(
                "# Where {} listens on this node, and with how many processes.\n\
                 API_BIND={address}:{port}\nAPI_PROCESSES={processes}\n",
                package.name
            );
            place.file(&format!("etc/default/{}", package.name), 0o644, &text)?;
        }
    }
    for folder in ["images", "staging", "tasks"] {
        place.folder(&format!("var/lib/glance/{folder}"), 0o750, "glance")?;
    }
    let values = [
        ("lab", ground.lab.as_str()),
        ("virtual_address", &ground.virtual_address.to_string()),
        ("admin_password", secrets.admin.reveal()),
    ];
    place.file("root/openrc", 0o600, &fill(include_str!("../../data/cloud/lab/openrc"), &values)?)?;
    let token = include_str!("../../data/cloud/lab/lab-token.sh");
    place.file("usr/local/sbin/lab-token", 0o700, token)?;
    broker(place, &address, ground, secrets)
}

fn broker(place: &Place<'_>, address: &str, ground: &Ground, secrets: &Secrets) -> Result<(), LabError> {
    let peers: String = ground
        .controllers()
        .iter()
        .enumerate()
        .map(|(index, (node, _))| {
            format!("cluster_formation.classic_config.nodes.{} = rabbit@{node}\n", index + 1)
        })
        .collect();
    let text = fill(
        include_str!("../../data/cloud/rabbitmq.conf"),
        &[("address", address), ("rabbit_password", secrets.rabbit.reveal()), ("rabbit_peers", &peers)],
    )?;
    place.owned("etc/rabbitmq/rabbitmq.conf", 0o640, &text, "root:rabbitmq")?;
    place.file(
        "etc/rabbitmq/rabbitmq-env.conf",
        0o644,
        include_str!("../../data/cloud/rabbitmq-env.conf"),
    )?;
    place.owned("var/lib/rabbitmq/.erlang.cookie", 0o400, secrets.erlang.reveal(), "rabbitmq")
}

fn compute(place: &Place<'_>, index: usize, ground: &Ground, secrets: &Secrets) -> Result<(), LabError> {
    let text = settings("nova", index, ground, secrets, false)?;
    place.owned("etc/nova/nova.conf", 0o640, &text, "root:nova")?;
    // Without it a compute node that starts for the second time takes itself for another one.
    place.owned("var/lib/nova/compute_id", 0o640, &node_identity()?, "nova")?;
    match ground.virt {
        Virt::Fake => Ok(()),
        Virt::Qemu => emulator::write(place),
    }
}

/// The text of a project's settings file.
fn settings(
    project: &str,
    index: usize,
    ground: &Ground,
    secrets: &Secrets,
    with_database: bool,
) -> Result<String, LabError> {
    let (node, address) = &ground.nodes[index];
    let address = address.to_string();
    let virtual_address = ground.virtual_address.to_string();
    let list = |write: &dyn Fn(&str) -> String| -> String {
        let each: Vec<String> =
            ground.controllers().iter().map(|(_, address)| write(&address.to_string())).collect();
        each.join(",")
    };
    let brokers = list(&|address| format!("openstack:{}@{address}:{BROKER_PORT}", secrets.rabbit.reveal()));
    let transport_url = format!("rabbit://{brokers}/");
    let caches = list(&|address| format!("{address}:11211"));
    let credentials = fill(
        include_str!("../../data/cloud/credentials.conf"),
        &[("virtual_address", &virtual_address), ("user", project), ("password", secrets.service.reveal())],
    )?;
    let database_password = secrets.database.reveal();
    let databases = match with_database {
        false => String::new(),
        true => fill(
            include_str!("../../data/cloud/nova-databases.conf"),
            &[("database_password", database_password), ("virtual_address", &virtual_address)],
        )?,
    };
    let quorum = if ground.controllers().len() > 1 { "true" } else { "false" };
    let template = match project {
        "nova" => include_str!("../../data/cloud/nova.conf"),
        "placement" => include_str!("../../data/cloud/placement.conf"),
        "glance" => include_str!("../../data/cloud/glance-api.conf"),
        "neutron" => include_str!("../../data/cloud/neutron.conf"),
        _ => include_str!("../../data/cloud/masakari.conf"),
    };
    fill(
        template,
        &[
            ("node", node),
            ("lab", ground.lab.as_str()),
            ("address", &address),
            ("virtual_address", &virtual_address),
            ("transport_url", &transport_url),
            ("caches", &caches),
            ("credentials", credentials.trim_end()),
            ("databases", &databases),
            ("database_password", database_password),
            ("password", secrets.service.reveal()),
            ("quorum", quorum),
            ("driver", ground.virt.driver()),
            ("hypervisor", if with_database { "" } else { ground.virt.settings() }),
        ],
    )
}
