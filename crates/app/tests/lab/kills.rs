//! Ostler is killed with SIGKILL after every single entry of its journal, resumed each time, and finishes.

use crate::ground::*;
use std::collections::BTreeMap;

/// More kills than the plan has entries.
const KILLS_MAX: usize = 400;

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn b1_killed_after_every_entry_it_finishes_and_does_nothing_twice() {
    let ground = ready("2023.1", "");
    let upgrade = ["upgrade", "run", "--only", "keystone", "--to", "2024.1", "--strategy", "zero-downtime", "--yes"];
    let load = Load::start();
    let is_entry = |entry: &serde_json::Value| entry["seq"].is_u64();
    assert!(ground.kill_when(&upgrade, is_entry), "the upgrade wrote no entry");
    let mut kills = 1;
    loop {
        // Resuming writes an entry of its own; the kill comes after the next one that the driver writes.
        let seen_before = ground.journal().len() as u64;
        let further = |entry: &serde_json::Value| {
            entry["seq"].as_u64().is_some_and(|seq| seq >= seen_before) && entry["event"]["event"] != "resumed"
        };
        if !ground.kill_when(&["run", "resume", "last", "--yes"], further) {
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
    assert!(kills > 60, "only {kills} kills for {} entries", journal.len());
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &journal {
        if entry["event"]["event"] == "proved" && entry["event"]["outcome"]["outcome"] == "done" {
            *done.entry(entry["event"]["step"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert!(done.values().all(|times| *times == 1), "{done:?}");
    // What the nodes say of it: the package changed once in this run, however often Ostler died.
    for node in ["ctl1", "ctl2", "ctl3"] {
        let installs = on(node, &format!("ls /var/lib/ostler/{run}/ | grep -c -- '-install-' || true"));
        assert_eq!(installs, "1", "{node}: attempts to install");
    }
    ground.ostler(&["cloud", "check"]).expect(0);
}
