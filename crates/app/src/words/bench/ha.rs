//! `ostler bench ha`: takes the power of a full compute host away and measures when its instances run elsewhere; beside it,
//! one after the other on the same lab, the same with Masakari.
//!
//! Both are watched by asking Nova, as a user would. Masakari gets its report at the moment when Nova sees the host down,
//! which is earlier than its own monitors send it; nothing is made slower for it. Requests are those in the log of Nova's API,
//! less what is asked here to watch and what the load balancer asks each second.

use super::{Scratch, child};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::table;
use crate::words::lab::{Which, failure};
use clap::{Args, ValueEnum};
use ostler_lab::{Lab, Placed, Progress, Trial};
use ostler_model::Timestamp;
use ostler_model::ha::{Host, RecoveryMethod, Segment};
use ostler_model::ids::{HostId, SegmentId};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;

/// How often Nova is asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the server may take to listen, and hosts to be heard: three beats.
const HEARD_WITHIN: Duration = Duration::from_secs(12);

/// Longest wait for the last instance.
const LIMIT: Duration = Duration::from_secs(900);

/// The controller whose log counts requests.
const CONTROLLER: &str = "ctl1";

/// What is asked here to watch instances and services.
const WATCHING: &str = "GET /v2.1/servers/detail";
const WATCHING_SERVICES: &str = "GET /v2.1/os-services";

/// Who is measured beside ostler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Against {
    /// Masakari, where the lab has it: `ostler lab up --release 2025.1 --with nova --with masakari`.
    Masakari,
}

/// Take a full compute host's power away; measure when its instances run elsewhere.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler lab up --name ha --release 2025.1 --controllers 1 --with nova --with masakari --computes 4
  ostler bench ha --name ha --against masakari")]
pub struct BenchHa {
    #[command(flatten)]
    which: Which,
    /// The host that loses its power.
    #[arg(long, default_value = "cmp1", value_name = "HOST")]
    host: String,
    /// Instances on it, with a port each.
    #[arg(long, default_value_t = 20, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=100))]
    instances: u16,
    /// Measure another one beside.
    #[arg(long, value_name = "NAME")]
    against: Option<Against>,
}

/// What one outage came to, in seconds since the power cut.
#[derive(Debug, Default, Serialize)]
struct Row {
    who: &'static str,
    reported_s: f64,
    proof_s: Option<f64>,
    /// When Nova's API was first asked for an evacuation.
    first_call_s: f64,
    /// When Nova first showed one under way.
    first_move_s: f64,
    all_active_s: f64,
    requests_per_instance: f64,
    requests: BTreeMap<String, usize>,
    cpu_s: Option<f64>,
    resident_mib: Option<f64>,
}

pub(super) async fn ha(context: &Context, typed: BenchHa) -> Result<Exit, Failure> {
    let lab = typed.which.lab()?;
    let trial = lab.trial().await.map_err(failure)?;
    if typed.against.is_some() && !trial.has_masakari {
        return Err(Failure::usage("this lab has no Masakari").hint(
            "make one with `ostler lab up --release 2025.1 --with nova --with masakari --computes 4`",
        ));
    }
    if !trial.computes().contains(&typed.host) {
        return Err(Failure::usage(format!("there is no compute node `{}` in this lab", typed.host))
            .hint(format!("there are: {}", trial.computes().join(", "))));
    }
    let mut rows = vec![ours(context, &lab, &trial, &typed).await?];
    if typed.against == Some(Against::Masakari) {
        rows.push(theirs(context, &lab, &trial, &typed).await?);
    }
    trial.whole().await.map_err(failure)?;
    if context.printer.is_json() {
        context.printer.json(&rows)?;
    } else {
        let head = [
            "",
            "REPORTED",
            "PROOF",
            "FIRST CALL",
            "FIRST MOVE",
            "ALL ACTIVE",
            "REQUESTS EACH",
            "CPU S",
            "MIB",
        ];
        let seconds = |value: f64| format!("{value:.1} s");
        let maybe = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        let cells = rows.iter().map(|row| {
            vec![
                row.who.to_owned(),
                seconds(row.reported_s),
                row.proof_s.map_or_else(|| "none".to_owned(), seconds),
                seconds(row.first_call_s),
                seconds(row.first_move_s),
                seconds(row.all_active_s),
                format!("{:.1}", row.requests_per_instance),
                maybe(row.cpu_s),
                maybe(row.resident_mib),
            ]
        });
        context.printer.text(&table(&head, cells.collect()))?;
    }
    Ok(Exit::Done)
}

/// A host full of instances; their identities.
async fn filled(context: &Context, trial: &Trial<'_>, typed: &BenchHa) -> Result<Vec<String>, Failure> {
    trial.whole().await.map_err(failure)?;
    context.printer.note(&format!("putting {} instances on {}", typed.instances, typed.host));
    let printer = context.printer;
    let mut listener = move |progress: Progress| printer.note(&progress.to_string());
    trial.fill(&typed.host, typed.instances, &mut listener).await.map_err(failure)
}

/// When the first of them began to move and when the last one ran elsewhere, by asking Nova; and how often it was asked.
async fn watched(
    trial: &Trial<'_>,
    host: &str,
    those: &[String],
    began: Instant,
) -> Result<(f64, f64, usize), Failure> {
    let mut first = None;
    let mut asked = 0;
    while began.elapsed() < LIMIT {
        asked += 1;
        let all = trial.instances().await.map_err(failure)?;
        let ours: Vec<&Placed> = all.iter().filter(|one| those.contains(&one.id)).collect();
        let seconds = began.elapsed().as_secs_f64();
        if first.is_none() && ours.iter().any(|one| one.host != host || one.status == "REBUILD") {
            first = Some(seconds);
        }
        if ours.iter().all(|one| one.host != host && one.status == "ACTIVE") {
            return Ok((first.unwrap_or(seconds), seconds, asked));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Failure::failed(format!("not all instances ran elsewhere within {} s", LIMIT.as_secs()))
        .hint("look at them with `openstack server list --all-projects --long`"))
}

/// When Nova's API was first asked for an evacuation, by its own log: what it shows of moves comes later.
fn first_call_s(trial: &Trial<'_>, began: Timestamp) -> Result<f64, Failure> {
    let asked = trial.first_evacuation(CONTROLLER, began);
    let asked = asked.ok_or_else(|| {
        Failure::failed("Nova's log tells of no evacuation").hint(format!(
            "look into /var/log/nova/nova-api.log on {CONTROLLER}: its requestlog is expected there"
        ))
    })?;
    Ok(asked.duration_since(began).as_secs_f64())
}

/// The requests since `before`, less our own.
fn since(
    before: &BTreeMap<String, usize>,
    mut now: BTreeMap<String, usize>,
    ours: &[(&str, usize)],
) -> BTreeMap<String, usize> {
    for (kind, count) in &mut now {
        let watching = ours.iter().find(|(watching, _)| watching == kind).map_or(0, |(_, count)| *count);
        *count = count.saturating_sub(before.get(kind).copied().unwrap_or(0) + watching);
    }
    now.retain(|_, count| *count > 0);
    now
}

fn each(requests: &BTreeMap<String, usize>, instances: usize) -> f64 {
    requests.values().sum::<usize>() as f64 / instances as f64
}

async fn ours(context: &Context, lab: &Lab, trial: &Trial<'_>, typed: &BenchHa) -> Result<Row, Failure> {
    let those = filled(context, trial, typed).await?;
    let scratch = Scratch::new(lab);
    register(&scratch.store(), trial.computes()).await?;
    let mut server = child::serve(None, &lab.settings(), &scratch.store())?;
    let Some(out) = server.stdout.take() else { return Err(Failure::failed("the server says nothing")) };
    let (said, mut heard) = mpsc::channel::<(Instant, Value)>(10_000);
    tokio::spawn(async move {
        let mut lines = BufReader::new(out).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let said_now = (Instant::now(), serde_json::from_str(&line).unwrap_or_default());
            if said.send(said_now).await.is_err() {
                return;
            }
        }
    });
    tokio::time::sleep(HEARD_WITHIN).await;
    context.printer.note(&format!("{} loses its power; ostler recovers", typed.host));
    let before = trial.nova_requests(CONTROLLER);
    let (began, began_at) = (Instant::now(), Timestamp::now());
    lab.kill(&typed.host).await.map_err(failure)?;
    let (first_move_s, all_active_s, asked) = watched(trial, &typed.host, &those, began).await?;
    let requests = since(&before, trial.nova_requests(CONTROLLER), &[(WATCHING, asked)]);
    let (mut reported_s, mut proof_s) = (0.0, None);
    while let Ok((at, said)) = heard.try_recv() {
        let seconds = at.duration_since(began).as_secs_f64();
        let step = said["event"]["step"].as_str().unwrap_or_default();
        if said["says"].as_str().is_some_and(|says| says.contains("is silent")) {
            reported_s = seconds;
        }
        if said["event"]["event"] == "proved" && step.ends_with("-fence") {
            proof_s = Some(seconds);
        }
    }
    let cost = child::cost(&server);
    let _ = server.kill().await;
    Ok(Row {
        who: "ostler",
        reported_s,
        proof_s,
        first_call_s: first_call_s(trial, began_at)?,
        first_move_s,
        all_active_s,
        requests_per_instance: each(&requests, those.len()),
        requests,
        cpu_s: Some(cost.cpu_seconds),
        resident_mib: Some(cost.resident_mib),
    })
}

async fn theirs(context: &Context, lab: &Lab, trial: &Trial<'_>, typed: &BenchHa) -> Result<Row, Failure> {
    let those = filled(context, trial, typed).await?;
    trial.masakari_segment().await.map_err(failure)?;
    context.printer.note(&format!("{} loses its power; masakari recovers", typed.host));
    let before = trial.nova_requests(CONTROLLER);
    let (began, began_at) = (Instant::now(), Timestamp::now());
    lab.kill(&typed.host).await.map_err(failure)?;
    let mut asked = 0;
    while trial.is_up(&typed.host).await.map_err(failure)? {
        asked += 1;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    trial.masakari_notify(&typed.host).await.map_err(failure)?;
    let reported_s = began.elapsed().as_secs_f64();
    let (first_move_s, all_active_s, also_asked) = watched(trial, &typed.host, &those, began).await?;
    let ours = [(WATCHING_SERVICES, asked + 1), (WATCHING, also_asked)];
    let requests = since(&before, trial.nova_requests(CONTROLLER), &ours);
    Ok(Row {
        who: "masakari",
        reported_s,
        first_call_s: first_call_s(trial, began_at)?,
        first_move_s,
        all_active_s,
        requests_per_instance: each(&requests, those.len()),
        requests,
        ..Row::default()
    })
}

/// One segment with all compute nodes in a new register.
pub(super) async fn register(store: &str, computes: &[String]) -> Result<(), Failure> {
    let store = ostler_world::store::open(store).await?;
    let now = Timestamp::now();
    let segment = Segment {
        number: 0,
        id: SegmentId::new(uuid::Uuid::new_v4().to_string()),
        name: "bench".into(),
        service_type: "COMPUTE".into(),
        enabled: true,
        description: None,
        recovery_method: RecoveryMethod::Auto,
        created: now,
        updated: None,
    };
    let _ours_alone = store.add_segment(&segment).await?;
    for node in computes {
        let host = Host {
            number: 0,
            id: HostId::new(uuid::Uuid::new_v4().to_string()),
            name: node.clone(),
            segment: segment.id.clone(),
            kind: "COMPUTE".into(),
            control_attributes: "-".into(),
            reserved: false,
            on_maintenance: false,
            under_recovery: false,
            quarantined: false,
            created: now,
            updated: None,
        };
        let _ours_alone = store.add_host(&host).await?;
    }
    Ok(())
}
