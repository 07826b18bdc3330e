//! This same binary as a child, and what it costs: wall time, CPU time, memory.
//!
//! What it costs is read from /proc while it runs. It is never given anything that a person could not type.

use crate::failure::Failure;
use ostler_lab::Lab;
use serde::Serialize;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How often /proc is read.
const SAMPLE: Duration = Duration::from_millis(200);

/// Ticks of a CPU clock in a second, as Linux reports them to every program.
const TICKS_PER_SECOND: f64 = 100.0;

/// Runs a program with a signal for the death of whoever started it; from util-linux, which every Debian has.
const SETPRIV: &str = "/usr/bin/setpriv";

/// What a child cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Cost {
    /// Wall time.
    pub(super) seconds: f64,
    /// CPU time of all its threads.
    pub(super) cpu_seconds: f64,
    /// Most memory that was resident at once.
    pub(super) resident_mib: f64,
}

/// A program that ends when we do, however we end.
pub(super) fn ends_with_us(program: &Path) -> Command {
    let is_program = std::fs::metadata(program)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    // What cannot be started is best said by the start itself.
    match is_program && Path::new(SETPRIV).is_file() {
        false => Command::new(program),
        true => {
            let mut command = Command::new(SETPRIV);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
    }
}

fn command(settings: &Path, store: &str, words: &[String]) -> Result<Command, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
    Ok(command_of(&own, settings, store, words))
}

fn command_of(program: &Path, settings: &Path, store: &str, words: &[String]) -> Command {
    let mut command = ends_with_us(program);
    command.arg("--config").arg(settings).arg("--state").arg(store).args(words).kill_on_drop(true);
    command
}

/// Runs the child to its end, its words shown as they are, or not at all.
pub(super) async fn run(lab: &Lab, store: &str, words: &[String], silently: bool) -> Result<Cost, Failure> {
    let mut command = command(&lab.settings(), store, words)?;
    if silently {
        command.stdout(Stdio::null());
    }
    let mut child =
        command.stdin(Stdio::null()).spawn().map_err(|error| Failure::failed(error.to_string()))?;
    let (status, cost) = watch(&mut child).await?;
    if status.success() {
        Ok(cost)
    } else {
        Err(Failure::failed(format!("`ostler {}` ended with {status}", words.join(" ")))
            .hint("what it printed above says why"))
    }
}

/// Runs this binary to its end with these words and no others, what it prints into a file. Whatever its exit code is: a look
/// that finds something is no failure.
pub(super) async fn run_into(words: &[String], file: &Path) -> Result<Cost, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("cannot start this program again: {error}"));
    let own = std::env::current_exe().map_err(failed)?;
    let out = std::fs::File::create(file).map_err(failed)?;
    let mut command = ends_with_us(&own);
    command.args(words).env_remove("OSTLER_CONFIG").env_remove("OSTLER_STATE").kill_on_drop(true);
    let mut child = command.stdin(Stdio::null()).stdout(out).spawn().map_err(failed)?;
    Ok(watch(&mut child).await?.1)
}

/// Starts the child as a server that says everything as JSON, one line each.
/// `program` is another build of this binary, where one is to be measured.
pub(super) fn serve(program: Option<&Path>, settings: &Path, store: &str) -> Result<Child, Failure> {
    let words = ["--format", "json", "serve"].map(str::to_owned);
    let mut command = match program {
        Some(program) => command_of(program, settings, store, &words),
        None => command(settings, store, &words)?,
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.spawn().map_err(|error| match program {
        Some(program) => Failure::usage(format!("cannot start {}: {error}", program.display()))
            .hint("name an ostler that can be run with `--server`"),
        None => Failure::failed(format!("cannot start this program again: {error}")),
    })
}

/// What a child that runs has cost so far; its wall time is not known.
pub(super) fn cost(child: &Child) -> Cost {
    let mut cost = Cost::default();
    sample(child.id().unwrap_or_default(), &mut cost);
    cost
}

/// Runs the child until its journal says that a step is done, then interrupts it as a person would.
pub(super) async fn run_until(lab: &Lab, store: &str, words: &[String], step: &str) -> Result<(), Failure> {
    let mut command = command(&lab.settings(), store, words)?;
    command.args(["--format", "json"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| Failure::failed(error.to_string()))?;
    let Some(out) = child.stdout.take() else { return Err(Failure::failed("the child has no output")) };
    let mut lines = BufReader::new(out).lines();
    let named = format!("\"{step}\"");
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains(&named) && line.contains("\"proved\"") && line.contains("\"done\"") {
            let _ = child.start_kill();
            let _ = child.wait().await;
            return Ok(());
        }
    }
    let status = child.wait().await.map_err(|error| Failure::failed(error.to_string()))?;
    Err(Failure::failed(format!("the upgrade ended ({status}) before step {step} was done"))
        .hint("`ostler upgrade plan` shows the names of the steps"))
}

async fn watch(child: &mut Child) -> Result<(std::process::ExitStatus, Cost), Failure> {
    let began = Instant::now();
    let pid = child.id().unwrap_or_default();
    let mut cost = Cost::default();
    loop {
        tokio::select! {
            status = child.wait() => {
                cost.seconds = began.elapsed().as_secs_f64();
                return Ok((status.map_err(|error| Failure::failed(error.to_string()))?, cost));
            }
            () = tokio::time::sleep(SAMPLE) => sample(pid, &mut cost),
        }
    }
}

fn sample(pid: u32, cost: &mut Cost) {
    if let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        && let Some((_, fields)) = stat.rsplit_once(')')
    {
        // Fields 14 and 15 of the whole line are user and system time.
        let ticks: f64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        cost.cpu_seconds = cost.cpu_seconds.max(ticks / TICKS_PER_SECOND);
    }
    if let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
        cost.resident_mib = cost.resident_mib.max(kib.unwrap_or_default() / 1024.0);
    }
}
