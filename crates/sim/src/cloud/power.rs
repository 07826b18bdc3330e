//! Power and links of pretended nodes: what is lost when they go, and what comes back by itself.
//!
//! A node that boots starts what is enabled, with the code that is installed then; its load balancer has forgotten
//! every order. Nothing here waits.

use super::effects::after;
use super::{How, Later, Link, SimCloud, State, galera};
use ostler_model::Timestamp;
use ostler_model::ids::HostName;
use ostler_model::inventory::ServerAdmin;

/// How long a database process that died takes until systemd has started it again.
const DATABASE_BACK_MS: u64 = 5_000;

impl SimCloud {
    /// A node loses power; it gets it back by itself after some time, or when somebody gives it.
    pub fn lose_power(&self, host: &HostName, back_after_ms: Option<u64>, now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        self.advance(state, now);
        self.cut_power(state, host, now);
        if let Some(ms) = back_after_ms {
            state.later(after(now, ms), Later::Power(host.clone()));
        }
    }

    pub(super) fn cut_power(&self, state: &mut State, host: &HostName, now: Timestamp) {
        let Some(node) = state.nodes.get_mut(host).filter(|node| node.up) else { return };
        node.up = false;
        node.service = false;
        // What was under way is broken off: whether it had done its work by then is told by its state.
        let broken: Vec<_> = node.jobs.iter_mut().filter(|(_, work)| !work.over).collect();
        let mut torn = Vec::new();
        for (key, work) in broken {
            work.over = true;
            work.result = None;
            torn.push((work.ends, key.clone(), work.job.clone(), work.how));
        }
        // A record of before the restart is not believed either.
        for work in node.jobs.values_mut() {
            work.result = None;
        }
        state.note(now, || format!("world  {host} loses power"));
        for (ends, key, job, how) in torn {
            state.due.remove(&(ends, host.clone(), key));
            if how != How::Fails {
                self.tear(state, host, &job);
            }
        }
        galera::vanish(state, host);
        self.look_for_outage(state, now);
    }

    /// A node gets power.
    pub fn give_power(&self, host: &HostName, now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        self.advance(state, now);
        self.boot(state, host, now);
        self.look_for_outage(state, now);
    }

    pub(super) fn boot(&self, state: &mut State, host: &HostName, now: Timestamp) {
        state.changes += 1;
        let started = state.changes;
        let Some(node) = state.nodes.get_mut(host).filter(|node| !node.up) else { return };
        node.up = true;
        node.boot += 1;
        node.service = !node.version.is_empty() && node.settled;
        node.running.clone_from(&node.version);
        node.started = started;
        for admin in node.proxy.values_mut() {
            *admin = ServerAdmin::Ready;
        }
        let has_database = node.member && !node.held_back;
        state.note(now, || format!("world  {host} has power again"));
        if has_database {
            galera::start(state, host, now);
        }
    }

    /// A link changes, for some time or until somebody mends it.
    pub fn set_link(&self, host: &HostName, link: Link, for_ms: Option<u64>, now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        self.advance(state, now);
        if let Some(node) = state.nodes.get_mut(host) {
            node.link = link;
        }
        state.note(now, || format!("world  the link of {host} is {link:?}"));
        galera::count(state);
        if let Some(ms) = for_ms {
            state.later(after(now, ms), Later::Link(host.clone()));
        }
        self.look_for_outage(state, now);
    }

    /// A database process dies; systemd starts it again.
    pub fn kill_database(&self, host: &HostName, now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        self.advance(state, now);
        if state.nodes.get(host).is_some_and(|node| node.database) {
            state.note(now, || format!("world  the database of {host} dies"));
            galera::vanish(state, host);
            state.later(after(now, DATABASE_BACK_MS), Later::Database(host.clone()));
        }
    }

    /// Orders how the next commands go that are begun anywhere.
    pub(crate) fn next_command(&self, how: How) {
        self.state().next.push_back(how);
    }
}
