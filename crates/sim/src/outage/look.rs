//! What a client of the pretended Nova sees, in the nouns of the compute side.
//!
//! A look and a translation: it must never order anything, nor know more than Nova's answers say.

use super::compute::{PAGES_MAX, SimCompute, parse, why};
use super::wall;
use crate::nova::{
    Disk as SimDisk, GuestState, Instance as SimInstance, Migration, MigrationFilter, MigrationStatus,
    NovaError, Obstacle, ServerFilter, ServiceSeen,
};
use ostler_model::compute::{
    Aggregate, Compute, Disk, Evacuation, GuestPower, Instance, MoveStage, Room, Scope, Service, VmState,
};
use ostler_model::event::Why;
use ostler_model::ids::InstanceId;
use std::collections::BTreeMap;

pub(super) fn stage(status: MigrationStatus) -> MoveStage {
    match status {
        MigrationStatus::Done => MoveStage::Done,
        MigrationStatus::Completed => MoveStage::Completed,
        MigrationStatus::Failed | MigrationStatus::Error | MigrationStatus::Cancelled => MoveStage::Failed,
        _ => MoveStage::UnderWay,
    }
}

pub(super) fn seen_as(instance: &SimInstance) -> Instance {
    let state = VmState::from_word(instance.vm_state.word());
    let power = instance.power.map(|power| match power {
        GuestState::Running => GuestPower::Running,
        GuestState::Paused => GuestPower::Paused,
        GuestState::Off => GuestPower::Off,
        GuestState::Crashed => GuestPower::Crashed,
    });
    let obstacle = instance.obstacle.and_then(|obstacle| match obstacle {
        Obstacle::Vtpm => Some("it has a virtual TPM"),
        Obstacle::Accelerator => Some("it has an accelerator"),
        Obstacle::Share => Some("it has a share"),
        // Found out only when it is tried.
        Obstacle::Secret => None,
    });
    Instance {
        name: instance.name.clone(),
        project: instance.project.clone(),
        host: instance.host.clone(),
        state,
        task: instance.task_state.map(|task| task.word().to_owned()),
        power,
        locked: instance.locked,
        lock_reason: instance.lock_reason.clone(),
        metadata: instance.metadata.clone(),
        needs: Room {
            vcpus: u64::from(instance.flavour.vcpus),
            ram_mb: instance.flavour.ram_mb,
            disk_gb: instance.flavour.disk_gb,
        },
        disk: match instance.disk {
            SimDisk::Volume => Disk::Volume,
            SimDisk::Shared => Disk::Shared,
            SimDisk::Local => Disk::Local,
        },
        zone: instance.zone.clone(),
        apart_from: instance.group.map(|group| format!("group-{}", group.0)),
        obstacle: obstacle.map(str::to_owned),
        launched: instance.launched,
        fault: instance.fault.clone(),
    }
}

fn service_as(seen: &ServiceSeen) -> Service {
    Service {
        hypervisor: Some(format!("{}.example.org", seen.host)),
        zone: seen.zone.clone(),
        up: seen.up,
        enabled: seen.enabled,
        reason: seen.reason.clone(),
        forced_down: seen.forced_down,
        heard: seen.heard.map(wall),
    }
}

impl SimCompute {
    pub(super) async fn look_at(&self, scope: &Scope) -> Result<Compute, Why> {
        let services = self.services().await.map_err(|error| why(&error))?;
        let mut instances = BTreeMap::new();
        let mut records: BTreeMap<u64, Migration> = BTreeMap::new();
        for host in &scope.on {
            let filter = ServerFilter { host: Some(host.clone()), vm_state: None };
            let mut marker = None;
            for _ in 0..PAGES_MAX {
                let page = self
                    .read(|ground, now, by| ground.nova.list_servers(now, by, &filter, None, marker))
                    .await
                    .map_err(|error| why(&error))?;
                for server in &page.servers {
                    instances.insert(InstanceId::new(server.id.to_string()), seen_as(server));
                }
                marker = page.next;
                if marker.is_none() {
                    break;
                }
            }
            let filter = MigrationFilter { source: Some(host.clone()), ..MigrationFilter::default() };
            let found = self.evacuations(filter).await.map_err(|error| why(&error))?;
            records.extend(found.into_iter().map(|record| (record.id.0, record)));
        }
        for id in scope.those.iter().filter(|id| !instances.contains_key(*id)).cloned().collect::<Vec<_>>() {
            match self.show(parse(&id)?).await {
                Ok(server) => _ = instances.insert(id, seen_as(&server)),
                Err(NovaError::Gone(_)) => {}
                Err(error) => return Err(why(&error)),
            }
        }
        let evacuations = records.into_values().map(|record| Evacuation {
            id: record.id.0,
            instance: InstanceId::new(record.instance.to_string()),
            source: record.source.clone(),
            target: record.target.clone(),
            stage: stage(record.status),
            created: Some(wall(record.created)),
        });
        let evacuations = evacuations.collect();
        let ground = self.0.ground();
        let room = services.iter().filter(|_| scope.room).filter_map(|service| {
            let (all, used) = ground.nova.placement().usage(&service.host)?;
            let free = Room {
                vcpus: u64::from(all.vcpus.saturating_sub(used.vcpus)),
                ram_mb: all.ram_mb.saturating_sub(used.ram_mb),
                disk_gb: all.disk_gb.saturating_sub(used.disk_gb),
            };
            Some((service.host.clone(), free))
        });
        let room = room.collect();
        let aggregates = ground.nova.aggregates().iter().enumerate().map(|(id, (name, hosts))| Aggregate {
            id: id as u64,
            name: name.clone(),
            hosts: hosts.iter().cloned().collect(),
        });
        let aggregates = aggregates.collect();
        let services = services.iter().map(|seen| (seen.host.clone(), service_as(seen))).collect();
        Ok(Compute { taken: wall(self.0.now()), services, instances, evacuations, room, aggregates })
    }
}
