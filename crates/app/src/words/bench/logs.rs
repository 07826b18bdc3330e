//! `ostler bench logs`: a made-up cloud's logs read by this binary, and the same logs by grep, ripgrep and os-log-merger, in one run.
//!
//! Every program is a child that is measured alike: wall time, CPU time, memory. A program that is not there is said to be
//! missing, never replaced by a remembered figure.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::settings::xdg;
use crate::view::table;
use clap::Args;
use ostler_logs::corpus::{self, Checked, Mix, Story};
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Ticks of a CPU clock in a second, as Linux reports them to every program.
const TICKS_PER_SECOND: f64 = 100.0;

/// How often a child's memory is looked at.
const SAMPLE: Duration = Duration::from_millis(5);

/// Corpora that one command may write.
const BYTES_MAX: u64 = 64 << 30;

/// Times that each program runs: the best one counts, as others work on the machine.
const RUNS_MAX: u32 = 20;

/// Read generated logs, beside grep, ripgrep and os-log-merger.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0: every line and head was read as it was written; 4: some was not.

It writes the logs below the cache and takes them away again. os-log-merger is installed into a virtual environment there;
grep and ripgrep are taken from the PATH.

Examples:
  ostler bench logs --size 2GB
  ostler bench logs --size 200MB --merger-size 20MB --runs 5")]
pub struct BenchLogs {
    /// Bytes of the logs: `200MB`, `2GB`.
    #[arg(long, default_value = "2GB", value_name = "SIZE", value_parser = size)]
    size: u64,
    /// Bytes of the logs that os-log-merger is given, too: it takes minutes for what others do in a second.
    #[arg(long, default_value = "100MB", value_name = "SIZE", value_parser = size)]
    merger_size: u64,
    /// The seed.
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
    /// How often each program runs; the best counts.
    #[arg(long, default_value_t = 3, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=i64::from(RUNS_MAX)))]
    runs: u32,
    /// Where logs and the virtual environment are kept (else ostler's folder in the user's cache).
    #[arg(long, value_name = "DIRECTORY")]
    cache: Option<PathBuf>,
    /// Keep the logs.
    #[arg(long)]
    keep: bool,
}

fn size(text: &str) -> Result<u64, String> {
    let refuse = || format!("`{text}` is no size; write `200MB` or `2GB`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| refuse())?;
    let unit = match text[digits..].trim().to_ascii_uppercase().as_str() {
        "MB" | "M" => 1_000_000,
        "GB" | "G" => 1_000_000_000,
        _ => return Err(refuse()),
    };
    number.checked_mul(unit).filter(|bytes| (1_000_000..=BYTES_MAX).contains(bytes)).ok_or_else(refuse)
}

/// What a child cost.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Cost {
    seconds: f64,
    cpu_seconds: f64,
    resident_mib: f64,
}

#[derive(Debug, Serialize)]
struct Row {
    job: &'static str,
    program: String,
    bytes: u64,
    cost: Option<Cost>,
    why_not: Option<String>,
}

pub(super) async fn run(context: &Context, typed: BenchLogs) -> Result<Exit, Failure> {
    let cache = match &typed.cache {
        Some(cache) => cache.clone(),
        None => xdg("XDG_CACHE_HOME", ".cache")
            .ok_or_else(|| {
                Failure::usage("there is no place for the logs").hint("name one with `--cache DIRECTORY`")
            })?
            .join("ostler"),
    };
    let printer = context.printer;
    let work = move || measure(&typed, &cache, &|line: &str| printer.note(line));
    let measured = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::failed(format!("it broke off: {error}")))?;
    let (rows, checked, story) = measured?;
    let is_right = checked.lines_wrong == 0 && checked.records_wrong == 0;
    if context.printer.is_json() {
        context.printer.json(&json!({ "rows": rows, "checked": checked, "traced": story.server }))?;
    } else {
        context.printer.text(&page(&rows, &checked))?;
    }
    Ok(if is_right { Exit::Done } else { Exit::Errors })
}

type Measured = (Vec<Row>, Checked, Story);

fn measure(typed: &BenchLogs, cache: &Path, say: &dyn Fn(&str)) -> Result<Measured, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", cache.display()));
    std::fs::create_dir_all(cache).map_err(failed)?;
    let (all, few) = (
        Kept(corpus::directory(cache, typed.size, typed.seed), typed.keep),
        Kept(corpus::directory(cache, typed.merger_size, typed.seed).with_extension("oslo"), typed.keep),
    );
    say(&format!("write {:.2} GB of logs, seed {}", typed.size as f64 / 1e9, typed.seed));
    let (written, story) = corpus::write(&all.0, typed.size, typed.seed, Mix::Everything).map_err(failed)?;
    let bytes: u64 = written.iter().map(|written| written.source.bytes).sum();
    say("compare every line with the truth");
    let checked = corpus::check(&written);
    drop(written);
    let (few_written, _) = corpus::write(&few.0, typed.merger_size, typed.seed, Mix::Oslo).map_err(failed)?;
    let few_bytes: u64 = few_written.iter().map(|written| written.source.bytes).sum();
    let few_files: Vec<String> =
        few_written.iter().map(|written| written.source.path.display().to_string()).collect();
    drop(few_written);

    let own = std::env::current_exe().map_err(failed)?.display().to_string();
    let (all, few) = (all.0.display().to_string(), few.0.display().to_string());
    let mut rows = Vec::new();
    let mut job = |job: &'static str, program: &str, bytes: u64, words: &[&str], runs: u32| {
        say(&format!("{job}: {program}"));
        let best = best(words, runs);
        let (cost, why_not) = match best {
            Ok(cost) => (Some(cost), None),
            Err(why) => (None, Some(why)),
        };
        rows.push(Row { job, program: program.to_owned(), bytes, cost, why_not });
    };
    let runs = typed.runs;
    job("errors", "grep -c ERROR", bytes, &["grep", "-r", "-c", "ERROR", &all], runs);
    job(
        "errors",
        "ripgrep -c ERROR",
        bytes,
        &["rg", "--no-ignore", "--no-config", "-a", "-c", "ERROR", &all],
        runs,
    );
    job("errors", "ostler logs errors", bytes, &[&own, "logs", "errors", &all, "--zone", "UTC"], runs);
    job("trace", "grep -c ID", bytes, &["grep", "-r", "-F", "-c", &story.server, &all], runs);
    job(
        "trace",
        "ripgrep ID",
        bytes,
        &["rg", "--no-ignore", "--no-config", "-a", "-F", &story.server, &all],
        runs,
    );
    job(
        "trace",
        "ostler logs trace ID",
        bytes,
        &[&own, "logs", "trace", &story.server, &all, "--zone", "UTC"],
        runs,
    );
    job("merge", "ostler logs merge", bytes, &[&own, "logs", "merge", &all, "--zone", "UTC"], runs.min(2));
    job(
        "merge, 20 oslo logs",
        "ostler logs merge",
        few_bytes,
        &[&own, "logs", "merge", &few, "--zone", "UTC"],
        runs,
    );
    let merger = os_log_merger(cache);
    match merger {
        Ok(program) => {
            let program = program.display().to_string();
            let mut words = vec![program.as_str()];
            words.extend(few_files.iter().map(String::as_str));
            job("merge, 20 oslo logs", "os-log-merger", few_bytes, &words, 1);
        }
        Err(why) => rows.push(Row {
            job: "merge, 20 oslo logs",
            program: "os-log-merger".to_owned(),
            bytes: few_bytes,
            cost: None,
            why_not: Some(why),
        }),
    }
    Ok((rows, checked, story))
}

/// A directory that goes with the measurement.
struct Kept(PathBuf, bool);

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.1 {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// os-log-merger in a virtual environment of its own.
fn os_log_merger(cache: &Path) -> Result<PathBuf, String> {
    let home = cache.join("os-log-merger");
    let program = home.join("bin/oslogmerger");
    if !program.exists() {
        let steps: [(&str, Vec<String>); 2] = [
            ("python3", vec!["-m".into(), "venv".into(), home.display().to_string()]),
            (
                "pip",
                vec![
                    "install".into(),
                    "--quiet".into(),
                    "--disable-pip-version-check".into(),
                    "os-log-merger".into(),
                ],
            ),
        ];
        for (name, words) in steps {
            let name =
                if name == "pip" { home.join("bin/pip").display().to_string() } else { name.to_owned() };
            let done = Command::new(&name)
                .args(&words)
                .stdin(Stdio::null())
                .output()
                .map_err(|error| format!("{name}: {error}"))?;
            if !done.status.success() {
                let said =
                    String::from_utf8_lossy(&done.stderr).lines().last().unwrap_or_default().to_owned();
                return Err(format!("{name}: {said}"));
            }
        }
    }
    if program.exists() { Ok(program) } else { Err("it did not install its program".to_owned()) }
}

/// The best of some runs.
fn best(words: &[&str], runs: u32) -> Result<Cost, String> {
    let mut best: Option<Cost> = None;
    for _ in 0..runs {
        let cost = once(words)?;
        if best.is_none_or(|known| cost.seconds < known.seconds) {
            best = Some(cost);
        }
    }
    best.ok_or_else(|| "it did not run".to_owned())
}

/// CPU time of all children that have ended.
fn children_cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.to_owned()).unwrap_or_default();
    // Fields 16 and 17 of the whole line are the children's user and system time.
    let ticks: f64 =
        fields.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS_PER_SECOND
}

fn once(words: &[&str]) -> Result<Cost, String> {
    let (name, rest) = words.split_first().ok_or("nothing to run")?;
    let before = children_cpu_seconds();
    let began = Instant::now();
    let mut child = Command::new(name)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{name}: {error}"))?;
    let mut cost = Cost::default();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
        cost.resident_mib = cost.resident_mib.max(kib.unwrap_or_default() / 1024.0);
        std::thread::sleep(SAMPLE);
    };
    cost.seconds = began.elapsed().as_secs_f64();
    cost.cpu_seconds = children_cpu_seconds() - before;
    // Finding something is no failure: grep says 1 for nothing found, ostler 3 and 4 for what it found.
    match status.code() {
        Some(0 | 1 | 3 | 4) => Ok(cost),
        _ => Err(format!("{name} ended with {status}")),
    }
}

fn page(rows: &[Row], checked: &Checked) -> String {
    let mut text = format!(
        "heads: {} of {} records as written; lines: {} of {} in their record\n",
        checked.records - checked.records_wrong.min(checked.records),
        checked.records,
        checked.lines - checked.lines_wrong.min(checked.lines),
        checked.lines
    );
    for example in &checked.examples {
        text.push_str(&format!("  {example}\n"));
    }
    text.push('\n');
    let told = rows.iter().map(|row| match (row.cost, &row.why_not) {
        (Some(cost), _) => vec![
            row.job.to_owned(),
            row.program.clone(),
            format!("{:.0} MB", row.bytes as f64 / 1e6),
            format!("{:.2}", cost.seconds),
            format!("{:.2}", cost.cpu_seconds),
            format!("{:.0}", row.bytes as f64 / 1e6 / cost.seconds.max(0.001)),
            format!("{:.0}", row.bytes as f64 / 1e6 / cost.cpu_seconds.max(0.01)),
            format!("{:.0}", cost.resident_mib),
        ],
        (None, why) => vec![
            row.job.to_owned(),
            row.program.clone(),
            format!("not measured: {}", why.as_deref().unwrap_or_default()),
        ],
    });
    text.push_str(&table(
        &["JOB", "PROGRAM", "READ", "SECONDS", "CPU S", "MB/S", "MB/CPU S", "MIB"],
        told.collect(),
    ));
    text.push('\n');
    let cost = |job: &str, program: &str| {
        rows.iter().find(|row| row.job == job && row.program.starts_with(program)).and_then(|row| row.cost)
    };
    for (job, own, other) in [
        ("errors", "ostler", "ripgrep"),
        ("errors", "ostler", "grep"),
        ("trace", "ostler", "ripgrep"),
        ("merge, 20 oslo logs", "ostler", "os-log-merger"),
    ] {
        if let (Some(own), Some(than)) = (cost(job, own), cost(job, other)) {
            let (wall, cpu) =
                (own.seconds / than.seconds.max(0.001), own.cpu_seconds / than.cpu_seconds.max(0.01));
            text.push_str(&format!("{job}: {wall:.2} x the time of {other} ({cpu:.2} x its CPU time)\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_need_a_unit_and_a_bound() {
        assert_eq!((size("200MB"), size("2GB")), (Ok(200_000_000), Ok(2_000_000_000)));
        for wrong in ["2", "GB", "2TB", "9999999GB", "0MB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
