//! Instance HA on real guests: libvirt and qemu run them, and each counts on its disk how often it has booted. What a recovery
//! has done is read from the disks, from the hypervisors, and from this machine's processes, whatever Nova says.
//!
//! A lab of its own, brought up if it is not there. Must never take Nova's word for a guest that runs.

use crate::ground::{Ended, binary, lab_named, run};
use crate::nova::{MOVE_LIMIT, SEEN_LIMIT, wait_until};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const REAL: &str = "real";
const COMPUTES: [&str; 2] = ["cmp1", "cmp2"];

/// From a power cut to a guest that is ACTIVE: half a minute where nothing else runs.
const RECOVERED_WITHIN: Duration = Duration::from_secs(240);
/// How long a guest may take to boot: some seconds, with qemu computing every instruction.
const BOOTED_WITHIN: Duration = Duration::from_secs(120);
/// A sector of a guest's disk.
const SECTOR: usize = 512;

fn lab(words: &[&str]) -> Ended {
    lab_named(REAL, words)
}

fn place(name: &str) -> PathBuf {
    PathBuf::from("/var/lib/ostler/lab").join(REAL).join(name)
}

/// A request to Nova with the administrator's rights.
#[track_caller]
fn nova(method: &str, path: &str, body: &Value) -> Value {
    let data = match body {
        Value::Null => String::new(),
        body => format!("-H 'Content-Type: application/json' -d '{body}'"),
    };
    let script = format!(
        ". /root/openrc; curl -s -X {method} -H \"X-Auth-Token: $(lab-token)\" -H 'OpenStack-API-Version: compute 2.95' \
         {data} \"$NOVA_URL{path}\""
    );
    let said = lab(&["ssh", "ctl1", "--", &script]).expect(0).out;
    serde_json::from_str(said.trim()).unwrap_or(Value::Null)
}

/// A server as Nova has it: identity, host, status.
fn servers() -> Vec<(String, String, String)> {
    let found = nova("GET", "/servers/detail?all_tenants=1", &Value::Null);
    let text = |server: &Value, name: &str| server[name].as_str().unwrap_or_default().to_owned();
    let all = found["servers"].as_array().cloned().unwrap_or_default();
    all.iter()
        .map(|server| (text(server, "id"), text(server, "OS-EXT-SRV-ATTR:host"), text(server, "status")))
        .collect()
}

fn server(id: &str) -> (String, String) {
    let found = servers().into_iter().find(|(found, _, _)| found == id);
    found.map(|(_, host, status)| (host, status)).unwrap_or_default()
}

/// The state that a node's own hypervisor says of a guest, if it has it.
#[track_caller]
fn state_on(node: &str, id: &str) -> Option<String> {
    let page = lab(&["hypervisor", node, "--format", "json"]).expect(0).out;
    let page: Value = serde_json::from_str(&page).unwrap();
    let guests = page["guests"].as_array().unwrap();
    let found = guests.iter().find(|guest| guest["uuid"] == id)?;
    Some(found["state"].as_str().unwrap().to_owned())
}

/// How many processes of this machine compute this guest, on whatever node.
fn processes_of(id: &str) -> usize {
    let lines = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = lines.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let is_it = |line: &Vec<u8>| {
        let mut words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        words.next().is_some_and(|program| program.contains("qemu-system")) && words.any(|word| word == id)
    };
    lines.filter(is_it).count()
}

/// What a guest has on its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Disk {
    /// What it drew when its disk was blank.
    name: String,
    /// How often it has booted.
    boots: u64,
    /// The boot that it counts seconds of, and how many.
    beat: (u64, u64),
}

fn disk(id: &str) -> Disk {
    let mut sectors = [0; 2 * SECTOR];
    let read = File::open(place("instances").join(id).join("disk"))
        .and_then(|mut file| file.read_exact(&mut sectors));
    if read.is_err() {
        return Disk::default();
    }
    let words = |sector: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(sector).replace('\0', "");
        text.split_whitespace().map(str::to_owned).collect()
    };
    let number = |words: &[String], at: usize| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(0);
    let (first, second) = (words(&sectors[..SECTOR]), words(&sectors[SECTOR..]));
    Disk {
        name: first.get(1).cloned().unwrap_or_default(),
        boots: number(&first, 1 + 1),
        beat: (number(&second, 1), number(&second, 1 + 1)),
    }
}

/// Waits until a guest has counted some seconds of this boot.
#[track_caller]
fn beats(id: &str, boots: u64) -> Disk {
    wait_until("a guest that counts on its disk", BOOTED_WITHIN, || {
        let seen = disk(id);
        seen.boots == boots && seen.beat.0 == boots && seen.beat.1 >= 3
    });
    disk(id)
}

/// Waits until a guest has booted and counts: Nova calls it ACTIVE some seconds earlier.
#[track_caller]
fn lives(id: &str) -> Disk {
    let was = disk(id);
    wait_until("a guest that has booted and counts", BOOTED_WITHIN, || {
        let now = disk(id);
        !now.name.is_empty() && now.beat.0 == now.boots && now.beat > was.beat
    });
    disk(id)
}

/// Waits until a guest counts on from what was read.
#[track_caller]
fn goes_on(id: &str, from: &Disk) {
    wait_until("a guest that goes on", BOOTED_WITHIN, || disk(id).beat > from.beat);
    let now = disk(id);
    assert_eq!((&now.name, now.boots), (&from.name, from.boots), "it has not booted since");
}

/// One hypervisor runs it, by one process.
#[track_caller]
fn runs_once(id: &str, host: &str) {
    for node in COMPUTES {
        let state = state_on(node, id);
        assert_eq!(state.as_deref() == Some("running"), node == host, "{id} is {state:?} on {node}");
    }
    assert_eq!(processes_of(id), 1, "processes of {id}");
}

/// The lab: every node on, every guest running.
#[track_caller]
fn ready() {
    if lab(&["status"]).code != 0 || servers().len() < COMPUTES.len() {
        lab(&["down"]).expect(0);
        let words = ["up", "--controllers", "1", "--release", "2025.1", "--with", "nova", "--virt", "qemu"];
        lab(&[&words[..], &["--computes", "2", "--instances", "2"]].concat()).expect(0);
    }
    for (id, host, status) in servers() {
        // What somebody let die, or an earlier test that failed.
        if status != "ACTIVE" || state_on(&host, &id).as_deref() != Some("running") {
            nova("POST", &format!("/servers/{id}/action"), &json!({ "reboot": { "type": "HARD" } }));
        }
    }
    wait_until("guests that run", MOVE_LIMIT, || {
        servers()
            .iter()
            .all(|(id, host, status)| status == "ACTIVE" && state_on(host, id).as_deref() == Some("running"))
    });
}

/// The server of instance HA, with both hosts in a segment and heard.
struct Server {
    scratch: tempfile::TempDir,
    child: Child,
    token: String,
}

impl Drop for Server {
    #[allow(clippy::print_stderr, reason = "what the server said is what a failed test is about")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- what the server said\n{}", self.said());
        }
    }
}

impl Server {
    #[track_caller]
    fn start() -> Server {
        let scratch = tempfile::tempdir().unwrap();
        let log = File::create(scratch.path().join("log")).unwrap();
        let mut command = Command::new(binary());
        command.arg("--config").arg(place("ostler.toml"));
        command.arg("--state").arg(scratch.path().join("state.db")).arg("serve");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let token = lab(&["ssh", "ctl1", "--", ". /root/openrc; lab-token"]).expect(0).out.trim().to_owned();
        let server = Server { scratch, child: command.spawn().unwrap(), token };
        wait_until("the server answers", SEEN_LIMIT, || {
            server.api("GET", "/segments", &Value::Null)["segments"].is_array()
        });
        let segment =
            json!({ "segment": { "name": "s1", "recovery_method": "auto", "service_type": "COMPUTE" } });
        let made = server.api("POST", "/segments", &segment);
        let segment = made["segment"]["uuid"].as_str().unwrap_or_else(|| panic!("no segment: {made}"));
        for node in COMPUTES {
            let host = json!({ "host": { "name": node, "type": "COMPUTE", "control_attributes": "-" } });
            let made = server.api("POST", &format!("/segments/{segment}/hosts"), &host);
            assert_eq!(made["host"]["name"], node, "{made}");
        }
        wait_until("every host is heard", SEEN_LIMIT, || {
            COMPUTES.iter().all(|node| server.said().contains(&format!("{node} is heard")))
        });
        server
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }

    fn api(&self, method: &str, path: &str, body: &Value) -> Value {
        let settings: toml::Table = std::fs::read_to_string(place("ostler.toml")).unwrap().parse().unwrap();
        let listen = settings["serve"]["listen"].as_str().unwrap();
        let mut command = Command::new("curl");
        command.args(["-s", "-m", "20", "-X", method, "-H", &format!("X-Auth-Token: {}", self.token)]);
        command.args(["-H", "Content-Type: application/json"]);
        if !body.is_null() {
            command.args(["-d", &body.to_string()]);
        }
        let said = command.arg(format!("http://{listen}/v1{path}")).output().unwrap();
        serde_json::from_slice(&said.stdout).unwrap_or(Value::Null)
    }

    /// Whether there was a notification of this kind, and all are dealt with.
    fn is_done_with(&self, kind: &str) -> bool {
        let page = self.api("GET", &format!("/notifications?type={kind}"), &Value::Null);
        let told = page["notifications"].as_array().cloned().unwrap_or_default();
        !told.is_empty() && told.iter().all(|one| one["status"] == "finished")
    }
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_guest_of_a_host_without_power_runs_elsewhere_with_its_disk_and_only_there() {
    ready();
    let server = Server::start();
    let all = servers();
    let (id, lost, _) = all[0].clone();
    let others: Vec<String> = all.iter().filter(|one| one.1 != lost).map(|one| one.0.clone()).collect();
    let before = lives(&id);
    runs_once(&id, &lost);
    let neighbours: Vec<Disk> = others.iter().map(|other| lives(other)).collect();

    lab(&["kill", &lost]).expect(0);
    assert_eq!(processes_of(&id), 0, "no power, no guest");
    assert_eq!(state_on(&lost, &id).as_deref(), Some("no-power"));
    wait_until("the recovery", RECOVERED_WITHIN, || server.is_done_with("COMPUTE_HOST"));
    let (host, status) = self::server(&id);
    assert_ne!(host, lost);
    assert_eq!(status, "ACTIVE");

    let after = beats(&id, before.boots + 1);
    assert_eq!(after.name, before.name, "the disk that it had");
    runs_once(&id, &host);
    let console = nova("POST", &format!("/servers/{id}/action"), &json!({ "os-getConsoleOutput": {} }));
    let says = format!("guest: {} has booted {} times", before.name, before.boots + 1);
    assert!(console["output"].as_str().is_some_and(|text| text.contains(&says)), "no `{says}` in {console}");
    for (other, was) in others.iter().zip(&neighbours) {
        goes_on(other, was);
    }

    // The old host knows the guest from its own disk, and the guest's disk is within its reach: it must let both be.
    let mut command = Command::new(binary());
    command.arg("--config").arg(place("ostler.toml"));
    command.arg("--state").arg(server.scratch.path().join("state.db")).args(["ha", "return", &lost, "--yes"]);
    run(command).expect(0);
    assert_eq!(state_on(&lost, &id), None, "its old copy");
    runs_once(&id, &host);
    goes_on(&id, &disk(&id));
    assert_eq!((disk(&id).name, disk(&id).boots), (before.name, before.boots + 1));
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn a_marked_guest_whose_process_dies_boots_again_with_its_disk() {
    ready();
    let server = Server::start();
    let (id, host, _) = servers()[0].clone();
    nova("POST", &format!("/servers/{id}/metadata"), &json!({ "metadata": { "HA_Enabled": "True" } }));
    let before = lives(&id);
    lab(&["hypervisor", &host, "--crash", &id]).expect(0);
    wait_until("the recovery", RECOVERED_WITHIN, || server.is_done_with("VM"));
    let after = beats(&id, before.boots + 1);
    assert_eq!(after.name, before.name);
    runs_once(&id, &host);
    wait_until("nova knows", SEEN_LIMIT, || self::server(&id) == (host.clone(), "ACTIVE".to_owned()));
}
