//! Incidents of one instance or one process: one small run each.
//!
//! They must never touch the host's power, nor repeat a run that has failed in all its tries.

use super::handover::Watched;
use super::{HOLD_MS, LOOK_BACK, Site, WAIT_MS, answer, close, save, stands};
use crate::ha::limits::may_restart;
use crate::ha::policy::Segment;
use crate::ha::restart::{NotRestarted, disable, restart};
use crate::ha::watch::{WorkError, lease_name};
use crate::run::{self, Ended, RunState, later};
use ostler_model::Timestamp;
use ostler_model::compute::Scope;
use ostler_model::event::Actor;
use ostler_model::ha::{self, HostChange, Stage, Status};
use ostler_model::ids::{HostName, InstanceId, RunId};
use ostler_model::plan::Plan;

/// An instance whose guest died.
pub(super) async fn instance(
    site: &Site<'_>,
    watched: &Watched,
    record: ha::Incident,
    segment: &Segment,
    id: &InstanceId,
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
pub(super) async fn process(
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
    watched.until_free(site, &name).await?;
    let lease = run::take(store, clock, &name, site.owner, site.gone).await?;
    let _closed_meanwhile = store.hold_incident(&record.id, later(clock.now(), HOLD_MS)).await?;
    let ended = run::drive(id, site.seams, lease.clone(), site.observer).await;
    let _ends_by_itself = run::give_back(store, &lease).await;
    match ended? {
        Ended::Closed(_) => close(site, record, Stage::Recovered, "done").await,
        Ended::Paused { why, .. } => close(site, record, Stage::Failed, &why.what).await,
        Ended::Unapproved | Ended::Asking { .. } => Ok(Some(WAIT_MS)),
    }
}
