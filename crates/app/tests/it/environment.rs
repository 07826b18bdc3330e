//! A home of its own for the binary, and runs that were made up beforehand.
//!
//! Times and places are taken out of what is compared.

use ostler_engine::seam::Store;
use ostler_model::Timestamp;
use ostler_model::event::{Actor, Entry, Event, Facts, Outcome};
use ostler_model::ids::{RunId, ServiceName, StepId};
use ostler_model::plan::{PLAN_FORMAT, Plan, PlanBody, Purpose, Strategy};
use ostler_model::step::{Does, Gate, Step, Target, Undo};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// A settings file with one node that nobody answers for.
pub const SETTINGS: &str = r#"[clouds.lab]
clouds-yaml = "clouds.yaml"
virtual-address = "127.0.0.1"

[clouds.lab.ssh]
user = "ostler"
key = "id_ed25519"
known-hosts = "known_hosts"

[clouds.lab.packages]
source = "deb file:/srv/openstack/{release} ./"

[clouds.lab.nodes.ctl1]
address = "127.0.0.1"
port = 1
roles = ["controller"]
"#;

/// Credentials for it.
pub const CLOUDS: &str = "clouds:
  lab:
    auth:
      auth_url: http://127.0.0.1:5000/v3
      username: admin
      password: planted-secret
      project_name: admin
      user_domain_name: Default
      project_domain_name: Default
";

/// Made for these tests; it opens nothing.
const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACDWXCWg1ZwqT9BAu2FTfLy5VUA0aLV28j45ihJKJe8KKwAAAKAPoaPcD6Gj
3AAAAAtzc2gtZWQyNTUxOQAAACDWXCWg1ZwqT9BAu2FTfLy5VUA0aLV28j45ihJKJe8KKw
AAAEDDHNOfIY2bXMLYyW4QH2bean01qzyGoAQbp7xvCXXpN9ZcJaDVnCpP0EC7YVN8vLlV
QDRotXbyPjmKEkol7worAAAAHW1hZGUgZm9yIHRlc3RzLCBvcGVucyBub3RoaW5n
-----END OPENSSH PRIVATE KEY-----
";

/// A home of its own.
pub struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    /// Empty.
    pub fn empty() -> Home {
        Home { directory: tempfile::tempdir().unwrap() }
    }

    /// With settings, credentials and keys.
    pub fn with_settings() -> Home {
        let home = Home::empty();
        home.write("ostler.toml", SETTINGS);
        home.write("clouds.yaml", CLOUDS);
        home.write("known_hosts", "");
        home.write("id_ed25519", KEY);
        home
    }

    /// A path below it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The binary, in this home.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ostler"));
        command
            .args(words.split_whitespace())
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .env("USER", "alice")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// What the binary answers: exit code, output, errors.
    pub fn says(&self, words: &str) -> String {
        let output = self.command(words).output().unwrap();
        let mut text =
            format!("exit {}\n", output.status.code().map_or("none".into(), |code| code.to_string()));
        for (name, bytes) in [("out", &output.stdout), ("err", &output.stderr)] {
            if !bytes.is_empty() {
                text.push_str(&format!("--- {name}\n{}", String::from_utf8_lossy(bytes)));
            }
        }
        assert!(!text.contains("planted-secret"), "a secret was printed:\n{text}");
        text.replace(&self.directory.path().canonicalize().unwrap().display().to_string(), "~")
            .replace(&self.directory.path().display().to_string(), "~")
    }

    /// The answer as JSON.
    pub fn json(&self, words: &str) -> serde_json::Value {
        let output = self.command(&format!("{words} --format json")).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{error}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// The store of this home.
    pub async fn store(&self) -> Arc<dyn Store> {
        let path = self.path(".local/state/ostler/state.db");
        ostler_world::store::open(&path.display().to_string()).await.unwrap()
    }

    /// Makes up a run: its plan has four steps, and these events follow its opening.
    pub fn made_up(&self, name: &str, events: Vec<Event>) -> RunId {
        let run = RunId::new(name);
        let plan = plan();
        let mut all = vec![Event::Opened { plan: plan.id.clone(), who: alice() }];
        all.extend(events);
        let entries = all.into_iter().zip(0..).map(|(event, seq)| {
            let at: Timestamp = format!("2026-01-02T03:04:{:02}Z", seq % 60).parse().unwrap();
            Entry { run: run.clone(), seq, at, term: u64::from(!is_word(&event)), event }
        });
        let entries: Vec<Entry> = entries.collect();
        block(async {
            let store = self.store().await;
            store.keep_plan(&plan).await.unwrap();
            store.append(&entries).await.unwrap();
        });
        run
    }
}

/// Runs a future.
pub fn block<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn is_word(event: &Event) -> bool {
    matches!(
        event,
        Event::Opened { .. } | Event::Approved { .. } | Event::Skipped { .. } | Event::Abandoned { .. }
    )
}

/// Somebody.
pub fn alice() -> Actor {
    Actor::Person("alice".into())
}

/// The approval of the made-up plan.
pub fn approved() -> Event {
    Event::Approved { hash: plan().id, who: alice() }
}

/// A step's beginning.
pub fn intended(step: &str) -> Event {
    Event::Intended { step: StepId::new(step), attempt: 1 }
}

/// A step's end.
pub fn proved(step: &str, outcome: Outcome) -> Event {
    Event::Proved { step: StepId::new(step), attempt: 1, outcome }
}

/// A step from its beginning to its end.
pub fn did(step: &str) -> Vec<Event> {
    let facts = Facts::from([("version".to_owned(), "25.0.0 -> 27.1.0".to_owned())]);
    vec![intended(step), proved(step, Outcome::Done { facts })]
}

/// The made-up plan: look, install, start, contract behind a gate.
pub fn plan() -> Plan {
    let step = |id: &str, wave: u16, does: Does, after: &[&str], undo: Undo, gate: Option<Gate>| Step {
        id: StepId::new(id),
        title: format!("what {id} does"),
        wave,
        does,
        on: if id == "preflight" { Target::Cloud } else { Target::Node("ctl1".into()) },
        after: after.iter().map(|id| StepId::new(*id)).collect(),
        guard: Vec::new(),
        gate,
        tries: 1,
        limit_s: 5,
        expect_ms: 1_000,
        draws: Vec::new(),
        undo,
        may_fail: false,
        regardless: false,
    };
    let units = vec!["keystone.service".to_owned()];
    let gate = Gate::Operator { question: "Contract now?".into() };
    let because = "the contract removes what the old release reads".to_owned();
    Plan::seal(PlanBody {
        format: PLAN_FORMAT,
        parent: None,
        cloud: "lab".into(),
        purpose: Purpose::Upgrade {
            service: ServiceName::new("keystone"),
            from: "2024.1".parse().unwrap(),
            to: "2025.1".parse().unwrap(),
            strategy: Strategy::ZeroDowntime,
        },
        seen: "2026-01-02T03:04:00Z".parse().unwrap(),
        basis: "0".into(),
        waves: vec!["Preflight".into(), "Change ctl1".into()],
        steps: vec![
            step("preflight", 0, Does::Check { checks: Vec::new() }, &[], Undo::Nothing, None),
            step(
                "ctl1-stop",
                1,
                Does::StopUnits { units: units.clone() },
                &["preflight"],
                Undo::Steps(vec![Does::StartUnits { units: units.clone(), packages: Vec::new() }]),
                None,
            ),
            step(
                "ctl1-start",
                1,
                Does::StartUnits { units: units.clone(), packages: Vec::new() },
                &["ctl1-stop"],
                Undo::Nothing,
                None,
            ),
            step(
                "ctl1-contract",
                1,
                Does::StopUnits { units },
                &["ctl1-start"],
                Undo::Impossible { because },
                Some(gate),
            ),
        ],
        budgets: Vec::new(),
        cautions: Vec::new(),
    })
    .unwrap()
}
