//! Where instances could go: known before the first of them moves.
//!
//! It fills hosts in the order of the instances, each time the host with the most free memory, so that a burst does not end
//! on one host. It must never promise room twice, nor overrule the scheduler: that has the last word.

use ostler_model::compute::{Instance, Room};
use ostler_model::ids::{HostName, InstanceId};
use std::collections::{BTreeMap, BTreeSet};

/// A host that could take instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub host: HostName,
    /// What is free there.
    pub room: Room,
    /// Its availability zone.
    pub zone: String,
}

/// A first choice for each instance that fits somewhere, and a second one if there is another host that would take it.
pub fn place(
    instances: &[(&InstanceId, &Instance)],
    candidates: &[Candidate],
) -> BTreeMap<InstanceId, Vec<HostName>> {
    let mut free: BTreeMap<&HostName, Room> =
        candidates.iter().map(|candidate| (&candidate.host, candidate.room)).collect();
    let mut groups: BTreeSet<(&str, &HostName)> = BTreeSet::new();
    let mut places = BTreeMap::new();
    for (id, instance) in instances {
        let mut fitting: Vec<(&HostName, Room)> = candidates
            .iter()
            .filter(|candidate| instance.zone.as_ref().is_none_or(|zone| *zone == candidate.zone))
            .filter(|candidate| {
                let group = instance.apart_from.as_deref();
                group.is_none_or(|group| !groups.contains(&(group, &candidate.host)))
            })
            .filter_map(|candidate| free.get(&candidate.host).map(|room| (&candidate.host, *room)))
            .filter(|(_, room)| room.holds(&instance.needs))
            .collect();
        fitting.sort_by(|one, other| other.1.ram_mb.cmp(&one.1.ram_mb).then_with(|| one.0.cmp(other.0)));
        if let Some((host, room)) = fitting.first() {
            free.insert(host, room.less(&instance.needs));
            if let Some(group) = &instance.apart_from {
                groups.insert((group, host));
            }
            places.insert((*id).clone(), fitting.iter().take(2).map(|(host, _)| (*host).clone()).collect());
        }
    }
    places
}
