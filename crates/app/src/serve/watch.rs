//! Looks at the register again and again for figures and alerts: what stands, what was closed since the last look, and
//! what a person should know.
//!
//! Every server does so; Alertmanager takes the same alert from several for one. It must never hold up the server, and
//! never write to the register.

use super::figures::{Figures, Levels};
use crate::instance_ha::{Registered, as_they_stand, runs_of};
use crate::settings::Events;
use crate::view::incident::{needs_a_person, way_out};
use ostler_engine::ha::{Policy, Tale, tale};
use ostler_engine::seam::{Clock, Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::ha::{Host, Incident, Named, Stage};
use ostler_model::ids::IncidentId;
use ostler_world::announce::{Alert, Alertmanager};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Incidents that are looked at, open ones aside: more are not closed between two looks.
const LOOK_BACK: u32 = 200;

/// How often Alertmanager is told what stands.
const ALERT_EVERY_S: i64 = 30;

/// How long an alert stands that is not told again: if every server is gone it ends, as any scraped alert does.
const ALERT_STANDS_S: i64 = 4 * ALERT_EVERY_S;

/// Alerts that are told at once: of more than these the oldest say enough.
const ALERTS_MAX: usize = 500;

/// How long a failed recovery is an alert that no person has answered.
const FAILED_STANDS_S: i64 = 3_600;

/// What is watched, and who hears of it.
pub struct Watch {
    /// The register.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where figures are kept.
    pub figures: Arc<Figures>,
    /// Who is told of alerts.
    pub alertmanagers: Vec<Alertmanager>,
    /// How they are told.
    pub events: Events,
    /// What the site wants of recoveries.
    pub policy: Policy,
    /// Hears of failures.
    pub complain: Box<dyn Fn(&str) + Send + Sync>,
}

/// Watches for as long as the server lives.
pub async fn watch(watch: Watch) {
    let mut closed: Option<BTreeSet<IncidentId>> = None;
    let mut told = Told::default();
    let mut complained = false;
    loop {
        match look(&watch, &mut closed).await {
            Ok((registered, incidents)) => {
                complained = false;
                told.tell(&watch, &registered, &incidents).await;
            }
            Err(error) => {
                watch.figures.nothing_seen();
                // Once for each time that it goes away.
                if !std::mem::replace(&mut complained, true) {
                    (watch.complain)(&format!("the register cannot be watched: {error}"));
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// One look. `closed` are the incidents that were seen as closed; none: this is the first look, and what was closed before
/// it is not counted.
async fn look(
    watch: &Watch,
    closed: &mut Option<BTreeSet<IncidentId>>,
) -> Result<(Registered, Vec<Incident>), StoreError> {
    let store = watch.store.as_ref();
    let registered = Registered::read(store).await?;
    let mut incidents = as_they_stand(store, store.open_incidents().await?).await;
    let open: BTreeSet<IncidentId> = incidents.iter().map(|incident| incident.id.clone()).collect();
    let newest = store.incidents(LOOK_BACK).await?;
    incidents.extend(newest.into_iter().filter(|incident| !open.contains(&incident.id)));
    let now = watch.clock.now();
    watch.figures.stands(&levels(&registered, &incidents, now));
    let over = || incidents.iter().filter(|incident| incident.closed.is_some());
    if let Some(before) = closed {
        for incident in over().filter(|incident| !before.contains(&incident.id)) {
            let course = course(store, &registered, incident, &watch.policy).await;
            watch.figures.closed(incident.stage.word(), about(incident), course.as_ref());
        }
    }
    *closed = Some(over().map(|incident| incident.id.clone()).collect());
    Ok((registered, incidents))
}

/// The course of an incident, where it can be read.
pub async fn course(
    store: &dyn Store,
    registered: &Registered,
    incident: &Incident,
    policy: &Policy,
) -> Option<Tale> {
    let opener = store.notification(&Named::Id(incident.notification.to_string())).await.ok()?;
    let runs = runs_of(store, incident).await;
    let host = registered.host_name(incident);
    tale(incident, opener.as_ref(), &host, &runs, policy).ok()
}

/// What an incident is about, in one of three words.
fn about(incident: &Incident) -> &'static str {
    match incident.key.as_str().split('/').next() {
        Some("host") => "host",
        Some("vm") => "instance",
        _ => "process",
    }
}

/// What stands.
fn levels(registered: &Registered, incidents: &[Incident], now: Timestamp) -> Levels {
    let mut levels = Levels {
        hosts: registered.hosts.len() as u64,
        off: registered.segments.iter().filter(|segment| !segment.enabled).count() as u64,
        ..Levels::default()
    };
    for incident in incidents.iter().filter(|incident| incident.closed.is_none()) {
        *levels.open.entry((incident.stage.word(), about(incident))).or_default() += 1;
        levels.waiting += u64::from(needs_a_person(incident, now));
        let age_s = now.duration_since(incident.opened).as_millis().max(0) as f64 / 1_000.0;
        levels.oldest_s = levels.oldest_s.max(age_s);
    }
    let off: BTreeSet<&str> = registered
        .segments
        .iter()
        .filter(|segment| !segment.enabled)
        .map(|segment| segment.id.as_str())
        .collect();
    for host in &registered.hosts {
        let reasons = reasons(host).chain(off.contains(host.segment.as_str()).then_some("switched-off"));
        for reason in reasons {
            *levels.unprotected.entry(reason).or_default() += 1;
        }
    }
    levels
}

/// Why a host is out.
fn reasons(host: &Host) -> impl Iterator<Item = &'static str> {
    let flags = [
        (host.on_maintenance, "maintenance"),
        (host.under_recovery, "under-recovery"),
        (host.quarantined, "quarantined"),
    ];
    flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, reason)| reason)
}

/// What Alertmanager was told last.
#[derive(Default)]
struct Told {
    at: Option<Timestamp>,
    alerts: Vec<Alert>,
}

impl Told {
    /// Tells what stands, and what does not stand any more, as often as is due.
    async fn tell(&mut self, watch: &Watch, registered: &Registered, incidents: &[Incident]) {
        if watch.alertmanagers.is_empty() {
            return;
        }
        let now = watch.clock.now();
        let alerts = alerts(registered, incidents, now, watch.events.unprotected_after_s);
        let same = alerts.len() == self.alerts.len()
            && alerts.iter().zip(&self.alerts).all(|(one, other)| one.labels == other.labels);
        let is_due = self.at.is_none_or(|at| now.duration_since(at).as_secs() >= ALERT_EVERY_S);
        // At once when something has changed.
        if same && !is_due {
            return;
        }
        let over = self.alerts.iter().filter(|old| !alerts.iter().any(|new| new.labels == old.labels));
        let over = over.map(|old| Alert { ends_at: now, ..old.clone() });
        let all: Vec<Alert> = alerts.iter().cloned().chain(over).collect();
        if all.is_empty() {
            self.at = Some(now);
            return;
        }
        let mut taken = false;
        for manager in &watch.alertmanagers {
            match manager.tell(&all).await {
                Ok(()) => {
                    taken = true;
                    watch.figures.sent("alertmanager", "taken");
                }
                Err(error) => {
                    watch.figures.sent("alertmanager", "failed");
                    (watch.complain)(&format!("Alertmanager did not take alerts: {error}"));
                }
            }
        }
        self.at = Some(now);
        // What nobody has taken is told as over once more.
        if taken {
            self.alerts = alerts;
        }
    }
}

fn alert(
    name: &str,
    severity: &str,
    since: Timestamp,
    now: Timestamp,
    labels: &[(&str, &str)],
    annotations: &[(&str, String)],
) -> Alert {
    let ours = [("alertname", name), ("severity", severity)];
    let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Alert {
        labels: ours.iter().chain(labels).map(text).collect(),
        annotations: annotations.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        starts_at: since,
        ends_at: now + jiff::SignedDuration::from_secs(ALERT_STANDS_S),
    }
}

/// What a person should know now.
fn alerts(
    registered: &Registered,
    incidents: &[Incident],
    now: Timestamp,
    unprotected_after_s: u32,
) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for incident in incidents {
        let host = registered.host_name(incident);
        let segment =
            incident.segment.as_ref().map_or("-", |id| registered.segment_name(id.as_str())).to_owned();
        let labels =
            [("host", host.as_str()), ("segment", segment.as_str()), ("incident", incident.id.as_str())];
        let about = registered.about(incident);
        let told = |summary: String| {
            let mut told = vec![("summary", summary), ("description", incident.why.clone())];
            let way_out = way_out(incident, host.as_str()).filter(|_| needs_a_person(incident, now));
            told.extend(way_out.map(|way_out| ("hint", way_out)));
            told
        };
        match incident.closed {
            None => {
                let annotations = told(format!("{about}: {}", incident.stage));
                alerts.push(alert("OstlerIncident", "warning", incident.opened, now, &labels, &annotations));
                if needs_a_person(incident, now) {
                    let annotations = told(format!("{about} waits for a person"));
                    alerts.push(alert(
                        "OstlerWaitsForPerson",
                        "critical",
                        incident.opened,
                        now,
                        &labels,
                        &annotations,
                    ));
                }
            }
            Some(closed)
                if incident.stage == Stage::Failed
                    && now.duration_since(closed).as_secs() < FAILED_STANDS_S =>
            {
                let annotations = told(format!("{about} was not recovered"));
                alerts.push(alert("OstlerNotRecovered", "critical", closed, now, &labels, &annotations));
            }
            Some(_) => {}
        }
    }
    let is_long = |since: Timestamp| now.duration_since(since).as_secs() >= i64::from(unprotected_after_s);
    for host in &registered.hosts {
        let since = host.updated.unwrap_or(host.created);
        if host.is_out() && is_long(since) {
            let reasons: Vec<&str> = reasons(host).collect();
            let segment = registered.segment_name(host.segment.as_str());
            let labels = [("host", host.name.as_str()), ("segment", segment)];
            let summary = format!("{} is not protected: {}", host.name, reasons.join(", "));
            let annotations = [("summary", summary), ("hint", format!("ostler ha return {}", host.name))];
            alerts.push(alert("OstlerHostUnprotected", "warning", since, now, &labels, &annotations));
        }
    }
    for segment in registered.segments.iter().filter(|segment| !segment.enabled) {
        let since = segment.updated.unwrap_or(segment.created);
        if is_long(since) {
            let labels = [("segment", segment.name.as_str())];
            let summary = format!("instance HA is switched off for the segment {}", segment.name);
            let annotations = [("summary", summary), ("hint", format!("ostler ha resume {}", segment.name))];
            alerts.push(alert("OstlerSegmentOff", "warning", since, now, &labels, &annotations));
        }
    }
    alerts.truncate(ALERTS_MAX);
    alerts
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::ha::{IncidentBody, IncidentKey, RecoveryMethod, Segment};
    use ostler_model::ids::{HostId, SegmentId};
    use std::collections::BTreeMap;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn registered(enabled: bool, under_recovery: bool) -> Registered {
        let segment = Segment {
            number: 1,
            id: SegmentId::new("s"),
            name: "rack-a".into(),
            service_type: "COMPUTE".into(),
            enabled,
            description: None,
            recovery_method: RecoveryMethod::Auto,
            created: at(0),
            updated: None,
        };
        let host = Host {
            number: 1,
            id: HostId::new("h"),
            name: "cmp1".into(),
            segment: SegmentId::new("s"),
            kind: "COMPUTE".into(),
            control_attributes: "SSH".into(),
            reserved: false,
            on_maintenance: false,
            under_recovery,
            quarantined: false,
            created: at(0),
            updated: None,
        };
        Registered { segments: vec![segment], hosts: vec![host] }
    }

    fn incident(stage: Stage, closed: Option<i64>) -> Incident {
        Incident {
            id: "i".into(),
            key: IncidentKey::host(&HostId::new("h")),
            host: HostId::new("h"),
            segment: Some(SegmentId::new("s")),
            notification: "n".into(),
            opened: at(10),
            closed: closed.map(at),
            stage,
            why: "because".into(),
            at_work_until: at(70),
            version: 1,
            body: IncidentBody::default(),
        }
    }

    fn names(registered: &Registered, incidents: &[Incident], now: i64) -> Vec<String> {
        let alerts = alerts(registered, incidents, at(now), 3_600);
        alerts.iter().map(|alert| alert.labels["alertname"].clone()).collect()
    }

    #[test]
    fn an_incident_is_an_alert_and_one_that_waits_is_two() {
        let well = registered(true, false);
        assert_eq!(names(&well, &[incident(Stage::Working, None)], 20), ["OstlerIncident"]);
        let both = ["OstlerIncident", "OstlerWaitsForPerson"];
        assert_eq!(names(&well, &[incident(Stage::Held, None)], 20), ["OstlerIncident"]);
        assert_eq!(names(&well, &[incident(Stage::Held, None)], 100), both);
        assert_eq!(names(&well, &[incident(Stage::Proof, None)], 20), ["OstlerIncident"]);
        assert_eq!(names(&well, &[incident(Stage::Proof, None)], 100), both);
    }

    #[test]
    fn a_failed_one_is_an_alert_for_a_while_and_a_recovered_one_is_none() {
        let well = registered(true, false);
        assert_eq!(names(&well, &[incident(Stage::Failed, Some(50))], 60), ["OstlerNotRecovered"]);
        assert_eq!(names(&well, &[incident(Stage::Failed, Some(50))], 4_000), Vec::<String>::new());
        assert_eq!(names(&well, &[incident(Stage::Recovered, Some(50))], 60), Vec::<String>::new());
    }

    #[test]
    fn what_is_unprotected_for_long_is_an_alert() {
        let unwell = registered(false, true);
        assert_eq!(names(&unwell, &[], 60), Vec::<String>::new());
        assert_eq!(names(&unwell, &[], 4_000), ["OstlerHostUnprotected", "OstlerSegmentOff"]);
    }

    #[test]
    fn what_stands_is_counted_by_stage_and_reason() {
        let levels = levels(&registered(false, true), &[incident(Stage::Held, None)], at(100));
        assert_eq!(levels.open, BTreeMap::from([(("held", "host"), 1)]));
        assert_eq!((levels.waiting, levels.oldest_s, levels.off), (1, 90.0, 1));
        assert_eq!(levels.unprotected, BTreeMap::from([("under-recovery", 1), ("switched-off", 1)]));
    }
}
