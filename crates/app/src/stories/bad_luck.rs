//! Steps that fail, clouds that change meanwhile, and runs that stand in the way.
//!
//! In each: what is up stays up, and what is said names a way out.

use super::*;
use crate::failure::Kind;
use crate::going::{OnFailure, TakeBack, take_back, to_the_end};
use ostler_engine::plan::Choice;
use ostler_engine::run::RunState;
use ostler_model::event::Verdict;
use ostler_sim::cloud::Fault;

async fn fails(story: &Story, step: &str, on_failure: OnFailure) -> (RunId, Failure) {
    story.cloud.order(step, Fault::Fails(2));
    let run = story.begun(None).await;
    let failure = to_the_end(&story.context, &story.site, &run, true, on_failure).await.unwrap_err();
    (run, failure)
}

/// What is said, without the run's name and how far it was.
fn said(failure: &Failure, run: &RunId) -> String {
    let text = failure.to_string().replace(run.as_str(), "[RUN]");
    let without_count = |line: &str| match line.contains(" steps ") {
        true => line.replace(|c: char| c.is_ascii_digit(), "N"),
        false => line.to_owned(),
    };
    text.split_inclusive('\n').map(without_count).collect()
}

#[test]
fn a_step_that_fails_leaves_a_run_to_resume_or_to_take_back() {
    told(async {
        let story = Story::new();
        let (run, failure) = fails(&story, "ctl2-install", OnFailure::Stop).await;
        assert_eq!(failure.kind, Kind::Resumable);
        insta::assert_snapshot!(said(&failure, &run), @r"
        error: run [RUN] is paused: step ctl2-install failed: install ended with exit code 1
          NN of NN steps are done; what serves goes on serving
        hint: go on, once that is mended: `ostler run resume [RUN]`
        hint: take it back: `ostler run rollback [RUN]`
        hint: see its course: `ostler run show [RUN]`
        ");
        running::resume(&story.context, &story.site, &run).await.unwrap();
        to_the_end(&story.context, &story.site, &run, true, OnFailure::Stop).await.unwrap();
        assert_eq!(story.versions(), vec!["25.0.0".to_owned(); 3]);
    });
}

#[test]
fn a_step_that_fails_is_taken_back_where_that_was_ordered() {
    told(async {
        let story = Story::new();
        let (run, failure) = fails(&story, "ctl2-install", OnFailure::Rollback).await;
        assert_eq!(failure.kind, Kind::RolledBack);
        assert!(matches!(story.run(&run).await.state, RunState::Closed(Verdict::RolledBack { .. })));
        assert_eq!((story.versions(), story.cloud.outages()), (vec!["23.0.2".to_owned(); 3], 0));
    });
}

#[test]
fn a_failure_that_changed_nothing_is_no_reason_to_take_anything_back() {
    told(async {
        let story = Story::new();
        let (run, failure) = fails(&story, "ctl3-backup", OnFailure::Rollback).await;
        assert_eq!(failure.kind, Kind::RolledBack);
        assert_eq!(story.run(&run).await.state, RunState::Closed(Verdict::Abandoned));
        running::no_other(&story.site, &[], None).await.unwrap();
    });
}

#[test]
fn a_preflight_that_fails_closes_its_run() {
    told(async {
        let story = Story::new();
        let run = story.begun(None).await;
        story.cloud.change("ctl2", |node| node.service = false);
        let failure = to_the_end(&story.context, &story.site, &run, true, OnFailure::Stop).await.unwrap_err();
        insta::assert_snapshot!(said(&failure, &run), @r"
        error: refused by preflight: a unit does not run (ctl2: keystone.service is inactive); not every server of keystone takes requests (ctl1: ctl2 is down; ctl2: ctl2 is down; ctl3: ctl2 is down)
          nothing was changed; the run is closed
        hint: look at `systemctl status` and the unit's journal on the node
        hint: mend that, then plan again; `ostler cloud check` looks at the same things
        ");
        assert_eq!(story.run(&run).await.state, RunState::Closed(Verdict::Abandoned));
        assert!(story.cloud.effects().is_empty());
    });
}

#[test]
fn an_unfinished_run_stands_in_the_way_of_another() {
    told(async {
        let story = Story::new();
        let (run, _) = fails(&story, "ctl2-install", OnFailure::Stop).await;
        let failure = running::no_other(&story.site, &[], None).await.unwrap_err();
        insta::assert_snapshot!(said(&failure, &run), @r"
        error: refused by unfinished-run: run [RUN] (upgrade keystone 2023.1 -> 2024.1, zero-downtime) is not finished
          it is paused, NN of NN steps done
        hint: go on with it: `ostler run resume [RUN]`
        hint: take it back: `ostler run rollback [RUN]`
        hint: or leave things as they are: `ostler run abort [RUN] --because TEXT`
        ");
        running::no_other(&story.site, &[&run], None).await.unwrap();
    });
}

#[test]
fn a_plan_that_another_run_has_overtaken_needs_a_new_approval() {
    told(async {
        let story = Story::new();
        let old = story.offer(None).await.unwrap();
        story.site.seams.clock.sleep(1_000).await;
        let run = story.begun(None).await;
        to_the_end(&story.context, &story.site, &run, true, OnFailure::Stop).await.unwrap();
        let failure = running::begin(&story.context, &story.site, &old).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Waiting);
        insta::assert_snapshot!(said(&failure, &run), @r"
        error: run [RUN] changed the cloud after this plan was made; nothing was changed
        hint: plan again
        ");
    });
}

#[test]
fn a_plan_made_too_long_ago_needs_a_new_look() {
    told(async {
        let story = Story::new();
        let offer = story.offer(None).await.unwrap();
        story.site.seams.clock.sleep(2 * 3_600_000).await;
        let failure = running::begin(&story.context, &story.site, &offer).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Waiting);
    });
}

#[test]
fn a_plan_is_kept_by_its_hash_and_planned_anew_when_the_cloud_has_changed() {
    told(async {
        let story = Story::new();
        let made = story.offer(None).await.unwrap().plan;
        let kept = planning::kept(story.site.seams.store.as_ref(), made.id.short()).await.unwrap();
        assert_eq!(kept, made);
        let Ok(same) = planning::again(&story.site, kept.clone()).await.unwrap() else {
            panic!("it has changed")
        };
        assert_eq!(same.plan.id, made.id);
        story.cloud.change("ctl2", |node| node.config = "changed by hand".into());
        let Err(other) = planning::again(&story.site, kept).await.unwrap() else { panic!("it is the same") };
        assert_ne!(other.plan.id, made.id);
        assert_eq!(
            ostler_engine::plan::differences(&made, &other.plan).first().map(String::as_str),
            Some(
                "! /etc/keystone/keystone.conf is not the same on all nodes: each node keeps its own, and the package's version is not taken"
            )
        );
    });
}

#[test]
fn a_run_that_was_killed_is_settled_before_it_is_taken_back() {
    told(async {
        let story = Story::new();
        let run = story.begun(None).await;
        // Killed: the future is dropped while steps are under way.
        let going = to_the_end(&story.context, &story.site, &run, true, OnFailure::Stop);
        let _ = tokio::time::timeout(std::time::Duration::from_secs(20), going).await.unwrap_err();
        assert!(!story.run(&run).await.doing.is_empty());
        let how = TakeBack { choice: Choice::default(), yes: true, dry_run: false };
        take_back(&story.context, &story.site, &run, how).await.unwrap();
        assert!(matches!(story.run(&run).await.state, RunState::Closed(Verdict::RolledBack { .. })));
        assert_eq!((story.versions(), story.cloud.outages()), (vec!["23.0.2".to_owned(); 3], 0));
    });
}

#[test]
fn a_way_back_that_loses_data_needs_a_word() {
    told(async {
        let story = Story::new();
        let run = story.begun(None).await;
        to_the_end(&story.context, &story.site, &run, true, OnFailure::Stop).await.unwrap();
        let how = TakeBack { choice: Choice::default(), yes: true, dry_run: false };
        let failure = take_back(&story.context, &story.site, &run, how).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused("data-loss".into()));
        insta::assert_snapshot!(said(&failure, &run), @r"
        error: refused by data-loss: rolling back by restoring the backup loses data: what was written to keystone since the run's backup is lost; the writes of other services stay
        hint: stay where you are: the run is over; back all the same: `ostler run rollback [RUN] --accept-loss`
        ");
    });
}
