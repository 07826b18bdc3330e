//! Commands that fail or hang, and nodes that die: what is up stays up, and the run says what a person must decide.

use crate::story::*;
use ostler_engine::run::Ended;
use ostler_model::event::Verdict;
use ostler_model::plan::Strategy;
use ostler_sim::cloud::Fault;
use ostler_sim::{MemoryStore, seams};
use std::sync::Arc;

fn with_fault(step: &str, fault: Fault, mend: impl FnOnce(&ostler_sim::SimCloud)) -> String {
    simulated(async {
        let cloud = cloud(3);
        cloud.order(step, fault);
        let store = Arc::new(MemoryStore::default());
        let seams = seams(&cloud, store, 7);
        let planned = plan(&cloud, &seams, Strategy::ZeroDowntime);
        let run = open(&seams, &planned.plan).await;
        let ended = drive(&seams, &run).await.unwrap();
        let Ended::Paused { why, .. } = ended else { panic!("{step}: {ended:?}") };
        assert_eq!(cloud.outages(), 0, "{step}: there was a time without a server");
        mend(&cloud);
        let ended = resume(&seams, &run).await.unwrap();
        assert_eq!(ended, Ended::Closed(Verdict::Finished), "{step}");
        assert_all(&cloud, NEW, NEW_HEADS, step);
        why.what
    })
}

#[test]
fn a_step_that_fails_too_often_pauses_the_run_and_a_resume_tries_again() {
    for step in ["ctl1-expand", "ctl2-install", "ctl3-start", "ctl1-contract", "ctl3-backup"] {
        let why = with_fault(step, Fault::Fails(2), |_| {});
        assert!(why.contains(step), "{why}");
    }
}

#[test]
fn a_step_that_fails_once_is_tried_again_by_itself() {
    simulated(async {
        let cloud = cloud(3);
        cloud.order("ctl1-expand", Fault::Fails(1));
        let seams = seams(&cloud, Arc::new(MemoryStore::default()), 7);
        let planned = plan(&cloud, &seams, Strategy::ZeroDowntime);
        let run = open(&seams, &planned.plan).await;
        assert_eq!(drive(&seams, &run).await.unwrap(), Ended::Closed(Verdict::Finished));
        assert_nothing_twice(&cloud, "one failure");
    });
}

#[test]
fn a_node_that_dies_while_it_changes_pauses_the_run_and_nobody_else_is_touched() {
    let back = |cloud: &ostler_sim::SimCloud| {
        cloud.change("ctl2", |node| {
            node.up = true;
            node.database = true;
        });
    };
    for step in ["ctl2-drain", "ctl2-stop", "ctl2-install", "ctl2-start", "ctl2-enable"] {
        let why = with_fault(step, Fault::PowerCut, |cloud| {
            // The schema was expanded while the node was there or not; it catches up when it is back.
            let heads = cloud.node("ctl1").unwrap().heads;
            back(cloud);
            cloud.change("ctl2", |node| {
                node.heads = heads;
                // systemd starts what was enabled.
                node.service = true;
            });
        });
        assert!(why.contains("ctl2"), "{why}");
    }
}

#[test]
fn a_command_that_hangs_is_ended_by_its_node_and_pauses_the_run() {
    simulated(async {
        let cloud = cloud(3);
        cloud.order("ctl1-expand", Fault::Hangs);
        let seams = seams(&cloud, Arc::new(MemoryStore::default()), 7);
        let planned = plan(&cloud, &seams, Strategy::ZeroDowntime);
        let run = open(&seams, &planned.plan).await;
        let Ended::Paused { why, .. } = drive(&seams, &run).await.unwrap() else { panic!("not paused") };
        assert!(why.what.starts_with("step ctl1-expand failed"), "{why}");
        assert_eq!(cloud.outages(), 0);
        assert_nothing_twice(&cloud, "hung");
    });
}
