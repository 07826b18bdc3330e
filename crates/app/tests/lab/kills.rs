//! Ostler is killed with SIGKILL after every single entry of its journal, resumed each time, and finishes.

use crate::ground::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// By then the unit of a step that was intended runs on its node.
const UNDER_WAY: Duration = Duration::from_millis(500);

/// When Ostler dies after an entry: at once; but after every second intent only when its effect is under way, and
/// so after a further attempt, else nothing would ever begin.
fn dies_after(entry: &Value) -> Duration {
    let event = &entry["event"];
    let is_first = event["attempt"] == 1;
    match event["event"].as_str() {
        Some("intended") if !is_first || entry["seq"].as_u64().unwrap_or_default() % 4 < 2 => UNDER_WAY,
        _ => Duration::ZERO,
    }
}

/// More kills than the plan has entries.
const KILLS_MAX: usize = 400;

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn b1_killed_after_every_entry_it_finishes_and_does_nothing_twice() {
    let ground = ready("2023.1", "").without_function_check();
    let upgrade =
        ["upgrade", "run", "--only", "keystone", "--to", "2024.1", "--strategy", "zero-downtime", "--yes"];
    let load = Load::start();
    let first = |entry: &Value| entry["seq"].is_u64().then_some(Duration::ZERO);
    assert!(ground.kill_after(&upgrade, first), "the upgrade wrote no entry");
    let mut kills = 1;
    loop {
        // Resuming writes an entry of its own; the kill comes after the next one that the driver writes.
        let seen_before = ground.journal().len() as u64;
        let further = |entry: &Value| {
            let is_new = entry["seq"].as_u64().is_some_and(|seq| seq >= seen_before);
            (is_new && entry["event"]["event"] != "resumed").then(|| dies_after(entry))
        };
        if !ground.kill_after(&["run", "resume", "last", "--yes"], further) {
            break;
        }
        kills += 1;
        assert!(kills < KILLS_MAX, "no end after {kills} kills, at entry {seen_before}");
    }
    nothing_failed(&load.stop());
    every_node_has("25.");
    assert_eq!(heads("ctl1"), HEADS_2024_1);
    let journal = ground.journal();
    let run = journal[0]["run"].as_str().unwrap().to_owned();
    // Each resuming wrote an entry, too. A quick machine writes on before the kill comes, but not past every second one.
    let of_steps = journal.iter().filter(|entry| entry["event"]["event"] != "resumed").count();
    assert!(kills * 2 > of_steps, "only {kills} kills for {of_steps} entries");
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &journal {
        if entry["event"]["event"] == "proved" && entry["event"]["outcome"]["outcome"] == "done" {
            *done.entry(entry["event"]["step"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert!(done.values().all(|times| *times == 1), "{done:?}");
    // What the nodes say of it: the package changed once in this run, however often Ostler died.
    for node in ["ctl1", "ctl2", "ctl3"] {
        let installs = on(node, &format!("ls /var/lib/ostler/{run}/*-install-*/begun | wc -l"));
        assert_eq!(installs, "1", "{node}: installations that were begun");
    }
    ground.ostler(&["cloud", "check"]).expect(0);
}
