//! What is known of a step when a node loses its power, a connection breaks, or time runs out: on a real cloud, where
//! `OSTLER_TEST_LAB` names the directory of a lab that is up. `OSTLER_TEST_POWER` names a program that takes
//! `kill NODE`, `revive NODE`, `cut NODE` and `mend NODE`.

use super::node_lab::{Lab, install, texts};
use ostler_engine::seam::Nodes as _;
use ostler_model::event::Outcome;
use ostler_model::step::{Does, Job, Reading};
use std::time::Instant;

pub(crate) fn power(order: &str, host: &str) -> bool {
    let program = std::env::var_os("OSTLER_TEST_POWER").expect("OSTLER_TEST_POWER names a program for power");
    std::process::Command::new(program).args([order, host]).status().unwrap().success()
}

/// Asks until somebody knows, as a driver would.
async fn known(lab: &Lab, job: &Job) -> Outcome {
    let begun = Instant::now();
    loop {
        match lab.nodes.settle(job).await {
            Outcome::Unknown { why } if begun.elapsed().as_secs() < 120 => {
                eprintln!("after {} ms: {why:?}", begun.elapsed().as_millis())
            }
            outcome => break outcome,
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_power_cut_during_an_installation_is_seen_and_repaired() {
    let lab = Lab::open();
    // How far an installation is after how long depends on the machine: one that was over too soon is taken back, and the
    // next cut comes earlier. The last comes at once, when nothing can be over.
    let mut cut_off = None;
    for pause_ms in [1_500, 600, 200, 0] {
        let job = lab.job(&format!("install-{pause_ms}"), "ctl3", 120, install("2025.1", "27.1.0"));
        lab.nodes.begin(&job).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
        assert!(power("kill", "ctl3"));
        let told = lab.nodes.settle(&job).await;
        assert!(matches!(told, Outcome::Unknown { .. }), "{told:?}");
        assert!(power("revive", "ctl3"));
        match known(&lab, &job).await {
            Outcome::NotDone { why } => {
                cut_off = Some((job, why));
                break;
            }
            _ => drop(lab.done(&format!("back-{pause_ms}"), "ctl3", install("2024.1", "25.0.0")).await),
        }
    }
    let (job, why) = cut_off.expect("no cut hit an installation");
    assert!(why.what.contains("restarted"), "{why:?}");
    eprintln!("{why:?}");
    let next = Job { attempt: 2, ..job };
    let outcome = lab.settle(&next).await;
    eprintln!("{outcome:?}");
    assert!(matches!(outcome, Outcome::Done { .. }));
    // What was stopped for the sake of an upgrade comes back by itself with the node: that is not stopped.
    let job = lab.job("stop", "ctl3", 60, Does::StopUnits { units: texts(&["keystone.service"]) });
    assert!(matches!(lab.settle(&job).await, Outcome::Done { .. }));
    assert!(power("kill", "ctl3") && power("revive", "ctl3"));
    let outcome = known(&lab, &job).await;
    eprintln!("{outcome:?}");
    assert!(matches!(outcome, Outcome::NotDone { .. }));
    lab.done("back", "ctl3", install("2024.1", "25.0.0")).await;
}

/// What dpkg writes down while it unpacks stands there after a power cut in a moment that no test can aim at: here it is written by
/// hand.
#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn a_package_whose_unpacking_was_cut_off_is_unpacked_again() {
    let lab = Lab::open();
    let by_hand = |status: &str| Does::Advise {
        argv: texts(&[
            "sed",
            "-i",
            &format!("/^Package: keystone$/,/^$/ s/^Status: .*/Status: {status}/"),
            "/var/lib/dpkg/status",
        ]),
        user: "root".into(),
        reading: Reading { ok: vec![0], advice: Vec::new(), blocking_texts: Vec::new() },
    };
    lab.done("new", "ctl3", install("2025.1", "27.1.0")).await;
    lab.done("unpacked", "ctl3", by_hand("install reinstreq unpacked")).await;
    lab.done("again-new", "ctl3", install("2025.1", "27.1.0")).await;
    lab.done("half", "ctl3", by_hand("install reinstreq half-installed")).await;
    lab.done("again-back", "ctl3", install("2024.1", "25.0.0")).await;
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn an_installation_that_takes_too_long_is_stopped_and_can_be_finished() {
    let lab = Lab::open();
    let job = lab.job("install", "ctl2", 1, install("2025.1", "27.1.0"));
    let outcome = lab.settle(&job).await;
    eprintln!("{outcome:?}");
    let Outcome::NotDone { why } = outcome else { panic!() };
    assert!(why.what.contains("time was up"));
    let next = Job { attempt: 2, limit_s: 120, ..job };
    let outcome = lab.settle(&next).await;
    eprintln!("{outcome:?}");
    assert!(matches!(outcome, Outcome::Done { .. }));
    lab.done("back", "ctl2", install("2024.1", "25.0.0")).await;
}

#[tokio::test]
#[ignore = "changes a lab that is up, named by OSTLER_TEST_LAB: ./test lab"]
async fn another_process_settles_what_this_one_began_and_a_lost_connection_changes_nothing() {
    let lab = Lab::open();
    let reading = Reading { ok: vec![0], advice: vec![1], blocking_texts: Vec::new() };
    let check = |argv: &[&str], user: &str| Does::Advise {
        argv: texts(argv),
        user: user.into(),
        reading: reading.clone(),
    };
    let job = lab.job("doctor", "ctl2", 60, check(&["sleep", "4"], "keystone"));
    lab.nodes.begin(&job).await.unwrap();
    let cut = lab.job("cut", "ctl2", 60, check(&["pkill", "-9", "-f", "sshd: ostler@notty"], "root"));
    let (outcome, ()) = tokio::join!(lab.nodes.settle(&job), async {
        tokio::time::sleep(std::time::Duration::from_millis(800)).await;
        lab.nodes.begin(&cut).await.unwrap();
    });
    eprintln!("{outcome:?}");
    assert!(matches!(outcome, Outcome::Done { .. }));
    let other = Lab { run: lab.run.clone(), ..Lab::open() };
    assert_eq!(other.nodes.settle(&job).await, outcome);
    // Beginning the same attempt again starts nothing.
    other.nodes.begin(&job).await.unwrap();
    assert_eq!(other.nodes.settle(&job).await, outcome);
}
