//! Storms as a test: so many seeds, no rule broken, and the same story to the byte each time.

use ostler_sim::storm::{INVARIANTS, Story, storm, tell};

/// Stories of one run of the tests, in four shares.
const SEEDS: u64 = 2_400;

fn share(number: u64) {
    let each = SEEDS / 4;
    let report = storm(number * each..(number + 1) * each, 5);
    let told: Vec<String> = report
        .broken
        .iter()
        .map(|(seed, rule, what)| {
            format!("{rule}: {what}\n  tell it again: ostler bench storm --seed {seed}")
        })
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert_eq!(report.stories, each, "a seed tells no story");
    assert!(report.ends.len() >= 3, "too little happens: {:?}", report.ends);
}

#[test]
fn no_rule_is_broken_in_the_first_share() {
    share(0);
}

#[test]
fn no_rule_is_broken_in_the_second_share() {
    share(1);
}

#[test]
fn no_rule_is_broken_in_the_third_share() {
    share(2);
}

#[test]
fn no_rule_is_broken_in_the_fourth_share() {
    share(3);
}

#[test]
fn the_same_seed_tells_the_same_story_to_the_byte() {
    for seed in [1, 9, 25, 208, 734, 1137] {
        let story = Story::of(seed).unwrap();
        let (first, second) = (tell(&story, true), tell(&story, true));
        assert!(first.trace.len() > 50, "seed {seed}: nothing happens");
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

#[test]
fn every_kind_of_trouble_comes() {
    let report = storm(0..300, 5);
    let kinds: std::collections::BTreeSet<&str> = report.hits.keys().map(|(kind, _)| *kind).collect();
    let missing: Vec<_> =
        ostler_sim::rehearse::faults().into_iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty(), "never came: {missing:?}");
}

#[test]
fn rules_have_names_of_their_own() {
    let mut names: Vec<&str> = INVARIANTS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), INVARIANTS.len());
}
