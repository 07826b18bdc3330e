//! Nova and Placement, pretended: what their records say, what the hypervisors really run, and how the two part.
//!
//! A pure machine: every call takes the time in milliseconds, [`Nova::advance`] lets happen what is due, and chance comes
//! from one seed. What Nova's API says and what runs are kept apart on purpose: a host that is only cut off goes on
//! running guests that were evacuated. It must never decide what should be recovered, read a clock, or tell a caller
//! more than Nova's own answers would; the unchecked truth is for tests, by the methods that say so.

mod cold;
mod evacuate;
mod instances;
mod live;
mod moves;
mod placement;
mod queue;
mod services;
mod startup;
#[cfg(test)]
mod tests;
pub(crate) mod types;

pub use evacuate::EvacuateRequest;
pub use instances::{ServerFilter, ServerPage};
pub use live::LiveRequest;
pub use moves::{Migration, MigrationFilter, MigrationKind, MigrationStatus};
pub use placement::{Consumer, Offer, Placement};
pub use queue::{ApiFault, FaultKind, Stage, Verb, WorkFault};
pub use services::{Compute, GuestsAtBoot, Host, HostSpec, ServiceAction, ServiceChange, ServiceSeen};
pub use types::{
    Caller, Disk, GroupId, Guest, GuestState, Instance, InstanceId, MigrationId, NovaError, Obstacle,
    Resources, ServiceId, TaskState, VmState,
};

use ostler_model::ids::HostName;
use queue::Event;
use std::collections::{BTreeMap, BTreeSet};

/// How this Nova is configured, and how long its work takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The newest microversion: 100 for 2.100.
    pub max_micro: u16,
    /// `report_interval`.
    pub report_ms: u64,
    /// `service_down_time`.
    pub down_ms: u64,
    /// `osapi_max_limit`.
    pub page_limit: usize,
    /// Whether an evacuation is refused while a task is under way. A modern Nova does not look.
    pub evacuation_checks_task: bool,
    /// How long API, conductor and scheduler take before a host is chosen.
    pub schedule_ms: u64,
    /// How long a message takes to a compute service.
    pub cast_ms: u64,
    /// How long a target takes to build a guest.
    pub rebuild_ms: u64,
    /// How long a hypervisor takes to start, stop or delete a guest.
    pub guest_ms: u64,
    /// `max_concurrent_live_migrations`, on each source.
    pub live_slots: u32,
    /// What a live migration takes besides copying.
    pub live_ms: u64,
    /// How fast memory is copied.
    pub live_mb_per_s: u64,
    /// `live_migration_completion_timeout`, for each GiB of memory.
    pub live_limit_ms_per_gib: u64,
    /// How long QEMU takes to notice that the other side of a migration is gone.
    pub live_broken_ms: u64,
    /// From power to the first unit.
    pub boot_ms: u64,
    /// From the start of nova-compute to the look at its evacuated guests.
    pub compute_start_ms: u64,
    /// How long nova-compute takes to destroy one evacuated guest at its start.
    pub destroy_ms: u64,
    /// `sync_power_state_interval`.
    pub sync_ms: u64,
    /// From a start of nova-compute to its first comparison of power states.
    pub first_sync_ms: u64,
    /// How long libvirt's driver waits with the news that a guest stopped.
    pub lifecycle_ms: u64,
    /// `running_deleted_instance_poll_interval`.
    pub reap_ms: u64,
    /// How old what the scheduler believes of a host's load may be.
    pub stats_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            max_micro: 100,
            report_ms: 10_000,
            down_ms: 60_000,
            page_limit: 1_000,
            evacuation_checks_task: false,
            schedule_ms: 1_000,
            cast_ms: 100,
            rebuild_ms: 10_000,
            guest_ms: 3_000,
            live_slots: 1,
            live_ms: 5_000,
            live_mb_per_s: 500,
            live_limit_ms_per_gib: 800_000,
            live_broken_ms: 30_000,
            boot_ms: 60_000,
            compute_start_ms: 5_000,
            destroy_ms: 3_000,
            sync_ms: 600_000,
            first_sync_ms: 60_000,
            lifecycle_ms: 15_000,
            reap_ms: 1_800_000,
            stats_ms: 60_000,
        }
    }
}

/// A guest that was alive on two hypervisors at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twice {
    /// Since when.
    pub at: u64,
    /// Whose guest.
    pub instance: InstanceId,
    /// Where.
    pub hosts: Vec<HostName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Affinity,
    AntiAffinity,
}

#[derive(Debug)]
struct Group {
    policy: Policy,
    members: BTreeSet<InstanceId>,
}

/// A pretended Nova with its hosts.
#[derive(Debug)]
pub struct Nova {
    settings: Settings,
    seed: u64,
    now: u64,
    pushed: u64,
    last_id: u64,
    events: BTreeMap<(u64, u64), Event>,
    /// Messages for the conductor while the bus is down.
    parked: Vec<Event>,
    bus: bool,
    hosts: BTreeMap<HostName, Host>,
    services: BTreeMap<ServiceId, HostName>,
    instances: BTreeMap<InstanceId, Instance>,
    /// Instances that were: nova-compute removes their guests where it finds them.
    deleted: BTreeSet<InstanceId>,
    migrations: BTreeMap<MigrationId, Migration>,
    /// Live migrations that are neither over nor given up: the ones that a lost host can break.
    live_open: BTreeSet<MigrationId>,
    aggregates: BTreeMap<String, BTreeSet<HostName>>,
    groups: BTreeMap<GroupId, Group>,
    placement: Placement,
    api_faults: Vec<ApiFault>,
    work_faults: Vec<WorkFault>,
    asked: BTreeMap<Verb, u64>,
    /// On how many hypervisors each instance's guest is alive.
    alive: BTreeMap<InstanceId, u32>,
    twice: BTreeSet<InstanceId>,
    twice_seen: Vec<Twice>,
}

impl Nova {
    /// An empty cloud.
    pub fn new(settings: Settings, seed: u64) -> Nova {
        Nova {
            settings,
            seed,
            now: 0,
            pushed: 0,
            last_id: 0,
            events: BTreeMap::new(),
            parked: Vec::new(),
            bus: true,
            hosts: BTreeMap::new(),
            services: BTreeMap::new(),
            instances: BTreeMap::new(),
            deleted: BTreeSet::new(),
            migrations: BTreeMap::new(),
            live_open: BTreeSet::new(),
            aggregates: BTreeMap::new(),
            groups: BTreeMap::new(),
            placement: Placement::default(),
            api_faults: Vec::new(),
            work_faults: Vec::new(),
            asked: BTreeMap::new(),
            alive: BTreeMap::new(),
            twice: BTreeSet::new(),
            twice_seen: Vec::new(),
        }
    }

    /// How it is configured.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The truth about a host: its machine, its guests, Nova's record of it.
    pub fn host(&self, name: &HostName) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// The truth about all hosts, by name.
    pub fn hosts(&self) -> impl Iterator<Item = (&HostName, &Host)> {
        self.hosts.iter()
    }

    /// Nova's record of an instance, unasked.
    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.instances.get(&id)
    }

    /// Nova's records of all instances, unasked, oldest first.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// A migration record, unasked.
    pub fn migration(&self, id: MigrationId) -> Option<&Migration> {
        self.migrations.get(&id)
    }

    /// Placement's records, unasked.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Instances whose guest is alive on two hypervisors at this moment: the violation that nothing may cause.
    pub fn active_twice(&self) -> Vec<(InstanceId, Vec<HostName>)> {
        self.twice.iter().map(|id| (*id, self.alive_on(*id))).collect()
    }

    /// Every such violation that ever began, also if it is over.
    pub fn ever_active_twice(&self) -> &[Twice] {
        &self.twice_seen
    }

    /// Guests that are alive on a hypervisor other than the one that Nova's record names.
    pub fn strays(&self) -> Vec<(InstanceId, HostName)> {
        let of = |(name, host): (&HostName, &Host)| {
            let strays = host.guests.iter().filter(|(id, guest)| {
                guest.state.is_alive()
                    && self.instances.get(id).and_then(|instance| instance.host.as_ref()) != Some(name)
            });
            strays.map(|(id, _)| (*id, name.clone())).collect::<Vec<_>>()
        };
        self.hosts.iter().flat_map(of).collect()
    }

    /// Changes a record as no API could: for setting a stage.
    pub fn change(&mut self, id: InstanceId, change: impl FnOnce(&mut Instance)) {
        let Some(instance) = self.instances.get_mut(&id) else { return };
        // Identity and place are indexed elsewhere, so they are not to be changed here.
        let (host, group, migrations) = (instance.host.clone(), instance.group, instance.migrations.clone());
        change(instance);
        instance.id = id;
        (instance.host, instance.group, instance.migrations) = (host, group, migrations);
    }

    /// A server group whose members must not share a host (or must, with `together`).
    pub fn add_group(&mut self, group: GroupId, together: bool) {
        let policy = if together { Policy::Affinity } else { Policy::AntiAffinity };
        self.groups.insert(group, Group { policy, members: BTreeSet::new() });
    }

    fn alive_on(&self, id: InstanceId) -> Vec<HostName> {
        let alive = |host: &Host| host.guests.get(&id).is_some_and(|guest| guest.state.is_alive());
        self.hosts.iter().filter(|(_, host)| alive(host)).map(|(name, _)| name.clone()).collect()
    }

    /// Changes what a hypervisor runs; none: the guest is not even defined any more.
    fn put_guest(&mut self, at: u64, name: &HostName, id: InstanceId, state: Option<GuestState>) {
        let Some(host) = self.hosts.get_mut(name) else { return };
        let before = match state {
            Some(state) => host.guests.insert(id, Guest { state, ran: false }),
            None => host.guests.remove(&id),
        };
        let was = before.is_some_and(|guest| guest.state.is_alive());
        let is = state.is_some_and(GuestState::is_alive);
        if was != is {
            let count = self.alive.entry(id).or_default();
            *count = if is { *count + 1 } else { count.saturating_sub(1) };
            let count = *count;
            if count < 2 {
                self.twice.remove(&id);
            } else if is {
                self.twice.insert(id);
                let hosts = self.alive_on(id);
                self.twice_seen.push(Twice { at, instance: id, hosts });
            }
            if count == 0 {
                self.alive.remove(&id);
            }
        }
        self.mark_sync(at, name);
    }

    /// Writes down where Nova believes an instance to be.
    fn move_record(&mut self, id: InstanceId, to: Option<&HostName>) {
        let Some(instance) = self.instances.get_mut(&id) else { return };
        if let Some(host) = instance.host.as_ref().and_then(|from| self.hosts.get_mut(from)) {
            host.instances.remove(&id);
        }
        if let Some(host) = to.and_then(|to| self.hosts.get_mut(to)) {
            host.instances.insert(id);
        }
        instance.host = to.cloned();
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A duration that varies by a tenth up and down.
    fn about(&mut self, ms: u64) -> u64 {
        self.seed = types::mix(self.seed);
        ms - ms / 10 + self.seed % (ms / 5 + 1)
    }
}
