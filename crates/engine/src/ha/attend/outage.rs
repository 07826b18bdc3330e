//! An outage of a host: guards before its first run, then one turn of work after the other, and what clients are told of it.
//!
//! It must never begin a first run while a guard does not hold, nor let the telling hold the work up.

use super::guards::guards;
use super::handover::Watched;
use super::{HOLD_MS, PAUSE_MAX_MS, Site, WAIT_MS, close, save, stands};
use crate::ha::incident::{Incident, spares_in_use};
use crate::ha::kept;
use crate::ha::moves::moves;
use crate::ha::policy::Segment;
use crate::ha::steps::steps;
use crate::ha::watch::{Went, WorkError, lease_name, work};
use crate::run::{self, Run, RunState, later};
use crate::seam::{Fut, StoreError};
use ostler_model::ha::{self, HostChange, Stage, Status};
use ostler_model::ids::{HostName, MoveId, RunId};
use std::collections::{BTreeMap, BTreeSet};

/// How often clients are told how far a run is.
const TELL_EVERY_MS: u64 = 3_000;

/// A host that is said to be dead.
pub(super) async fn outage(
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
    watched.until_free(site, &lease_name(name.as_str())).await?;
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
    let mut so_far_told = Told::default();
    let working = work(
        site.seams,
        &mut incident,
        site.cloud,
        segment,
        site.policy,
        (site.owner, site.gone),
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
