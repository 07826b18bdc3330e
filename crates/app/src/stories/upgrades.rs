//! Upgrades that go well, and the words and approvals on the way.
//!
//! Whoever has no word to say is never taken for one who said yes.

use super::*;
use crate::failure::{Exit, Kind};
use crate::going::{OnFailure, TakeBack, take_back, to_the_end};
use ostler_engine::plan::Choice;
use ostler_engine::run::RunState;
use ostler_model::event::Verdict;
use ostler_model::inventory::ServerAdmin;

#[test]
fn an_upgrade_and_its_way_back() {
    told(async {
        let story = Story::new();
        let run = story.begun(Some(Strategy::MinimalDowntime)).await;
        let exit = to_the_end(&story.context, &story.site, &run, true, OnFailure::Stop).await.unwrap();
        assert_eq!((exit, story.versions()), (Exit::Done, vec!["25.0.0".to_owned(); 3]));
        insta::assert_snapshot!("the_course_of_an_upgrade", take_told());
    });
}

#[test]
fn a_gate_waits_for_a_person_and_the_run_goes_on_from_there() {
    told(async {
        let story = Story::new();
        let run = story.begun(None).await;
        let failure =
            to_the_end(&story.context, &story.site, &run, false, OnFailure::Stop).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Waiting);
        insta::assert_snapshot!(failure.to_string().replace(run.as_str(), "[RUN]"), @r"
        error: run [RUN] waits before ctl1-contract: All nodes run 2024.1. After the contract only a restore leads back to 2023.1. Contract now?
        hint: go on: `ostler run approve [RUN] --resume`
        hint: take it back: `ostler run rollback [RUN]`
        ");
        let exit = to_the_end(&story.context, &story.site, &run, true, OnFailure::Stop).await.unwrap();
        assert_eq!(exit, Exit::Done);
        assert_eq!(story.cloud.outages(), 0);
    });
}

#[test]
fn a_run_that_is_taken_back_is_closed_by_the_one_that_did_it() {
    told(async {
        let story = Story::new();
        let run = story.begun(None).await;
        let _ = to_the_end(&story.context, &story.site, &run, false, OnFailure::Stop).await.unwrap_err();
        take_told();
        let how = TakeBack { choice: Choice::default(), yes: true, dry_run: false };
        let by = take_back(&story.context, &story.site, &run, how).await.unwrap().unwrap();
        assert_eq!(story.run(&run).await.state, RunState::Closed(Verdict::RolledBack { by: by.clone() }));
        assert_eq!(story.versions(), vec!["23.0.2".to_owned(); 3]);
        for host in ["ctl1", "ctl2", "ctl3"] {
            let node = story.cloud.node(host).unwrap();
            assert!(node.service && node.proxy.values().all(|admin| *admin == ServerAdmin::Ready), "{host}");
        }
        assert_eq!(story.cloud.outages(), 0);
    });
}

#[test]
fn a_preview_of_the_way_back_changes_nothing() {
    told(async {
        let story = Story::new();
        let run = story.begun(None).await;
        let _ = to_the_end(&story.context, &story.site, &run, false, OnFailure::Stop).await.unwrap_err();
        let (before, effects) = (story.run(&run).await.seq, story.cloud.effects().len());
        let how = TakeBack { choice: Choice::default(), yes: false, dry_run: true };
        assert_eq!(take_back(&story.context, &story.site, &run, how).await, Ok(None));
        assert_eq!((story.run(&run).await.seq, story.cloud.effects().len()), (before, effects));
    });
}

#[test]
fn expectations_are_learnt_from_earlier_runs() {
    told(async {
        let story = Story::new();
        let store = story.site.seams.store.as_ref();
        assert!(planning::estimates(store).await.unwrap().0.is_empty());
        let run = story.begun(None).await;
        to_the_end(&story.context, &story.site, &run, true, OnFailure::Stop).await.unwrap();
        let learnt = planning::estimates(store).await.unwrap().0;
        assert!(learnt.contains_key("install") && learnt.contains_key("schema"), "{learnt:?}");
    });
}
