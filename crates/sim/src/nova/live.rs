//! Live migration: checked by the conductor, queued at the source, copied by the hypervisors, written down by the source.
//!
//! The hypervisors finish what they began even when nova-compute is gone; then the guest is at the target and the record
//! is not. Must never let a guest run on both sides.

use super::instances::{check_lock, check_state, forbidden};
use super::queue::{Event, Stage, Verb};
use super::types::{Caller, GuestState, InstanceId, MigrationId, NovaError, TaskState, VmState};
use super::{Consumer, MigrationKind, MigrationStatus, Nova};
use ostler_model::ids::HostName;

/// The body of an `os-migrateLive` action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveRequest {
    /// The target.
    pub host: Option<HostName>,
    /// Whether the target is taken without asking the scheduler (2.30 to 2.67).
    pub force: Option<bool>,
}

impl Nova {
    /// `os-migrateLive`. From 2.34 on success only means that it was accepted; before, what the conductor refuses is a 400.
    pub fn live_migrate(
        &mut self,
        now: u64,
        by: Caller,
        id: InstanceId,
        request: &LiveRequest,
    ) -> Result<(), NovaError> {
        self.answer(now, by, Verb::LiveMigrate, Some(id), |nova| {
            if !by.admin {
                return Err(forbidden("os-migrate-server:migrate_live"));
            }
            if request.force.is_some() && !(30..=67).contains(&by.micro) {
                let text = "Additional properties are not allowed ('force' was unexpected)";
                return Err(NovaError::Bad(text.into()));
            }
            if request.force == Some(true) && request.host.is_none() {
                return Err(NovaError::Bad("Can't force to a non-provided destination".into()));
            }
            let instance = nova.get(id)?;
            check_lock(by, instance)?;
            check_state("os-migrateLive", instance, &[VmState::Active, VmState::Paused])?;
            if let Some(host) = request.host.as_ref().filter(|host| !nova.hosts.contains_key(*host)) {
                return Err(NovaError::Bad(format!("Compute host {host} could not be found.")));
            }
            let Some(migration) = nova.new_migration(now, MigrationKind::Live, id, request.host.as_ref())
            else {
                return Err(NovaError::Conflict(format!("Instance {id} is not ready")));
            };
            if let Some(record) = nova.migrations.get_mut(&migration) {
                record.bypass = request.host.is_some() && (by.micro < 30 || request.force == Some(true));
            }
            if let Some(instance) = nova.instances.get_mut(&id) {
                instance.task_state = Some(TaskState::Migrating);
            }
            nova.live_open.insert(migration);
            if by.micro < 34 && nova.bus {
                return nova.live_schedule(now, migration);
            }
            let when = now + nova.about(nova.settings.schedule_ms);
            nova.push(when, Event::LiveSchedule(migration));
            Ok(())
        })
    }

    /// The conductor's part. The error is what callers of old versions are told.
    pub(super) fn live_schedule(&mut self, at: u64, id: MigrationId) -> Result<(), NovaError> {
        let Some(record) = self.migrations.get(&id) else { return Ok(()) };
        let (source, asked, bypass) = (record.source.clone(), record.target.clone(), record.bypass);
        let instance = record.instance;
        let Some(found) = self.instances.get(&instance) else {
            self.live_over(at, id, MigrationStatus::Error, None);
            return Ok(());
        };
        let flavour = found.flavour;
        let refusal = if !found.power.is_some_and(GuestState::is_alive) {
            Some(format!(
                "Instance {instance} in power_state shutdown. Cannot live_migrate while the instance is in this state."
            ))
        } else if !self.is_up(&source, at) {
            Some(format!("Compute service of {source} is unavailable at this time."))
        } else {
            None
        };
        if let Some(why) = refusal {
            self.live_over(at, id, MigrationStatus::Error, Some(&why));
            return Err(NovaError::Bad(why));
        }
        self.placement.hand_over(Consumer::Instance(instance), Consumer::Migration(id), &source);
        let found = match (bypass, asked) {
            (true, Some(target)) => self.check_forced(at, instance, &source, target),
            (_, asked) => self.find_live_target(at, instance, &source, asked.as_ref()),
        };
        let claimed = found.and_then(|target| {
            match self.placement.claim(Consumer::Instance(instance), &target, flavour) {
                true => Ok(target),
                false => Err("No valid host was found. Unable to move instance: not enough room.".to_owned()),
            }
        });
        match claimed {
            Ok(target) => {
                if let Some(record) = self.migrations.get_mut(&id) {
                    record.target = Some(target);
                }
                self.push(at + self.settings.cast_ms, Event::LiveArrive(id));
                Ok(())
            }
            Err(why) => {
                self.live_over(at, id, MigrationStatus::Error, Some(&why));
                Err(NovaError::Bad(why))
            }
        }
    }

    fn check_forced(
        &mut self,
        at: u64,
        id: InstanceId,
        source: &HostName,
        target: HostName,
    ) -> Result<HostName, String> {
        if target == *source {
            return Err(format!("Unable to migrate instance ({id}) to current host ({source})."));
        }
        if !self.is_up(&target, at) {
            return Err(format!("Compute service of {target} is unavailable at this time."));
        }
        match self.ordered(Stage::LiveCheck, id, Some(&target)) {
            Some(why) => Err(format!("Migration pre-check error: {why}")),
            None => Ok(target),
        }
    }

    fn find_live_target(
        &mut self,
        at: u64,
        id: InstanceId,
        source: &HostName,
        asked: Option<&HostName>,
    ) -> Result<HostName, String> {
        let mut skip = vec![source.clone()];
        // Each turn leaves one host out, so there are no more turns than hosts.
        while let Some(target) = self.choose(at, id, &skip, asked) {
            if self.ordered(Stage::LiveCheck, id, Some(&target)).is_none() {
                return Ok(target);
            }
            skip.push(target);
        }
        Err("No valid host was found. There are not enough hosts available.".to_owned())
    }

    pub(super) fn live_arrive(&mut self, at: u64, id: MigrationId) {
        let Some(record) = self.migrations.get(&id) else { return };
        let (source, status) = (record.source.clone(), record.status);
        if status != MigrationStatus::Accepted || self.waits(&source, Event::LiveArrive(id)) {
            return;
        }
        self.set_status(at, id, MigrationStatus::Queued);
        if let Some(host) = self.hosts.get_mut(&source) {
            host.live_queue.push_back(id);
        }
        self.live_pump(at, &source);
    }

    fn live_pump(&mut self, at: u64, source: &HostName) {
        let slots = self.settings.live_slots;
        while let Some(host) = self.hosts.get_mut(source).filter(|host| host.live_running < slots) {
            let (Some(id), epoch) = (host.live_queue.pop_front(), host.epoch) else { return };
            host.live_running += 1;
            if let Some(record) = self.migrations.get_mut(&id) {
                record.source_epoch = epoch;
            }
            self.set_status(at, id, MigrationStatus::Preparing);
            let when = at + self.about(self.settings.live_ms);
            self.push(when, Event::LiveStart { migration: id, epoch });
        }
    }

    pub(super) fn live_start(&mut self, at: u64, id: MigrationId, epoch: u64) {
        let Some(record) = self.migrations.get(&id) else { return };
        let (source, instance) = (record.source.clone(), record.instance);
        let Some(target) = record.target.clone() else { return };
        let lives = self.hosts.get(&source).is_some_and(|host| host.epoch == epoch);
        if !lives || record.status != MigrationStatus::Preparing {
            return;
        }
        if self.waits(&source, Event::LiveStart { migration: id, epoch }) {
            return;
        }
        if !self.can_work(&target) {
            let why = format!("Pre live migration failed at {target}: timed out waiting for a reply");
            self.live_over(at, id, MigrationStatus::Error, Some(&why));
            return;
        }
        let guest = self.hosts.get(&source).and_then(|host| host.guests.get(&instance));
        if !guest.is_some_and(|guest| guest.state.is_alive()) {
            let why = "Requested operation is not valid: domain is not running";
            self.live_over(at, id, MigrationStatus::Error, Some(why));
            return;
        }
        let (ram_mb, converges) =
            self.instances.get(&instance).map_or((0, true), |found| (found.flavour.ram_mb, found.converges));
        let takes_ms = match converges {
            true => self.about(ram_mb * 1_000 / self.settings.live_mb_per_s.max(1)),
            // At least two GiB are counted, however small the guest is.
            false => self.settings.live_limit_ms_per_gib * (ram_mb >> 10).max(2),
        };
        self.set_status(at, id, MigrationStatus::Running);
        let boots = |nova: &Nova, name: &HostName| nova.hosts.get(name).map_or(0, |host| host.boots);
        let (source_boots, target_boots) = (boots(self, &source), boots(self, &target));
        let Some(record) = self.migrations.get_mut(&id) else { return };
        record.run += 1;
        (record.source_boots, record.target_boots) = (source_boots, target_boots);
        let run = record.run;
        self.push(at + takes_ms, Event::LiveEnd { migration: id, run });
    }

    /// The copying is over, or its limit is reached.
    pub(super) fn live_end(&mut self, at: u64, id: MigrationId, run: u64) {
        let Some((source, target)) = self.live_sides(id, run) else { return };
        let Some(record) = self.migrations.get(&id) else { return };
        let (instance, moved, broken, epoch) =
            (record.instance, record.moved, record.broken, record.source_epoch);
        let here = self.hosts.get(&source);
        if here.is_none_or(|host| !host.power || host.boots != record.source_boots) && !moved {
            // The guest went with its machine, and the only one who would write that down is gone.
            self.live_open.remove(&id);
            return;
        }
        let converges = self.instances.get(&instance).is_none_or(|found| found.converges);
        let why = if moved {
            None
        } else if broken || !self.live_intact(id) {
            Some("operation failed: migration job: unexpectedly failed".to_owned())
        } else {
            self.ordered(Stage::LiveRun, instance, Some(&target))
        };
        if why.is_none() && converges && !moved {
            let state = here_state(self, &source, instance);
            // First away, then there: a moment on neither side is the pause that every live migration has.
            self.put_guest(at, &source, instance, None);
            self.put_guest(at, &target, instance, state);
        }
        if let Some(record) = self.migrations.get_mut(&id) {
            record.moved = moved || (why.is_none() && converges);
            record.broken = why.is_some();
        }
        if self.hosts.get(&source).is_none_or(|host| host.epoch != epoch) {
            self.live_open.remove(&id);
            return;
        }
        if self.waits(&source, Event::LiveEnd { migration: id, run }) {
            return;
        }
        match why {
            Some(why) => self.live_over(at, id, MigrationStatus::Failed, Some(&why)),
            None if converges => self.live_done(at, id),
            None => self.live_over(at, id, MigrationStatus::Cancelled, None),
        }
    }

    /// QEMU has noticed that the other side is gone, if it still is.
    pub(super) fn live_broken(&mut self, at: u64, id: MigrationId, run: u64) {
        if self.live_sides(id, run).is_some() && !self.live_intact(id) {
            if let Some(record) = self.migrations.get_mut(&id) {
                record.broken = true;
            }
            self.live_end(at, id, run);
        }
    }

    fn live_sides(&self, id: MigrationId, run: u64) -> Option<(HostName, HostName)> {
        let record = self.migrations.get(&id)?;
        let current = record.status == MigrationStatus::Running && record.run == run;
        current.then(|| Some((record.source.clone(), record.target.clone()?)))?
    }

    fn live_intact(&self, id: MigrationId) -> bool {
        let Some(record) = self.migrations.get(&id) else { return false };
        let well = |name: &HostName, boots: u64| {
            self.hosts.get(name).is_some_and(|host| host.power && host.link && host.boots == boots)
        };
        well(&record.source, record.source_boots)
            && record.target.as_ref().is_some_and(|target| well(target, record.target_boots))
    }

    /// A host was lost: what is copied from or to it will be found broken.
    pub(super) fn break_lives(&mut self, now: u64, name: &HostName) {
        let hit = |id: &MigrationId| {
            let record = self.migrations.get(id)?;
            let touched = record.source == *name || record.target.as_ref() == Some(name);
            (touched && record.status == MigrationStatus::Running).then_some((*id, record.run))
        };
        let hit: Vec<(MigrationId, u64)> = self.live_open.iter().filter_map(hit).collect();
        for (migration, run) in hit {
            self.push(now + self.settings.live_broken_ms, Event::LiveBroken { migration, run });
        }
    }

    fn live_done(&mut self, at: u64, id: MigrationId) {
        let Some(record) = self.migrations.get(&id) else { return };
        let (instance, source, target) = (record.instance, record.source.clone(), record.target.clone());
        self.move_record(instance, target.as_ref());
        if let Some(found) = self.instances.get_mut(&instance) {
            found.task_state = None;
        }
        self.placement.release(Consumer::Migration(id), &source);
        self.set_status(at, id, MigrationStatus::Completed);
        if let Some(target) = target {
            self.report_load(&target);
        }
        self.live_free(at, id);
    }

    /// Ends a live migration that came to nothing: the instance is as before, at its source.
    pub(super) fn live_over(&mut self, at: u64, id: MigrationId, status: MigrationStatus, why: Option<&str>) {
        let Some(record) = self.migrations.get(&id) else { return };
        let (instance, source, target) = (record.instance, record.source.clone(), record.target.clone());
        if let Some(target) = target.filter(|target| *target != source) {
            self.placement.release(Consumer::Instance(instance), &target);
        }
        self.placement.hand_over(Consumer::Migration(id), Consumer::Instance(instance), &source);
        if let Some(found) = self.instances.get_mut(&instance) {
            if found.task_state == Some(TaskState::Migrating) {
                found.task_state = None;
            }
            found.fault = why.map(str::to_owned).or(found.fault.take());
        }
        let held = self.migrations.get(&id).map(|record| record.status);
        self.set_status(at, id, status);
        match held {
            Some(MigrationStatus::Preparing | MigrationStatus::Running) => self.live_free(at, id),
            _ => drop(self.live_open.remove(&id)),
        }
    }

    fn live_free(&mut self, at: u64, id: MigrationId) {
        self.live_open.remove(&id);
        let Some(record) = self.migrations.get(&id) else { return };
        let (source, epoch) = (record.source.clone(), record.source_epoch);
        if let Some(host) = self.hosts.get_mut(&source).filter(|host| host.epoch == epoch) {
            host.live_running = host.live_running.saturating_sub(1);
            self.live_pump(at, &source);
        }
    }

    /// `DELETE /servers/UUID/migrations/ID` (2.24; also of queued ones from 2.65 on).
    pub fn abort_live(
        &mut self,
        now: u64,
        by: Caller,
        id: InstanceId,
        migration: MigrationId,
    ) -> Result<(), NovaError> {
        use MigrationStatus::{Preparing, Queued, Running};
        let states: &[MigrationStatus] =
            if by.micro >= 65 { &[Running, Queued, Preparing] } else { &[Running] };
        self.answer(now, by, Verb::Abort, Some(id), |nova| {
            nova.check_live(by, id, migration, 24, states, "abort live migration")?;
            nova.push(now + nova.settings.cast_ms, Event::LiveAbort(migration));
            Ok(())
        })
    }

    /// `force_complete` (2.22): the guest is paused until everything is copied.
    pub fn force_complete(
        &mut self,
        now: u64,
        by: Caller,
        id: InstanceId,
        migration: MigrationId,
    ) -> Result<(), NovaError> {
        self.answer(now, by, Verb::ForceComplete, Some(id), |nova| {
            nova.check_live(by, id, migration, 22, &[MigrationStatus::Running], "force complete")?;
            nova.push(now + nova.settings.cast_ms, Event::LiveForce(migration));
            Ok(())
        })
    }

    fn check_live(
        &self,
        by: Caller,
        id: InstanceId,
        migration: MigrationId,
        since: u16,
        states: &[MigrationStatus],
        action: &str,
    ) -> Result<(), NovaError> {
        let instance = self.get(id)?;
        let record = self.migrations.get(&migration).filter(|record| record.instance == id);
        let Some(record) = record.filter(|_| by.micro >= since) else {
            let text = format!("Migration {} not found for instance {id}", migration.0);
            return Err(NovaError::Gone(text));
        };
        if !by.admin {
            return Err(forbidden("servers:migrations"));
        }
        if instance.task_state != Some(TaskState::Migrating) {
            let state = instance.task_state.map_or("None", TaskState::word);
            return Err(super::instances::refused(action, id, "task_state", state));
        }
        match states.contains(&record.status) {
            true => Ok(()),
            false => Err(NovaError::Bad(format!(
                "Migration {} state of instance {id} is {}. Cannot {action} while the migration is in this state.",
                migration.0,
                record.status.word()
            ))),
        }
    }

    pub(super) fn live_abort(&mut self, at: u64, id: MigrationId) {
        use MigrationStatus::{Preparing, Queued, Running};
        let Some(record) = self.migrations.get(&id) else { return };
        let (source, status, moved) = (record.source.clone(), record.status, record.moved);
        if moved || !matches!(status, Queued | Preparing | Running) {
            return;
        }
        if self.waits(&source, Event::LiveAbort(id)) {
            return;
        }
        if let Some(host) = self.hosts.get_mut(&source) {
            host.live_queue.retain(|queued| *queued != id);
        }
        self.live_over(at, id, MigrationStatus::Cancelled, None);
    }

    pub(super) fn live_force(&mut self, at: u64, id: MigrationId) {
        let Some(record) = self.migrations.get(&id) else { return };
        let (source, instance, run, status) =
            (record.source.clone(), record.instance, record.run, record.status);
        if status != MigrationStatus::Running || self.waits(&source, Event::LiveForce(id)) {
            return;
        }
        let ram_mb = match self.instances.get_mut(&instance) {
            Some(found) => {
                found.converges = true;
                found.flavour.ram_mb
            }
            None => 0,
        };
        let takes_ms = ram_mb * 1_000 / self.settings.live_mb_per_s.max(1);
        self.push(at + takes_ms, Event::LiveEnd { migration: id, run });
    }
}

fn here_state(nova: &Nova, host: &HostName, id: InstanceId) -> Option<GuestState> {
    nova.hosts.get(host).and_then(|host| host.guests.get(&id)).map(|guest| guest.state)
}
