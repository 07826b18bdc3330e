//! What each verb does to a pretended node, how long it takes, and what its probe sees.
//!
//! An effect happens when its time has come, whether or not anybody waits for it: as a unit on a real node goes
//! on when the connection that started it is gone.

use crate::cloud::{Effect, Fault, SimCloud, State, Work};
use ostler_model::Timestamp;
use ostler_model::ids::HostName;
use ostler_model::inventory::ServerAdmin;
use ostler_model::step::{Does, Job};

/// How long a verb takes, in milliseconds.
fn takes_ms(does: &Does) -> i64 {
    match does {
        Does::Drain { .. } | Does::Enable { .. } => 300,
        Does::Install { .. } | Does::Schema { .. } | Does::StartUnits { .. } | Does::Advise { .. } => 5_000,
        _ => 1_000,
    }
}

/// How far off a hung command's end is: farther than any limit.
const HANGS_MS: i64 = 86_400_000;

fn after(now: Timestamp, ms: i64) -> Timestamp {
    now.checked_add(jiff_ms(ms)).unwrap_or(Timestamp::MAX)
}

fn jiff_ms(ms: i64) -> std::time::Duration {
    std::time::Duration::from_millis(ms.unsigned_abs())
}

impl SimCloud {
    /// Begins a job on a node: `Err` says why nothing was begun.
    pub(crate) fn begin_job(&self, host: &HostName, job: &Job, now: Timestamp) -> Result<(), String> {
        let mut state = self.state();
        self.advance(&mut state, now);
        let fault = state.faults.get(&job.step).cloned();
        if fault == Some(Fault::PowerCut) {
            state.faults.remove(&job.step);
            if let Some(node) = state.nodes.get_mut(host) {
                node.up = false;
                node.service = false;
                node.database = false;
                node.jobs.clear();
            }
        }
        let Some(node) = state.nodes.get(host).filter(|node| node.up) else {
            return Err(format!("{host} does not answer on port 22: timed out"));
        };
        let key = (job.run.clone(), job.step.clone(), job.attempt);
        if node.jobs.contains_key(&key) {
            return Ok(());
        }
        if let Does::Drain { server, through, last, .. } = &job.does {
            for proxy in through {
                let Some(seen) = state.nodes.get(proxy).filter(|node| node.up) else {
                    return Err(format!("the load balancer of {proxy} cannot be reached"));
                };
                let others = seen
                    .proxy
                    .iter()
                    .filter(|(name, admin)| *name != server && **admin == ServerAdmin::Ready);
                let serving = others.filter(|(name, _)| {
                    state.nodes.get(&HostName::new(name.as_str())).is_some_and(|node| node.up && node.service)
                });
                if !last && serving.count() == 0 {
                    return Err(format!("{server} is the last server that takes requests"));
                }
            }
        }
        let mut ms = takes_ms(&job.does);
        let mut result = None;
        match state.faults.get_mut(&job.step) {
            Some(Fault::Fails(times)) if *times > 0 => {
                *times -= 1;
                result = Some(Err(format!("{} ended with exit code 1", job.does.name())));
            }
            Some(Fault::Hangs) => ms = HANGS_MS,
            _ => {}
        }
        let effect = Effect {
            run: job.run.clone(),
            step: job.step.clone(),
            attempt: job.attempt,
            verb: job.does.name(),
        };
        if result.is_none() {
            state.effects.push(effect);
        }
        if let Some(node) = state.nodes.get_mut(host) {
            node.jobs.insert(key, Work { job: job.clone(), ends: after(now, ms), result });
        }
        Ok(())
    }

    /// What is known of a job: none while it is under way.
    pub(crate) fn job_result(&self, host: &HostName, job: &Job, now: Timestamp) -> JobSeen {
        let mut state = self.state();
        self.advance(&mut state, now);
        let Some(node) = state.nodes.get(host).filter(|node| node.up) else {
            return JobSeen::NoAnswer;
        };
        match node.jobs.get(&(job.run.clone(), job.step.clone(), job.attempt)) {
            None => JobSeen::NeverHeardOf,
            Some(work) => match &work.result {
                None => JobSeen::UnderWay,
                Some(result) => JobSeen::Ended(result.clone()),
            },
        }
    }

    fn advance(&self, state: &mut State, now: Timestamp) {
        let hosts: Vec<HostName> = state.nodes.keys().cloned().collect();
        for host in hosts {
            let due: Vec<_> = match state.nodes.get(&host) {
                Some(node) if node.up => node
                    .jobs
                    .iter()
                    .filter(|(_, work)| work.result.is_none() && work.ends <= now)
                    .map(|(key, work)| (key.clone(), work.job.clone()))
                    .collect(),
                _ => continue,
            };
            for (key, job) in due {
                let result = self.apply(state, &host, &job);
                if let Some(work) = state.nodes.get_mut(&host).and_then(|node| node.jobs.get_mut(&key)) {
                    work.result = Some(result);
                }
                self.count_outage(state);
            }
        }
    }

    fn count_outage(&self, state: &mut State) {
        let serving = state.nodes.iter().any(|(name, node)| {
            let admitted = state.nodes.values().filter(|proxy| proxy.up).any(|proxy| {
                proxy.proxy.get(name.as_str()).is_some_and(|admin| *admin == ServerAdmin::Ready)
            });
            node.up && node.service && admitted
        });
        if !serving {
            state.outages += 1;
        }
    }

    fn set_heads(state: &mut State, heads: &[String]) {
        for node in state.nodes.values_mut().filter(|node| node.database) {
            node.heads = heads.to_vec();
        }
    }

    fn apply(&self, state: &mut State, host: &HostName, job: &Job) -> Result<(), String> {
        let running = state.nodes.values().find(|node| node.database).map(|node| node.heads.clone());
        match &job.does {
            Does::Drain { server, through, .. } => set_admin(state, through, server, ServerAdmin::Maint),
            Does::Enable { server, through, .. } => set_admin(state, through, server, ServerAdmin::Ready),
            Does::Schema { before, after, .. } => match running {
                Some(heads) if heads == *before => Self::set_heads(state, after),
                Some(heads) if heads == *after => {}
                other => return Err(format!("the heads are {other:?}")),
            },
            Does::LoadSchema { heads, .. } | Does::RestoreSchema { heads, .. } => {
                Self::set_heads(state, heads)
            }
            other => return self.apply_to_node(state, host, job, other, running),
        }
        Ok(())
    }

    fn apply_to_node(
        &self,
        state: &mut State,
        host: &HostName,
        job: &Job,
        does: &Does,
        running: Option<Vec<String>>,
    ) -> Result<(), String> {
        let Some(node) = state.nodes.get_mut(host) else {
            return Err(format!("there is no {host}"));
        };
        match does {
            Does::StopUnits { .. } => node.service = false,
            Does::StartUnits { .. } => node.service = true,
            Does::Install { packages, .. } => {
                if let Some(version) = packages.get(&self.package) {
                    node.version = version.clone();
                }
            }
            Does::ApplyConfig { .. } => node.config = format!("changed by {}", job.run),
            Does::RestoreFiles { .. } => node.config = "as shipped".into(),
            Does::BackUp { set } if !set.databases.is_empty() => {
                node.dumps.insert(job.run.clone(), node.heads.clone());
            }
            Does::IsolateDatabase { .. } | Does::StopDatabase {} => node.database = false,
            Does::RejoinDatabase { .. } => {
                node.database = true;
                node.heads = running.unwrap_or_else(|| node.heads.clone());
            }
            Does::BootstrapDatabase {} => node.database = true,
            _ => {}
        }
        Ok(())
    }
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobSeen {
    /// The node does not answer.
    NoAnswer,
    /// No such job was ever begun in this boot.
    NeverHeardOf,
    /// It goes on.
    UnderWay,
    /// It ended.
    Ended(Result<(), String>),
}

fn set_admin(state: &mut State, through: &[HostName], server: &str, admin: ServerAdmin) {
    for proxy in through {
        if let Some(node) = state.nodes.get_mut(proxy) {
            node.proxy.insert(server.to_owned(), admin);
        }
    }
}
