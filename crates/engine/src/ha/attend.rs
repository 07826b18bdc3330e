//! Attends to the register: every incident that is open is looked at again and again by every server, and worked on by the
//! one that has its lease.
//!
//! Whoever dies leaves nothing behind that another one does not find. It must never act on a host before its guards hold,
//! nor let one incident wait for another.

use super::confirm::{Blocked, Confirmed, Says, Scale, Sighting, Witness, confirm, storm_guard};
use super::incident::{Incident, spares_in_use};
use super::kept;
use super::limits::may_restart;
use super::moves::moves;
use super::notice::{NOTICED, notice};
use super::policy::{Policy, Segment};
use super::restart::{NotRestarted, disable, restart};
use super::steps::steps;
use super::watch::{Went, WorkError, lease_name, work};
use crate::run::{self, Ended, LeaseError, Observer, Run, RunState, later};
use crate::seam::{Fut, Lease, Seams, StoreError};
use futures_util::stream::{FuturesUnordered, StreamExt};
use ostler_model::Timestamp;
use ostler_model::compute::Scope;
use ostler_model::event::{Actor, Why};
use ostler_model::ha::list::Query;
use ostler_model::ha::{self, HostChange, Named, Payload, Stage, Status};
use ostler_model::ids::{HostName, IncidentId, MoveId, RunId};
use ostler_model::limits::OUTAGE_LEASE_S;
use ostler_model::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

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

/// How often clients are told how far a run is.
const TELL_EVERY_MS: u64 = 3_000;
/// The longest pause before an incident is looked at again, whatever it waits for: another server may be at it meanwhile,
/// and die.
const PAUSE_MAX_MS: u64 = 2_000;

/// Leases that are remembered; when there are more the memory begins anew, which costs one takeover some seconds.
const LEASES_MAX: usize = 4_096;

/// How this server has seen the leases of others, and since when by its own clock. The end that is written in a lease is
/// by its owner's clock, which may be minutes ahead; one that nobody renews has ended, whatever is written there.
#[derive(Default)]
struct Watched(Mutex<BTreeMap<String, (Lease, Timestamp)>>);

impl Watched {
    /// Whether a lease has not been renewed for as long as it lasts.
    fn is_stale(&self, lease: &Lease, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= LEASES_MAX {
            seen.clear();
        }
        match seen.get(&lease.name) {
            Some((same, since)) if same == lease => later(*since, OUTAGE_LEASE_S * 1000) <= now,
            _ => {
                seen.insert(lease.name.clone(), (lease.clone(), now));
                false
            }
        }
    }

    /// The owner of a lease, if it is known to be at work no more.
    async fn gone(&self, site: &Site<'_>, name: &str) -> Result<Option<String>, StoreError> {
        let held = site.seams.store.lease(name).await?;
        let stale = held.filter(|lease| self.is_stale(lease, site.seams.clock.now()));
        Ok(stale.map(|lease| lease.owner))
    }
}

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
            instance(site, watched, record, &segment, &instance_uuid.as_str().into()).await
        }
        Some(Payload::Process { process_name, .. }) => {
            process(site, watched, record, &segment, &host, &process_name).await
        }
        Some(Payload::Host { .. }) | None => {
            outage(site, watched, record, &segment, &host, &hosts, reporter.as_deref()).await
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

/// A host that is said to be dead.
async fn outage(
    site: &Site<'_>,
    watched: &Watched,
    record: ha::Incident,
    segment: &Segment,
    host: &ha::Host,
    hosts: &[ha::Host],
    reporter: Option<&str>,
) -> Result<Option<u64>, WorkError> {
    let store = site.seams.store.as_ref();
    let name = HostName::new(host.name.as_str());
    let incident = match kept::read(&record, &name) {
        Ok(incident) => incident,
        Err(why) => return stands(site, record, Stage::Held, &why.what).await,
    };
    if let (true, Some(word)) = (incident.runs.is_empty(), &incident.given_up) {
        let why = format!("given up by {}: {}", word.who, word.why);
        return close(site, record, Stage::Dismissed, &why).await;
    }
    // Guards stand before the first run: what has begun is brought to its end.
    if incident.runs.is_empty()
        && let Err((stage, why)) = guards(site, &record, &incident, segment, hosts, reporter).await?
    {
        return match stage {
            Stage::Dismissed => close(site, record, stage, &why.what).await,
            _ => stands(site, record, stage, &why.what).await,
        };
    }
    let now = site.seams.clock.now();
    let change = HostChange {
        under_recovery: Some(true),
        reserved: host.reserved.then_some(false),
        ..HostChange::default()
    };
    if !host.under_recovery || host.reserved {
        let _gone_or_done = store.change_host(&host.id, &change, now).await?;
    }
    for id in record.body.absorbed.iter().chain([&record.notification]) {
        let _is_told_already = store.set_status(id, Status::New, Status::Running, None, now).await?;
    }
    if record.at_work_until < later(now, HOLD_MS / 2) {
        let _closed_meanwhile = store.hold_incident(&record.id, later(now, HOLD_MS)).await?;
    }
    let before = (record.version, record.why.clone());
    let latest = tokio::sync::Mutex::new(record);
    let keep = |incident: &Incident| {
        let incident = incident.clone();
        let latest = &latest;
        let kept: Fut<'_, Result<(), StoreError>> = Box::pin(async move {
            let mut latest = latest.lock().await;
            let corrupt =
                |error: serde_json::Error| StoreError::Corrupt { what: error.to_string(), hint: None };
            let mut record = kept::written(&incident, &latest).map_err(corrupt)?;
            record.stage = Stage::Working;
            *latest = save(site, &record).await?;
            Ok(())
        });
        kept
    };
    let mut incident = incident;
    let gone = watched.gone(site, &lease_name(incident.host.as_str())).await?;
    let gone = |owner: &str| gone.as_deref() == Some(owner) || (site.gone)(owner);
    let mut so_far_told = Told::default();
    let working = work(
        site.seams,
        &mut incident,
        site.cloud,
        segment,
        site.policy,
        (site.owner, &gone),
        &keep,
        site.observer,
    );
    // Clients want to see it go on, and a run may take minutes. What cannot be told now is told at its end. The two go on
    // beside each other: neither may ever wait for the other while that one is not polled.
    let telling = async {
        loop {
            site.seams.clock.sleep(TELL_EVERY_MS).await;
            let record = latest.lock().await.clone();
            if let Ok(so_far) = kept::read(&record, &name) {
                let _told_at_the_end = told(site, &record, &so_far, hosts, &mut so_far_told).await;
            }
        }
    };
    let went = tokio::select! {
        biased;
        went = working => went,
        () = telling => return Ok(Some(WAIT_MS)),
    };
    let record = latest.into_inner();
    // Whoever is at it tells what comes of it.
    if let Err(WorkError::Lease(held)) = went {
        return Err(held.into());
    }
    // What only goes on waiting for the same has nothing new to tell.
    if let Ok(Went::Later { why, .. } | Went::Asks(why)) = &went
        && (record.version, &why.what) == (before.0, &before.1)
    {
        return Ok(Some(PAUSE_MAX_MS));
    }
    told(site, &record, &incident, hosts, &mut so_far_told).await?;
    match went {
        // A defect of ours, which nobody would hear of if it were only tried again.
        Err(error @ WorkError::Unfit { .. }) => stands(site, record, Stage::Held, &error.to_string()).await,
        Err(error) => Err(error),
        Ok(went) => match went {
            Went::On => Ok(Some(0)),
            Went::Later { ms, why } => {
                let stage = stage_of(&incident, site).await;
                let _again = stands(site, record, stage, &why.what).await?;
                Ok(Some(ms))
            }
            Went::Asks(why) => stands(site, record, Stage::Held, &why.what).await,
            Went::Over(what) => {
                let nothing = incident.before.as_ref().is_none_or(BTreeMap::is_empty);
                let stage = match (&incident.given_up, nothing) {
                    (Some(_), _) => Stage::Failed,
                    (None, true) => Stage::Nothing,
                    (None, false) => Stage::Recovered,
                };
                close(site, record, stage, &what).await
            }
        },
    }
}

async fn runs_of(site: &Site<'_>, ids: &[RunId]) -> Vec<Run> {
    let mut runs = Vec::with_capacity(ids.len());
    for id in ids {
        if let Ok(run) = run::load(site.seams.store.as_ref(), id).await {
            runs.push(run);
        }
    }
    runs
}

/// What an outage waits for: a proof while its first run has none, else room.
async fn stage_of(incident: &Incident, site: &Site<'_>) -> Stage {
    let runs = runs_of(site, &incident.runs).await;
    match runs.iter().any(|run| !matches!(run.state, RunState::Closed(_))) {
        true => Stage::Proof,
        false => Stage::Room,
    }
}

/// What clients were told in this turn of work, so that it is not written again and again.
#[derive(Default)]
struct Told {
    marks: BTreeSet<String>,
    moves: BTreeMap<MoveId, (ha::MoveStatus, Option<String>)>,
}

/// Writes down what clients are told: moves, steps, and which reserved hosts are in use.
async fn told(
    site: &Site<'_>,
    record: &ha::Incident,
    incident: &Incident,
    hosts: &[ha::Host],
    before: &mut Told,
) -> Result<(), WorkError> {
    let store = site.seams.store.as_ref();
    let now = site.seams.clock.now();
    let runs = runs_of(site, &incident.runs).await;
    let moved = moves(&runs);
    let empty = BTreeMap::new();
    let names = incident.before.as_ref().unwrap_or(&empty);
    let stands = |row: &ha::Move| (row.status, row.destination.clone());
    let mut rows: Vec<ha::Move> =
        moved.iter().map(|moved| kept::move_record(moved, &record.notification, names, now)).collect();
    rows.retain(|row| before.moves.get(&row.id) != Some(&stands(row)));
    if !rows.is_empty() {
        store.keep_moves(&rows).await?;
        before.moves.extend(rows.iter().map(|row| (row.id.clone(), stands(row))));
    }
    let mut done = steps(&runs, &record.notification);
    done.retain(|step| !before.marks.contains(&step.mark));
    if !done.is_empty() {
        store.append_progress(&done).await?;
        before.marks.extend(done.into_iter().map(|step| step.mark));
    }
    for spare in spares_in_use(&runs).keys() {
        let landed = moved.iter().any(|moved| moved.dest.as_ref() == Some(spare));
        let reserved = hosts.iter().find(|host| host.name == spare.as_str() && host.reserved);
        if let (true, Some(host)) = (landed, reserved) {
            let change = HostChange { reserved: Some(false), ..HostChange::default() };
            let _gone_or_done = store.change_host(&host.id, &change, now).await?;
        }
    }
    Ok(())
}

/// Whether a host may be recovered from; if not, how the incident stands and why.
async fn guards(
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

/// A report of a host that still lives after this time was wrong, or the host is back: a later one opens a new incident.
const WRONG_REPORT_MS: i128 = 300_000;

/// How long a compute service may be silent and still live: two reports and a bit.
const SILENT_MS: i128 = 25_000;

fn is_silent(heard: Timestamp, now: Timestamp) -> bool {
    now.duration_since(heard).as_millis() > SILENT_MS
}

/// An instance whose guest died.
async fn instance(
    site: &Site<'_>,
    watched: &Watched,
    record: ha::Incident,
    segment: &Segment,
    id: &ostler_model::ids::InstanceId,
) -> Result<Option<u64>, WorkError> {
    if !segment.enabled {
        let why = format!("instance HA is off for the segment {}", segment.name);
        return close(site, record, Stage::Dismissed, &why).await;
    }
    if let Some(run) = record.body.runs.last().cloned() {
        return drive(site, watched, record, &run).await;
    }
    let scope = Scope { those: vec![id.clone()], ..Scope::default() };
    let seen = match site.seams.cloud.look(&scope).await {
        Ok(seen) => seen,
        Err(why) => return stands(site, record, Stage::Open, &why.what).await,
    };
    let Some(found) = seen.instances.get(id) else {
        return close(site, record, Stage::Failed, &format!("there is no instance {id}")).await;
    };
    let earlier: Vec<Timestamp> = site
        .seams
        .store
        .incidents(LOOK_BACK)
        .await?
        .iter()
        .filter(|other| other.key == record.key && other.id != record.id && !other.body.runs.is_empty())
        .map(|other| other.opened)
        .collect();
    if let Err(when) = may_restart(&earlier, site.seams.clock.now(), site.policy) {
        let why = format!("it was restarted {} times lately, and is again from {when} on", earlier.len());
        return close(site, record, Stage::Failed, &why).await;
    }
    match restart(site.cloud, id, found, seen.taken, site.policy).map_err(|error| unfit(&record, &error))? {
        Err(NotRestarted::Owners(why)) => close(site, record, Stage::Dismissed, &why).await,
        Err(NotRestarted::Unmarked(why)) => close(site, record, Stage::Nothing, &why).await,
        Ok(plan) => begin(site, watched, record, &plan).await,
    }
}

/// A process that died on a host. Only the compute process takes its host out of use.
async fn process(
    site: &Site<'_>,
    watched: &Watched,
    record: ha::Incident,
    segment: &Segment,
    host: &ha::Host,
    process: &str,
) -> Result<Option<u64>, WorkError> {
    if !segment.enabled {
        let why = format!("instance HA is off for the segment {}", segment.name);
        return close(site, record, Stage::Dismissed, &why).await;
    }
    if process != site.compute_process {
        let why = format!("nothing is done about {process}: instances do not depend on it");
        return close(site, record, Stage::Nothing, &why).await;
    }
    if let Some(run) = record.body.runs.last().cloned() {
        return drive(site, watched, record, &run).await;
    }
    let now = site.seams.clock.now();
    let change = HostChange { quarantined: Some(true), ..HostChange::default() };
    let _gone_or_done = site.seams.store.change_host(&host.id, &change, now).await?;
    let name = HostName::new(host.name.as_str());
    let plan = disable(site.cloud, &name, now, site.policy).map_err(|error| unfit(&record, &error))?;
    begin(site, watched, record, &plan).await
}

fn unfit(record: &ha::Incident, error: &serde_json::Error) -> WorkError {
    WorkError::Unfit { host: HostName::new(record.key.as_str()), what: error.to_string() }
}

/// Opens a run for a plan and writes it down before anything of it may begin.
async fn begin(
    site: &Site<'_>,
    watched: &Watched,
    mut record: ha::Incident,
    plan: &Plan,
) -> Result<Option<u64>, WorkError> {
    let (store, clock, dice) =
        (site.seams.store.as_ref(), site.seams.clock.as_ref(), site.seams.dice.as_ref());
    let run = run::open(store, clock, dice, plan, Actor::Rule("instance HA".into())).await?;
    record.body.runs.push(run.clone());
    record.stage = Stage::Working;
    let record = save(site, &record).await?;
    answer(site, &record, Status::Running, None).await?;
    drive(site, watched, record, &run).await
}

/// Drives the one run of a small incident, and closes the incident when it is over.
async fn drive(
    site: &Site<'_>,
    watched: &Watched,
    record: ha::Incident,
    id: &RunId,
) -> Result<Option<u64>, WorkError> {
    let (store, clock) = (site.seams.store.as_ref(), site.seams.clock.as_ref());
    let found = run::load(store, id).await?;
    let who = || Actor::Rule("instance HA".into());
    match &found.state {
        RunState::Closed(_) => return close(site, record, Stage::Recovered, "done").await,
        RunState::Opened => _ = run::approve(store, clock, id, &found.plan.id, who()).await?,
        // What could not be done in all its tries is the affair of a person: the same again helps nobody.
        RunState::Paused { why, .. } => return close(site, record, Stage::Failed, &why.what).await,
        RunState::Running => {}
    }
    let name = lease_name(record.key.as_str());
    let gone = watched.gone(site, &name).await?;
    let gone = |owner: &str| gone.as_deref() == Some(owner) || (site.gone)(owner);
    let lease = run::take(store, clock, &name, site.owner, &gone).await?;
    let _closed_meanwhile = store.hold_incident(&record.id, later(clock.now(), HOLD_MS)).await?;
    let ended = run::drive(id, site.seams, lease.clone(), site.observer).await;
    let _ends_by_itself = run::give_back(store, &lease).await;
    match ended? {
        Ended::Closed(_) => close(site, record, Stage::Recovered, "done").await,
        Ended::Paused { why, .. } => close(site, record, Stage::Failed, &why.what).await,
        Ended::Unapproved | Ended::Asking { .. } => Ok(Some(WAIT_MS)),
    }
}
