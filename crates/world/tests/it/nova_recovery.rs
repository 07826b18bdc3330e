//! A whole recovery, from the report to the closed incident, against the small Nova: how many requests it costs, by path.

use super::keystone::cloud_without_nodes;
use super::nova::side;
use super::nova_fake::Fake;
use super::register_contract::{gone, host, segment};
use ostler_engine::ha::{Policy, Says, Sighting, Site, Witness, attend};
use ostler_engine::seam::{Fut, Power, PowerReading, PowerState, Seams, Store};
use ostler_model::Timestamp;
use ostler_model::event::Why;
use ostler_model::ha::{Host, RecoveryMethod, Segment, Stage};
use ostler_model::ids::HostName;
use ostler_world::system::{SystemClock, SystemDice};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// By how much Nova's evacuations, and the pauses between looks at them, are shorter here than in a real cloud.
const HASTE: u32 = 10;

/// Machines without power.
struct Off;

impl Power for Off {
    fn state<'a>(&'a self, _: &'a HostName) -> Fut<'a, Result<PowerReading, Why>> {
        let reading = PowerReading { state: PowerState::Off, means: "pdu".into(), at: Timestamp::now() };
        Box::pin(async { Ok(reading) })
    }

    fn off<'a>(&'a self, _: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(async { Ok(()) })
    }

    fn on<'a>(&'a self, _: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(async { Ok(()) })
    }
}

/// The requests that Nova had, by what they ask for.
fn by_path(fake: &Fake) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for asked in fake.server.asked.lock().unwrap().iter() {
        let Some(path) = asked.path.strip_prefix("/compute/") else { continue };
        let path = path.trim_start_matches("v2.1/").trim_start_matches("project/");
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path
            .split('/')
            .map(|part| if part.contains('-') && !part.starts_with("os-") { "*" } else { part })
            .collect();
        let verb = match asked.method.as_str() {
            "POST" => asked.body.split('"').nth(1).unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        let kind = format!("{} {} {verb}", asked.method, parts.join("/"));
        *counts.entry(kind.trim().to_owned()).or_default() += 1;
    }
    counts
}

/// A host with twenty servers dies; each takes from six to thirteen seconds to come back, so many at once.
async fn recovered(at_once: u32) -> BTreeMap<String, usize> {
    let fake = Fake::start(20).await;
    fake.with(|state| {
        state.takes = Some((Duration::from_secs(6) / HASTE, Duration::from_secs(13) / HASTE));
        state.page = 1_000;
        state.has_room = true;
        state.services.get_mut("cmp1").unwrap().up = false;
    });
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> =
        ostler_world::store::open(directory.path().join("state").to_str().unwrap()).await.unwrap();
    let registered = Segment { recovery_method: RecoveryMethod::Auto, ..segment("s", "one", 1) };
    store.add_segment(&registered).await.unwrap();
    let mut hosts = Vec::new();
    for name in ["cmp1", "cmp2", "cmp3"] {
        let host = Host { name: name.into(), ..host(&registered.id, name) };
        store.add_host(&host).await.unwrap();
        hosts.push(host);
    }
    let nodes = ostler_world::node::SshNodes::new(
        cloud_without_nodes(),
        Arc::new(ostler_model::catalogue::Catalogue::with_site(&[]).unwrap()),
        ostler_world::node::SshAccess {
            user: String::new(),
            key: "/nowhere".into(),
            known_hosts: "/nowhere".into(),
        },
    );
    let seams = Seams {
        cloud: Arc::new(side(&fake).hastened(HASTE)),
        nodes: Arc::new(nodes),
        power: Arc::new(Off),
        store: Arc::clone(&store),
        clock: Arc::new(SystemClock),
        dice: Arc::new(SystemDice),
    };
    store.report(&gone(&hosts[0], "n", 0)).await.unwrap();
    let policy = Policy { at_once, ..Policy::default() };
    let dead = |host: &HostName| {
        let says = if host.as_str() == "cmp1" { Says::Dead } else { Says::Alive };
        vec![Sighting { witness: Witness::Agent, says, at: Timestamp::now() }]
    };
    let site = Site {
        seams: &seams,
        cloud: "c",
        policy: &policy,
        owner: "one",
        compute_process: "nova-compute",
        no_fence: &BTreeSet::new(),
        sightings: &dead,
        silent: &|| BTreeSet::from([HostName::new("cmp1")]),
        released: &BTreeSet::new,
        gone: &|_| false,
        observer: &|_, _| {},
        tell: &|_| {},
    };
    let over = async {
        while store.incidents(1).await.unwrap()[0].closed.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = attend(&site) => {}
        () = over => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("{:?}", store.incidents(1).await),
    }
    assert_eq!(store.incidents(1).await.unwrap()[0].stage, Stage::Recovered);
    assert_eq!(fake.evacuations_asked(), 20);
    by_path(&fake)
}

/// What a whole recovery costs at most, for each server: with few at once a look answers for fewer of them.
const EACH: [(u32, f64); 2] = [(16, 5.0), (3, 5.6)];

#[tokio::test]
async fn a_host_with_twenty_servers_is_recovered_with_five_requests_each() {
    for (at_once, most) in EACH {
        let counts = recovered(at_once).await;
        let each = counts.values().sum::<usize>() as f64 / 20.0;
        println!("{at_once} at once: {each} each: {counts:#?}");
        assert!(each <= most, "{at_once} at once: {each} each: {counts:#?}");
        for once in ["GET os-hypervisors/detail", "GET os-aggregates", "GET os-server-groups"] {
            assert_eq!(counts[once], 1, "{once}: nothing was left to be placed after the first round");
        }
    }
}
