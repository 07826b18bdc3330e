//! The judgement: every check over its rows, what is remembered, consequences, maintenance, mutes, and the order in which
//! an operator should read it.
//!
//! It never depends on anything but its arguments.

use super::library::{Library, Ready};
use super::mute::in_force;
use super::roots::{Consequences, Raised, take_consequences};
use super::value::{Eye, Scene, Unknown};
use ostler_model::Timestamp;
use ostler_model::health::{
    Affected, CHANGES_KEPT, Condition, Evidence, Finding, Gap, Memory, Mutes, REPORT_FORMAT, Report, Row,
    Severity, Table, Unseen, Value,
};
use std::collections::{BTreeMap, BTreeSet};

/// The table of hosts on which somebody is at work: `host`, `why`.
const MAINTENANCE: &str = "maintenance";

/// The table that is made of what is remembered: `code`, `object`, `host`, `changes` within the last hour.
const REMEMBERED: &str = "remembered";

/// How far back changes count for flapping.
const FLAPPING_S: i64 = 3_600;

/// Conditions that are remembered: twenty for each of a thousand hosts.
const CONDITIONS_MAX: usize = 20_000;

/// How long a condition that is over is remembered, for its changes.
const REMEMBERED_S: i64 = 2 * 3_600;

/// A report, and what is to be remembered for the next look.
#[derive(Debug)]
pub struct Judged {
    /// The report.
    pub report: Report,
    /// The memory.
    pub memory: Memory,
}

/// What the checks say of the rows at hand.
#[derive(Default)]
struct Said {
    raised: Raised,
    /// The next command, by code and object, where a check names one.
    next: BTreeMap<(String, String), String>,
    unknown: BTreeMap<(String, Option<String>, String), BTreeSet<String>>,
    /// Checks that had rows.
    judged: BTreeSet<String>,
    /// Checks whose table was looked at.
    asked: BTreeSet<String>,
}

/// Judges evidence. `deep`: expensive checks, too.
pub fn judge(library: &Library, evidence: &Evidence, memory: &Memory, mutes: &Mutes, deep: bool) -> Judged {
    let of_memory = remembered(memory, evidence.taken);
    let scene = Scene::new(evidence, Some((REMEMBERED, &of_memory)));
    let mut said = Said::default();
    for (code, ready) in &library.checks {
        if deep || !ready.check.deep {
            ask(&scene, evidence.taken, code, ready, &mut said);
        }
    }
    let memory = remember(library, memory, &mut said, evidence.taken);
    let report = report(library, evidence, said, mutes);
    Judged { report, memory }
}

/// One check over its table.
fn ask(scene: &Scene<'_>, taken: Timestamp, code: &str, ready: &Ready, said: &mut Said) {
    let over = ready.check.over.as_str();
    let Some(table) = scene.table(over) else { return };
    let Said { raised, next: next_commands, unknown: all_unknown, judged, asked } = said;
    asked.insert(code.to_owned());
    let mut doubts = |unknown: Unknown| {
        let place = (unknown.what, unknown.gap.host, unknown.gap.why);
        all_unknown.entry(place).or_default().insert(code.to_owned());
    };
    for gap in &table.gaps {
        doubts(Unknown { what: over.to_owned(), gap: gap.clone() });
    }
    let mut groups: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for (place, row) in table.rows.iter().enumerate() {
        let rows = [row];
        let eye = Eye { table: over, rows: &rows, outer: None };
        match ready.only.as_ref().map_or(Ok(true), |only| scene.holds(only, &eye)) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(unknown) => {
                doubts(unknown);
                continue;
            }
        }
        let name = match &ready.check.per {
            None => format!("{place:08}"),
            Some(columns) => {
                let parts =
                    columns.iter().map(|column| row.get(column).map(Value::to_string).unwrap_or_default());
                parts.collect::<Vec<_>>().join("\u{1f}")
            }
        };
        groups.entry(name).or_default().push(row);
    }
    if groups.is_empty() {
        return;
    }
    judged.insert(code.to_owned());
    let mut found = Vec::new();
    for rows in groups.values() {
        let eye = Eye { table: over, rows, outer: None };
        let mut doubt = None;
        let mut reached = None;
        for (severity, when) in &ready.levels {
            match scene.holds(when, &eye) {
                Ok(true) => {
                    reached = Some(*severity);
                    break;
                }
                Ok(false) => {}
                Err(unknown) => doubt = doubt.or(Some(unknown)),
            }
        }
        match (reached, doubt) {
            (Some(severity), _) => {
                let object = ready.object.fill(scene, &eye);
                if let Some(next) = &ready.next {
                    next_commands.insert((code.to_owned(), object.clone()), next.fill(scene, &eye));
                }
                found.push(Affected {
                    object,
                    host: host_of(ready, scene, &eye),
                    severity,
                    evidence: ready.says.fill(scene, &eye),
                    since: taken,
                });
            }
            (None, Some(unknown)) => doubts(unknown),
            (None, None) => {}
        }
    }
    if !found.is_empty() {
        // One object is told of once, at its worst.
        found.sort_by(|a, b| {
            (&a.object, std::cmp::Reverse(a.severity)).cmp(&(&b.object, std::cmp::Reverse(b.severity)))
        });
        found.dedup_by(|a, b| a.object == b.object);
        raised.insert(code.to_owned(), found);
    }
}

/// The host that is affected: as the check says, else the one that all rows have in common.
fn host_of(ready: &Ready, scene: &Scene<'_>, eye: &Eye<'_>) -> Option<String> {
    if let Some(expr) = &ready.host {
        return scene.value(expr, eye).ok()?.text().map(str::to_owned);
    }
    let mut hosts = eye.rows.iter().map(|row| row.get("host").and_then(Value::text));
    let first = hosts.next()??;
    hosts.all(|other| other == Some(first)).then(|| first.to_owned())
}

/// What is remembered, as a table that checks can ask.
fn remembered(memory: &Memory, now: Timestamp) -> Table {
    let mut table = Table::default();
    for (code, objects) in &memory.conditions {
        for (object, condition) in objects {
            let recent =
                condition.changes.iter().filter(|at| now.as_second() - at.as_second() <= FLAPPING_S).count();
            table.rows.push(Row::from([
                ("code".to_owned(), code.as_str().into()),
                ("object".to_owned(), object.as_str().into()),
                ("changes".to_owned(), Value::Number(recent as f64)),
            ]));
        }
    }
    table
}

/// Lets what is seen for the first time wait where a check wants that, and lets what was raised stay where a check wants
/// that. Answers what is to be remembered.
fn remember(library: &Library, memory: &Memory, said: &mut Said, now: Timestamp) -> Memory {
    let mut next = Memory { last: Some(now), ..Memory::default() };
    let unjudged: BTreeSet<&str> = said.unknown.values().flatten().map(String::as_str).collect();
    for (code, ready) in &library.checks {
        let check = &ready.check;
        let before = memory.conditions.get(code);
        if !said.asked.contains(code) {
            // A quick look leaves out what a full one has seen: that is neither good nor bad.
            next.conditions.extend(before.map(|before| (code.clone(), before.clone())));
            continue;
        }
        let mut kept: BTreeMap<String, Condition> = BTreeMap::new();
        let mut objects = said.raised.remove(code).unwrap_or_default();
        objects.retain_mut(|object| {
            let known = before.and_then(|before| before.get(&object.object));
            let mut condition = match known {
                Some(known) if known.good == 0 => known.clone(),
                Some(known) => Condition { since: now, bad: 0, ..known.clone() },
                None => Condition {
                    since: now,
                    last: now,
                    bad: 0,
                    good: 0,
                    is_raised: false,
                    changes: Vec::new(),
                },
            };
            condition.bad = condition.bad.saturating_add(1);
            (condition.good, condition.last) = (0, now);
            if !condition.is_raised && condition.bad >= check.raise_after {
                condition.is_raised = true;
                condition.changes.push(now);
            }
            object.since = condition.since;
            let counts = condition.is_raised;
            trim(&mut condition);
            kept.insert(object.object.clone(), condition);
            counts
        });
        for (name, condition) in before.into_iter().flatten() {
            if kept.contains_key(name) {
                continue;
            }
            let mut condition = condition.clone();
            // What could not be judged now is neither good nor bad: it stays as it was.
            if !unjudged.contains(code.as_str()) {
                condition.good = condition.good.saturating_add(1);
                condition.bad = 0;
            }
            if condition.is_raised && condition.good >= check.clear_after {
                condition.is_raised = false;
                condition.changes.push(now);
            }
            if condition.is_raised && condition.good > 0 {
                objects.push(Affected {
                    object: name.clone(),
                    host: None,
                    severity: Severity::Info,
                    evidence: format!(
                        "well for {} of {} looks; it counts as over then",
                        condition.good, check.clear_after
                    ),
                    since: condition.since,
                });
            }
            let is_recent = now.as_second() - condition.last.as_second() <= REMEMBERED_S;
            if condition.is_raised || is_recent {
                trim(&mut condition);
                kept.insert(name.clone(), condition);
            }
        }
        if !objects.is_empty() {
            said.raised.insert(code.clone(), objects);
        }
        if !kept.is_empty() {
            next.conditions.insert(code.clone(), kept);
        }
    }
    let mut left = CONDITIONS_MAX;
    for conditions in next.conditions.values_mut() {
        let over = conditions.len().saturating_sub(left);
        let names: Vec<String> = conditions.keys().rev().take(over).cloned().collect();
        for name in names {
            conditions.remove(&name);
        }
        left -= conditions.len();
    }
    next
}

fn trim(condition: &mut Condition) {
    let over = condition.changes.len().saturating_sub(CHANGES_KEPT);
    condition.changes.drain(..over);
}

fn report(library: &Library, evidence: &Evidence, said: Said, mutes: &Mutes) -> Report {
    let Said { mut raised, next, unknown, judged, asked: _ } = said;
    let Consequences { hidden, explains } = take_consequences(library, &mut raised);
    let at_work: BTreeMap<&str, &str> = evidence
        .rows(MAINTENANCE)
        .iter()
        .filter_map(|row| Some((row.get("host")?.text()?, row.get("why")?.text()?)))
        .collect();
    let mut findings: Vec<(u16, Finding)> = Vec::new();
    for (code, objects) in raised {
        let Some(ready) = library.checks.get(&code) else { continue };
        let planned = |object: &Affected| {
            let why = object.host.as_deref().and_then(|host| at_work.get(host));
            why.filter(|_| ready.check.maintenance).map(|why| (*why).to_owned())
        };
        let (expected, real): (Vec<Affected>, Vec<Affected>) =
            objects.into_iter().partition(|object| planned(object).is_some());
        let reason = expected.first().and_then(planned);
        for (objects, expected) in [(real, None), (expected, reason)] {
            if let Some(finding) = finding(&code, ready, &next, evidence, objects, expected) {
                findings.push((ready.rank, finding));
            }
        }
    }
    for (_, finding) in &mut findings {
        if let Some((number, worst)) = explains.get(&finding.code) {
            finding.explains = *number;
            // A root is as bad as the worst of what it brings about.
            if finding.expected.is_none() {
                finding.severity = finding.severity.max(*worst);
            }
        }
        finding.muted = in_force(mutes, finding, evidence.taken);
    }
    findings.sort_by_key(|(rank, finding)| {
        let shown = if finding.counts() { finding.severity } else { Severity::Info };
        let is_root = finding.explains > 0;
        (
            !finding.counts(),
            std::cmp::Reverse(shown),
            std::cmp::Reverse(is_root),
            *rank,
            std::cmp::Reverse(finding.explains),
            finding.code.clone(),
        )
    });
    let findings: Vec<Finding> = findings.into_iter().map(|(_, finding)| finding).collect();
    let blinding: BTreeSet<&str> = findings
        .iter()
        .filter(|finding| library.checks.get(&finding.code).is_some_and(|ready| ready.check.blinds))
        .flat_map(|finding| finding.objects.iter().filter_map(|object| object.host.as_deref()))
        .collect();
    let unseen: Vec<Unseen> = unseen(unknown, &blinding);
    let worst = findings.iter().filter(|finding| finding.counts()).map(|finding| finding.severity).max();
    Report {
        format: REPORT_FORMAT,
        cloud: evidence.cloud.clone(),
        taken: evidence.taken,
        worst,
        is_whole: unseen.is_empty(),
        checks: judged.len(),
        findings,
        unseen,
        hidden,
        cost: evidence.cost.clone(),
    }
}

fn finding(
    code: &str,
    ready: &Ready,
    next: &BTreeMap<(String, String), String>,
    evidence: &Evidence,
    mut objects: Vec<Affected>,
    expected: Option<String>,
) -> Option<Finding> {
    objects.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.object.cmp(&b.object)));
    let first = objects.first()?;
    let severity = if expected.is_some() { Severity::Info } else { first.severity };
    let summary = match objects.len() {
        1 => format!("{}: {}", first.object, first.evidence),
        many => format!("{many} affected, first {}: {}", first.object, first.evidence),
    };
    let since = objects.iter().map(|object| object.since).min().unwrap_or(evidence.taken);
    let next = next
        .get(&(code.to_owned(), first.object.clone()))
        .cloned()
        .unwrap_or_else(|| format!("ostler explain {code}"));
    Some(Finding {
        code: code.to_owned(),
        severity,
        title: ready.check.title.clone(),
        summary,
        since,
        objects,
        explains: 0,
        expected,
        muted: None,
        next,
    })
}

/// On which host, and why.
type Reason = (Option<String>, String);

/// What could not be judged, one entry for each reason. Of hosts that a finding says are out of sight nothing is said
/// again.
fn unseen(
    unknown: BTreeMap<(String, Option<String>, String), BTreeSet<String>>,
    blinding: &BTreeSet<&str>,
) -> Vec<Unseen> {
    let mut by_reason: BTreeMap<Reason, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for ((what, host, why), codes) in unknown {
        if host.as_deref().is_some_and(|host| blinding.contains(host)) {
            continue;
        }
        let (whats, all) = by_reason.entry((host, why)).or_default();
        whats.insert(what);
        all.extend(codes);
    }
    by_reason
        .into_iter()
        .map(|((host, why), (whats, codes))| Unseen {
            codes: codes.into_iter().collect(),
            what: whats.into_iter().collect::<Vec<_>>().join(", "),
            gap: Gap { host, why },
        })
        .collect()
}
