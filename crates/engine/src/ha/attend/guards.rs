//! The guards of an outage: whether its host may be recovered from, by all that is said of it and of all others.
//!
//! They must never take what could not be asked for a witness.

use super::{LOOK_BACK, Site};
use crate::ha::confirm::{Blocked, Confirmed, Says, Scale, Sighting, Witness, confirm, storm_guard};
use crate::ha::incident::Incident;
use crate::ha::notice::NOTICED;
use crate::ha::policy::Segment;
use crate::ha::watch::WorkError;
use ostler_model::Timestamp;
use ostler_model::compute::Scope;
use ostler_model::event::Why;
use ostler_model::ha::{self, Payload, Stage};
use ostler_model::ids::HostName;

/// A report of a host that still lives after this time was wrong, or the host is back: a later one opens a new incident.
const WRONG_REPORT_MS: i128 = 300_000;

/// How long a compute service may be silent and still live: two reports and a bit.
const SILENT_MS: i128 = 25_000;

/// Whether a host may be recovered from; if not, how the incident stands and why.
pub(super) async fn guards(
    site: &Site<'_>,
    record: &ha::Incident,
    incident: &Incident,
    segment: &Segment,
    hosts: &[ha::Host],
    reporter: Option<&str>,
) -> Result<Result<(), (Stage, Why)>, WorkError> {
    let (store, now) = (site.seams.store.as_ref(), site.seams.clock.now());
    let host = &incident.host;
    let mut scale = Scale {
        watched: hosts.iter().map(|host| HostName::new(host.name.as_str())).collect(),
        silent: (site.silent)(),
        fenced: Vec::new(),
        released: (site.released)(),
    };
    // Who is in no segment is no measure for those who are.
    scale.silent.retain(|name| scale.watched.contains(name));
    for other in store.incidents(LOOK_BACK).await? {
        let known = hosts.iter().find(|host| host.id == other.host);
        let (true, Some(known)) = (other.key.as_str().starts_with("host/"), known) else { continue };
        if other.closed.is_none() {
            scale.silent.insert(HostName::new(known.name.as_str()));
        }
        if !other.body.runs.is_empty() {
            scale.fenced.push((HostName::new(known.name.as_str()), other.opened));
        }
    }
    // Where a person says that it is off, no power is taken: there is nothing to hold back.
    let has_word = incident.word.is_some();
    if has_word || incident.released.is_some() {
        scale.released.insert(host.clone());
    }
    let guarded = storm_guard(host, segment, &scale, now, site.policy);
    let is_vouched = |blocked: &Blocked| has_word && matches!(blocked, Blocked::NoFence { .. });
    if let Some(blocked) = guarded.err().filter(|blocked| !is_vouched(blocked)) {
        let stage = if blocked.is_final() { Stage::Dismissed } else { Stage::Held };
        return Ok(Err((stage, Why::new(blocked.to_string()))));
    }
    let mut sightings = (site.sightings)(host);
    // What we noticed ourselves is the agent's word and no second witness.
    let is_reported = reporter != Some(NOTICED) || {
        let joined = store.joined(&record.id).await?;
        joined
            .iter()
            .any(|joined| joined.reporter != NOTICED && matches!(joined.payload, Payload::Host { .. }))
    };
    if is_reported {
        // The report stands as long as its incident does: monitors send the same one again and again.
        sightings.push(Sighting { witness: Witness::Cluster, says: Says::Dead, at: now });
    }
    if let Some(word) = &incident.word {
        sightings.push(Sighting { witness: Witness::Person, says: Says::Dead, at: word.at });
    }
    if let Ok(seen) = site.seams.cloud.look(&Scope::default()).await
        && let Some(service) = seen.services.get(host)
    {
        let silent = service.heard.is_none_or(|heard| is_silent(heard, seen.taken));
        let says = if silent || !service.up { Says::Dead } else { Says::Alive };
        sightings.push(Sighting { witness: Witness::Compute, says, at: now });
    }
    Ok(match confirm(host, &sightings, now, site.policy) {
        Confirmed::Dead(_) => Ok(()),
        Confirmed::Not(why) => {
            let lives =
                |witness| sightings.iter().any(|seen| seen.witness == witness && seen.says == Says::Alive);
            let is_wrong = match is_reported {
                false => lives(Witness::Agent),
                true => {
                    let since = now.duration_since(record.opened).as_millis();
                    (lives(Witness::Agent) || lives(Witness::Compute)) && since > WRONG_REPORT_MS
                }
            };
            Err((if is_wrong { Stage::Dismissed } else { Stage::Held }, why))
        }
    })
}

fn is_silent(heard: Timestamp, now: Timestamp) -> bool {
    now.duration_since(heard).as_millis() > SILENT_MS
}
