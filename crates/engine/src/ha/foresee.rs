//! What would become of each instance if its host failed now, and which hosts and instances are protected at all.
//!
//! It asks the very code that a recovery asks, so that it cannot promise anything else. It must never take a gap in what
//! is known for a protection.

use super::fate::{Fate, fate, is_ha_enabled, priority};
use super::kept;
use super::policy::{Method, Policy, Segment};
use super::recover::{Failure, recover};
use ostler_model::compute::{Compute, Disk, Instance, VmState};
use ostler_model::ha;
use ostler_model::ids::{HostName, InstanceId};
use ostler_model::step::{Does, Wanted};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How it can be shown that a host is off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// A controller takes its power away and reads it back.
    ByController,
    /// Only a person says so.
    ByWord,
    /// Nothing shows it, and the settings want it taken for off.
    Unproven,
    /// It must not be switched off, for this reason.
    Forbidden(String),
}

/// Why a host is not protected, or not fully.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// It is in no segment: nobody may report it.
    NoSegment,
    /// Its segment is switched off.
    SwitchedOff {
        /// Which.
        segment: String,
    },
    /// An operator works on it.
    Maintenance,
    /// It was recovered from, and not returned.
    UnderRecovery,
    /// A process on it failed, and it was not returned.
    Quarantined,
    /// Nothing shows that it is off: a recovery waits for ever.
    NoPower,
    /// It must not be switched off.
    DoNotFence {
        /// Why.
        why: String,
    },
    /// A person has to say that it is off.
    OnlyAWord,
    /// It is taken for off without a proof.
    Unproven,
    /// The compute service knows no such host.
    Unknown,
}

impl Gap {
    /// Whether nothing comes back by itself because of it.
    pub fn is_unprotected(&self) -> bool {
        !matches!(self, Gap::OnlyAWord | Gap::Unproven | Gap::Quarantined | Gap::DoNotFence { .. })
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::NoSegment => f.write_str("it is in no segment"),
            Gap::SwitchedOff { segment } => write!(f, "instance HA is off for the segment {segment}"),
            Gap::Maintenance => f.write_str("it is in maintenance"),
            Gap::UnderRecovery => f.write_str("it was recovered from and has not been returned"),
            Gap::Quarantined => f.write_str("a process on it failed and it has not been returned"),
            Gap::NoPower => f.write_str("it is not declared how its power is switched"),
            Gap::DoNotFence { why } => write!(f, "it must not be switched off by a program: {why}"),
            Gap::OnlyAWord => f.write_str("a person has to say that it is off"),
            Gap::Unproven => f.write_str("it is taken for off without a proof: instances may run twice"),
            Gap::Unknown => f.write_str("the compute service knows no such host"),
        }
    }
}

/// What would become of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum End {
    /// It comes back.
    Back {
        /// Where to.
        to: HostName,
        /// Whether that host is kept in reserve.
        reserved: bool,
    },
    /// Nobody knows of room for it; the scheduler is asked all the same.
    Doubtful {
        /// Why.
        why: String,
    },
    /// It does not.
    Stays {
        /// Why.
        why: String,
    },
}

/// What would become of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Foreseen {
    /// Which.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: String,
    /// Whether its owner marked it.
    pub marked: bool,
    /// Its priority.
    pub priority: u16,
    /// What it would be afterwards, where it comes back.
    pub becomes: Option<Wanted>,
    /// What would become of it.
    #[serde(flatten)]
    pub end: End,
    /// What nobody can see beforehand.
    pub caution: Option<String>,
}

/// What a failure of a host would come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Foresight {
    /// The host.
    pub host: HostName,
    /// Its segment.
    pub segment: Option<String>,
    /// Whether it is kept in reserve.
    pub reserved: bool,
    /// What stands in the way of a recovery.
    pub gaps: Vec<Gap>,
    /// Its instances, in the order in which they would be moved, then those that stay.
    pub instances: Vec<Foreseen>,
}

impl Foresight {
    /// Whether its instances come back by themselves, as far as the host is concerned.
    pub fn is_protected(&self) -> bool {
        !self.gaps.iter().any(Gap::is_unprotected)
    }

    /// How many instances come back, are in doubt, and stay.
    pub fn counts(&self) -> (usize, usize, usize) {
        let of = |is_it: fn(&End) -> bool| self.instances.iter().filter(|one| is_it(&one.end)).count();
        (
            of(|end| matches!(end, End::Back { .. })),
            of(|end| matches!(end, End::Doubtful { .. })),
            of(|end| matches!(end, End::Stays { .. })),
        )
    }
}

/// All that a look ahead depends on.
#[derive(Clone, Copy, Debug)]
pub struct Ahead<'a> {
    /// The cloud's name.
    pub cloud: &'a str,
    /// What the site wants.
    pub policy: &'a Policy,
    /// The segments that are registered.
    pub segments: &'a [ha::Segment],
    /// The hosts that are registered.
    pub hosts: &'a [ha::Host],
    /// How it can be shown that a host is off; one that is absent cannot be switched at all.
    pub power: &'a BTreeMap<HostName, Shown>,
    /// The compute side, with the instances of the hosts in question and with room.
    pub seen: &'a Compute,
}

/// What would become of a host's instances if it failed now.
pub fn foresee(ahead: &Ahead<'_>, host: &HostName) -> Result<Foresight, serde_json::Error> {
    let registered = ahead.hosts.iter().find(|known| known.name == host.as_str());
    let segment = registered.and_then(|known| ahead.segments.iter().find(|one| one.id == known.segment));
    let gaps = gaps(ahead, host, registered, segment);
    let domain = match segment {
        Some(segment) => kept::segment(segment, ahead.hosts, &BTreeSet::new()),
        None => Segment { name: String::new(), method: Method::Auto, enabled: false, hosts: Vec::new() },
    };
    let here = ahead.seen.instances.iter().filter(|(_, instance)| instance.host.as_ref() == Some(host));
    let before: BTreeMap<InstanceId, Instance> = here.map(|(id, one)| (id.clone(), one.clone())).collect();
    let nothing = BTreeSet::new();
    let failure = Failure {
        cloud: ahead.cloud,
        host,
        segment: &domain,
        policy: ahead.policy,
        before: &before,
        seen: ahead.seen,
        settled: &BTreeSet::new(),
        tired: &nothing,
        word: None,
        round: 1,
    };
    let planned = recover(&failure)?;
    let held: BTreeMap<&str, &str> =
        planned.report.held_back.iter().map(|held| (held.what.as_str(), held.why.as_str())).collect();
    let reserved = |to: &HostName| domain.hosts.iter().any(|member| member.host == *to && member.reserved);
    let mut instances = Vec::with_capacity(before.len());
    let mut moved: BTreeSet<&InstanceId> = BTreeSet::new();
    for step in &planned.plan.body.steps {
        let Does::Evacuate { instance: id, targets, .. } = &step.does else { continue };
        let Some(instance) = before.get(id) else { continue };
        moved.insert(id);
        let end = match targets.first().cloned().flatten() {
            Some(to) => End::Back { reserved: reserved(&to), to },
            None => End::Doubtful { why: why_of(&held, id, instance) },
        };
        instances.push(foreseen(ahead.policy, id, instance, end));
    }
    for (id, instance) in before.iter().filter(|(id, _)| !moved.contains(id)) {
        let end = End::Stays { why: why_of(&held, id, instance) };
        instances.push(foreseen(ahead.policy, id, instance, end));
    }
    Ok(Foresight {
        host: host.clone(),
        segment: segment.map(|segment| segment.name.clone()),
        reserved: registered.is_some_and(|known| known.reserved),
        gaps,
        instances,
    })
}

/// The same for every host that the compute service or the register knows.
pub fn coverage(ahead: &Ahead<'_>) -> Result<Vec<Foresight>, serde_json::Error> {
    let known = ahead.hosts.iter().map(|host| HostName::new(host.name.as_str()));
    let all: BTreeSet<HostName> = ahead.seen.services.keys().cloned().chain(known).collect();
    all.iter().map(|host| foresee(ahead, host)).collect()
}

fn why_of(held: &BTreeMap<&str, &str>, id: &InstanceId, instance: &Instance) -> String {
    let said = held.get(format!("{} ({id})", instance.name).as_str());
    said.map_or("no plan moves it".to_owned(), |why| (*why).to_owned())
}

fn foreseen(policy: &Policy, id: &InstanceId, instance: &Instance, end: End) -> Foreseen {
    let becomes = match (fate(instance, policy), &end) {
        (Fate::Move { to, .. }, End::Back { .. } | End::Doubtful { .. }) => Some(to),
        _ => None,
    };
    let caution = becomes.and_then(|to| caution(instance, to));
    Foreseen {
        id: id.clone(),
        name: instance.name.clone(),
        project: instance.project.clone(),
        marked: is_ha_enabled(instance, policy),
        priority: priority(instance, policy),
        becomes,
        end,
        caution,
    }
}

/// What the owner may not expect of an instance that comes back.
fn caution(instance: &Instance, to: Wanted) -> Option<String> {
    let disk = match instance.disk {
        Disk::Unknown => Some("unless its disk is on shared storage it is made anew and its data are lost"),
        Disk::Local => Some("its disk is on the host: it is made anew and its data are lost"),
        Disk::Volume | Disk::Shared => None,
    };
    let state = match (instance.state, to) {
        (VmState::Paused | VmState::Suspended | VmState::Rescued | VmState::Resized, Wanted::Stopped) => {
            Some(format!("it is {} and comes back switched off", instance.state))
        }
        _ => None,
    };
    match (disk, state) {
        (None, None) => None,
        (Some(disk), None) => Some(disk.to_owned()),
        (None, Some(state)) => Some(state),
        (Some(disk), Some(state)) => Some(format!("{disk}; {state}")),
    }
}

fn gaps(
    ahead: &Ahead<'_>,
    host: &HostName,
    registered: Option<&ha::Host>,
    segment: Option<&ha::Segment>,
) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if !ahead.seen.services.contains_key(host) {
        gaps.push(Gap::Unknown);
    }
    match registered {
        None => gaps.push(Gap::NoSegment),
        Some(known) => {
            if let Some(segment) = segment.filter(|segment| !segment.enabled) {
                gaps.push(Gap::SwitchedOff { segment: segment.name.clone() });
            }
            let flags = [
                (known.on_maintenance, Gap::Maintenance),
                (known.under_recovery, Gap::UnderRecovery),
                (known.quarantined, Gap::Quarantined),
            ];
            gaps.extend(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, gap)| gap));
        }
    }
    match ahead.power.get(host) {
        None => gaps.push(Gap::NoPower),
        Some(Shown::Forbidden(why)) => gaps.push(Gap::DoNotFence { why: why.clone() }),
        Some(Shown::ByWord) => gaps.push(Gap::OnlyAWord),
        Some(Shown::Unproven) => gaps.push(Gap::Unproven),
        Some(Shown::ByController) => {}
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::Timestamp;
    use ostler_model::compute::{GuestPower, Room, Service};
    use ostler_model::ids::{HostId, SegmentId};

    fn instance(name: &str, host: &str) -> Instance {
        Instance {
            name: name.into(),
            project: "p".into(),
            host: Some(host.into()),
            state: VmState::Active,
            task: None,
            power: Some(GuestPower::Running),
            locked: false,
            lock_reason: None,
            metadata: BTreeMap::new(),
            needs: Room { vcpus: 1, ram_mb: 1_024, disk_gb: 1 },
            disk: Disk::Volume,
            zone: None,
            apart_from: None,
            obstacle: None,
            launched: true,
            fault: None,
        }
    }

    fn compute(instances: &[Instance]) -> Compute {
        let service = Service {
            hypervisor: None,
            zone: "here".into(),
            up: true,
            enabled: true,
            reason: None,
            forced_down: false,
            heard: None,
        };
        Compute {
            taken: Timestamp::UNIX_EPOCH,
            services: ["one", "two"].map(|host| (HostName::new(host), service.clone())).into(),
            instances: instances
                .iter()
                .map(|instance| (InstanceId::new(format!("id-{}", instance.name)), instance.clone()))
                .collect(),
            evacuations: Vec::new(),
            room: ["one", "two"]
                .map(|host| (HostName::new(host), Room { vcpus: 9, ram_mb: 2_048, disk_gb: 99 }))
                .into(),
            aggregates: Vec::new(),
        }
    }

    fn segment(enabled: bool) -> ha::Segment {
        ha::Segment {
            number: 1,
            id: SegmentId::new("s"),
            name: "rack".into(),
            service_type: "COMPUTE".into(),
            enabled,
            description: None,
            recovery_method: ha::RecoveryMethod::Auto,
            created: Timestamp::UNIX_EPOCH,
            updated: None,
        }
    }

    fn registered(name: &str) -> ha::Host {
        ha::Host {
            number: 1,
            id: HostId::new(name),
            name: name.into(),
            segment: SegmentId::new("s"),
            kind: "COMPUTE".into(),
            control_attributes: "SSH".into(),
            reserved: false,
            on_maintenance: false,
            under_recovery: false,
            quarantined: false,
            created: Timestamp::UNIX_EPOCH,
            updated: None,
        }
    }

    fn seen_ahead(
        instances: &[Instance],
        segments: &[ha::Segment],
        hosts: &[ha::Host],
        power: &[(&str, Shown)],
    ) -> Foresight {
        let power = power.iter().map(|(host, how)| (HostName::new(*host), how.clone())).collect();
        let (policy, seen) = (Policy::default(), compute(instances));
        let ahead = Ahead { cloud: "c", policy: &policy, segments, hosts, power: &power, seen: &seen };
        foresee(&ahead, &HostName::new("one")).unwrap()
    }

    fn protected(instances: &[Instance]) -> Foresight {
        let hosts = [registered("one"), registered("two")];
        seen_ahead(instances, &[segment(true)], &hosts, &[("one", Shown::ByController)])
    }

    #[test]
    fn what_fits_comes_back_and_what_does_not_is_in_doubt() {
        let all = ["a", "b", "c"].map(|name| instance(name, "one"));
        let foresight = protected(&all);
        assert_eq!((foresight.gaps.clone(), foresight.counts()), (vec![], (2, 1, 0)));
        assert_eq!(foresight.instances[0].end, End::Back { to: "two".into(), reserved: false });
        assert!(matches!(&foresight.instances[2].end, End::Doubtful { why } if why.contains("room")));
    }

    #[test]
    fn what_cannot_be_moved_stays_with_its_reason() {
        let mut local = instance("a", "one");
        local.disk = Disk::Local;
        let mut tpm = instance("b", "one");
        tpm.obstacle = Some("it has a virtual TPM".into());
        let foresight = protected(&[local, tpm]);
        let whys: Vec<&End> = foresight.instances.iter().map(|one| &one.end).collect();
        assert!(matches!(whys[0], End::Stays { why } if why.contains("disk is on the host")), "{whys:?}");
        assert!(matches!(whys[1], End::Stays { why } if why.contains("TPM")), "{whys:?}");
    }

    #[test]
    fn a_disk_that_nobody_vouches_for_is_said() {
        let mut image = instance("a", "one");
        image.disk = Disk::Unknown;
        let foresight = protected(&[image]);
        assert!(foresight.instances[0].caution.as_ref().unwrap().contains("shared storage"));
    }

    #[test]
    fn every_reason_not_to_be_protected_is_named() {
        let mut out = registered("one");
        (out.on_maintenance, out.under_recovery, out.quarantined) = (true, true, true);
        let foresight = seen_ahead(&[instance("a", "one")], &[segment(false)], &[out], &[]);
        let off = Gap::SwitchedOff { segment: "rack".into() };
        let all = [off, Gap::Maintenance, Gap::UnderRecovery, Gap::Quarantined, Gap::NoPower];
        assert_eq!((foresight.gaps.as_slice(), foresight.is_protected()), (&all[..], false));
        let foresight = seen_ahead(&[], &[], &[], &[("one", Shown::ByWord)]);
        assert_eq!(foresight.gaps, [Gap::NoSegment, Gap::OnlyAWord]);
    }
}
