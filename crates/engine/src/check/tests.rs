//! Checks over small made-up inventories.

use super::judge;
use ostler_model::Timestamp;
use ostler_model::check::{Check, Severity};
use ostler_model::ids::HostName;
use ostler_model::inventory::*;
use std::collections::BTreeMap;

fn seen(nodes: Vec<(&str, Seen)>) -> Inventory {
    Inventory {
        format: INVENTORY_FORMAT,
        cloud: "c".into(),
        taken: Timestamp::UNIX_EPOCH,
        nodes: nodes.into_iter().map(|(name, seen)| (HostName::new(name), seen)).collect(),
        gaps: Vec::new(),
    }
}

fn fresh(node: Node) -> Seen {
    Seen::Fresh(Box::new(node))
}

fn hosts(names: &[&str]) -> Vec<HostName> {
    names.iter().map(|name| HostName::new(*name)).collect()
}

fn galera(state: u32, size: u32) -> Node {
    let galera = GaleraSeen {
        cluster_status: "Primary".into(),
        cluster_size: size,
        local_state: state,
        ready: true,
        cluster_uuid: "u".into(),
        ..GaleraSeen::default()
    };
    Node { galera: Some(galera), ..Node::default() }
}

#[test]
fn a_member_that_is_a_donor_makes_the_cluster_not_whole() {
    let check = Check::GaleraWhole { nodes: hosts(&["a", "b"]), size: 2 };
    let found = judge(&check, &seen(vec![("a", fresh(galera(4, 2))), ("b", fresh(galera(2, 2)))]));
    assert_eq!(found.severity, Severity::Error);
    assert!(found.evidence[0].contains("b: its state is 2 (donor"), "{:?}", found.evidence);
}

#[test]
fn what_was_not_seen_is_never_well() {
    let all = seen(vec![("a", fresh(Node::default()))]);
    let of = |check: Check| judge(&check, &all).severity;
    let nodes = hosts(&["a"]);
    assert_eq!(of(Check::GaleraWhole { nodes: nodes.clone(), size: 1 }), Severity::Error);
    assert_eq!(of(Check::CacheAnswers { nodes: nodes.clone() }), Severity::Error);
    assert_eq!(of(Check::ClocksAgree { nodes: nodes.clone(), within_ms: 1 }), Severity::Error);
    assert_eq!(of(Check::SameFiles { nodes: nodes.clone(), path: "/k".into() }), Severity::Error);
    assert_eq!(of(Check::Reachable { nodes: hosts(&["elsewhere"]) }), Severity::Error);
}

#[test]
fn a_node_that_does_not_answer_is_named_once() {
    let silent = Seen::Unreachable { why: "ctl2 does not answer on 192.0.2.2:22".into() };
    let found = judge(&Check::Reachable { nodes: hosts(&["ctl2"]) }, &seen(vec![("ctl2", silent)]));
    assert_eq!(found.evidence, ["ctl2 does not answer on 192.0.2.2:22"]);
}

#[test]
fn the_last_server_may_not_go_even_if_others_are_drained_but_up() {
    let server = |name: &str, admin| ServerSeen {
        backend: "k".into(),
        server: name.into(),
        address: String::new(),
        up: true,
        admin,
        sessions: 0,
        backup: false,
    };
    let proxy = Node {
        proxy: Some(vec![server("a", ServerAdmin::Ready), server("b", ServerAdmin::Drain)]),
        ..Node::default()
    };
    let check = Check::OthersServe { backend: "k".into(), server: "a".into(), proxies: hosts(&["p"]) };
    assert_eq!(judge(&check, &seen(vec![("p", fresh(proxy))])).severity, Severity::Error);
}

#[test]
fn clocks_that_disagree_within_their_doubt_are_not_accused() {
    let at = |offset_ms, doubt_ms| Node { clock: Some(ClockSeen { offset_ms, doubt_ms }), ..Node::default() };
    let check = Check::ClocksAgree { nodes: hosts(&["a", "b"]), within_ms: 100 };
    let close = seen(vec![("a", fresh(at(0, 300))), ("b", fresh(at(500, 300)))]);
    assert_eq!(judge(&check, &close).severity, Severity::Ok);
    let apart = seen(vec![("a", fresh(at(0, 5))), ("b", fresh(at(500, 5)))]);
    assert_eq!(judge(&check, &apart).severity, Severity::Error);
}

#[test]
fn a_process_older_than_its_package_runs_the_old_code() {
    let unit =
        |started| UnitSeen { load: "loaded".into(), active: "active".into(), started, ..UnitSeen::default() };
    let node = |started| Node {
        packages: BTreeMap::from([(
            "p".into(),
            PackageSeen { version: "2:2.0-1".into(), status: "ii".into(), unpacked: 100 },
        )]),
        units: BTreeMap::from([("u.service".into(), unit(started))]),
        ..Node::default()
    };
    let check = Check::Runs {
        nodes: hosts(&["a"]),
        package: "p".into(),
        version: "2.0".into(),
        units: vec!["u.service".into()],
    };
    assert_eq!(judge(&check, &seen(vec![("a", fresh(node(101)))])).severity, Severity::Ok);
    let found = judge(&check, &seen(vec![("a", fresh(node(99)))]));
    assert!(found.evidence[0].contains("since before the package changed"), "{found:?}");
}
