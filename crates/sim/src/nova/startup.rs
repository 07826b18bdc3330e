//! What a nova-compute does by itself: its start, its comparison of power states, its tidying up.
//!
//! Only a *start* looks for guests that were evacuated. A process that was merely cut off never asks, so it must never
//! stop them either: that is how two copies come to run.

use super::queue::Event;
use super::types::{GuestState, InstanceId, MigrationId, TaskState, VmState};
use super::{Compute, Consumer, GuestsAtBoot, MigrationKind, MigrationStatus, Nova};
use ostler_model::ids::HostName;

impl Nova {
    pub(super) fn kill_compute(&mut self, now: u64, name: &HostName) {
        let Some(host) = self.hosts.get_mut(name) else { return };
        host.epoch += 1;
        host.compute = Compute::Stopped;
        host.live_queue.clear();
        host.live_running = 0;
        self.refresh_beat(now, name, false);
    }

    /// Ends nova-compute; guests run on.
    pub fn stop_compute(&mut self, now: u64, name: &HostName) {
        self.advance(now);
        self.kill_compute(now, name);
    }

    /// Starts nova-compute on a machine that runs.
    pub fn start_compute(&mut self, now: u64, name: &HostName) {
        self.advance(now);
        let idle = |compute: &Compute| matches!(compute, Compute::Stopped | Compute::Refused(_));
        if self.hosts.get(name).is_some_and(|host| host.power && idle(&host.compute)) {
            self.begin_start(now, name);
        }
    }

    /// Ends nova-compute and starts it.
    pub fn restart_compute(&mut self, now: u64, name: &HostName) {
        self.stop_compute(now, name);
        self.start_compute(now, name);
    }

    pub(super) fn booted(&mut self, at: u64, name: &HostName, boots: u64) {
        let Some(host) = self.hosts.get(name).filter(|host| host.power && host.boots == boots) else {
            return;
        };
        if host.spec.at_boot == GuestsAtBoot::Hypervisor {
            let ran: Vec<InstanceId> =
                host.guests.iter().filter(|(_, guest)| guest.ran).map(|(id, _)| *id).collect();
            for id in ran {
                self.put_guest(at, name, id, Some(GuestState::Running));
            }
        }
        self.begin_start(at, name);
    }

    fn begin_start(&mut self, at: u64, name: &HostName) {
        let start_ms = self.about(self.settings.compute_start_ms);
        let bus = self.bus;
        let Some(host) = self.hosts.get_mut(name) else { return };
        host.epoch += 1;
        if host.known && !host.identity {
            host.compute = Compute::Refused(
                "No local node identity found, but this is not our first startup on this host. Refusing to start \
                 after potentially having lost that state!"
                    .into(),
            );
            return;
        }
        if !host.known && !host.guests.is_empty() {
            host.compute = Compute::Refused(
                "My hypervisor has existing instances, but I appear to be a new service in this database. Possible \
                 database configuration error, refusing to start!"
                    .into(),
            );
            return;
        }
        host.identity = true;
        if !host.link || !bus {
            host.compute = Compute::Waiting;
            return;
        }
        host.compute = Compute::Starting;
        let epoch = host.epoch;
        self.push(at + start_ms, Event::Init { host: name.clone(), epoch });
    }

    /// Goes on with a start that had to wait for database or broker.
    pub(super) fn resume_waiting(&mut self, at: u64, name: &HostName) {
        if self.hosts.get(name).is_some_and(|host| host.power && host.compute == Compute::Waiting) {
            self.begin_start(at, name);
        }
    }

    /// Whether a start is still the one that an event belongs to; a start that has lost its way waits.
    fn goes_on(&mut self, name: &HostName, epoch: u64) -> bool {
        let bus = self.bus;
        let Some(host) = self.hosts.get_mut(name) else { return false };
        if host.epoch != epoch || host.compute != Compute::Starting {
            return false;
        }
        if !host.link || !bus {
            host.compute = Compute::Waiting;
            return false;
        }
        true
    }

    pub(super) fn init_compute(&mut self, at: u64, name: &HostName, epoch: u64) {
        if !self.goes_on(name, epoch) {
            return;
        }
        let Some(host) = self.hosts.get(name) else { return };
        // Accepted ones count, too: the source may be back in the middle of its own evacuation.
        let open = [MigrationStatus::Accepted, MigrationStatus::PreMigrating, MigrationStatus::Done];
        let record =
            |id: &MigrationId| self.migrations.get(id).map(|record| (*id, record.instance, record.status));
        let records: Vec<(MigrationId, InstanceId)> = (host.evacuated.iter().filter_map(record))
            .filter(|(_, _, status)| open.contains(status))
            .map(|(id, instance, _)| (id, instance))
            .collect();
        let mut local: Vec<InstanceId> = records.iter().map(|(_, instance)| *instance).collect();
        local.sort();
        local.dedup();
        local.retain(|instance| host.guests.contains_key(instance));
        let mut when = at;
        for instance in local {
            when += self.about(self.settings.destroy_ms);
            self.push(when, Event::Destroy { host: name.clone(), epoch, instance });
        }
        let evacuated = records.into_iter().map(|(id, _)| id).collect();
        self.push(when, Event::Ready { host: name.clone(), epoch, evacuated });
    }

    pub(super) fn destroy_evacuated(&mut self, at: u64, name: &HostName, epoch: u64, id: InstanceId) {
        if self.goes_on(name, epoch) {
            self.put_guest(at, name, id, None);
        }
    }

    pub(super) fn compute_ready(&mut self, at: u64, name: &HostName, epoch: u64, evacuated: &[MigrationId]) {
        if !self.goes_on(name, epoch) {
            return;
        }
        let mut away = Vec::new();
        for id in evacuated {
            let Some(instance) = self.migrations.get(id).map(|record| record.instance) else { continue };
            self.placement.release(Consumer::Instance(instance), name);
            self.set_status(at, *id, MigrationStatus::Completed);
            away.push(instance);
        }
        let Some(host) = self.hosts.get_mut(name) else { return };
        host.evacuated.retain(|id| !evacuated.contains(id));
        host.compute = Compute::Running;
        let own: Vec<InstanceId> = host.instances.iter().filter(|id| !away.contains(id)).copied().collect();
        for id in own {
            self.init_instance(at, name, id);
        }
        self.refresh_beat(at, name, true);
        self.wake(at, name);
        self.plan_reap(at, name);
        let first = at + self.settings.first_sync_ms;
        if let Some(host) = self.hosts.get_mut(name) {
            host.sync_at = Some(first);
            self.push(first, Event::Sync { host: name.clone() });
        }
    }

    /// What a start does with an instance that was in the middle of something.
    fn init_instance(&mut self, at: u64, name: &HostName, id: InstanceId) {
        let Some(instance) = self.instances.get_mut(&id) else { return };
        match (instance.vm_state, instance.task_state) {
            (VmState::Error, _) => {}
            (VmState::Building, _)
            | (_, Some(TaskState::Spawning | TaskState::Rebuilding | TaskState::RebuildSpawning)) => {
                instance.vm_state = VmState::Error;
                instance.task_state = None;
                instance.fault = Some("nova-compute was restarted in the middle of the work".into());
            }
            (_, Some(TaskState::Deleting)) => self.delete_now(at, name, id),
            (_, Some(TaskState::PoweringOff)) => {
                self.push(at, Event::Stop { host: name.clone(), instance: id });
            }
            (_, Some(TaskState::PoweringOn)) => {
                self.push(at, Event::Start { host: name.clone(), instance: id });
            }
            (_, Some(TaskState::Migrating)) => {
                instance.task_state = None;
                let open = instance.migrations.clone();
                for migration in open {
                    let record = self.migrations.get(&migration);
                    if record.is_some_and(|record| {
                        record.kind == MigrationKind::Live && record.status == MigrationStatus::Running
                    }) {
                        self.live_over(at, migration, MigrationStatus::Error, None);
                    }
                }
            }
            (_, Some(TaskState::ResizeMigrating)) => instance.task_state = None,
            _ => {
                let Some(host) = self.hosts.get(name) else { return };
                let resumes = host.spec.at_boot == GuestsAtBoot::Nova;
                let off = host.guests.get(&id).is_some_and(|guest| !guest.state.is_alive());
                if resumes && off && instance.power == Some(GuestState::Running) {
                    self.put_guest(at, name, id, Some(GuestState::Running));
                }
            }
        }
    }

    /// Sees to it that a host compares power states at its next turn.
    pub(super) fn mark_sync(&mut self, at: u64, name: &HostName) {
        let every = self.settings.sync_ms.max(1);
        let Some(host) = self.hosts.get_mut(name).filter(|host| host.sync_at.is_none()) else { return };
        let shift = super::types::mix(host.service.0) % every;
        let next = at + every - (at + shift) % every;
        host.sync_at = Some(next);
        self.push(next, Event::Sync { host: name.clone() });
    }

    pub(super) fn sync(&mut self, at: u64, name: &HostName) {
        let Some(host) = self.hosts.get_mut(name).filter(|host| host.sync_at == Some(at)) else { return };
        host.sync_at = None;
        let ids: Vec<InstanceId> = host.instances.iter().copied().collect();
        if self.can_report(name) {
            for id in ids {
                self.sync_one(at, name, id);
            }
        }
    }

    fn sync_one(&mut self, at: u64, name: &HostName, id: InstanceId) {
        let state = self.hosts.get(name).and_then(|host| host.guests.get(&id)).map(|guest| guest.state);
        let Some(instance) = self.instances.get_mut(&id) else { return };
        if instance.host.as_ref() != Some(name) || instance.task_state.is_some() {
            return;
        }
        instance.power = state;
        // A guest that is not found at all is only logged: the hypervisor might be restarting.
        let Some(state) = state else { return };
        let stop = match instance.vm_state {
            VmState::Active | VmState::Paused => matches!(state, GuestState::Off | GuestState::Crashed),
            VmState::Stopped => state.is_alive(),
            _ => false,
        };
        if stop {
            instance.vm_state = VmState::Stopped;
            instance.power = Some(GuestState::Off);
            self.put_guest(at, name, id, Some(GuestState::Off));
        }
    }

    pub(super) fn lifecycle(&mut self, at: u64, name: &HostName, id: InstanceId) {
        if self.can_report(name) {
            self.sync_one(at, name, id);
        }
    }

    /// Ends a guest's process, by a crash or from inside. libvirt tells nova-compute, which waits before it believes it.
    pub fn end_guest(&mut self, now: u64, name: &HostName, id: InstanceId, crashed: bool) {
        self.advance(now);
        let has = self.hosts.get(name).and_then(|host| host.guests.get(&id));
        if has.is_some_and(|guest| guest.state.is_alive()) {
            let state = if crashed { GuestState::Crashed } else { GuestState::Off };
            self.put_guest(now, name, id, Some(state));
            let when = now + self.settings.lifecycle_ms;
            self.push(when, Event::Lifecycle { host: name.clone(), instance: id });
        }
    }

    /// Defines or removes a guest by hand, behind Nova's back.
    pub fn set_guest(&mut self, now: u64, name: &HostName, id: InstanceId, state: Option<GuestState>) {
        self.advance(now);
        self.put_guest(now, name, id, state);
    }

    /// Plans the removal of guests whose instances were deleted meanwhile.
    pub(super) fn plan_reap(&mut self, at: u64, name: &HostName) {
        let left = |host: &super::Host| host.guests.keys().any(|id| self.deleted.contains(id));
        if self.hosts.get(name).is_some_and(left) {
            self.push(at + self.settings.reap_ms, Event::Reap { host: name.clone() });
        }
    }

    pub(super) fn reap(&mut self, at: u64, name: &HostName) {
        if !self.can_report(name) {
            return;
        }
        let Some(host) = self.hosts.get(name) else { return };
        let gone: Vec<InstanceId> =
            host.guests.keys().filter(|id| self.deleted.contains(id)).copied().collect();
        for id in gone {
            self.put_guest(at, name, id, None);
        }
    }
}
