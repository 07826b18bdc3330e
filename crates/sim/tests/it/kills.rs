//! A driver that dies at each entry of its journal, before and after the entry is durable, and the next one.

use crate::story::*;
use ostler_engine::run::Ended;
use ostler_model::event::Verdict;
use ostler_model::plan::Strategy;
use ostler_sim::{MemoryStore, seams};
use std::sync::Arc;

/// More appends than any of these plans needs.
const APPENDS_MAX: i64 = 400;

/// Answers how many appends an undisturbed run needs.
fn killed_at_every_entry(strategy: Strategy) -> i64 {
    let mut appends = 0;
    for dies in [Dies::Before, Dies::After] {
        appends = 0;
        for n in 0.. {
            assert!(n < APPENDS_MAX, "{strategy}: more than {APPENDS_MAX} appends");
            let story = format!("{strategy}, killed {dies:?} append {n}");
            let ended_before = simulated(async {
                let cloud = cloud(3);
                let store = Arc::new(MemoryStore::default());
                let seams = seams(&cloud, store.clone(), n as u64);
                let planned = plan(&cloud, &seams, strategy);
                let run = open(&seams, &planned.plan).await;
                let ended = drive_and_die(&seams, &store, &run, n, dies).await;
                let was_killed = ended.is_none();
                let ended = match ended {
                    Some(ended) => ended,
                    None => resume_or_done(&seams, &run).await,
                };
                assert_eq!(ended, Ended::Closed(Verdict::Finished), "{story}");
                assert_all(&cloud, NEW, NEW_HEADS, &story);
                assert_nothing_twice(&cloud, &story);
                if strategy == Strategy::ZeroDowntime {
                    assert_eq!(cloud.outages(), 0, "{story}: there was a time without a server");
                }
                !was_killed
            });
            if ended_before {
                appends = n;
                break;
            }
        }
    }
    appends
}

/// A run whose last entry was durable when its driver died is over; every other one is resumed.
async fn resume_or_done(seams: &ostler_engine::seam::Seams, run: &ostler_model::ids::RunId) -> Ended {
    match load(seams, run).await.state {
        ostler_engine::run::RunState::Closed(verdict) => Ended::Closed(verdict),
        _ => resume(seams, run).await.unwrap(),
    }
}

#[test]
fn zero_downtime_survives_a_kill_at_every_entry() {
    assert!(killed_at_every_entry(Strategy::ZeroDowntime) > 60);
}

#[test]
fn minimal_downtime_survives_a_kill_at_every_entry() {
    assert!(killed_at_every_entry(Strategy::MinimalDowntime) > 60);
}

#[test]
fn offline_survives_a_kill_at_every_entry() {
    assert!(killed_at_every_entry(Strategy::Offline) > 60);
}

#[test]
fn a_driver_killed_after_each_entry_again_and_again_still_finishes() {
    simulated(async {
        let cloud = cloud(3);
        let store = Arc::new(MemoryStore::default());
        let seams = seams(&cloud, store.clone(), 1);
        let planned = plan(&cloud, &seams, Strategy::ZeroDowntime);
        let run = open(&seams, &planned.plan).await;
        for _ in 0..APPENDS_MAX {
            // A driver that dies right after an intent never begins anything, so each one gets one entry more.
            match drive_and_die(&seams, &store, &run, 1, Dies::After).await {
                Some(Ended::Closed(_)) => break,
                Some(_) => drop(resume(&seams, &run).await),
                None => {}
            }
        }
        assert_all(&cloud, NEW, NEW_HEADS, "killed after each entry");
        assert_nothing_twice(&cloud, "killed after each entry");
    });
}
