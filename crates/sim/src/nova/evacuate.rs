//! Evacuation: refused while the source's service is up, then carried out by conductor and target without anybody waiting.
//!
//! Nova never looks whether the source is dead: a source that was only forced down, or cut off, keeps its guest, and the
//! target starts a second one. Must never touch the source's guests: only the source's own nova-compute does that.

use super::instances::{forbidden, refused};
use super::queue::{Event, Stage, Verb};
use super::types::{
    Caller, Disk, GuestState, InstanceId, MigrationId, NovaError, Obstacle, TaskState, VmState,
};
use super::{Consumer, MigrationKind, MigrationStatus, Nova};
use ostler_model::ids::HostName;

/// The body of an `evacuate` action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvacuateRequest {
    /// The target.
    pub host: Option<HostName>,
    /// Whether the target is taken without asking the scheduler (2.29 to 2.67).
    pub force: Option<bool>,
    /// Whether the disk is on shared storage: demanded up to 2.13, unknown afterwards.
    pub on_shared_storage: Option<bool>,
}

fn unexpected(property: &str) -> NovaError {
    NovaError::Bad(format!("Additional properties are not allowed ('{property}' was unexpected)"))
}

fn check_body(by: Caller, request: &EvacuateRequest) -> Result<(), NovaError> {
    match request.on_shared_storage {
        None if by.micro < 14 => {
            return Err(NovaError::Bad("'onSharedStorage' is a required property".into()));
        }
        Some(_) if by.micro >= 14 => return Err(unexpected("onSharedStorage")),
        _ => {}
    }
    match request.force {
        Some(_) if !(29..=67).contains(&by.micro) => Err(unexpected("force")),
        Some(true) if request.host.is_none() => {
            Err(NovaError::Bad("Can't force to a non-provided destination".into()))
        }
        _ => Ok(()),
    }
}

impl Nova {
    /// `evacuate`. Success means that it was accepted; the migration record tells what comes of it.
    pub fn evacuate(
        &mut self,
        now: u64,
        by: Caller,
        id: InstanceId,
        request: &EvacuateRequest,
    ) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Evacuate, Some(id), |nova| {
            check_body(by, request)?;
            nova.check_evacuation(now, by, id, request)?;
            if let Some(instance) = nova.instances.get_mut(&id) {
                instance.task_state = Some(TaskState::Rebuilding);
            }
            let Some(migration) =
                nova.new_migration(now, MigrationKind::Evacuation, id, request.host.as_ref())
            else {
                return Ok(());
            };
            if let Some(record) = nova.migrations.get_mut(&migration) {
                // Before 2.29 a named target was always taken as it is.
                record.bypass = request.host.is_some() && (by.micro < 29 || request.force == Some(true));
                record.stop_after = by.micro >= 95;
                record.on_shared = request.on_shared_storage;
                if let Some(source) = nova.hosts.get_mut(&record.source) {
                    source.evacuated.insert(migration);
                }
            }
            let when = now + nova.about(nova.settings.schedule_ms);
            nova.push(when, Event::EvacuateSchedule(migration));
            Ok(())
        })
    }

    fn check_evacuation(
        &self,
        now: u64,
        by: Caller,
        id: InstanceId,
        request: &EvacuateRequest,
    ) -> Result<(), NovaError> {
        let instance = self.get(id)?;
        if !by.admin {
            return Err(forbidden("os-evacuate"));
        }
        if let Some(host) = &request.host {
            if !self.hosts.get(host).is_some_and(|host| host.known) {
                return Err(NovaError::Gone(format!("Compute host {host} not found.")));
            }
            if instance.host.as_ref() == Some(host) {
                return Err(NovaError::Bad("The target host can't be the same one.".into()));
            }
        }
        match instance.obstacle {
            Some(Obstacle::Share) => {
                let text = "Feature not supported with instances that have shares.";
                return Err(NovaError::Conflict(text.into()));
            }
            Some(Obstacle::Accelerator) => {
                let text = "Feature not supported with Ports that have accelerators.";
                return Err(NovaError::Bad(text.into()));
            }
            Some(Obstacle::Vtpm) => {
                let text = format!("Operation 'evacuate' not supported for vTPM-enabled instance ({id}).");
                return Err(NovaError::Bad(text));
            }
            Some(Obstacle::Secret) | None => {}
        }
        if !matches!(instance.vm_state, VmState::Active | VmState::Stopped | VmState::Error) {
            return Err(refused("evacuate", id, "vm_state", instance.vm_state.word()));
        }
        if let Some(task) = instance.task_state.filter(|_| self.settings.evacuation_checks_task) {
            return Err(refused("evacuate", id, "task_state", task.word()));
        }
        let Some(source) = instance.host.as_ref().filter(|_| instance.launched) else {
            return Err(refused("evacuate", id, "launched_at", "None"));
        };
        if self.is_up(source, now) {
            return Err(NovaError::Bad(format!("Compute service of {source} is still in use.")));
        }
        Ok(())
    }

    pub(super) fn evacuate_schedule(&mut self, at: u64, id: MigrationId) {
        let Some(record) = self.migrations.get(&id) else { return };
        let (instance, asked, bypass) = (record.instance, record.target.clone(), record.bypass);
        let source = record.source.clone();
        if self.ordered(Stage::Conductor, instance, None).is_some() {
            return;
        }
        let Some(flavour) = self.instances.get(&instance).map(|instance| instance.flavour) else {
            self.set_status(at, id, MigrationStatus::Error);
            return;
        };
        let chosen = if bypass { asked } else { self.choose(at, instance, &[source], asked.as_ref()) };
        let claimed =
            chosen.filter(|target| self.placement.claim(Consumer::Instance(instance), target, flavour));
        let Some(target) = claimed else {
            self.set_status(at, id, MigrationStatus::Error);
            // Where the scheduler was bypassed, conductor leaves the instance as it is, task and all.
            if !bypass {
                self.break_instance(
                    instance,
                    "No valid host was found. There are not enough hosts available.",
                );
            }
            return;
        };
        if let Some(record) = self.migrations.get_mut(&id) {
            record.target = Some(target);
        }
        self.push(at + self.settings.cast_ms, Event::EvacuateBegin(id));
    }

    /// The target, and the instance, of an evacuation.
    fn evacuation(&self, id: MigrationId) -> Option<(HostName, InstanceId)> {
        let record = self.migrations.get(&id)?;
        Some((record.target.clone()?, record.instance))
    }

    pub(super) fn evacuate_begin(&mut self, at: u64, id: MigrationId) {
        let Some((target, instance)) = self.evacuation(id) else { return };
        if self.waits(&target, Event::EvacuateBegin(id)) {
            return;
        }
        let Some(shared) = self.instances.get(&instance).map(|found| found.disk == Disk::Shared) else {
            self.set_status(at, id, MigrationStatus::Failed);
            return;
        };
        self.set_status(at, id, MigrationStatus::PreMigrating);
        if !self.group_allows(instance, &target) {
            // Found out before anything was touched: the instance keeps its state, and nobody tries another host.
            self.evacuation_failed(at, id, "Anti-affinity instance group policy was violated.", true);
            return;
        }
        let host = self.hosts.get(&target);
        let exists = host.is_some_and(|host| host.guests.contains_key(&instance));
        let on_shared = self.migrations.get(&id).and_then(|record| record.on_shared);
        let ordered = self.ordered(Stage::Rebuild, instance, Some(&target));
        let found = self.instances.get_mut(&instance);
        let why = match found {
            _ if exists => Some(format!("Instance {instance} already exists.")),
            _ if on_shared.is_some_and(|claimed| claimed != shared) => {
                Some("Invalid state of instance files on shared storage".into())
            }
            Some(found) if found.task_state == Some(TaskState::Rebuilding) => {
                found.task_state = Some(TaskState::RebuildSpawning);
                ordered.or_else(|| match found.obstacle {
                    Some(Obstacle::Secret) => {
                        Some("Forbidden: Secret payload retrieval attempt not allowed (HTTP 403)".into())
                    }
                    _ => None,
                })
            }
            _ => Some("Conflict updating instance. Expected: {'task_state': ['rebuilding']}.".into()),
        };
        if let Some(why) = why {
            self.evacuation_failed(at, id, &why, false);
            return;
        }
        let epoch = self.hosts.get(&target).map_or(0, |host| host.epoch);
        let when = at + self.about(self.settings.rebuild_ms);
        self.push(when, Event::EvacuateSpawn { migration: id, epoch });
    }

    pub(super) fn evacuate_spawn(&mut self, at: u64, id: MigrationId, epoch: u64) {
        let Some((target, instance)) = self.evacuation(id) else { return };
        // The work dies with its process, and the record stays as it is for ever.
        if self.hosts.get(&target).is_none_or(|host| host.epoch != epoch)
            || self.waits(&target, Event::EvacuateSpawn { migration: id, epoch })
        {
            return;
        }
        let Some(found) = self.instances.get_mut(&instance) else {
            self.set_status(at, id, MigrationStatus::Failed);
            return;
        };
        if found.disk == Disk::Local {
            found.disks_lost += 1;
        }
        self.put_guest(at, &target, instance, Some(GuestState::Running));
        if let Some(why) = self.ordered(Stage::RebuildLate, instance, Some(&target)) {
            self.evacuation_failed(at, id, &why, false);
            return;
        }
        // A guest runs before the record says where: whoever dies in between leaves it behind.
        let when = at + self.settings.cast_ms;
        self.push(when, Event::EvacuateFinish { migration: id, epoch });
    }

    pub(super) fn evacuate_finish(&mut self, at: u64, id: MigrationId, epoch: u64) {
        let Some((target, instance)) = self.evacuation(id) else { return };
        if self.hosts.get(&target).is_none_or(|host| host.epoch != epoch)
            || self.waits(&target, Event::EvacuateFinish { migration: id, epoch })
        {
            return;
        }
        let Some(record) = self.migrations.get(&id) else { return };
        let (stop, source) = (record.stop_after || record.was == VmState::Stopped, record.source.clone());
        let Some(found) = self.instances.get_mut(&instance) else {
            self.put_guest(at, &target, instance, None);
            self.set_status(at, id, MigrationStatus::Failed);
            return;
        };
        if found.task_state != Some(TaskState::RebuildSpawning) {
            let why = "Conflict updating instance. Expected: {'task_state': ['rebuild_spawning']}.";
            self.evacuation_failed(at, id, why, false);
            // Only whoever asked for another one in the middle brings this about: no fault of Nova's excuses the guest.
            if let Some(record) = self.migrations.get_mut(&id) {
                record.left_behind = false;
            }
            return;
        }
        let guest = if stop { GuestState::Off } else { GuestState::Running };
        found.vm_state = if stop { VmState::Stopped } else { VmState::Active };
        (found.task_state, found.fault, found.power) = (None, None, Some(guest));
        self.move_record(instance, Some(&target));
        self.put_guest(at, &target, instance, Some(guest));
        self.set_status(at, id, MigrationStatus::Done);
        if let Some(record) = self.migrations.get_mut(&id) {
            record.landed = Some(at);
        }
        self.report_load(&target);
        // The source's share of Placement stays until the source's nova-compute starts and finds this record.
        if let Some(source) = self.hosts.get_mut(&source) {
            source.evacuated.insert(id);
        }
    }

    /// The target gives up: its claim goes back; the instance is left in error at its old host, and nothing retries.
    fn evacuation_failed(&mut self, at: u64, id: MigrationId, why: &str, keeps_state: bool) {
        let Some((target, instance)) = self.evacuation(id) else { return };
        self.set_status(at, id, MigrationStatus::Failed);
        let here = |nova: &Nova| {
            nova.instances.get(&instance).is_some_and(|instance| instance.host.as_ref() == Some(&target))
        };
        if !here(self) {
            self.placement.release(Consumer::Instance(instance), &target);
            let host = self.hosts.get(&target);
            let runs =
                host.and_then(|host| host.guests.get(&instance)).is_some_and(|guest| guest.state.is_alive());
            if let Some(record) = self.migrations.get_mut(&id) {
                record.left_behind = runs;
            }
        }
        match self.instances.get_mut(&instance) {
            Some(instance) if keeps_state => {
                instance.task_state = None;
                instance.fault = Some(why.into());
            }
            _ => self.break_instance(instance, why),
        }
    }
}
