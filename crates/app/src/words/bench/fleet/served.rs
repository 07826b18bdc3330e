//! The server of instance HA that is measured: its settings, its register, its start, and what it says.
//!
//! It must never be given what an operator could not give it.

use super::super::{api::Client, child, ha};
use super::cloud::Cloud;
use super::{BenchFleet, broke};
use crate::failure::Failure;
use serde_json::Value;
use std::fmt::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::watch;

/// How long the server may take to listen.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long hosts may take to be heard: a few beats, and a look at the register.
const HEARD_LIMIT: Duration = Duration::from_secs(120);

/// What the server has said so far.
#[derive(Clone, Debug, Default)]
struct Said {
    api: Option<String>,
    heartbeats: Option<String>,
    heard: usize,
    proved: Option<Instant>,
    ended: bool,
    last: String,
}

/// A server that runs.
pub(super) struct Served {
    pub child: Child,
    /// Where it hears heartbeats.
    pub heartbeats: String,
    api: String,
    said: watch::Receiver<Said>,
}

/// The notification of the outage.
pub(super) struct Notification {
    pub id: String,
    pub status: String,
    /// Notifications of other hosts, all of which are well.
    pub others: usize,
}

fn key_of(home: &Path) -> PathBuf {
    home.join("server.key")
}

/// Writes settings, key and credentials, and fills the register. Answers where the key is.
pub(super) async fn settle_in(typed: &BenchFleet, cloud: &Cloud, home: &Path) -> Result<PathBuf, Failure> {
    let address = cloud.address();
    // A port that nobody listens on stands for the one node that a cloud must have.
    let mut settings = format!(
        "[serve]\nlisten = \"127.0.0.1:0\"\nauth = \"noauth\"\ncheck-hosts = false\nserver-keys = [\"server.key\"]\n\
         [serve.recovery]\nheartbeat-listen = [\"127.0.0.1:0\"]\nsilent-after = \"{}s\"\n\
         [serve.recovery.policy]\nat-once = {}\nto-one-host = {}\n\
         [clouds.fleet]\nclouds-yaml = \"clouds.yaml\"\n[clouds.fleet.ssh]\nuser = \"nobody\"\nkey = \"key\"\n\
         known-hosts = \"known_hosts\"\n[clouds.fleet.packages]\nsource = \"deb file:/nowhere/{{release}} ./\"\n\
         [clouds.fleet.nodes.ctl1]\naddress = \"127.0.0.1\"\nport = 1\nroles = [\"controller\"]\n\
         [clouds.fleet.power]\nuse = [\"bmc\"]\n[clouds.fleet.power.means.bmc]\nkind = \"redfish\"\n\
         address = \"http://{address}\"\nuser = \"fence\"\npassword-file = \"bmc.password\"\nsystem = \"{{host}}\"\n",
        typed.silent_after, typed.at_once, typed.to_one_host
    );
    for name in cloud.names() {
        let _ = writeln!(settings, "[clouds.fleet.power.hosts.{name}]");
    }
    let credentials = format!(
        "clouds:\n  fleet:\n    auth:\n      auth_url: http://{address}/identity\n      username: admin\n      password: pretended\n\
         \x20     project_name: admin\n      user_domain_name: Default\n      project_domain_name: Default\n    region_name: RegionOne\n"
    );
    // It guards what is pretended, for as long as this takes.
    let key = format!("{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o700)).map_err(broke)?;
    for (name, text) in [
        ("ostler.toml", settings.as_str()),
        ("clouds.yaml", &credentials),
        ("known_hosts", ""),
        ("key", ""),
        ("bmc.password", "pretended"),
        ("server.key", &key),
    ] {
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.write(true).create_new(true).mode(0o600).open(home.join(name)).map_err(broke)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(broke)?;
    }
    let names: Vec<String> = cloud.names().iter().map(ToString::to_string).collect();
    ha::register(&store_of(home), &names).await?;
    Ok(key_of(home))
}

fn store_of(home: &Path) -> String {
    home.join("state.db").display().to_string()
}

/// What a line means.
fn hear(said: &mut Said, line: &str) {
    if let Some((_, rest)) = line.split_once("listening to heartbeats on ") {
        said.heartbeats = Some(rest.trim().to_owned());
    } else if let Some((_, rest)) = line.split_once("on http://") {
        said.api = rest.split_whitespace().next().map(str::to_owned);
    } else if line.starts_with('{') {
        // Most of a recovery's lines are of no use here, and reading them is not free.
        let is_heard = line.contains(" is heard\"");
        let is_proof = said.proved.is_none() && line.contains("-fence\"") && line.contains("\"proved\"");
        if is_heard {
            said.heard += 1;
        }
        if is_proof {
            let event: Value = serde_json::from_str(line).unwrap_or_default();
            let step = event["event"]["step"].as_str().unwrap_or_default();
            if step.ends_with("-fence") && event["event"]["outcome"]["outcome"] == "done" {
                said.proved = Some(Instant::now());
            }
        }
    }
    line.clone_into(&mut said.last);
}

impl Served {
    /// Starts it; it listens when this is over.
    pub async fn start(program: Option<&Path>, home: &Path) -> Result<Served, Failure> {
        let mut child = child::serve(program, &home.join("ostler.toml"), &store_of(home))?;
        let Some(out) = child.stdout.take() else { return Err(Failure::failed("the server says nothing")) };
        let (tell, mut said) = watch::channel(Said::default());
        tokio::spawn(async move {
            let mut lines = BufReader::new(out).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tell.send_modify(|said| hear(said, &line));
            }
            tell.send_modify(|said| said.ended = true);
        });
        let listens = said.wait_for(|said| said.ended || (said.api.is_some() && said.heartbeats.is_some()));
        let found = match tokio::time::timeout(START_LIMIT, listens).await {
            Ok(Ok(said)) => said.clone(),
            _ => Said::default(),
        };
        match (found.api, found.heartbeats) {
            (Some(api), Some(heartbeats)) => Ok(Served { child, heartbeats, api, said }),
            _ => {
                Err(Failure::failed("the server to be measured does not listen").evidences(vec![found.last]))
            }
        }
    }

    /// Waits until so many hosts are heard.
    pub async fn until_heard(&mut self, hosts: usize) -> Result<(), Failure> {
        let heard = self.said.wait_for(|said| said.ended || said.heard >= hosts);
        let is_heard = matches!(tokio::time::timeout(HEARD_LIMIT, heard).await, Ok(Ok(said)) if !said.ended);
        if is_heard {
            return Ok(());
        }
        let said = self.said.borrow().clone();
        Err(Failure::failed(format!("the server heard {} of {hosts} hosts", said.heard))
            .evidences(vec![said.last]))
    }

    /// When the proof that the host is off was written down.
    pub fn proved(&self) -> Option<Instant> {
        self.said.borrow().proved
    }

    /// Waits until the notification of the outage is over, or until it is too late. Answers how it stands.
    pub async fn until_finished(
        &mut self,
        at_most: Instant,
        every: Duration,
    ) -> Result<(Client, Notification), Failure> {
        let mut client = Client::connect(&self.api, None).await.map_err(broke)?;
        loop {
            let (status, body) =
                client.call("GET", "/v1/notifications?sort_key=id&sort_dir=asc", "").await.map_err(broke)?;
            if status != 200 {
                return Err(Failure::failed(format!(
                    "the server answered {status} to a look at notifications"
                )));
            }
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let all = body["notifications"].as_array().map(Vec::as_slice).unwrap_or_default();
            let text =
                |key: &str| all.first().and_then(|one| one[key].as_str()).unwrap_or_default().to_owned();
            let found = Notification {
                id: text("notification_uuid"),
                status: text("status"),
                others: all.len().saturating_sub(1),
            };
            let is_over = matches!(found.status.as_str(), "finished" | "failed" | "ignored");
            if is_over || Instant::now() >= at_most {
                return Ok((client, found));
            }
            if self.said.borrow().ended {
                let last = self.said.borrow().last.clone();
                return Err(Failure::failed("the server ended before the recovery did").evidences(vec![last]));
            }
            tokio::time::sleep(every).await;
        }
    }
}
