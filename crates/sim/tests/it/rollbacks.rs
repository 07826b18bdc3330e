//! The ways back, from every place where a run can stand.

use crate::story::*;
use ostler_engine::plan::{Choice, Estimates, Planned, Refused, RefusedKind, Scene, lint, rollback};
use ostler_engine::run::{Ended, RunState};
use ostler_engine::seam::Seams;
use ostler_model::event::{Actor, Event, Verdict, Why};
use ostler_model::ids::RunId;
use ostler_model::plan::{RollbackWay, Strategy};
use ostler_sim::{MemoryStore, SimCloud, seams};
use std::sync::Arc;

const EXPANDED: &[&str] = &["47147121", "e25ffa003242"];

async fn way_back(cloud: &SimCloud, seams: &Seams, run: &RunId, choice: Choice) -> Result<Planned, Refused> {
    let seen = look(cloud, seams);
    let estimates = Estimates::default();
    let scene = Scene { cloud: &cloud.declared, catalogue: &CATALOGUE, seen: &seen, estimates: &estimates };
    rollback(&load(seams, run).await, &choice, &scene)
}

/// Stops a run after some appends and settles what is in doubt.
async fn stopped_after(cloud: &Arc<SimCloud>, strategy: Strategy, n: i64) -> (Seams, RunId, bool) {
    let store = Arc::new(MemoryStore::default());
    let seams = seams(cloud, store.clone(), n as u64);
    let planned = plan(cloud, &seams, strategy);
    let run = open(&seams, &planned.plan).await;
    let ended = drive_and_die(&seams, &store, &run, n, Dies::After).await;
    let finished = ended.is_some() || matches!(load(&seams, &run).await.state, RunState::Closed(_));
    if !finished {
        let who = Actor::Person("tester".into());
        let event = Event::Paused { who, why: Why::new("take it back") };
        ostler_engine::run::command(seams.store.as_ref(), seams.clock.as_ref(), &run, event).await.unwrap();
        assert!(matches!(drive(&seams, &run).await.unwrap(), Ended::Paused { .. }));
    }
    (seams, run, finished)
}

fn back_from_every_place(strategy: Strategy, way: Option<RollbackWay>) -> usize {
    let mut taken_back = 0;
    for n in 0.. {
        let finished = simulated(async {
            let story = format!("{strategy}, back by {way:?} after append {n}");
            let cloud = cloud(3);
            let (seams, run, finished) = stopped_after(&cloud, strategy, n).await;
            let choice = Choice { way, accept_loss: true };
            let planned = match way_back(&cloud, &seams, &run, choice).await {
                Ok(planned) => planned,
                // Nothing was touched yet, or this way is not (or no longer) there.
                Err(refused) => {
                    let expected =
                        matches!(refused.kind, RefusedKind::Nothing | RefusedKind::Guard("way-possible"));
                    assert!(expected, "{story}: {refused}");
                    return finished;
                }
            };
            assert_eq!(lint(&planned.plan), [], "{story}");
            let back = open(&seams, &planned.plan).await;
            let ended = drive(&seams, &back).await.unwrap();
            if ended != Ended::Closed(Verdict::Finished) {
                let run = load(&seams, &run).await;
                let did = run
                    .plan
                    .body
                    .steps
                    .iter()
                    .zip(&run.steps)
                    .map(|(s, t)| format!("{} {:?} {}", s.id, t.status, t.attempt));
                panic!(
                    "{story}: {ended:?}\n{:#?}\n{:#?}",
                    did.collect::<Vec<_>>(),
                    planned.plan.body.steps.iter().map(|s| s.id.to_string()).collect::<Vec<_>>()
                );
            }
            let heads = cloud.node("ctl1").unwrap().heads;
            let is_old = heads == OLD_HEADS || heads == EXPANDED;
            assert!(is_old, "{story}: {heads:?}");
            let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
            assert_all(&cloud, OLD, &heads, &story);
            taken_back += 1;
            finished
        });
        if finished {
            return taken_back;
        }
    }
    taken_back
}

#[test]
fn zero_downtime_is_taken_back_from_every_place() {
    assert!(back_from_every_place(Strategy::ZeroDowntime, None) > 40);
}

#[test]
fn minimal_downtime_is_taken_back_from_every_place() {
    assert!(back_from_every_place(Strategy::MinimalDowntime, None) > 40);
}

#[test]
fn minimal_downtime_is_taken_back_from_the_isolated_node_by_one_database() {
    assert!(back_from_every_place(Strategy::MinimalDowntime, Some(RollbackWay::IsolatedSchema)) > 20);
}

#[test]
fn minimal_downtime_is_taken_back_from_the_isolated_node_as_a_cluster() {
    assert!(back_from_every_place(Strategy::MinimalDowntime, Some(RollbackWay::IsolatedCluster)) > 20);
}

#[test]
fn offline_is_taken_back_from_every_place() {
    assert!(back_from_every_place(Strategy::Offline, None) > 40);
}

#[test]
fn after_the_contract_only_a_restore_is_offered_and_its_loss_must_be_accepted() {
    simulated(async {
        let cloud = cloud(3);
        let (seams, run, finished) = stopped_after(&cloud, Strategy::ZeroDowntime, 10_000).await;
        assert!(finished);
        let refused = way_back(&cloud, &seams, &run, Choice::default()).await.unwrap_err();
        assert_eq!(refused.kind, RefusedKind::Guard("data-loss"));
        let choice = Choice { way: None, accept_loss: true };
        let planned = way_back(&cloud, &seams, &run, choice).await.unwrap();
        let back = open(&seams, &planned.plan).await;
        assert_eq!(drive(&seams, &back).await.unwrap(), Ended::Closed(Verdict::Finished));
        assert_all(&cloud, OLD, OLD_HEADS, "restored");
    });
}

#[test]
fn a_way_back_before_the_contract_has_no_outage() {
    simulated(async {
        let cloud = cloud(3);
        let (seams, run, _) = stopped_after(&cloud, Strategy::ZeroDowntime, 60).await;
        let planned = way_back(&cloud, &seams, &run, Choice::default()).await.unwrap();
        let back = open(&seams, &planned.plan).await;
        drive(&seams, &back).await.unwrap();
        assert_eq!(cloud.outages(), 0);
    });
}
