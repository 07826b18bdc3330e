//! The server of instance HA with a real Keystone in front: the real clients, roles, and a token that is revoked.

use crate::ground::*;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a revoked token may still be taken: as long as an answer is remembered, and some more.
const REVOKED_WITHIN: Duration = Duration::from_secs(30);

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program of the clients' own Python, with the lab's admin.
fn client(ground: &Ground, program: &str, words: &[&str]) -> (bool, String) {
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cache"));
    let program = home.join("ostler/clients/bin").join(program);
    assert!(program.exists(), "{} is missing: `./test` installs it", program.display());
    let output = Command::new(program)
        .args(words)
        .current_dir(ground.scratch.path())
        .env("OS_CLIENT_CONFIG_FILE", "/var/lib/ostler/lab/test/clouds.yaml")
        .env("OS_CLOUD", LAB)
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.success(), said)
}

#[track_caller]
fn openstack(ground: &Ground, words: &[&str]) -> String {
    let (is_done, said) = client(ground, "openstack", words);
    assert!(is_done, "openstack {words:?}: {said}");
    said.trim().to_owned()
}

fn status(url: &str, token: &str) -> String {
    let output = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", &format!("X-Auth-Token: {token}"), url])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "needs root and a lab: ./test lab"]
fn h0_clients_reach_the_server_by_a_real_keystone() {
    let ground = ready("2025.1", HEADS_2024_1);
    let settings = ground.scratch.path().join("serve.toml");
    let text = "[serve]\nlisten = \"127.0.0.1:0\"\nclouds-yaml = \"/var/lib/ostler/lab/test/clouds.yaml\"\n\
                clouds-entry = \"test\"\ntoken-cache = \"5s\"\n";
    std::fs::write(&settings, text).unwrap();
    let state = ground.scratch.path().join("serve.db");
    let binary =
        std::env::var_os("OSTLER").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_ostler")), PathBuf::from);
    let mut child = Command::new(binary);
    child.arg("--config").arg(&settings).arg("--state").arg(&state).arg("serve");
    let mut server = Server(child.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("on http://")).expect("it listens");
    let port = line.split(":").nth(2).unwrap().split(' ').next().unwrap().to_owned();
    std::thread::spawn(move || lines.for_each(drop));

    let (_, known) = client(&ground, "openstack", &["service", "list", "-f", "value", "-c", "Type"]);
    if !known.lines().any(|kind| kind == "instance-ha") {
        openstack(&ground, &["service", "create", "--name", "masakari", "instance-ha"]);
    }
    let base = format!("http://127.0.0.1:{port}/v1");
    let url = format!("{base}/%(project_id)s");
    let endpoint = openstack(
        &ground,
        &[
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
        ],
    );
    for part in ["sdk", "cli"] {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/talk.py");
        let (is_done, said) = client(&ground, "python", &[script.to_str().unwrap(), part, "-"]);
        if !is_done {
            openstack(&ground, &["endpoint", "delete", &endpoint]);
            panic!("{said}");
        }
        // The next part begins with an empty register.
        if part == "sdk" {
            let clear = "DELETE FROM ha_incident; DELETE FROM ha_notification; DELETE FROM ha_host; DELETE FROM ha_segment;";
            let python =
                format!("import sqlite3; sqlite3.connect('{}').executescript('{clear}')", state.display());
            assert!(client(&ground, "python", &["-c", &python]).0);
        }
    }
    openstack(&ground, &["endpoint", "delete", &endpoint]);

    let token = openstack(&ground, &["token", "issue", "-f", "value", "-c", "id"]);
    let segments = format!("{base}/segments");
    assert_eq!(status(&segments, &token), "200");
    assert_eq!(status(&segments, "nonsense"), "401");
    openstack(&ground, &["token", "revoke", &token]);
    let began = Instant::now();
    while status(&segments, &token) != "401" {
        assert!(began.elapsed() < REVOKED_WITHIN, "a revoked token is still taken");
        std::thread::sleep(Duration::from_millis(500));
    }
}
