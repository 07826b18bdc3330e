//! Errors in the logs of nodes that were not there before a moment: nodes filter, here they are grouped and compared.
//!
//! Logs that cannot be read are no proof that nothing is wrong: then the answer is why not. It decides nothing about what
//! may be there.

use super::logs::{Lines, LogQuery};
use super::ssh::Connections;
use futures_util::future::join_all;
use jiff::tz::TimeZone;
use ostler_logs::group::{Groups, Wanted, group};
use ostler_logs::line::Severity;
use ostler_logs::place::{Found, Place, lay_out};
use ostler_model::Timestamp;
use ostler_model::event::Why;
use ostler_model::function::{LogError, LogGate};
use ostler_model::ids::HostName;
use std::path::{Path, PathBuf};
use tokio::sync::Semaphore;

/// How far before the moment is read, to learn what was there already.
const BEFORE_US: i64 = 24 * 3_600_000_000;

/// Nodes that filter their logs at the same time.
const NODES_AT_ONCE: usize = 16;

/// A clock that is off by less than this is taken as right: the question itself takes as long.
const CLOCK_CARE_US: i64 = 50_000;

/// Letters of an error that are kept: the logs have the rest.
const WORDS_LETTERS_MAX: usize = 300;

/// A directory that goes with the question.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Scratch> {
        let path = std::env::temp_dir().join(format!("ostler-gate-{}", uuid::Uuid::now_v7()));
        let mut made = std::fs::DirBuilder::new();
        // Logs of nodes are nobody else's.
        std::os::unix::fs::DirBuilderExt::mode(&mut made, 0o700);
        made.create(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) async fn new_errors(
    connections: &Connections,
    gate: &LogGate,
    since: Timestamp,
) -> Result<Vec<LogError>, Why> {
    let scratch = Scratch::new().map_err(|error| {
        Why::new(format!("there is no place for the nodes' logs: {error}"))
            .hint("name another place with TMPDIR")
    })?;
    let mark = format!("\u{1}ostler-{}", uuid::Uuid::now_v7().simple());
    let since_us = since.as_microsecond();
    let room = Semaphore::new(NODES_AT_ONCE);
    let mut pouring = Vec::with_capacity(gate.nodes.len());
    for host in &gate.nodes {
        pouring.push(poured(connections, gate, host, &mark, since_us, &scratch.0, &room));
    }
    let places = join_all(pouring).await;
    let places: Vec<Place> = places.into_iter().collect::<Result<_, _>>()?;
    let groups = tokio::task::spawn_blocking(move || {
        let mut found = Found::default();
        places.iter().for_each(|place| found.look(place, None));
        found.finish();
        let wanted = Wanted {
            least: Severity::Error,
            since: Some(since_us - BEFORE_US),
            until: None,
            mark: Some(since_us),
        };
        let mut groups = group(&found.sources, wanted);
        groups.unread.extend(found.unread);
        groups
    });
    let groups = groups.await.map_err(|error| Why::new(format!("reading the logs broke off: {error}")))?;
    drop(scratch);
    told(groups)
}

fn told(groups: Groups) -> Result<Vec<LogError>, Why> {
    if let Some(first) = groups.unread.first() {
        let more = groups.unread.len() - 1;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        return Err(Why::new(format!("{}: {}{more}", first.what, first.why)));
    }
    let is_new = |group: &&ostler_logs::group::Group| {
        group.count_since_mark > 0 && group.count_since_mark == group.count
    };
    let errors = groups.groups.iter().filter(is_new).map(|group| {
        let what = match group.exception.is_empty() || group.sample.contains(&group.exception) {
            true => group.sample.clone(),
            false => format!("{}: {}", group.exception, group.sample),
        };
        LogError {
            nodes: group.hosts.keys().map(|host| HostName::new(host.clone())).collect(),
            service: group.service.clone(),
            what: what.lines().next().unwrap_or_default().chars().take(WORDS_LETTERS_MAX).collect(),
            count: group.count_since_mark,
        }
    });
    Ok(errors.collect())
}

/// One node's errors, laid out here.
async fn poured(
    connections: &Connections,
    gate: &LogGate,
    host: &HostName,
    mark: &str,
    since_us: i64,
    scratch: &Path,
    room: &Semaphore,
) -> Result<Place, Why> {
    let _place = room.acquire().await;
    let file = scratch.join(format!("{host}.poured"));
    let query = LogQuery {
        paths: gate.paths.clone(),
        journal: false,
        since_s: (since_us - BEFORE_US).div_euclid(1_000_000),
        lines: Lines::Errors,
        mark: mark.to_owned(),
    };
    let clock = connections.pour_logs(host, &query, &file).await?;
    let into = scratch.join("nodes").join(host.as_str());
    let broken = |error: std::io::Error| Why::new(format!("the logs of {host} cannot be laid out: {error}"));
    std::fs::create_dir_all(&into).map_err(broken)?;
    let (has_ended, unread) = lay_out(&file, &into, mark).map_err(broken)?;
    if !has_ended {
        return Err(Why::new(format!("the logs of {host} are too long, or reading them broke off")));
    }
    // A directory that is not there holds no error: a service may log elsewhere.
    if let Some(first) = unread.iter().find(|one| one.why != "there is none") {
        return Err(Why::new(format!("{host}: {}: {}", first.what, first.why)));
    }
    let is_off = clock.ahead_us.abs() > CLOCK_CARE_US.max(clock.within_us);
    Ok(Place {
        path: into,
        host: host.to_string(),
        zone: TimeZone::get(&clock.zone).unwrap_or(TimeZone::UTC),
        ahead_us: if is_off { clock.ahead_us } else { 0 },
        below: None,
    })
}
