//! Instance HA on a cloud with a real Nova: hosts lose power and networks, guests and processes die, and `ostler serve` brings
//! back what can be brought back. Whether a guest runs twice is asked of the hypervisors themselves.

use crate::ground::binary;
use crate::nova::{
    COMPUTES, MOVE_LIMIT, NOVA, SEEN_LIMIT, act, guests, has_power, host_of, lab, nova, on_controller, ready,
    servers, service_state, wait_until,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// From a power cut to the last instance that is ACTIVE: two dozen seconds where nothing else runs.
const RECOVERED_WITHIN: Duration = Duration::from_secs(240);

/// Long enough for a host to be taken for dead if anything did.
const NOT_DEAD_FOR: Duration = Duration::from_secs(25);

/// The server of instance HA, and the register of one test.
struct Server {
    scratch: tempfile::TempDir,
    child: Option<Child>,
    token: String,
    segment: String,
}

impl Drop for Server {
    #[allow(clippy::print_stderr, reason = "what the server said is what a failed test is about")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!(
                "--- what the server said\n{}",
                std::fs::read_to_string(self.log()).unwrap_or_default()
            );
        }
    }
}

fn state(name: &str) -> PathBuf {
    Path::new("/var/lib/ostler/lab").join(NOVA).join(name)
}

impl Server {
    /// A server with all compute nodes in one segment; those named are kept in reserve.
    #[track_caller]
    fn start(method: &str, reserved: &[&str]) -> Server {
        let mut server = Server {
            scratch: tempfile::tempdir().unwrap(),
            child: None,
            token: on_controller(". /root/openrc; lab-token"),
            segment: String::new(),
        };
        server.launch(&[]);
        wait_until("the server answers", SEEN_LIMIT, || {
            server.api("GET", "/segments", &Value::Null)["segments"].is_array()
        });
        let segment =
            json!({ "segment": { "name": "s1", "recovery_method": method, "service_type": "COMPUTE" } });
        let made = server.api("POST", "/segments", &segment);
        server.segment = made["segment"]["uuid"].as_str().unwrap().to_owned();
        for name in COMPUTES {
            let reserved = reserved.contains(&name);
            let host =
                json!({ "name": name, "type": "COMPUTE", "control_attributes": "-", "reserved": reserved });
            let made =
                server.api("POST", &format!("/segments/{}/hosts", server.segment), &json!({ "host": host }));
            assert_eq!(made["host"]["name"], name, "{made}");
        }
        wait_until("every host is heard", SEEN_LIMIT, || {
            let said = std::fs::read_to_string(server.log()).unwrap();
            COMPUTES.iter().all(|node| said.contains(&format!("{node} is heard")))
        });
        server
    }

    fn log(&self) -> PathBuf {
        self.scratch.path().join("log")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("--config").arg(state("ostler.toml"));
        command.arg("--state").arg(self.scratch.path().join("state.db")).args(words).stdin(Stdio::null());
        command
    }

    fn launch(&mut self, words: &[&str]) {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = self.command(&[&["serve"], words].concat());
        self.child = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A request to the server with the administrator's token.
    fn api(&self, method: &str, path: &str, body: &Value) -> Value {
        let settings: toml::Table = std::fs::read_to_string(state("ostler.toml")).unwrap().parse().unwrap();
        let listen = settings["serve"]["listen"].as_str().unwrap();
        let mut command = Command::new("curl");
        command.args(["-s", "-m", "20", "-X", method, "-H", &format!("X-Auth-Token: {}", self.token)]);
        command.args([
            "-H",
            "OpenStack-API-Version: instance-ha 1.3",
            "-H",
            "Content-Type: application/json",
        ]);
        if !body.is_null() {
            command.args(["-d", &body.to_string()]);
        }
        let said = command.arg(format!("http://{listen}/v1{path}")).output().unwrap();
        serde_json::from_slice(&said.stdout).unwrap_or(Value::Null)
    }

    fn notifications(&self, kind: &str) -> Vec<Value> {
        let page = self.api("GET", &format!("/notifications?type={kind}"), &Value::Null);
        page["notifications"].as_array().cloned().unwrap_or_default()
    }

    fn host(&self, name: &str) -> Value {
        let page = self.api("GET", &format!("/segments/{}/hosts", self.segment), &Value::Null);
        let hosts = page["hosts"].as_array().cloned().unwrap_or_default();
        hosts.into_iter().find(|host| host["name"] == name).unwrap_or_default()
    }

    /// Waits until a host's outage is over, and everything that was on it runs elsewhere.
    #[track_caller]
    fn recovers(&self, lost: &str, those: &[String]) {
        wait_until("the recovery", RECOVERED_WITHIN, || {
            let told = self.notifications("COMPUTE_HOST");
            !told.is_empty() && told.iter().all(|one| one["status"] == "finished")
        });
        assert!(!has_power(lost), "{lost} was fenced before anything moved");
        for id in those {
            let (host, status) = host_of(id);
            assert_ne!(host, lost, "{id}");
            assert_eq!(status, "ACTIVE", "{id} on {host}");
        }
        each_runs_once();
    }
}

impl Server {
    /// Takes a host into use again: it has power, none of its old guests, and is let in.
    #[track_caller]
    fn returned(&self, host: &str) {
        let ended = self.command(&["ha", "return", host, "--yes"]).output().unwrap();
        let said =
            [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(ended.status.success(), "{said}");
        assert!(has_power(host));
        let service = services().into_iter().find(|service| service["host"] == host).unwrap();
        assert_eq!((&service["state"], &service["status"]), (&json!("up"), &json!("enabled")), "{service}");
        assert_eq!(service["forced_down"], false);
        assert_eq!(self.host(host)["on_maintenance"], false);
        let left = [guests(host, "running"), guests(host, "shutoff")].concat();
        assert!(left.iter().all(|id| host_of(id).0 == host), "{left:?} are copies");
        each_runs_once();
    }
}

impl Server {
    /// What runs is moved back to a host, while it runs.
    #[track_caller]
    fn moved_back(&self, host: &str, those: &[String]) {
        let ended = self.command(&["ha", "move-back", host, "--yes"]).output().unwrap();
        let said =
            [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(ended.status.success(), "{said}");
        for id in those {
            assert_eq!(host_of(id), (host.to_owned(), "ACTIVE".to_owned()), "{id}\n{said}");
        }
        each_runs_once();
    }
}

/// The servers on a host.
fn on_host(host: &str) -> Vec<String> {
    let all = servers();
    let here = all.iter().filter(|server| server["OS-EXT-SRV-ATTR:host"] == host);
    here.map(|server| server["id"].as_str().unwrap().to_owned()).collect()
}

/// The compute node with most servers, apart from some.
fn busiest(apart_from: &[&str]) -> String {
    let nodes = COMPUTES.iter().filter(|node| !apart_from.contains(node));
    nodes.max_by_key(|node| on_host(node).len()).unwrap().to_string()
}

/// No guest runs on two hypervisors that have power, and Nova knows where it is.
#[track_caller]
fn each_runs_once() {
    let mut seen: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for node in COMPUTES {
        for guest in guests(node, "running") {
            seen.entry(guest).or_default().push(node);
        }
    }
    for (guest, nodes) in seen {
        assert_eq!(nodes, [host_of(&guest).0.as_str()], "{guest}");
    }
}

fn services() -> Vec<Value> {
    let found = nova("GET", "/os-services?binary=nova-compute", &Value::Null);
    found["services"].as_array().cloned().unwrap_or_default()
}

/// The lab as it was before anything failed: every node on, whole, enabled, with something to lose on each.
#[track_caller]
fn whole() {
    // A lab that is there is mended; only another one is made anew.
    if lab(&["ssh", "ctl1", "--", "true"]).code == 0 {
        for node in COMPUTES {
            lab(&["bmc", node, "--honest"]).expect(0);
            if !has_power(node) {
                lab(&["revive", node, "--wait"]).expect(0);
            }
            lab(&["mend", node]).expect(0);
        }
    }
    ready();
    for node in COMPUTES {
        lab(&["ssh", node, "--", "systemctl unmask --runtime nova-compute; systemctl start nova-compute"])
            .expect(0);
    }
    // Nova refuses while a node has not found out yet which of its guests have left.
    wait_until("every compute node is in use", SEEN_LIMIT, || {
        let all = services();
        for service in &all {
            let path = format!("/os-services/{}", service["id"].as_str().unwrap());
            if service["forced_down"] == true {
                nova("PUT", &path, &json!({ "forced_down": false }));
            }
            if service["status"] == "disabled" {
                nova("PUT", &path, &json!({ "status": "enabled" }));
            }
        }
        all.iter().all(|service| service["state"] == "up" && service["status"] == "enabled")
    });
    // Copies that were left behind by an evacuation go when their old host finds out.
    wait_until("old copies are gone", SEEN_LIMIT, || {
        let all: Vec<String> = COMPUTES
            .iter()
            .flat_map(|node| [guests(node, "running"), guests(node, "shutoff")].concat())
            .collect();
        all.len() == all.iter().collect::<BTreeSet<_>>().len()
    });
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_host_without_power_is_missed_fenced_and_its_instances_come_back() {
    whole();
    let server = Server::start("auto", &[]);
    let lost = busiest(&[]);
    let mut those = on_host(&lost);
    let stopped = those.pop().unwrap();
    act(&stopped, &json!({ "os-stop": null }));
    wait_until("it is stopped", MOVE_LIMIT, || host_of(&stopped).1 == "SHUTOFF");
    lab(&["kill", &lost]).expect(0);
    server.recovers(&lost, &those);
    let (host, status) = host_of(&stopped);
    assert_ne!(host, lost);
    assert_eq!(status, "SHUTOFF", "what was stopped stays stopped");
    let told = server.notifications("COMPUTE_HOST");
    let moves = server.api(
        "GET",
        &format!("/notifications/{}/vmoves", told[0]["notification_uuid"].as_str().unwrap()),
        &Value::Null,
    );
    let moves = moves["vmoves"].as_array().unwrap();
    assert_eq!(moves.len(), those.len() + 1);
    assert!(
        moves.iter().all(|one| one["status"] == "succeeded" && one["source_host"] == lost.as_str()),
        "{moves:?}"
    );
    assert_eq!(server.host(&lost)["on_maintenance"], true, "it is out until it is returned");
    server.returned(&lost);
    server.moved_back(&lost, &those);
    assert_eq!(host_of(&stopped), (host, status), "what is stopped stays where it is");
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_host_that_was_cut_off_is_fenced_before_anything_moves() {
    whole();
    let server = Server::start("auto", &[]);
    let lost = busiest(&[]);
    let those = on_host(&lost);
    lab(&["cut", &lost]).expect(0);
    assert!(has_power(&lost), "its guests run all the same");
    let began = Instant::now();
    let mut fenced = false;
    while !fenced {
        assert!(began.elapsed() < RECOVERED_WITHIN, "{lost} was not fenced");
        fenced = !has_power(&lost);
        if !fenced {
            assert!(those.iter().all(|id| host_of(id).0 == lost), "something moved before the fence");
        }
    }
    server.recovers(&lost, &those);
    // Its disk still has every guest that it ran when it was cut off. With its power it gets whole links again.
    server.returned(&lost);
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_host_that_is_heard_on_one_network_is_left_alone() {
    whole();
    let server = Server::start("auto", &[]);
    let host = busiest(&[]);
    lab(&["cut", &host, "--network", "management"]).expect(0);
    wait_until("nova sees the node down", SEEN_LIMIT, || service_state(&host) == "down");
    std::thread::sleep(NOT_DEAD_FOR);
    assert!(has_power(&host));
    assert!(server.notifications("COMPUTE_HOST").is_empty());
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn nothing_is_fenced_when_every_host_falls_silent() {
    whole();
    let server = Server::start("auto", &[]);
    // A switch that dies takes all at the same moment.
    let cuts = COMPUTES.map(|node| std::thread::spawn(move || lab(&["cut", node]).expect(0)));
    for cut in cuts {
        cut.join().unwrap();
    }
    wait_until("nova sees all nodes down", SEEN_LIMIT, || {
        COMPUTES.iter().all(|node| service_state(node) == "down")
    });
    std::thread::sleep(NOT_DEAD_FOR);
    assert!(COMPUTES.iter().all(|node| has_power(node)));
    drop(server);
}

/// A power cut under a method: where everything lands.
#[track_caller]
fn lands(method: &str, spare: &str) -> (Server, BTreeSet<String>) {
    whole();
    // A reserved host is kept out of the scheduler's way by its operator.
    let reserve = services().into_iter().find(|service| service["host"] == spare).unwrap();
    let disabled = json!({ "status": "disabled", "disabled_reason": "reserved" });
    nova("PUT", &format!("/os-services/{}", reserve["id"].as_str().unwrap()), &disabled);
    let server = Server::start(method, &[spare]);
    let lost = busiest(&[spare]);
    let those = on_host(&lost);
    assert!(!those.is_empty());
    lab(&["kill", &lost]).expect(0);
    server.recovers(&lost, &those);
    (server, those.iter().map(|id| host_of(id).0).collect())
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn by_reserved_host_everything_lands_on_the_spare_which_is_one_no_more() {
    let (server, landed) = lands("reserved_host", "cmp4");
    assert_eq!(landed, BTreeSet::from(["cmp4".to_owned()]));
    assert_eq!(server.host("cmp4")["reserved"], false);
    assert!(services().iter().any(|service| service["host"] == "cmp4" && service["status"] == "enabled"));
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn by_rh_priority_the_spare_comes_first() {
    let (_server, landed) = lands("rh_priority", "cmp4");
    assert_eq!(landed, BTreeSet::from(["cmp4".to_owned()]));
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn by_auto_priority_the_spare_is_not_touched_while_others_have_room() {
    let (server, landed) = lands("auto_priority", "cmp4");
    assert!(!landed.contains("cmp4"), "{landed:?}");
    assert_eq!(server.host("cmp4")["reserved"], true);
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_guest_that_died_is_started_again_if_it_is_marked() {
    whole();
    let server = Server::start("auto", &[]);
    let id = servers()[0]["id"].as_str().unwrap().to_owned();
    let (host, _) = host_of(&id);
    nova("POST", &format!("/servers/{id}/metadata"), &json!({ "metadata": { "HA_Enabled": "True" } }));
    lab(&["hypervisor", &host, "--crash", &id]).expect(0);
    let report = json!({ "notification": {
        "type": "VM", "hostname": host, "generated_time": "2026-11-27T21:54:16.950951",
        "payload": { "event": "LIFECYCLE", "instance_uuid": id, "vir_domain_event": "STOPPED_FAILED" },
    }});
    let taken = server.api("POST", "/notifications", &report);
    assert_eq!(taken["notification"]["status"], "new", "{taken}");
    wait_until("the guest runs again", MOVE_LIMIT, || guests(&host, "running").contains(&id));
    wait_until("the report is answered", MOVE_LIMIT, || {
        server.notifications("VM").iter().all(|one| one["status"] == "finished")
    });
    assert_eq!(host_of(&id), (host, "ACTIVE".to_owned()));
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_host_whose_compute_process_stays_away_gets_nothing_new() {
    whole();
    let server = Server::start("auto", &[]);
    let host = busiest(&[]);
    let before = on_host(&host);
    lab(&["ssh", &host, "--", "systemctl mask --runtime nova-compute; systemctl kill -s KILL nova-compute"])
        .expect(0);
    wait_until("the report of the host's own monitor", SEEN_LIMIT, || {
        server.notifications("PROCESS").iter().any(|one| one["status"] == "finished")
    });
    assert!(
        services().iter().any(|service| service["host"] == host.as_str() && service["status"] == "disabled")
    );
    assert_eq!(server.host(&host)["on_maintenance"], true);
    assert!(has_power(&host), "its guests run: nobody fences it");
    assert_eq!(on_host(&host), before);
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_host_that_is_worked_on_is_switched_off_and_nothing_moves() {
    whole();
    let server = Server::start("auto", &[]);
    let host = busiest(&[]);
    let before = on_host(&host);
    let words = ["ha", "maintain", &host, "--because", "new memory", "--yes"];
    let ended = server.command(&words).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let service = services().into_iter().find(|service| service["host"] == host.as_str()).unwrap();
    assert_eq!(service["disabled_reason"], "ostler: maintenance: new memory", "{service}");
    assert_eq!(server.host(&host)["on_maintenance"], true);
    lab(&["kill", &host]).expect(0);
    wait_until("nova sees the node down", SEEN_LIMIT, || service_state(&host) == "down");
    std::thread::sleep(NOT_DEAD_FOR);
    assert!(server.notifications("COMPUTE_HOST").is_empty());
    assert_eq!(on_host(&host), before);
    server.returned(&host);
    // Nova starts no guests of a host that had no power: their owners do.
    for id in &before {
        act(id, &json!({ "reboot": { "type": "HARD" } }));
    }
    wait_until("the guests run again", MOVE_LIMIT, || {
        let running = guests(&host, "running");
        before.iter().all(|id| running.contains(id) && host_of(id).1 == "ACTIVE")
    });
}

/// More kills than a recovery has entries.
const KILLS_MAX: usize = 300;

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn killed_after_every_entry_of_a_recovery_it_forgets_nothing_and_moves_nothing_twice() {
    whole();
    let mut server = Server::start("auto", &[]);
    // It dies before the host does, so that only a later one can miss it.
    server.kill();
    let began = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let lost = busiest(&[]);
    let those = on_host(&lost);
    lab(&["kill", &lost]).expect(0);
    let mut kills = 0;
    loop {
        let mut command = server.command(&["--format", "json", "serve"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut is_over = false;
        for line in lines {
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            is_over = said["says"].as_str().is_some_and(|says| says.contains(": recovered: "));
            // After its taking up again the next entry is a new one; and whoever dies after each intent begins nothing.
            let event = &said["event"];
            let is_again = event["event"] == "intended" && event["attempt"] != 1;
            let is_new = said["seq"].is_u64() && event["event"] != "resumed" && !is_again;
            if is_over || is_new {
                break;
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        kills += 1;
        assert!(kills < KILLS_MAX, "no end after {kills} kills");
        if is_over {
            break;
        }
    }
    assert!(kills > those.len() * 2, "only {kills} kills for {} moves", those.len());
    server.launch(&[]);
    wait_until("the server answers", SEEN_LIMIT, || !server.notifications("COMPUTE_HOST").is_empty());
    server.recovers(&lost, &those);
    for id in &those {
        let records = nova(
            "GET",
            &format!("/os-migrations?instance_uuid={id}&migration_type=evacuation"),
            &Value::Null,
        );
        let from_there = records["migrations"].as_array().unwrap().iter().filter(|one| {
            one["source_compute"] == lost.as_str() && one["created_at"].as_str() >= Some(began.as_str())
        });
        assert_eq!(from_there.count(), 1, "evacuations of {id}");
    }
}

/// A program of the clients' own Python, with the lab's administrator under the names that the SDK's tests want.
#[track_caller]
fn client(scratch: &Path, program: &str, words: &[&str]) -> String {
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cache"));
    let program = home.join("ostler/clients/bin").join(program);
    let output = Command::new(&program)
        .args(words)
        .current_dir(scratch)
        .env("OS_CLIENT_CONFIG_FILE", scratch.join("clouds.yaml"))
        .env("OS_CLOUD", "devstack-admin")
        .env("OPENSTACKSDK_FLAVOR", "tiny")
        .env("OPENSTACKSDK_IMAGE", "blank")
        .env("OSTLER_TEST_HOST", COMPUTES[0])
        .env("OSTLER_TEST_SECOND_HOST", COMPUTES[1])
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{} {words:?}: {said}", program.display());
    said.trim().to_owned()
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn the_sdk_s_own_tests_and_the_command_line_pass_with_a_real_keystone_and_nova() {
    ready();
    let scratch = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(state("clouds.yaml")).unwrap();
    let (head, own) = text.split_once(&format!("  {NOVA}:\n")).unwrap();
    let names = ["devstack", "devstack-alt", "devstack-admin", "devstack-system-admin"];
    let all: String = names.iter().map(|name| format!("  {name}:\n{own}")).collect();
    std::fs::write(scratch.path().join("clouds.yaml"), format!("{head}{all}")).unwrap();
    let client = |program: &str, words: &[&str]| client(scratch.path(), program, words);
    // Without a recovery: what clients see is another matter than what becomes of it.
    let settings = scratch.path().join("serve.toml");
    let listen = format!("clouds-yaml = \"{}\"\nclouds-entry = \"{NOVA}\"\n", state("clouds.yaml").display());
    std::fs::write(&settings, format!("[serve]\nlisten = \"127.0.0.1:0\"\n{listen}")).unwrap();
    let mut command = Command::new(binary());
    command.arg("--config").arg(&settings).arg("--state").arg(scratch.path().join("state.db")).arg("serve");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("on http://")).expect("it listens");
    let port = line.split(':').nth(2).unwrap().split(' ').next().unwrap().to_owned();
    let _server = Server {
        scratch: tempfile::tempdir().unwrap(),
        child: Some(child),
        token: String::new(),
        segment: String::new(),
    };
    std::thread::spawn(move || lines.for_each(drop));
    if !client("openstack", &["service", "list", "-f", "value", "-c", "Type"]).contains("instance-ha") {
        client("openstack", &["service", "create", "--name", "masakari", "instance-ha"]);
    }
    let url = format!("http://127.0.0.1:{port}/v1/%(project_id)s");
    let words = [
        "endpoint",
        "create",
        "--region",
        "RegionOne",
        "instance-ha",
        "public",
        &url,
        "-f",
        "value",
        "-c",
        "id",
    ];
    let endpoint = client("openstack", &words);
    let own =
        ["test_segment", "test_host"].map(|name| format!("openstack.tests.functional.instance_ha.v1.{name}"));
    let said = client("python", &["-m", "testtools.run", &own[0], &own[1]]);
    let talk = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/talk.py");
    let also = client("python", &[talk.to_str().unwrap(), "cli", "-"]);
    client("openstack", &["endpoint", "delete", &endpoint]);
    assert!(said.contains("Ran 4 tests") && said.contains("OK"), "{said}");
    assert!(also.contains("all as with Masakari"), "{also}");
}
