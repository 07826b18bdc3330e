//! Whether a host is dead: by witnesses that do not depend on each other, and never by one; and whether so many are dead
//! that the trouble must be ours.
//!
//! A host that anybody has heard lately is never taken for dead. When all are silent nothing is fenced.

use super::policy::{Policy, Segment};
use ostler_model::Timestamp;
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Witnesses that a host needs against it before it is taken for dead.
const WITNESSES_MIN: usize = 2;

/// Hosts of which all may be silent before that is taken for our own trouble: with fewer there is nothing to compare.
const ALL_SILENT_MIN: usize = 3;

/// Who saw something. Two networks of one agent are one witness: they share its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// Our agent on the host, by its heartbeats.
    Agent,
    /// The compute service's record.
    Compute,
    /// A cluster manager or a monitor that reported the host.
    Cluster,
    /// The power controller.
    Power,
    /// A person: enough alone.
    Person,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// The host does not live.
    Dead,
    /// It lives.
    Alive,
    /// Nobody can tell.
    Unsure,
}

/// One sighting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// By whom.
    pub witness: Witness,
    /// What.
    pub says: Says,
    /// When.
    pub at: Timestamp,
}

/// What sightings come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// It is dead, by these witnesses.
    Dead(Vec<Witness>),
    /// It is not known to be dead.
    Not(Why),
}

/// Judges what was seen of a host.
pub fn confirm(host: &HostName, sightings: &[Sighting], now: Timestamp, policy: &Policy) -> Confirmed {
    // Only the latest word of each witness counts, and only while it is fresh.
    let mut latest: BTreeMap<Witness, &Sighting> = BTreeMap::new();
    for sighting in sightings {
        let newer = latest.get(&sighting.witness).is_none_or(|other| other.at <= sighting.at);
        if newer {
            latest.insert(sighting.witness, sighting);
        }
    }
    let age = i128::from(policy.sighting_age_s) * 1000;
    // A sighting from a clock that is ahead is as good as one from now.
    latest.retain(|witness, sighting| {
        *witness == Witness::Person || now.duration_since(sighting.at).as_millis() <= age
    });
    let of = |says| latest.iter().filter(move |(_, sighting)| sighting.says == says).map(|(who, _)| *who);
    if latest.get(&Witness::Person).is_some_and(|sighting| sighting.says == Says::Dead) {
        return Confirmed::Dead(vec![Witness::Person]);
    }
    let alive: Vec<Witness> = of(Says::Alive).collect();
    if let Some(witness) = alive.first() {
        return Confirmed::Not(Why::new(format!("{host} was heard lately, by {witness:?}").to_lowercase()));
    }
    let dead: Vec<Witness> = of(Says::Dead).collect();
    match dead.len() {
        0 => Confirmed::Not(Why::new(format!("nobody has missed {host} lately"))),
        count if count < WITNESSES_MIN => Confirmed::Not(
            Why::new(format!("only one witness misses {host}"))
                .hint("if it is dead: `ostler ha confirm-down HOST`"),
        ),
        _ => Confirmed::Dead(dead),
    }
}

/// How much is dead, and how much has been fenced lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scale {
    /// All hosts that are watched.
    pub watched: BTreeSet<HostName>,
    /// Those that are silent now, the one in question among them.
    pub silent: BTreeSet<HostName>,
    /// Hosts that were fenced, and when.
    pub fenced: Vec<(HostName, Timestamp)>,
    /// Hosts that an operator has released from this guard.
    pub released: BTreeSet<HostName>,
}

/// Why a host is not fenced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// Its segment is switched off.
    #[error("instance HA is off for the segment {segment}")]
    SwitchedOff {
        /// Which.
        segment: String,
    },
    /// Somebody works on it.
    #[error("{host} is in maintenance")]
    Maintenance {
        /// Which.
        host: HostName,
    },
    /// It is marked.
    #[error("{host} is marked not to be fenced")]
    NoFence {
        /// Which.
        host: HostName,
    },
    /// So many are silent that the trouble is likely ours.
    #[error("{silent} of {watched} hosts are silent at once: the trouble is likely our own")]
    OwnTrouble {
        /// How many are silent.
        silent: usize,
        /// Of how many.
        watched: usize,
    },
    /// Enough have been fenced for now.
    #[error("{fenced} hosts were fenced in the last {interval_s} s, and {most} is the most")]
    TooMany {
        /// How many were.
        fenced: usize,
        /// How many may be.
        most: usize,
        /// In which time.
        interval_s: u32,
    },
    /// Too much of one segment would be lost.
    #[error("{fenced} hosts of the segment {segment} were fenced lately, and {most} is the most")]
    SegmentShare {
        /// Which.
        segment: String,
        /// How many were.
        fenced: usize,
        /// How many may be.
        most: usize,
    },
}

impl Blocked {
    /// Whether it is an answer and not only a delay: nothing will be done about this failure.
    pub fn is_final(&self) -> bool {
        matches!(self, Blocked::SwitchedOff { .. } | Blocked::Maintenance { .. })
    }
}

/// Whether a dead host may be fenced now.
pub fn storm_guard(
    host: &HostName,
    segment: &Segment,
    scale: &Scale,
    now: Timestamp,
    policy: &Policy,
) -> Result<(), Blocked> {
    if !segment.enabled {
        return Err(Blocked::SwitchedOff { segment: segment.name.clone() });
    }
    let member = segment.hosts.iter().find(|member| member.host == *host);
    if member.is_some_and(|member| member.on_maintenance) {
        return Err(Blocked::Maintenance { host: host.clone() });
    }
    if member.is_some_and(|member| member.no_fence) {
        return Err(Blocked::NoFence { host: host.clone() });
    }
    if scale.released.contains(host) {
        return Ok(());
    }
    let (silent, watched) = (scale.silent.len(), scale.watched.len());
    let percent = |share: u32, of: usize| of * share as usize / 100;
    let all_silent = watched >= ALL_SILENT_MIN && silent >= watched;
    let most_silent = silent > percent(50, watched).max(policy.storm_hosts as usize);
    if all_silent || most_silent {
        return Err(Blocked::OwnTrouble { silent, watched });
    }
    let interval = i128::from(policy.storm_interval_s) * 1000;
    let lately: BTreeSet<&HostName> = scale
        .fenced
        .iter()
        .filter(|(other, at)| other != host && now.duration_since(*at).as_millis() <= interval)
        .map(|(other, _)| other)
        .collect();
    let most = percent(policy.storm_percent, watched).max(policy.storm_hosts as usize);
    if lately.len() >= most {
        let interval_s = policy.storm_interval_s;
        return Err(Blocked::TooMany { fenced: lately.len(), most, interval_s });
    }
    let of_segment = segment.hosts.iter().filter(|member| lately.contains(&member.host)).count();
    // A segment of one or two may lose one: else it would have no instance HA at all.
    let most = percent(policy.segment_percent, segment.hosts.len()).max(1);
    if of_segment >= most {
        return Err(Blocked::SegmentShare { segment: segment.name.clone(), fenced: of_segment, most });
    }
    Ok(())
}
