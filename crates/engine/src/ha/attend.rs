//! Attends to the register: every incident that is open is looked at again and again by every server, and worked on by the
//! one that has its lease.
//!
//! Whoever dies leaves nothing behind that another one does not find. It must never act on a host before its guards hold,
//! nor let one incident wait for another.

mod guards;
mod handover;
mod outage;
mod single;

use super::confirm::Sighting;
use super::kept;
use super::notice::notice;
use super::policy::Policy;
use super::watch::WorkError;
use crate::run::{LeaseError, Observer};
use crate::seam::{Fut, Seams, StoreError};
use futures_util::stream::{FuturesUnordered, StreamExt};
use handover::Watched;
use ostler_model::ha::list::Query;
use ostler_model::ha::{self, Named, Payload, Stage, Status};
use ostler_model::ids::{HostName, IncidentId};
use std::collections::BTreeSet;

/// How often the register is looked at: a report must not wait longer than that.
const LOOK_MS: u64 = 500;

/// Incidents that one server works on at once; more wait for their turn.
const AT_ONCE_MAX: usize = 64;

/// How long a server says that it is at an incident. Longer than it is away from it while it works.
const HOLD_MS: i64 = 60_000;

/// Incidents that the guards look back at.
const LOOK_BACK: u32 = 500;

/// Pause before an incident is looked at again that another server is at.
const WAIT_MS: u64 = 1_000;

/// The longest pause before an incident is looked at again, whatever it waits for: another server may be at it meanwhile,
/// and die.
const PAUSE_MAX_MS: u64 = 2_000;

/// What a server attends with.
pub struct Site<'a> {
    /// The world.
    pub seams: &'a Seams,
    /// The cloud's name.
    pub cloud: &'a str,
    /// What the site wants.
    pub policy: &'a Policy,
    /// This server.
    pub owner: &'a str,
    /// The process whose end takes a host out of use.
    pub compute_process: &'a str,
    /// Hosts that must not lose power by our hand.
    pub no_fence: &'a BTreeSet<HostName>,
    /// What agents and others say of a host now.
    pub sightings: &'a (dyn Fn(&HostName) -> Vec<Sighting> + Send + Sync),
    /// Hosts that are silent now, by agents' heartbeats.
    pub silent: &'a (dyn Fn() -> BTreeSet<HostName> + Send + Sync),
    /// Hosts that an operator has released from the storm guard.
    pub released: &'a (dyn Fn() -> BTreeSet<HostName> + Send + Sync),
    /// Whether the owner of a lease is known to be gone: its work is taken over at once.
    pub gone: &'a (dyn Fn(&str) -> bool + Send + Sync),
    /// Hears of everything that a run does, when it is durable.
    pub observer: Observer<'a>,
    /// Hears what a person should read, in one line.
    pub tell: &'a (dyn Fn(&str) + Send + Sync),
}

/// Attends for ever. Whoever calls it ends it by dropping it.
pub async fn attend(site: &Site<'_>) {
    let watched = Watched::default();
    let mut at_work: FuturesUnordered<Fut<'_, IncidentId>> = FuturesUnordered::new();
    let mut in_hand: BTreeSet<IncidentId> = BTreeSet::new();
    loop {
        let mut looking = Box::pin(look(site));
        let open = loop {
            tokio::select! {
                biased;
                open = &mut looking => break open,
                Some(done) = at_work.next(), if !at_work.is_empty() => {
                    in_hand.remove(&done);
                }
            }
        };
        for record in open {
            if in_hand.len() < AT_ONCE_MAX && in_hand.insert(record.id.clone()) {
                at_work.push(Box::pin(until_over(site, &watched, record.id)));
            }
        }
        let mut pause = site.seams.clock.sleep(LOOK_MS);
        loop {
            tokio::select! {
                biased;
                () = &mut pause => break,
                Some(done) = at_work.next(), if !at_work.is_empty() => {
                    in_hand.remove(&done);
                }
            }
        }
    }
}

/// The incidents that are open, those among them that were noticed just now. A store that does not answer is asked again:
/// nothing is remembered here that could be lost.
async fn look(site: &Site<'_>) -> Vec<ha::Incident> {
    let store = site.seams.store.as_ref();
    let open = store.open_incidents().await.unwrap_or_default();
    match notice(site, &open).await {
        Ok(true) => store.open_incidents().await.unwrap_or(open),
        Ok(false) | Err(_) => open,
    }
}

/// Works on one incident until it is closed.
async fn until_over(site: &Site<'_>, watched: &Watched, id: IncidentId) -> IncidentId {
    let mut last_trouble = String::new();
    loop {
        let pause_ms = match site.seams.store.incident(&id).await {
            Ok(Some(record)) if record.closed.is_none() => match once(site, watched, record).await {
                Ok(Some(pause_ms)) => pause_ms,
                Ok(None) => return id,
                // Somebody else is at it: look again.
                Err(WorkError::Lease(LeaseError::Held { .. })) => WAIT_MS,
                Err(error) => {
                    let trouble = error.to_string();
                    if trouble != last_trouble {
                        (site.tell)(&format!("incident {id}: {trouble}; it is tried again"));
                        last_trouble = trouble;
                    }
                    WAIT_MS
                }
            },
            Ok(_) => return id,
            Err(_) => WAIT_MS,
        };
        site.seams.clock.sleep(pause_ms.min(PAUSE_MAX_MS)).await;
    }
}

/// One look at one incident. None: it is closed.
async fn once(site: &Site<'_>, watched: &Watched, record: ha::Incident) -> Result<Option<u64>, WorkError> {
    let store = site.seams.store.as_ref();
    let Some(host) = store.host(&Named::Id(record.host.to_string())).await? else {
        return close(site, record, Stage::Dismissed, "the host is registered no more").await;
    };
    let Some(segment) = store.segment(&Named::Id(host.segment.to_string())).await? else {
        return close(site, record, Stage::Dismissed, "the segment is registered no more").await;
    };
    let hosts = store.hosts(&Query::default()).await?;
    let segment = kept::segment(&segment, &hosts, site.no_fence);
    let notification = store.notification(&Named::Id(record.notification.to_string())).await?;
    let reporter = notification.as_ref().map(|notification| notification.reporter.clone());
    match notification.map(|notification| notification.payload) {
        Some(Payload::Instance { instance_uuid, .. }) => {
            let id = instance_uuid.as_str().into();
            single::instance(site, watched, record, &segment, &id).await
        }
        Some(Payload::Process { process_name, .. }) => {
            single::process(site, watched, record, &segment, &host, &process_name).await
        }
        Some(Payload::Host { .. }) | None => {
            outage::outage(site, watched, record, &segment, &host, &hosts, reporter.as_deref()).await
        }
    }
}

/// Saves an incident as it is now; whoever saved it meanwhile has won.
async fn save(site: &Site<'_>, record: &ha::Incident) -> Result<ha::Incident, StoreError> {
    site.seams.store.save_incident(record).await?.ok_or_else(|| StoreError::Unavailable {
        what: format!("the incident {} was changed by another server", record.key),
        hint: None,
    })
}

/// Says how an incident stands, where that has changed.
async fn stands(
    site: &Site<'_>,
    mut record: ha::Incident,
    stage: Stage,
    why: &str,
) -> Result<Option<u64>, WorkError> {
    if record.stage != stage || record.why != why {
        (record.stage, record.why) = (stage, why.to_owned());
        let record = save(site, &record).await?;
        answer(site, &record, Status::Running, Some(why)).await?;
        tell(site, &record).await;
    }
    Ok(Some(PAUSE_MAX_MS))
}

async fn close(
    site: &Site<'_>,
    mut record: ha::Incident,
    stage: Stage,
    why: &str,
) -> Result<Option<u64>, WorkError> {
    (record.stage, record.why) = (stage, why.to_owned());
    record.closed = Some(site.seams.clock.now());
    let status = match stage {
        Stage::Dismissed => Status::Ignored,
        Stage::Failed => Status::Failed,
        _ => Status::Finished,
    };
    // The answer comes first: an incident that is closed is looked at no more.
    answer(site, &record, status, Some(why)).await?;
    save(site, &record).await?;
    tell(site, &record).await;
    Ok(None)
}

/// Tells a person how an incident stands, by the name of its host.
async fn tell(site: &Site<'_>, record: &ha::Incident) {
    let host = site.seams.store.host(&Named::Id(record.host.to_string())).await;
    let host = host.ok().flatten().map_or_else(|| record.host.to_string(), |host| host.name);
    let of = match record.key.as_str().split_once('/') {
        Some(("vm", id)) => format!("instance {id} on {host}"),
        Some(("process", rest)) => format!("{} on {host}", rest.rsplit('/').next().unwrap_or_default()),
        _ => host,
    };
    (site.tell)(&format!("{of}: {}: {} (incident {})", record.stage, record.why, record.id));
}

/// Moves the notifications of an incident on.
async fn answer(
    site: &Site<'_>,
    record: &ha::Incident,
    to: Status,
    message: Option<&str>,
) -> Result<(), StoreError> {
    let now = site.seams.clock.now();
    let absorbed = record.body.absorbed.iter();
    for id in absorbed.chain([&record.notification]) {
        for from in [Status::New, Status::Running, Status::Error] {
            if site.seams.store.set_status(id, from, to, message, now).await? {
                break;
            }
        }
    }
    Ok(())
}
