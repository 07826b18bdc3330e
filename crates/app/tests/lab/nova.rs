//! A lab with Nova: what its compute nodes, their hypervisors and their power controllers do when luck is bad.
//!
//! A lab of its own (one controller, four compute nodes), so that the others keep theirs.

use crate::ground::{Ended, lab_named};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub const NOVA: &str = "nova";

/// How long Nova may take to see that a compute node is down or up: eight seconds by its settings, and a busy machine.
pub const SEEN_LIMIT: Duration = Duration::from_secs(120);
/// How long an evacuation may take.
pub const MOVE_LIMIT: Duration = Duration::from_secs(180);

pub fn lab(words: &[&str]) -> Ended {
    lab_named(NOVA, words)
}

/// The lab's compute nodes.
pub const COMPUTES: [&str; 4] = ["cmp1", "cmp2", "cmp3", "cmp4"];

/// A lab with all nodes on, all links whole, honest power controllers, and servers that are ACTIVE.
#[track_caller]
pub fn ready() {
    if lab(&["status"]).code != 0 || servers().is_empty() {
        lab(&["down"]).expect(0);
        let words = ["up", "--controllers", "1", "--release", "2025.1", "--with", "nova", "--computes", "4"];
        lab(&[&words[..], &["--instances", "8"]].concat()).expect(0);
    }
    for node in COMPUTES {
        lab(&["bmc", node, "--honest"]).expect(0);
    }
    for server in servers().iter().filter(|server| server["status"] == "SHUTOFF") {
        act(server["id"].as_str().unwrap(), &json!({ "os-start": null }));
    }
    wait_until("servers that run", MOVE_LIMIT, || {
        servers().iter().all(|server| server["status"] == "ACTIVE")
    });
}

/// An order to a server.
#[track_caller]
pub fn act(server: &str, order: &Value) {
    nova("POST", &format!("/servers/{server}/action"), order);
}

/// What curl is told about a body.
fn data(body: &Value) -> String {
    if body.is_null() { String::new() } else { format!("-H 'Content-Type: application/json' -d '{body}'") }
}

/// A command as root on the controller.
#[track_caller]
pub fn on_controller(script: &str) -> String {
    lab(&["ssh", "ctl1", "--", script]).expect(0).out.trim().to_owned()
}

/// A request to Nova with the administrator's rights.
#[track_caller]
pub fn nova(method: &str, path: &str, body: &Value) -> Value {
    let script = format!(
        ". /root/openrc; curl -s -X {method} -H \"X-Auth-Token: $(lab-token)\" -H 'OpenStack-API-Version: compute 2.95' \
         {} \"$NOVA_URL{path}\"",
        data(body)
    );
    serde_json::from_str(&on_controller(&script)).unwrap_or(Value::Null)
}

pub fn servers() -> Vec<Value> {
    let found = nova("GET", "/servers/detail?all_tenants=1", &Value::Null);
    found["servers"].as_array().cloned().unwrap_or_default()
}

pub fn host_of(server: &str) -> (String, String) {
    let found = nova("GET", &format!("/servers/{server}"), &Value::Null);
    let text = |name: &str| found["server"][name].as_str().unwrap_or_default().to_owned();
    (text("OS-EXT-SRV-ATTR:host"), text("status"))
}

pub fn service_state(host: &str) -> String {
    let found = nova("GET", &format!("/os-services?binary=nova-compute&host={host}"), &Value::Null);
    found["services"][0]["state"].as_str().unwrap_or_default().to_owned()
}

/// The instances that the node's own hypervisor runs, or has.
#[track_caller]
pub fn guests(node: &str, state: &str) -> Vec<String> {
    let page = lab(&["hypervisor", node, "--format", "json"]).expect(0).out;
    let page: Value = serde_json::from_str(&page).unwrap();
    let all = page["guests"].as_array().unwrap();
    let these = all.iter().filter(|guest| guest["state"] == state);
    these.map(|guest| guest["uuid"].as_str().unwrap().to_owned()).collect()
}

/// A request to a node's power controller: status and answer.
#[track_caller]
fn redfish(node: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let access = lab(&["bmc", node, "--format", "json"]).expect(0).out;
    let access: Value = serde_json::from_str(&access).unwrap();
    let word = |name: &str| access[name].as_str().unwrap().to_owned();
    let script = format!(
        "curl -s -m 20 -w '\\n%{{http_code}}' -u '{}:{}' -X {method} {} '{}{path}'",
        word("user"),
        word("password"),
        data(body),
        word("system")
    );
    let said = lab(&["ssh", "ctl1", "--", &script]).out;
    let (answer, status) = said.trim().rsplit_once('\n').unwrap_or(("", &said));
    (status.trim().parse().unwrap_or(0), serde_json::from_str(answer).unwrap_or(Value::Null))
}

#[track_caller]
fn reset(node: &str, order: &str) -> u16 {
    redfish(node, "POST", "/Actions/ComputerSystem.Reset", &json!({ "ResetType": order })).0
}

#[track_caller]
pub fn power_state(node: &str) -> String {
    redfish(node, "GET", "", &Value::Null).1["PowerState"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
pub fn has_power(node: &str) -> bool {
    let page = lab(&["status", "--format", "json"]).out;
    let page: Value = serde_json::from_str(&page).unwrap();
    let nodes = page["nodes"].as_array().unwrap();
    nodes.iter().find(|seen| seen["name"] == node).unwrap()["running"] == true
}

#[track_caller]
pub fn wait_until(what: &str, limit: Duration, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "{what} did not come about within {limit:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Puts everything back as the next test wants to find it.
fn mend(node: &str) {
    lab(&["bmc", node, "--honest"]).expect(0);
    lab(&["revive", node, "--wait"]).expect(0);
    wait_until("nova sees the node up", SEEN_LIMIT, || service_state(node) == "up");
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_cloud_comes_up_and_its_hypervisors_have_what_nova_says() {
    ready();
    lab(&["status"]).expect(0).says(&["cmp1", "cmp4", "power controllers serve"]);
    let servers = servers();
    assert_eq!(servers.len(), 8);
    for server in &servers {
        assert_eq!(server["status"], "ACTIVE");
        let host = server["OS-EXT-SRV-ATTR:host"].as_str().unwrap();
        assert!(guests(host, "running").contains(&server["id"].as_str().unwrap().to_owned()));
        assert!(server["addresses"]["lab"].is_array(), "a port each");
    }
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_fenced_node_is_evacuated_and_its_old_hypervisor_still_knows_the_guest() {
    ready();
    let server = servers()[0]["id"].as_str().unwrap().to_owned();
    let (old, _) = host_of(&server);
    assert_eq!(power_state(&old), "On");
    assert_eq!(reset(&old, "ForceOff"), 204);
    assert_eq!(power_state(&old), "Off");
    assert!(!has_power(&old));
    wait_until("nova sees the node down", SEEN_LIMIT, || service_state(&old) == "down");
    act(&server, &json!({ "evacuate": {} }));
    wait_until("the evacuation", MOVE_LIMIT, || host_of(&server).0 != old && host_of(&server).1 != "REBUILD");
    let (new, _) = host_of(&server);
    assert!(guests(&old, "no-power").contains(&server), "its disk remembers");
    let known = [guests(&new, "running"), guests(&new, "shutoff")].concat();
    assert!(known.contains(&server), "{known:?}");
    // With power again the old node finds out that the guest has left.
    mend(&old);
    wait_until("the old copy goes", SEEN_LIMIT, || !guests(&old, "shutoff").contains(&server));
    act(&server, &json!({ "os-start": null }));
    wait_until("the server runs", MOVE_LIMIT, || host_of(&server).1 == "ACTIVE");
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_cut_node_is_down_for_nova_and_runs_its_guests_all_the_same() {
    ready();
    let server = servers()[0]["id"].as_str().unwrap().to_owned();
    let (host, _) = host_of(&server);
    let before = guests(&host, "running");
    lab(&["cut", &host, "--network", "management", "--one-way", "out"]).expect(0);
    wait_until("nova sees the node down", SEEN_LIMIT, || service_state(&host) == "down");
    let status = lab(&["status"]).expect(4);
    assert_eq!(guests(&host, "running"), before);
    lab(&["mend", &host]).expect(0);
    status.says(&["cut out"]);
    wait_until("nova sees the node up", SEEN_LIMIT, || service_state(&host) == "up");
    lab(&["status"]).expect(0);
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn power_controllers_misbehave_when_they_are_told_to() {
    ready();
    lab(&["bmc", "cmp2", "--lie"]).expect(0);
    assert_eq!(
        (reset("cmp2", "ForceOff"), power_state("cmp2").as_str(), has_power("cmp2")),
        (204, "Off", true)
    );
    lab(&["bmc", "cmp2", "--stuck"]).expect(0);
    assert_eq!(
        (reset("cmp2", "ForceOff"), power_state("cmp2").as_str(), has_power("cmp2")),
        (204, "On", true)
    );
    lab(&["bmc", "cmp2", "--fail"]).expect(0);
    assert_eq!((reset("cmp2", "ForceOff"), has_power("cmp2")), (503, true));
    lab(&["bmc", "cmp2", "--hang"]).expect(0);
    assert_eq!((reset("cmp2", "ForceOff"), has_power("cmp2")), (0, true));
    lab(&["bmc", "cmp2", "--honest"]).expect(0);
    assert_eq!(reset("cmp2", "Explode"), 400);
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_guest_that_crashed_is_dead_on_its_hypervisor_only() {
    ready();
    let server = servers()[0]["id"].as_str().unwrap().to_owned();
    let (host, _) = host_of(&server);
    lab(&["hypervisor", &host, "--crash", &server]).expect(0);
    assert_eq!(guests(&host, "crashed"), std::slice::from_ref(&server));
    act(&server, &json!({ "reboot": { "type": "HARD" } }));
    wait_until("the guest runs again", MOVE_LIMIT, || guests(&host, "running").contains(&server));
    wait_until("the server is ACTIVE", MOVE_LIMIT, || host_of(&server).1 == "ACTIVE");
}
