//! How outages are kept in the register, and read from it.
//!
//! A translation and nothing more: it must never decide what becomes of an outage.

use super::incident::Incident;
use super::moves::{Moved, MovedStatus};
use super::policy::{Member, Method, Segment};
use ostler_model::Timestamp;
use ostler_model::compute::Instance;
use ostler_model::event::Why;
use ostler_model::ha;
use ostler_model::ids::{HostName, InstanceId, MoveId, NotificationId};
use ostler_model::plan::hex;
use ostler_model::step::Word;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The format of what is kept beside an incident.
const BESIDE_FORMAT: u16 = 1;

/// What an incident's record holds for whoever works on it.
#[derive(Debug, Serialize, Deserialize)]
struct Beside {
    format: u16,
    before: Option<BTreeMap<InstanceId, Instance>>,
    forgiven: usize,
    word: Option<Word>,
    #[serde(default)]
    given_up: Option<Word>,
    #[serde(default)]
    released: Option<Word>,
}

/// An outage of a host as its record has it.
pub fn read(record: &ha::Incident, host: &HostName) -> Result<Incident, Why> {
    let mut incident = Incident::open(host.clone(), record.opened);
    incident.runs = record.body.runs.clone();
    incident.over = record.closed.is_some();
    incident.waits = (!record.why.is_empty()).then(|| record.why.clone());
    if let Some(beside) = &record.body.guests {
        let unreadable = |what: String| {
            Why::new(format!("what is kept of the outage of {host} cannot be read: {what}"))
                .hint("a newer ostler may have written it: let that one work on it")
        };
        let beside: Beside =
            serde_json::from_value(beside.clone()).map_err(|error| unreadable(error.to_string()))?;
        if beside.format > BESIDE_FORMAT {
            return Err(unreadable(format!("its format is {}", beside.format)));
        }
        (incident.before, incident.forgiven, incident.word) = (beside.before, beside.forgiven, beside.word);
        (incident.given_up, incident.released) = (beside.given_up, beside.released);
    }
    Ok(incident)
}

/// The record of an outage as it is now.
pub fn written(incident: &Incident, record: &ha::Incident) -> Result<ha::Incident, serde_json::Error> {
    let mut record = record.clone();
    record.body.runs = incident.runs.clone();
    let (before, word) = (incident.before.clone(), incident.word.clone());
    let (given_up, released) = (incident.given_up.clone(), incident.released.clone());
    let forgiven = incident.forgiven;
    let beside = Beside { format: BESIDE_FORMAT, before, forgiven, word, given_up, released };
    record.body.guests = Some(serde_json::to_value(beside)?);
    Ok(record)
}

/// A segment as decisions need it. A host that is out for a recovery's own sake is none that somebody works on.
pub fn segment(segment: &ha::Segment, hosts: &[ha::Host], no_fence: &BTreeSet<HostName>) -> Segment {
    let mut hosts: Vec<&ha::Host> = hosts.iter().filter(|host| host.segment == segment.id).collect();
    hosts.sort_by_key(|host| std::cmp::Reverse((host.created, host.number)));
    Segment {
        name: segment.name.clone(),
        method: match segment.recovery_method {
            ha::RecoveryMethod::Auto => Method::Auto,
            ha::RecoveryMethod::ReservedHost => Method::ReservedHost,
            ha::RecoveryMethod::AutoPriority => Method::AutoPriority,
            ha::RecoveryMethod::ReservedPriority => Method::RhPriority,
        },
        enabled: segment.enabled,
        hosts: hosts
            .into_iter()
            .map(|host| {
                let name = HostName::new(host.name.as_str());
                let no_fence = no_fence.contains(&name);
                Member { reserved: host.reserved, on_maintenance: host.on_maintenance, no_fence, host: name }
            })
            .collect(),
    }
}

/// A move's record. Its identity follows from run and instance, so that writing it again changes that record.
pub fn move_record(
    moved: &Moved,
    notification: &NotificationId,
    names: &BTreeMap<InstanceId, Instance>,
    now: Timestamp,
) -> ha::Move {
    let digest = hex(&Sha256::digest(format!("{} {}", moved.run, moved.instance)));
    // The form of a UUID whose content is its maker's affair (version 8).
    let id = format!(
        "{}-{}-8{}-8{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[12..15],
        &digest[15..18],
        &digest[18..30]
    );
    ha::Move {
        number: 0,
        id: MoveId::new(id),
        notification: notification.clone(),
        instance: moved.instance.clone(),
        instance_name: names.get(&moved.instance).map(|instance| instance.name.clone()).unwrap_or_default(),
        source: Some(moved.source.to_string()),
        destination: moved.dest.as_ref().map(ToString::to_string),
        started: moved.start,
        ended: moved.end,
        kind: ha::MoveKind::Evacuation,
        status: match moved.status {
            MovedStatus::Pending => ha::MoveStatus::Pending,
            MovedStatus::Ongoing => ha::MoveStatus::Ongoing,
            MovedStatus::Succeeded => ha::MoveStatus::Succeeded,
            MovedStatus::Failed => ha::MoveStatus::Failed,
        },
        message: moved.message.clone(),
        created: now,
        updated: Some(now),
    }
}
