//! Instances in Nova's record, and the calls that show and change one of them.
//!
//! A call that needs the host is only a message to it: it is accepted while the host is dead, and waits. Must never change
//! a guest while nobody works at its host.

use super::queue::{Event, Verb};
use super::types::{Caller, GuestState, Instance, InstanceId, NovaError, TaskState, VmState};
use super::{Consumer, Nova};
use ostler_model::ids::HostName;

/// Which instances to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFilter {
    /// Of this host.
    pub host: Option<HostName>,
    /// In this state.
    pub vm_state: Option<VmState>,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPage {
    /// Newest first.
    pub servers: Vec<Instance>,
    /// The marker to go on with: the `next` link, if there is one.
    pub next: Option<InstanceId>,
}

pub(super) fn refused(action: &str, id: InstanceId, attr: &str, state: &str) -> NovaError {
    NovaError::Conflict(format!("Cannot '{action}' instance {id} while it is in {attr} {state}"))
}

pub(super) fn forbidden(rule: &str) -> NovaError {
    NovaError::Forbidden(format!("Policy doesn't allow os_compute_api:{rule} to be performed."))
}

/// Refuses an action in other states than these, or while a task is under way.
pub(super) fn check_state(action: &str, instance: &Instance, states: &[VmState]) -> Result<(), NovaError> {
    if !states.contains(&instance.vm_state) {
        return Err(refused(action, instance.id, "vm_state", instance.vm_state.word()));
    }
    match instance.task_state {
        None => Ok(()),
        Some(task) => Err(refused(action, instance.id, "task_state", task.word())),
    }
}

/// Refuses those whom a lock keeps out; it keeps out no administrator.
pub(super) fn check_lock(by: Caller, instance: &Instance) -> Result<(), NovaError> {
    match instance.locked && !by.admin {
        true => Err(NovaError::Conflict(format!("Instance {} is locked", instance.id))),
        false => Ok(()),
    }
}

impl Nova {
    pub(super) fn get(&self, id: InstanceId) -> Result<&Instance, NovaError> {
        let gone = || NovaError::Gone(format!("Instance {id} could not be found."));
        self.instances.get(&id).ok_or_else(gone)
    }

    /// Puts an instance into the cloud as if it had been there for long, with the guest that its state wants.
    pub fn place(&mut self, now: u64, instance: Instance, host: Option<&HostName>) -> InstanceId {
        self.advance(now);
        let (flavour, state) = (instance.flavour, instance.vm_state);
        let id = self.insert(instance);
        if let Some(host) = host {
            self.move_record(id, Some(host));
            self.placement.record(Consumer::Instance(id), host, flavour);
            let guest = match state {
                VmState::Active | VmState::Rescued => Some(GuestState::Running),
                VmState::Paused => Some(GuestState::Paused),
                VmState::Building | VmState::ShelvedOffloaded => None,
                VmState::Stopped | VmState::Suspended | VmState::Resized | VmState::Error => {
                    Some(GuestState::Off)
                }
            };
            self.put_guest(now, host, id, guest);
            if let Some(instance) = self.instances.get_mut(&id) {
                instance.power = guest;
            }
        }
        id
    }

    fn insert(&mut self, mut instance: Instance) -> InstanceId {
        let id = InstanceId(self.next_id());
        instance.id = id;
        instance.host = None;
        if let Some(group) = instance.group.and_then(|group| self.groups.get_mut(&group)) {
            group.members.insert(id);
        }
        self.instances.insert(id, instance);
        id
    }

    /// `POST /servers`: the scheduler finds a host, the host builds the guest.
    pub fn create(&mut self, now: u64, by: Caller, mut instance: Instance) -> Result<InstanceId, NovaError> {
        self.answer(now, by, Verb::Create, None, |nova| {
            (instance.vm_state, instance.task_state) = (VmState::Building, Some(TaskState::Spawning));
            (instance.launched, instance.power) = (false, None);
            let id = nova.insert(instance);
            let when = now + nova.about(nova.settings.schedule_ms);
            nova.push(when, Event::Build { instance: id });
            Ok(id)
        })
    }

    pub(super) fn build(&mut self, at: u64, id: InstanceId) {
        let Some(flavour) = self.instances.get(&id).map(|instance| instance.flavour) else { return };
        let host = self.choose(at, id, &[], None);
        let host = host.filter(|host| self.placement.claim(Consumer::Instance(id), host, flavour));
        let Some(host) = host else {
            self.break_instance(id, "No valid host was found. There are not enough hosts available.");
            return;
        };
        self.move_record(id, Some(&host));
        let epoch = self.hosts.get(&host).map_or(0, |host| host.epoch);
        let when = at + self.about(self.settings.rebuild_ms);
        self.push(when, Event::Built { host, epoch, instance: id });
    }

    pub(super) fn built(&mut self, at: u64, host: &HostName, epoch: u64, id: InstanceId) {
        let alive = self.hosts.get(host).is_some_and(|host| host.epoch == epoch);
        if !alive || self.waits(host, Event::Built { host: host.clone(), epoch, instance: id }) {
            return;
        }
        let Some(instance) = self.instances.get_mut(&id) else { return };
        if instance.task_state == Some(TaskState::Spawning) {
            (instance.vm_state, instance.task_state) = (VmState::Active, None);
            (instance.launched, instance.power) = (true, Some(GuestState::Running));
            self.put_guest(at, host, id, Some(GuestState::Running));
        }
    }

    /// Puts an instance into error.
    pub(super) fn break_instance(&mut self, id: InstanceId, why: &str) {
        if let Some(instance) = self.instances.get_mut(&id) {
            (instance.vm_state, instance.task_state) = (VmState::Error, None);
            instance.fault = Some(why.into());
        }
    }

    /// `GET /servers/detail?all_tenants=1`. More than the page limit is never given, whatever was asked for.
    pub fn list_servers(
        &mut self,
        now: u64,
        by: Caller,
        filter: &ServerFilter,
        limit: Option<usize>,
        marker: Option<InstanceId>,
    ) -> Result<ServerPage, NovaError> {
        self.answer(now, by, Verb::ListServers, None, |nova| {
            if !by.admin {
                return Err(forbidden("servers:detail:get_all_tenants"));
            }
            if let Some(marker) = marker.filter(|marker| !nova.instances.contains_key(marker)) {
                return Err(NovaError::Bad(format!("marker [{marker}] not found")));
            }
            let limit = limit.unwrap_or(usize::MAX).min(nova.settings.page_limit);
            let before = marker.unwrap_or(InstanceId(u64::MAX));
            let wanted =
                |instance: &&Instance| filter.vm_state.is_none_or(|state| state == instance.vm_state);
            let mut servers: Vec<Instance> = match &filter.host {
                Some(host) => {
                    let here = nova
                        .hosts
                        .get(host)
                        .into_iter()
                        .flat_map(|host| host.instances.range(..before).rev());
                    let here = here.filter_map(|id| nova.instances.get(id));
                    here.filter(wanted).take(limit + 1).cloned().collect()
                }
                None => {
                    let all = nova.instances.range(..before).rev().map(|(_, instance)| instance);
                    all.filter(wanted).take(limit + 1).cloned().collect()
                }
            };
            let more = servers.len() > limit;
            servers.truncate(limit);
            let next = servers.last().map(|last| last.id).filter(|_| more);
            Ok(ServerPage { servers, next })
        })
    }

    /// `GET /servers/UUID`.
    pub fn show_server(&mut self, now: u64, by: Caller, id: InstanceId) -> Result<Instance, NovaError> {
        self.answer(now, by, Verb::ShowServer, Some(id), |nova| nova.get(id).cloned())
    }

    /// `os-stop`: accepted also while the host is dead; then nothing happens until it is back.
    pub fn stop(&mut self, now: u64, by: Caller, id: InstanceId) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Stop, Some(id), |nova| {
            let states = [VmState::Active, VmState::Error];
            let host = nova.begin_power(by, id, "stop", &states, TaskState::PoweringOff)?;
            let when = now + nova.about(nova.settings.guest_ms);
            nova.push(when, Event::Stop { host, instance: id });
            Ok(())
        })
    }

    /// `os-start`.
    pub fn start(&mut self, now: u64, by: Caller, id: InstanceId) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Start, Some(id), |nova| {
            let host = nova.begin_power(by, id, "start", &[VmState::Stopped], TaskState::PoweringOn)?;
            let when = now + nova.about(nova.settings.guest_ms);
            nova.push(when, Event::Start { host, instance: id });
            Ok(())
        })
    }

    fn begin_power(
        &mut self,
        by: Caller,
        id: InstanceId,
        action: &str,
        states: &[VmState],
        task: TaskState,
    ) -> Result<HostName, NovaError> {
        let instance = self.get(id)?;
        check_lock(by, instance)?;
        let not_ready = || NovaError::Conflict(format!("Instance {id} is not ready"));
        let host = instance.host.clone().ok_or_else(not_ready)?;
        check_state(action, instance, states)?;
        if let Some(instance) = self.instances.get_mut(&id) {
            instance.task_state = Some(task);
        }
        Ok(host)
    }

    pub(super) fn stop_now(&mut self, at: u64, host: &HostName, id: InstanceId) {
        self.switch(at, host, id, TaskState::PoweringOff);
    }

    pub(super) fn start_now(&mut self, at: u64, host: &HostName, id: InstanceId) {
        self.switch(at, host, id, TaskState::PoweringOn);
    }

    fn switch(&mut self, at: u64, host: &HostName, id: InstanceId, task: TaskState) {
        let off = task == TaskState::PoweringOff;
        let (name, instance) = (host.clone(), id);
        let event = match off {
            true => Event::Stop { host: name, instance },
            false => Event::Start { host: name, instance },
        };
        if self.waits(host, event) {
            return;
        }
        let Some(instance) = self.instances.get_mut(&id) else { return };
        if instance.host.as_ref() != Some(host) || instance.task_state != Some(task) {
            return;
        }
        let guest = if off { GuestState::Off } else { GuestState::Running };
        instance.vm_state = if off { VmState::Stopped } else { VmState::Active };
        instance.task_state = None;
        instance.power = Some(guest);
        self.put_guest(at, host, id, Some(guest));
    }

    /// `os-resetState`: writes a state down, and forgets the task. Nothing else.
    pub fn reset_state(
        &mut self,
        now: u64,
        by: Caller,
        id: InstanceId,
        active: bool,
    ) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Reset, Some(id), |nova| {
            nova.get(id)?;
            if !by.admin {
                return Err(forbidden("os-admin-actions:reset_state"));
            }
            if let Some(instance) = nova.instances.get_mut(&id) {
                instance.vm_state = if active { VmState::Active } else { VmState::Error };
                instance.task_state = None;
            }
            Ok(())
        })
    }

    /// `lock`, with a reason from 2.73 on.
    pub fn lock(
        &mut self,
        now: u64,
        by: Caller,
        id: InstanceId,
        reason: Option<&str>,
    ) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Lock, Some(id), |nova| {
            nova.get(id)?;
            if reason.is_some() && by.micro < 73 {
                return Err(NovaError::Bad(
                    "Additional properties are not allowed ('locked_reason' was unexpected)".into(),
                ));
            }
            if let Some(instance) = nova.instances.get_mut(&id) {
                instance.locked = true;
                instance.lock_reason = reason.map(str::to_owned);
            }
            Ok(())
        })
    }

    /// `unlock`.
    pub fn unlock(&mut self, now: u64, by: Caller, id: InstanceId) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Lock, Some(id), |nova| {
            nova.get(id)?;
            if let Some(instance) = nova.instances.get_mut(&id) {
                (instance.locked, instance.lock_reason) = (false, None);
            }
            Ok(())
        })
    }

    /// `DELETE /servers/UUID`. While the service is down only the record goes; the guest, if it runs, runs on.
    pub fn delete(&mut self, now: u64, by: Caller, id: InstanceId) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Delete, Some(id), |nova| {
            let instance = nova.get(id)?;
            check_lock(by, instance)?;
            let host = instance.host.clone().filter(|host| nova.is_up(host, now));
            match host {
                None => nova.forget(id),
                Some(host) => {
                    let when = now + nova.about(nova.settings.guest_ms);
                    if let Some(instance) = nova.instances.get_mut(&id) {
                        instance.task_state = Some(TaskState::Deleting);
                    }
                    nova.push(when, Event::Delete { host, instance: id });
                }
            }
            Ok(())
        })
    }

    pub(super) fn delete_now(&mut self, at: u64, host: &HostName, id: InstanceId) {
        if self.waits(host, Event::Delete { host: host.clone(), instance: id }) {
            return;
        }
        let Some(instance) = self.instances.get(&id) else { return };
        if instance.host.as_ref() == Some(host) && instance.task_state == Some(TaskState::Deleting) {
            self.put_guest(at, host, id, None);
            self.forget(id);
        }
    }

    fn forget(&mut self, id: InstanceId) {
        self.move_record(id, None);
        self.placement.release_all(Consumer::Instance(id));
        let group = self.instances.remove(&id).and_then(|instance| instance.group);
        if let Some(group) = group.and_then(|group| self.groups.get_mut(&group)) {
            group.members.remove(&id);
        }
        self.deleted.insert(id);
    }
}
