//! Instance HA on the pretended cloud: storms, and one plain outage with a server killed, or stopped, at questions all
//! over its work.

use ostler_engine::ha::Method;
use ostler_model::ids::HostName;
use ostler_sim::outage::{Blow, RULES, Report, Server, Story, Strike, Trouble, storm, tell};

/// Stories of one run of the tests, in two shares.
const SEEDS: u64 = 240;

fn clean(report: &Report) {
    let told: Vec<String> =
        report.broken.iter().map(|(seed, rule, what)| format!("seed {seed}: {rule}: {what}")).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[test]
fn no_rule_is_broken_in_the_first_share() {
    clean(&storm(0..SEEDS / 2, 8));
}

#[test]
fn no_rule_is_broken_in_the_second_share() {
    let report = storm(SEEDS / 2..SEEDS, 8);
    clean(&report);
    assert!(
        report.ends.get("over").is_some_and(|count| *count > SEEDS / 4),
        "too little happens: {:?}",
        report.ends
    );
}

#[test]
fn the_same_seed_tells_the_same_story_to_the_byte() {
    for seed in [2, 11, 47] {
        let (first, second) = (tell(&Story::of(seed)), tell(&Story::of(seed)));
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

/// A host with instances dies, nothing else happens.
fn plain(method: Method) -> Story {
    Story {
        seed: 5,
        hosts: 3,
        reserved: 1,
        method,
        ram_gb: 256,
        troubles: vec![(60_000, Trouble::Dies(HostName::new("cmp1")))],
        servers: vec![Server::default()],
        all_silent: false,
    }
}

fn ends_well(story: &Story) {
    let told = tell(story);
    assert_eq!(told.breaches, [], "{story:?}\n{}", told.trace);
    assert_eq!(told.ends, ["over"], "{story:?}\n{}", told.trace);
}

#[test]
fn every_method_brings_everything_back() {
    for method in [Method::Auto, Method::ReservedHost, Method::AutoPriority, Method::RhPriority] {
        ends_well(&plain(method));
    }
}

/// Questions that a server asks from the death of a host until all is over, and a few more.
const QUESTIONS: std::ops::Range<u64> = 25..255;

/// The plain story, with a blow at each of these questions in steps to the first of so many servers.
fn struck(blow: Blow, servers: usize, step: usize) {
    for after in [false, true] {
        for at in QUESTIONS.skip(usize::from(after)).step_by(step) {
            let mut story = plain(Method::RhPriority);
            story.servers = vec![Server::default(); servers];
            story.servers[0].lives = vec![vec![Strike { at, after, blow }]];
            ends_well(&story);
        }
    }
}

#[test]
fn killed_anywhere_it_goes_on_when_it_is_started_again() {
    struck(Blow::Kill, 1, 2);
}

#[test]
fn killed_anywhere_the_other_one_goes_on() {
    struck(Blow::Kill, 2, 3);
}

#[test]
fn stopped_anywhere_the_other_one_goes_on_and_it_does_no_harm_when_it_wakes() {
    struck(Blow::Stop { ms: 25_000 }, 2, 3);
}

#[test]
fn an_outage_changes_hands_in_time_while_nova_answers_nobody() {
    // A server dies between the lease and its first run, and each look at Nova of the other one takes two seconds.
    assert_eq!(tell(&Story::of(1834)).breaches, []);
}

#[test]
fn an_instance_whose_new_host_fails_before_it_is_as_it_was_becomes_what_it_was_at_first() {
    // It was in error, runs after its move, and the host that runs it loses its power before it is stopped.
    assert_eq!(tell(&Story::of(6842)).breaches, []);
}

#[test]
fn who_waits_for_room_on_a_second_dead_host_is_its_owner_s() {
    // The only reserved host dies right after it took everything over, before all of it is stopped as it was.
    assert_eq!(tell(&Story::of(27_844)).breaches, []);
    assert_eq!(tell(&Story::of(27_451)).breaches, []);
}

#[test]
fn a_recovery_waits_for_a_new_host_that_is_dead_too_and_spends_no_rounds_on_it() {
    let told = tell(&Story::of(27_844));
    let runs = told.trace.lines().filter(|line| line.contains("Opened {")).count();
    assert!(runs <= 6, "{runs} runs\n{}", told.trace);
}

#[test]
fn a_lock_of_a_second_recovery_is_none_that_the_first_has_left_behind() {
    // Everything has come from one host to another, which dies as well; its moves are under way when the story ends.
    assert_eq!(tell(&Story::of(87_802)).breaches, []);
}

#[test]
fn an_intent_that_another_server_wrote_is_settled_and_not_begun_once_more() {
    // A server whose clock is ahead takes an outage over, and the one before it writes the same intent a moment earlier.
    assert_eq!(tell(&Story::of(20_931)).breaches, []);
}

#[test]
fn a_spare_that_fails_while_a_plan_for_it_waits_for_its_proof_stays_disabled() {
    // A controller loses its mains with its host, for sixteen minutes; meanwhile the reserved host of the plan dies.
    assert_eq!(tell(&Story::of(10_646)).breaches, []);
}

#[test]
fn a_server_that_stood_still_before_a_move_looks_at_the_power_anew() {
    // It is stopped for a minute between the guard and the request, and the host gets power meanwhile.
    assert_eq!(tell(&Story::of(1_463)).breaches, []);
}

#[test]
fn when_all_hosts_are_silent_nothing_is_fenced() {
    let cut = |name: &str| (60_000, Trouble::IsCut(HostName::new(name)));
    let troubles = ["cmp1", "cmp2", "cmp3", "spare1"].map(cut).to_vec();
    let told = tell(&Story { troubles, all_silent: true, ..plain(Method::Auto) });
    assert_eq!((told.breaches, told.ends), (Vec::new(), vec!["waits"; 4]));
}

#[test]
fn a_host_that_is_only_cut_off_is_fenced_before_anything_moves() {
    let troubles = vec![
        (60_000, Trouble::IsCut(HostName::new("cmp1"))),
        (400_000, Trouble::Rejoins(HostName::new("cmp1"))),
    ];
    ends_well(&Story { troubles, ..plain(Method::Auto) });
}

#[test]
fn rules_have_names_of_their_own() {
    let mut names: Vec<&str> = RULES.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
}
