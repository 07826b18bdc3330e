//! What must hold of a story when it is over.
//!
//! The rules look at hypervisors, records, journals and answers, never at what the engine believes.

use super::look::seen_as;
use super::story::Story;
use super::tell::Told;
use super::{Breach, Ground, Outage};
use crate::clock::SimClock;
use crate::nova::{GuestState, Instance, InstanceId, MigrationKind};
use crate::store::MemoryStore;
use ostler_engine::ha::{
    Fate, Incident, LOCK_REASON, Policy, fate, is_ha_enabled, read_incident, spares_in_use,
};
use ostler_engine::run;
use ostler_engine::seam::{Clock, Register, StoreError};
use ostler_model::compute::Instance as Seen;
use ostler_model::ha::{Incident as Record, Named, Stage, Status};
use ostler_model::ids::{HostName, InstanceId as SeenId};
use ostler_model::plan::Purpose;
use ostler_model::step::{Does, Wanted};
use std::collections::{BTreeMap, BTreeSet};

/// Rules, and what they say.
pub const RULES: &[(&str, &str)] = &[
    ("proof-before-move", "no evacuation without a reading of off, or a person's word"),
    (
        "never-twice",
        "no instance is alive on two hypervisors, unless a controller lied or a failed target kept its guest",
    ),
    ("none-forgotten", "an outage that is over has every instance that could be moved elsewhere, as it was"),
    ("moved-once", "no instance is moved away twice from one outage"),
    ("locks-opened", "no lock of a recovery is left behind where nothing is under way any more"),
    ("leases-end", "every lease ends"),
    ("taken-over", "what a server leaves, by death or standstill, is another one's within ten seconds"),
    ("comes-to-an-end", "an outage is over, or says what it waits for"),
    ("answered", "whoever reported an outage that is over has an answer"),
    ("spares-back", "a reserved host on which nothing landed is disabled again"),
    ("priority", "marked instances are planned before others"),
    ("own-trouble", "nothing is fenced when everything is silent"),
    ("never-unfit", "no plan is refused by the linter"),
];

struct Judge {
    breaches: Vec<Breach>,
}

impl Judge {
    fn must(&mut self, holds: bool, rule: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.breaches.push(Breach { rule, what: what() });
        }
    }
}

/// What is judged.
pub(super) struct Scene<'a> {
    pub(super) story: &'a Story,
    pub(super) outage: &'a Outage,
    pub(super) store: &'a MemoryStore,
    pub(super) clock: &'a SimClock,
    /// Hosts' names by their identity in the register.
    pub(super) hosts: &'a BTreeMap<String, String>,
    /// Instances as they were at the beginning.
    pub(super) born: &'a BTreeMap<InstanceId, Instance>,
}

/// Judges a story that is over.
pub(super) async fn judge(scene: &Scene<'_>) -> Result<Told, StoreError> {
    let (store, policy) = (scene.store, Policy::default());
    let mut records = store.incidents(u32::MAX).await?;
    records.reverse();
    let mut runs = BTreeMap::new();
    let mut trace = String::new();
    for id in records.iter().flat_map(|record| &record.body.runs) {
        for entry in store.all(id) {
            trace.push_str(&format!("{} {} {} {:?}\n", entry.run, entry.seq, entry.at, entry.event));
        }
        if let Ok(run) = run::load(store, id).await {
            runs.insert(id.clone(), run);
        }
    }
    let mut judge = Judge { breaches: scene.outage.ground().breaches.clone() };
    let mut incidents = Vec::new();
    for record in &records {
        let host = scene.hosts.get(record.host.as_str()).map_or("", String::as_str);
        match read_incident(record, &HostName::new(host)) {
            Ok(incident) => incidents.push((record, incident)),
            Err(why) => judge.must(false, "comes-to-an-end", || why.what.clone()),
        }
    }
    answers(&mut judge, scene, &records).await?;
    everywhere(&mut judge, scene);
    let ground = scene.outage.ground();
    let mut ends = Vec::new();
    let all: Vec<Incident> = incidents.iter().map(|(_, incident)| incident.clone()).collect();
    let is_idle = |incident: &Incident| {
        let own = incident.runs.iter().filter_map(|id| runs.get(id));
        own.into_iter().all(|run| matches!(run.state, run::RunState::Closed(_)))
    };
    // What another outage has in hand has its lock, whatever an earlier one has done with it.
    let busy: BTreeSet<_> = all
        .iter()
        .filter(|incident| !is_idle(incident))
        .flat_map(|incident| incident.before.iter().flat_map(BTreeMap::keys))
        .collect();
    for (record, incident) in &incidents {
        let own: Vec<run::Run> = incident.runs.iter().filter_map(|id| runs.get(id).cloned()).collect();
        // A run that is under way says in its journal what it waits for, for example an evacuation that does not end.
        let is_driven = own.iter().any(|run| run.state == run::RunState::Running);
        let says = !record.why.is_empty() || is_driven;
        judge.must(record.closed.is_some() || says, "comes-to-an-end", || {
            format!("{} neither ends nor says why", incident.host)
        });
        judge.must(!record.why.contains("was refused"), "never-unfit", || record.why.clone());
        by_plan(&mut judge, incident, &own, &policy);
        if is_idle(incident) {
            locks(&mut judge, incident, &busy, &ground);
        }
        let is_over = record.closed.is_some() && matches!(record.stage, Stage::Recovered | Stage::Nothing);
        ends.push(if is_over { "over" } else { "waits" });
        if is_over {
            by_world(&mut judge, incident, &ground, &policy, (all.as_slice(), scene.born));
            for host in spares_in_use(&own).keys() {
                let used = ground.nova.host(host).is_some_and(|host| !host.instances.is_empty());
                let enabled = ground.nova.host(host).is_some_and(|host| host.enabled);
                judge.must(used || !enabled, "spares-back", || format!("{host} is enabled and empty"));
            }
        }
    }
    judge.breaches.sort();
    judge.breaches.dedup();
    Ok(Told { breaches: judge.breaches, ends, asked: 0, trace })
}

/// What clients are told.
async fn answers(judge: &mut Judge, scene: &Scene<'_>, records: &[Record]) -> Result<(), StoreError> {
    for record in records {
        let named = Named::Id(record.notification.to_string());
        let status = scene.store.notification(&named).await?.map(|notification| notification.status);
        let is_final = matches!(status, Some(Status::Finished | Status::Failed | Status::Ignored));
        // Between the answer and the end of its incident a server may have died: the next one ends it.
        judge.must(record.closed.is_none() || is_final, "answered", || {
            format!("{} is closed, and its report is {status:?}", record.key)
        });
    }
    Ok(())
}

/// What must hold in the whole cloud.
fn everywhere(judge: &mut Judge, scene: &Scene<'_>) {
    let ground = scene.outage.ground();
    for twice in ground.nova.ever_active_twice() {
        let lied = twice.hosts.iter().any(|host| ground.lied.contains(host));
        let records: Vec<_> = ground
            .nova
            .instance(twice.instance)
            .into_iter()
            .flat_map(|instance| &instance.migrations)
            .filter_map(|record| ground.nova.migration(*record))
            .collect();
        // Nova itself leaves a guest behind where a target fails after it has started one, and nothing in its answers
        // says so: its record is as that of any other failure, and no request shows what a hypervisor runs.
        let left_behind = records.iter().any(|record| {
            record.left_behind && record.target.as_ref().is_some_and(|target| twice.hosts.contains(target))
        });
        judge.must(lied || left_behind, "never-twice", || {
            let records: Vec<_> = records
                .iter()
                .map(|record| (record.created, &record.source, &record.target, record.status, record.landed))
                .collect();
            format!("{twice:?}, {records:?}")
        });
    }
    let fast: Vec<(String, i64)> = (scene.story.servers.iter().enumerate())
        .map(|(number, server)| (format!("server{number}/"), server.ahead_ms.max(0)))
        .collect();
    for lease in scene.store.leases() {
        // The end that is written in a lease is by its owner's clock. Others do not wait for it: `taken-over` sees to that.
        let ahead_ms = fast.iter().find(|(owner, _)| lease.owner.starts_with(owner)).map_or(0, |(_, ms)| *ms);
        let late_ms = lease.until.duration_since(scene.clock.now()).as_millis() - i128::from(ahead_ms);
        judge.must(late_ms <= 0, "leases-end", || format!("{} until {}", lease.name, lease.until));
    }
    if scene.story.all_silent {
        let orders: u32 = ground.nova.hosts().map(|(host, _)| ground.power.orders(host)).sum();
        judge.must(orders == 0, "own-trouble", || format!("{orders} orders were given"));
    }
}

/// What the plans of an outage say about its order.
fn by_plan(judge: &mut Judge, incident: &Incident, runs: &[run::Run], policy: &Policy) {
    let before = incident.before.clone().unwrap_or_default();
    for run in runs.iter().filter(|run| matches!(run.plan.body.purpose, Purpose::Recover { .. })) {
        let marks: Vec<bool> = run
            .plan
            .body
            .steps
            .iter()
            .filter_map(|step| match &step.does {
                Does::Evacuate { instance, .. } => before.get(instance),
                _ => None,
            })
            .map(|instance| is_ha_enabled(instance, policy))
            .collect();
        judge.must(marks.windows(2).all(|pair| pair[0] >= pair[1]), "priority", || {
            format!("run {} plans unmarked instances before marked ones", run.id)
        });
    }
}

/// Whether those that could not be moved are their owners' again while nothing is under way, also while a person is
/// waited for. One that was moved and does not take on its state is still worked on.
fn locks(judge: &mut Judge, incident: &Incident, busy: &BTreeSet<&SeenId>, ground: &Ground) {
    for id in incident.before.iter().flat_map(BTreeMap::keys).filter(|id| !busy.contains(id)) {
        let now = InstanceId::parse(id.as_str()).and_then(|id| ground.nova.instance(id));
        let Some(now) = now.filter(|now| incident.over || now.host.as_ref() == Some(&incident.host)) else {
            continue;
        };
        judge.must(now.lock_reason.as_deref() != Some(LOCK_REASON), "locks-opened", || {
            format!("{} is still locked", now.name)
        });
    }
}

/// What hypervisors and records say about an outage that is over.
fn by_world(
    judge: &mut Judge,
    incident: &Incident,
    ground: &Ground,
    policy: &Policy,
    (incidents, born): (&[Incident], &BTreeMap<InstanceId, Instance>),
) {
    let others: Vec<&HostName> =
        incidents.iter().map(|other| &other.host).filter(|other| **other != incident.host).collect();
    // What the story itself set there counts, and of the rest what was seen first.
    let mut before: BTreeMap<InstanceId, Seen> = BTreeMap::new();
    for (id, seen) in incident.before.iter().flatten() {
        before.extend(InstanceId::parse(id.as_str()).map(|sim| (sim, seen.clone())));
    }
    let others_moved = |id: &InstanceId| {
        let records =
            ground.nova.instance(*id).map(|instance| instance.migrations.clone()).unwrap_or_default();
        let mut records = records.iter().filter_map(|record| ground.nova.migration(*record));
        records.any(|record| record.source != incident.host)
    };
    let own =
        born.iter().filter(|(id, born)| born.host.as_ref() == Some(&incident.host) && !others_moved(id));
    before.extend(own.map(|(id, born)| (*id, seen_as(born))));
    for (sim, before) in &before {
        let sim = *sim;
        let Some(now) = ground.nova.instance(sim) else { continue };
        let Fate::Move { to, .. } = fate(before, policy) else { continue };
        let landed = now
            .migrations
            .iter()
            .filter_map(|record| ground.nova.migration(*record))
            .filter(|record| record.kind == MigrationKind::Evacuation && record.source == incident.host)
            .filter(|record| record.landed.is_some())
            .count();
        judge.must(landed <= 1, "moved-once", || format!("{} was moved {landed} times", now.name));
        let place = now.host.clone();
        judge.must(place.as_ref() != Some(&incident.host), "none-forgotten", || {
            format!("{} is still on {}", now.name, incident.host)
        });
        // One whose new host failed, too, is that outage's affair.
        let Some(place) = place.filter(|place| !others.contains(&place)) else { continue };
        let Some(there) = ground.nova.host(&place).filter(|there| there.power && there.link) else {
            continue;
        };
        let guest = there.guests.get(&sim).map(|guest| guest.state);
        let as_wanted = match to {
            Wanted::Active => guest == Some(GuestState::Running),
            Wanted::Stopped | Wanted::Error => guest == Some(GuestState::Off),
        };
        judge.must(as_wanted, "none-forgotten", || {
            format!("{} on {place} is {guest:?}, and was to be {to:?}", now.name)
        });
    }
}
