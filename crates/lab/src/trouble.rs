//! Bad luck, and its end: power cuts, cut networks, power controllers that misbehave, guests that crash.
//!
//! Must never hurt anything of another lab.

use crate::bmc::{self, Mood};
use crate::bridge;
use crate::cloud::catalogue::{On, running_on};
use crate::cloud::emulator::Virt;
use crate::cluster::{self, FIRST_BACKENDS};
use crate::error::LabError;
use crate::hypervisor::{self, Hypervisor};
use crate::lab::Lab;
use crate::machine::Machine;
use crate::network::{self, Cut, Network};
use crate::secrets::Secrets;
use crate::settings::Ground;
use crate::wait::{Seen, until};
use futures_util::future::try_join_all;
use serde::Serialize;
use std::time::Duration;

/// How long a revived node may take until its database, keystone and load balancer are back.
const RETURN_LIMIT: Duration = Duration::from_secs(240);
/// How long telling a node to shut down may take.
const TELL_LIMIT: Duration = Duration::from_secs(30);

impl Lab {
    /// Takes a node's power away, as pulling the plug does. Fine when it has none.
    pub async fn kill(&self, node: &str) -> Result<(), LabError> {
        self.known_machine(node)?.power_off().await
    }

    /// Whether a node has power.
    pub(crate) fn has_power(&self, node: &str) -> bool {
        self.machine(node).power().is_some()
    }

    /// Tells a node to shut down in order; returns when it was told.
    pub(crate) async fn shut_down(&self, node: &str) -> Result<(), LabError> {
        let machine = self.known_machine(node)?;
        match machine.power() {
            Some(_) => {
                machine.run("shutting down", "systemctl --no-block poweroff", TELL_LIMIT).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// Where the power controllers are.
    pub(crate) fn power_controller(&self, ground: &Ground) -> String {
        format!("http://{}:{}/redfish/v1", ground.subnet.bridge_address(), bmc::PORT)
    }

    /// Changes how a node's power controller behaves.
    pub fn set_mood(&self, node: &str, mood: Mood) -> Result<(), LabError> {
        self.known_machine(node)?;
        bmc::set_mood(&self.moods_path(), node, mood)
    }

    /// How to reach a node's power controller, its password included.
    pub fn power_access(&self, node: &str) -> Result<PowerAccess, LabError> {
        self.known_machine(node)?;
        let (_, ground) = self.record()?;
        if !ground.has_cloud() {
            return Err(LabError::refused(
                "this lab has no power controllers",
                "make one with `ostler lab up --release 2025.1 --with nova`",
            ));
        }
        let secrets = Secrets::read(&self.secrets_path())?;
        Ok(PowerAccess {
            system: format!("{}/Systems/{node}", self.power_controller(&ground)),
            user: bmc::USER.to_owned(),
            password: secrets.bmc.reveal().to_owned(),
            mood: bmc::mood(&self.moods_path(), node),
            running: bmc::is_running(self.name()),
        })
    }

    /// Gives a node its power back and returns when its sshd answers. Its services come back by themselves:
    /// see [`Lab::returned`].
    ///
    /// When all nodes were killed, all have to be revived: each database remembers the last cluster that it was in, and begins
    /// again when all members of it are there (Galera's `pc.recovery`). Databases that were all *stopped in order* do not remember:
    /// start the last one that was stopped with `galera_new_cluster`.
    pub async fn revive(&self, node: &str) -> Result<(), LabError> {
        self.power_on(node).await?;
        let (_, ground) = self.record()?;
        match ground.nodes.iter().find(|(name, _)| name == node) {
            Some((_, address)) => cluster::booted(node, *address).await,
            None => Ok(()),
        }
    }

    /// Gives a node its power back; returns when its init is there.
    pub(crate) async fn power_on(&self, node: &str) -> Result<(), LabError> {
        let machine = self.known_machine(node)?;
        if machine.power().is_some() {
            return Ok(());
        }
        if !machine.is_mounted() || !bridge::is_up(self.lab_name()) {
            return Err(LabError::refused(
                format!(
                    "the disk or the network of `{node}` is gone: this machine was started anew since the lab was made"
                ),
                "take the lab down and make it again with `ostler lab down` and `ostler lab up`",
            ));
        }
        let (_, ground) = self.record()?;
        machine.power_on(&self.sockets(&ground, node)).await.map(drop)
    }

    /// Waits until the services of a node are back: database synced, keystone healthy, load balancer running, and the node's servers
    /// up in every load balancer that can be reached.
    pub async fn returned(&self, node: &str) -> Result<(), LabError> {
        let machine = self.known_machine(node)?;
        let todo = "look at the node with `ostler lab ssh`: `systemctl --failed`, `journalctl -u mariadb`";
        until(format!("the return of the services of {node}"), todo, RETURN_LIMIT, async || {
            match self.status().await {
                Err(error) => Seen::NotYet(error.to_string()),
                Ok(status) => match status.nodes.iter().find(|seen| seen.name == machine.node) {
                    Some(seen) if seen.is_well() => Seen::Holds(()),
                    Some(seen) => Seen::NotYet(format!(
                        "ssh {}, database {}, keystone {}, load balancer {}, not active: {}",
                        seen.ssh,
                        seen.galera.as_deref().unwrap_or("silent"),
                        seen.keystone,
                        seen.haproxy,
                        seen.not_active().join(" ")
                    )),
                    None => Seen::NotYet("not listed".to_owned()),
                },
            }
        })
        .await?;
        let (_, ground) = self.record()?;
        if ground.computes().iter().any(|(name, _)| name == node) {
            return Ok(());
        }
        let mut backends = FIRST_BACKENDS.to_vec();
        backends.extend(
            running_on(On::Controller, &ground.parts)
                .filter(|package| package.port().is_some())
                .map(|package| package.name),
        );
        let backends = &backends;
        let reached = self
            .machines(&ground)
            .into_iter()
            .take(ground.controllers().len())
            .filter(|machine| machine.link().is_some_and(|link| bridge::is_link_up(&link)));
        try_join_all(reached.map(|balancer| async move { cluster::carries(&balancer, node, backends).await }))
            .await
            .map(drop)
    }

    /// Cuts a node's networks, all that it has unless one is named: the node runs on.
    pub async fn cut(&self, node: &str, network: Option<Network>, what: Cut) -> Result<(), LabError> {
        let machine = self.known_machine(node)?;
        for network in networks(&machine, network) {
            network::cut(&machine, network, what).await?;
        }
        Ok(())
    }

    /// Mends a node's networks, all that it has unless one is named.
    pub async fn mend(&self, node: &str, network: Option<Network>) -> Result<(), LabError> {
        let machine = self.known_machine(node)?;
        for network in networks(&machine, network) {
            network::mend(&machine, network).await?;
        }
        Ok(())
    }

    /// What a compute node's hypervisor itself has.
    pub async fn hypervisor(&self, node: &str) -> Result<Hypervisor, LabError> {
        let (machine, virt) = self.known_compute(node)?;
        hypervisor::ask(&machine, virt).await
    }

    /// Lets a guest die, as if its process had crashed.
    pub async fn crash(&self, node: &str, guest: &str) -> Result<(), LabError> {
        let (machine, virt) = self.known_compute(node)?;
        hypervisor::crash(&machine, virt, guest).await
    }

    fn known_compute(&self, node: &str) -> Result<(Machine, Virt), LabError> {
        let machine = self.known_machine(node)?;
        let (_, ground) = self.record()?;
        match ground.computes().iter().any(|(name, _)| name == node) {
            true => Ok((machine, ground.virt)),
            false => Err(LabError::refused(
                format!("`{node}` is no compute node, so it has no hypervisor"),
                "see the nodes with `ostler lab status`",
            )),
        }
    }
}

/// How to reach a node's power controller.
#[derive(Clone, Debug, Serialize)]
pub struct PowerAccess {
    /// The system in Redfish.
    pub system: String,
    /// Who may use it.
    pub user: String,
    /// By this.
    pub password: String,
    /// How it behaves.
    pub mood: Mood,
    /// Whether the server runs.
    pub running: bool,
}

fn networks(machine: &Machine, wanted: Option<Network>) -> Vec<Network> {
    match wanted {
        Some(network) => vec![network],
        None if machine.storage_link.is_some() => vec![Network::Management, Network::Storage],
        None => vec![Network::Management],
    }
}
