//! From Nova's answers to the compute side as the engine sees it.
//!
//! It must never fill a gap with a guess: where a disk is, or whether hosts share storage, Nova does not say.

use super::super::error::ApiError;
use super::super::nova::{Group, Migration, Server};
use super::super::placement::Stock;
use super::ComputeSide;
use super::hosts::COMPUTE;
use futures_util::{StreamExt, TryStreamExt, stream};
use ostler_model::Timestamp;
use ostler_model::compute::{
    Aggregate, Compute, Disk, Evacuation, GuestPower, Instance, Room, Scope, Service, VmState,
};
use ostler_model::ids::{HostName, InstanceId};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// Hypervisors whose room is asked for at once.
const ASKED_AT_ONCE: usize = 8;

/// Instances that are asked for one by one; more are found by the lists of the hosts that they may be on.
const SINGLY_MAX: usize = 8;

/// Local disk of a hypervisor that has none to give away because its disks are elsewhere: no limit here.
const DISK_ELSEWHERE_GB: u64 = 1 << 40;

impl ComputeSide {
    pub(super) async fn see(&self, scope: &Scope) -> Result<Compute, ApiError> {
        let taken = Timestamp::now();
        let mut services: BTreeMap<HostName, Service> = self
            .api
            .compute_services(None)
            .await?
            .into_iter()
            .filter(|service| service.binary == COMPUTE)
            .map(|service| {
                let seen = Service {
                    hypervisor: None,
                    zone: service.zone.unwrap_or_default(),
                    up: service.is_up,
                    enabled: service.is_enabled,
                    reason: service.disabled_reason,
                    forced_down: service.is_forced_down,
                    heard: service.reported.as_deref().and_then(utc),
                };
                (HostName::new(service.host), seen)
            })
            .collect();
        let (room, aggregates, groups) = match scope.room {
            true => (self.room(&mut services).await?, self.aggregates().await?, self.api.groups().await?),
            false => (BTreeMap::new(), Vec::new(), Vec::new()),
        };
        let mut records: Vec<Migration> = Vec::new();
        let mut servers: Vec<Server> = Vec::new();
        for host in &scope.on {
            records.extend(self.api.evacuations_from(host.as_str()).await?);
            let asked = Instant::now();
            let found = self.api.servers_on(host.as_str()).await?;
            self.views.saw_servers(host, asked, &found);
            servers.extend(found);
        }
        self.see_those(&scope.those, &mut records, &mut servers).await?;
        records.sort_by_key(|record| record.id);
        records.dedup_by_key(|record| record.id);
        let wanted: BTreeSet<&str> = scope.those.iter().map(InstanceId::as_str).collect();
        let is_wanted = |server: &&Server| {
            let is_there =
                server.host.as_deref().is_some_and(|host| scope.on.iter().any(|on| on.as_str() == host));
            is_there || wanted.contains(server.id.as_str())
        };
        Ok(Compute {
            taken,
            services,
            instances: servers
                .iter()
                .filter(is_wanted)
                .map(|server| (InstanceId::new(server.id.clone()), instance(server, &groups)))
                .collect(),
            evacuations: records.iter().map(evacuation).collect(),
            room,
            aggregates,
        })
    }

    /// Finds instances wherever they are: on hosts that were looked at already, on the targets of their moves, then
    /// one by one.
    async fn see_those(
        &self,
        those: &[InstanceId],
        records: &mut Vec<Migration>,
        servers: &mut Vec<Server>,
    ) -> Result<(), ApiError> {
        let is_missing =
            |servers: &[Server], id: &InstanceId| !servers.iter().any(|server| server.id == id.as_str());
        let unrecorded: Vec<&InstanceId> =
            those.iter().filter(|id| !records.iter().any(|record| record.server == id.as_str())).collect();
        if unrecorded.len() <= SINGLY_MAX {
            for id in unrecorded {
                records.extend(self.api.evacuations_of(id.as_str()).await?);
            }
        } else {
            let all = self.api.evacuations().await?;
            records
                .extend(all.into_iter().filter(|record| those.iter().any(|id| id.as_str() == record.server)));
        }
        let missing: Vec<&InstanceId> = those.iter().filter(|id| is_missing(servers, id)).collect();
        if missing.len() > SINGLY_MAX {
            let mut targets: BTreeSet<&str> = BTreeSet::new();
            for id in missing {
                let newest = records
                    .iter()
                    .filter(|record| record.server == id.as_str())
                    .max_by_key(|record| record.id);
                targets.extend(newest.and_then(|record| record.target.as_deref()));
            }
            for target in targets {
                servers.extend(self.api.servers_on(target).await?);
            }
        }
        let singly: Vec<InstanceId> = those.iter().filter(|id| is_missing(servers, id)).cloned().collect();
        let found: Vec<Option<Server>> = stream::iter(singly)
            .map(|id| async move { self.api.server(id.as_str()).await })
            .buffered(ASKED_AT_ONCE)
            .try_collect()
            .await?;
        servers.extend(found.into_iter().flatten());
        Ok(())
    }

    /// What each hypervisor could still take; writes the hypervisors' names beside their services.
    async fn room(
        &self,
        services: &mut BTreeMap<HostName, Service>,
    ) -> Result<BTreeMap<HostName, Room>, ApiError> {
        let hypervisors = self.api.hypervisors().await?;
        for hypervisor in &hypervisors {
            if let Some(service) = services.get_mut(&HostName::new(hypervisor.host.clone())) {
                service.hypervisor = Some(hypervisor.name.clone());
            }
        }
        let asked = stream::iter(hypervisors).map(|hypervisor| async move {
            match self.api.stock(&hypervisor.id).await {
                Ok(stock) => Ok(Some((HostName::new(hypervisor.host), room(&stock)))),
                // Placement does not know it (yet): nothing may be counted on.
                Err(error) if error.status() == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let found: Vec<Option<(HostName, Room)>> = asked.buffered(ASKED_AT_ONCE).try_collect().await?;
        let mut all: BTreeMap<HostName, Room> = BTreeMap::new();
        for (host, room) in found.into_iter().flatten() {
            // One service may have several hypervisors (bare metal): what fits into one of them fits.
            let best = all.entry(host).or_default();
            *best = Room {
                vcpus: best.vcpus.max(room.vcpus),
                ram_mb: best.ram_mb.max(room.ram_mb),
                disk_gb: best.disk_gb.max(room.disk_gb),
            };
        }
        Ok(all)
    }

    async fn aggregates(&self) -> Result<Vec<Aggregate>, ApiError> {
        let found = self.api.aggregates().await?;
        Ok(found
            .into_iter()
            .map(|aggregate| Aggregate {
                id: aggregate.id.parse().unwrap_or_default(),
                name: aggregate.name,
                hosts: aggregate.hosts.into_iter().map(HostName::new).collect(),
            })
            .collect())
    }
}

fn room(stock: &BTreeMap<String, Stock>) -> Room {
    let free = |kind: &str| stock.get(kind).map(Stock::free);
    Room {
        vcpus: free("VCPU").unwrap_or(0) + free("PCPU").unwrap_or(0),
        ram_mb: free("MEMORY_MB").unwrap_or(0),
        disk_gb: free("DISK_GB").unwrap_or(if stock.is_empty() { 0 } else { DISK_ELSEWHERE_GB }),
    }
}

fn instance(server: &Server, groups: &[Group]) -> Instance {
    let apart = groups.iter().find(|group| group.keeps_apart && group.members.contains(&server.id));
    let has_tpm = server.specs.keys().any(|key| key.starts_with("hw:tpm"));
    let is_on_volume = server.image.is_none();
    Instance {
        name: server.name.clone(),
        project: server.project.clone().unwrap_or_default(),
        host: server.host.clone().map(HostName::new),
        state: VmState::from_word(&server.vm_state),
        task: server.task_state.clone(),
        power: match server.power_state {
            1 => Some(GuestPower::Running),
            3 => Some(GuestPower::Paused),
            4 | 7 => Some(GuestPower::Off),
            6 => Some(GuestPower::Crashed),
            _ => None,
        },
        locked: server.is_locked,
        lock_reason: server.locked_reason.clone(),
        metadata: server.metadata.clone(),
        needs: Room {
            vcpus: server.vcpus,
            ram_mb: server.memory_mib,
            disk_gb: if is_on_volume { 0 } else { server.disk_gib },
        },
        disk: if is_on_volume { Disk::Volume } else { Disk::Unknown },
        zone: server.asked_zone.clone(),
        apart_from: apart.map(|group| group.id.clone()),
        obstacle: has_tpm.then(|| "it has a virtual TPM, whose state is on its host".to_owned()),
        launched: server.was_launched,
        fault: server.fault.clone(),
    }
}

fn evacuation(record: &Migration) -> Evacuation {
    Evacuation {
        id: record.id,
        instance: InstanceId::new(record.server.clone()),
        source: HostName::new(record.source.clone().unwrap_or_default()),
        target: record.target.clone().map(HostName::new),
        stage: record.stage(),
        created: utc(&record.created),
    }
}

/// A time as Nova writes it: UTC, mostly without saying so.
fn utc(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| format!("{}Z", text.replace(' ', "T")).parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nova_s_times_are_utc_with_or_without_saying_so() {
        for text in ["2026-11-01T12:00:00.000000", "2026-11-01 12:00:00", "2026-11-01T12:00:00Z"] {
            assert_eq!(utc(text).unwrap().to_string(), "2026-11-01T12:00:00Z", "{text}");
        }
        assert_eq!((utc(""), utc("soon")), (None, None));
    }

    #[test]
    fn disks_that_are_elsewhere_do_not_limit_and_a_hypervisor_without_stock_has_none() {
        let stock = |total| Stock { total, reserved: 0, ratio: 1.0, used: 0 };
        let shared = BTreeMap::from([("VCPU".to_owned(), stock(4)), ("MEMORY_MB".to_owned(), stock(8))]);
        assert_eq!(room(&shared), Room { vcpus: 4, ram_mb: 8, disk_gb: DISK_ELSEWHERE_GB });
        assert_eq!(room(&BTreeMap::new()), Room::default());
    }
}
