//! Incidents of instance HA: how all of them stand, and the course of one.
//!
//! It shows the register and what follows from the journals; what waits for a person is said with the way out.

use super::{age, between, count, local, table, time_of_day};
use crate::duration::words;
use crate::failure::Exit;
use crate::instance_ha::Registered;
use crate::printer::{Ink, Printer};
use crate::view::run::state as run_state;
use ostler_engine::ha::{Course, NO_ROOM, Standing, Tale};
use ostler_engine::run::Run;
use ostler_model::Timestamp;
use ostler_model::ha::{Host, Incident, Joined, Stage};
use ostler_model::ids::SegmentId;
use ostler_model::step::Word;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Characters by which an incident is named where there is little room.
const SHORT: usize = 8;

/// How long an outage may wait for its witnesses, or for a proof, until somebody should know: a compute service counts as
/// heard for half a minute.
const PATIENCE_MS: u64 = 60_000;

/// How all stand.
pub struct Overview<'a> {
    /// What is registered.
    pub registered: &'a Registered,
    /// Open incidents, the oldest first.
    pub open: &'a [Incident],
    /// Closed ones, the newest first.
    pub closed: &'a [Incident],
    /// Who switched segments off, where that was one of us.
    pub switched_off: &'a BTreeMap<SegmentId, Word>,
    /// The time.
    pub now: Timestamp,
}

/// What a person should do about an open incident, if anything.
pub fn way_out(incident: &Incident, host: &str) -> Option<String> {
    let id = short(incident);
    match incident.stage {
        Stage::Held => Some(format!(
            "find out why, then `ostler ha retry {id}`, `ostler ha confirm-down {host}` if it is off, or `ostler ha acknowledge {id} --because TEXT`"
        )),
        Stage::Proof => Some(format!("if it is off: `ostler ha confirm-down {host} --because TEXT`")),
        Stage::Room if incident.why.contains(NO_ROOM) => {
            Some("add a reserved host to the segment, or make room".to_owned())
        }
        Stage::Room => Some(format!("see how far it is: `ostler ha show {id}`")),
        _ => None,
    }
}

/// Whether an incident can only go on with a person.
pub fn needs_a_person(incident: &Incident, now: Timestamp) -> bool {
    let is_long = between(incident.opened, now) >= PATIENCE_MS;
    match incident.stage {
        Stage::Room => is_long || incident.why.contains(NO_ROOM),
        // Before the first round its guards and witnesses are asked again and again.
        Stage::Held => is_long || !incident.body.runs.is_empty(),
        Stage::Proof => is_long,
        _ => false,
    }
}

/// How it looks, as an exit code.
pub fn exit(overview: &Overview<'_>) -> Exit {
    if overview.open.iter().any(|one| needs_a_person(one, overview.now)) {
        return Exit::Errors;
    }
    let is_out = overview.registered.hosts.iter().any(Host::is_out);
    let is_off = overview.registered.segments.iter().any(|segment| !segment.enabled);
    match overview.open.is_empty() && !is_out && !is_off {
        true => Exit::Done,
        false => Exit::Warnings,
    }
}

fn short(incident: &Incident) -> &str {
    incident.id.as_str().get(..SHORT).unwrap_or(incident.id.as_str())
}

fn out(host: &Host) -> String {
    let flags = [
        (host.on_maintenance, "in maintenance"),
        (host.under_recovery, "recovered from, not returned"),
        (host.quarantined, "a process failed, not returned"),
    ];
    let said: Vec<&str> = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, word)| word).collect();
    said.join(", ")
}

fn ink_of(stage: Stage) -> Ink {
    match stage {
        Stage::Recovered | Stage::Nothing => Ink::Good,
        Stage::Held | Stage::Failed => Ink::Bad,
        Stage::Open | Stage::Proof | Stage::Room | Stage::Working => Ink::Care,
        Stage::Dismissed => Ink::Faint,
    }
}

/// All, for people.
pub fn overview(printer: &Printer, overview: &Overview<'_>) -> String {
    let now = overview.now;
    let registered = overview.registered;
    let mut text = String::new();
    if registered.segments.is_empty() {
        text.push_str("no segment is registered: nothing is protected\n");
        text.push_str("hint: `openstack segment create`, or `ostler ha import` from Masakari\n");
    } else {
        let rows = registered.segments.iter().map(|segment| {
            let of = || registered.hosts.iter().filter(|host| host.segment == segment.id);
            let state = match (segment.enabled, overview.switched_off.get(&segment.id)) {
                (true, _) => "on".to_owned(),
                (false, None) => "off".to_owned(),
                (false, Some(word)) => {
                    format!("off, by {} {}: {}", word.who, age(word.at, now), word.why)
                }
            };
            vec![
                segment.name.clone(),
                segment.recovery_method.to_string(),
                of().count().to_string(),
                of().filter(|host| host.reserved).count().to_string(),
                of().filter(|host| host.is_out()).count().to_string(),
                state,
            ]
        });
        text.push_str(&table(
            &["SEGMENT", "METHOD", "HOSTS", "RESERVED", "OUT", "INSTANCE HA"],
            rows.collect(),
        ));
    }
    let rows: Vec<Vec<String>> = registered
        .hosts
        .iter()
        .filter(|host| host.is_out())
        .map(|host| {
            let since = host.updated.map(|at| age(at, now)).unwrap_or_default();
            vec![
                host.name.clone(),
                registered.segment_name(host.segment.as_str()).to_owned(),
                out(host),
                since,
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(&format!("\n{}\n", printer.ink(Ink::Care, "Not protected")));
        text.push_str(&table(&["HOST", "SEGMENT", "WHY", "CHANGED"], rows));
    }
    text.push_str(&open_page(printer, overview));
    if !overview.closed.is_empty() {
        let rows = overview.closed.iter().map(|incident| {
            vec![
                short(incident).to_owned(),
                registered.about(incident),
                printer.ink(ink_of(incident.stage), incident.stage.word()),
                age(incident.opened, now),
                words(between(incident.opened, incident.closed.unwrap_or(now))),
                incident.why.clone(),
            ]
        });
        text.push_str(&format!("\n{}\n", printer.ink(Ink::Heading, "Closed lately")));
        text.push_str(&table(&["INCIDENT", "ABOUT", "END", "OPENED", "TOOK", "WHY"], rows.collect()));
    }
    text
}

fn open_page(printer: &Printer, overview: &Overview<'_>) -> String {
    if overview.open.is_empty() {
        return "\nno incident is open\n".to_owned();
    }
    let registered = overview.registered;
    let rows = overview.open.iter().map(|incident| {
        vec![
            short(incident).to_owned(),
            registered.about(incident),
            printer.ink(ink_of(incident.stage), incident.stage.word()),
            age(incident.opened, overview.now),
            incident.why.clone(),
        ]
    });
    let mut text = format!("\n{}\n", printer.ink(Ink::Heading, "Open"));
    text.push_str(&table(&["INCIDENT", "ABOUT", "STAGE", "OPENED", "WHY"], rows.collect()));
    let waiting: Vec<&Incident> =
        overview.open.iter().filter(|one| needs_a_person(one, overview.now)).collect();
    if !waiting.is_empty() {
        text.push_str(&format!("\n{}\n", printer.ink(Ink::Bad, "Waits for a person")));
        for incident in waiting {
            let host = registered.host_name(incident);
            let way_out = way_out(incident, host.as_str()).unwrap_or_default();
            text.push_str(&format!("  {}: {way_out}\n", registered.about(incident)));
        }
    }
    text
}

/// All, for programs.
pub fn overview_json(overview: &Overview<'_>) -> Value {
    let registered = overview.registered;
    let segments: Vec<Value> = registered
        .segments
        .iter()
        .map(|segment| {
            let of = || registered.hosts.iter().filter(|host| host.segment == segment.id);
            json!({
                "segment": segment.id,
                "name": segment.name,
                "method": segment.recovery_method,
                "enabled": segment.enabled,
                "switched_off": overview.switched_off.get(&segment.id),
                "hosts": of().count(),
                "reserved": of().filter(|host| host.reserved).count(),
                "out": of().filter(|host| host.is_out()).count(),
            })
        })
        .collect();
    let hosts: Vec<Value> = registered
        .hosts
        .iter()
        .filter(|host| host.is_out())
        .map(|host| {
            json!({
                "host": host.name,
                "segment": registered.segment_name(host.segment.as_str()),
                "on_maintenance": host.on_maintenance,
                "under_recovery": host.under_recovery,
                "quarantined": host.quarantined,
                "changed": host.updated,
            })
        })
        .collect();
    let of = |incidents: &[Incident]| -> Vec<Value> {
        incidents.iter().map(|incident| incident_json(registered, incident, overview.now)).collect()
    };
    json!({
        "segments": segments,
        "not_protected": hosts,
        "open": of(overview.open),
        "closed": of(overview.closed),
    })
}

/// One incident, for programs.
pub fn incident_json(registered: &Registered, incident: &Incident, now: Timestamp) -> Value {
    let host = registered.host_name(incident);
    let waits = incident.closed.is_none() && needs_a_person(incident, now);
    json!({
        "incident": incident.id,
        "about": registered.about(incident),
        "host": host,
        "segment": incident.segment.as_ref().map(|id| registered.segment_name(id.as_str())),
        "stage": incident.stage,
        "why": incident.why,
        "opened": incident.opened,
        "closed": incident.closed,
        "notification": incident.notification,
        "runs": incident.body.runs,
        "waits_for_a_person": waits,
        "hint": waits.then(|| way_out(incident, host.as_str())).flatten(),
    })
}

/// One incident with everything that is known of it.
pub struct Told<'a> {
    /// What is registered.
    pub registered: &'a Registered,
    /// The incident.
    pub incident: &'a Incident,
    /// Its course.
    pub tale: &'a Tale,
    /// Its runs.
    pub runs: &'a [Run],
    /// Reports that joined it.
    pub joined: &'a [Joined],
}

/// Its course, for people.
pub fn course(printer: &Printer, told: &Told<'_>, now: Timestamp) -> String {
    let (incident, tale) = (told.incident, told.tale);
    let heading = format!("incident {}: {}", incident.id, told.registered.about(incident));
    let mut text = format!("{}\n", printer.ink(Ink::Heading, &heading));
    let why = if incident.why.is_empty() { String::new() } else { format!(": {}", incident.why) };
    text.push_str(&format!("  {}{why}\n", printer.ink(ink_of(incident.stage), incident.stage.word())));
    let segment = incident.segment.as_ref().map_or("-", |id| told.registered.segment_name(id.as_str()));
    let end = match incident.closed {
        Some(closed) => {
            format!("closed {}, after {}", local(closed), words(between(tale.seen, closed)))
        }
        None => format!("open for {}", words(between(tale.seen, now))),
    };
    text.push_str(&format!("  segment {segment}, opened {}, {end}\n", local(incident.opened)));
    if incident.closed.is_none()
        && needs_a_person(incident, now)
        && let Some(way_out) = way_out(incident, told.registered.host_name(incident).as_str())
    {
        text.push_str(&format!("  hint: {way_out}\n"));
    }
    text.push('\n');
    for phase in &tale.phases {
        let took = match phase.to {
            Some(to) => words(between(phase.from, to)),
            None => format!("{} so far", words(between(phase.from, incident.closed.unwrap_or(now)))),
        };
        let line = format!(
            "  {}  {:<12}  {took:>12}  {}",
            time_of_day(phase.from),
            phase.stretch.word(),
            phase.what
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if !tale.instances.is_empty() {
        let rows = tale.instances.iter().map(|one| instance_row(printer, tale, one)).collect();
        text.push('\n');
        text.push_str(&table(&["INSTANCE", "ID", "STANDING", "ON", "AWAY", "ROUNDS", "WHY"], rows));
    }
    text.push_str(&said(printer, told));
    if !told.runs.is_empty() {
        text.push_str(&format!("\n{}\n", printer.ink(Ink::Heading, "Runs")));
        for run in told.runs {
            let is_driven = incident.is_at_work(now);
            let done = run.steps.len() - run.remaining;
            text.push_str(&format!(
                "  {}  {}, {done} of {}: `ostler run show {}`\n",
                run.id,
                run_state(run, is_driven),
                count(run.steps.len(), "step"),
                run.id
            ));
        }
    }
    text
}

fn instance_row(printer: &Printer, tale: &Tale, one: &Course) -> Vec<String> {
    let ink = match one.standing {
        Standing::Back => Ink::Good,
        Standing::Failed => Ink::Bad,
        Standing::Waiting | Standing::Moving => Ink::Care,
        Standing::Left => Ink::Faint,
    };
    vec![
        one.name.clone(),
        one.id.as_str().get(..SHORT).unwrap_or(one.id.as_str()).to_owned(),
        printer.ink(ink, one.standing.word()),
        one.to.as_ref().map_or("-".to_owned(), ToString::to_string),
        tale.away_ms(one).map_or("-".to_owned(), words),
        one.rounds.to_string(),
        one.why.clone().unwrap_or_default(),
    ]
}

/// What was said and seen of it.
fn said(printer: &Printer, told: &Told<'_>) -> String {
    let evidence =
        told.incident.body.evidence.iter().map(|one| (one.at, one.from.as_str(), one.what.clone()));
    let joined = told.joined.iter().map(|one| {
        let what = serde_json::to_string(&one.payload).unwrap_or_default();
        (one.at, one.reporter.as_str(), format!("reported too: {what}"))
    });
    let mut all: Vec<(Timestamp, &str, String)> = evidence.chain(joined).collect();
    if all.is_empty() {
        return String::new();
    }
    all.sort();
    let mut text = format!("\n{}\n", printer.ink(Ink::Heading, "Said and seen"));
    for (at, from, what) in all {
        text.push_str(&format!("  {}  {from}: {what}\n", time_of_day(at)));
    }
    text
}

/// Its course, for programs.
pub fn course_json(told: &Told<'_>, now: Timestamp) -> Value {
    let tale = told.tale;
    let mut page = incident_json(told.registered, told.incident, now);
    let phases: Vec<Value> = tale
        .phases
        .iter()
        .map(|phase| {
            json!({
                "phase": phase.stretch,
                "from": phase.from,
                "to": phase.to,
                "ms": phase.to.map(|to| between(phase.from, to)),
                "what": phase.what,
            })
        })
        .collect();
    let instances: Vec<Value> = tale
        .instances
        .iter()
        .map(|one| {
            json!({
                "instance": one.id,
                "name": one.name,
                "standing": one.standing,
                "host": one.to,
                "rounds": one.rounds,
                "asked": one.asked,
                "back": one.back,
                "away_ms": tale.away_ms(one),
                "why": one.why,
            })
        })
        .collect();
    page["seen"] = json!(tale.seen);
    page["phases"] = Value::Array(phases);
    page["instances"] = Value::Array(instances);
    page["evidence"] = json!(told.incident.body.evidence);
    page
}
