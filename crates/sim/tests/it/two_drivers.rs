//! Two drivers on one run: the journal's key decides, and no step is done twice.

use crate::story::*;
use ostler_engine::run::{self, DriveError, Ended};
use ostler_engine::seam::Clock;
use ostler_model::event::Verdict;
use ostler_model::plan::Strategy;
use ostler_sim::{MemoryStore, seams};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_driver_that_lost_its_lease_stops_and_the_other_one_finishes() {
    simulated(async {
        let cloud = cloud(3);
        let store = Arc::new(MemoryStore::default());
        let seams = seams(&cloud, store, 3);
        let planned = plan(&cloud, &seams, Strategy::ZeroDowntime);
        let run = open(&seams, &planned.plan).await;
        let first = drive(&seams, &run);
        let second = async {
            tokio::time::sleep(Duration::from_secs(13)).await;
            drive(&seams, &run).await
        };
        let (first, second) = tokio::join!(first, second);
        assert!(
            matches!(first, Err(DriveError::Superseded { .. } | DriveError::LeaseLost { .. })),
            "{first:?}"
        );
        assert_eq!(second.unwrap(), Ended::Closed(Verdict::Finished));
        assert_all(&cloud, NEW, NEW_HEADS, "two drivers");
        assert_nothing_twice(&cloud, "two drivers");
    });
}

#[test]
fn a_lease_is_not_taken_from_a_living_owner() {
    simulated(async {
        let store = MemoryStore::default();
        let clock = ostler_sim::SimClock::default();
        run::take(&store, &clock, "cloud/sim", "a", &|_| false).await.unwrap();
        let refused = run::take(&store, &clock, "cloud/sim", "b", &|_| false).await.unwrap_err();
        assert!(refused.to_string().contains('a'), "{refused}");
        clock.sleep(21_000).await;
        let lease = run::take(&store, &clock, "cloud/sim", "b", &|_| false).await.unwrap();
        assert_eq!(lease.term, 2);
    });
}
