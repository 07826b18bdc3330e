//! `[serve]` of `ostler.toml`: where the server listens, how callers are known, what is kept how long.
//!
//! It reads and checks; it opens nothing.

use super::events::EventsTable;
use super::{Events, Page};
use crate::duration::Seconds;
use crate::failure::Failure;
use ostler_engine::ha::Policy;
use ostler_world::health::RATE_DEFAULT;
use ostler_world::monitor::heartbeat;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::Spanned;

/// Longest time for which the answer about a token may be remembered: a revoked one is taken for that long.
const REMEMBER_S_MAX: u32 = 3_600;

/// `[serve]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServeTable {
    listen: Option<Spanned<String>>,
    auth: Option<Spanned<String>>,
    clouds_yaml: Option<PathBuf>,
    clouds_entry: Option<Spanned<String>>,
    token_cache: Option<Seconds>,
    www_authenticate_uri: Option<String>,
    policy: Option<PathBuf>,
    link_prefix: Option<String>,
    check_hosts: Option<bool>,
    keep: Option<Seconds>,
    disabled_by: Option<PathBuf>,
    #[serde(default)]
    events: EventsTable,
    #[serde(default)]
    server_keys: Vec<PathBuf>,
    recovery: Option<RecoveryTable>,
    health: Option<HealthTable>,
}

/// `[serve.health]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HealthTable {
    #[serde(default = "look_every")]
    every: Spanned<Seconds>,
    cloud: Option<String>,
    #[serde(default)]
    fast: bool,
    rate: Option<Spanned<u32>>,
}

/// Often enough for what lasts, and seldom enough for a cloud of hundreds of hosts.
fn look_every() -> Spanned<Seconds> {
    Spanned::new(0..0, Seconds(300))
}

/// `[serve.recovery]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RecoveryTable {
    cloud: Option<String>,
    heartbeat_listen: Option<Vec<Spanned<String>>>,
    #[serde(default = "silent_after")]
    silent_after: Seconds,
    #[serde(default = "compute_process")]
    compute_process: String,
    #[serde(default)]
    policy: Policy,
}

/// Three beats of three seconds may be lost.
fn silent_after() -> Seconds {
    Seconds(10)
}

fn compute_process() -> String {
    "nova-compute".to_owned()
}

/// How the server serves.
#[derive(Clone, Debug)]
pub struct Serve {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How callers are known; none: not at all.
    pub keystone: Option<KeystoneAccess>,
    /// The site's policy.
    pub policy: Option<PathBuf>,
    /// Where clients see this server, if not where they say.
    pub link_prefix: Option<String>,
    /// Whether the compute service is asked for each host that is added.
    pub checks_hosts: bool,
    /// How long what is over is kept, in seconds.
    pub keep_s: u32,
    /// A file that takes the server out of a load balancer while it is there.
    pub disabled_by: Option<PathBuf>,
    /// Who is told what happens.
    pub events: Events,
    /// The files of the keys from which the hosts' keys are made; none: no host is known by a key.
    pub server_keys: Vec<PathBuf>,
    /// How hosts are recovered from; none: not at all.
    pub recovery: Option<Recovery>,
    /// How the health of the cloud is looked at; none: not at all.
    pub health: Option<HealthLooks>,
}

/// How the health of the cloud is looked at.
#[derive(Clone, Debug)]
pub struct HealthLooks {
    /// Pause between two looks.
    pub every_s: u32,
    /// Which cloud, if it is not the one that is meant anyway.
    pub cloud: Option<String>,
    /// Whether only APIs and services are looked at.
    pub fast: bool,
    /// Requests in one second.
    pub rate: u32,
}

/// How hosts are recovered from.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Which cloud, if it is not the one that is meant anyway.
    pub cloud: Option<String>,
    /// Where heartbeats come in.
    pub heartbeat_listen: Vec<SocketAddr>,
    /// After how long without a beat a host is silent.
    pub silent_after: Seconds,
    /// The process whose end takes a host out of use.
    pub compute_process: String,
    /// What the site wants.
    pub policy: Policy,
}

/// How the identity service is reached.
#[derive(Clone, Debug)]
pub struct KeystoneAccess {
    /// The clouds.yaml that holds this server's own account.
    pub clouds_yaml: PathBuf,
    /// The entry in it.
    pub entry: String,
    /// How long the answer about a token is remembered, in seconds.
    pub remember_s: u32,
    /// Where clients are told to get a token, if not where this server gets its own.
    pub realm: Option<String>,
}

/// Thirty days.
const KEEP_S: u32 = 30 * 24 * 3_600;

/// The shortest pause between two looks at the health of a cloud.
const LOOK_EVERY_LEAST_S: u32 = 60;

/// A minute: a revoked token is taken for that long at most.
const REMEMBER_S: u32 = 60;

/// Where the service has always listened.
const LISTEN: ([u8; 4], u16) = ([0, 0, 0, 0], 15_868);

impl Page<'_> {
    /// What a table says, with the defaults.
    pub(super) fn serve(&self, table: ServeTable) -> Result<Serve, Failure> {
        let listen = match &table.listen {
            None => SocketAddr::from(LISTEN),
            Some(listen) => listen.get_ref().parse().map_err(|_| {
                self.wrong(listen, "this is no address to listen on")
                    .hint("an address is IP:PORT, for example 0.0.0.0:15868 or [::]:15868")
            })?,
        };
        let auth = table.auth.as_ref().map_or("keystone", |auth| auth.get_ref().as_str());
        let keystone = match auth {
            "noauth" => None,
            "keystone" => Some(KeystoneAccess {
                clouds_yaml: match &table.clouds_yaml {
                    Some(path) => self.path_of(path),
                    None => return Err(self.needs("clouds-yaml")),
                },
                entry: match &table.clouds_entry {
                    Some(entry) => entry.get_ref().clone(),
                    None => return Err(self.needs("clouds-entry")),
                },
                remember_s: table.token_cache.map_or(REMEMBER_S, |time| time.0).min(REMEMBER_S_MAX),
                realm: table.www_authenticate_uri,
            }),
            other => {
                let failure = match &table.auth {
                    Some(place) => self.wrong(place, &format!("`{other}` is not possible here")),
                    None => Failure::usage(format!("`{other}` is not possible for `auth`")),
                };
                return Err(failure.hint("possible are: keystone, noauth"));
            }
        };
        Ok(Serve {
            listen,
            keystone,
            policy: table.policy.as_deref().map(|path| self.path_of(path)),
            link_prefix: table.link_prefix,
            checks_hosts: table.check_hosts.unwrap_or(true),
            keep_s: table.keep.map_or(KEEP_S, |time| time.0),
            disabled_by: table.disabled_by.as_deref().map(|path| self.path_of(path)),
            events: self.events(table.events)?,
            recovery: table
                .recovery
                .map(|recovery| self.recovery(recovery, &table.server_keys))
                .transpose()?,
            server_keys: table.server_keys.iter().map(|path| self.path_of(path)).collect(),
            health: table.health.map(|health| self.health(health)).transpose()?,
        })
    }

    fn recovery(&self, table: RecoveryTable, keys: &[PathBuf]) -> Result<Recovery, Failure> {
        let heartbeat_listen = match table.heartbeat_listen {
            None if keys.is_empty() => Vec::new(),
            None => vec![SocketAddr::from(([0, 0, 0, 0], heartbeat::PORT))],
            Some(listen) => listen
                .iter()
                .map(|address| match address.get_ref().parse() {
                    Ok(_) if keys.is_empty() => Err(self
                        .wrong(address, "heartbeats cannot be believed without a key")
                        .hint("name the servers' key: `server-keys = [\"/etc/ostler/server.key\"]` below `[serve]`; docs/monitors.md")),
                    Ok(address) => Ok(address),
                    Err(_) => Err(self
                        .wrong(address, "this is no address to listen on")
                        .hint("an address is IP:PORT, for example 0.0.0.0:15869")),
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(Recovery {
            cloud: table.cloud,
            heartbeat_listen,
            silent_after: table.silent_after,
            compute_process: table.compute_process,
            policy: table.policy,
        })
    }

    fn health(&self, table: HealthTable) -> Result<HealthLooks, Failure> {
        let every_s = table.every.get_ref().0;
        if every_s < LOOK_EVERY_LEAST_S {
            return Err(self
                .wrong(&table.every, "a look costs every node and API something")
                .hint(format!("give at least \"{LOOK_EVERY_LEAST_S}s\"")));
        }
        let rate = match &table.rate {
            None => RATE_DEFAULT,
            Some(rate) if (1..=1_000).contains(rate.get_ref()) => *rate.get_ref(),
            Some(rate) => return Err(self.wrong(rate, "this is no number of requests a second: 1 to 1000")),
        };
        Ok(HealthLooks { every_s, cloud: table.cloud, fast: table.fast, rate })
    }

    fn needs(&self, key: &str) -> Failure {
        Failure::usage(format!("{}: `{key}` is missing below `[serve]`", self.path.display())).hint(
            "callers' tokens are validated with an account of this server's own, an entry of a clouds.yaml; for a lab without authentication say `auth = \"noauth\"`",
        )
    }
}
