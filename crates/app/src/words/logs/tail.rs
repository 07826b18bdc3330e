//! `ostler logs tail`: follows logs as they grow, new ones and rotated ones too.
//!
//! Files of this machine only: a node's are followed on the node, `ostler logs merge node: --since 1m` shows what was just
//! written there. It ends when it is interrupted, or nobody reads it.

use super::errors::Level;
use super::moment;
use super::place::Logs;
use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use clap::Args;
use ostler_logs::clock;
use ostler_logs::line::Severity;
use ostler_logs::mask::without_secrets;
use ostler_logs::place::Source;
use ostler_logs::record::Walk;
use ostler_world::node::Lines;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Looks between two searches for new logs.
const LOOKS_UNTIL_SEARCH: u32 = 20;

/// Logs that are followed at once: each is an open file.
const FOLLOWED_MAX: usize = 500;

/// Bytes of one log that are taken at one look; more follows at the next.
const PIECE_BYTES: u64 = 4 << 20;

/// Follow logs as they grow.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 130: it was interrupted.

Examples:
  ostler logs tail /var/log/nova /var/log/neutron --level error
  ostler logs tail /var/log --only nova-")]
pub struct Tail {
    #[command(flatten)]
    logs: Logs,
    /// The least severity; without it everything.
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// Only logs whose name holds this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// End after this long.
    #[arg(long, value_name = "TIME")]
    during: Option<crate::duration::Seconds>,
}

struct Followed {
    file: File,
    inode: u64,
    at: u64,
    rest: Vec<u8>,
    walk: Walk,
    shows: Option<u64>,
}

impl Followed {
    fn open(path: &PathBuf, from_end: bool) -> Option<Followed> {
        let file = File::open(path).ok()?;
        let found = file.metadata().ok()?;
        let at = if from_end { found.len() } else { 0 };
        Some(Followed { file, inode: found.ino(), at, rest: Vec::new(), walk: Walk::new(false), shows: None })
    }

    /// What was added, whole lines.
    fn added(&mut self) -> Option<Vec<u8>> {
        let length = self.file.metadata().ok()?.len();
        if length < self.at {
            // Emptied in place.
            self.at = 0;
            self.rest.clear();
        }
        if length == self.at {
            return None;
        }
        self.file.seek(SeekFrom::Start(self.at)).ok()?;
        let mut new = std::mem::take(&mut self.rest);
        let read = (&self.file).take(PIECE_BYTES).read_to_end(&mut new).ok()?;
        self.at += read as u64;
        let end = memchr(&new).map_or(0, |at| at + 1);
        self.rest = new.split_off(end);
        if self.rest.len() as u64 > PIECE_BYTES {
            // A line without an end is shown in pieces.
            new = std::mem::take(&mut self.rest);
        }
        (!new.is_empty()).then_some(new)
    }
}

fn memchr(text: &[u8]) -> Option<usize> {
    text.iter().rposition(|c| *c == b'\n')
}

pub(super) async fn tail(context: &Context, typed: Tail) -> Result<Exit, Failure> {
    if typed.logs.places.is_empty() || typed.logs.places.iter().any(|place| place.starts_with("node:")) {
        return Err(Failure::usage("only logs of this machine are followed")
            .hint("name files or directories")
            .hint("what was just written on nodes: `ostler logs merge node: --since 1m`"));
    }
    let _ = moment::typed(context, "--since", typed.logs.since.as_deref()).await?;
    let least = typed.level.map(Level::severity);
    let end =
        typed.during.map(|seconds| std::time::Instant::now() + Duration::from_secs(u64::from(seconds.0)));
    let mut followed: BTreeMap<PathBuf, (Source, Followed)> = BTreeMap::new();
    let mut looks = 0u32;
    loop {
        if looks.is_multiple_of(LOOKS_UNTIL_SEARCH) {
            let opened = typed.logs.open(context, &Lines::All).await?;
            for source in opened.sources {
                let is_meant = typed.only.as_deref().is_none_or(|only| source.name.contains(only));
                if !is_meant || followed.contains_key(&source.path) || followed.len() >= FOLLOWED_MAX {
                    continue;
                }
                // What is there at first is old; what appears later is new from its first line on.
                if let Some(new) = Followed::open(&source.path, looks == 0) {
                    followed.insert(source.path.clone(), (source, new));
                }
            }
        }
        looks = looks.wrapping_add(1);
        let mut out = Vec::new();
        for (path, (source, log)) in &mut followed {
            while let Some(block) = log.added() {
                show(&block, source, log, least, context.printer.is_json(), &mut out);
            }
            let has_rotated = std::fs::metadata(path.as_path()).is_ok_and(|now| now.ino() != log.inode);
            if has_rotated && let Some(new) = Followed::open(path, false) {
                // What was written between the look and the rotation.
                while let Some(block) = log.added() {
                    show(&block, source, log, least, context.printer.is_json(), &mut out);
                }
                *log = new;
            }
        }
        match context.printer.bytes(&out) {
            Err(failure) if failure.kind == Kind::NobodyListens => return Ok(Exit::Done),
            other => other?,
        }
        if end.is_some_and(|end| std::time::Instant::now() >= end) {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn show(
    block: &[u8],
    source: &mut Source,
    log: &mut Followed,
    least: Option<Severity>,
    is_json: bool,
    out: &mut Vec<u8>,
) {
    let Followed { walk, shows, .. } = log;
    walk.block(block, |line| {
        if line.begins {
            let severity = line.head.map_or(Severity::Info, |head| head.severity);
            *shows = least.is_none_or(|least| severity >= least).then_some(line.record);
        }
        if *shows != Some(line.record) {
            return;
        }
        let text = without_secrets(line.text);
        if is_json {
            let at = line.head.and_then(|head| head.when.stamp()).map(|stamp| clock::text(source.clock.moment(stamp)));
            let told = serde_json::json!({
                "at": at, "host": source.host, "log": source.name, "begins": line.begins, "text": String::from_utf8_lossy(&text),
            });
            out.extend_from_slice(told.to_string().as_bytes());
        } else {
            out.extend_from_slice(source.name.as_bytes());
            out.push(b' ');
            out.extend_from_slice(&text);
        }
        out.push(b'\n');
    });
}
