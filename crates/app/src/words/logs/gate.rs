//! `ostler logs gate`: whether errors appeared since a moment that were not there before it.
//!
//! It answers with an exit code. What may appear is said in a file, each entry bound to a window and a number, so that
//! nothing is allowed for ever by accident.

use super::errors::{Baseline, Level, clocks, page};
use super::place::{Logs, footer};
use super::{beside, exit, moment, say_unread};
use crate::context::Context;
use crate::duration::Seconds;
use crate::failure::{Exit, Failure};
use crate::settings::from_reader;
use clap::Args;
use ostler_logs::clock::Moment;
use ostler_logs::group::{Group, Wanted, group};
use ostler_world::node::Lines;
use regex::Regex;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Groups that a page shows.
const SHOWN: usize = 30;

/// How far before the mark is read, to learn what was there already.
const BEFORE_US: i64 = 24 * 3_600_000_000;

/// Say whether errors appeared that were not there before a moment.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: nothing new; 3: new warnings; 4: new errors; 6: something could not be read.

The file of what may appear:
  [[allow]]
  says = 'ECONNREFUSED|Connection refused'     a regular expression over message and exception
  service = 'nova-.*'                          optional
  within = '5m'                                only so long after the mark
  most = 20                                    only so often
  because = 'services restart'

Examples:
  ostler logs gate node: --since 20261121-221738-a6fr      since a run was opened
  ostler logs gate node: --since 10m --allow upgrade.toml"
)]
pub struct Gate {
    #[command(flatten)]
    logs: Logs,
    /// The moment: errors that were there in the day before it are not new. A run's name: when it was opened.
    /// `--since` alone means the same.
    #[arg(long, value_name = "MOMENT")]
    mark: Option<String>,
    /// What may appear.
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
    /// Errors that are known already.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// The least severity that counts.
    #[arg(long, value_enum, default_value_t)]
    level: Level,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowFile {
    #[serde(default)]
    allow: Vec<AllowTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowTable {
    says: String,
    service: Option<String>,
    within: Option<Seconds>,
    most: Option<u64>,
    because: String,
}

struct Allowed {
    says: Regex,
    service: Option<Regex>,
    within_us: Option<i64>,
    most: Option<u64>,
    because: String,
}

fn allowed(path: &Path) -> Result<Vec<Allowed>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    let file: AllowFile = toml::from_str(&text).map_err(|error| from_reader(path, &text, &error))?;
    let regex = |pattern: &str| {
        Regex::new(pattern).map_err(|error| {
            Failure::usage(format!("{}: `{pattern}` is no regular expression", path.display()))
                .evidences(error.to_string().lines().map(str::to_owned))
        })
    };
    file.allow
        .into_iter()
        .map(|table| {
            Ok(Allowed {
                says: regex(&table.says)?,
                service: table
                    .service
                    .as_deref()
                    .map(|service| regex(&format!("^(?:{service})$")))
                    .transpose()?,
                within_us: table.within.map(|Seconds(seconds)| i64::from(seconds) * 1_000_000),
                most: table.most,
                because: table.because,
            })
        })
        .collect()
}

impl Allowed {
    fn covers(&self, group: &Group, mark: Moment) -> bool {
        let told = format!("{} {}", group.sample, group.exception);
        let is_within =
            self.within_us.is_none_or(|within| group.last.is_none_or(|last| last <= mark + within));
        self.says.is_match(&told)
            && self.service.as_ref().is_none_or(|service| service.is_match(&group.service))
            && is_within
            && self.most.is_none_or(|most| group.count_since_mark <= most)
    }
}

pub(super) async fn gate(context: &Context, typed: Gate) -> Result<Exit, Failure> {
    let mut logs = typed.logs.clone();
    let (option, said) = match typed.mark {
        Some(mark) => ("--mark", mark),
        // From when on is read follows from the mark then.
        None => (
            "--since",
            logs.since.take().ok_or_else(|| {
                Failure::usage("it is not said since when an error is new")
                    .hint("say it by `--since`: a moment, `10m` for ten minutes ago, or a run's name")
            })?,
        ),
    };
    let mark = moment::typed(context, option, Some(&said)).await?.unwrap_or_default();
    let allow = typed.allow.as_deref().map(allowed).transpose()?.unwrap_or_default();
    let baseline = typed.baseline.as_deref().map(Baseline::read).transpose()?.unwrap_or_default();
    let began = Instant::now();
    if logs.since.is_none() {
        logs.since = Some(format!("@{}", (mark - BEFORE_US).div_euclid(1_000_000)));
    }
    let lines: Lines = typed.level.lines();
    let mut opened = logs.open(context, &lines).await?;
    let wanted =
        Wanted { least: typed.level.severity(), since: opened.since, until: opened.until, mark: Some(mark) };
    let sources = opened.sources.clone();
    let mut found = beside(move || group(&sources, wanted)).await?;
    found.unread.extend(std::mem::take(&mut opened.unread));
    found.unread.sort();
    let (mut new, mut excused): (Vec<&Group>, Vec<(&Group, &str)>) = (Vec::new(), Vec::new());
    for group in &found.groups {
        let was_there = group.count_since_mark < group.count;
        if group.count_since_mark == 0 || was_there || baseline.known.contains_key(&group.id) {
            continue;
        }
        match allow.iter().find(|allowed| allowed.covers(group, mark)) {
            Some(allowed) => excused.push((group, &allowed.because)),
            None => new.push(group),
        }
    }
    let worst = new.iter().map(|group| group.severity).max();
    if context.printer.is_json() {
        let excused: Vec<serde_json::Value> =
            excused.iter().map(|(group, because)| json!({ "group": group, "because": because })).collect();
        context.printer.json(&json!({
            "mark": ostler_logs::clock::text(mark), "new": new, "allowed": excused, "files": found.files, "bytes": found.bytes,
            "unread": found.unread, "clocks": clocks(&opened),
        }))?;
    } else {
        let shown: Vec<(&Group, bool)> = new.iter().map(|group| (*group, true)).collect();
        let mut text = page(&context.printer, &shown, true, SHOWN);
        for (group, because) in &excused {
            text.push_str(&format!(
                "allowed  {} x{}  {}: {because}\n",
                group.service, group.count_since_mark, group.message
            ));
        }
        let seconds = began.elapsed().as_secs_f64();
        text.push_str(&format!(
            "{} since {}\n{}",
            match new.len() {
                0 => "nothing new".to_owned(),
                count => crate::view::count(count, "new group"),
            },
            jiff::Timestamp::from_microsecond(mark).map_or_else(|_| said.clone(), crate::view::local),
            footer(&opened, found.files, found.bytes, seconds)
        ));
        context.printer.text(&text)?;
        say_unread(context, &found.unread);
    }
    Ok(exit(&found.unread, super::errors::exit_of(worst)))
}
