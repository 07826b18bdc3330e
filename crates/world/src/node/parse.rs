//! Reads what the survey's script prints. Pure: text in, facts and gaps out.
//!
//! It must never take a missing part for an empty one, nor fail on a line that it does not understand.

use super::redact::redact;
use jiff::tz::TimeZone;
use ostler_model::inventory::{
    CacheSeen, DiskSeen, FileSeen, GaleraSeen, Node, PackageSeen, ServerAdmin, ServerSeen, UnitSeen,
};
use std::collections::BTreeMap;

/// Errors of a missing table and a missing database: no gap, but a database without heads.
const NO_SUCH_TABLE: [&str; 2] = ["ERROR 1146 ", "ERROR 1049 "];

/// Bits of a server's administrative state that mean drain; every other bit means maintenance.
const ADMIN_DRAIN_BITS: u32 = 0x08 | 0x10;

/// What was asked for, where the answer alone does not say.
pub(crate) struct Wanted<'a> {
    pub galera: bool,
    pub schemas: bool,
    /// In the order in which they were asked for.
    pub databases: &'a [&'a str],
}

/// What a node said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub node: Node,
    /// Its clock in nanoseconds since 1970.
    pub clock: Option<i128>,
    /// What could not be read, and why.
    pub gaps: Vec<(String, String)>,
}

/// Reads an answer; none if it is not whole.
pub(crate) fn report(text: &str, wanted: &Wanted<'_>) -> Option<Report> {
    let mut report = Report::default();
    let mut by_tag: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        let (tag, rest) = line.split_once('\t').unwrap_or((line, ""));
        by_tag.entry(tag).or_default().push(rest);
    }
    if !by_tag.contains_key("end") {
        return None;
    }
    let of = |tag: &str| by_tag.get(tag).map(Vec::as_slice).unwrap_or_default();
    let first = |tag: &str| of(tag).first().copied();

    report.node.os = first("os").unwrap_or_default().to_owned();
    report.node.boot_id = first("boot").unwrap_or_default().to_owned();
    report.clock = first("clock").and_then(nanoseconds);
    report.node.disks = of("disk").iter().filter_map(|line| disk(line)).collect();
    report.node.packages = of("package").iter().filter_map(|line| package(line)).collect();
    for (time, name) in of("unpacked").iter().filter_map(|line| line.split_once('\t')) {
        if let Some(package) = report.node.packages.get_mut(name) {
            package.unpacked = time.parse().unwrap_or_default();
        }
    }
    report.node.units = units(of("unit"));
    report.node.files = files(of("file"), of("shipped"), of("found"));
    for line in of("gap") {
        let (what, why) = line.split_once('\t').unwrap_or((line, ""));
        report.gaps.push((what.to_owned(), redact(why)));
    }
    databases(&mut report, wanted, of("galera"), of("schema"), of("sql-error"), first("sql"));
    if !of("proxy").is_empty() {
        match servers(of("proxy")) {
            Some(servers) => report.node.proxy = Some(servers),
            None => report.gaps.push(("haproxy".to_owned(), "its answer has no table of servers".to_owned())),
        }
    }
    report.node.cache = first("cache")
        .map(|version| CacheSeen { answers: !version.is_empty(), version: version.trim().to_owned() });
    Some(report)
}

fn nanoseconds(text: &str) -> Option<i128> {
    let (seconds, fraction) = text.trim().split_once('.')?;
    Some(i128::from(seconds.parse::<i64>().ok()?) * 1_000_000_000 + i128::from(fraction.parse::<u64>().ok()?))
}

fn disk(line: &str) -> Option<(String, DiskSeen)> {
    let mut fields = line.split('\t');
    let (place, free_kib, size_kib) = (fields.next()?, fields.next()?, fields.next()?);
    let mib = |kib: &str| kib.parse::<u64>().ok().map(|kib| kib / 1024);
    Some((place.to_owned(), DiskSeen { free_mib: mib(free_kib)?, size_mib: mib(size_kib)? }))
}

fn package(line: &str) -> Option<(String, PackageSeen)> {
    let mut fields = line.split('\t');
    let (name, status, version) = (fields.next()?, fields.next()?.trim(), fields.next()?.trim());
    // dpkg remembers packages of which only the configuration is left, or that were only heard of.
    let is_there = !version.is_empty() && !status.ends_with('n') && !status.ends_with('c');
    is_there.then(|| {
        (name.to_owned(), PackageSeen { version: version.to_owned(), status: status.to_owned(), unpacked: 0 })
    })
}

fn units(lines: &[&str]) -> BTreeMap<String, UnitSeen> {
    let mut units = BTreeMap::new();
    for block in lines.split(|line| line.is_empty()) {
        let mut unit = UnitSeen::default();
        let mut name = "";
        for (key, value) in block.iter().filter_map(|line| line.split_once('=')) {
            match key {
                "Id" => name = value,
                "LoadState" => unit.load = value.to_owned(),
                "ActiveState" => unit.active = value.to_owned(),
                "SubState" => unit.sub = value.to_owned(),
                "UnitFileState" => unit.enabled = value.to_owned(),
                "MainPID" => unit.main_pid = value.parse().unwrap_or_default(),
                "ExecMainStartTimestamp" => unit.started = seconds(value).unwrap_or_default(),
                "Result" => unit.result = value.to_owned(),
                "ExecMainStatus" => unit.exit_status = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        if !name.is_empty() {
            units.insert(name.to_owned(), unit);
        }
    }
    units
}

/// `Sat 2026-11-21 21:31:00 UTC`, as systemd prints times in that zone.
fn seconds(text: &str) -> Option<i64> {
    let (_, time) = text.split_once(' ')?;
    let time: jiff::civil::DateTime = time.strip_suffix(" UTC")?.replace(' ', "T").parse().ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

fn files(digests: &[&str], shipped: &[&str], found: &[&str]) -> BTreeMap<String, FileSeen> {
    let digests = digests.iter().filter_map(|line| line.split_once('\t'));
    let mut files: BTreeMap<String, FileSeen> = digests
        .map(|(sha256, path)| {
            (path.to_owned(), FileSeen { sha256: sha256.to_owned(), changed_by_hand: None })
        })
        .collect();
    let shipped: BTreeMap<&str, &str> =
        shipped.iter().filter_map(|line| line.split_once("  ")).map(|(md5, path)| (path, md5)).collect();
    for (md5, path) in found.iter().filter_map(|line| line.split_once("  ")) {
        if let (Some(file), Some(shipped)) = (files.get_mut(path), shipped.get(path)) {
            file.changed_by_hand = Some(*shipped != md5);
        }
    }
    files
}

fn databases(
    report: &mut Report,
    wanted: &Wanted<'_>,
    galera: &[&str],
    schemas: &[&str],
    errors: &[&str],
    status: Option<&str>,
) {
    // No such line: there is no database on the node.
    if status.is_none() {
        return;
    }
    // An error names the line of its statement: the first asks for Galera, the others for one database each.
    let mut failed: BTreeMap<usize, &str> = BTreeMap::new();
    let mut whole = None;
    for error in errors {
        match line_of(error) {
            Some(line) => {
                failed.insert(line, error);
            }
            None => whole = whole.or(Some(*error)),
        }
    }
    if wanted.galera {
        report.node.galera = galera_seen(galera);
        if report.node.galera.is_none() {
            let why = failed.get(&1).copied().or(whole).unwrap_or("the database does not run with Galera");
            report.gaps.push(("galera".to_owned(), redact(why)));
        }
    }
    if !wanted.schemas {
        return;
    }
    for (index, database) in wanted.databases.iter().enumerate() {
        let mut heads: Vec<String> = schemas
            .iter()
            .filter_map(|line| line.split_once('\t'))
            .filter(|(name, _)| name == database)
            .map(|(_, head)| head.to_owned())
            .collect();
        heads.sort();
        heads.dedup();
        match failed.get(&(index + 2)).copied().or(whole) {
            Some(error) if !NO_SUCH_TABLE.iter().any(|none| error.starts_with(none)) => {
                report.gaps.push((format!("schema {database}"), redact(error)));
            }
            _ => {
                report.node.schemas.insert((*database).to_owned(), heads);
            }
        }
    }
}

/// The line in `ERROR 1146 (42S02) at line 3: Table 'x.y' doesn't exist`.
fn line_of(error: &str) -> Option<usize> {
    let (_, rest) = error.split_once(" at line ")?;
    rest.split(':').next()?.parse().ok()
}

fn galera_seen(lines: &[&str]) -> Option<GaleraSeen> {
    let values: BTreeMap<&str, &str> = lines.iter().filter_map(|line| line.split_once('\t')).collect();
    let value = |name: &str| values.get(name).copied();
    let cluster_status = value("wsrep_cluster_status")?.to_owned();
    let number = |name: &str| value(name).and_then(|text| text.parse().ok()).unwrap_or_default();
    let position = |name: &str| value(name).and_then(|text| text.parse().ok()).unwrap_or(-1);
    Some(GaleraSeen {
        cluster_status,
        cluster_size: number("wsrep_cluster_size"),
        local_state: number("wsrep_local_state"),
        ready: value("wsrep_ready") == Some("ON"),
        cluster_uuid: value("wsrep_cluster_state_uuid").unwrap_or_default().to_owned(),
        last_committed: position("wsrep_last_committed"),
        cached_downto: position("wsrep_local_cached_downto"),
        recv_queue: number("wsrep_local_recv_queue"),
    })
}

/// The answers to `show stat` and `show servers state`, one after the other.
fn servers(lines: &[&str]) -> Option<Vec<ServerSeen>> {
    let mut statistics: BTreeMap<(String, String), (u32, bool)> = BTreeMap::new();
    let mut servers = Vec::new();
    let mut columns: Vec<&str> = Vec::new();
    let mut has_states = false;
    for line in lines {
        if let Some(header) = line.strip_prefix("# pxname") {
            columns = std::iter::once("pxname").chain(header.split(',').skip(1)).collect();
        } else if line.starts_with("# be_id") {
            columns.clear();
            has_states = true;
        } else if !columns.is_empty() && !line.is_empty() {
            let fields: BTreeMap<&str, &str> = columns.iter().copied().zip(line.split(',')).collect();
            let field = |name: &str| fields.get(name).copied().unwrap_or_default();
            let key = (field("pxname").to_owned(), field("svname").to_owned());
            statistics.insert(key, (field("scur").parse().unwrap_or_default(), field("bck") == "1"));
        } else if has_states {
            servers.extend(server(line, &statistics));
        }
    }
    has_states.then_some(servers)
}

fn server(line: &str, statistics: &BTreeMap<(String, String), (u32, bool)>) -> Option<ServerSeen> {
    let fields: Vec<&str> = line.split(' ').collect();
    let field = |index: usize| fields.get(index).copied();
    let (backend, server, address) = (field(1)?.to_owned(), field(3)?.to_owned(), field(4)?);
    let (health, admin): (u32, u32) = (field(5)?.parse().ok()?, field(6)?.parse().ok()?);
    let port = field(18).unwrap_or_default();
    let (sessions, backup) = statistics.get(&(backend.clone(), server.clone())).copied().unwrap_or_default();
    let admin = match admin {
        0 => ServerAdmin::Ready,
        bits if bits & !ADMIN_DRAIN_BITS == 0 => ServerAdmin::Drain,
        _ => ServerAdmin::Maint,
    };
    // 1 is warming up, 2 is up; 3 is up but asked by its own health check for no more.
    let up = health == 1 || health == 2;
    Some(ServerSeen { backend, server, address: format!("{address}:{port}"), up, admin, sessions, backup })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
