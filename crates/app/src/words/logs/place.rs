//! Where the logs are that a command reads: files, directories, archives, and nodes over SSH.
//!
//! Nodes filter their own logs; what they give is laid out below a directory that goes with the command. It decides nothing
//! about lines.

use super::moment;
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use jiff::tz::{Offset, TimeZone};
use ostler_logs::clock::Moment;
use ostler_logs::place::{Found, Place, Source, Unread, is_archive, lay_out, unfold};
use ostler_model::ids::HostName;
use ostler_world::node::{Connections, Lines, LogQuery, NODE_BYTES_MAX, NodeClock, SshAccess};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Nodes that filter their logs at the same time: each pours into a file here.
const NODES_AT_ONCE: usize = 16;

/// How far back a node's logs are read when nobody says: enough for a night's trouble, little enough to wait for.
const NODE_BACK_US: i64 = 24 * 3_600_000_000;

/// What of a node is read when nobody says.
const NODE_LOGS: &str = "/var/log";

/// Clocks that differ by less than this, or by less than the question took, are right.
const CLOCK_CARE_US: i64 = 50_000;

/// Which logs.
#[derive(Clone, Debug, Args)]
pub struct Logs {
    /// Files, directories, archives (.tar.gz, .tar.xz, .tar.zst); HOST=PATH names the host. node:HOST, node:HOST:/PATH and
    /// node: (all of them) are read over SSH. Without any: all nodes of the cloud.
    #[arg(value_name = "WHERE")]
    pub places: Vec<String>,
    /// From when on: a moment, a length of time back (`30m`), or a run's name.
    #[arg(long, value_name = "MOMENT")]
    pub since: Option<String>,
    /// Until when.
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<String>,
    /// The zone that a host's logs are written in, where lines do not say; without HOST= for all (else this machine's).
    #[arg(long, value_name = "[HOST=]ZONE")]
    pub zone: Vec<String>,
    /// How many seconds a host's clock is ahead; nodes over SSH are asked.
    #[arg(long, value_name = "HOST=SECONDS", allow_hyphen_values = true)]
    pub ahead: Vec<String>,
}

/// The logs that were found.
pub struct Opened {
    /// The logs.
    pub sources: Vec<Source>,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// From when on.
    pub since: Option<Moment>,
    /// Until when.
    pub until: Option<Moment>,
    /// Hosts whose clock was corrected, with by how much.
    pub corrected: Vec<(String, i64)>,
    /// Goes with what it holds.
    pub kept: Arc<Scratch>,
}

/// A directory that goes with the command.
pub struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, Failure> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("ostler-logs-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let made = std::fs::DirBuilder::new();
        let mut made = made;
        // Logs of nodes are nobody else's.
        std::os::unix::fs::DirBuilderExt::mode(&mut made, 0o700);
        made.create(&path).map_err(|error| {
            Failure::failed(format!("cannot make {}: {error}", path.display()))
                .hint("name another place with TMPDIR")
        })?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What was typed about hosts' clocks.
#[derive(Clone, Default)]
struct Clocks {
    zones: BTreeMap<String, TimeZone>,
    everywhere: Option<TimeZone>,
    ahead: BTreeMap<String, i64>,
}

impl Clocks {
    fn of(typed: &Logs) -> Result<Clocks, Failure> {
        let mut clocks = Clocks::default();
        for one in &typed.zone {
            let (host, name) =
                one.split_once('=').map_or((None, one.as_str()), |(host, name)| (Some(host), name));
            let zone = zone(name).ok_or_else(|| {
                Failure::usage(format!("`{name}` is no zone"))
                    .hint("write `Europe/Berlin`, `UTC` or `+01:00`")
            })?;
            match host {
                Some(host) => drop(clocks.zones.insert(host.to_owned(), zone)),
                None => clocks.everywhere = Some(zone),
            }
        }
        for one in &typed.ahead {
            let told =
                one.split_once('=').and_then(|(host, seconds)| Some((host, seconds.parse::<f64>().ok()?)));
            let (host, seconds) = told.filter(|(_, seconds)| seconds.abs() < 1e9).ok_or_else(|| {
                Failure::usage(format!("`{one}` does not say how far a clock is ahead"))
                    .hint("write `cmp17=0.83` or `cmp17=-120`")
            })?;
            clocks.ahead.insert(host.to_owned(), (seconds * 1e6) as i64);
        }
        Ok(clocks)
    }

    fn zone(&self, host: &str) -> Option<TimeZone> {
        self.zones.get(host).or(self.everywhere.as_ref()).cloned()
    }
}

/// A zone by name or as an offset.
fn zone(name: &str) -> Option<TimeZone> {
    if let Some(rest) = name.strip_prefix(['+', '-']) {
        let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
        let minutes = digits.get(..2)?.parse::<i32>().ok()? * 60
            + digits.get(2..4).map_or(Some(0), |text| text.parse().ok())?;
        let seconds = minutes * 60 * if name.starts_with('-') { -1 } else { 1 };
        return Some(TimeZone::fixed(Offset::from_seconds(seconds).ok()?));
    }
    TimeZone::get(name).ok()
}

/// What a place is.
enum Where {
    File { host: Option<String>, path: PathBuf },
    Node { host: Option<String>, path: String },
}

fn understood(typed: &str) -> Where {
    if let Some(rest) = typed.strip_prefix("node:") {
        let (host, path) = rest.split_once(':').unwrap_or((rest, NODE_LOGS));
        let host = Some(host).filter(|host| !host.is_empty() && *host != "*").map(str::to_owned);
        return Where::Node { host, path: path.to_owned() };
    }
    // A file that has an equals sign in its name is that file.
    match typed.split_once('=').filter(|_| !Path::new(typed).exists()) {
        Some((host, path)) if !host.contains('/') => {
            Where::File { host: Some(host.to_owned()), path: path.into() }
        }
        _ => Where::File { host: None, path: typed.into() },
    }
}

impl Logs {
    /// Finds the logs; nodes give only the lines that are wanted.
    pub async fn open(&self, context: &Context, lines: &Lines) -> Result<Opened, Failure> {
        let since = moment::typed(context, "--since", self.since.as_deref()).await?;
        let until = moment::typed(context, "--until", self.until.as_deref()).await?;
        let clocks = Clocks::of(self)?;
        let kept = Arc::new(Scratch::new()?);
        let mut found = Found::default();
        let mut corrected = Vec::new();
        let mut nodes: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
        let typed: Vec<String> =
            if self.places.is_empty() { vec!["node:".to_owned()] } else { self.places.clone() };
        for (number, typed) in typed.iter().enumerate() {
            match understood(typed) {
                Where::Node { host, path } => nodes.entry(host).or_default().push(path),
                Where::File { host, path } if !path.exists() => {
                    let failure = Failure::usage(format!("there is no {}", path.display()));
                    return Err(match host {
                        Some(_) => failure,
                        None => failure.hint("nodes are named `node:HOST`, or `node:` for all of them"),
                    });
                }
                Where::File { host, path } => {
                    let host = host.unwrap_or_default();
                    let mut place = Place {
                        zone: clocks.zone(&host).unwrap_or_else(TimeZone::system),
                        ahead_us: clocks.ahead.get(&host).copied().unwrap_or(0),
                        below: None,
                        host,
                        path,
                    };
                    if is_archive(&place.path) {
                        let into = kept.0.join(format!("archive-{number}"));
                        std::fs::create_dir_all(&into)?;
                        let archive = place.path.clone();
                        let target = into.clone();
                        let unread = super::beside(move || unfold(&archive, &target)).await?;
                        match unread {
                            Ok(unread) => found.unread.extend(unread),
                            Err(error) => {
                                found.unread.push(Unread { what: typed.clone(), why: error.to_string() })
                            }
                        }
                        place.path = into;
                    }
                    found.look(&place, since);
                }
            }
        }
        if !nodes.is_empty() {
            let since_us = since.unwrap_or_else(|| context.clock().now().as_microsecond() - NODE_BACK_US);
            self.pour(context, &nodes, since_us, lines, &clocks, &kept, &mut found, &mut corrected).await?;
        }
        found.finish();
        for source in &mut found.sources {
            // What a path tells of its host comes after what was typed about hosts.
            let zone = clocks.zone(&source.host);
            let ahead = clocks.ahead.get(&source.host).copied();
            if let (Some(zone), Some(ahead)) = (zone.or_else(|| ahead.map(|_| TimeZone::system())), ahead) {
                source.clock = ostler_logs::clock::Clock::new(zone, newest(&source.path), ahead);
            } else if let Some(zone) = clocks.zones.get(&source.host) {
                source.clock = ostler_logs::clock::Clock::new(zone.clone(), newest(&source.path), 0);
            }
        }
        corrected.extend(clocks.ahead.iter().map(|(host, us)| (host.clone(), *us)));
        Ok(Opened { sources: found.sources, unread: found.unread, since, until, corrected, kept })
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "what a command knows when it goes to the nodes; a struct of it would be read once"
    )]
    async fn pour(
        &self,
        context: &Context,
        wanted: &BTreeMap<Option<String>, Vec<String>>,
        since_us: i64,
        lines: &Lines,
        clocks: &Clocks,
        kept: &Scratch,
        found: &mut Found,
        corrected: &mut Vec<(String, i64)>,
    ) -> Result<(), Failure> {
        let cloud = context.cloud()?;
        let access = SshAccess {
            user: cloud.ssh_user.clone(),
            key: cloud.ssh_key.clone(),
            known_hosts: cloud.known_hosts.clone(),
        };
        let connections = Arc::new(Connections::new(&cloud.cloud, access));
        let mut paths: BTreeMap<HostName, Vec<String>> = BTreeMap::new();
        for (host, more) in wanted {
            match host {
                None => {
                    for node in cloud.cloud.nodes.keys() {
                        paths.entry(node.clone()).or_default().extend(more.iter().cloned());
                    }
                }
                Some(name) => {
                    let node = HostName::new(name.clone());
                    if !cloud.cloud.nodes.contains_key(&node) {
                        let names: Vec<&str> = cloud.cloud.nodes.keys().map(HostName::as_str).collect();
                        return Err(Failure::usage(format!(
                            "cloud {} has no node `{name}`",
                            cloud.cloud.name
                        ))
                        .hint(format!("its nodes are {}", names.join(", "))));
                    }
                    paths.entry(node).or_default().extend(more.iter().cloned());
                }
            }
        }
        let mark = format!("\u{1}ostler-{}", mark());
        let room = Arc::new(Semaphore::new(NODES_AT_ONCE));
        let mut pouring: JoinSet<(HostName, Result<NodeClock, ostler_model::event::Why>, PathBuf)> =
            JoinSet::new();
        for (host, paths) in paths {
            let poured = kept.0.join(format!("{host}.poured"));
            let query = LogQuery {
                journal: paths.iter().any(|path| path == NODE_LOGS),
                paths,
                since_s: since_us.div_euclid(1_000_000),
                lines: lines.clone(),
                mark: mark.clone(),
            };
            let (connections, room) = (Arc::clone(&connections), Arc::clone(&room));
            pouring.spawn(async move {
                let _place = room.acquire_owned().await;
                let clock = connections.pour_logs(&host, &query, &poured).await;
                (host, clock, poured)
            });
        }
        while let Some(poured) = pouring.join_next().await {
            let (host, clock, poured) = poured
                .map_err(|error| Failure::failed(format!("reading logs of a node broke off: {error}")))?;
            let clock = match clock {
                Ok(clock) => clock,
                Err(why) => {
                    let why =
                        why.hint.as_ref().map_or(why.what.clone(), |hint| format!("{}; {hint}", why.what));
                    found.unread.push(Unread { what: format!("node {host}"), why });
                    continue;
                }
            };
            let into = kept.0.join("nodes").join(host.as_str());
            std::fs::create_dir_all(&into)?;
            let (target, told) = (into.clone(), mark.clone());
            let laid_out = super::beside(move || {
                let laid_out = lay_out(&poured, &target, &told);
                let _ = std::fs::remove_file(&poured);
                laid_out
            });
            match laid_out.await? {
                Ok((has_ended, unread)) => {
                    found.unread.extend(
                        unread.into_iter().map(|one| Unread { what: format!("{host}:{}", one.what), ..one }),
                    );
                    if !has_ended {
                        let why = format!(
                            "more than {} MiB, or broken off; ask for less with --since",
                            NODE_BYTES_MAX >> 20
                        );
                        found.unread.push(Unread { what: format!("the rest of node {host}"), why });
                    }
                }
                Err(error) => {
                    found.unread.push(Unread { what: format!("node {host}"), why: error.to_string() })
                }
            }
            let is_off = clock.ahead_us.abs() > CLOCK_CARE_US.max(clock.within_us);
            let ahead_us =
                clocks.ahead.get(host.as_str()).copied().unwrap_or(if is_off { clock.ahead_us } else { 0 });
            if is_off && !clocks.ahead.contains_key(host.as_str()) {
                corrected.push((host.to_string(), clock.ahead_us));
            }
            let own = zone(&clock.zone).or_else(|| zone(&clock.offset)).unwrap_or(TimeZone::UTC);
            let place = Place {
                path: into,
                host: host.to_string(),
                zone: clocks.zone(host.as_str()).unwrap_or(own),
                ahead_us,
                below: None,
            };
            found.look(&place, None);
        }
        Ok(())
    }
}

fn newest(path: &Path) -> Moment {
    let changed = std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let since = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_micros()).ok()).unwrap_or(0)
}

/// A word that no log holds by chance.
fn mark() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}{:016x}", RandomState::new().hash_one(1), RandomState::new().hash_one(2))
}

/// What is said about clocks and the amount that was read.
pub fn footer(opened: &Opened, files: u64, bytes: u64, seconds: f64) -> String {
    let hosts: std::collections::BTreeSet<&str> =
        opened.sources.iter().map(|source| source.host.as_str()).collect();
    let mut text = format!(
        "read: {} of {}, {} in {seconds:.1} s",
        crate::view::count(files as usize, "log"),
        crate::view::count(hosts.len(), "host"),
        super::megabytes(bytes)
    );
    for (host, us) in &opened.corrected {
        text.push_str(&format!("; clock of {host} corrected by {:+.2} s", -(*us as f64) / 1e6));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_names_or_offsets() {
        assert!(zone("Europe/Berlin").is_some() && zone("UTC").is_some());
        let offset = zone("-03:30").unwrap().to_offset(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(offset.seconds(), -12_600);
        assert!(zone("Nowhere/City").is_none());
    }
}
