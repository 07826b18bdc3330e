//! Canaries over a pretended cloud: what they make is gone afterwards, whatever happens to who made it.

use crate::story::*;
use ostler_engine::canary::{self, THING, TRIAL, Wanted};
use ostler_engine::seam::{Seams, Store};
use ostler_model::canary::{Came, Choices, Kind, Suite, Trial};
use ostler_model::record::RecordQuery;
use ostler_sim::{MemoryStore, SimCloud, seams};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const EVERYTHING: &[&str] = &["image", "network", "volumev3", "compute"];

struct Ground {
    cloud: Arc<SimCloud>,
    store: Arc<MemoryStore>,
    seams: Seams,
}

fn ground(offers: &[&str]) -> Ground {
    let cloud = cloud(3);
    cloud.offer(offers);
    let store = Arc::new(MemoryStore::default());
    let seams = seams(&cloud, Arc::clone(&store) as Arc<dyn Store>, 1);
    Ground { cloud, store, seams }
}

fn wanted(suite: Suite) -> Wanted {
    Wanted {
        cloud: "lab".into(),
        name: "20261128-000000-aaaa".into(),
        suite,
        choices: Choices::default(),
        owner: "alice".into(),
    }
}

async fn tried(ground: &Ground, suite: Suite) -> Trial {
    let offers = ground.seams.cloud.offers().await.unwrap();
    canary::run(&ground.seams, &wanted(suite), &offers, &|_| ()).await.unwrap()
}

async fn things_in_the_books(ground: &Ground) -> usize {
    ground.store.records(&RecordQuery::all(THING, "lab")).await.unwrap().len()
}

fn came(trial: &Trial, stage: &str) -> Came {
    trial.stages.iter().find(|one| one.name == stage).unwrap().came
}

#[tokio::test(start_paused = true)]
async fn a_full_trial_leaves_nothing_behind() {
    let ground = ground(EVERYTHING);
    let trial = tried(&ground, Suite::Full).await;
    assert!(trial.stages.iter().all(|stage| stage.came == Came::Passed), "{trial:#?}");
    assert_eq!((ground.cloud.things().len(), things_in_the_books(&ground).await), (0, 0));
    let deleted: Vec<&str> =
        trial.stages.iter().filter_map(|stage| stage.name.strip_prefix("delete ")).collect();
    assert_eq!(deleted, ["server", "volume", "port", "router", "subnet", "network", "image"]);
    assert_eq!(ground.store.records(&RecordQuery::all(TRIAL, "lab")).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_cloud_does_not_have_is_skipped_and_said() {
    let ground = ground(&["image", "compute"]);
    let trial = tried(&ground, Suite::Full).await;
    for stage in ["network", "subnet", "router", "port", "volume"] {
        assert_eq!(came(&trial, stage), Came::Skipped, "{stage}");
    }
    assert_eq!(came(&trial, "server"), Came::Passed);
    assert!(trial.stages.iter().all(|stage| stage.came != Came::Failed));
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_fails_ends_only_what_needs_it() {
    let ground = ground(EVERYTHING);
    ground.cloud.refuse(&[Kind::Network], &[]);
    let trial = tried(&ground, Suite::Full).await;
    assert_eq!(came(&trial, "network"), Came::Failed);
    assert_eq!((came(&trial, "port"), came(&trial, "server")), (Came::Skipped, Came::Passed));
    assert_eq!((ground.cloud.things().len(), things_in_the_books(&ground).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_go_away_stays_in_the_books_and_is_swept_later() {
    let ground = ground(EVERYTHING);
    ground.cloud.refuse(&[], &[Kind::Volume]);
    let trial = tried(&ground, Suite::Full).await;
    assert_eq!(came(&trial, "delete volume"), Came::Failed);
    assert_eq!((ground.cloud.things().len(), things_in_the_books(&ground).await), (1, 1));
    ground.cloud.refuse(&[], &[]);
    let swept = canary::sweep(&ground.seams, "lab", &|_| true, false).await.unwrap();
    assert_eq!((swept.gone.len(), ground.cloud.things().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_leaves_alone_whose_owner_may_be_at_work_until_its_time_is_over() {
    let ground = ground(EVERYTHING);
    ground.cloud.refuse(&[], &[Kind::Volume]);
    tried(&ground, Suite::Storage).await;
    ground.cloud.refuse(&[], &[]);
    let swept = canary::sweep(&ground.seams, "lab", &|_| false, false).await.unwrap();
    assert_eq!((swept.busy.len(), swept.gone.len()), (1, 0));
    tokio::time::sleep(Duration::from_secs(4_000)).await;
    let looked = canary::sweep(&ground.seams, "lab", &|_| false, true).await.unwrap();
    assert_eq!((looked.left.len(), ground.cloud.things().len()), (1, 1));
    let swept = canary::sweep(&ground.seams, "lab", &|_| false, false).await.unwrap();
    assert_eq!((swept.gone.len(), ground.cloud.things().len()), (1, 0));
}

/// Killed at every point in time of a trial: whatever was made by then is found and taken away by a sweep.
#[tokio::test(start_paused = true)]
async fn killed_anywhere_a_sweep_finds_everything() {
    let most = AtomicUsize::new(0);
    for ms in 0..400 {
        let ground = ground(EVERYTHING);
        let offers = ground.seams.cloud.offers().await.unwrap();
        let wanted = wanted(Suite::Full);
        let trial = canary::run(&ground.seams, &wanted, &offers, &|_| ());
        let ended = tokio::time::timeout(Duration::from_millis(ms), trial).await;
        let left = ground.cloud.things().len();
        most.fetch_max(left, Ordering::Relaxed);
        canary::sweep(&ground.seams, "lab", &|_| true, false).await.unwrap();
        assert_eq!(ground.cloud.things(), Vec::<String>::new(), "killed after {ms} ms");
        assert_eq!(things_in_the_books(&ground).await, 0, "killed after {ms} ms");
        if ended.is_ok() {
            assert_eq!(left, 0, "a trial that ended leaves nothing");
        }
    }
    assert!(most.into_inner() >= 7, "the kills met a trial that had made everything");
}
