//! Those around the servers of a story: monitors that report hosts which they miss, and a person who is asked in the end.
//!
//! A report may be wrong, and is repeated for as long as it stands. A person must never vouch for what is not truly off.

use super::Outage;
use super::story::Story;
use crate::clock::SimClock;
use crate::store::MemoryStore;
use ostler_engine::run::{self, RunState};
use ostler_engine::seam::{Clock, Register};
use ostler_engine::triage::{Asks, asks};
use ostler_model::event::{Actor, Event};
use ostler_model::ha::list::Query;
use ostler_model::ha::{Host, HostStatus, Notification, Opening, Payload, Report, Status, Turn};
use ostler_model::ids::{HostName, StepId};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a host is missed before it is reported.
const MISSED_MS: u64 = 10_000;

/// How often monitors look.
const LOOK: Duration = Duration::from_secs(2);

/// Before a person looks at what waits.
pub(super) const PATIENCE_MS: u64 = 600_000;

/// Whether a host is heard by its peers.
pub(super) fn hears(outage: &Outage, host: &HostName) -> bool {
    outage.ground().nova.host(host).is_some_and(|host| host.power && host.link)
}

/// Reports what is missed. The API takes no report on a host that is out already.
pub(super) async fn monitor(outage: &Outage, store: &MemoryStore, clock: &SimClock) {
    let mut missed: BTreeMap<String, u64> = BTreeMap::new();
    let mut number = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(hosts) = store.hosts(&Query::default()).await else { continue };
        for host in hosts {
            let now = clock.elapsed_ms();
            if hears(outage, &HostName::new(host.name.as_str())) {
                missed.remove(&host.name);
                continue;
            }
            let since = *missed.entry(host.name.clone()).or_insert(now);
            if now - since >= MISSED_MS && !host.is_out() {
                number += 1;
                let _again = store.report(&report(&host, number, clock)).await;
            }
        }
    }
}

fn report(host: &Host, number: u64, clock: &SimClock) -> Report {
    let now = clock.now();
    let payload =
        Payload::Host { event: Turn::Stopped, cluster_status: None, host_status: Some(HostStatus::Unknown) };
    let opening = match asks(&host.id, &payload) {
        Asks::Recovery(key) => {
            Some(Opening { id: format!("incident-{number}").as_str().into(), key, at_work_until: now })
        }
        Asks::Note(_) | Asks::Nothing(_) => None,
    };
    let notification = Notification {
        number: 0,
        id: format!("notification-{number}").as_str().into(),
        generated: now,
        host: host.id.clone(),
        payload,
        status: Status::New,
        segment: Some(host.segment.clone()),
        message: None,
        incident: None,
        reporter: "monitor".into(),
        created: now,
        updated: None,
    };
    Report { notification, opening }
}

/// A person who is asked: looks after ten minutes, and vouches only for what is truly off.
pub(super) async fn person(
    story: &Story,
    outage: &Outage,
    store: &MemoryStore,
    clock: &SimClock,
    hosts: &[Host],
) {
    let patience_ms = PATIENCE_MS + (story.seed % 7) * 60_000;
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let Ok(open) = store.open_incidents().await else { continue };
        for incident in open {
            let waited = clock.now().duration_since(incident.opened).as_millis();
            let host = hosts.iter().find(|host| host.id == incident.host);
            let Some(host) = host.filter(|_| waited >= i128::from(patience_ms)) else { continue };
            let host = HostName::new(host.name.as_str());
            for id in &incident.body.runs {
                let Ok(run) = run::load(store, id).await else { continue };
                if !matches!(run.state, RunState::Paused { .. } | RunState::Running) {
                    continue;
                }
                let step = StepId::new(format!("{host}-fence"));
                let vouch = {
                    let mut ground = outage.ground();
                    let is_off = ground.power.is_on(&host) == Some(false);
                    if is_off {
                        ground.vouched.push(host.clone());
                    }
                    is_off
                };
                if vouch {
                    let who = Actor::Person("night shift".into());
                    let event = Event::Skipped { step, who, why: "I stand before it".into() };
                    let _fits_or_not = run::command(store, clock, id, event).await;
                }
            }
        }
    }
}
