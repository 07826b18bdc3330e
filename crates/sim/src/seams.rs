//! The six seams over a pretended cloud.
//!
//! Time is tokio's, so a paused runtime makes hours pass at once.

use crate::cloud::SimCloud;
use crate::effects::JobSeen;
use ostler_engine::seam::{Called, Clock, Cloud, Dice, Fut, Nodes, Power, PowerState, Seams, Store};
use ostler_model::Timestamp;
use ostler_model::event::{Outcome, Why};
use ostler_model::ids::HostName;
use ostler_model::inventory::{Fact, Inventory, ServerAdmin};
use ostler_model::step::{Call, Job, Target, Through};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often a job is looked at while it is waited for.
const LOOK_MS: u64 = 250;

/// Tokio's clock, told as a time of day.
#[derive(Clone, Debug)]
pub struct SimClock {
    began: tokio::time::Instant,
}

impl Default for SimClock {
    fn default() -> Self {
        SimClock { began: tokio::time::Instant::now() }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH.checked_add(self.began.elapsed()).unwrap_or(Timestamp::MAX)
    }

    fn sleep(&self, ms: u64) -> Fut<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }
}

/// Numbers from a seed.
#[derive(Debug)]
pub struct SimDice {
    next: AtomicU64,
}

impl SimDice {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> SimDice {
        SimDice { next: AtomicU64::new(seed) }
    }
}

impl Dice for SimDice {
    fn roll(&self) -> u64 {
        // SplitMix64: one addition and three mixing rounds, the usual way to stretch a seed.
        let mut z =
            self.next.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Power of the pretended nodes.
#[derive(Debug)]
pub struct SimPower(pub Arc<SimCloud>);

impl Power for SimPower {
    fn state<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<PowerState, Why>> {
        Box::pin(async move {
            let node = self.0.node(host.as_str()).ok_or_else(|| Why::new(format!("there is no {host}")))?;
            Ok(if node.up { PowerState::On } else { PowerState::Off })
        })
    }

    fn off<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move {
            self.0.change(host.as_str(), |node| node.up = false);
            Ok(())
        })
    }

    fn on<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move {
            self.0.change(host.as_str(), |node| node.up = true);
            Ok(())
        })
    }
}

struct SimNodes {
    cloud: Arc<SimCloud>,
    clock: SimClock,
}

fn place(job: &Job) -> Option<&HostName> {
    match &job.on {
        Target::Node(host) => Some(host),
        Target::Cloud => None,
    }
}

impl Nodes for SimNodes {
    fn survey<'a>(&'a self, hosts: &'a [HostName], _facts: &'a [Fact]) -> Fut<'a, Inventory> {
        Box::pin(async move { self.cloud.look(hosts, self.clock.now()) })
    }

    fn available<'a>(
        &'a self,
        _host: &'a HostName,
        _source: &'a str,
        packages: &'a [String],
    ) -> Fut<'a, Result<BTreeMap<String, Vec<String>>, Why>> {
        Box::pin(async move {
            let versions = self.cloud.state().versions.clone();
            Ok(packages.iter().map(|name| (name.clone(), versions.clone())).collect())
        })
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move {
            let host = place(job).ok_or_else(|| Why::new("a job for nodes needs a node"))?;
            self.cloud.begin_job(host, job, self.clock.now()).map_err(Why::new)
        })
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(async move {
            let Some(host) = place(job) else {
                return Outcome::not_done("a job for nodes needs a node");
            };
            let mut waited_ms = 0;
            loop {
                match self.cloud.job_result(host, job, self.clock.now()) {
                    JobSeen::NoAnswer => return Outcome::unknown(format!("{host} does not answer")),
                    JobSeen::NeverHeardOf => return Outcome::not_done("it was never begun"),
                    JobSeen::Ended(Ok(())) => return Outcome::done(),
                    JobSeen::Ended(Err(what)) => return Outcome::not_done(what),
                    JobSeen::UnderWay if waited_ms > u64::from(job.limit_s) * 1000 => {
                        return Outcome::unknown("it has not ended within its limit");
                    }
                    JobSeen::UnderWay => {
                        self.clock.sleep(LOOK_MS).await;
                        waited_ms += LOOK_MS;
                    }
                }
            }
        })
    }
}

struct SimApi {
    cloud: Arc<SimCloud>,
}

impl Cloud for SimApi {
    fn call<'a>(&'a self, through: &'a Through, calls: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        Box::pin(async move {
            let state = self.cloud.state();
            let answers = |host: &HostName| state.nodes.get(host).is_some_and(|node| node.up && node.service);
            let good = match through {
                Through::Backend { host, .. } => answers(host),
                Through::Front { .. } => state.nodes.values().filter(|node| node.up).any(|proxy| {
                    let mut ready = proxy.proxy.iter().filter(|(_, admin)| **admin == ServerAdmin::Ready);
                    ready.any(|(server, _)| answers(&HostName::new(server.as_str())))
                }),
            };
            if good {
                Ok(Called { calls: calls.len() as u32, slowest_ms: 10 })
            } else {
                Err(Why::new("503 Service Unavailable"))
            }
        })
    }
}

/// The seams of a pretended cloud with a store of one's own.
pub fn seams(cloud: &Arc<SimCloud>, store: Arc<dyn Store>, seed: u64) -> Seams {
    let clock = SimClock::default();
    Seams {
        cloud: Arc::new(SimApi { cloud: Arc::clone(cloud) }),
        nodes: Arc::new(SimNodes { cloud: Arc::clone(cloud), clock: clock.clone() }),
        power: Arc::new(SimPower(Arc::clone(cloud))),
        store,
        clock: Arc::new(clock),
        dice: Arc::new(SimDice::new(seed)),
    }
}
