//! What is due and when; what an API call meets on its way in; faults that a test has ordered.
//!
//! Must never drop a message: what cannot be worked on waits at its host, as it would in RabbitMQ, and is worked on when
//! that host comes back, however stale it is by then.

use super::types::{Caller, InstanceId, MigrationId, NovaError};
use super::{Nova, Settings};
use ostler_model::ids::HostName;

/// Something that will happen. What a process works on carries the process's epoch: it dies with it.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Booted { host: HostName, boots: u64 },
    Init { host: HostName, epoch: u64 },
    Destroy { host: HostName, epoch: u64, instance: InstanceId },
    Ready { host: HostName, epoch: u64, evacuated: Vec<MigrationId> },
    Sync { host: HostName },
    Reap { host: HostName },
    Lifecycle { host: HostName, instance: InstanceId },
    Build { instance: InstanceId },
    Built { host: HostName, epoch: u64, instance: InstanceId },
    Stop { host: HostName, instance: InstanceId },
    Start { host: HostName, instance: InstanceId },
    Delete { host: HostName, instance: InstanceId },
    EvacuateSchedule(MigrationId),
    EvacuateBegin(MigrationId),
    EvacuateSpawn { migration: MigrationId, epoch: u64 },
    EvacuateFinish { migration: MigrationId, epoch: u64 },
    LiveSchedule(MigrationId),
    LiveArrive(MigrationId),
    LiveStart { migration: MigrationId, epoch: u64 },
    LiveEnd { migration: MigrationId, run: u64 },
    LiveBroken { migration: MigrationId, run: u64 },
    LiveAbort(MigrationId),
    LiveForce(MigrationId),
    ColdSchedule(MigrationId),
    ColdArrive(MigrationId),
    ColdEnd { migration: MigrationId, epoch: u64 },
    Confirm(MigrationId),
    Revert(MigrationId),
}

/// What an API call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// `POST /servers`.
    Create,
    /// `DELETE /servers/…`.
    Delete,
    /// `os-start`.
    Start,
    /// `os-stop`.
    Stop,
    /// `os-resetState`.
    Reset,
    /// `lock` and `unlock`.
    Lock,
    /// `evacuate`.
    Evacuate,
    /// `os-migrateLive`.
    LiveMigrate,
    /// `DELETE /servers/…/migrations/…`.
    Abort,
    /// `force_complete`.
    ForceComplete,
    /// `migrate`.
    Migrate,
    /// `confirmResize` and `revertResize`.
    Confirm,
    /// `PUT /os-services/…`.
    UpdateService,
    /// `POST /os-aggregates/…/action`.
    Aggregate,
    /// `GET /servers/detail`.
    ListServers,
    /// `GET /servers/…`.
    ShowServer,
    /// `GET /os-services`.
    ListServices,
    /// `GET /os-migrations`.
    ListMigrations,
}

impl Verb {
    /// Whether its handler sends a message, which hangs while the bus is down.
    fn casts(self) -> bool {
        matches!(
            self,
            Verb::Create
                | Verb::Delete
                | Verb::Start
                | Verb::Stop
                | Verb::Evacuate
                | Verb::LiveMigrate
                | Verb::Abort
                | Verb::ForceComplete
                | Verb::Migrate
                | Verb::Confirm
        )
    }
}

/// How a call goes wrong before or after Nova has worked on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// 429, nothing done.
    Busy {
        /// The answer's `Retry-After`.
        retry_after_s: u32,
    },
    /// 503, nothing done.
    Unavailable,
    /// No answer, nothing done.
    CutBefore,
    /// No answer, and yet done.
    CutAfter,
}

/// Calls that are to go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiFault {
    /// Which; none: any.
    pub verb: Option<Verb>,
    /// Of which instance; none: any.
    pub instance: Option<InstanceId>,
    /// How many; `u32::MAX` is for ever.
    pub times: u32,
    /// How.
    pub kind: FaultKind,
}

/// A place in Nova's own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The scheduler finds no host.
    Schedule,
    /// A conductor dies with an evacuation in hand: nobody goes on with it, and its record stays as it is.
    Conductor,
    /// An evacuation's target fails before it has a guest.
    Rebuild,
    /// An evacuation's target fails when the guest already runs there.
    RebuildLate,
    /// A target refuses a live migration before it begins.
    LiveCheck,
    /// A live migration fails while memory is copied.
    LiveRun,
}

/// Work that is to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkFault {
    /// Where.
    pub stage: Stage,
    /// Of which instance; none: any.
    pub instance: Option<InstanceId>,
    /// On which target; none: any.
    pub host: Option<HostName>,
    /// How often; `u32::MAX` is for ever.
    pub times: u32,
    /// What the fault says.
    pub why: String,
}

fn spend(times: &mut u32) {
    if *times != u32::MAX {
        *times -= 1;
    }
}

impl Nova {
    /// Orders API calls to go wrong.
    pub fn order(&mut self, fault: ApiFault) {
        self.api_faults.push(fault);
    }

    /// Orders work to fail.
    pub fn order_work(&mut self, fault: WorkFault) {
        self.work_faults.push(fault);
    }

    /// Takes back every order.
    pub fn clear_orders(&mut self) {
        self.api_faults.clear();
        self.work_faults.clear();
    }

    /// How often a verb was asked for.
    pub fn asked(&self, verb: Verb) -> u64 {
        self.asked.get(&verb).copied().unwrap_or(0)
    }

    /// When the next thing happens by itself, if anything will.
    pub fn next_due(&self) -> Option<u64> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// Lets everything happen that is due by now. Time never goes back.
    pub fn advance(&mut self, now: u64) {
        while let Some(entry) = self.events.first_entry() {
            let at = entry.key().0;
            if at > now {
                break;
            }
            let event = entry.remove();
            self.now = self.now.max(at);
            self.happen(at, event);
        }
        self.now = self.now.max(now);
    }

    pub(super) fn push(&mut self, at: u64, event: Event) {
        self.pushed += 1;
        self.events.insert((at, self.pushed), event);
    }

    fn happen(&mut self, at: u64, event: Event) {
        let conducted = matches!(
            event,
            Event::EvacuateSchedule(_)
                | Event::LiveSchedule(_)
                | Event::ColdSchedule(_)
                | Event::Build { .. }
        );
        if conducted && !self.bus {
            self.parked.push(event);
            return;
        }
        match event {
            Event::Booted { host, boots } => self.booted(at, &host, boots),
            Event::Init { host, epoch } => self.init_compute(at, &host, epoch),
            Event::Destroy { host, epoch, instance } => self.destroy_evacuated(at, &host, epoch, instance),
            Event::Ready { host, epoch, evacuated } => self.compute_ready(at, &host, epoch, &evacuated),
            Event::Sync { host } => self.sync(at, &host),
            Event::Reap { host } => self.reap(at, &host),
            Event::Lifecycle { host, instance } => self.lifecycle(at, &host, instance),
            Event::Build { instance } => self.build(at, instance),
            Event::Built { host, epoch, instance } => self.built(at, &host, epoch, instance),
            Event::Stop { host, instance } => self.stop_now(at, &host, instance),
            Event::Start { host, instance } => self.start_now(at, &host, instance),
            Event::Delete { host, instance } => self.delete_now(at, &host, instance),
            Event::EvacuateSchedule(id) => self.evacuate_schedule(at, id),
            Event::EvacuateBegin(id) => self.evacuate_begin(at, id),
            Event::EvacuateSpawn { migration, epoch } => self.evacuate_spawn(at, migration, epoch),
            Event::EvacuateFinish { migration, epoch } => self.evacuate_finish(at, migration, epoch),
            Event::LiveSchedule(id) => {
                // Whoever asked has its answer already; the record says what came of it.
                let _known_from_record = self.live_schedule(at, id);
            }
            Event::LiveArrive(id) => self.live_arrive(at, id),
            Event::LiveStart { migration, epoch } => self.live_start(at, migration, epoch),
            Event::LiveEnd { migration, run } => self.live_end(at, migration, run),
            Event::LiveBroken { migration, run } => self.live_broken(at, migration, run),
            Event::LiveAbort(id) => self.live_abort(at, id),
            Event::LiveForce(id) => self.live_force(at, id),
            Event::ColdSchedule(id) => self.cold_schedule(at, id),
            Event::ColdArrive(id) => self.cold_arrive(at, id),
            Event::ColdEnd { migration, epoch } => self.cold_end(at, migration, epoch),
            Event::Confirm(id) => self.confirm_now(at, id),
            Event::Revert(id) => self.revert_now(at, id),
        }
    }

    /// Whether a message has to wait at its host. If so it was put there.
    pub(super) fn waits(&mut self, host: &HostName, event: Event) -> bool {
        if self.can_work(host) {
            return false;
        }
        if let Some(host) = self.hosts.get_mut(host) {
            host.parked.push(event);
        }
        true
    }

    /// Cuts the message bus off, or gives it back: no service is heard, and no message moves.
    pub fn set_bus(&mut self, now: u64, up: bool) {
        self.advance(now);
        self.bus = up;
        let names: Vec<HostName> = self.hosts.keys().cloned().collect();
        for name in &names {
            self.refresh_beat(now, name, false);
            self.wake(now, name);
            self.plan_reap(now, name);
            self.resume_waiting(now, name);
        }
        if up {
            for event in std::mem::take(&mut self.parked) {
                self.push(now, event);
            }
        }
    }

    /// Everything that a call meets before its handler: time, faults, dialect.
    pub(super) fn answer<T>(
        &mut self,
        now: u64,
        by: Caller,
        verb: Verb,
        instance: Option<InstanceId>,
        work: impl FnOnce(&mut Nova) -> Result<T, NovaError>,
    ) -> Result<T, NovaError> {
        self.advance(now);
        *self.asked.entry(verb).or_default() += 1;
        let fault = self.api_faults.iter_mut().find(|fault| {
            fault.times > 0
                && fault.verb.is_none_or(|wanted| wanted == verb)
                && (fault.instance.is_none() || fault.instance == instance)
        });
        let kind = fault.map(|fault| {
            spend(&mut fault.times);
            fault.kind
        });
        match kind {
            Some(FaultKind::Busy { retry_after_s }) => return Err(NovaError::Busy { retry_after_s }),
            Some(FaultKind::Unavailable) => return Err(NovaError::Unavailable("Service Unavailable".into())),
            Some(FaultKind::CutBefore) => return Err(NovaError::Cut("connection reset by peer".into())),
            Some(FaultKind::CutAfter) | None => {}
        }
        let Settings { max_micro, .. } = self.settings;
        if by.micro > max_micro {
            let asked = by.micro;
            return Err(NovaError::NotAcceptable(format!(
                "Version 2.{asked} is not supported by the API. Minimum is 2.1 and maximum is 2.{max_micro}."
            )));
        }
        let done = work(self);
        if kind.is_some() {
            return Err(NovaError::Cut("connection closed before message completed".into()));
        }
        if !self.bus && verb.casts() && done.is_ok() {
            // The handler waits for RabbitMQ for longer than any client waits for the handler.
            return Err(NovaError::Cut("operation timed out".into()));
        }
        done
    }

    /// Why work is to fail here, if a test has ordered that.
    pub(super) fn ordered(
        &mut self,
        stage: Stage,
        id: InstanceId,
        host: Option<&HostName>,
    ) -> Option<String> {
        let fault = self.work_faults.iter_mut().find(|fault| {
            fault.times > 0
                && fault.stage == stage
                && fault.instance.is_none_or(|wanted| wanted == id)
                && (fault.host.is_none() || fault.host.as_ref() == host)
        })?;
        spend(&mut fault.times);
        Some(fault.why.clone())
    }
}
