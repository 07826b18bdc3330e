//! `ostler logs errors`: errors grouped by what they have in common.
//!
//! A baseline is a file of names of groups: what was there before is known, everything else is new.

use super::place::{Logs, Opened, footer};
use super::{beside, exit, moment, say_unread};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::printer::{Ink, Printer};
use clap::{Args, ValueEnum};
use ostler_logs::group::{Group, Groups, Wanted, group};
use ostler_logs::line::Severity;
use ostler_world::node::Lines;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The number of the baseline's format.
const BASELINE_FORMAT: u32 = 1;

/// Groups that a page shows when nobody says.
const SHOWN: usize = 30;

/// The least severity that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Warnings, too.
    Warning,
    /// Errors and worse.
    #[default]
    Error,
    /// Only what is critical.
    Critical,
}

impl Level {
    pub fn severity(self) -> Severity {
        match self {
            Level::Warning => Severity::Warning,
            Level::Error => Severity::Error,
            Level::Critical => Severity::Critical,
        }
    }

    pub fn lines(self) -> Lines {
        if self == Level::Warning { Lines::Warnings } else { Lines::Errors }
    }
}

/// Group errors by what they have in common.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0: none; 3: warnings; 4: errors; 6: something could not be read.

Examples:
  ostler logs errors node: --since 1h                            all nodes, the last hour
  ostler logs errors /var/log/nova ctl2=/mnt/ctl2/var/log        files of two hosts
  ostler logs errors sosreport-cmp17.tar.xz --level warning
  ostler logs errors node: --new-since '2026-11-21 18:00'        what was not there before six
  ostler logs errors node: --save-baseline known.json            today's are known from now on")]
pub struct Errors {
    #[command(flatten)]
    logs: Logs,
    /// The least severity that counts.
    #[arg(long, value_enum, default_value_t)]
    level: Level,
    /// Only errors that were not there before this moment.
    #[arg(long, value_name = "MOMENT")]
    new_since: Option<String>,
    /// Errors that are known; the others are new.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write down what was found as a baseline.
    #[arg(long, value_name = "FILE")]
    save_baseline: Option<PathBuf>,
    /// Only what is new.
    #[arg(long)]
    new: bool,
    /// How many groups are shown.
    #[arg(long, default_value_t = SHOWN, value_name = "NUMBER")]
    limit: usize,
}

/// Errors that are known.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Baseline {
    format: u32,
    taken: String,
    /// By the group's name: service and message, for a person who reads the file.
    pub known: BTreeMap<String, String>,
}

impl Baseline {
    pub fn read(path: &Path) -> Result<Baseline, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
        let baseline: Baseline = serde_json::from_str(&text).map_err(|error| {
            Failure::usage(format!("{} is no baseline: {error}", path.display()))
                .hint("make one: `ostler logs errors … --save-baseline FILE`")
        })?;
        if baseline.format != BASELINE_FORMAT {
            return Err(Failure::usage(format!(
                "{} has format {}, this ostler reads {BASELINE_FORMAT}",
                path.display(),
                baseline.format
            ))
            .hint("use the ostler that wrote it, or make it anew"));
        }
        Ok(baseline)
    }

    fn write(path: &Path, taken: String, groups: &[Group]) -> Result<(), Failure> {
        let known = groups
            .iter()
            .map(|group| (group.id.clone(), format!("{}: {}", group.service, group.message)))
            .collect();
        let baseline = Baseline { format: BASELINE_FORMAT, taken, known };
        let text =
            serde_json::to_string_pretty(&baseline).map_err(|error| Failure::failed(error.to_string()))?;
        std::fs::write(path, text + "\n")
            .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
    }
}

pub(super) async fn errors(context: &Context, typed: Errors) -> Result<Exit, Failure> {
    let mark = moment::typed(context, "--new-since", typed.new_since.as_deref()).await?;
    let baseline = typed.baseline.as_deref().map(Baseline::read).transpose()?;
    let began = Instant::now();
    let mut opened = typed.logs.open(context, &typed.level.lines()).await?;
    let wanted = Wanted { least: typed.level.severity(), since: opened.since, until: opened.until, mark };
    let sources = opened.sources.clone();
    let mut found = beside(move || group(&sources, wanted)).await?;
    found.unread.extend(std::mem::take(&mut opened.unread));
    found.unread.sort();
    let is_compared = mark.is_some() || baseline.is_some();
    let is_new = |group: &Group| match (&baseline, mark) {
        (Some(baseline), _) if baseline.known.contains_key(&group.id) => false,
        (_, Some(_)) => group.count_since_mark > 0 && group.count_since_mark == group.count,
        (Some(_), None) => true,
        (None, None) => false,
    };
    if let Some(path) = &typed.save_baseline {
        Baseline::write(path, context.clock().now().to_string(), &found.groups)?;
    }
    let only_new = typed.new || typed.new_since.is_some();
    let new: Vec<bool> = found.groups.iter().map(is_new).collect();
    let shown: Vec<(&Group, bool)> = found
        .groups
        .iter()
        .zip(new.iter().copied())
        .filter(|(_, new)| *new || !(only_new && is_compared))
        .collect();
    let worst = shown.iter().map(|(group, _)| group.severity).max();
    if context.printer.is_json() {
        let groups: Vec<serde_json::Value> = shown
            .iter()
            .map(|(group, new)| {
                let mut one = json!(group);
                if is_compared {
                    one["new"] = json!(new);
                }
                one
            })
            .collect();
        context.printer.json(&json!({
            "groups": groups, "files": found.files, "bytes": found.bytes, "lines": found.lines, "records": found.records,
            "holes": found.holes, "unread": found.unread, "clocks": clocks(&opened),
        }))?;
    } else {
        let mut text = page(&context.printer, &shown, is_compared, typed.limit);
        text.push_str(&totals(&found, &shown));
        text.push_str(&footer(&opened, found.files, found.bytes, began.elapsed().as_secs_f64()));
        context.printer.text(&text)?;
        say_unread(context, &found.unread);
    }
    Ok(exit(&found.unread, exit_of(worst)))
}

/// Corrected clocks, for programs.
pub fn clocks(opened: &Opened) -> serde_json::Value {
    let all: Vec<serde_json::Value> = opened
        .corrected
        .iter()
        .map(|(host, us)| json!({ "host": host, "ahead_s": *us as f64 / 1e6 }))
        .collect();
    json!(all)
}

pub fn exit_of(worst: Option<Severity>) -> Exit {
    match worst {
        None => Exit::Done,
        Some(Severity::Critical | Severity::Error) => Exit::Errors,
        Some(_) => Exit::Warnings,
    }
}

fn totals(found: &Groups, shown: &[(&Group, bool)]) -> String {
    let records: u64 = shown.iter().map(|(group, _)| group.count).sum();
    let mut text = format!(
        "{} in {}",
        crate::view::count(records as usize, "record"),
        crate::view::count(shown.len(), "group")
    );
    if found.holes > 0 {
        text.push_str(&format!("; {} lines say that lines are missing", found.holes));
    }
    text.push('\n');
    text
}

/// A page of groups.
pub fn page(printer: &Printer, shown: &[(&Group, bool)], is_compared: bool, limit: usize) -> String {
    let mut text = String::new();
    for (group, new) in shown.iter().take(limit) {
        let ink = if group.severity >= Severity::Error { Ink::Bad } else { Ink::Care };
        let word = match (is_compared, new) {
            (true, true) => format!("NEW {}", group.severity),
            (true, false) => format!("known {}", group.severity),
            (false, _) => group.severity.to_string(),
        };
        let hosts: Vec<String> = group
            .hosts
            .iter()
            .take(6)
            .map(|(host, count)| if host.is_empty() { count.to_string() } else { format!("{host} {count}") })
            .collect();
        let more =
            if group.hosts.len() > 6 { format!(", … {} hosts", group.hosts.len()) } else { String::new() };
        text.push_str(&format!(
            "{}  {} x{}  {}  {}{more}\n",
            printer.ink(ink, &word),
            printer.ink(Ink::Heading, &group.service),
            group.count,
            group.program,
            hosts.join(", "),
        ));
        text.push_str(&format!("    {}\n", first_line(&group.sample)));
        if !group.exception.is_empty() || !group.frame.is_empty() {
            let place = if group.frame.is_empty() { String::new() } else { format!(" in {}", group.frame) };
            text.push_str(&format!(
                "    {}{place}\n",
                if group.exception.is_empty() { "traceback" } else { &group.exception }
            ));
        }
        text.push_str(&format!("    {}\n", printer.ink(Ink::Faint, &when(group))));
        if let Some(known) = group.known {
            text.push_str(&format!("    {}: {}; {}\n", known.code, known.means, known.next));
        }
        text.push('\n');
    }
    if shown.len() > limit {
        text.push_str(&format!("… and {} more groups: `--limit {}`\n\n", shown.len() - limit, shown.len()));
    }
    text
}

fn when(group: &Group) -> String {
    let at = |moment: Option<i64>| {
        let at = moment.and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
        at.map_or_else(|| "without a time".to_owned(), crate::view::local)
    };
    match (group.first, group.last) {
        (None, None) => format!("{}  without a time", group.id),
        (first, last) if first == last => format!("{}  at {}", group.id, at(first)),
        (first, last) => format!("{}  first {}  last {}", group.id, at(first), at(last)),
    }
}

/// The first line of a text, as wide as a page bears.
pub fn first_line(text: &str) -> String {
    const LETTERS_MAX: usize = 200;
    let line = text.lines().next().unwrap_or_default();
    let line: String = line.chars().map(|c| if c.is_control() { '·' } else { c }).collect();
    match line.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
