//! History counted by hand. Trials and sweeps are tried over the pretended cloud, in `sim`.

use super::*;
use ostler_model::Timestamp;
use ostler_model::canary::{CANARY_FORMAT, Came, Kind, Stage, Suite, Trial};

fn trial(stages: &[(&str, Came, u64)], ended: bool) -> Trial {
    let stages = stages.iter().map(|(name, came, took_ms)| Stage {
        name: (*name).to_owned(),
        came: *came,
        took_ms: *took_ms,
        what: String::new(),
    });
    Trial {
        format: CANARY_FORMAT,
        name: "t".into(),
        suite: Suite::Basic,
        host: None,
        began: Timestamp::UNIX_EPOCH,
        ended: ended.then_some(Timestamp::UNIX_EPOCH),
        stages: stages.collect(),
    }
}

#[test]
fn only_what_passed_has_a_time() {
    let mut trials: Vec<Trial> = (1..=100)
        .map(|ms| trial(&[("token", Came::Passed, ms), ("volume", Came::Skipped, 0)], true))
        .collect();
    trials.push(trial(&[("token", Came::Failed, 90_000)], false));
    let told = history(&trials);
    assert_eq!((told.trials, told.failed, told.broken_off), (101, 1, 1));
    let token = &told.stages[0];
    assert_eq!((token.passed, token.failed), (100, 1));
    assert_eq!(
        (token.min_ms, token.median_ms, token.p95_ms, token.max_ms),
        (Some(1), Some(50), Some(95), Some(100))
    );
    let volume = &told.stages[1];
    assert_eq!((volume.skipped, volume.median_ms), (100, None));
    assert_eq!(history(&[]), History::default());
}

#[test]
fn every_step_of_every_suite_comes_after_what_it_is_made_of() {
    for suite in [Suite::Basic, Suite::Network, Suite::Storage, Suite::Full] {
        let mut made: Vec<Kind> = Vec::new();
        for step in steps(suite) {
            for kind in step.made_of() {
                assert!(made.contains(kind), "{suite}: {} needs a {kind}", step.name());
            }
            if let Step::Make(kind) = step {
                made.push(kind);
            }
        }
    }
}

#[test]
fn what_hangs_on_another_thing_is_taken_away_first() {
    assert!(Kind::Server < Kind::Port && Kind::Port < Kind::Router);
    assert!(Kind::Router < Kind::Subnet && Kind::Subnet < Kind::Network && Kind::Server < Kind::Image);
}
