//! `ostler bench`: measures the main jobs on a lab, so that every figure in the docs is a command's answer.
//!
//! It drives this same binary as a child, as an operator would. It measures; it never makes a job easier.

mod api;
mod child;
mod fleet;
mod ha;
mod health;
mod logs;
mod rollback;
mod standin;
mod storm;
mod upgrade;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::printer::Printer;
use crate::words::lab::{Which, failure};
use clap::{Args, Subcommand};
use ostler_lab::{Lab, LoadOptions, LoadReport, Progress, UpOptions};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long load runs before and after what is measured, so that its edges are measured, too.
const MARGIN: Duration = Duration::from_secs(2);

/// Runs that one command may make.
const RUNS_MAX: u32 = 50;

/// Measures the main jobs on a lab.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Upgrade under load; count what failed and how long nothing was answered.
    Upgrade(upgrade::Upgrade),
    /// Upgrade until a step, then roll back under load; measure when the service is back.
    Rollback(rollback::Rollback),
    /// Read generated logs, beside grep, ripgrep and os-log-merger; needs no lab.
    Logs(logs::BenchLogs),
    /// Run Ostler through random faults on pretended clouds; needs no lab.
    Storm(storm::Storm),
    /// Measure the server of instance HA; needs no lab.
    Api(api::BenchApi),
    /// Look at the health of a big cloud of APIs that stand in; needs no lab.
    Health(health::BenchHealth),
    /// Take a full compute host's power away; measure when its instances run elsewhere.
    Ha(ha::BenchHa),
    /// Watch a big pretended cloud, then recover a full host of it; needs no lab.
    Fleet(fleet::BenchFleet),
}

pub(super) async fn speak(context: &Context, verb: Bench) -> Result<Exit, Failure> {
    match verb {
        Bench::Upgrade(typed) => upgrade::upgrade(context, typed).await,
        Bench::Rollback(typed) => rollback::rollback(context, typed).await,
        Bench::Logs(typed) => logs::run(context, typed).await,
        Bench::Storm(typed) => storm::run(context, typed).await,
        Bench::Api(typed) => api::api(context, typed).await,
        Bench::Health(typed) => health::health(context, typed).await,
        Bench::Ha(typed) => ha::ha(context, typed).await,
        Bench::Fleet(typed) => fleet::fleet(context, typed).await,
    }
}

/// What both measurements need to know.
#[derive(Debug, Args)]
struct Ground {
    #[command(flatten)]
    which: Which,
    /// The service.
    #[arg(long, default_value = "keystone", value_name = "SERVICE")]
    only: String,
    /// The release that each run begins with, on a new lab; without it the lab that is up is used, once.
    #[arg(long, value_name = "RELEASE")]
    from: Option<String>,
    /// The release to go to.
    #[arg(long, value_name = "RELEASE")]
    to: String,
    /// The way; without it the planner chooses.
    #[arg(long, value_name = "STRATEGY")]
    strategy: Option<String>,
    /// Requests a second.
    #[arg(long, default_value_t = LoadOptions::default().rate, value_name = "NUMBER")]
    rate: f64,
    /// How often.
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=i64::from(RUNS_MAX)))]
    runs: u32,
}

impl Ground {
    fn lab(&self) -> Result<Lab, Failure> {
        if self.from.is_none() && self.runs > 1 {
            return Err(Failure::usage("several runs need a new lab each")
                .hint("say what each begins with: `--from RELEASE`"));
        }
        self.which.lab()
    }

    /// Makes a new lab where one is wanted, and shows it the packages of the target.
    async fn prepare(&self, lab: &Lab, printer: Printer) -> Result<(), Failure> {
        let mut listener = |progress: Progress| printer.note(&progress.to_string());
        if let Some(release) = &self.from {
            lab.down().await.map_err(failure)?;
            let options = UpOptions { controllers: 3, release: release.clone(), ..UpOptions::default() };
            lab.up(&options, &mut listener).await.map_err(failure)?;
        }
        lab.publish(&self.to, &mut listener).await.map_err(failure)
    }

    async fn clean(&self, lab: &Lab) -> Result<(), Failure> {
        if self.from.is_some() { lab.down().await.map_err(failure) } else { Ok(()) }
    }

    /// The words of an upgrade by this binary.
    fn upgrade_words(&self) -> Vec<String> {
        let mut words: Vec<String> =
            ["upgrade", "run", "--only", &self.only, "--to", &self.to, "--yes"].map(str::to_owned).into();
        if let Some(strategy) = &self.strategy {
            words.extend(["--strategy".to_owned(), strategy.clone()]);
        }
        words
    }
}

/// A directory of one measurement, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(lab: &Lab) -> Scratch {
        let beside = lab.settings().with_file_name(format!("bench-{}", std::process::id()));
        // What cannot be made is said when it is used.
        let _ = std::fs::create_dir_all(&beside);
        Scratch(beside)
    }

    /// A directory in the temporary one. What a measurement left there that was killed is taken away.
    fn of(kind: &str) -> std::io::Result<Scratch> {
        let begins = format!("ostler-bench-{kind}-");
        let is_over = |name: &str| {
            let pid = name.strip_prefix(&begins).and_then(|pid| pid.parse::<u32>().ok());
            pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        };
        for found in std::fs::read_dir(std::env::temp_dir())?.flatten() {
            if found.file_name().to_str().is_some_and(is_over) {
                // Another user's stays.
                let _ = std::fs::remove_dir_all(found.path());
            }
        }
        let own = std::env::temp_dir().join(format!("{begins}{}", std::process::id()));
        std::fs::create_dir_all(&own)?;
        Ok(Scratch(own))
    }

    fn store(&self) -> String {
        self.0.join("state.db").display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Does something while clients load the front door.
async fn under_load<T>(
    lab: &Lab,
    rate: f64,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<(T, LoadReport), Failure> {
    let (stop, stopped) = oneshot::channel::<()>();
    let load = lab.load(LoadOptions { rate, duration: None }, async move { drop(stopped.await) }, |_| {});
    let work = async {
        tokio::time::sleep(MARGIN).await;
        let done = work.await;
        tokio::time::sleep(MARGIN).await;
        let _ = stop.send(());
        done
    };
    let (report, done) = tokio::join!(load, work);
    Ok((done?, report.map_err(failure)?))
}
