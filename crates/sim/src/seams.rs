//! The six seams over a pretended cloud.
//!
//! Each answers as its real counterpart does, also when a node is gone. None decides anything.

use crate::clock::SimClock;
use crate::cloud::{JobSeen, SimCloud};
use crate::dice::SimDice;
use ostler_engine::seam::{Called, Clock, Cloud, Fut, Nodes, Power, PowerReading, PowerState, Seams, Store};
use ostler_model::Timestamp;
use ostler_model::canary::{Act, Acted, NotActed};
use ostler_model::event::{Outcome, Why};
use ostler_model::function::{Asked, LogError, LogGate, Mark, Offer, Question, Sample};
use ostler_model::ids::HostName;
use ostler_model::inventory::{Fact, Inventory};
use ostler_model::step::{Call, Job, Target, Through};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a job is looked at while it is waited for: a connection to a node that dies is noticed that late.
const LOOK_MS: u64 = 1_000;

/// How long a node is tried that does not answer.
const PATIENCE_MS: u64 = 3_000;

/// How long a call to an API takes.
const CALL_MS: u64 = 10;

/// Power of the pretended nodes, by a controller that tells the truth.
#[derive(Debug)]
pub struct SimPower {
    cloud: Arc<SimCloud>,
    clock: SimClock,
}

impl Power for SimPower {
    fn state<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<PowerReading, Why>> {
        Box::pin(async move {
            let node =
                self.cloud.node(host.as_str()).ok_or_else(|| Why::new(format!("there is no {host}")))?;
            let state = if node.up { PowerState::On } else { PowerState::Off };
            Ok(PowerReading { state, means: "pretended".into(), at: self.clock.now() })
        })
    }

    fn off<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move {
            self.cloud.lose_power(host, None, self.clock.now());
            Ok(())
        })
    }

    fn on<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move {
            self.cloud.give_power(host, self.clock.now());
            Ok(())
        })
    }
}

struct SimNodes {
    cloud: Arc<SimCloud>,
    clock: SimClock,
}

fn needs_a_node(job: &Job) -> Result<(), Why> {
    match &job.on {
        Target::Node(_) => Ok(()),
        Target::Cloud => Err(Why::new("a job for nodes needs a node")),
    }
}

impl Nodes for SimNodes {
    fn survey<'a>(&'a self, hosts: &'a [HostName], facts: &'a [Fact]) -> Fut<'a, Inventory> {
        Box::pin(async move { self.cloud.look_at(hosts, facts, self.clock.now()) })
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

    fn new_errors<'a>(&'a self, gate: &'a LogGate, since: Timestamp) -> Fut<'a, Result<Vec<LogError>, Why>> {
        Box::pin(async move {
            match gate
                .nodes
                .iter()
                .find(|host| !self.cloud.node(host.as_str()).is_some_and(|node| node.answers()))
            {
                Some(host) => Err(Why::new(format!("{host} does not answer"))),
                None => Ok(self.cloud.errors_of(gate, since)),
            }
        })
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move {
            needs_a_node(job)?;
            self.cloud.begin_job(job, self.clock.now()).map_err(Why::new)
        })
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(async move {
            if let Err(why) = needs_a_node(job) {
                return Outcome::NotDone { why };
            }
            let mut waited_ms = 0;
            loop {
                let now = self.clock.now();
                match self.cloud.job_result(job, now) {
                    JobSeen::NoAnswer(host) => {
                        self.clock.sleep(PATIENCE_MS).await;
                        return Outcome::unknown(format!("{host} does not answer"));
                    }
                    JobSeen::NeverHeardOf => return Outcome::not_done("it was never begun"),
                    JobSeen::There => return Outcome::done(),
                    JobSeen::Absent(what) => return Outcome::not_done(what),
                    JobSeen::Unclear(what) => return Outcome::unknown(what),
                    JobSeen::UnderWay(_) if waited_ms > u64::from(job.limit_s) * 1000 => {
                        return Outcome::unknown("it has not ended within its limit");
                    }
                    JobSeen::UnderWay(until) => {
                        let left = until.duration_since(now).as_millis().clamp(1, i128::from(LOOK_MS)) as u64;
                        self.clock.sleep(left).await;
                        waited_ms += left;
                    }
                }
            }
        })
    }
}

struct SimApi {
    cloud: Arc<SimCloud>,
    clock: SimClock,
}

impl Cloud for SimApi {
    fn call<'a>(&'a self, through: &'a Through, calls: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        Box::pin(async move {
            self.clock.sleep(CALL_MS).await;
            let now = self.clock.now();
            let mut state = self.cloud.state();
            self.cloud.advance(&mut state, now);
            let good = match through {
                Through::Backend { host, .. } => {
                    state.nodes.get(host).is_some_and(|node| node.answers() && node.service)
                }
                Through::Front { .. } => self.cloud.someone_serves(&state),
            };
            if good {
                Ok(Called { calls: calls.len() as u32, slowest_ms: CALL_MS })
            } else {
                Err(Why::new("503 Service Unavailable"))
            }
        })
    }

    fn offers(&self) -> Fut<'_, Result<Vec<Offer>, Why>> {
        Box::pin(async { Ok(self.cloud.offered()) })
    }

    fn sample<'a>(&'a self, question: &'a Question) -> Fut<'a, Sample> {
        Box::pin(async move {
            let port = question.function.port;
            let through = match &question.asked {
                Asked::Server(host) => Through::Backend { host: host.clone(), port },
                Asked::Virtual => Through::Front { port },
            };
            match self.call(&through, &question.function.calls).await {
                Ok(called) => Sample { mark: Mark::Up, took_ms: called.slowest_ms, what: None },
                Err(why) => Sample { mark: Mark::Down, took_ms: CALL_MS, what: Some(why.what) },
            }
        })
    }

    fn act<'a>(&'a self, act: &'a Act) -> Fut<'a, Result<Acted, NotActed>> {
        Box::pin(async move {
            self.clock.sleep(CALL_MS).await;
            let came = self.cloud.act(act);
            // The answer takes its time, too: who dies meanwhile never hears what came of it.
            self.clock.sleep(CALL_MS).await;
            came
        })
    }
}

/// The seams of a pretended cloud with a store of one's own.
pub fn seams(cloud: &Arc<SimCloud>, store: Arc<dyn Store>, seed: u64) -> Seams {
    seams_at(cloud, store, seed, SimClock::default())
}

/// The same on a clock of one's own.
pub fn seams_at(cloud: &Arc<SimCloud>, store: Arc<dyn Store>, seed: u64, clock: SimClock) -> Seams {
    Seams {
        cloud: Arc::new(SimApi { cloud: Arc::clone(cloud), clock: clock.clone() }),
        nodes: Arc::new(SimNodes { cloud: Arc::clone(cloud), clock: clock.clone() }),
        power: Arc::new(SimPower { cloud: Arc::clone(cloud), clock: clock.clone() }),
        store,
        clock: Arc::new(clock),
        dice: Arc::new(SimDice::new(seed)),
    }
}
