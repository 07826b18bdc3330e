//! `ostler bench health`: what a look at the health of a big cloud takes: time, requests, memory.
//!
//! The cloud is a stand-in of APIs in this process; the look is this same binary as a child, whose memory is measured alone.
//! Beside it, in the same run, the lists that openstack-exporter reads. Nodes are not part of it: there are none.

use super::api::Client;
use super::standin::StandIn;
use super::{Scratch, child};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::table;
use clap::Args;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest latency that makes sense.
const LATENCY_MS_MAX: u64 = 10_000;

/// Pages of one list: more than the largest cloud that can be asked for has.
const PAGES_MAX: usize = 1_000;

/// Measure a look at the health of a big cloud; needs nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler bench health --hosts 500 --instances 10000 --latency 20ms")]
pub struct BenchHealth {
    /// Compute hosts.
    #[arg(long, default_value_t = 500, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    hosts: u32,
    /// Instances.
    #[arg(long, default_value_t = 10_000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=500_000))]
    instances: u32,
    /// How late each answer comes.
    #[arg(long, default_value = "20ms", value_name = "TIME", value_parser = milliseconds)]
    latency: u64,
    /// Requests of the look in one second; none: as always.
    #[arg(long, value_name = "NUMBER")]
    rate: Option<u32>,
}

fn milliseconds(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("ms").and_then(|digits| digits.parse().ok());
    number
        .filter(|ms| *ms <= LATENCY_MS_MAX)
        .ok_or_else(|| format!("write it as `20ms`, up to `{LATENCY_MS_MAX}ms`"))
}

/// One way of looking.
struct Measured {
    what: &'static str,
    seconds: f64,
    requests: u64,
    cost: Option<child::Cost>,
}

pub(super) async fn health(context: &Context, typed: BenchHealth) -> Result<Exit, Failure> {
    let broke = |error: std::io::Error| Failure::failed(format!("the measurement broke off: {error}"));
    let latency = Duration::from_millis(typed.latency);
    let cloud =
        StandIn::begin(typed.hosts as usize, typed.instances as usize, latency).await.map_err(broke)?;
    let home = Scratch::of("health").map_err(broke)?;
    let (look, report) = look(&typed, &cloud, &home.0).await?;
    drop(home);
    let exporter = export(&cloud).await.map_err(broke)?;
    let found = report["findings"].as_array().map_or(0, Vec::len);
    let (checks, unseen) = (&report["checks"], report["unseen"].as_array().map_or(0, Vec::len));
    if context.printer.is_json() {
        let rows: Vec<_> = [&look, &exporter].iter().map(|one| one.json()).collect();
        context
            .printer
            .json(&json!({"measured": rows, "checks": checks, "findings": found, "unseen": unseen}))?;
    } else {
        let head = ["WHAT", "WALL S", "REQUESTS", "CPU S", "RESIDENT MIB AT MOST"];
        context.printer.text(&table(&head, vec![look.row(), exporter.row()]))?;
        context.printer.text(&format!(
            "{checks} checks judged, {found} codes found, {unseen} reasons for what was not seen\n"
        ))?;
    }
    Ok(Exit::Done)
}

impl Measured {
    fn row(&self) -> Vec<String> {
        let cost = |of: fn(&child::Cost) -> f64| {
            self.cost.as_ref().map_or("-".to_owned(), |cost| format!("{:.1}", of(cost)))
        };
        vec![
            self.what.to_owned(),
            format!("{:.1}", self.seconds),
            self.requests.to_string(),
            cost(|cost| cost.cpu_seconds),
            cost(|cost| cost.resident_mib),
        ]
    }

    fn json(&self) -> Value {
        json!({"what": self.what, "seconds": self.seconds, "requests": self.requests, "cost": self.cost})
    }
}

/// A look by this same binary, and its report.
async fn look(typed: &BenchHealth, cloud: &StandIn, home: &Path) -> Result<(Measured, Value), Failure> {
    let broke = |error: std::io::Error| Failure::failed(format!("the measurement broke off: {error}"));
    // A port that nobody listens on stands for the one node that a cloud must have: that it does not answer is known at once.
    let settings = "[clouds.standin]\nclouds-yaml = \"clouds.yaml\"\n[clouds.standin.ssh]\nuser = \"nobody\"\nkey = \"key\"\n\
         known-hosts = \"known_hosts\"\n[clouds.standin.packages]\nsource = \"deb file:/nowhere/{release} ./\"\n\
         [clouds.standin.nodes.ctl1]\naddress = \"127.0.0.1\"\nport = 1\nroles = [\"controller\"]\n";
    let credentials = format!(
        "clouds:\n  standin:\n    auth:\n      auth_url: http://{}/identity\n      username: admin\n      password: stand-in\n\
         \x20     project_name: admin\n      user_domain_name: Default\n      project_domain_name: Default\n    region_name: RegionOne\n",
        cloud.address()
    );
    for (name, text) in
        [("ostler.toml", settings), ("clouds.yaml", &credentials), ("known_hosts", ""), ("key", "")]
    {
        std::fs::write(home.join(name), text).map_err(broke)?;
    }
    let path = |name: &str| home.join(name).display().to_string();
    let mut words: Vec<String> =
        ["--config", &path("ostler.toml"), "--state", &path("state.db"), "--format", "json", "health"]
            .map(str::to_owned)
            .into();
    words.extend(typed.rate.into_iter().flat_map(|rate| ["--rate".to_owned(), rate.to_string()]));
    cloud.requests();
    let report = home.join("report.json");
    let cost = child::run_into(&words, &report).await?;
    let requests = cloud.requests();
    let text = std::fs::read_to_string(&report).map_err(broke)?;
    let report: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::failed(format!("the look printed no report: {error}")))?;
    Ok((Measured { what: "ostler health", seconds: cost.seconds, requests, cost: Some(cost) }, report))
}

/// What openstack-exporter reads with what it collects unless told otherwise: services side by side, each service's lists one
/// after another, a quota for each project, three questions for each provider.
async fn export(cloud: &StandIn) -> std::io::Result<Measured> {
    cloud.requests();
    let begun = Instant::now();
    let compute = async {
        let mut client = Client::connect(&cloud.address(), Some("stand-in")).await?;
        for (path, key) in [
            ("flavors/detail", "flavors"),
            ("os-availability-zone", ""),
            ("servers/detail?all_tenants=true", "servers"),
            ("os-services", "services"),
            ("os-hypervisors/detail?limit=1000", "hypervisors"),
            ("os-aggregates", "aggregates"),
        ] {
            pages(&mut client, &format!("/compute/v2.1/{path}"), key).await?;
        }
        for project in ids(pages(&mut client, "/identity/v3/projects", "projects").await?) {
            client.call("GET", &format!("/compute/v2.1/os-quota-sets/{project}/detail"), "").await?;
        }
        Ok::<(), std::io::Error>(())
    };
    let network = async {
        let mut client = Client::connect(&cloud.address(), Some("stand-in")).await?;
        for key in ["floatingips", "agents", "networks", "security_groups", "subnets", "ports", "routers"] {
            pages(&mut client, &format!("/network/v2.0/{}", key.replace('_', "-")), key).await?;
        }
        pages(&mut client, "/network/v2.0/network-ip-availabilities", "network_ip_availabilities").await?;
        for project in ids(pages(&mut client, "/identity/v3/projects", "projects").await?) {
            client.call("GET", &format!("/network/v2.0/quotas/{project}/details.json"), "").await?;
        }
        Ok::<(), std::io::Error>(())
    };
    let volume = async {
        let mut client = Client::connect(&cloud.address(), Some("stand-in")).await?;
        for (path, key) in [
            ("volumes/detail?all_tenants=true", "volumes"),
            ("snapshots/detail", "snapshots"),
            ("os-services", "services"),
            ("scheduler-stats/get_pools", "pools"),
        ] {
            pages(&mut client, &format!("/volume/v3/{path}"), key).await?;
        }
        for project in ids(pages(&mut client, "/identity/v3/projects", "projects").await?) {
            client.call("GET", &format!("/volume/v3/os-quota-sets/{project}?usage=true"), "").await?;
        }
        Ok::<(), std::io::Error>(())
    };
    let others = async {
        let mut client = Client::connect(&cloud.address(), Some("stand-in")).await?;
        pages(&mut client, "/image/v2/images", "images").await?;
        pages(&mut client, "/identity/v3/projects", "projects").await?;
        Ok::<(), std::io::Error>(())
    };
    let placement = async {
        let mut client = Client::connect(&cloud.address(), Some("stand-in")).await?;
        for provider in ids(pages(&mut client, "/placement/resource_providers", "resource_providers").await?)
        {
            for what in ["inventories", "usages", "allocations"] {
                client.call("GET", &format!("/placement/resource_providers/{provider}/{what}"), "").await?;
            }
        }
        Ok::<(), std::io::Error>(())
    };
    tokio::try_join!(compute, network, volume, others, placement)?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Measured { what: "the lists of openstack-exporter", seconds, requests: cloud.requests(), cost: None })
}

/// A list to its end.
async fn pages(client: &mut Client, path: &str, key: &str) -> std::io::Result<Vec<Value>> {
    let (mut all, mut path) = (Vec::new(), path.to_owned());
    for _ in 0..PAGES_MAX {
        let (status, body) = client.call("GET", &path, "").await?;
        if status != 200 {
            return Err(std::io::Error::other(format!("{path} was answered {status}")));
        }
        let mut body: Value = serde_json::from_slice(&body).map_err(std::io::Error::other)?;
        if let Some(Value::Array(page)) = body.get_mut(key).map(Value::take) {
            all.extend(page);
        }
        let next = body[format!("{key}_links")][0]["href"].as_str().and_then(|href| href.split_once('?'));
        match next {
            Some((_, query)) => {
                let base = path.split('?').next().unwrap_or_default();
                path = format!("{base}?{query}");
            }
            None => break,
        }
    }
    Ok(all)
}

fn ids(items: Vec<Value>) -> Vec<String> {
    let id =
        |item: &Value| item.get("id").or_else(|| item.get("uuid")).and_then(Value::as_str).map(str::to_owned);
    items.iter().filter_map(id).collect()
}
