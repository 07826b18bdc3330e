//! What each verb does to a pretended node, what is left when it breaks off, and what its probe sees.
//!
//! A verb does exactly what the real one promises, and its probe looks at the state and never at the record.

use super::effects::JobSeen;
use super::{SimCloud, State, galera};
use ostler_model::Timestamp;
use ostler_model::ids::{HostName, RunId};
use ostler_model::inventory::ServerAdmin;
use ostler_model::step::{Does, Job};

/// What a schema is called whose change broke off.
const HALF_WAY: &str = "half-way";

/// The name of a configuration that a run has edited.
pub(crate) fn edited(run: &RunId) -> String {
    format!("changed by {run}")
}

fn needs(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

impl SimCloud {
    /// What must hold before an effect and is looked at by whoever begins it.
    pub(super) fn prepare(&self, state: &State, job: &Job) -> Result<(), String> {
        let Some(host) = job.on.node() else { return Ok(()) };
        match &job.does {
            Does::Drain { server, through, last: false, .. } => {
                for proxy in through {
                    let others = self.others_that_serve(state, proxy, server);
                    needs(others > 0, || format!("{server} is the last server that takes requests"))?;
                }
                Ok(())
            }
            Does::IsolateDatabase { members } => {
                let others = members.iter().filter(|other| *other != host);
                let well = others.clone().filter(|other| galera::ready(state, other)).count();
                needs(well == others.count(), || "not every other member of the database is well".into())
            }
            Does::WipeDatabase { members } => {
                let elsewhere = members.iter().any(|other| other != host && galera::ready(state, other));
                needs(elsewhere, || "no other member has the data".into())
            }
            Does::BootstrapDatabase {} => {
                let lives = state.nodes.iter().find(|(name, node)| *name != host && node.database);
                match lives {
                    Some((name, _)) => Err(format!("the database of {name} still runs")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn others_that_serve(&self, state: &State, proxy: &HostName, server: &str) -> usize {
        let Some(node) = state.nodes.get(proxy).filter(|node| node.reachable()) else { return 0 };
        let others =
            node.proxy.iter().filter(|(name, admin)| *name != server && **admin == ServerAdmin::Ready);
        others
            .filter(|(name, _)| {
                let target = state.nodes.get(&HostName::new(name.as_str()));
                target.is_some_and(|target| target.reachable() && target.service)
            })
            .count()
    }

    /// Sees whether what is begun may be begun at all: what no cloud of ours may ever do is a breach.
    pub(super) fn watch(&self, state: &mut State, job: &Job, hosts: &[HostName]) {
        let name = format!("{} of run {}, attempt {}", job.step, job.run, job.attempt);
        // An earlier attempt whose effect is there must not be made again.
        if !job.does.only_looks() && job.attempt > 1 {
            let known = hosts.iter().all(|host| {
                let jobs = &state.nodes[host].jobs;
                (1..job.attempt).any(|attempt| {
                    let key = (job.run.clone(), job.step.clone(), attempt);
                    jobs.get(&key).is_some_and(|work| work.over && work.result == Some(Ok(())))
                })
            });
            let there = hosts.iter().all(|host| self.probe(state, host, job) == JobSeen::There);
            if known && there {
                state.breach("no-effect-twice", format!("{name} begins, and its effect is already there"));
            }
        }
        match state.approved.get(&job.run).map(|plan| plan.body.steps.iter().find(|step| step.id == job.step))
        {
            Some(Some(step)) if step.does == job.does && step.on == job.on => {}
            // A cloud that was told of no approvals asks for none.
            None if state.approved.is_empty() => {}
            _ => state.breach("approved-plan-runs", format!("{name} is not a step of an approved plan")),
        }
        let announced = state.approved.get(&job.run).is_some_and(|plan| {
            let mut steps = plan.body.steps.iter();
            steps.any(|step| matches!(step.does, Does::Drain { last: true, .. }))
        });
        match &job.does {
            Does::Drain { server, through, last, .. } if !announced => {
                let serves = |proxy: &HostName| self.others_that_serve(state, proxy, server) > 0;
                if *last || !through.iter().all(serves) {
                    state.breach("never-the-last-backend", format!("{name} takes out the last server"));
                }
            }
            Does::StopUnits { .. } => {
                for host in hosts {
                    let runs = state.nodes.get(host).is_some_and(|node| node.service);
                    if let (true, Some(proxy)) = (runs, self.admitted(state, host)) {
                        let what = format!("{name} stops a server that {proxy} still sends requests to");
                        state.breach("drained-before-stopped", what);
                    }
                }
            }
            Does::Schema { phase, .. } if phase == "contract" => {
                let Some(host) = hosts.first() else { return };
                let new = state.nodes[host].version.clone();
                let mut old = state.nodes.iter().filter(|(_, node)| {
                    node.up && node.service && !node.running.is_empty() && node.running != new
                });
                if let Some((host, node)) = old.next() {
                    let what = format!("{name} begins while {host} runs {}", node.running);
                    state.breach("contract-after-the-last-old-process", what);
                }
            }
            Does::IsolateDatabase { .. } => {
                let host = hosts.first();
                let gone = state.nodes.iter().find(|(other, node)| {
                    node.member && Some(*other) != host && !(node.database && node.reachable())
                });
                if let Some((other, _)) = gone {
                    let what = format!("{name} takes a member away while that of {other} is gone");
                    state.breach("never-two-database-members-down", what);
                }
            }
            _ => {}
        }
    }

    /// A load balancer that sends requests to this node's server.
    fn admitted(&self, state: &State, host: &HostName) -> Option<HostName> {
        let mut proxies = state.nodes.iter().filter(|(_, node)| node.balances && node.reachable());
        proxies
            .find(|(_, node)| node.proxy.get(host.as_str()) == Some(&ServerAdmin::Ready))
            .map(|(name, _)| name.clone())
    }

    /// A verb does its work on one node.
    pub(super) fn apply(
        &self,
        state: &mut State,
        host: &HostName,
        job: &Job,
        at: Timestamp,
    ) -> Result<(), String> {
        state.changes += 1;
        let change = state.changes;
        match &job.does {
            Does::Schema { before, after, database, .. } => {
                needs(galera::ready(state, host), || format!("the database of {host} does not answer"))?;
                // Old code has nothing to add, and says that it succeeded.
                let is_old = state.nodes.get(host).is_some_and(|node| node.version == self.first.0);
                return match galera::heads(state) {
                    Some(heads) if heads == *before && is_old && heads == self.first.1 && heads != *after => {
                        Err("the command said that it succeeded, and the heads are what they were".into())
                    }
                    Some(heads) if heads == *before => {
                        galera::set_heads(state, after);
                        Ok(())
                    }
                    Some(heads) if heads == *after => Ok(()),
                    other => Err(format!("the heads of {database} are {other:?}")),
                };
            }
            Does::LoadSchema { heads, from, .. } => {
                needs(galera::ready(state, host), || format!("the database of {host} does not answer"))?;
                let has = |node: &super::SimNode| node.dumps.get(&job.run) == Some(heads);
                needs(state.nodes.get(from).is_some_and(has), || format!("{from} has no such dump"))?;
                galera::set_heads(state, heads);
                return Ok(());
            }
            Does::RestoreSchema { heads, from, .. } => {
                needs(galera::ready(state, host), || format!("the database of {host} does not answer"))?;
                let has = |node: &super::SimNode| node.dumps.get(from) == Some(heads);
                needs(state.nodes.get(host).is_some_and(has), || format!("{host} has no such dump"))?;
                galera::set_heads(state, heads);
                return Ok(());
            }
            Does::IsolateDatabase { .. } => {
                let stopped = state.nodes.get(host).is_some_and(|node| !node.database);
                needs(stopped || galera::ready(state, host), || "it is no synced member".into())?;
                if !stopped {
                    galera::leave(state, host);
                }
                if let Some(node) = state.nodes.get_mut(host) {
                    node.held_back = true;
                }
                state.cluster.joining.remove(host);
                return Ok(());
            }
            Does::StopDatabase {} => {
                galera::leave(state, host);
                state.cluster.joining.remove(host);
                if let Some(node) = state.nodes.get_mut(host) {
                    node.held_back = true;
                }
                return Ok(());
            }
            Does::BootstrapDatabase {} => {
                if galera::ready(state, host) {
                    return Ok(());
                }
                let clean = state.nodes.get(host).is_some_and(|node| node.clean && !node.wiped);
                needs(clean, || "this node did not stop cleanly: its position is not known".into())?;
                galera::bootstrap(state, host);
                return Ok(());
            }
            Does::RejoinDatabase { .. } => {
                if let Some(node) = state.nodes.get_mut(host) {
                    node.held_back = false;
                    node.database = true;
                }
                galera::count(state);
                return needs(galera::ready(state, host), || {
                    "the database on this node is not synced".into()
                });
            }
            _ => {}
        }
        let Some(node) = state.nodes.get_mut(host) else { return Err(format!("there is no {host}")) };
        match &job.does {
            Does::Drain { server, .. } if node.balances => {
                node.proxy.insert(server.clone(), ServerAdmin::Maint);
            }
            Does::Enable { server, .. } if node.balances => {
                let target = HostName::new(server.as_str());
                let serves = target == *host && node.service;
                let well =
                    serves || state.nodes.get(&target).is_some_and(|node| node.reachable() && node.service);
                needs(well, || format!("{server} stays drained: its health check does not pass"))?;
                if let Some(node) = state.nodes.get_mut(host) {
                    node.proxy.insert(server.clone(), ServerAdmin::Ready);
                }
            }
            Does::StopUnits { .. } => node.service = false,
            Does::StartUnits { packages, .. } => {
                needs(node.settled, || format!("{} does not start: its package is half-way", self.unit))?;
                let is_old = !packages.is_empty() && node.started < node.unpacked;
                if !node.service || is_old {
                    node.service = true;
                    node.running.clone_from(&node.version);
                    node.started = change;
                }
            }
            Does::Install { packages, .. } => {
                if let Some(version) = packages.get(&self.package) {
                    if node.version != *version {
                        node.unpacked = change;
                    }
                    node.version.clone_from(version);
                    node.settled = true;
                }
            }
            Does::StageConfig { .. } => node.staged = Some(edited(&job.run)),
            Does::ApplyConfig { .. } => {
                let staged = node.staged.clone().ok_or("nothing was laid beside the configuration")?;
                node.config = staged;
            }
            Does::RestoreFiles { from, .. } => {
                let from = from.as_ref().unwrap_or(&job.run);
                let kept = node.files.get(from).cloned().ok_or_else(|| format!("no backup of run {from}"))?;
                node.config = kept;
            }
            Does::BackUp { set } => {
                needs(node.free_mib > 0, || "no space left on device".into())?;
                node.files.insert(job.run.clone(), node.config.clone());
                if !set.databases.is_empty() {
                    let (heads, runs) = (node.heads.clone(), node.database);
                    needs(runs, || "the database does not answer".into())?;
                    node.dumps.insert(job.run.clone(), heads);
                }
            }
            Does::ProveBackup { .. } => {
                needs(node.dumps.contains_key(&job.run), || "there is no dump to prove".into())?;
            }
            Does::ExtractSchema { heads, .. } => {
                let (has, clean) = (node.heads == *heads, node.clean && !node.wiped && !node.database);
                needs(has && clean, || "this node has not the old data".into())?;
                node.dumps.insert(job.run.clone(), heads.clone());
            }
            Does::WipeDatabase { .. } => {
                needs(!node.database, || "the database on this node runs".into())?;
                node.wiped = true;
                node.heads = Vec::new();
            }
            _ => {}
        }
        state.note(at, || format!("state  {host} after {}", job.step));
        Ok(())
    }

    /// What is left of a verb that broke off.
    pub(super) fn tear(&self, state: &mut State, host: &HostName, job: &Job) {
        let was_ready = galera::ready(state, host);
        match &job.does {
            Does::Schema { before, .. } if was_ready && galera::heads(state).as_ref() == Some(before) => {
                galera::set_heads(state, &[HALF_WAY.to_owned()]);
            }
            Does::Install { .. } => {
                if let Some(node) = state.nodes.get_mut(host) {
                    node.settled = false;
                }
            }
            Does::StopUnits { .. } => {
                if let Some(node) = state.nodes.get_mut(host) {
                    node.service = false;
                }
            }
            _ => {}
        }
    }

    /// A person finishes by hand what broke off in the middle of a schema.
    pub fn finish_schema(&self, after: &[String]) {
        let mut state = self.state();
        if galera::heads(&state).is_some_and(|heads| heads == [HALF_WAY]) {
            galera::set_heads(&mut state, after);
        }
    }

    /// Whether the schema is half-way.
    pub fn schema_is_half_way(&self) -> bool {
        galera::heads(&self.state()).is_some_and(|heads| heads == [HALF_WAY])
    }

    /// Whether the effect of a job is there on one node.
    pub(super) fn probe(&self, state: &State, host: &HostName, job: &Job) -> JobSeen {
        let Some(node) = state.nodes.get(host) else {
            return JobSeen::Absent(format!("there is no {host}"));
        };
        let when = |holds: bool, what: &str| {
            if holds { JobSeen::There } else { JobSeen::Absent(what.to_owned()) }
        };
        match &job.does {
            Does::Drain { server, .. } => {
                let out = !node.balances || node.proxy.get(server) == Some(&ServerAdmin::Maint);
                when(out, "the server is in service")
            }
            Does::Enable { server, .. } => {
                let target = state.nodes.get(&HostName::new(server.as_str()));
                let serves = target.is_some_and(|target| target.reachable() && target.service);
                let admitted = !node.balances || node.proxy.get(server) == Some(&ServerAdmin::Ready);
                when(serves && admitted, "the server is not in service")
            }
            Does::StopUnits { .. } => when(!node.service, "the unit runs"),
            Does::StartUnits { packages, .. } => {
                let is_old = !packages.is_empty() && node.started < node.unpacked;
                when(node.service && !is_old, "the unit does not run, or runs old code")
            }
            Does::Install { packages, .. } => {
                let there = packages.get(&self.package).is_none_or(|version| node.version == *version);
                when(there && node.settled, "the package is not installed all the way")
            }
            Does::Schema { before, after, .. } => match galera::heads(state) {
                _ if !galera::ready(state, host) => JobSeen::Unclear("the heads cannot be read".into()),
                Some(heads) if heads == *after => JobSeen::There,
                Some(heads) if heads == *before => JobSeen::Absent("the heads are what they were".into()),
                other => JobSeen::Unclear(format!("the schema is half-way: {other:?}")),
            },
            Does::LoadSchema { heads, .. } | Does::RestoreSchema { heads, .. } => {
                match galera::heads(state) {
                    _ if !galera::ready(state, host) => JobSeen::Unclear("the heads cannot be read".into()),
                    Some(now) => when(now == *heads, "the heads are others"),
                    None => JobSeen::Unclear("the heads cannot be read".into()),
                }
            }
            Does::StageConfig { .. } => when(node.staged == Some(edited(&job.run)), "nothing is staged"),
            Does::ApplyConfig { .. } => {
                when(node.staged.as_ref() == Some(&node.config), "it is not in place")
            }
            Does::RestoreFiles { from, .. } => {
                let kept = node.files.get(from.as_ref().unwrap_or(&job.run));
                when(kept == Some(&node.config), "the files are others")
            }
            Does::BackUp { set } => {
                let dumped = set.databases.is_empty() || node.dumps.contains_key(&job.run);
                when(dumped && node.files.contains_key(&job.run), "there is no whole backup")
            }
            Does::IsolateDatabase { .. } | Does::StopDatabase {} => when(
                !node.database && (node.clean || node.wiped),
                "the database runs, or did not stop cleanly",
            ),
            Does::RejoinDatabase { members } => {
                let alone = members.len() > 1 && state.cluster.view.len() < 2;
                when(galera::ready(state, host) && !alone, "the database is not a synced member")
            }
            Does::BootstrapDatabase {} => when(galera::ready(state, host), "the database is no cluster"),
            Does::WipeDatabase { .. } => when(node.wiped && !node.database, "the data are still there"),
            Does::ExtractSchema { .. } => when(node.dumps.contains_key(&job.run), "there is no dump"),
            // What only looks has left nothing to see: it is looked at again.
            _ => JobSeen::Absent("it left nothing behind".into()),
        }
    }
}
