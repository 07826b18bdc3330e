//! Servers that are moved while they run, against the same small Nova: when a move counts as done, and that it is never asked
//! for twice.

use super::nova::{done, job, run, side};
use super::nova_fake::{Fake, Trouble};
use ostler_engine::seam::Cloud as _;
use ostler_model::event::Outcome;
use ostler_model::ids::{HostName, InstanceId};
use ostler_model::step::{Does, Job};

fn home() -> Job {
    let (instance, source, target) =
        (InstanceId::new("vm-0000"), HostName::new("cmp1"), HostName::new("cmp3"));
    job(Does::LiveMigrate { instance, source, target }, 1)
}

#[tokio::test]
async fn a_server_is_moved_while_it_runs_and_one_that_is_there_is_left_alone() {
    let fake = Fake::start(1).await;
    let side = side(&fake);
    assert_eq!(done(&run(&side, &home()).await.unwrap())["host"], "cmp3");
    assert_eq!(fake.with(|state| state.vms["vm-0000"].host.clone()), "cmp3");
    done(&run(&side, &home()).await.unwrap());
    assert_eq!(fake.live_moves_asked(), 1);
}

#[tokio::test]
async fn a_move_whose_answer_was_lost_is_waited_for_and_not_asked_for_again() {
    let fake = Fake::start(1).await;
    fake.with(|state| state.trouble = vec![Trouble::AnswerLost]);
    let side = side(&fake);
    done(&run(&side, &home()).await.unwrap());
    assert_eq!(fake.live_moves_asked(), 1);
}

#[tokio::test]
async fn a_move_that_another_process_began_is_settled() {
    let fake = Fake::start(1).await;
    side(&fake).begin(&home()).await.unwrap();
    let another = side(&fake);
    another.begin(&home()).await.unwrap();
    done(&another.settle(&home()).await);
    assert_eq!(fake.live_moves_asked(), 1);
}

#[tokio::test]
async fn a_move_that_failed_says_how_it_ended_and_where_the_server_is() {
    let fake = Fake::start(1).await;
    fake.with(|state| state.bad_host = Some("cmp3".into()));
    let outcome = run(&side(&fake), &home()).await.unwrap();
    let Outcome::NotDone { why } = outcome else { panic!("{outcome:?}") };
    assert_eq!(why.what, "instance vm-0000 is still on cmp1: its live migration to cmp3 ended as error");
    assert_eq!(why.hint.as_deref(), Some("see why: `openstack server event list vm-0000`"));
}

#[tokio::test]
async fn a_server_that_somebody_moved_is_left_where_it_is() {
    let fake = Fake::start(1).await;
    fake.with(|state| state.vms.get_mut("vm-0000").unwrap().host = "cmp2".into());
    let why = run(&side(&fake), &home()).await.unwrap_err();
    assert_eq!(why.what, "instance vm-0000 is on cmp2 and no longer on cmp1: somebody has moved it");
    fake.with(|state| state.vms.clear());
    let why = run(&side(&fake), &home()).await.unwrap_err();
    assert_eq!(why.what, "instance vm-0000 is gone: it was deleted");
    assert_eq!(fake.live_moves_asked(), 0);
}
