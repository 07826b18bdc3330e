//! `ostler logs merge`: many logs as one, in true order of time, as a stream.
//!
//! Nothing is kept but what is being read. Secrets are starred out as everywhere.

use super::place::Logs;
use super::{beside, exit, say_unread};
use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use clap::Args;
use ostler_logs::clock;
use ostler_logs::line::{Severity, head};
use ostler_logs::mask::without_secrets;
use ostler_world::node::Lines;
use serde_json::json;

/// Bytes that are printed at once.
const PIECE_BYTES: usize = 1 << 18;

/// Print many logs as one, in true order of time.
#[derive(Debug, Args)]
#[command(
    after_help = "Each line is told with its moment in UTC, host and file; lines of a record follow its first one.
Exit code 0: done; 6: something could not be read.

Examples:
  ostler logs merge node: --since 10m
  ostler logs merge ctl1=/mnt/ctl1 cmp17=/mnt/cmp17 --ahead cmp17=0.83 --zone Europe/Berlin
  ostler logs merge /var/log --since '2026-11-21 18:39' --until '2026-11-21 18:46' --plain"
)]
pub struct Merge {
    #[command(flatten)]
    logs: Logs,
    /// Lines as they are, without moment, host and file.
    #[arg(long)]
    plain: bool,
}

pub(super) async fn merge(context: &Context, typed: Merge) -> Result<Exit, Failure> {
    let mut opened = typed.logs.open(context, &Lines::All).await?;
    let (sources, since, until) = (opened.sources.clone(), opened.since, opened.until);
    let (printer, is_json, plain) = (context.printer, context.printer.is_json(), typed.plain);
    let merging = beside(move || {
        let mut out: Vec<u8> = Vec::with_capacity(2 * PIECE_BYTES);
        let mut failure = None;
        let mut second = (i64::MIN, Vec::new());
        let merged = ostler_logs::merge::merge(&sources, since, until, |placed| {
            let text = without_secrets(placed.text);
            let name = &sources[placed.source].name;
            if is_json {
                let severity = head(placed.text.split(|c| *c == b'\n').next().unwrap_or_default(), b"")
                    .map_or(Severity::Info, |head| head.severity);
                let line = json!({
                    "at": clock::text(placed.at), "host": sources[placed.source].host, "log": name, "severity": severity,
                    "text": String::from_utf8_lossy(&text).trim_end_matches('\n'),
                });
                out.extend_from_slice(line.to_string().as_bytes());
                out.push(b'\n');
            } else if plain {
                out.extend_from_slice(&text);
                if !text.ends_with(b"\n") {
                    out.push(b'\n');
                }
            } else {
                if second.0 != placed.at {
                    second.0 = placed.at;
                    second.1.clear();
                    clock::write(placed.at, &mut second.1);
                }
                for line in text.strip_suffix(b"\n").unwrap_or(&text).split(|c| *c == b'\n') {
                    out.extend_from_slice(&second.1);
                    out.push(b' ');
                    out.extend_from_slice(name.as_bytes());
                    out.push(b' ');
                    out.extend_from_slice(line);
                    out.push(b'\n');
                }
            }
            if out.len() >= PIECE_BYTES {
                failure = printer.bytes(&out).err();
                out.clear();
            }
            failure.is_none()
        });
        if failure.is_none() {
            failure = printer.bytes(&out).err();
        }
        (merged, failure)
    });
    let (mut merged, failure) = merging.await?;
    if let Some(failure) = failure.filter(|failure| failure.kind != Kind::NobodyListens) {
        return Err(failure);
    }
    merged.unread.extend(std::mem::take(&mut opened.unread));
    for (name, count) in merged.jumps.iter().take(20) {
        context.printer.note(&format!(
            "{name}: the time jumps back {count} times; those lines keep their place in the log"
        ));
    }
    say_unread(context, &merged.unread);
    drop(opened.kept);
    Ok(exit(&merged.unread, Exit::Done))
}
