//! Cold migration: the guest is shut down at the source, made at the target, and waits for a person's word.
//!
//! Until that word both hosts hold room for it, and the source keeps the disk. Must never remove the source's guest before.

use super::instances::{check_lock, check_state, forbidden, refused};
use super::queue::{Event, Verb};
use super::types::{Caller, GuestState, InstanceId, MigrationId, NovaError, TaskState, VmState};
use super::{Consumer, Migration, MigrationKind, MigrationStatus, Nova};
use ostler_model::ids::HostName;

impl Nova {
    /// `migrate`, to a named host from 2.56 on.
    pub fn migrate(
        &mut self,
        now: u64,
        by: Caller,
        id: InstanceId,
        host: Option<&HostName>,
    ) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Migrate, Some(id), |nova| {
            if !by.admin {
                return Err(forbidden("os-migrate-server:migrate"));
            }
            if host.is_some() && by.micro < 56 {
                let text = "Additional properties are not allowed ('host' was unexpected)";
                return Err(NovaError::Bad(text.into()));
            }
            let instance = nova.get(id)?;
            check_lock(by, instance)?;
            check_state("migrate", instance, &[VmState::Active, VmState::Stopped])?;
            if !instance.host.as_ref().is_some_and(|source| nova.is_up(source, now)) {
                return Err(NovaError::Bad("Service is unavailable at this time.".into()));
            }
            if let Some(host) = host {
                if !nova.hosts.contains_key(host) {
                    return Err(NovaError::Bad(format!("Compute host {host} could not be found.")));
                }
                if instance.host.as_ref() == Some(host) {
                    let text = "Cannot migrate to the host where the server exists.";
                    return Err(NovaError::Bad(text.into()));
                }
            }
            let Some(migration) = nova.new_migration(now, MigrationKind::Cold, id, host) else {
                return Ok(());
            };
            if let Some(instance) = nova.instances.get_mut(&id) {
                instance.task_state = Some(TaskState::ResizeMigrating);
            }
            let when = now + nova.about(nova.settings.schedule_ms);
            nova.push(when, Event::ColdSchedule(migration));
            Ok(())
        })
    }

    pub(super) fn cold_schedule(&mut self, at: u64, id: MigrationId) {
        let Some(record) = self.migrations.get(&id).cloned() else { return };
        let instance = record.instance;
        let Some(flavour) = self.instances.get(&instance).map(|found| found.flavour) else { return };
        self.placement.hand_over(Consumer::Instance(instance), Consumer::Migration(id), &record.source);
        let target = self.choose(at, instance, std::slice::from_ref(&record.source), record.target.as_ref());
        let target =
            target.filter(|target| self.placement.claim(Consumer::Instance(instance), target, flavour));
        let Some(target) = target else {
            self.placement.hand_over(Consumer::Migration(id), Consumer::Instance(instance), &record.source);
            self.set_status(at, id, MigrationStatus::Error);
            if let Some(found) = self.instances.get_mut(&instance) {
                found.task_state = None;
                found.fault =
                    Some("No valid host was found. No valid host found for cold migrate".to_owned());
            }
            return;
        };
        if let Some(record) = self.migrations.get_mut(&id) {
            record.target = Some(target);
        }
        self.push(at + self.settings.cast_ms, Event::ColdArrive(id));
    }

    pub(super) fn cold_arrive(&mut self, at: u64, id: MigrationId) {
        let Some(record) = self.migrations.get(&id).cloned() else { return };
        if self.waits(&record.source, Event::ColdArrive(id)) {
            return;
        }
        self.set_status(at, id, MigrationStatus::Migrating);
        self.put_guest(at, &record.source, record.instance, Some(GuestState::Off));
        let epoch = self.hosts.get(&record.source).map_or(0, |host| host.epoch);
        let when = at + self.about(self.settings.rebuild_ms);
        self.push(when, Event::ColdEnd { migration: id, epoch });
    }

    pub(super) fn cold_end(&mut self, at: u64, id: MigrationId, epoch: u64) {
        let Some(record) = self.migrations.get(&id).cloned() else { return };
        let (instance, Some(target)) = (record.instance, record.target.clone()) else { return };
        if self.hosts.get(&record.source).is_none_or(|host| host.epoch != epoch)
            || self.waits(&record.source, Event::ColdEnd { migration: id, epoch })
        {
            return;
        }
        if !self.can_work(&target) {
            self.set_status(at, id, MigrationStatus::Error);
            self.break_instance(instance, &format!("{target} did not take the migrated disk"));
            return;
        }
        let guest = if record.was == VmState::Active { GuestState::Running } else { GuestState::Off };
        self.put_guest(at, &target, instance, Some(guest));
        self.move_record(instance, Some(&target));
        if let Some(found) = self.instances.get_mut(&instance) {
            (found.vm_state, found.task_state) = (VmState::Resized, None);
            found.power = Some(guest);
        }
        self.set_status(at, id, MigrationStatus::Finished);
        self.report_load(&target);
    }

    /// `confirmResize`: the source gives its share up.
    pub fn confirm_resize(&mut self, now: u64, by: Caller, id: InstanceId) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Confirm, Some(id), |nova| {
            let migration = nova.check_resized(by, id, "confirmResize")?;
            nova.push(now + nova.settings.cast_ms, Event::Confirm(migration));
            Ok(())
        })
    }

    /// `revertResize`: everything as it was.
    pub fn revert_resize(&mut self, now: u64, by: Caller, id: InstanceId) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Confirm, Some(id), |nova| {
            let migration = nova.check_resized(by, id, "revertResize")?;
            if let Some(instance) = nova.instances.get_mut(&id) {
                instance.task_state = Some(TaskState::ResizeReverting);
            }
            nova.push(now + nova.settings.cast_ms, Event::Revert(migration));
            Ok(())
        })
    }

    fn check_resized(&self, by: Caller, id: InstanceId, action: &str) -> Result<MigrationId, NovaError> {
        let instance = self.get(id)?;
        check_lock(by, instance)?;
        check_state(action, instance, &[VmState::Resized])?;
        self.finished(id).map(|record| record.id).ok_or_else(|| refused(action, id, "migration", "None"))
    }

    fn finished(&self, id: InstanceId) -> Option<&Migration> {
        let mut records =
            self.instances.get(&id)?.migrations.iter().rev().filter_map(|id| self.migrations.get(id));
        records
            .find(|record| record.kind == MigrationKind::Cold && record.status == MigrationStatus::Finished)
    }

    pub(super) fn confirm_now(&mut self, at: u64, id: MigrationId) {
        let Some(record) = self.migrations.get(&id).cloned() else { return };
        if record.status != MigrationStatus::Finished || self.waits(&record.source, Event::Confirm(id)) {
            return;
        }
        self.put_guest(at, &record.source, record.instance, None);
        self.placement.release(Consumer::Migration(id), &record.source);
        self.set_status(at, id, MigrationStatus::Confirmed);
        self.settle_resize(record.instance, record.was);
    }

    pub(super) fn revert_now(&mut self, at: u64, id: MigrationId) {
        let Some(record) = self.migrations.get(&id).cloned() else { return };
        let Some(target) = record.target.clone() else { return };
        if record.status != MigrationStatus::Finished || self.waits(&target, Event::Revert(id)) {
            return;
        }
        if self.waits(&record.source, Event::Revert(id)) {
            return;
        }
        let instance = record.instance;
        let guest = if record.was == VmState::Active { GuestState::Running } else { GuestState::Off };
        self.put_guest(at, &target, instance, None);
        self.placement.release(Consumer::Instance(instance), &target);
        self.placement.hand_over(Consumer::Migration(id), Consumer::Instance(instance), &record.source);
        self.put_guest(at, &record.source, instance, Some(guest));
        self.move_record(instance, Some(&record.source));
        self.set_status(at, id, MigrationStatus::Reverted);
        self.settle_resize(instance, record.was);
        if let Some(found) = self.instances.get_mut(&instance) {
            found.power = Some(guest);
        }
    }

    fn settle_resize(&mut self, id: InstanceId, was: VmState) {
        if let Some(found) = self.instances.get_mut(&id) {
            (found.vm_state, found.task_state) = (was, None);
        }
    }
}
