//! For every plan kind, generated: each step fails, is not heard of, breaks off or hangs, once; and the run still ends
//! where it should.

use crate::story::*;
use ostler_engine::plan::{Choice, Estimates, Scene, rollback};
use ostler_engine::run::{self, Ended, RunState};
use ostler_engine::seam::Seams;
use ostler_model::event::{Event, Verdict};
use ostler_model::ids::{RunId, StepId};
use ostler_model::plan::Strategy;
use ostler_sim::cloud::Fault;
use ostler_sim::{MemoryStore, SimCloud, seams};
use std::sync::Arc;

/// How often a person resumes a run before the test calls it stuck.
const RESUMES_MAX: usize = 6;

/// A person comes, finishes what broke off in the middle, and resumes; until the run is over.
async fn to_the_end(cloud: &SimCloud, seams: &Seams, run: &RunId, after: &[String], story: &str) {
    let mut ended = drive(seams, run).await.unwrap();
    for _ in 0..RESUMES_MAX {
        match ended {
            Ended::Closed(Verdict::Finished) => return,
            Ended::Paused { .. } => {
                for host in cloud.declared.nodes.keys() {
                    cloud.give_power(host, seams.clock.now());
                    cloud.change(host.as_str(), |node| node.settled = true);
                }
                cloud.finish_schema(after);
                seams.clock.sleep(30_000).await;
                ended = resume(seams, run).await.unwrap();
            }
            other => panic!("{story}: {other:?}"),
        }
    }
    panic!("{story}: after {RESUMES_MAX} resumes it is {:?}", load(seams, run).await.state);
}

fn steps_of(strategy: Strategy) -> Vec<StepId> {
    simulated(async {
        let cloud = cloud(3);
        let seams = seams(&cloud, Arc::new(MemoryStore::default()), 1);
        plan(&cloud, &seams, strategy).plan.body.steps.iter().map(|step| step.id.clone()).collect()
    })
}

fn each_step(strategy: Strategy, fault: &Fault) {
    for step in steps_of(strategy) {
        simulated(async {
            let story = format!("{strategy}, {step} {fault:?}");
            let cloud = cloud(3);
            cloud.order(step.as_str(), fault.clone());
            let seams = seams(&cloud, Arc::new(MemoryStore::default()), 1);
            let planned = plan(&cloud, &seams, strategy);
            let run = open(&seams, &planned.plan).await;
            let after: Vec<String> = NEW_HEADS.iter().map(ToString::to_string).collect();
            to_the_end(&cloud, &seams, &run, &after, &story).await;
            assert_all(&cloud, NEW, NEW_HEADS, &story);
            if strategy == Strategy::ZeroDowntime {
                assert_eq!(cloud.outages(), 0, "{story}: there was a time without a server");
            }
        });
    }
}

fn all_strategies(fault: &Fault) {
    for strategy in Strategy::ALL {
        each_step(strategy, fault);
    }
}

#[test]
fn each_step_of_each_plan_fails_once_and_is_tried_again() {
    all_strategies(&Fault::Fails(1));
}

#[test]
fn each_step_of_each_plan_fails_until_a_person_comes() {
    all_strategies(&Fault::Fails(2));
}

#[test]
fn each_step_of_each_plan_is_done_and_not_heard_of() {
    all_strategies(&Fault::Silent);
}

/// The plan of a way back, from a run that a person stopped after so many entries.
async fn way_back(cloud: &SimCloud, seams: &Seams, run: &RunId) -> RunId {
    let seen = look(cloud, seams);
    let estimates = Estimates::default();
    let scene = Scene { cloud: &cloud.declared, catalogue: &CATALOGUE, seen: &seen, estimates: &estimates };
    let choice = Choice { way: None, accept_loss: true };
    let planned = rollback(&load(seams, run).await, &choice, &scene).unwrap();
    open(seams, &planned.plan).await
}

/// A finished upgrade; its way back is killed at this append. False: it ended before.
async fn back_and_killed(strategy: Strategy, at: i64, dies: Dies) -> bool {
    let story = format!("back from {strategy}, killed {dies:?} append {at}");
    let cloud = cloud(3);
    let store = Arc::new(MemoryStore::default());
    let seams = seams(&cloud, store.clone(), 1);
    let planned = plan(&cloud, &seams, strategy);
    let run = open(&seams, &planned.plan).await;
    assert_eq!(drive(&seams, &run).await.unwrap(), Ended::Closed(Verdict::Finished), "{story}");
    let back = way_back(&cloud, &seams, &run).await;
    let was_killed = drive_and_die(&seams, &store, &back, at, dies).await.is_none();
    if was_killed && !matches!(load(&seams, &back).await.state, RunState::Closed(_)) {
        assert_eq!(resume(&seams, &back).await.unwrap(), Ended::Closed(Verdict::Finished), "{story}");
    }
    let verdict = Verdict::RolledBack { by: back };
    run::command(seams.store.as_ref(), seams.clock.as_ref(), &run, Event::Closed { verdict }).await.unwrap();
    assert_all(&cloud, OLD, OLD_HEADS, &story);
    assert_nothing_twice(&cloud, &story);
    was_killed
}

#[test]
fn a_way_back_survives_a_kill_at_every_entry() {
    for strategy in Strategy::ALL {
        for dies in [Dies::Before, Dies::After] {
            let mut at = 0;
            while simulated(back_and_killed(strategy, at, dies)) {
                at += 1;
            }
            assert!(at > 30, "{strategy}: only {at} appends");
        }
    }
}
