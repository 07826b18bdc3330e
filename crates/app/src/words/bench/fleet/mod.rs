//! `ostler bench fleet`: what it costs to watch a big cloud, and how fast the instances of a full host are recovered.
//!
//! Hosts, Nova, Placement and power controllers are pretended by this process and spoken to over real HTTP and UDP; the server
//! is this same binary as a child, which is measured alone. Whether the history is complete is judged by what the pretended
//! hypervisors run, never by the server's word.

mod beats;
mod bodies;
mod cloud;
mod history;
mod served;

use super::{Scratch, child};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::table;
use beats::Beats;
use clap::Args;
use cloud::{Cloud, Size};
use ostler_model::ids::HostName;
use ostler_sim::nova::InstanceId;
use ostler_world::monitor::keys::ServerKeys;
use serde::Serialize;
use served::Served;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the API is asked whether the recovery is over.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for the end of the recovery.
const LIMIT: Duration = Duration::from_secs(900);

/// Time between two heartbeats, in tenths of the time after which a host is silent: three seconds of ten, as by default.
const BEAT_TENTHS: u32 = 3;

/// Measure the watching of a big pretended cloud, then the recovery of a full host; needs nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: measured, and the history is complete; 4: it is not, and what is missing is named.

Examples:
  ostler bench fleet
  ostler bench fleet --hosts 20 --instances 200 --full 40 --watch 2 --silent-after 2
  ostler bench fleet --at-once 16              as `at-once` is unless told otherwise"
)]
pub struct BenchFleet {
    /// Compute hosts that send heartbeats.
    #[arg(long, default_value_t = 1_000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(2..=4_000))]
    hosts: u32,
    /// Instances.
    #[arg(long, default_value_t = 50_000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=500_000))]
    instances: u32,
    /// Those of them on the host that fails.
    #[arg(long, default_value_t = 2_000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    full: u32,
    /// How long the watching is measured.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: u64,
    /// `silent-after` of the server; beats come three times as often, and Nova's services report as often.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=60))]
    silent_after: u32,
    /// `at-once` of the server's policy: evacuations at a time.
    #[arg(long, default_value_t = 200, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    at_once: u32,
    /// `to-one-host` of the server's policy: evacuations to one host at a time.
    #[arg(long, default_value_t = 8, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    to_one_host: u32,
    /// Another build of ostler to be measured, instead of this one.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
}

/// What the watching cost.
#[derive(Debug, Serialize)]
struct Watched {
    seconds: f64,
    hosts: u32,
    instances: u32,
    cpu_percent_of_a_core: f64,
    resident_mib_at_most: f64,
    requests_per_minute: f64,
}

/// What the recovery came to.
#[derive(Debug, Serialize)]
struct Recovered {
    instances: usize,
    silence_to_proof_s: f64,
    proof_to_first_evacuation_s: f64,
    first_to_last_evacuation_s: f64,
    instances_per_second: f64,
    finished_s: f64,
    requests_per_instance: f64,
    requests: BTreeMap<&'static str, u64>,
    cpu_s: f64,
    resident_mib_at_most: f64,
    gaps: Vec<String>,
}

pub(super) async fn fleet(context: &Context, typed: BenchFleet) -> Result<Exit, Failure> {
    if typed.full > typed.instances {
        return Err(Failure::usage(format!(
            "{} instances cannot be on one host where there are {}",
            typed.full, typed.instances
        ))
        .hint("take a greater `--instances`, or a smaller `--full`"));
    }
    let home = Scratch::of("fleet").map_err(broke)?;
    measure(context, &typed, &home.0).await
}

fn broke(error: std::io::Error) -> Failure {
    Failure::failed(format!("the measurement broke off: {error}"))
}

/// Does something on a thread of its own, so that neither it nor what is measured has to wait for the other.
fn beside<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broke)?;
    std::thread::Builder::new().spawn(move || runtime.block_on(work())).map(|_| ()).map_err(broke)
}

async fn measure(context: &Context, typed: &BenchFleet, home: &Path) -> Result<Exit, Failure> {
    let size = Size {
        hosts: typed.hosts as usize,
        instances: typed.instances as usize,
        on_first: typed.full as usize,
    };
    let cloud = Cloud::begin(size, u64::from(typed.silent_after) * 1_000)?;
    let key = served::settle_in(typed, &cloud, home).await?;
    let mut server = Served::start(typed.server.as_deref(), home).await?;
    let keys = ServerKeys::read(&[key]).map_err(|error| Failure::failed(error.to_string()))?;
    let every = Duration::from_secs(typed.silent_after.into()) * BEAT_TENTHS / 10;
    let beats = Beats::begin(cloud.names(), &keys, &server.heartbeats, every).await?;
    context.printer.note(&format!("waiting until {} hosts are heard", typed.hosts));
    server.until_heard(cloud.names().len()).await?;
    // A server that has just begun is patient for as long.
    tokio::time::sleep(Duration::from_secs(typed.silent_after.into())).await;
    let watched = watch(context, typed, &cloud, &server).await;
    let recovered = recover(context, &cloud, &beats, &mut server).await?;
    let whole = recovered.gaps.is_empty();
    if context.printer.is_json() {
        let settings = serde_json::json!({"at_once": typed.at_once, "to_one_host": typed.to_one_host,
            "silent_after_s": typed.silent_after, "beat_every_s": every.as_secs_f64()});
        let all = serde_json::json!({"settings": settings, "watched": watched, "recovered": recovered});
        context.printer.json(&all)?;
    } else {
        context.printer.text(&shown(typed, every, &watched, &recovered))?;
    }
    Ok(if whole { Exit::Done } else { Exit::Errors })
}

async fn watch(context: &Context, typed: &BenchFleet, cloud: &Cloud, server: &Served) -> Watched {
    context.printer.note(&format!("watching for {} s", typed.watch));
    let (_, before, began) = (cloud.asked(), child::cost(&server.child), Instant::now());
    tokio::time::sleep(Duration::from_secs(typed.watch)).await;
    let (after, seconds) = (child::cost(&server.child), began.elapsed().as_secs_f64());
    Watched {
        seconds,
        hosts: typed.hosts,
        instances: typed.instances,
        cpu_percent_of_a_core: (after.cpu_seconds - before.cpu_seconds) / seconds * 100.0,
        resident_mib_at_most: after.resident_mib,
        requests_per_minute: cloud.asked().all() as f64 / seconds * 60.0,
    }
}

async fn recover(
    context: &Context,
    cloud: &Cloud,
    beats: &Beats,
    server: &mut Served,
) -> Result<Recovered, Failure> {
    let Some(dead) = cloud.names().first().cloned() else {
        return Err(Failure::failed("the pretended cloud has no hosts"));
    };
    let those = on(cloud, &dead);
    context.printer.note(&format!("{dead} falls silent with {} instances", those.len()));
    let before = child::cost(&server.child);
    let began = Instant::now();
    beats.silence_first();
    cloud.cut(&dead);
    let (mut client, notification) = server.until_finished(began + LIMIT, LOOK_EVERY).await?;
    let finished_s = began.elapsed().as_secs_f64();
    let after = child::cost(&server.child);
    let asked = cloud.asked();
    let told = history::told(&mut client, &notification.id).await.map_err(broke)?;
    let landed = history::landed(cloud, &those);
    let mut gaps = history::gaps(dead.as_str(), &told, &landed);
    if notification.status != "finished" {
        gaps.insert(0, format!("the notification is {} after {finished_s:.0} s", notification.status));
    }
    if notification.others > 0 {
        gaps.insert(0, format!("{} other hosts were taken for silent", notification.others));
    }
    let twice = cloud.truth(|nova| nova.ever_active_twice().len());
    if twice > 0 {
        gaps.insert(0, format!("{twice} instances ran on two hosts at once"));
    }
    let proof = server.proved();
    let since = |at: Option<Instant>, from: Option<Instant>| {
        at.zip(from).map_or(0.0, |(at, from)| at.saturating_duration_since(from).as_secs_f64())
    };
    let moving_s = since(asked.last, asked.first);
    let gone = landed.values().filter(|one| one.moves > 0).count();
    Ok(Recovered {
        instances: gone,
        silence_to_proof_s: since(proof, Some(began)),
        proof_to_first_evacuation_s: since(asked.first, proof),
        first_to_last_evacuation_s: moving_s,
        instances_per_second: if moving_s > 0.0 { gone as f64 / moving_s } else { 0.0 },
        finished_s,
        requests_per_instance: asked.all() as f64 / those.len().max(1) as f64,
        requests: asked.by,
        cpu_s: after.cpu_seconds - before.cpu_seconds,
        resident_mib_at_most: after.resident_mib,
        gaps,
    })
}

/// The instances on a host, by Nova's record.
fn on(cloud: &Cloud, host: &HostName) -> Vec<InstanceId> {
    cloud.truth(|nova| {
        nova.host(host).map(|host| host.instances.iter().copied().collect()).unwrap_or_default()
    })
}

fn shown(typed: &BenchFleet, every: Duration, watched: &Watched, recovered: &Recovered) -> String {
    let head = ["WATCHED", "HOSTS", "INSTANCES", "CPU OF A CORE", "MIB AT MOST", "REQUESTS A MINUTE"];
    let mut text = table(
        &head,
        vec![vec![
            format!("{:.0} s", watched.seconds),
            watched.hosts.to_string(),
            watched.instances.to_string(),
            format!("{:.1} %", watched.cpu_percent_of_a_core),
            format!("{:.1}", watched.resident_mib_at_most),
            format!("{:.1}", watched.requests_per_minute),
        ]],
    );
    let head = [
        "RECOVERED",
        "SILENCE TO PROOF",
        "TO FIRST MOVE",
        "TO LAST MOVE",
        "INSTANCES A SECOND",
        "FINISHED AFTER",
        "REQUESTS EACH",
        "CPU S",
        "MIB AT MOST",
    ];
    let seconds = |value: f64| format!("{value:.1} s");
    text.push('\n');
    text.push_str(&table(
        &head,
        vec![vec![
            format!("{} of {}", recovered.instances, typed.full),
            seconds(recovered.silence_to_proof_s),
            seconds(recovered.proof_to_first_evacuation_s),
            seconds(recovered.first_to_last_evacuation_s),
            format!("{:.1}", recovered.instances_per_second),
            seconds(recovered.finished_s),
            format!("{:.1}", recovered.requests_per_instance),
            format!("{:.1}", recovered.cpu_s),
            format!("{:.1}", recovered.resident_mib_at_most),
        ]],
    ));
    text.push_str(&format!(
        "\nsettings: at-once {}, to-one-host {}, silent-after {} s, a beat every {:.1} s; Nova, Placement and power controllers answer at once\n",
        typed.at_once,
        typed.to_one_host,
        typed.silent_after,
        every.as_secs_f64(),
    ));
    match recovered.gaps.is_empty() {
        true => text.push_str(&format!(
            "history: complete: {} moves, each told once and succeeded; every instance runs on one other host\n",
            recovered.instances
        )),
        false => {
            text.push_str("history: not complete\n");
            for line in history::shown(&recovered.gaps) {
                text.push_str(&format!("  {line}\n"));
            }
        }
    }
    text
}
