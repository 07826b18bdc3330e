//! The pretended database cluster: who belongs to it, whether it has a majority, who must copy what.
//!
//! A member that leaves politely shrinks the cluster; one that vanishes must leave a majority behind. It never
//! merges data: what a member brings from outside the majority is lost, as in Galera.

use super::{Later, State};
use ostler_model::Timestamp;
use ostler_model::ids::HostName;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a member takes that only lacks a few write-sets.
const CATCHES_UP: Duration = Duration::from_secs(2);

/// How long a member takes that must copy everything.
const COPIES_ALL: Duration = Duration::from_secs(20);

/// The cluster as its members see it.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Every member that there should be.
    pub members: BTreeSet<HostName>,
    /// The members of the last view that had a majority.
    pub view: BTreeSet<HostName>,
    /// Whether a majority lives.
    pub primary: bool,
    /// Members that are still copying.
    pub joining: BTreeSet<HostName>,
    /// A member that gives its data to another one.
    pub donor: Option<HostName>,
    /// Which cluster this is: a new one begins with each bootstrap.
    pub number: u32,
}

impl Cluster {
    pub(crate) fn of(members: BTreeSet<HostName>) -> Cluster {
        Cluster {
            view: members.clone(),
            members,
            primary: true,
            joining: BTreeSet::new(),
            donor: None,
            number: 1,
        }
    }
}

fn lives(state: &State, host: &HostName) -> bool {
    state.nodes.get(host).is_some_and(|node| node.database && node.reachable())
}

/// Counts the cluster again after members came, went or vanished.
pub(crate) fn count(state: &mut State) {
    let alive: BTreeSet<HostName> =
        state.cluster.view.iter().filter(|host| lives(state, host)).cloned().collect();
    let all = state.cluster.view.len();
    let has_majority = alive.len() * 2 > all || (alive.len() == all && all > 0);
    if state.cluster.primary {
        if has_majority {
            state.cluster.view = alive;
        } else {
            state.cluster.primary = false;
        }
    } else if alive.len() == all && all > 0 {
        // Everybody who was there last is there again.
        state.cluster.primary = true;
    }
    let view = state.cluster.view.clone();
    let nodes = &state.nodes;
    state.cluster.joining.retain(|host| nodes.get(host).is_some_and(|node| node.up));
    if state.cluster.donor.as_ref().is_some_and(|donor| !view.contains(donor)) {
        state.cluster.donor = None;
    }
    if !state.cluster.primary {
        return;
    }
    // Who lives and does not belong to the majority joins it.
    let newcomers: Vec<HostName> = state
        .cluster
        .members
        .iter()
        .filter(|host| lives(state, host) && !view.contains(*host) && !state.cluster.joining.contains(*host))
        .cloned()
        .collect();
    for host in newcomers {
        take_in(state, &host);
    }
}

/// A member that copies at once: time for it passes in the step that waits for it.
fn take_in(state: &mut State, host: &HostName) {
    let donor = state.cluster.view.iter().find(|other| lives(state, other)).cloned();
    let heads = donor.as_ref().and_then(|donor| state.nodes.get(donor)).map(|node| node.heads.clone());
    state.cluster.view.insert(host.clone());
    if let (Some(node), Some(heads)) = (state.nodes.get_mut(host), heads) {
        node.heads = heads;
        node.wiped = false;
    }
}

/// A member leaves politely.
pub(crate) fn leave(state: &mut State, host: &HostName) {
    state.cluster.view.remove(host);
    if let Some(node) = state.nodes.get_mut(host) {
        node.database = false;
        node.clean = true;
    }
    if state.cluster.view.is_empty() {
        state.cluster.primary = false;
    }
    count(state);
}

/// A member vanishes: power, network, or its process died.
pub(crate) fn vanish(state: &mut State, host: &HostName) {
    if let Some(node) = state.nodes.get_mut(host)
        && node.database
    {
        node.database = false;
        node.clean = false;
    }
    count(state);
}

/// A member's process starts; it has joined some time later.
pub(crate) fn start(state: &mut State, host: &HostName, now: Timestamp) {
    let Some(node) = state.nodes.get_mut(host) else { return };
    if node.database || !node.up {
        return;
    }
    let takes = if node.wiped { COPIES_ALL } else { CATCHES_UP };
    state.cluster.joining.insert(host.clone());
    state.later(now.checked_add(takes).unwrap_or(now), Later::Joined(host.clone()));
}

/// A member that was starting is there.
pub(crate) fn joined(state: &mut State, host: &HostName) {
    if !state.cluster.joining.remove(host) {
        return;
    }
    let Some(node) = state.nodes.get_mut(host) else { return };
    if node.up && !node.held_back {
        node.database = true;
        count(state);
    }
}

/// A stopped member becomes a cluster of its own.
pub(crate) fn bootstrap(state: &mut State, host: &HostName) {
    state.cluster.view = BTreeSet::from([host.clone()]);
    state.cluster.primary = true;
    state.cluster.number += 1;
    if let Some(node) = state.nodes.get_mut(host) {
        node.database = true;
        node.held_back = false;
    }
}

/// Whether a member answers queries.
pub(crate) fn ready(state: &State, host: &HostName) -> bool {
    state.cluster.primary && state.cluster.view.contains(host) && lives(state, host)
}

/// The heads that a client of the cluster reads.
pub(crate) fn heads(state: &State) -> Option<Vec<String>> {
    let reader = state.cluster.view.iter().find(|host| ready(state, host))?;
    state.nodes.get(reader).map(|node| node.heads.clone())
}

/// A schema change reaches every member of the majority.
pub(crate) fn set_heads(state: &mut State, heads: &[String]) {
    let hosts: Vec<HostName> = state.cluster.view.iter().cloned().collect();
    for host in hosts {
        if let Some(node) = state.nodes.get_mut(&host)
            && node.database
        {
            node.heads = heads.to_vec();
        }
    }
}
