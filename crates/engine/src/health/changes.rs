//! What is news for somebody who was told before: what appeared, became worse or better, and what is over.
//!
//! Over is only what was judged and found well, as often as its check wants: what could not be seen, was left out of a quick
//! look, is muted, expected, or hidden by its root is no news. It must never tell the same twice.

use ostler_model::Timestamp;
use ostler_model::health::{Affected, Condition, Finding, Memory, Report, Severity, Standing, Stands};
use serde::Serialize;

/// How something has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// It was well before, or not known.
    New,
    /// It stands, and is worse.
    Worse,
    /// It stands, and is not as bad.
    Better,
    /// It does not stand any more.
    Over,
}

/// A change of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// How.
    pub change: Turn,
    /// The code.
    pub code: String,
    /// The object.
    pub object: String,
    /// Its host, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How bad it is, or was.
    pub severity: Severity,
    /// What the code means.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What was seen.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// Since when it has been bad.
    pub since: Timestamp,
    /// The next command.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next: String,
}

/// What has changed since what stood `before`, the worst first, and what stands now. `memory` is the one that came of the
/// report.
pub fn changes(before: &Standing, report: &Report, memory: &Memory) -> (Vec<Change>, Standing) {
    let (mut changes, mut now) = (Vec::new(), Standing::new());
    let condition = |code: &str, object: &str| memory.conditions.get(code).and_then(|all| all.get(object));
    for finding in report.findings.iter().filter(|finding| finding.counts()) {
        for object in &finding.objects {
            let known = before.get(&finding.code).and_then(|all| all.get(&object.object));
            let (turn, severity) = turn(known, object, condition(&finding.code, &object.object));
            changes.extend(turn.map(|turn| change(turn, severity, finding, object)));
            let stands = Stands { severity, host: object.host.clone(), since: object.since };
            now.entry(finding.code.clone()).or_default().insert(object.object.clone(), stands);
        }
    }
    for (code, objects) in before {
        for (object, stood) in objects {
            if now.get(code).is_some_and(|all| all.contains_key(object)) {
                continue;
            }
            if condition(code, object).is_some_and(|condition| condition.is_raised) {
                now.entry(code.clone()).or_default().insert(object.clone(), stood.clone());
                continue;
            }
            changes.push(Change {
                change: Turn::Over,
                code: code.clone(),
                object: object.clone(),
                host: stood.host.clone(),
                severity: stood.severity,
                title: String::new(),
                evidence: String::new(),
                since: stood.since,
                next: String::new(),
            });
        }
    }
    changes.sort_by_key(|change| (change.change == Turn::Over, std::cmp::Reverse(change.severity)));
    (changes, now)
}

/// How an object has changed, and how bad it is to be called. One that is well for some looks and not yet over is as bad as
/// it was.
fn turn(
    known: Option<&Stands>,
    object: &Affected,
    condition: Option<&Condition>,
) -> (Option<Turn>, Severity) {
    let Some(known) = known else { return (Some(Turn::New), object.severity) };
    if condition.is_some_and(|condition| condition.good > 0) {
        return (None, known.severity);
    }
    let turn = match object.severity.cmp(&known.severity) {
        std::cmp::Ordering::Greater => Some(Turn::Worse),
        std::cmp::Ordering::Less => Some(Turn::Better),
        std::cmp::Ordering::Equal => None,
    };
    (turn, object.severity)
}

fn change(turn: Turn, severity: Severity, finding: &Finding, object: &Affected) -> Change {
    Change {
        change: turn,
        code: finding.code.clone(),
        object: object.object.clone(),
        host: object.host.clone(),
        severity,
        title: finding.title.clone(),
        evidence: object.evidence.clone(),
        since: object.since,
        next: finding.next.clone(),
    }
}
