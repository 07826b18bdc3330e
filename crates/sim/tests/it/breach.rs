//! What is checked after each change of an upgrade, and what a user does that is tried before and after it: a breach stops the
//! run with its evidence, before anything else is touched, and a resume checks again.

use crate::story::*;
use ostler_engine::run::Ended;
use ostler_engine::seam::Seams;
use ostler_model::canary::Kind;
use ostler_model::event::{Event, Verdict};
use ostler_model::function::LogError;
use ostler_model::ids::{RunId, StepId};
use ostler_model::plan::{PLAN_FORMAT_FOURTH, PLAN_FORMAT_THIRD, Strategy};
use ostler_model::step::Does;
use ostler_sim::cloud::Fault;
use ostler_sim::{MemoryStore, SimCloud, seams};
use std::sync::Arc;
use std::time::Duration;

fn error(nodes: &[&str], what: &str) -> LogError {
    LogError {
        nodes: nodes.iter().map(|node| (*node).into()).collect(),
        service: "keystone".into(),
        what: what.into(),
        count: 3,
    }
}

/// An upgrade of three controllers without an outage, opened.
struct Upgrade {
    cloud: Arc<SimCloud>,
    seams: Seams,
    run: RunId,
}

async fn upgrade() -> Upgrade {
    let cloud = cloud(3);
    let seams = seams(&cloud, Arc::new(MemoryStore::default()), 7);
    let planned = checked(&cloud, &seams, Strategy::ZeroDowntime);
    let run = open(&seams, &planned.plan).await;
    Upgrade { cloud, seams, run }
}

/// Drives, and does something to the cloud as soon as the check of the first node has begun.
async fn driven(upgrade: &Upgrade, does: impl FnOnce(&SimCloud)) -> Ended {
    driven_to(upgrade, "ctl1-function-check", does).await
}

/// The same with another step.
async fn driven_to(
    Upgrade { cloud, seams, run }: &Upgrade,
    step: &str,
    does: impl FnOnce(&SimCloud),
) -> Ended {
    let step = StepId::new(step);
    let meddle = async {
        loop {
            let entries = seams.store.entries(run, 0).await.unwrap();
            let is_it =
                |event: &Event| matches!(event, Event::Intended { step: begun, .. } if *begun == step);
            if entries.iter().any(|entry| is_it(&entry.event)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        does(cloud);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = drive(seams, run) => ended.unwrap(),
        () = meddle => unreachable!("it never ends"),
    }
}

#[test]
fn a_new_error_in_the_logs_stops_the_run_before_the_next_node() {
    simulated(async {
        let Upgrade { cloud, seams, run } = upgrade().await;
        cloud.log_error(error(&["ctl1"], "NoSuchTableError: no such table: nonlocal_user"));
        let Ended::Paused { why, .. } = drive(&seams, &run).await.unwrap() else { panic!("not paused") };
        for told in ["ctl1-function-check", "no such table: nonlocal_user", "logs of ctl1, 3 times"] {
            assert!(why.what.contains(told), "{why}");
        }
        assert_eq!(cloud.node("ctl1").unwrap().version, NEW);
        assert_eq!(cloud.node("ctl2").unwrap().version, OLD, "the next node was touched");
        assert_eq!(cloud.outages(), 0);
        cloud.forget_errors();
        assert_eq!(resume(&seams, &run).await.unwrap(), Ended::Closed(Verdict::Finished));
        assert_all(&cloud, NEW, NEW_HEADS, "after the breach");
    });
}

#[test]
fn what_a_breach_has_shown_does_not_count_again_once_a_person_says_go_on() {
    simulated(async {
        let upgrade = upgrade().await;
        let clock = upgrade.seams.clock.clone();
        let ended = driven(&upgrade, |cloud| {
            cloud.log_error_at(clock.now(), error(&["ctl1"], "OSError: the disk had a moment"));
        })
        .await;
        let Ended::Paused { why, .. } = ended else { panic!("{ended:?}") };
        assert!(why.what.contains("the disk had a moment"), "{why}");
        assert_eq!(resume(&upgrade.seams, &upgrade.run).await.unwrap(), Ended::Closed(Verdict::Finished));
    });
}

#[test]
fn what_a_failed_step_has_logged_does_not_count_once_a_person_says_go_on() {
    simulated(async {
        let Upgrade { cloud, seams, run } = upgrade().await;
        cloud.order("ctl1-expand", Fault::Fails(2));
        let Ended::Paused { why, .. } = drive(&seams, &run).await.unwrap() else { panic!("not paused") };
        assert!(why.what.contains("ctl1-expand"), "{why}");
        let now = seams.clock.now();
        cloud.log_error_at(now, error(&["ctl1"], "ALTER command denied to user keystone"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(resume(&seams, &run).await.unwrap(), Ended::Closed(Verdict::Finished));
    });
}

#[test]
fn what_was_logged_before_a_driver_died_counts_when_another_goes_on() {
    simulated(async {
        let upgrade = upgrade().await;
        let Upgrade { cloud, seams, run } = &upgrade;
        let until = async {
            loop {
                let entries = seams.store.entries(run, 0).await.unwrap();
                let started = |event: &Event| matches!(event, Event::Proved { step, .. } if step.as_str() == "ctl1-start");
                if entries.iter().any(|entry| started(&entry.event)) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            ended = drive(seams, run) => panic!("{ended:?}"),
            () = until => {}
        }
        cloud.log_error_at(seams.clock.now(), error(&["ctl1"], "NoSuchTableError: no such table"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Ended::Paused { why, .. } = resume(seams, run).await.unwrap() else { panic!("not paused") };
        assert!(why.what.contains("no such table"), "{why}");
    });
}

#[test]
fn an_error_that_the_catalogue_allows_stops_nothing_and_is_told() {
    simulated(async {
        let Upgrade { cloud, seams, run } = upgrade().await;
        cloud.log_error(error(&["ctl1"], "DBConnectionError: Lost connection to MySQL server"));
        assert_eq!(drive(&seams, &run).await.unwrap(), Ended::Closed(Verdict::Finished));
        let entries = seams.store.entries(&run, 0).await.unwrap();
        let text = serde_json::to_string(&entries).unwrap();
        assert!(text.contains("allowed errors"), "what was allowed is not in the journal");
    });
}

#[test]
fn a_server_that_does_not_answer_stops_the_run_and_is_named() {
    simulated(async {
        let upgrade = upgrade().await;
        let Upgrade { cloud, seams, run } = &upgrade;
        let ended = driven(&upgrade, |cloud| {
            cloud.change("ctl3", |node| node.service = false);
        })
        .await;
        let Ended::Paused { why, .. } = ended else { panic!("{ended:?}") };
        assert!(why.what.contains("ctl3: ") && why.what.contains("of 3 rounds were good"), "{why}");
        assert!(!why.what.contains("ctl2: "), "{why}");
        assert_eq!(cloud.node("ctl2").unwrap().version, OLD, "the next node was touched");
        cloud.change("ctl3", |node| node.service = true);
        assert_eq!(resume(seams, run).await.unwrap(), Ended::Closed(Verdict::Finished));
    });
}

#[test]
fn logs_that_cannot_be_read_are_a_breach() {
    simulated(async {
        let upgrade = upgrade().await;
        let ended = driven(&upgrade, |cloud| {
            cloud.change("ctl3", |node| node.link = ostler_sim::cloud::Link::Cut);
        })
        .await;
        let Ended::Paused { why, .. } = ended else { panic!("{ended:?}") };
        assert!(why.what.contains("the logs could not be read: ctl3"), "{why}");
    });
}

#[test]
fn every_strategy_checks_what_it_changed_and_says_so_by_the_plan_s_format() {
    simulated(async {
        let cloud = cloud(3);
        let seams = seams(&cloud, Arc::new(MemoryStore::default()), 7);
        for (strategy, checks) in
            [(Strategy::ZeroDowntime, 3), (Strategy::MinimalDowntime, 3), (Strategy::Offline, 1)]
        {
            let plan = checked(&cloud, &seams, strategy).plan;
            let steps = plan.body.steps.iter();
            let found = steps.filter(|step| matches!(step.does, Does::FunctionCheck { .. })).count();
            assert_eq!((found, plan.body.format), (checks, PLAN_FORMAT_THIRD), "{strategy}");
        }
    });
}

/// The same upgrade with a canary, in a cloud that has images.
async fn tried_upgrade() -> Upgrade {
    let cloud = cloud(3);
    cloud.offer(&["image"]);
    let seams = seams(&cloud, Arc::new(MemoryStore::default()), 7);
    let planned = tried(&cloud, &seams, Strategy::ZeroDowntime);
    let run = open(&seams, &planned.plan).await;
    Upgrade { cloud, seams, run }
}

#[test]
fn a_canary_that_fails_before_the_first_change_changes_nothing() {
    simulated(async {
        let Upgrade { cloud, seams, run } = tried_upgrade().await;
        cloud.refuse(&[Kind::Image], &[]);
        let Ended::Paused { why, .. } = drive(&seams, &run).await.unwrap() else { panic!("not paused") };
        for told in ["canary-before", "what a user does failed: image: no image can be made"] {
            assert!(why.what.contains(told), "{why}");
        }
        assert!(why.hint.as_deref().is_some_and(|hint| hint.contains("canary run --suite basic")), "{why}");
        assert_all(&cloud, OLD, OLD_HEADS, "after the breach");
        cloud.refuse(&[], &[]);
        assert_eq!(resume(&seams, &run).await.unwrap(), Ended::Closed(Verdict::Finished));
        assert_all(&cloud, NEW, NEW_HEADS, "after the breach was mended");
        assert_eq!(cloud.things(), Vec::<String>::new(), "something was left behind");
    });
}

#[test]
fn a_canary_that_fails_after_the_change_stops_the_run_before_what_is_final() {
    simulated(async {
        let upgrade = tried_upgrade().await;
        let ended = driven_to(&upgrade, "soak", |cloud| cloud.refuse(&[Kind::Image], &[])).await;
        let Ended::Paused { why, .. } = ended else { panic!("{ended:?}") };
        assert!(why.what.contains("step canary failed"), "{why}");
        let heads = upgrade.cloud.node("ctl1").unwrap().heads;
        assert_ne!(heads, NEW_HEADS, "the contract ran");
    });
}

#[test]
fn a_canary_in_a_cloud_in_which_nothing_can_be_tried_is_a_breach() {
    simulated(async {
        let Upgrade { cloud, seams, run } = tried_upgrade().await;
        cloud.offer_only(&["metric"]);
        let Ended::Paused { why, .. } = drive(&seams, &run).await.unwrap() else { panic!("not paused") };
        assert!(why.what.contains("nothing that a user does could be tried"), "{why}");
    });
}

#[test]
fn killed_in_mid_canary_its_things_are_taken_away_by_who_goes_on() {
    simulated(async {
        let mut left_behind = 0;
        for ms in (0..400).step_by(10) {
            let Upgrade { cloud, seams, run } = tried_upgrade().await;
            if tokio::time::timeout(Duration::from_millis(ms), drive(&seams, &run)).await.is_err() {
                left_behind = cloud.things().len().max(left_behind);
            }
            assert_eq!(resume(&seams, &run).await.unwrap(), Ended::Closed(Verdict::Finished), "{ms} ms");
            assert_eq!(cloud.things(), Vec::<String>::new(), "killed after {ms} ms");
        }
        assert_eq!(left_behind, 1, "no kill met a canary that had made something");
    });
}

#[test]
fn every_strategy_tries_what_a_user_does_before_and_after_it_changes_anything() {
    simulated(async {
        let cloud = cloud(3);
        let seams = seams(&cloud, Arc::new(MemoryStore::default()), 7);
        for strategy in Strategy::ALL {
            let plan = tried(&cloud, &seams, strategy).plan;
            let steps = plan.body.steps.iter().filter(|step| matches!(step.does, Does::Canary { .. }));
            let found: Vec<&str> = steps.map(|step| step.id.as_str()).collect();
            assert_eq!(
                (found, plan.body.format),
                (vec!["canary-before", "canary"], PLAN_FORMAT_FOURTH),
                "{strategy}"
            );
        }
    });
}
