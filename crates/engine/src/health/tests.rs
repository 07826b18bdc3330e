//! Every code over the evidence of a real, healthy cloud: with changes that make it the first line, and with changes close by
//! that do not.

use super::{Library, Turn, changes, judge};
use ostler_model::Timestamp;
use ostler_model::health::{Condition, Evidence, Memory, Mutes, Report, Row, Standing, Value};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Collected by `ostler health collect` from a lab of one controller and two compute nodes.
const HEALTHY: &str = include_str!("cases/healthy.json");

const CASES: [(&str, &str); 5] = [
    ("hosts", include_str!("cases/hosts.toml")),
    ("services", include_str!("cases/services.toml")),
    ("apis", include_str!("cases/apis.toml")),
    ("objects", include_str!("cases/objects.toml")),
    ("storage", include_str!("cases/storage.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    code: String,
    /// How often it is looked.
    #[serde(default = "one")]
    looks: u16,
    /// Codes that may stand below it.
    #[serde(default)]
    also: BTreeSet<String>,
    bad: Vec<Change>,
    good: Vec<Change>,
}

fn one() -> u16 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    t: String,
    #[serde(default)]
    find: Row,
    #[serde(default)]
    set: Row,
    add: Option<Row>,
    /// How many of the added row; the first row's name does for all.
    #[serde(default = "one")]
    times: u16,
    #[serde(default)]
    drop: bool,
    gap: Option<String>,
}

fn healthy() -> Evidence {
    serde_json::from_str(HEALTHY).unwrap()
}

fn library() -> Library {
    Library::embedded().unwrap()
}

/// `ago 2h` and `epoch 2h` become moments before the look, `-2h` after it.
fn moment(value: &Value, taken: Timestamp) -> Value {
    let Value::Text(text) = value else { return value.clone() };
    let Some((kind, length)) = text.split_once(' ').filter(|(kind, _)| matches!(*kind, "ago" | "epoch"))
    else {
        return value.clone();
    };
    let (sign, length) = length.strip_prefix('-').map_or((1, length), |length| (-1, length));
    let (digits, unit) = length.split_at(length.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        other => panic!("no unit: {other}"),
    };
    let at = taken.as_second() - sign * digits.parse::<i64>().unwrap() * unit;
    match kind {
        "ago" => Timestamp::from_second(at).unwrap().to_string().into(),
        _ => Value::Number(at as f64),
    }
}

fn changed(changes: &[Change]) -> Evidence {
    let mut evidence = healthy();
    let taken = evidence.taken;
    let timed =
        |row: &Row| -> Row { row.iter().map(|(name, value)| (name.clone(), moment(value, taken))).collect() };
    for change in changes {
        if let Some(host) = &change.gap {
            evidence.gap(&change.t, Some(host), "it does not answer");
        } else if let Some(row) = &change.add {
            (0..change.times).for_each(|_| evidence.add(&change.t, timed(row)));
        } else {
            let rows = &mut evidence.table(&change.t).rows;
            let found = rows
                .iter()
                .position(|row| change.find.iter().all(|(name, value)| row.get(name) == Some(value)));
            let found = found.unwrap_or_else(|| panic!("no row of {} has {:?}", change.t, change.find));
            if change.drop {
                rows.remove(found);
            } else {
                rows[found].extend(timed(&change.set));
            }
        }
    }
    evidence
}

fn judged(evidence: &Evidence, looks: u16) -> Report {
    let library = library();
    let mut memory = Memory::default();
    let mut report = None;
    for _ in 0..looks {
        let judged = judge(&library, evidence, &memory, &Mutes::default(), true);
        memory = judged.memory;
        report = Some(judged.report);
    }
    report.unwrap()
}

fn codes(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[test]
fn a_healthy_cloud_has_no_finding_and_nothing_unseen() {
    let report = judged(&healthy(), 3);
    assert_eq!(codes(&report), [""; 0], "{:#?}", report.findings);
    assert!(report.is_whole, "{:#?}", report.unseen);
    assert!(report.checks > 80, "only {} checks had rows", report.checks);
}

#[test]
fn every_code_is_the_first_line_when_it_is_so_and_none_when_it_is_nearly_so() {
    let mut wrong = Vec::new();
    for (page, text) in CASES {
        let cases: Cases = toml::from_str(text).unwrap_or_else(|error| panic!("{page}: {error}"));
        for case in cases.case {
            let report = judged(&changed(&case.bad), case.looks);
            let found = codes(&report);
            if found.first() != Some(&case.code.as_str()) {
                wrong.push(format!(
                    "{}: found {found:?}, hidden {:?}, unseen {:?}",
                    case.code, report.hidden, report.unseen
                ));
                continue;
            }
            let beside: Vec<&&str> = found[1..].iter().filter(|code| !case.also.contains(**code)).collect();
            if !beside.is_empty() {
                wrong.push(format!("{}: beside it {beside:?}: {:#?}", case.code, report.findings));
            }
            let summary = &report.findings[0].summary;
            if summary.contains('?') && !summary.contains("? (") {
                wrong.push(format!("{}: a hole in `{summary}`", case.code));
            }
            let near = judged(&changed(&case.good), case.looks);
            if codes(&near).contains(&case.code.as_str()) {
                wrong.push(format!("{}: also found when it is not so", case.code));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    let cased: BTreeSet<String> = CASES
        .iter()
        .flat_map(|(_, text)| toml::from_str::<Cases>(text).unwrap().case)
        .map(|case| case.code)
        .collect();
    let library = library();
    let missing: Vec<&str> =
        library.codes().filter(|code| !cased.contains(*code) && *code != "COMPUTE_FLAPPING").collect();
    assert_eq!(missing, [""; 0]);
    assert!(library.codes().count() >= 120);
}

#[test]
fn what_changes_three_times_within_an_hour_flaps() {
    let mut memory = Memory::default();
    let at = healthy().taken;
    let condition = |changes| Condition {
        since: at,
        last: at,
        bad: 0,
        good: 1,
        is_raised: false,
        changes: vec![at; changes],
    };
    let down = |changes| BTreeMap::from([("nova-compute on cmp1".to_owned(), condition(changes))]);
    memory.conditions.insert("COMPUTE_SERVICE_DOWN".into(), down(3));
    let found = |memory: &Memory| {
        let report = judge(&library(), &healthy(), memory, &Mutes::default(), false).report;
        codes(&report).contains(&"COMPUTE_FLAPPING")
    };
    assert!(found(&memory));
    memory.conditions.insert("COMPUTE_SERVICE_DOWN".into(), down(2));
    assert!(!found(&memory));
}

#[test]
fn what_was_left_out_of_a_quick_look_is_remembered_as_it_was() {
    let library = library();
    let mut bad = healthy();
    bad.table("server").rows[0].insert("status".into(), "ERROR".into());
    let first = judge(&library, &bad, &Memory::default(), &Mutes::default(), false).memory;
    let mut quick = healthy();
    quick.tables.remove("server");
    let second = judge(&library, &quick, &first, &Mutes::default(), false).memory;
    assert_eq!(second.conditions["SERVER_ERROR"], first.conditions["SERVER_ERROR"]);
    let third = judge(&library, &healthy(), &second, &Mutes::default(), false).memory;
    assert!(third.conditions["SERVER_ERROR"].values().all(|condition| !condition.is_raised));
}

#[test]
fn a_root_hides_its_consequences_and_is_as_bad_as_the_worst_of_them() {
    let mut evidence = healthy();
    for row in &mut evidence.table("rabbit.node").rows {
        row.insert("runs".into(), false.into());
        row.insert("why".into(), "nodedown".into());
    }
    for row in &mut evidence.table("compute.service").rows {
        row.insert("state".into(), "down".into());
    }
    let report = judged(&evidence, 1);
    assert_eq!(codes(&report), ["MQ_DOWN"]);
    assert!(
        report.hidden.iter().all(|hidden| hidden.by == "MQ_DOWN") && report.hidden.len() >= 4,
        "{:?}",
        report.hidden
    );
    assert_eq!(report.findings[0].explains, report.hidden.len());
}

#[test]
fn a_warning_explains_no_error() {
    let mut evidence = healthy();
    evidence.table("filesystem").rows[0].insert("used_pct".into(), Value::Number(85.0));
    evidence.table("filesystem").rows[0].insert("host".into(), "ctl1".into());
    evidence.table("database").rows[0] = Row::from([
        ("host".into(), "ctl1".into()),
        ("answers".into(), false.into()),
        ("why".into(), "ERROR 2002".into()),
    ]);
    evidence.add(
        "database",
        Row::from([
            ("host".into(), "ctl2".into()),
            ("answers".into(), false.into()),
            ("why".into(), "x".into()),
        ]),
    );
    let report = judged(&evidence, 1);
    assert_eq!(report.findings[0].code, "DB_DOWN", "{:?}", codes(&report));
}

#[test]
fn maintenance_makes_a_finding_expected_and_it_no_longer_counts() {
    let mut evidence = healthy();
    let down = evidence
        .table("compute.service")
        .rows
        .iter_mut()
        .find(|row| row["host"] == Value::from("cmp1"))
        .unwrap();
    down.insert("state".into(), "down".into());
    evidence.add(
        "maintenance",
        Row::from([("host".into(), "cmp1".into()), ("why".into(), "run r1 is at work there".into())]),
    );
    let report = judged(&evidence, 1);
    assert_eq!(report.worst, None, "{:?}", report.findings);
    assert_eq!(report.findings[0].expected.as_deref(), Some("run r1 is at work there"));
}

#[test]
fn what_could_not_be_seen_is_not_well_and_is_told_once() {
    let mut evidence = healthy();
    for table in ["unit", "filesystem", "database"] {
        evidence.gap(table, Some("ctl1"), "no answer");
    }
    let report = judged(&evidence, 1);
    assert!(!report.is_whole && report.worst.is_none());
    assert_eq!(report.unseen.len(), 1, "{:?}", report.unseen);
    assert!(report.unseen[0].codes.len() > 10);
}

#[test]
fn a_mute_ends_when_more_objects_are_affected() {
    use ostler_model::health::Mute;
    let mut evidence = changed(&[]);
    let taken = evidence.taken;
    let mute = Mute {
        code: "SERVER_ERROR".into(),
        object: None,
        until: Timestamp::from_second(taken.as_second() + 3_600).unwrap(),
        since: taken,
        who: "alice".into(),
        why: None,
        objects: 1,
        is_sticky: false,
    };
    let mut mutes = Mutes::default();
    super::mute(&mut mutes, mute).unwrap();
    let error = |evidence: &mut Evidence, place: usize| {
        evidence.table("server").rows[place].insert("status".into(), "ERROR".into());
    };
    error(&mut evidence, 0);
    let report = judge(&library(), &evidence, &Memory::default(), &mutes, false).report;
    assert!(report.findings[0].muted.is_some() && report.worst.is_none(), "{:?}", report.findings);
    assert_eq!(super::after_look(&mutes, &report, taken).mutes.len(), 1);
    error(&mut evidence, 1);
    let report = judge(&library(), &evidence, &Memory::default(), &mutes, false).report;
    assert!(report.findings[0].muted.is_none() && report.worst.is_some());
    assert_eq!(super::after_look(&mutes, &report, taken).mutes.len(), 0);
}

/// Looks one after another, and what each of them is news of.
fn news(looks: &[&Evidence]) -> Vec<Vec<(Turn, String)>> {
    let (mut memory, mut standing) = (Memory::default(), Standing::new());
    let told = |change: &super::Change| (change.change, format!("{} {}", change.code, change.object));
    let each = looks.iter().map(|evidence| {
        let judged = judge(&library(), evidence, &memory, &Mutes::default(), false);
        let (changes, stands) = changes(&standing, &judged.report, &judged.memory);
        (memory, standing) = (judged.memory, stands);
        changes.iter().map(told).collect()
    });
    each.collect()
}

fn disk(used_pct: f64) -> Evidence {
    let mut evidence = healthy();
    evidence.table("filesystem").rows[0].insert("used_pct".into(), Value::Number(used_pct));
    evidence
}

#[test]
fn only_what_changes_is_news() {
    let (well, full, fuller) = (healthy(), disk(85.0), disk(91.0));
    let name = changed_object(&full);
    let disk = |turn| vec![(turn, name.clone())];
    assert_eq!(
        news(&[&well, &full, &full, &fuller, &full, &well, &well]),
        [vec![], disk(Turn::New), vec![], disk(Turn::Worse), disk(Turn::Better), disk(Turn::Over), vec![]]
    );
}

fn changed_object(evidence: &Evidence) -> String {
    format!("HOST_DISK {}", judged(evidence, 1).findings[0].objects[0].object)
}

#[test]
fn what_was_not_seen_or_is_hidden_by_its_root_is_not_called_over() {
    let (full, well) = (disk(85.0), healthy());
    let mut unseen = healthy();
    unseen.table("filesystem").rows.clear();
    unseen.gap("filesystem", None, "no answer");
    let mut left_out = healthy();
    left_out.tables.remove("filesystem");
    let told: Vec<usize> = news(&[&full, &unseen, &left_out, &well]).iter().map(Vec::len).collect();
    assert_eq!(told, [1, 0, 0, 1]);
    let mut down = healthy();
    for row in &mut down.table("compute.service").rows {
        row.insert("state".into(), "down".into());
    }
    let mut broker = down.clone();
    for row in &mut broker.table("rabbit.node").rows {
        row.insert("runs".into(), false.into());
        row.insert("why".into(), "nodedown".into());
    }
    let told = news(&[&down, &broker, &down]);
    assert_eq!(told[1], [(Turn::New, "MQ_DOWN message queue".to_owned())], "{told:?}");
    assert_eq!(told[2], [(Turn::Over, "MQ_DOWN message queue".to_owned())], "{told:?}");
}
