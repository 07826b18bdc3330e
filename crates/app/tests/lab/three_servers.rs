//! Instance HA on three controllers: a server on each, their state in the cloud's own database cluster. The one that is at work
//! dies, and another machine's goes on.
//!
//! Each server runs in the network and by the name of its node, on this machine's processors. Must never leave servers or
//! their database behind for the next test.

use crate::failed_creates::ask;
use crate::ground::{binary, lab_named};
use crate::health::{CLOUD, Mended, directory, lab, network, on, ready};
use crate::nova::{MOVE_LIMIT, SEEN_LIMIT, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CONTROLLERS: [&str; 3] = ["ctl1", "ctl2", "ctl3"];
const COMPUTES: [&str; 2] = ["cmp1", "cmp2"];

/// Where each server answers, and where it hears heartbeats, at its node's own address.
const API_PORT: u16 = 15_870;
const HEARTBEAT_PORT: u16 = 15_871;

/// A lease ends after ten seconds; it is asked about twice a second, on a machine that does much else.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(20);

/// From a power cut to the last instance that is ACTIVE.
const RECOVERED_WITHIN: Duration = Duration::from_secs(240);

fn address(controller: &str) -> String {
    format!("{}.1{}", network(), controller.trim_start_matches("ctl"))
}

fn state() -> String {
    format!("mysql://ostler:ostler@{}.10/ostler", network())
}

/// The servers, and what they are made of.
struct Servers {
    children: BTreeMap<&'static str, Child>,
    logs: tempfile::TempDir,
    _database: Mended,
}

impl Drop for Servers {
    #[allow(clippy::print_stderr, reason = "what the servers said is what a failed test is about")]
    fn drop(&mut self) {
        for name in CONTROLLERS {
            self.kill(name);
            let _ = std::fs::remove_file(settings(name));
            if std::thread::panicking() {
                eprintln!("--- what the server on {name} said\n{}", self.said(name));
            }
        }
    }
}

fn settings(controller: &str) -> PathBuf {
    directory().join(format!("server-{controller}.toml"))
}

impl Servers {
    #[track_caller]
    fn start() -> Servers {
        on(
            "ctl1",
            "mysql -e \"DROP DATABASE IF EXISTS ostler; CREATE DATABASE ostler; \
             CREATE USER IF NOT EXISTS ostler@'%' IDENTIFIED BY 'ostler'; GRANT ALL ON ostler.* TO ostler@'%'\"",
        );
        let gone = "mysql -e 'DROP DATABASE IF EXISTS ostler; DROP USER IF EXISTS ostler'";
        let database = Mended::by(move || drop(lab(&["ssh", "ctl1", "--", gone])));
        let mut servers =
            Servers { children: BTreeMap::new(), logs: tempfile::tempdir().unwrap(), _database: database };
        for name in CONTROLLERS {
            servers.launch(name);
        }
        servers
    }

    #[track_caller]
    fn launch(&mut self, name: &'static str) {
        let whole = std::fs::read_to_string(directory().join("ostler.toml")).unwrap();
        let (clouds, _) = whole.split_once("\n[serve]").expect("a lab with instance HA");
        let own = address(name);
        let text = format!(
            "{clouds}\n[serve]\nlisten = \"{own}:{API_PORT}\"\nclouds-yaml = \"clouds.yaml\"\nclouds-entry = \"{CLOUD}\"\n\
             server-keys = [\"server.key\"]\n\n[serve.recovery]\nheartbeat-listen = [\"{own}:{HEARTBEAT_PORT}\"]\n"
        );
        std::fs::write(settings(name), text).unwrap();
        let log = File::create(self.logs.path().join(name)).unwrap();
        let mut command = Command::new("nsenter");
        command.args([&format!("--target={}", init_of(name)), "--net", "--uts", "--"]).arg(binary());
        command.arg("--config").arg(settings(name)).args(["--state", &state(), "--format", "json", "serve"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.children.insert(name, command.spawn().unwrap());
    }

    fn kill(&mut self, name: &str) {
        if let Some(mut child) = self.children.remove(name) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.logs.path().join(name)).unwrap_or_default()
    }

    /// Who has the lease of a host's outage.
    fn at_work(&self, host: &str) -> Option<String> {
        let asked = format!("SELECT owner FROM ostler.lease WHERE name = 'ha/{host}' AND until > 0");
        let owner = on("ctl1", &format!("mysql -N -B -e \"{asked}\""));
        owner.split('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
    }
}

/// The first process of a node.
#[track_caller]
fn init_of(node: &str) -> u32 {
    let place = directory().join("nodes").join(node);
    let script = format!("pgrep -P $(pgrep -of 'systemd-nspawn.*{}/')", place.display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    found.lines().next().and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("no node {node}: {found}"))
}

/// Monitors that speak to these servers, until the test is over.
#[track_caller]
fn monitors_speak_to_them() -> Mended {
    let back =
        "mv /etc/ostler/monitor.toml.before /etc/ostler/monitor.toml; systemctl restart ostler-monitor-host";
    let mended = Mended::by(move || COMPUTES.iter().for_each(|node| drop(lab(&["ssh", node, "--", back]))));
    let listed = |port: u16, before: &str, after: &str| {
        let all = CONTROLLERS.map(|name| format!("\"{before}{}:{port}{after}\"", address(name)));
        all.join(", ")
    };
    let text = format!(
        "key-file = \"host.key\"\n\n[reports]\nservers = [{}]\n\n[heartbeat.networks.management]\nservers = [{}]\n",
        listed(API_PORT, "http://", "/v1"),
        listed(HEARTBEAT_PORT, "", "")
    );
    for node in COMPUTES {
        let script = format!(
            "cp /etc/ostler/monitor.toml /etc/ostler/monitor.toml.before\ncat > /etc/ostler/monitor.toml <<'END'\n{text}END\n\
             systemctl restart ostler-monitor-host"
        );
        on(node, &script);
    }
    mended
}

/// One segment with both compute nodes, made at the last of the servers: they share one register.
#[track_caller]
fn segment() {
    let token = on("ctl1", ". /root/openrc; lab-token");
    let post = |path: &str, body: &Value| -> Value {
        let url = format!("http://{}:{API_PORT}/v1{path}", address("ctl3"));
        let mut command = Command::new("curl");
        command.args(["-s", "-m", "20", "-H", &format!("X-Auth-Token: {token}")]);
        command.args(["-H", "Content-Type: application/json", "-d", &body.to_string(), &url]);
        let output = command.output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    };
    let body = json!({ "segment": { "name": "s1", "recovery_method": "auto", "service_type": "COMPUTE" } });
    let made = post("/segments", &body);
    let id = made["segment"]["uuid"].as_str().unwrap_or_else(|| panic!("no segment: {made}"));
    for node in COMPUTES {
        let body = json!({ "host": { "name": node, "type": "COMPUTE", "control_attributes": "-" } });
        let made = post(&format!("/segments/{id}/hosts"), &body);
        assert_eq!(made["host"]["name"], node, "{made}");
    }
}

/// Servers by identity: host and status.
fn placed() -> BTreeMap<String, (String, String)> {
    let found = ask("GET", 8774, "/v2.1/servers/detail?all_tenants=1", &Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = found["servers"].as_array().cloned().unwrap_or_default();
    all.iter()
        .map(|server| (text(&server["id"]), (text(&server["OS-EXT-SRV-ATTR:host"]), text(&server["status"]))))
        .collect()
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn what_a_dead_server_leaves_is_ended_by_another_machine_s() {
    ready();
    wait_until("all servers run", MOVE_LIMIT, || {
        let all = placed();
        !all.is_empty() && all.values().all(|(_, status)| status == "ACTIVE")
    });
    let mut servers = Servers::start();
    wait_until("all three answer", SEEN_LIMIT, || {
        CONTROLLERS.iter().all(|name| servers.said(name).contains("listening to heartbeats"))
    });
    segment();
    let _monitors = monitors_speak_to_them();
    wait_until("all three hear both hosts", SEEN_LIMIT, || {
        CONTROLLERS
            .iter()
            .all(|name| COMPUTES.iter().all(|node| servers.said(name).contains(&format!("{node} is heard"))))
    });
    let count = |host: &str| placed().values().filter(|(at, _)| at == host).count();
    let lost = COMPUTES.into_iter().max_by_key(|host| count(host)).unwrap();
    let those: Vec<String> =
        placed().into_iter().filter(|(_, (host, _))| host == lost).map(|(id, _)| id).collect();
    assert!(!those.is_empty());
    let began = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
    lab(&["kill", lost]).expect(0);
    let is_moving = |said: &str| {
        said.lines().any(|line| {
            let said: Value = serde_json::from_str(line).unwrap_or_default();
            let step = said["event"]["step"].as_str().unwrap_or_default();
            said["event"]["event"] == "intended" && step.starts_with("move-")
        })
    };
    let at_it = || CONTROLLERS.into_iter().find(|name| is_moving(&servers.said(name)));
    wait_until("something moves", RECOVERED_WITHIN, || at_it().is_some());
    let first = at_it().unwrap();
    assert_eq!(servers.at_work(lost).as_deref(), Some(first), "who is at it has the lease");
    servers.kill(first);
    let died = Instant::now();
    let other = || servers.at_work(lost).filter(|name| name != first);
    wait_until("another one is at it, or it is over", TAKEN_OVER_WITHIN, || {
        other().is_some() || CONTROLLERS.iter().any(|name| servers.said(name).contains(": recovered: "))
    });
    assert!(died.elapsed() < TAKEN_OVER_WITHIN);
    wait_until("the recovery", RECOVERED_WITHIN, || {
        let all = placed();
        those.iter().all(|id| all[id].0 != lost && all[id].1 == "ACTIVE")
    });
    wait_until("another machine's server says so", RECOVERED_WITHIN, || {
        CONTROLLERS.iter().any(|name| *name != first && servers.said(name).contains(": recovered: "))
    });
    for id in &those {
        let path = format!("/v2.1/os-migrations?instance_uuid={id}&migration_type=evacuation");
        let found = ask("GET", 8774, &path, &Value::Null);
        let all = found["migrations"].as_array().unwrap();
        let from_there = all.iter().filter(|one| {
            one["source_compute"] == lost && one["created_at"].as_str() >= Some(began.as_str())
        });
        assert_eq!(from_there.count(), 1, "evacuations of {id}");
    }
    // The way back, by whoever is left.
    let mut command = Command::new(binary());
    command.arg("--config").arg(directory().join("ostler.toml")).args(["--state", &state()]);
    let ended = command.args(["ha", "return", lost, "--yes"]).stdin(Stdio::null()).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    lab_named(CLOUD, &["status"]).expect(0);
}
