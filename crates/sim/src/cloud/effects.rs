//! How a step's attempt lives on pretended nodes: begun at most once under its own name, outliving whoever began it,
//! to be asked about by anybody.
//!
//! An effect happens when its time has come, whether or not anybody waits for it. An attempt that was given up
//! before it was begun can never begin.

use super::{Effect, Fault, How, Key, Later, Link, SimCloud, State, Work, galera};
use ostler_model::Timestamp;
use ostler_model::ids::HostName;
use ostler_model::step::{Does, Job, Target};
use std::sync::Arc;
use std::time::Duration;

/// How far off a hung command's end is: farther than any limit.
const HANGS_MS: u64 = 86_400_000;

/// How long a verb takes, in milliseconds, where the cloud does not say otherwise.
fn takes_ms(does: &Does) -> u64 {
    match does {
        Does::Drain { .. } | Does::Enable { .. } => 300,
        Does::Install { .. } | Does::Schema { .. } | Does::StartUnits { .. } | Does::Advise { .. } => 5_000,
        _ => 1_000,
    }
}

pub(super) fn after(now: Timestamp, ms: u64) -> Timestamp {
    now.checked_add(Duration::from_millis(ms)).unwrap_or(Timestamp::MAX)
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobSeen {
    /// A node does not answer.
    NoAnswer(HostName),
    /// No such job was ever begun, and none will be.
    NeverHeardOf,
    /// It goes on, until then at least.
    UnderWay(Timestamp),
    /// The effect is there.
    There,
    /// The effect is not there.
    Absent(String),
    /// Even the node cannot tell.
    Unclear(String),
}

/// The nodes that a job works on.
pub(crate) fn parts(job: &Job) -> Vec<HostName> {
    match (&job.does, &job.on) {
        (Does::Drain { through, .. } | Does::Enable { through, .. }, Target::Node(host)) => {
            // Without a load balancer the node itself says that there is nothing to do.
            if through.is_empty() { vec![host.clone()] } else { through.clone() }
        }
        (_, Target::Node(host)) => vec![host.clone()],
        (_, Target::Cloud) => Vec::new(),
    }
}

fn key(job: &Job) -> Key {
    (job.run.clone(), job.step.clone(), job.attempt)
}

impl SimCloud {
    /// Begins a job: `Err` says why it is known that nothing was begun.
    pub(crate) fn begin_job(&self, job: &Job, now: Timestamp) -> Result<(), String> {
        let mut guard = self.state();
        let state = &mut *guard;
        self.advance(state, now);
        let hosts = parts(job);
        let how = self.ordered(state, job, &hosts, now);
        for host in &hosts {
            if !state.nodes.get(host).is_some_and(super::SimNode::reachable) {
                return Err(format!("{host} does not answer on port 22: timed out"));
            }
        }
        self.prepare(state, job)?;
        let key = key(job);
        for host in &hosts {
            let Some(node) = state.nodes.get(host) else { continue };
            if node.closed.contains(&key) {
                return Err(format!("{host}: this attempt was given up before it was started"));
            }
            let earlier = (job.run.clone(), job.step.clone(), 0)..key.clone();
            if let Some((_, other)) = node.jobs.range(earlier).find(|(_, work)| !work.over) {
                return Err(format!(
                    "{host}: an earlier attempt of {} is still running as attempt {}",
                    job.step, other.job.attempt
                ));
            }
        }
        if hosts.iter().all(|host| state.nodes[host].jobs.contains_key(&key)) {
            return Ok(());
        }
        self.watch(state, job, &hosts);
        let job = Arc::new(job.clone());
        let base = self.takes.get(job.does.name()).copied().unwrap_or_else(|| takes_ms(&job.does));
        for host in hosts {
            let Some(node) = state.nodes.get_mut(&host) else { continue };
            let slow = if let Link::Slow(ms) = node.link { u64::from(ms) } else { 0 };
            let ms = if how == How::Hangs { HANGS_MS } else { base + slow };
            // systemd ends what takes longer than its limit.
            let limit = u64::from(job.limit_s.max(1)) * 1000;
            let (ms, how) = if ms > limit { (limit, How::Hangs) } else { (ms, how) };
            let ends = after(now, ms);
            let work = Work { job: Arc::clone(&job), ends, how, result: None, over: false };
            if node.jobs.insert(key.clone(), work).is_none() {
                state.due.insert((ends, host.clone(), key.clone()));
            }
        }
        state.note(now, || {
            format!("begin  {} {} attempt {} ({})", job.run, job.step, job.attempt, job.does.name())
        });
        if matches!(how, How::Well | How::Silent) {
            let (run, step) = (job.run.clone(), job.step.clone());
            state.effects.push(Effect { run, step, attempt: job.attempt, verb: job.does.name() });
        }
        Ok(())
    }

    /// What a test has ordered for the job's step, or a storm for the next command.
    fn ordered(&self, state: &mut State, job: &Job, hosts: &[HostName], now: Timestamp) -> How {
        match state.faults.get_mut(&job.step) {
            Some(Fault::Fails(times)) if *times > 0 => {
                *times -= 1;
                How::Fails
            }
            Some(Fault::Fails(_)) => How::Well,
            Some(Fault::Hangs) => How::Hangs,
            Some(Fault::Silent) => {
                state.faults.remove(&job.step);
                How::Silent
            }
            Some(Fault::Breaks) => {
                state.faults.remove(&job.step);
                How::Breaks
            }
            Some(Fault::PowerCut) => {
                state.faults.remove(&job.step);
                let host = job.on.node().or(hosts.first()).cloned();
                if let Some(host) = host {
                    self.cut_power(state, &host, now);
                }
                How::Well
            }
            None => state.next.pop_front().unwrap_or_default(),
        }
    }

    /// What is known of a job. Whoever asks about one that was not begun closes it.
    pub(crate) fn job_result(&self, job: &Job, now: Timestamp) -> JobSeen {
        let mut guard = self.state();
        let state = &mut *guard;
        self.advance(state, now);
        let hosts = parts(job);
        let key = key(job);
        let mut never = 0;
        let mut under_way: Option<Timestamp> = None;
        let mut absent = None;
        for host in &hosts {
            let Some(node) = state.nodes.get_mut(host).filter(|node| node.answers()) else {
                return JobSeen::NoAnswer(host.clone());
            };
            match node.jobs.get(&key) {
                None => {
                    node.closed.insert(key.clone());
                    never += 1;
                }
                Some(work) if !work.over => {
                    under_way = Some(under_way.map_or(work.ends, |until| until.max(work.ends)));
                }
                Some(Work { result: Some(Ok(())), .. }) => {}
                Some(Work { result: Some(Err(what)), .. }) => absent = Some(what.clone()),
                Some(_) => {
                    // No record, or one from before a restart: the world itself is asked.
                    match self.probe(state, host, job) {
                        JobSeen::There => {}
                        JobSeen::Absent(what) => absent = Some(what),
                        unclear => return unclear,
                    }
                }
            }
        }
        if let Some(until) = under_way {
            return JobSeen::UnderWay(until);
        }
        if never == hosts.len() {
            return JobSeen::NeverHeardOf;
        }
        match (absent, never) {
            (Some(what), _) => JobSeen::Absent(what),
            (None, 0) => JobSeen::There,
            (None, _) => JobSeen::Absent("not every node began it".into()),
        }
    }

    /// Lets happen what is due.
    pub(crate) fn advance(&self, state: &mut State, now: Timestamp) {
        loop {
            let job = state.due.first().map(|(at, ..)| *at).filter(|at| *at <= now);
            let other = state.later.first_key_value().map(|((at, _), _)| *at).filter(|at| *at <= now);
            match (job, other) {
                (None, None) => return,
                (Some(a), b) if b.is_none_or(|b| a <= b) => {
                    if let Some((at, host, key)) = state.due.pop_first() {
                        self.end(state, at, &host, &key);
                    }
                }
                _ => {
                    if let Some(((at, _), what)) = state.later.pop_first() {
                        self.happen(state, at, &what);
                    }
                }
            }
        }
    }

    fn happen(&self, state: &mut State, at: Timestamp, what: &Later) {
        state.note(at, || format!("world  {what:?}"));
        match what {
            Later::Power(host) => self.boot(state, host, at),
            Later::Link(host) => {
                if let Some(node) = state.nodes.get_mut(host) {
                    node.link = Link::Up;
                }
                galera::count(state);
            }
            Later::Database(host) => {
                if state.nodes.get(host).is_some_and(|node| node.up && !node.held_back) {
                    galera::start(state, host, at);
                }
            }
            Later::Joined(host) => galera::joined(state, host),
        }
        self.look_for_outage(state, at);
    }

    /// A command ends on one node.
    fn end(&self, state: &mut State, at: Timestamp, host: &HostName, key: &Key) {
        let Some(work) = state.nodes.get_mut(host).and_then(|node| node.jobs.get_mut(key)) else { return };
        if work.over {
            return;
        }
        work.over = true;
        let (job, how) = (Arc::clone(&work.job), work.how);
        state.note(at, || {
            format!("end    {} {} attempt {} on {host} ({how:?})", job.run, job.step, job.attempt)
        });
        let result = match how {
            How::Well | How::Silent => self.apply(state, host, &job, at),
            How::Fails | How::Hangs => Err(format!("{} ended with exit code 1", job.does.name())),
            How::Breaks => {
                self.tear(state, host, &job);
                Ok(())
            }
        };
        let recorded = match how {
            How::Well | How::Fails => Some(result),
            How::Hangs | How::Breaks | How::Silent => None,
        };
        if let Some(work) = state.nodes.get_mut(host).and_then(|node| node.jobs.get_mut(key)) {
            work.result = recorded;
        }
        self.look_for_outage(state, at);
    }

    /// Notes when no server takes requests any more, and when one does again.
    pub(super) fn look_for_outage(&self, state: &mut State, at: Timestamp) {
        let serving = self.someone_serves(state);
        match (serving, state.outage_began) {
            (false, None) => {
                state.outages += 1;
                state.outage_began = Some(at);
                state.note(at, || "world  no server takes requests".into());
            }
            (true, Some(since)) => {
                let ms = at.duration_since(since).as_millis().max(0) as u64;
                state.outage_ms += ms;
                state.longest_outage_ms = state.longest_outage_ms.max(ms);
                state.outage_began = None;
                state.note(at, || format!("world  a server takes requests again, after {ms} ms"));
            }
            _ => {}
        }
    }

    /// Whether a client at the front door gets an answer.
    pub(crate) fn someone_serves(&self, state: &State) -> bool {
        let ready = ostler_model::inventory::ServerAdmin::Ready;
        let mut balancers = state.nodes.values().filter(|node| node.balances).peekable();
        if balancers.peek().is_none() {
            return state.nodes.values().any(|node| node.reachable() && node.service);
        }
        let answers = |name: &str| {
            state.nodes.get(&HostName::new(name)).is_some_and(|node| node.reachable() && node.service)
        };
        balancers
            .filter(|node| node.reachable())
            .any(|node| node.proxy.iter().any(|(server, admin)| *admin == ready && answers(server)))
    }
}
