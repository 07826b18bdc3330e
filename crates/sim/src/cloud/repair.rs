//! What a person does on the nodes when a run has stopped and asks for one.
//!
//! They mend what is broken and leave alone what the runs have done; they never do a step of a plan themselves,
//! except to put a load balancer back to what the plan had told it.

use super::effects::parts;
use super::{Breach, How, SimCloud, State, galera};
use crate::cloud::effects::JobSeen;
use ostler_engine::run::{Run, Status};
use ostler_model::Timestamp;
use ostler_model::ids::{HostName, RunId};
use ostler_model::inventory::ServerAdmin;
use ostler_model::step::{Does, Job, Step};

/// Space on a disk after somebody has made room.
const ROOM_MIB: u64 = 50_000;

impl SimCloud {
    /// Mends what is broken on every node. `runs` are the runs that have worked on it, the earliest first.
    pub(crate) fn repair(&self, runs: &[Run]) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.next.clear();
        for node in state.nodes.values_mut() {
            node.free_mib = node.free_mib.max(ROOM_MIB);
            node.cache = true;
            node.ahead_ms = 0;
            // `dpkg --configure -a`
            node.settled = true;
            // Whoever comes ends what hangs.
            for work in node.jobs.values_mut().filter(|work| !work.over && work.how == How::Hangs) {
                work.over = true;
            }
        }
        self.repair_balancers(state, runs);
        self.repair_services(state, runs);
        // A schema change that broke off is finished by its own command.
        let change =
            runs.iter().rev().flat_map(|run| &run.plan.body.steps).find_map(|step| match &step.does {
                Does::Schema { after, .. } => Some(after.clone()),
                _ => None,
            });
        if let Some(after) = change
            && galera::heads(state).is_some_and(|heads| heads == ["half-way"])
        {
            galera::set_heads(state, &after);
        }
        galera::count(state);
    }

    /// A load balancer that has restarted has forgotten every order; it gets them again.
    fn repair_balancers(&self, state: &mut State, runs: &[Run]) {
        let mut orders: Vec<(String, ServerAdmin)> = Vec::new();
        for run in runs {
            // In the plan's order: a clock that was set back tells nothing about what came first.
            for (step, seen) in run.plan.body.steps.iter().zip(&run.steps) {
                match (&step.does, matches!(seen.status, Status::Done | Status::Skipped)) {
                    (Does::Drain { server, .. }, true) => orders.push((server.clone(), ServerAdmin::Maint)),
                    (Does::Enable { server, .. }, true) => orders.push((server.clone(), ServerAdmin::Ready)),
                    _ => {}
                }
            }
        }
        for (server, admin) in orders {
            for node in state.nodes.values_mut().filter(|node| node.balances) {
                node.proxy.insert(server.clone(), admin);
            }
        }
    }

    /// A service that should run and does not is started, unless a run has it down.
    fn repair_services(&self, state: &mut State, runs: &[Run]) {
        state.changes += 1;
        let change = state.changes;
        for (host, node) in &mut state.nodes {
            let mut down = false;
            for run in runs {
                for (step, seen) in run.plan.body.steps.iter().zip(&run.steps) {
                    let touched = seen.attempt > 0;
                    match (&step.does, step.on.node() == Some(host) && touched) {
                        (Does::StopUnits { .. }, true) => down = true,
                        (Does::StartUnits { .. }, true) if seen.status == Status::Done => down = false,
                        _ => {}
                    }
                }
            }
            if !down && !node.service && !node.version.is_empty() && node.up {
                node.service = true;
                node.running.clone_from(&node.version);
                node.started = change;
            }
        }
    }

    /// A database cluster that has lost its majority for good is begun anew from a member that was there last.
    pub(crate) fn revive_cluster(&self, now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        self.advance(state, now);
        galera::count(state);
        if state.cluster.primary || state.cluster.members.is_empty() {
            return;
        }
        let last = state.cluster.view.iter().find(|host| state.nodes[*host].up).cloned();
        let any = state.cluster.members.iter().find(|host| {
            let node = &state.nodes[*host];
            node.up && !node.held_back && !node.wiped
        });
        if let Some(host) = last.or(any.cloned()) {
            galera::bootstrap(state, &host);
            galera::count(state);
        }
    }

    /// Database processes that are down and should not be are started.
    pub(crate) fn start_databases(&self, now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        self.advance(state, now);
        let members: Vec<HostName> = state.cluster.members.iter().cloned().collect();
        for host in members {
            if state.nodes.get(&host).is_some_and(|node| node.up && !node.held_back && !node.database) {
                galera::start(state, &host, now);
            }
        }
    }

    /// What a run's journal says of its steps, against what the nodes know: `(step, status, last attempt)`.
    pub(crate) fn contradictions(&self, run: &RunId, said: &[(&Step, Status, u16)]) -> Vec<Breach> {
        let guard = self.state();
        let state = &*guard;
        let mut found = Vec::new();
        for (step, status, attempt) in said {
            if *attempt == 0 || step.does.only_looks() {
                continue;
            }
            let job = Job {
                run: run.clone(),
                step: step.id.clone(),
                attempt: *attempt,
                does: step.does.clone(),
                on: step.on.clone(),
                limit_s: step.limit_s,
                by: None,
            };
            let hosts = parts(&job);
            let key = (run.clone(), step.id.clone(), *attempt);
            let known = |host: &HostName| state.nodes.get(host).and_then(|node| node.jobs.get(&key));
            match status {
                Status::Done => {
                    if let Some(host) = hosts.iter().find(|host| known(host).is_none()) {
                        let what = format!("{} is done by the journal; {host} never began it", step.id);
                        found.push(Breach { invariant: "done-is-done", what });
                    }
                    let failed = |host: &&HostName| {
                        known(host).is_some_and(|work| matches!(work.result, Some(Err(_))))
                            && self.probe(state, host, &job) != JobSeen::There
                    };
                    if let Some(host) = hosts.iter().find(failed) {
                        let what = format!("{} is done by the journal; it failed on {host}", step.id);
                        found.push(Breach { invariant: "done-is-done", what });
                    }
                }
                Status::Ready | Status::Failed => {
                    if let Some(host) = hosts.iter().find(|host| known(host).is_some_and(|work| !work.over)) {
                        let what = format!("{} is not done by the journal; it still runs on {host}", step.id);
                        found.push(Breach { invariant: "not-done-is-not-done", what });
                    }
                }
                _ => {}
            }
        }
        found
    }
}
