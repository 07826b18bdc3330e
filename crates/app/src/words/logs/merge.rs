//! `ostler logs merge`: many logs as one, in true order of time, as a stream.
//!
//! Nothing is kept but what is being read. Secrets are starred out as everywhere.

use super::place::Logs;
use super::{beside, exit, say_unread};
use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use clap::Args;
use ostler_logs::merge::{Style, write};
use ostler_world::node::Lines;

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
    let style = match (is_json, plain) {
        (true, _) => Style::Json,
        (false, true) => Style::Plain,
        (false, false) => Style::Told,
    };
    let merging = beside(move || {
        let mut failure = None;
        let merged = write(&sources, since, until, style, &mut |piece| {
            failure = failure.take().or(printer.bytes(piece).err());
            failure.is_none()
        });
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
