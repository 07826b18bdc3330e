//! Hosts as machines, and compute services as Nova's record has them.
//!
//! A service is up if it was heard from lately and nobody has forced it down; that says nothing about guests. Losing the
//! network must never stop a guest, and losing power must never change a record.

use super::queue::{Event, Verb};
use super::types::{
    Caller, Guest, GuestState, InstanceId, MigrationId, NovaError, Resources, ServiceId, mix,
};
use super::{MigrationStatus, Nova, Offer};
use ostler_model::ids::HostName;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What brings guests back when a machine boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestsAtBoot {
    /// Nothing: Nova then finds them off, and stops them in its record.
    StayOff,
    /// nova-compute with `resume_guests_state_on_host_boot`: those that are still its own.
    Nova,
    /// The hypervisor, without asking anybody.
    Hypervisor,
}

/// The nova-compute process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compute {
    /// It does not run.
    Stopped,
    /// It runs, and waits for database or broker before it does anything.
    Waiting,
    /// It looks after what happened while it was away; not heard of yet.
    Starting,
    /// It works.
    Running,
    /// It ended at its start.
    Refused(String),
}

/// A host to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSpec {
    /// The service's host name.
    pub name: HostName,
    /// The hypervisor's, often with the domain.
    pub hypervisor: String,
    /// Its availability zone.
    pub zone: String,
    /// What it has.
    pub offer: Offer,
    /// What brings guests back.
    pub at_boot: GuestsAtBoot,
    /// Whether nova-compute has run there before; a new one refuses to start where guests already are.
    pub known: bool,
}

impl HostSpec {
    /// A host of 64 processors, 256 GiB, 2 TB.
    pub fn new(name: &str) -> HostSpec {
        HostSpec {
            name: name.into(),
            hypervisor: format!("{name}.example.org"),
            zone: "nova".into(),
            offer: Offer {
                total: Resources { vcpus: 64, ram_mb: 256 << 10, disk_gb: 2_000 },
                reserved: Resources { vcpus: 0, ram_mb: 512, disk_gb: 0 },
                vcpus_percent: 400,
                ram_percent: 100,
                disk_percent: 100,
            },
            at_boot: GuestsAtBoot::StayOff,
            known: true,
        }
    }
}

/// A host: the machine, and below it what Nova's record says.
#[derive(Debug)]
pub struct Host {
    /// As it was added.
    pub spec: HostSpec,
    /// Whether the machine has power.
    pub power: bool,
    /// Whether it reaches the control plane.
    pub link: bool,
    /// Its nova-compute.
    pub compute: Compute,
    /// Whether nova-compute is heard, but hears nothing: its consumer is gone.
    pub deaf: bool,
    /// Whether the file with the node's identity is there.
    pub identity: bool,
    /// What the hypervisor has, whoever knows of it.
    pub guests: BTreeMap<InstanceId, Guest>,
    /// The instances that Nova's record says are here.
    pub instances: BTreeSet<InstanceId>,
    /// The service's identity.
    pub service: ServiceId,
    /// Whether the service is in the record.
    pub known: bool,
    /// Whether somebody has declared it down.
    pub forced_down: bool,
    /// Whether new instances may come.
    pub enabled: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Evacuation records whose source it is.
    pub(super) evacuated: BTreeSet<MigrationId>,
    pub(super) epoch: u64,
    pub(super) boots: u64,
    pub(super) parked: Vec<Event>,
    pub(super) live_queue: VecDeque<MigrationId>,
    pub(super) live_running: u32,
    pub(super) sync_at: Option<u64>,
    /// What the scheduler believes to be free, and when it looked.
    pub(super) believed: Option<(u64, u64)>,
    phase: u64,
    beats_from: Option<u64>,
    beat: Option<u64>,
}

/// A service as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSeen {
    /// Its identity.
    pub id: ServiceId,
    /// Its host.
    pub host: HostName,
    /// Its availability zone.
    pub zone: String,
    /// `state`.
    pub up: bool,
    /// `status`.
    pub enabled: bool,
    /// `disabled_reason`.
    pub reason: Option<String>,
    /// `forced_down` (2.11).
    pub forced_down: bool,
    /// When it was last heard.
    pub heard: Option<u64>,
}

/// What a `PUT /os-services/UUID` asks for (2.53).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceChange {
    /// `status`.
    pub enabled: Option<bool>,
    /// `disabled_reason`.
    pub reason: Option<String>,
    /// `forced_down`.
    pub forced_down: Option<bool>,
}

/// What a `PUT /os-services/ACTION` asks for (before 2.53).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceAction {
    /// `enable`.
    Enable,
    /// `disable-log-reason`.
    Disable(String),
    /// `force-down` (2.11).
    ForceDown(bool),
}

impl Nova {
    /// Adds a host that runs, and is heard at once if its service is known.
    pub fn add_host(&mut self, now: u64, spec: HostSpec) {
        self.advance(now);
        let service = ServiceId(self.next_id());
        let name = spec.name.clone();
        // Hosts report at their own moments, not all at once.
        let phase = mix(self.seed ^ service.0) % self.settings.report_ms.max(1);
        self.placement.offer(&name, spec.offer);
        let known = spec.known;
        let host = Host {
            spec,
            power: true,
            link: true,
            compute: if known { Compute::Running } else { Compute::Stopped },
            deaf: false,
            identity: known,
            guests: BTreeMap::new(),
            instances: BTreeSet::new(),
            service,
            known,
            forced_down: false,
            enabled: true,
            reason: None,
            evacuated: BTreeSet::new(),
            epoch: 0,
            boots: 0,
            parked: Vec::new(),
            live_queue: VecDeque::new(),
            live_running: 0,
            sync_at: None,
            believed: None,
            phase,
            beats_from: None,
            beat: None,
        };
        self.hosts.insert(name.clone(), host);
        self.services.insert(service, name.clone());
        self.refresh_beat(now, &name, true);
    }

    /// When a service was last heard.
    pub(super) fn heard(&self, host: &Host, now: u64) -> Option<u64> {
        let Some(from) = host.beats_from.filter(|from| *from <= now) else {
            return host.beat;
        };
        let every = self.settings.report_ms.max(1);
        let aligned = now.checked_sub(host.phase).map_or(0, |since| host.phase + since / every * every);
        Some(aligned.max(from))
    }

    /// Whether Nova takes a host's service for up.
    pub(super) fn is_up(&self, name: &HostName, now: u64) -> bool {
        self.hosts.get(name).is_some_and(|host| self.counts_as_up(host, now))
    }

    /// The same, of a host that is at hand.
    pub(super) fn counts_as_up(&self, host: &Host, now: u64) -> bool {
        let lately = |heard| now.saturating_sub(heard) <= self.settings.down_ms;
        !host.forced_down && self.heard(host, now).is_some_and(lately)
    }

    fn is_heard(&self, host: &Host) -> bool {
        host.power && host.link && self.bus && host.compute == Compute::Running
    }

    /// Whether a host's nova-compute takes messages and can write down what came of them.
    pub(super) fn can_work(&self, name: &HostName) -> bool {
        self.hosts.get(name).is_some_and(|host| self.is_heard(host) && !host.deaf)
    }

    /// Whether a host's nova-compute can write to the record.
    pub(super) fn can_report(&self, name: &HostName) -> bool {
        self.hosts.get(name).is_some_and(|host| self.is_heard(host))
    }

    /// Begins or ends a series of heartbeats. A process that joins reports at once, one that was cut off at its next turn.
    pub(super) fn refresh_beat(&mut self, now: u64, name: &HostName, joins: bool) {
        let Some(host) = self.hosts.get(name) else { return };
        let (is, was) = (self.is_heard(host), host.beats_from.is_some());
        let heard = self.heard(host, now);
        let every = self.settings.report_ms.max(1);
        let Some(host) = self.hosts.get_mut(name) else { return };
        if is && !was {
            let turns = now.saturating_sub(host.phase).div_ceil(every);
            host.beats_from = Some(if joins { now } else { host.phase + turns * every });
            host.known = true;
        } else if was && !is {
            host.beats_from = None;
            host.beat = heard;
        }
    }

    /// Lets a host work on what waited for it, if it can.
    pub(super) fn wake(&mut self, at: u64, name: &HostName) {
        if !self.can_work(name) {
            return;
        }
        let parked =
            self.hosts.get_mut(name).map(|host| std::mem::take(&mut host.parked)).unwrap_or_default();
        for event in parked {
            self.push(at, event);
        }
        self.mark_sync(at, name);
    }

    /// Takes power away: guests are off, the process is gone, the records are as they were.
    pub fn power_off(&mut self, now: u64, name: &HostName) {
        self.advance(now);
        let Some(host) = self.hosts.get_mut(name).filter(|host| host.power) else { return };
        host.boots += 1;
        let guests: Vec<(InstanceId, Guest)> = host.guests.iter().map(|(id, guest)| (*id, *guest)).collect();
        self.kill_compute(now, name);
        if let Some(host) = self.hosts.get_mut(name) {
            host.power = false;
        }
        for (id, guest) in guests.into_iter().filter(|(_, guest)| guest.state.is_alive()) {
            self.put_guest(now, name, id, Some(GuestState::Off));
            if let Some(off) = self.hosts.get_mut(name).and_then(|host| host.guests.get_mut(&id)) {
                off.ran = guest.state == GuestState::Running;
            }
        }
        self.break_lives(now, name);
    }

    /// Gives power: the machine boots, and its units start.
    pub fn power_on(&mut self, now: u64, name: &HostName) {
        self.advance(now);
        let boot_ms = self.about(self.settings.boot_ms);
        let Some(host) = self.hosts.get_mut(name).filter(|host| !host.power) else { return };
        host.power = true;
        let boots = host.boots;
        self.push(now + boot_ms, Event::Booted { host: name.clone(), boots });
    }

    /// Cuts a host off the control plane. Everything on it goes on.
    pub fn cut(&mut self, now: u64, name: &HostName) {
        self.advance(now);
        let Some(host) = self.hosts.get_mut(name) else { return };
        host.link = false;
        self.refresh_beat(now, name, false);
        self.break_lives(now, name);
    }

    /// Ends a cut.
    pub fn rejoin(&mut self, now: u64, name: &HostName) {
        self.advance(now);
        let Some(host) = self.hosts.get_mut(name) else { return };
        host.link = true;
        self.refresh_beat(now, name, false);
        self.wake(now, name);
        self.plan_reap(now, name);
        self.resume_waiting(now, name);
    }

    /// Makes a nova-compute deaf: it reports, but takes no messages; or ends that.
    pub fn set_deaf(&mut self, now: u64, name: &HostName, deaf: bool) {
        self.advance(now);
        let Some(host) = self.hosts.get_mut(name) else { return };
        host.deaf = deaf;
        self.wake(now, name);
    }

    /// Loses the file with the node's identity: the next start of nova-compute is refused.
    pub fn lose_identity(&mut self, name: &HostName) {
        if let Some(host) = self.hosts.get_mut(name) {
            host.identity = false;
        }
    }

    /// Puts a host into an aggregate.
    pub fn add_to_aggregate(
        &mut self,
        now: u64,
        by: Caller,
        aggregate: &str,
        name: &HostName,
    ) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Aggregate, None, |nova| {
            if !nova.hosts.contains_key(name) {
                return Err(NovaError::Gone(format!("Compute host {name} could not be found.")));
            }
            if !nova.aggregates.entry(aggregate.into()).or_default().insert(name.clone()) {
                return Err(NovaError::Conflict(format!("Aggregate {aggregate} already has host {name}.")));
            }
            Ok(())
        })
    }

    /// Takes a host out of an aggregate.
    pub fn remove_from_aggregate(
        &mut self,
        now: u64,
        by: Caller,
        aggregate: &str,
        name: &HostName,
    ) -> Result<(), NovaError> {
        self.answer(now, by, Verb::Aggregate, None, |nova| {
            match nova.aggregates.get_mut(aggregate).is_some_and(|members| members.remove(name)) {
                true => Ok(()),
                false => Err(NovaError::Gone(format!("Aggregate {aggregate} has no host {name}."))),
            }
        })
    }

    /// The aggregates with their hosts.
    pub fn aggregates(&self) -> &BTreeMap<String, BTreeSet<HostName>> {
        &self.aggregates
    }

    /// `GET /os-services?binary=nova-compute`.
    pub fn list_services(&mut self, now: u64, by: Caller) -> Result<Vec<ServiceSeen>, NovaError> {
        self.answer(now, by, Verb::ListServices, None, |nova| {
            let known = nova.hosts.iter().filter(|(_, host)| host.known);
            let seen = |(name, host): (&HostName, &Host)| ServiceSeen {
                id: host.service,
                host: name.clone(),
                zone: host.spec.zone.clone(),
                up: nova.is_up(name, now),
                enabled: host.enabled,
                reason: host.reason.clone(),
                forced_down: host.forced_down,
                heard: nova.heard(host, now),
            };
            Ok(known.map(seen).collect())
        })
    }

    /// `PUT /os-services/UUID` (2.53).
    pub fn update_service(
        &mut self,
        now: u64,
        by: Caller,
        service: ServiceId,
        change: &ServiceChange,
    ) -> Result<(), NovaError> {
        self.answer(now, by, Verb::UpdateService, None, |nova| {
            if by.micro < 53 {
                return Err(NovaError::Bad("'host' is a required property".into()));
            }
            may_update(by)?;
            let Some(name) = nova.services.get(&service).cloned() else {
                return Err(NovaError::Gone(format!("Service {} could not be found.", service.0)));
            };
            if change.enabled == Some(true) && change.reason.is_some() {
                let text = "Specifying 'disabled_reason' with status 'enabled' is invalid.";
                return Err(NovaError::Bad(text.into()));
            }
            if change.enabled.is_none() && change.forced_down.is_none() {
                let text = "No updates were requested. Fields 'status' or 'forced_down' should be specified.";
                return Err(NovaError::Bad(text.into()));
            }
            if let Some(down) = change.forced_down {
                nova.force_down(&name, down)?;
            }
            if let (Some(enabled), Some(host)) = (change.enabled, nova.hosts.get_mut(&name)) {
                host.enabled = enabled;
                host.reason = change.reason.clone().filter(|_| !enabled);
            }
            Ok(())
        })
    }

    /// `PUT /os-services/ACTION` (before 2.53).
    pub fn update_service_by_host(
        &mut self,
        now: u64,
        by: Caller,
        name: &HostName,
        action: &ServiceAction,
    ) -> Result<(), NovaError> {
        self.answer(now, by, Verb::UpdateService, None, |nova| {
            if by.micro >= 53 {
                return Err(NovaError::Bad("Invalid uuid of a service".into()));
            }
            may_update(by)?;
            if by.micro < 11 && matches!(action, ServiceAction::ForceDown(_)) {
                return Err(NovaError::Gone("Unknown action".into()));
            }
            let Some(host) = nova.hosts.get_mut(name).filter(|host| host.known) else {
                let text = format!("Could not find binary nova-compute on host {name}.");
                return Err(NovaError::Gone(text));
            };
            match action {
                ServiceAction::ForceDown(down) => nova.force_down(name, *down)?,
                ServiceAction::Enable => (host.enabled, host.reason) = (true, None),
                ServiceAction::Disable(why) => (host.enabled, host.reason) = (false, Some(why.clone())),
            }
            Ok(())
        })
    }

    fn force_down(&mut self, name: &HostName, down: bool) -> Result<(), NovaError> {
        let Some(host) = self.hosts.get_mut(name) else { return Ok(()) };
        let mut records = host.evacuated.iter().filter_map(|id| self.migrations.get(id));
        if !down && records.any(|record| record.status == MigrationStatus::Done) {
            return Err(NovaError::Bad(format!(
                "Unable to force up host {name} as `done` evacuation migration records remain associated with the host. \
                 Ensure the compute service has been restarted, allowing these records to move to `completed` before \
                 retrying this request."
            )));
        }
        host.forced_down = down;
        Ok(())
    }
}

fn may_update(by: Caller) -> Result<(), NovaError> {
    match by.admin {
        true => Ok(()),
        false => Err(NovaError::Forbidden(
            "Policy doesn't allow os_compute_api:os-services:update to be performed.".into(),
        )),
    }
}
