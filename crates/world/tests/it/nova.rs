//! The compute side of the seam against a small Nova that keeps the real one's rules: each verb of a recovery, what is
//! done when answers are lost, and how many requests it costs.

use super::http_server::{Server, Told};
use super::keystone::cloud_without_nodes;
use super::nova_fake::{Fake, Trouble};
use futures_util::StreamExt;
use ostler_engine::seam::Cloud as _;
use ostler_model::compute::{Disk, MoveStage, Room, Scope, VmState};
use ostler_model::event::{Outcome, Why};
use ostler_model::ids::{HostName, InstanceId, RunId, StepId};
use ostler_model::step::{Does, Job, Target, Wanted};
use ostler_world::openstack::{ApiError, ComputeSide, Credentials, KeystoneCloud, OpenStack, WakesUp};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const LOCK: &str = "recovery of cmp1 by ostler";

pub(crate) fn credentials(url: &str, more: &str) -> Credentials {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clouds.yaml");
    let text = format!(
        "clouds:\n  lab:\n    auth: {{auth_url: '{url}', user_id: u, password: hunter2, project_id: p}}\n    region_name: north\n{more}"
    );
    std::fs::write(&path, text).unwrap();
    Credentials::read(&path, "lab").unwrap()
}

fn api(fake: &Fake) -> OpenStack {
    OpenStack::new(credentials(&fake.server.url, ""))
}

pub(crate) fn side(fake: &Fake) -> ComputeSide {
    let cloud = cloud_without_nodes();
    let credentials = credentials(&fake.server.url, "");
    let nodes = ostler_world::node::SshNodes::new(
        cloud.clone(),
        Arc::new(ostler_model::catalogue::Catalogue::with_site(&[]).unwrap()),
        ostler_world::node::SshAccess {
            user: String::new(),
            key: "/nowhere".into(),
            known_hosts: "/nowhere".into(),
        },
    );
    let calls = KeystoneCloud::with(&cloud, credentials.clone(), nodes.connections());
    ComputeSide::new(calls, credentials).lost_requests_may_act_for(Duration::from_secs(3))
}

pub(crate) fn job(does: Does, attempt: u16) -> Job {
    let on = Target::Node(HostName::new("cmp1"));
    Job { run: RunId::new("run"), step: StepId::new("step"), attempt, does, on, limit_s: 60, by: None }
}

fn evacuation(vm: &str, targets: &[Option<&str>]) -> Does {
    Does::Evacuate {
        instance: InstanceId::new(vm),
        source: HostName::new("cmp1"),
        targets: targets.iter().map(|target| target.map(HostName::new)).collect(),
        reset: false,
        lock: LOCK.into(),
    }
}

pub(crate) async fn run(side: &ComputeSide, job: &Job) -> Result<Outcome, Why> {
    side.begin(job).await?;
    Ok(side.settle(job).await)
}

#[track_caller]
pub(crate) fn done(outcome: &Outcome) -> &ostler_model::event::Facts {
    match outcome {
        Outcome::Done { facts } => facts,
        other => panic!("{other:?}"),
    }
}

/// Moves twenty servers from cmp1, so many at once, and gives them their state back: the next one does not wait for that.
/// Answers the requests that it took.
async fn twenty_moved(fake: &Fake, side: &ComputeSide, at_once: usize) -> u64 {
    fake.declare_down("cmp1");
    let moves = (0..20).map(|at| async move {
        let vm = format!("vm-{at:04}");
        let target = if at % 2 == 0 { "cmp2" } else { "cmp3" };
        let moved = run(side, &job(evacuation(&vm, &[Some(target)]), 1)).await.unwrap();
        assert_eq!(done(&moved)["host"], target);
        (at, vm)
    });
    let settled = futures_util::stream::iter(moves).buffer_unordered(at_once).map(|(at, vm)| async move {
        let state = if at % 5 == 4 { Wanted::Stopped } else { Wanted::Active };
        let (instance, source) = (InstanceId::new(vm), HostName::new("cmp1"));
        let restored = Does::Settle { instance, source, state, lock: LOCK.into() };
        done(&run(side, &job(restored, 1)).await.unwrap());
    });
    settled.buffer_unordered(20).collect::<Vec<()>>().await;
    fake.with(|state| {
        assert_eq!(state.tokens, 1);
        assert!(state.vms.values().all(|vm| vm.host != "cmp1" && vm.lock.is_none()), "{:?}", state.vms);
        assert!(state.vms.iter().all(|(id, vm)| (vm.state == "stopped") == id.ends_with(['4', '9'])));
    });
    assert_eq!(fake.server.count("GET", "/compute/v2.1/project/../"), 0);
    assert_eq!(fake.evacuations_asked(), 20);
    side.api().requests()
}

#[tokio::test]
async fn twenty_servers_are_moved_with_five_requests_each_one_token_and_one_look_at_versions() {
    let fake = Fake::start(20).await;
    let requests = twenty_moved(&fake, &side(&fake), 16).await;
    assert!(requests <= 5 * 20, "{requests} requests for 20 servers");
}

/// Half a minute of a slow cloud takes three seconds here: evacuations, and pauses, are ten times shorter. Answers the
/// requests, and how many of them were lists of records.
async fn slowly_moved(at_once: usize) -> (u64, usize) {
    let fake = Fake::start(20).await;
    fake.with(|state| {
        (state.takes, state.page) = (Some((Duration::from_secs(3), Duration::from_secs(3))), 1_000)
    });
    let side = side(&fake).hastened(10);
    let requests = twenty_moved(&fake, &side, at_once).await;
    (requests, fake.server.count("GET", "/compute/v2.1/project/os-migrations"))
}

#[tokio::test]
async fn servers_that_take_half_a_minute_each_are_moved_with_five_requests_each() {
    let (requests, _) = slowly_moved(16).await;
    assert!(requests <= 5 * 20, "{requests} requests for 20 servers");
}

#[tokio::test]
async fn what_cannot_be_over_yet_is_not_asked_for() {
    let (_, lists) = slowly_moved(3).await;
    // Asked every few seconds it would be seventy and more.
    assert!(lists <= 2 * 20, "{lists} lists of records for 20 servers");
}

#[tokio::test]
async fn what_nova_refuses_is_known_not_to_have_happened() {
    let fake = Fake::start(1).await;
    let why = run(&side(&fake), &job(evacuation("vm-0000", &[None]), 1)).await.unwrap_err();
    assert!(why.what.contains("400: Compute service of cmp1 is still in use."), "{why}");
}

#[tokio::test]
async fn an_evacuation_whose_proof_of_power_off_is_too_old_is_not_sent() {
    let fake = Fake::start(1).await;
    fake.declare_down("cmp1");
    let by = Some(ostler_model::Timestamp::now() - jiff::SignedDuration::from_secs(1));
    let late = Job { by, ..job(evacuation("vm-0000", &[None]), 1) };
    let why = run(&side(&fake), &late).await.unwrap_err();
    assert!(why.what.contains("its host is looked at anew"), "{why}");
    assert_eq!(fake.evacuations_asked(), 0);
}

#[tokio::test]
async fn an_evacuation_whose_answer_was_lost_is_not_sent_again() {
    let fake = Fake::start(1).await;
    fake.declare_down("cmp1");
    fake.with(|state| state.trouble = vec![Trouble::AnswerLost]);
    let outcome = run(&side(&fake), &job(evacuation("vm-0000", &[None]), 1)).await.unwrap();
    assert_eq!(done(&outcome)["host"], "cmp2");
    assert_eq!(fake.evacuations_asked(), 1);
}

#[tokio::test]
async fn an_evacuation_that_was_lost_is_not_done_only_when_it_can_no_longer_begin() {
    for trouble in [Trouble::RequestLost, Trouble::Busy] {
        let fake = Fake::start(1).await;
        fake.declare_down("cmp1");
        fake.with(|state| state.trouble = vec![trouble]);
        let side = side(&fake);
        let begun = std::time::Instant::now();
        let outcome = run(&side, &job(evacuation("vm-0000", &[None]), 1)).await.unwrap();
        assert!(
            matches!(&outcome, Outcome::NotDone { why } if why.what.contains("no new evacuation")),
            "{outcome:?}"
        );
        assert!(begun.elapsed() >= Duration::from_secs(3), "{trouble:?}");
        done(&run(&side, &job(evacuation("vm-0000", &[None]), 2)).await.unwrap());
        assert_eq!(fake.evacuations_asked(), 2);
    }
}

#[tokio::test]
async fn an_evacuation_that_fails_is_tried_on_another_host_and_the_old_record_is_not_taken_for_the_new() {
    let fake = Fake::start(1).await;
    fake.declare_down("cmp1");
    fake.with(|state| state.bad_host = Some("cmp2".into()));
    let side = side(&fake);
    let does = evacuation("vm-0000", &[Some("cmp2"), Some("cmp3")]);
    let outcome = run(&side, &job(does.clone(), 1)).await.unwrap();
    let Outcome::NotDone { why } = outcome else { panic!("{outcome:?}") };
    assert_eq!(why.what, "the evacuation of vm-0000 to cmp2 ended as failed: the target broke");
    let outcome = run(&side, &job(does, 2)).await.unwrap();
    assert_eq!(done(&outcome)["host"], "cmp3");
    assert_eq!(fake.with(|state| state.vms["vm-0000"].lock.clone()).as_deref(), Some(LOCK));
}

#[tokio::test]
async fn what_another_process_began_is_settled_and_not_begun_again() {
    let fake = Fake::start(1).await;
    fake.declare_down("cmp1");
    let job = job(evacuation("vm-0000", &[None]), 1);
    side(&fake).begin(&job).await.unwrap();
    let other = side(&fake);
    other.begin(&job).await.unwrap();
    assert_eq!(done(&other.settle(&job).await)["host"], "cmp2");
    side(&fake).begin(&job).await.unwrap();
    assert_eq!(fake.evacuations_asked(), 1);
}

#[tokio::test]
async fn the_limit_of_a_move_counts_from_when_its_host_begins_with_it() {
    let limited = |does| Job { limit_s: 1, ..job(does, 1) };
    for (waits_ms, takes_ms, is_done) in [(1_500, 300, true), (0, 3_000, false)] {
        let fake = Fake::start(1).await;
        fake.declare_down("cmp1");
        let takes = Duration::from_millis(takes_ms);
        fake.with(|state| {
            (state.waits, state.takes) = (Some(Duration::from_millis(waits_ms)), Some((takes, takes)));
        });
        let outcome = run(&side(&fake).hastened(10), &limited(evacuation("vm-0000", &[None]))).await.unwrap();
        match outcome {
            Outcome::Done { .. } => assert!(is_done),
            Outcome::Unknown { why } => assert!(!is_done && why.what.contains("is pre-migrating"), "{why}"),
            Outcome::NotDone { why } => panic!("{why}"),
        }
    }
}

#[tokio::test]
async fn an_evacuation_that_nova_lost_is_asked_for_again_only_when_its_server_was_reset() {
    let fake = Fake::start(1).await;
    fake.declare_down("cmp1");
    // Nobody ever begins with it.
    fake.with(|state| state.waits = Some(Duration::from_secs(3_600)));
    let side = side(&fake).hastened(100);
    let job = |attempt| Job { limit_s: 60, ..job(evacuation("vm-0000", &[None]), attempt) };
    side.begin(&job(1)).await.unwrap();
    side.begin(&job(2)).await.unwrap();
    assert_eq!(fake.evacuations_asked(), 1, "Nova may still be at it");
    fake.with(|state| {
        let vm = state.vms.get_mut("vm-0000").unwrap();
        (vm.state, vm.task) = ("error".into(), None);
    });
    let outcome = side.settle(&job(2)).await;
    assert!(
        matches!(&outcome, Outcome::NotDone { why } if why.what.contains("was reset while")),
        "{outcome:?}"
    );
    side.begin(&job(3)).await.unwrap();
    assert_eq!(fake.evacuations_asked(), 2);
}

#[tokio::test]
async fn a_source_that_comes_back_ends_the_record_and_not_the_move() {
    let fake = Fake::start(1).await;
    fake.declare_down("cmp1");
    fake.with(|state| state.waits = Some(Duration::from_secs(3_600)));
    let side = side(&fake).hastened(10);
    let job = |attempt| Job { limit_s: 1, ..job(evacuation("vm-0000", &[None]), attempt) };
    side.begin(&job(1)).await.unwrap();
    fake.with(|state| state.records[0].status = "completed");
    let outcome = side.settle(&job(1)).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "its target is at it: {outcome:?}");
    side.begin(&job(2)).await.unwrap();
    assert_eq!(fake.evacuations_asked(), 1, "nobody asks twice");
    fake.with(|state| {
        let vm = state.vms.get_mut("vm-0000").unwrap();
        (vm.host, vm.task) = ("cmp2".into(), None);
    });
    assert_eq!(done(&side.settle(&job(2)).await)["host"], "cmp2");
    fake.with(|state| state.vms.get_mut("vm-0000").unwrap().host = "cmp1".into());
    let outcome = side.settle(&job(2)).await;
    assert!(matches!(&outcome, Outcome::NotDone { why } if why.what.contains("came back")), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_its_user_deleted_meanwhile_is_gone() {
    let fake = Fake::start(1).await;
    fake.declare_down("cmp1");
    fake.with(|state| state.vms.clear());
    let outcome = run(&side(&fake), &job(evacuation("vm-0000", &[None]), 1)).await.unwrap();
    assert!(matches!(outcome, Outcome::NotDone { why } if why.what.contains("is gone")));
}

#[tokio::test]
async fn a_user_s_own_lock_is_left_on() {
    let fake = Fake::start(1).await;
    fake.declare_down("cmp1");
    fake.with(|state| state.vms.get_mut("vm-0000").unwrap().lock = Some("mine".into()));
    let side = side(&fake);
    done(&run(&side, &job(evacuation("vm-0000", &[None]), 1)).await.unwrap());
    let (instance, source) = (InstanceId::new("vm-0000"), HostName::new("cmp1"));
    let settle = Does::Settle { instance, source, state: Wanted::Active, lock: LOCK.into() };
    done(&run(&side, &job(settle, 1)).await.unwrap());
    assert_eq!(fake.with(|state| state.vms["vm-0000"].lock.clone()).as_deref(), Some("mine"));
}

#[tokio::test]
async fn a_server_that_was_in_error_is_off_and_in_error_again() {
    let fake = Fake::start(1).await;
    fake.declare_down("cmp1");
    fake.with(|state| state.vms.get_mut("vm-0000").unwrap().state = "paused".into());
    let side = side(&fake);
    let why = run(&side, &job(evacuation("vm-0000", &[None]), 1)).await.unwrap_err();
    assert!(why.what.contains("409"), "{why}");
    let mut does = evacuation("vm-0000", &[None]);
    if let Does::Evacuate { reset, .. } = &mut does {
        *reset = true;
    }
    done(&run(&side, &job(does, 2)).await.unwrap());
    let (instance, source) = (InstanceId::new("vm-0000"), HostName::new("cmp1"));
    let settle = Does::Settle { instance, source, state: Wanted::Error, lock: LOCK.into() };
    done(&run(&side, &job(settle, 1)).await.unwrap());
    fake.with(|state| {
        assert_eq!((state.vms["vm-0000"].state.as_str(), &state.vms["vm-0000"].lock), ("error", &None))
    });
}

#[tokio::test]
async fn a_host_is_set_aside_and_taken_back_only_when_nova_agrees() {
    let fake = Fake::start(1).await;
    let side = side(&fake);
    done(&run(&side, &job(Does::DisableCompute { reason: "dead".into() }, 1)).await.unwrap());
    done(&run(&side, &job(Does::ForceDown {}, 1)).await.unwrap());
    done(&run(&side, &job(evacuation("vm-0000", &[None]), 1)).await.unwrap());
    let why = run(&side, &job(Does::ClearForcedDown {}, 1)).await.unwrap_err();
    assert!(why.what.contains("evacuation migration records remain"), "{why}");
    fake.with(|state| state.records[0].status = "completed");
    for does in
        [Does::AwaitCopiesGone {}, Does::ClearForcedDown {}, Does::AwaitComputeUp {}, Does::EnableCompute {}]
    {
        done(&run(&side, &job(does, 1)).await.unwrap());
    }
    fake.with(|state| {
        let service = &state.services["cmp1"];
        assert!(service.enabled && !service.forced_down);
    });
}

#[tokio::test]
async fn a_host_that_nova_does_not_know_is_named() {
    let fake = Fake::start(0).await;
    let mut job = job(Does::ForceDown {}, 1);
    job.on = Target::Node(HostName::new("cmp1.example"));
    let why = side(&fake).begin(&job).await.unwrap_err();
    assert!(why.what.contains("nova-compute on cmp1.example"), "{why}");
}

#[tokio::test]
async fn a_spare_is_put_to_use_and_given_back() {
    let fake = Fake::start(0).await;
    fake.with(|state| state.services.get_mut("cmp1").unwrap().enabled = false);
    fake.with(|state| {
        state.aggregates =
            [("a".to_owned(), vec![]), ("b".to_owned(), vec!["cmp1".to_owned()]), ("c".to_owned(), vec![])]
                .into()
    });
    let side = side(&fake);
    let aggregates = vec!["a".to_owned(), "b".to_owned()];
    done(&run(&side, &job(Does::UseSpare { aggregates: aggregates.clone() }, 1)).await.unwrap());
    fake.with(|state| {
        assert!(state.services["cmp1"].enabled);
        assert_eq!(state.aggregates.values().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0]);
    });
    let back = Does::GiveBackSpare { aggregates: aggregates[..1].to_vec(), reason: "a spare".into() };
    done(&run(&side, &job(back, 1)).await.unwrap());
    fake.with(|state| {
        assert!(!state.services["cmp1"].enabled);
        assert_eq!(state.aggregates.values().map(Vec::len).collect::<Vec<_>>(), [0, 1, 0]);
    });
}

#[tokio::test]
async fn a_spare_that_has_failed_itself_stays_disabled() {
    let fake = Fake::start(0).await;
    fake.with(|state| state.services.get_mut("cmp1").unwrap().enabled = false);
    fake.declare_down("cmp1");
    let use_spare = Does::UseSpare { aggregates: Vec::new() };
    let why = run(&side(&fake), &job(use_spare, 1)).await.unwrap_err();
    assert!(why.what.contains("cmp1 is down itself"), "{why}");
    fake.with(|state| assert!(!state.services["cmp1"].enabled));
}

#[tokio::test]
async fn a_look_sees_servers_moves_room_and_aggregates() {
    let fake = Fake::start(10).await;
    fake.declare_down("cmp1");
    let side = side(&fake);
    done(&run(&side, &job(evacuation("vm-0000", &[None]), 1)).await.unwrap());
    let scope = Scope {
        on: vec![HostName::new("cmp1")],
        those: vec![InstanceId::new("vm-0000"), InstanceId::new("none")],
        room: true,
    };
    let seen = side.look(&scope).await.unwrap();
    assert_eq!(seen.instances.len(), 10);
    let moved = &seen.instances[&InstanceId::new("vm-0000")];
    assert_eq!(
        (moved.host.as_ref().map(HostName::as_str), moved.state, moved.disk),
        (Some("cmp2"), VmState::Active, Disk::Volume)
    );
    assert_eq!(
        (moved.needs, moved.apart_from.as_deref()),
        (Room { vcpus: 1, ram_mb: 512, disk_gb: 0 }, Some("g"))
    );
    assert!(seen.services[&HostName::new("cmp1")].forced_down && !seen.services[&HostName::new("cmp1")].up);
    assert_eq!(seen.services[&HostName::new("cmp2")].hypervisor.as_deref(), Some("cmp2.example"));
    assert_eq!((seen.evacuations.len(), seen.evacuations[0].stage), (1, MoveStage::Done));
    let room = seen.room[&HostName::new("cmp2")];
    assert_eq!((room.vcpus, room.ram_mb), (10, 3000));
    assert_eq!(seen.aggregates[0].hosts, [HostName::new("cmp1")]);
}

#[tokio::test]
async fn lists_are_read_to_their_last_page_though_their_links_lead_elsewhere() {
    let fake = Fake::start(23).await;
    assert_eq!(api(&fake).servers_on("cmp1").await.unwrap().len(), 23);
}

#[tokio::test]
async fn a_token_that_was_revoked_is_replaced_once_and_the_call_made_again() {
    let fake = Fake::start(1).await;
    let api = api(&fake);
    api.compute_services(None).await.unwrap();
    fake.with(|state| state.good_token = "another".into());
    api.compute_services(None).await.unwrap();
    assert_eq!(fake.with(|state| state.tokens), 2);
}

#[tokio::test]
async fn many_who_need_a_token_at_once_get_one() {
    let fake = Fake::start(1).await;
    let api = api(&fake);
    futures_util::future::join_all((0..20).map(|_| api.compute_services(None))).await;
    assert_eq!(fake.with(|state| state.tokens), 1);
    assert_eq!(fake.server.count("GET", "/compute/v2.1/"), 20 + 1);
}

#[tokio::test]
async fn a_service_that_has_too_much_is_left_alone_and_said_to_be_so() {
    let fake = Fake::start(1).await;
    let api = api(&fake);
    api.compute_services(None).await.unwrap();
    fake.with(|state| state.busy_reads = 1);
    let error = api.compute_services(None).await.unwrap_err();
    assert!(error.may_pass() && error.status() == Some(429), "{error}");
    let begun = std::time::Instant::now();
    api.compute_services(None).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn versions_are_chosen_by_what_the_cloud_speaks() {
    let fake = Fake::start(2).await;
    fake.declare_down("cmp1");
    fake.with(|state| state.newest = "2.60".into());
    let old = api(&fake);
    old.lock_server("vm-0000", LOCK).await.unwrap();
    assert_eq!(fake.with(|state| state.vms["vm-0000"].lock.clone()).as_deref(), Some(""));
    old.evacuate("vm-0000", Some("cmp2"), WakesUp::AsItWas).await.unwrap();
    let error = old.evacuate("vm-0000", None, WakesUp::Stopped).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "evacuating server vm-0000 needs compute 2.95 to 2.96, but it speaks 2.1 to 2.60"
    );
    assert!(error.changed_nothing());
    fake.with(|state| state.newest = "2.100".into());
    old.look_again().await;
    old.live_migrate("vm-0001", None).await.unwrap();
    let asked = fake.server.asked.lock().unwrap();
    assert_eq!(asked.last().unwrap().header("openstack-api-version"), "compute 2.96");
}

#[tokio::test]
async fn a_server_evacuated_in_the_newer_dialect_stays_stopped() {
    let fake = Fake::start(1).await;
    fake.declare_down("cmp1");
    let api = api(&fake);
    let request = api.evacuate("vm-0000", None, WakesUp::Stopped).await.unwrap();
    assert!(request.is_some_and(|request| request.starts_with("req-")));
    while api.evacuations_of("vm-0000").await.unwrap()[0].stage() == MoveStage::UnderWay {}
    assert_eq!(api.server("vm-0000").await.unwrap().unwrap().vm_state, "stopped");
}

#[tokio::test]
async fn a_region_that_the_catalogue_does_not_have_is_named_with_what_it_has() {
    let fake = Fake::start(0).await;
    let mut wrong = credentials(&fake.server.url, "");
    wrong.region = Some("south".into());
    let error = OpenStack::new(wrong).compute_services(None).await.unwrap_err();
    assert!(error.to_string().contains("in region `south`; it has public in north"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_said_once_and_never_shown() {
    let server =
        Server::start(|_| Told::json(401, &serde_json::json!({"error": {"message": "wrong"}}))).await;
    let api = OpenStack::new(credentials(&server.url, ""));
    let error = api.compute_services(None).await.unwrap_err();
    assert!(matches!(error, ApiError::NoToken { .. }), "{error:?}");
    let why = error.why();
    assert!(why.hint.clone().unwrap().contains("`lab` in clouds.yaml"));
    assert!(!format!("{why:?} {api:?}").contains("hunter2"));
    assert_eq!(server.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn placement_tells_what_a_server_has_taken() {
    let fake = Fake::start(1).await;
    let api = api(&fake);
    assert_eq!(api.allocations("vm-0000").await.unwrap()["hv-cmp2"]["VCPU"], 1);
    assert_eq!(api.providers().await.unwrap()[0].name, "cmp2.example");
    assert_eq!(api.stock("hv-cmp2").await.unwrap()["VCPU"].free(), 10);
}

fn odd() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    let key = prop_oneof![
        Just("servers".to_owned()),
        Just("id".to_owned()),
        Just("services".to_owned()),
        Just("migrations".to_owned()),
        Just("servers_links".to_owned()),
        Just("href".to_owned()),
        Just("rel".to_owned()),
        Just("server".to_owned()),
        Just("flavor".to_owned()),
        Just("host".to_owned()),
        Just("version".to_owned()),
        Just("min_version".to_owned()),
        Just("aggregates".to_owned()),
        Just("hypervisors".to_owned()),
        Just("inventories".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(key.clone(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_makes_the_client_panic(body in odd(), discovery in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let text = body.to_string();
            let server = Server::start(move |asked| {
                let path = asked.path.as_str();
                if path == "/v3/auth/tokens" {
                    return Told::Say(201, vec![("X-Subject-Token", "t".to_owned())], "{\"token\": {}}".to_owned());
                }
                if path == "/" && !discovery {
                    return Told::json(200, &serde_json::json!({"versions": [
                        {"id": "v2.1", "version": "2.96", "min_version": "2.1"},
                        {"id": "v1.0", "max_version": "1.39", "min_version": "1.0"}]}));
                }
                Told::Say(200, Vec::new(), text.clone())
            })
            .await;
            let more = format!("    verify: false\n    compute_endpoint_override: {0}\n    placement_endpoint_override: {0}\n", server.url);
            let api = OpenStack::new(credentials(&server.url, &more));
            let _ = api.servers_on("h").await;
            let _ = api.compute_services(None).await;
            let _ = api.server("h").await;
            let _ = api.evacuations_from("h").await;
            let _ = api.aggregates().await;
            let _ = api.hypervisors().await;
            let _ = api.stock("h").await;
        });
    }
}
