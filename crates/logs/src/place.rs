//! Where logs lie: files below a directory, whose host and service their path tells; archives are unpacked first.
//!
//! It leaves alone what is no log, says what it could not read, and never follows a link out of where it was sent.

use crate::clock::{Clock, Moment};
use crate::read::unpacked;
use jiff::tz::TimeZone;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, Read, Write};
use std::path::{Component, Path, PathBuf};

/// Files that one command reads.
pub const FILES_MAX: usize = 200_000;

/// Directories in directories; deeper is a loop.
const DEPTH_MAX: usize = 24;

/// Bytes that an archive may unfold to: a collection of a hundred nodes is below, a bomb is not.
pub const ARCHIVE_BYTES_MAX: u64 = 64 << 30;

/// Names whose service is told by the directory that they lie in.
const SHARED_NAMES: [&str; 22] = [
    "server",
    "api",
    "scheduler",
    "volume",
    "backup",
    "conductor",
    "engine",
    "registry",
    "error",
    "access",
    "compute",
    "dhcp-agent",
    "l3-agent",
    "metadata-agent",
    "openvswitch-agent",
    "linuxbridge-agent",
    "sriov-nic-agent",
    "ovn-metadata-agent",
    "central",
    "manage",
    "uwsgi",
    "agent",
];

/// Files in log directories that are no text.
const NO_LOGS: [&str; 8] = ["wtmp", "btmp", "lastlog", "faillog", "tallylog", "private", "README", "wtmp.db"];

/// Endings of files that are no logs.
const NO_LOG_ENDINGS: [&str; 14] =
    ["db", "ibd", "pcap", "png", "jpg", "rpm", "deb", "pid", "lock", "sock", "so", "pyc", "qcow2", "core"];

/// One log.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// The host that wrote it.
    pub host: String,
    /// The service, as the file's name says.
    pub service: String,
    /// Its name in answers: host and file.
    pub name: String,
    /// Bytes of the file as it lies there.
    pub bytes: u64,
    /// How its times are read.
    pub clock: Clock,
}

/// Something that was not read, or not wholly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Unread {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// How the files below one place are to be understood.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file or directory.
    pub path: PathBuf,
    /// The host, where the path does not tell.
    pub host: String,
    /// The host's zone.
    pub zone: TimeZone,
    /// How far the host's clock is ahead of ours, in microseconds.
    pub ahead_us: i64,
    /// Where the names in answers begin; else at the path itself.
    pub below: Option<PathBuf>,
}

/// The logs of a place.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// In order of name.
    pub sources: Vec<Source>,
    /// What was left out.
    pub unread: Vec<Unread>,
}

impl Found {
    /// Looks for logs below a place. Only what is changed since `since`, where that is given.
    pub fn look(&mut self, place: &Place, since: Option<Moment>) {
        match std::fs::metadata(&place.path) {
            Ok(found) => self.enter(place, &place.path, &found, since, 0),
            Err(error) => self.leave(&place.path, error.to_string()),
        }
    }

    /// In order, once each.
    pub fn finish(&mut self) {
        self.sources.sort_by(|a, b| a.path.cmp(&b.path));
        self.sources.dedup_by(|a, b| a.path == b.path);
        if self.sources.len() > FILES_MAX {
            let over = self.sources.len() - FILES_MAX;
            self.sources.truncate(FILES_MAX);
            self.unread.push(Unread {
                what: format!("{over} files"),
                why: format!("more than {FILES_MAX} at once are not read"),
            });
        }
        self.unread.sort();
        self.unread.dedup();
    }

    fn leave(&mut self, path: &Path, why: String) {
        self.unread.push(Unread { what: path.display().to_string(), why });
    }

    fn enter(&mut self, place: &Place, path: &Path, found: &Metadata, since: Option<Moment>, depth: usize) {
        if found.is_file() {
            self.take(place, path, found, since);
            return;
        }
        // A pipe that is named is read like a file.
        if !found.is_dir() {
            if depth == 0 {
                self.take(place, path, found, since);
            }
            return;
        }
        if depth > DEPTH_MAX {
            return self.leave(path, format!("more than {DEPTH_MAX} directories deep"));
        }
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.leave(path, error.to_string()),
        };
        for entry in entries {
            let below = match entry {
                Ok(entry) => entry.path(),
                Err(error) => return self.leave(path, error.to_string()),
            };
            if self.sources.len() > FILES_MAX {
                return;
            }
            // Links of a container's runtime lead from one directory of logs to another; they are read where they lie.
            match std::fs::symlink_metadata(&below) {
                Ok(found) if found.file_type().is_symlink() => {}
                Ok(found) => self.enter(place, &below, &found, since, depth + 1),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.leave(&below, error.to_string()),
            }
        }
    }

    fn take(&mut self, place: &Place, path: &Path, found: &Metadata, since: Option<Moment>) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let newest = found.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let newest = newest.and_then(|since| i64::try_from(since.as_micros()).ok()).unwrap_or(0);
        let is_named = path == place.path;
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let is_no_log = NO_LOGS.contains(&name.as_str()) || NO_LOG_ENDINGS.contains(&ending);
        let is_old = since.is_some_and(|since| newest != 0 && newest + place.ahead_us.abs() < since);
        if !is_named && (is_no_log || is_old || (found.is_file() && found.len() == 0)) {
            return;
        }
        if ending == "journal" || name.ends_with(".journal~") {
            return self.leave(
                path,
                "a journal in its own format: `journalctl --file FILE -o export` makes a text of it"
                    .to_owned(),
            );
        }
        let host = host_of(place, path);
        let below = place
            .below
            .as_deref()
            .unwrap_or_else(|| if is_named { path.parent().unwrap_or(path) } else { &place.path });
        let short = path.strip_prefix(below).unwrap_or(path).display().to_string();
        let short = short.trim_start_matches(&format!("{host}/")).to_owned();
        self.sources.push(Source {
            service: service_of(path),
            name: if host.is_empty() { short } else { format!("{host}:{short}") },
            host,
            bytes: found.len(),
            clock: Clock::new(place.zone.clone(), newest, place.ahead_us),
            path: path.to_owned(),
        });
    }
}

/// The host that a path tells: `HOST/var/log/…`, `sosreport-HOST-…/…`, `rsyslog/HOST/…`; else the place's own.
fn host_of(place: &Place, path: &Path) -> String {
    let below = path.strip_prefix(&place.path).unwrap_or(Path::new(""));
    let parts: Vec<String> = below
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    let host = |name: &String| match name.strip_prefix("sosreport-") {
        Some(rest) => rest.split('-').next().unwrap_or(rest).to_owned(),
        None => name.clone(),
    };
    if let Some(at) =
        parts.windows(2).position(|pair| pair[0] == "var" && pair[1] == "log").filter(|at| *at > 0)
    {
        return host(&parts[at - 1]);
    }
    if let Some(first) = parts.first().filter(|first| first.starts_with("sosreport-")) {
        return host(first);
    }
    let inside: Vec<&str> = place.path.iter().filter_map(|part| part.to_str()).collect();
    if inside.last() == Some(&"rsyslog") && parts.len() > 1 {
        return parts[0].clone();
    }
    place.host.clone()
}

/// The service that a file's name tells: `nova-compute.log.2.gz` is nova-compute's, `neutron/server.log` neutron-server's.
pub fn service_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut stem = name.as_str();
    // What rotation and packing have put behind the name.
    while let Some((rest, ending)) = stem.rsplit_once('.') {
        let is_ending = matches!(
            ending,
            "gz" | "xz" | "zst" | "log" | "txt" | "json" | "out" | "journal" | "export" | "old"
        ) || ending.chars().all(|c| c.is_ascii_digit() || c == '-');
        if !is_ending || rest.is_empty() {
            break;
        }
        stem = rest;
    }
    let stem = match stem.rsplit_once('-') {
        Some((rest, date)) if date.len() == 8 && date.chars().all(|c| c.is_ascii_digit()) => {
            rest.trim_end_matches(".log")
        }
        _ => stem,
    };
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    match folder {
        Some(folder) if SHARED_NAMES.contains(&stem) => format!("{folder}-{stem}"),
        _ => stem.to_owned(),
    }
}

/// Whether a file is an archive, by its name.
pub fn is_archive(path: &Path) -> bool {
    let name = path.to_string_lossy();
    [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst"].iter().any(|end| name.ends_with(end))
}

/// Unfolds an archive into a directory: plain files only, each below it, bounded in all. What was left out is told.
pub fn unfold(archive: &Path, into: &Path) -> io::Result<Vec<Unread>> {
    let mut unread = Vec::new();
    let mut entries = tar::Archive::new(unpacked(File::open(archive)?)?);
    let leave =
        |what: &Path, why: String| Unread { what: format!("{}:{}", archive.display(), what.display()), why };
    let mut left = ARCHIVE_BYTES_MAX;
    for (count, entry) in entries.entries()?.enumerate() {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                unread.push(leave(Path::new("…"), format!("the archive breaks off: {error}")));
                break;
            }
        };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let inside: PathBuf = match entry.path() {
            Ok(path) => path.components().filter(|part| matches!(part, Component::Normal(_))).collect(),
            Err(_) => continue,
        };
        if count >= FILES_MAX || inside.as_os_str().is_empty() {
            unread.push(leave(&inside, format!("more than {FILES_MAX} files")));
            break;
        }
        let target = into.join(&inside);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&target)?;
        let copied = io::copy(&mut (&mut entry).take(left), &mut file);
        match copied {
            Ok(bytes) => left -= bytes.min(left),
            Err(error) => {
                unread.push(leave(&inside, format!("the archive breaks off: {error}")));
                break;
            }
        }
        if let Ok(seconds) = entry.header().mtime() {
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.min(1 << 40));
            // Syslog's years are told by it; without it they are this year's.
            let _ = file.set_modified(at);
        }
        if left == 0 {
            unread.push(leave(
                &inside,
                format!("the archive unfolds to more than {} GiB", ARCHIVE_BYTES_MAX >> 30),
            ));
            break;
        }
    }
    Ok(unread)
}

/// Lays out what a node poured: two lines about the node, then a packed stream in which `mark` begins a line before each
/// file. False in the answer: the stream has no end mark, so something is missing.
pub fn lay_out(poured: &Path, into: &Path, mark: &str) -> io::Result<(bool, Vec<Unread>)> {
    const GREETING_LINES: usize = 2;
    let mut from = io::BufReader::new(File::open(poured)?);
    let mut line = Vec::new();
    for _ in 0..GREETING_LINES {
        line.clear();
        (&mut from).take(1024).read_until(b'\n', &mut line)?;
    }
    let mut text = io::BufReader::with_capacity(1 << 20, flate2::read::MultiGzDecoder::new(from));
    let (mut unread, mut file, mut has_ended) = (Vec::new(), None::<(io::BufWriter<File>, u64)>, false);
    let begin = format!("{mark}\t");
    let mut files = 0;
    loop {
        line.clear();
        // What came before a break is kept; the missing end mark says the rest.
        let bound = crate::read::RECORD_BYTES_MAX as u64;
        let length = (&mut text).take(bound).read_until(b'\n', &mut line).unwrap_or_default();
        if length == 0 {
            break;
        }
        let Some(told) = line.strip_prefix(begin.as_bytes()) else {
            if let Some((file, _)) = &mut file {
                file.write_all(&line)?;
            }
            continue;
        };
        if let Some((done, seconds)) = file.take() {
            close(done, seconds)?;
        }
        let told = String::from_utf8_lossy(told).trim_end().to_owned();
        let words: Vec<&str> = told.splitn(3, '\t').collect();
        match words.as_slice() {
            ["end", ..] => has_ended = true,
            ["file", seconds, path] if files < FILES_MAX => {
                files += 1;
                let inside: PathBuf = Path::new(path)
                    .components()
                    .filter(|part| matches!(part, Component::Normal(_)))
                    .collect();
                let target = into.join(inside);
                if let Some(folder) = target.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                // Packed on the node, plain here.
                let name = target.to_string_lossy().into_owned();
                let name = [".gz", ".xz", ".zst"]
                    .iter()
                    .fold(name.as_str(), |name, end| name.strip_suffix(end).unwrap_or(name))
                    .to_owned();
                file = Some((io::BufWriter::new(File::create(name)?), seconds.parse().unwrap_or(0)));
            }
            ["missing", path, ..] => {
                unread.push(Unread { what: (*path).to_owned(), why: "there is none".to_owned() })
            }
            _ => {}
        }
    }
    if let Some((done, seconds)) = file {
        close(done, seconds)?;
    }
    Ok((has_ended, unread))
}

fn close(file: io::BufWriter<File>, seconds: u64) -> io::Result<()> {
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.min(1 << 40));
    // Syslog's years are told by it; without it they are this year's.
    let _ = file.set_modified(at);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_tells_its_service() {
        for (path, service) in [
            ("/var/log/nova/nova-compute.log", "nova-compute"),
            ("/var/log/nova/nova-compute.log.2.gz", "nova-compute"),
            ("/var/log/nova/nova-compute.log-20261121", "nova-compute"),
            ("/var/log/neutron/server.log", "neutron-server"),
            ("/var/log/kolla/keystone/keystone-apache-public-access.log", "keystone-apache-public-access"),
            ("/var/log/rabbitmq/rabbit@ctl1.log", "rabbit@ctl1"),
            ("/var/log/syslog", "syslog"),
            ("/var/log/syslog.1", "syslog"),
        ] {
            assert_eq!(service_of(Path::new(path)), service);
        }
    }

    #[test]
    fn a_path_tells_its_host() {
        let place = |path: &str| Place {
            path: path.into(),
            host: "here".into(),
            zone: TimeZone::UTC,
            ahead_us: 0,
            below: None,
        };
        for (root, path, host) in [
            ("/x", "/x/ctl1/var/log/syslog", "ctl1"),
            ("/x", "/x/sosreport-cmp17-2026-11-21-abc/sos_commands/x.log", "cmp17"),
            ("/var/log/rsyslog", "/var/log/rsyslog/net1/nova.log", "net1"),
            ("/var/log", "/var/log/nova/nova-api.log", "here"),
        ] {
            assert_eq!(host_of(&place(root), Path::new(path)), host, "{path}");
        }
    }
}
