//! Tells a webhook of every incident: that it was opened, how its stage changed, that it was closed, with its course.
//!
//! One server does so at a time, by a lease. What was told is kept in the register, so nothing is lost when a server dies:
//! a message may come twice, under the same name. It must never let one message that nobody takes hold up the others for
//! long.

use super::figures::Figures;
use super::watch::course;
use crate::context::IsGone;
use crate::instance_ha::{Registered, runs_of};
use crate::view::incident::{Told as Page, course_json, incident_json};
use ostler_engine::ha::Policy;
use ostler_engine::run::{LeaseError, take};
use ostler_engine::seam::{Clock, Lease, Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::ha::Incident;
use ostler_world::announce::Webhook;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often is looked for something to tell.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The lease of the one who tells.
const LEASE: &str = "ha/events";

/// How long it holds, from each look and each try on: longer than a try and the pause behind it.
const LEASE_MS: i64 = 60_000;

/// Incidents of which is known what was told: open ones, and the newest.
const LOOK_BACK: u32 = 500;

/// Messages of one look; the rest comes with the next.
const AT_ONCE_MAX: usize = 100;

/// Tries of one message.
const TRIES: u32 = 8;

/// Pause after the first try; it doubles, up to half a minute.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Where it is kept what was told.
const SUBJECT: &str = "ha/events";
const KIND: &str = "told";

/// The format of what is kept.
const FORMAT: u16 = 1;

/// What was told of each incident.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    format: u16,
    incidents: BTreeMap<String, String>,
}

/// Who tells what to whom.
pub struct Herald {
    /// The register.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Figures.
    pub figures: Arc<Figures>,
    /// The webhook.
    pub webhook: Webhook,
    /// What the site wants of recoveries.
    pub policy: Policy,
    /// This server, for the lease.
    pub owner: String,
    /// Whether the owner of a lease is known to be gone.
    pub is_gone: IsGone,
    /// Hears of failures.
    pub complain: Box<dyn Fn(&str) + Send + Sync>,
}

/// Tells for as long as the server lives.
pub async fn herald(herald: Herald) {
    let mut lease: Option<Lease> = None;
    let mut complained = false;
    loop {
        match turn(&herald, &mut lease).await {
            Ok(()) => complained = false,
            Err(error) => {
                lease = None;
                if !std::mem::replace(&mut complained, true) {
                    (herald.complain)(&format!("the webhook cannot be told of incidents: {error}"));
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// One look, with everything that is to be told.
async fn turn(herald: &Herald, lease: &mut Option<Lease>) -> Result<(), StoreError> {
    let (store, clock) = (herald.store.as_ref(), herald.clock.as_ref());
    let held = match lease.take() {
        Some(held) if store.renew_lease(&held, until(clock)).await? => held,
        _ => match take(store, clock, LEASE, &herald.owner, herald.is_gone.as_ref()).await {
            Ok(taken) => taken,
            // Somebody else tells.
            Err(LeaseError::Held { .. }) => return Ok(()),
            Err(LeaseError::Store(error)) => return Err(error),
        },
    };
    *lease = Some(held.clone());
    let mut incidents = store.incidents(LOOK_BACK).await?;
    // The oldest first, as it happened.
    incidents.reverse();
    let before = told(store).await?;
    let Some(mut told) = before else {
        // The first look ever: what was before it is no news.
        return keep(store, &all_told(&incidents)).await;
    };
    let mut left = AT_ONCE_MAX;
    for incident in &incidents {
        for event in news(told.incidents.get(incident.id.as_str()).map(String::as_str), incident) {
            if left == 0 {
                return Ok(());
            }
            left -= 1;
            let body = body(herald, event, incident).await?;
            let id = format!("{}/{event}/{}", incident.id, incident.version);
            if !send(herald, &held, &id, &body.to_string()).await? {
                *lease = None;
                return Ok(());
            }
        }
        let now = state(incident);
        if told.incidents.get(incident.id.as_str()) != Some(&now) {
            told.incidents.insert(incident.id.to_string(), now);
            keep(store, &told).await?;
        }
    }
    // What is too old to be looked at is forgotten.
    let known = told.incidents.len();
    told.incidents.retain(|id, _| incidents.iter().any(|incident| incident.id.as_str() == id));
    if told.incidents.len() < known {
        keep(store, &told).await?;
    }
    Ok(())
}

fn until(clock: &dyn Clock) -> Timestamp {
    clock.now() + jiff::SignedDuration::from_millis(LEASE_MS)
}

async fn told(store: &dyn Store) -> Result<Option<Told>, StoreError> {
    let unreadable = |what: String| StoreError::Corrupt {
        what: format!("what was told to the webhook cannot be read: {what}"),
        hint: Some("a newer ostler may have written it: let that one tell".to_owned()),
    };
    let Some(note) = store.note(SUBJECT, KIND).await? else { return Ok(None) };
    let told: Told = serde_json::from_str(&note).map_err(|error| unreadable(error.to_string()))?;
    match told.format > FORMAT {
        true => Err(unreadable(format!("its format is {}", told.format))),
        false => Ok(Some(told)),
    }
}

async fn keep(store: &dyn Store, told: &Told) -> Result<(), StoreError> {
    let corrupt = |error: serde_json::Error| StoreError::Corrupt { what: error.to_string(), hint: None };
    store.keep_note(SUBJECT, KIND, &serde_json::to_string(told).map_err(corrupt)?).await
}

fn all_told(incidents: &[Incident]) -> Told {
    let states = incidents.iter().map(|incident| (incident.id.to_string(), state(incident)));
    Told { format: FORMAT, incidents: states.collect() }
}

/// What of an incident is news when it changes.
fn state(incident: &Incident) -> String {
    let closed = if incident.closed.is_some() { "closed" } else { "open" };
    format!("{closed} {}", incident.stage)
}

/// What is to be told of an incident, by what was told of it last.
fn news(before: Option<&str>, incident: &Incident) -> Vec<&'static str> {
    let now = state(incident);
    match (before, incident.closed.is_some()) {
        (Some(before), _) if before == now => Vec::new(),
        (Some(before), true) if before.starts_with("closed") => Vec::new(),
        (Some(_), true) => vec!["incident.closed"],
        (Some(_), false) => vec!["incident.changed"],
        (None, true) => vec!["incident.opened", "incident.closed"],
        (None, false) => vec!["incident.opened"],
    }
}

async fn body(herald: &Herald, event: &str, incident: &Incident) -> Result<Value, StoreError> {
    let store = herald.store.as_ref();
    let registered = Registered::read(store).await?;
    let now = herald.clock.now();
    let mut page = incident_json(&registered, incident, now);
    if event == "incident.closed"
        && let Some(tale) = course(store, &registered, incident, &herald.policy).await
    {
        let runs = runs_of(store, incident).await;
        let told = Page { registered: &registered, incident, tale: &tale, runs: &runs, joined: &[] };
        page = course_json(&told, now);
    }
    Ok(json!({ "event": event, "at": now, "incident": page }))
}

/// Sends one message until it is taken, or will not be. False: another server tells now.
async fn send(herald: &Herald, lease: &Lease, id: &str, body: &str) -> Result<bool, StoreError> {
    let mut pause = PAUSE;
    for attempt in 1..=TRIES {
        if !herald.store.renew_lease(lease, until(herald.clock.as_ref())).await? {
            return Ok(false);
        }
        match herald.webhook.send(id, body).await {
            Ok(()) => {
                herald.figures.sent("webhook", "taken");
                return Ok(true);
            }
            Err(error) if error.may_pass && attempt < TRIES => {
                herald.figures.sent("webhook", "failed");
                if attempt == 1 {
                    (herald.complain)(&format!("the webhook did not take {id}: {error}; it is tried again"));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(error) => {
                herald.figures.sent("webhook", "dropped");
                (herald.complain)(&format!("the webhook did not take {id}, which is dropped: {error}"));
                return Ok(true);
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::ha::{IncidentBody, IncidentKey, Stage};
    use ostler_model::ids::HostId;

    fn incident(stage: Stage, is_closed: bool) -> Incident {
        let at = Timestamp::UNIX_EPOCH;
        Incident {
            id: "i".into(),
            key: IncidentKey::host(&HostId::new("h")),
            host: HostId::new("h"),
            segment: None,
            notification: "n".into(),
            opened: at,
            closed: is_closed.then_some(at),
            stage,
            why: String::new(),
            at_work_until: at,
            version: 1,
            body: IncidentBody::default(),
        }
    }

    #[test]
    fn each_change_is_told_once_and_what_was_missed_is_made_up_for() {
        let working = incident(Stage::Working, false);
        assert_eq!(news(None, &working), ["incident.opened"]);
        assert_eq!(news(Some("open open"), &working), ["incident.changed"]);
        assert_eq!(news(Some("open working"), &working), Vec::<&str>::new());
        let over = incident(Stage::Recovered, true);
        assert_eq!(news(Some("open working"), &over), ["incident.closed"]);
        assert_eq!(news(None, &over), ["incident.opened", "incident.closed"]);
        assert_eq!(news(Some("closed recovered"), &over), Vec::<&str>::new());
    }
}
