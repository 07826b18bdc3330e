//! `ostler bench fleet`, small: the server as a child, heartbeats over UDP, a pretended cloud over HTTP, and an outage.

use crate::environment::Home;

#[test]
fn a_full_host_of_a_small_cloud_is_recovered_with_complete_history() {
    let words = "bench fleet --hosts 20 --instances 200 --full 40 --watch 2 --silent-after 2 --at-once 16";
    let report = Home::empty().json(words);
    assert_eq!(report["recovered"]["gaps"], serde_json::json!([]), "{report:#}");
    assert_eq!(report["recovered"]["instances"], 40, "{report:#}");
    assert_eq!(report["recovered"]["requests"]["evacuations"], 40, "{report:#}");
    assert_eq!((&report["watched"]["hosts"], &report["settings"]["at_once"]), (&20.into(), &16.into()));
    let cpu = report["watched"]["cpu_percent_of_a_core"].as_f64().unwrap();
    assert!((0.0..=100.0).contains(&cpu), "{report:#}");
}

#[test]
fn a_server_that_does_not_listen_is_named() {
    let said = Home::empty().says("bench fleet --hosts 2 --instances 2 --full 1 --server /bin/true");
    assert!(said.starts_with("exit 1\n--- err\nerror: the server to be measured does not listen"), "{said}");
}

#[test]
fn no_more_instances_are_on_one_host_than_there_are() {
    let said = Home::empty().says("bench fleet --instances 10 --full 11");
    assert!(said.starts_with("exit 2\n--- err\nerror: 11 instances cannot be on one host"), "{said}");
}
