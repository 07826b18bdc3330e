//! The lab and the binary, as a person at a shell would use them.
//!
//! Waits for levels with bounds; nothing here sleeps for an edge.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The lab that all tests share.
pub const LAB: &str = "test";

/// How long one command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(540);

/// How long the cluster may take to be well again after a test broke it.
const WELL_LIMIT: Duration = Duration::from_secs(90);

pub const HEADS_2023_1: &str = "29e87d24a316 e25ffa003242";
pub const HEADS_2024_1: &str = "47147121 c88cdce8f248";
pub const HEADS_2026_1: &str = "742c857f1dfb c88cdce8f248";

/// A state database and settings of one test, on the shared lab.
pub struct Ground {
    pub scratch: tempfile::TempDir,
    settings: PathBuf,
}

/// What a command came to.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    #[track_caller]
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn says(self, words: &[&str]) -> Ended {
        for word in words {
            let said = self.out.contains(word) || self.err.contains(word);
            assert!(said, "`{word}` is missing\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        }
        self
    }
}

pub fn binary() -> PathBuf {
    std::env::var_os("OSTLER").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_ostler")), PathBuf::from)
}

fn finish(child: Child, what: &str) -> Output {
    let pid = child.id();
    let (tell, told) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let output = child.wait_with_output();
        let _ = tell.send(());
        output
    });
    if told.recv_timeout(COMMAND_LIMIT).is_err() {
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        panic!("`{what}` did not end within {COMMAND_LIMIT:?}");
    }
    waiter.join().unwrap().unwrap()
}

pub fn run(mut command: Command) -> Ended {
    let what = format!("{command:?}");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = finish(child, &what);
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `ostler lab …` on the shared lab.
pub fn lab(words: &[&str]) -> Ended {
    lab_named(LAB, words)
}

/// `ostler lab …` on another lab. What follows `--` is a command for a node.
pub fn lab_named(name: &str, words: &[&str]) -> Ended {
    let (words, rest) = words.split_at(words.iter().position(|word| *word == "--").unwrap_or(words.len()));
    let mut command = Command::new(binary());
    command.arg("lab").args(words).args(["--name", name]).args(rest);
    run(command)
}

/// A command as root on a node.
#[track_caller]
pub fn on(node: &str, script: &str) -> String {
    let mut command = Command::new(binary());
    command.args(["lab", "ssh", "--name", LAB, node, "--", script]);
    run(command).expect(0).out.trim().to_owned()
}

/// SQL on a node.
#[track_caller]
pub fn sql(node: &str, statement: &str) -> String {
    on(node, &format!("mariadb -NBe \"{statement}\""))
}

/// The heads of Keystone's database.
pub fn heads(node: &str) -> String {
    sql(
        node,
        "select group_concat(version_num order by version_num separator ' ') from keystone.alembic_version",
    )
}

/// The installed upstream version on every node.
pub fn versions() -> Vec<String> {
    ["ctl1", "ctl2", "ctl3"].map(|node| on(node, "dpkg-query -W -f '${Version}' keystone")).into()
}

#[track_caller]
pub fn every_node_has(major: &str) {
    for version in versions() {
        let upstream = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest);
        assert!(upstream.starts_with(major), "{version} is not {major}");
    }
}

fn settings() -> PathBuf {
    Path::new("/var/lib/ostler/lab").join(LAB).join("ostler.toml")
}

/// The lab as a test needs it: whole, at a release, with the schema that belongs to it.
#[track_caller]
pub fn ready(release: &str, heads_wanted: &str) -> Ground {
    if !is_ready(release, heads_wanted) {
        lab(&["down"]).expect(0);
        let mut words = vec!["up", "--controllers", "3", "--release", release];
        let all = ["2023.1", "2024.1", "2025.1", "2026.1"];
        for other in all.iter().filter(|other| **other != release) {
            words.extend(["--publish", other]);
        }
        lab(&words).expect(0);
    }
    Ground { scratch: tempfile::tempdir().unwrap(), settings: settings() }
}

fn is_ready(release: &str, heads_wanted: &str) -> bool {
    if lab(&["status"]).code != 0 || !settings().exists() {
        return false;
    }
    let ground = Ground { scratch: tempfile::tempdir().unwrap(), settings: settings() };
    if ground.ostler(&["cloud", "check"]).code != 0 {
        return false;
    }
    let scan = ground.ostler(&["cloud", "scan"]).out;
    scan.matches(&format!("{release} (")).count() >= 3
        && (heads_wanted.is_empty() || heads("ctl1") == heads_wanted)
}

impl Ground {
    /// The same lab with other settings.
    pub fn with_settings(&self, change: impl FnOnce(String) -> String) -> Ground {
        let scratch = tempfile::tempdir().unwrap();
        let here = self.settings.parent().unwrap();
        for file in ["clouds.yaml", "id_ed25519", "known_hosts"] {
            std::fs::copy(here.join(file), scratch.path().join(file)).unwrap();
        }
        let settings = scratch.path().join("ostler.toml");
        std::fs::write(&settings, change(std::fs::read_to_string(&self.settings).unwrap())).unwrap();
        Ground { scratch, settings }
    }

    /// The same lab, without the checks after each change: what a test breaks stands in the logs that they read.
    pub fn without_function_check(&self) -> Ground {
        let table = format!("[clouds.{LAB}.upgrade]\n");
        self.with_settings(|text| {
            assert!(text.contains(&table), "the lab's settings have no {table}{text}");
            text.replace(&table, &format!("{table}function-check = false\n"))
        })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("--config").arg(&self.settings);
        command.arg("--state").arg(self.scratch.path().join("state.db")).args(words);
        command
    }

    /// Runs this binary.
    pub fn ostler(&self, words: &[&str]) -> Ended {
        run(self.command(words))
    }

    /// Starts this binary with JSON lines on its standard output.
    pub fn start(&self, words: &[&str]) -> Child {
        let mut command = self.command(words);
        command.args(["--format", "json"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Runs this binary until its journal says this, then kills it with SIGKILL. False: it ended before.
    pub fn kill_when(&self, words: &[&str], seen: impl Fn(&Value) -> bool) -> bool {
        self.kill_after(words, |entry| seen(entry).then_some(Duration::ZERO))
    }

    /// The same, some time after the entry: by then what it announces is under way.
    pub fn kill_after(&self, words: &[&str], seen: impl Fn(&Value) -> Option<Duration>) -> bool {
        use std::io::BufRead;
        let mut child = self.start(words);
        let out = std::io::BufReader::new(child.stdout.take().unwrap());
        let began = Instant::now();
        for line in out.lines() {
            assert!(
                began.elapsed() < COMMAND_LIMIT,
                "`{words:?}` did not get there within {COMMAND_LIMIT:?}"
            );
            let Ok(line) = line else { break };
            if let Some(pause) = serde_json::from_str::<Value>(&line).ok().and_then(|entry| seen(&entry)) {
                std::thread::sleep(pause);
                child.kill().unwrap();
                child.wait().unwrap();
                return true;
            }
        }
        child.wait().unwrap();
        false
    }

    /// Runs an upgrade and kills it as soon as a step is proved done.
    #[track_caller]
    pub fn upgrade_until(&self, to: &str, strategy: &str, step: &str) {
        let words = ["upgrade", "run", "--only", "keystone", "--to", to, "--strategy", strategy, "--yes"];
        assert!(
            self.kill_when(&words, |entry| is_done(entry, step)),
            "the upgrade ended before {step} was done"
        );
    }

    /// Every entry of the last run.
    pub fn journal(&self) -> Vec<Value> {
        let page = self.ostler(&["run", "show", "last", "--entries", "--format", "json"]).expect(0);
        let page: Value = serde_json::from_str(&page.out).unwrap();
        page["entries"].as_array().unwrap().clone()
    }

    /// Waits until the cloud is well.
    #[track_caller]
    pub fn wait_until_well(&self) {
        let began = Instant::now();
        loop {
            let check = self.ostler(&["cloud", "check"]);
            if check.code == 0 {
                return;
            }
            assert!(
                began.elapsed() < WELL_LIMIT,
                "the cloud is not well after {WELL_LIMIT:?}:\n{}",
                check.out
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// Whether an entry says that a step is done.
pub fn is_done(entry: &Value, step: &str) -> bool {
    let event = &entry["event"];
    event["event"] == "proved" && event["step"] == step && event["outcome"]["outcome"] == "done"
}

/// Real clients at the front door, until they are stopped.
pub struct Load {
    child: Option<Child>,
}

impl Load {
    pub fn start() -> Load {
        let mut command = Command::new(binary());
        command.args(["lab", "load", "--name", LAB, "--for", "0", "--rate", "15", "--format", "json"]);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        Load { child: Some(child) }
    }

    /// Stops the clients; what they counted.
    pub fn stop(mut self) -> Value {
        let child = self.child.take().unwrap();
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        let output = finish(child, "lab load");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[track_caller]
pub fn nothing_failed(report: &Value) {
    assert!(report["requests"].as_u64().unwrap() > 100, "too few requests to mean anything: {report}");
    assert_eq!(report["failed"], 0, "{report}");
}
