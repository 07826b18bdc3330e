//! The compute side of a pretended cloud behind the seams: Nova, its hosts and their power controllers, on one clock.
//!
//! It answers as a client of Nova would, request by request, and keeps a truth that only tests may read. It must never
//! tell a seam more than Nova or a power controller says.

mod compute;
mod live;
mod look;
mod monitor;
mod nodes;
mod power;
mod rules;
mod stage;
mod story;
mod takeover;
mod tell;

pub use crate::passage::{Blow, Strike};
pub use rules::RULES;
pub use story::{Server, Story};
pub use tell::{Report, Told, storm, tell};

use crate::clock::SimClock;
use crate::nova::{Caller, Nova, Settings};
use crate::power::{Fault, PowerControllers, PowerTimes};
use crate::{MemoryStore, SimDice};
use ostler_engine::seam::{Seams, Store};
use ostler_model::Timestamp;
use ostler_model::ids::HostName;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How old a proof may be when a request that relies on it is made. A reading is of the moment in which a controller was
/// asked: the slowest one answers eight seconds later, and half a minute after that nothing may begin any more. A machine that
/// gets power in that time runs no guest yet: that takes it longer. One that does run the guest is a breach however young the
/// proof is.
const PROOF_AGE_MS: u64 = 38_000;

/// Something that happens to the cloud by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A host loses power; its controller does not.
    Dies(HostName),
    /// A host and its controller lose power.
    LosesMains(HostName),
    /// A host is cut off the control plane.
    IsCut(HostName),
    /// That ends.
    Rejoins(HostName),
    /// Somebody switches a host on.
    Boots(HostName),
    /// A controller behaves badly.
    Controller(HostName, Fault),
    /// It behaves again.
    Heals(HostName),
    /// Calls to Nova go wrong.
    Api(crate::nova::ApiFault),
    /// Nova's own work goes wrong.
    Work(crate::nova::WorkFault),
    /// The message bus is away, or back.
    Bus(bool),
}

/// What is wrong, by the truth that nobody in the story can see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// The rule.
    pub rule: &'static str,
    /// What happened.
    pub what: String,
}

/// Everything that there is, behind one lock.
#[derive(Debug)]
pub struct Ground {
    /// Nova, and what hypervisors run.
    pub nova: Nova,
    /// Power.
    pub power: PowerControllers,
    /// What is yet to happen, by time.
    pub due: BTreeMap<u64, Vec<Trouble>>,
    /// When a host was last read as off.
    pub read_off: BTreeMap<HostName, u64>,
    /// Hosts that a person has vouched for.
    pub vouched: Vec<HostName>,
    /// Hosts of which a controller has said that they are off while they were on.
    pub lied: Vec<HostName>,
    /// What was done that must not be.
    pub breaches: Vec<Breach>,
    /// Evacuations that were asked for: when, and which instance.
    pub asked: Vec<(u64, crate::nova::InstanceId)>,
}

impl Ground {
    /// Lets everything happen that is due.
    pub fn advance(&mut self, now: u64) {
        loop {
            let trouble = self.due.keys().next().copied().filter(|at| *at <= now);
            let power = self.power.next_due().filter(|at| *at <= now);
            match (trouble, power) {
                (None, None) => break,
                (Some(at), power) if power.is_none_or(|power| at <= power) => {
                    self.switch(at);
                    for trouble in self.due.remove(&at).unwrap_or_default() {
                        self.happen(at, trouble);
                    }
                }
                (_, Some(at)) => self.switch(at),
                (Some(_), None) => break,
            }
        }
        self.switch(now);
        self.nova.advance(now);
    }

    /// Takes power changes over to the machines.
    fn switch(&mut self, at: u64) {
        for change in self.power.advance(at) {
            match change.on {
                true => self.nova.power_on(change.at, &change.host),
                false => self.nova.power_off(change.at, &change.host),
            }
        }
    }

    fn happen(&mut self, at: u64, trouble: Trouble) {
        match trouble {
            Trouble::Dies(host) => self.power.set_on(at, &host, false),
            Trouble::LosesMains(host) => self.power.set_mains(at, &host, false),
            Trouble::Boots(host) => {
                self.power.set_mains(at, &host, true);
                self.power.set_on(at, &host, true);
            }
            Trouble::IsCut(host) => self.nova.cut(at, &host),
            Trouble::Rejoins(host) => self.nova.rejoin(at, &host),
            Trouble::Controller(host, fault) => {
                self.power.fault(&host, fault);
            }
            Trouble::Heals(host) => self.power.heal(&host),
            Trouble::Api(fault) => self.nova.order(fault),
            Trouble::Work(fault) => self.nova.order_work(fault),
            Trouble::Bus(up) => self.nova.set_bus(at, up),
        }
        self.switch(at);
    }

    /// Judges a request to move something away from a host, when it is made.
    fn judge_request(&mut self, now: u64, source: &HostName, instance: crate::nova::InstanceId) {
        let lied = self.lied.contains(source);
        let guest = self.nova.host(source).and_then(|host| host.guests.get(&instance));
        if guest.is_some_and(|guest| guest.state.is_alive()) && !lied {
            self.breach("proof-before-move", format!("{instance} still runs on {source}"));
        }
        if self.vouched.contains(source) {
            return;
        }
        let read = self.read_off.get(source).copied();
        let is_on = self.power.is_on(source) == Some(true);
        match read {
            None => self.breach("proof-before-move", format!("{source} was never read as off")),
            Some(at) if is_on && !lied && now.saturating_sub(at) > PROOF_AGE_MS => {
                self.breach(
                    "proof-before-move",
                    format!("{source} is on, and was read as off at {at}, now {now}"),
                );
            }
            Some(_) => {}
        }
    }

    fn breach(&mut self, rule: &'static str, what: String) {
        self.breaches.push(Breach { rule, what });
    }
}

/// A pretended compute side.
#[derive(Debug)]
pub struct Outage {
    ground: Mutex<Ground>,
    clock: SimClock,
    /// How long a call takes.
    call_ms: AtomicU64,
}

/// How long a call takes when nothing ails Nova.
const CALL_MS: u64 = 10;

impl Outage {
    /// An empty one, on this clock.
    pub fn new(settings: Settings, seed: u64, clock: SimClock) -> Outage {
        let ground = Ground {
            nova: Nova::new(settings, seed),
            power: PowerControllers::default(),
            due: BTreeMap::new(),
            read_off: BTreeMap::new(),
            vouched: Vec::new(),
            lied: Vec::new(),
            breaches: Vec::new(),
            asked: Vec::new(),
        };
        Outage { ground: Mutex::new(ground), clock, call_ms: AtomicU64::new(CALL_MS) }
    }

    /// Makes each call to Nova take so long.
    pub fn slow_down(&self, call_ms: u64) {
        self.call_ms.store(call_ms, Ordering::Relaxed);
    }

    /// The truth as it is now, for tests.
    pub fn ground(&self) -> MutexGuard<'_, Ground> {
        let mut ground = self.ground.lock().unwrap_or_else(PoisonError::into_inner);
        ground.advance(self.now());
        ground
    }

    /// Adds a host with a power controller.
    pub fn add_host(&self, spec: crate::nova::HostSpec) {
        let mut ground = self.ground();
        let now = self.now();
        ground.power.add(&spec.name, PowerTimes::default());
        ground.nova.add_host(now, spec);
    }

    fn now(&self) -> u64 {
        self.clock.elapsed_ms()
    }

    fn by(ground: &Ground) -> Caller {
        // From 2.95 on an evacuated instance is off afterwards.
        Caller::admin(ground.nova.settings().max_micro.min(94))
    }

    /// The seams of one Ostler, with its own clock and a store.
    pub fn seams(self: &Arc<Self>, store: Arc<MemoryStore>, clock: SimClock, seed: u64) -> Seams {
        let store: Arc<dyn Store> = store;
        Seams {
            cloud: Arc::new(compute::SimCompute(Arc::clone(self), clock.clone())),
            nodes: Arc::new(nodes::SimComputeNodes(Arc::clone(self))),
            power: Arc::new(power::SimControllers(Arc::clone(self))),
            store,
            clock: Arc::new(clock),
            dice: Arc::new(SimDice::new(seed)),
        }
    }
}

/// A time of the pretended world on the wall clock.
fn wall(ms: u64) -> Timestamp {
    Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
}
