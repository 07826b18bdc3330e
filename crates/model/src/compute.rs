//! The compute side of a cloud as seen at one time: services, instances, moves, room, aggregates.
//!
//! It holds what the compute service's record says, which may differ from what hypervisors run. It must never know
//! how the record is read, nor decide what should become of an instance.

use crate::ids::{HostName, InstanceId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Instances that the record places on these hosts, and moves that began there.
    pub on: Vec<HostName>,
    /// These instances, wherever they are; one that is gone is absent from the answer.
    pub those: Vec<InstanceId>,
    /// Whether room and aggregates are wanted, too.
    pub room: bool,
}

/// The compute side as seen. Services are always in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compute {
    /// When it was looked at.
    pub taken: Timestamp,
    /// The compute services, by the service's host name.
    pub services: BTreeMap<HostName, Service>,
    /// Instances that were asked for.
    pub instances: BTreeMap<InstanceId, Instance>,
    /// Evacuations from the hosts, and of the instances, that were asked for; oldest first.
    pub evacuations: Vec<Evacuation>,
    /// What each hypervisor could still take, by its service's host name.
    pub room: BTreeMap<HostName, Room>,
    /// Host aggregates.
    pub aggregates: Vec<Aggregate>,
}

impl Compute {
    /// The aggregates of a host, by name, sorted.
    pub fn aggregates_of(&self, host: &HostName) -> Vec<String> {
        let mut names: Vec<String> = self
            .aggregates
            .iter()
            .filter(|aggregate| aggregate.hosts.contains(host))
            .map(|aggregate| aggregate.name.clone())
            .collect();
        names.sort();
        names
    }
}

/// A compute service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The name of its hypervisor, which often has the domain.
    pub hypervisor: Option<String>,
    /// Its availability zone.
    pub zone: String,
    /// Whether the record takes it for up.
    pub up: bool,
    /// Whether new instances may come.
    pub enabled: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Whether somebody has declared it down.
    pub forced_down: bool,
    /// When it was last heard.
    pub heard: Option<Timestamp>,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: String,
    /// The service host that the record places it on.
    pub host: Option<HostName>,
    /// What it should be.
    pub state: VmState,
    /// The task under way, in the compute service's word.
    pub task: Option<String>,
    /// What its host last said of the guest.
    pub power: Option<GuestPower>,
    /// Whether it is locked.
    pub locked: bool,
    /// Why, where the compute service keeps reasons.
    pub lock_reason: Option<String>,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// What it needs.
    pub needs: Room,
    /// Where its root disk is.
    pub disk: Disk,
    /// The availability zone that its owner asked for.
    pub zone: Option<String>,
    /// Its server group, if it must not share a host with other members.
    pub apart_from: Option<String>,
    /// What stands in an evacuation's way, where that can be seen beforehand.
    pub obstacle: Option<String>,
    /// Whether it ever ran.
    pub launched: bool,
    /// The last thing that went wrong with it.
    pub fault: Option<String>,
}

/// States of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmState {
    /// It is being made.
    Building,
    /// It should run.
    Active,
    /// It should not run.
    Stopped,
    /// Its processors stand still.
    Paused,
    /// Its memory is on disk.
    Suspended,
    /// It runs from another image.
    Rescued,
    /// It waits for a person to confirm a resize.
    Resized,
    /// It is deleted, and can be restored for a while.
    SoftDeleted,
    /// It is put away, and still has a host.
    Shelved,
    /// It is put away and has no host.
    ShelvedOffloaded,
    /// It is deleted.
    Deleted,
    /// Something went wrong.
    Error,
    /// A word that is not known here.
    Other,
}

impl VmState {
    /// The state that a word of the compute service means.
    pub fn from_word(word: &str) -> VmState {
        match word {
            "building" => VmState::Building,
            "active" => VmState::Active,
            "stopped" => VmState::Stopped,
            "paused" => VmState::Paused,
            "suspended" => VmState::Suspended,
            "rescued" => VmState::Rescued,
            "resized" => VmState::Resized,
            "soft-delete" => VmState::SoftDeleted,
            "shelved" => VmState::Shelved,
            "shelved_offloaded" => VmState::ShelvedOffloaded,
            "deleted" => VmState::Deleted,
            "error" => VmState::Error,
            _ => VmState::Other,
        }
    }

    /// The compute service's word.
    pub fn word(self) -> &'static str {
        match self {
            VmState::Building => "building",
            VmState::Active => "active",
            VmState::Stopped => "stopped",
            VmState::Paused => "paused",
            VmState::Suspended => "suspended",
            VmState::Rescued => "rescued",
            VmState::Resized => "resized",
            VmState::SoftDeleted => "soft-delete",
            VmState::Shelved => "shelved",
            VmState::ShelvedOffloaded => "shelved_offloaded",
            VmState::Deleted => "deleted",
            VmState::Error => "error",
            VmState::Other => "in a state that is not known here",
        }
    }
}

impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What a hypervisor says of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestPower {
    /// It runs.
    Running,
    /// It stands still.
    Paused,
    /// It is off.
    Off,
    /// It crashed.
    Crashed,
}

/// Where an instance's root disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disk {
    /// On a volume.
    Volume,
    /// On storage that hosts share.
    Shared,
    /// On its host: an evacuation makes a new one from the image, and the data are lost.
    Local,
    /// Nobody has said whether hosts share their storage.
    Unknown,
}

/// Processors, memory, disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Virtual processors.
    pub vcpus: u64,
    /// Memory.
    pub ram_mb: u64,
    /// Local disk.
    pub disk_gb: u64,
}

impl Room {
    /// Whether this much fits.
    pub fn holds(&self, needs: &Room) -> bool {
        self.vcpus >= needs.vcpus && self.ram_mb >= needs.ram_mb && self.disk_gb >= needs.disk_gb
    }

    /// What is left when this much is taken.
    #[must_use]
    pub fn less(&self, needs: &Room) -> Room {
        Room {
            vcpus: self.vcpus.saturating_sub(needs.vcpus),
            ram_mb: self.ram_mb.saturating_sub(needs.ram_mb),
            disk_gb: self.disk_gb.saturating_sub(needs.disk_gb),
        }
    }
}

/// An evacuation, as its migration record tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evacuation {
    /// The record's number.
    pub id: u64,
    /// Of which instance.
    pub instance: InstanceId,
    /// From which service host.
    pub source: HostName,
    /// To which service host, once that is known.
    pub target: Option<HostName>,
    /// How far it is.
    pub stage: MoveStage,
    /// When the record was made, by the compute service's clock.
    pub created: Option<Timestamp>,
}

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoveStage {
    /// Accepted, and not over.
    UnderWay,
    /// The instance is at the target; the source has not yet removed its copy.
    Done,
    /// The source has removed its copy, too.
    Completed,
    /// It ended without effect, or with a broken instance at its old place.
    Failed,
}

/// A host aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its hosts, by the service's host name.
    pub hosts: Vec<HostName>,
}
