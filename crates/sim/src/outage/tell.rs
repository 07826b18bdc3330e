//! Tells a story of outages on a clock that jumps: servers attend, die, and stand still; monitors report; a person is asked.
//!
//! A story must be the same each time it is told.

use super::monitor::{PATIENCE_MS, hears, monitor, person};
use super::rules::{Scene, judge};
use super::stage;
use super::story::Story;
use super::takeover::{Life, Lives};
use super::{Breach, Outage};
use crate::clock::SimClock;
use crate::nova::{Instance, InstanceId, Settings};
use crate::passage::{Fate, Gate, behind};
use crate::store::MemoryStore;
use ostler_engine::ha::{Policy, Says, Sighting, Site, Witness, attend};
use ostler_engine::seam::Register;
use ostler_model::ha::{Host, Incident, Stage};
use ostler_model::ids::HostName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a story may last after its last trouble: a person has been there twice by then.
const HORIZON_MS: u64 = 3_600_000;

/// How long nothing may be written before a story counts as over: longer than any server stands still.
const QUIET_MS: u64 = 120_000;

/// How long after its last trouble a story goes on at least.
const AFTER_MS: u64 = 240_000;

/// How long a person takes to come at most.
const PERSON_MS: u64 = PATIENCE_MS + 480_000;

/// From when on the questions of a server are counted for what befalls it: nothing happens before.
const COUNTED_FROM_MS: u64 = 60_000;

/// How long a server is gone before it is started again.
const RESTART: Duration = Duration::from_secs(3);

/// What came of a story.
#[derive(Clone, Debug)]
pub struct Told {
    /// What was done that must not be.
    pub breaches: Vec<Breach>,
    /// How its outages ended: a word for each.
    pub ends: Vec<&'static str>,
    /// How much the servers asked.
    pub asked: u64,
    /// Every entry of every journal, one a line.
    pub trace: String,
}

/// Tells a story.
pub fn tell(story: &Story) -> Told {
    let broke_off = |what: String| {
        let breaches = vec![Breach { rule: "comes-to-an-end", what }];
        Told { breaches, ends: Vec::new(), asked: 0, trace: String::new() }
    };
    match tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build() {
        Ok(runtime) => runtime.block_on(told(story)).unwrap_or_else(|error| broke_off(error.to_string())),
        Err(error) => broke_off(error.to_string()),
    }
}

async fn told(story: &Story) -> Result<Told, ostler_engine::seam::StoreError> {
    let clock = SimClock::default();
    let outage = Arc::new(Outage::new(Settings::default(), story.seed, clock.clone()));
    let store = Arc::new(MemoryStore::default());
    let hosts = stage::set(story, &outage, &store).await?;
    let names: BTreeMap<String, String> =
        hosts.iter().map(|host| (host.id.to_string(), host.name.clone())).collect();
    let born: BTreeMap<InstanceId, Instance> =
        outage.ground().nova.instances().map(|born| (born.id, born.clone())).collect();
    let lives = Lives::default();
    let world = World { story, outage: &outage, store: &store, clock: &clock, hosts: &hosts, lives: &lives };
    tokio::select! {
        biased;
        () = world.over() => {}
        () = world.server(0) => {}
        () = world.server(1) => {}
        () = monitor(&outage, &store, &clock) => {}
        () = person(story, &outage, &store, &clock, &hosts) => {}
        () = async {
            lives.watch(&store, &clock, &names).await;
            std::future::pending().await
        } => {}
    }
    // Whoever held a lease is gone: each must end by itself.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let scene = Scene { story, outage: &outage, store: &store, clock: &clock, hosts: &names, born: &born };
    let mut told = judge(&scene).await?;
    told.breaches.extend(lives.breaches());
    told.asked = lives.asked();
    Ok(told)
}

/// What everything in a story has to do with.
struct World<'a> {
    story: &'a Story,
    outage: &'a Arc<Outage>,
    store: &'a Arc<MemoryStore>,
    clock: &'a SimClock,
    hosts: &'a [Host],
    lives: &'a Lives,
}

impl World<'_> {
    /// Waits until nothing more will happen, or the story's end.
    async fn over(&self) {
        let last = self.story.troubles.iter().map(|(at, _)| *at).max().unwrap_or(0);
        let (mut written, mut since) = (0, 0);
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let now = self.clock.elapsed_ms();
            if self.store.written() != written {
                (written, since) = (self.store.written(), now);
            }
            if now < last + AFTER_MS {
                continue;
            }
            let Ok(open) = self.store.open_incidents().await else { continue };
            let was_asked = now > last + PERSON_MS || self.story.all_silent;
            // A person has nothing to vouch for where all runs are over; guards let go of a host by themselves.
            let is_left =
                |incident: &Incident| incident.stage == Stage::Held && !incident.body.runs.is_empty();
            let was_asked = was_asked || open.iter().all(is_left);
            let is_quiet = open.is_empty() || (was_asked && now > since + QUIET_MS);
            if is_quiet || now > last + HORIZON_MS {
                return;
            }
        }
    }

    /// One server, life after life.
    async fn server(&self, number: usize) {
        let Some(server) = self.story.servers.get(number) else { return std::future::pending().await };
        for (life, strikes) in server.lives.iter().chain([&Vec::new()]).enumerate() {
            let own = self.clock.apart();
            own.step(server.ahead_ms);
            let seed = self.story.seed ^ ((number as u64) << 32) ^ ((life as u64) << 40);
            let owner = format!("server{number}/{life}");
            let fate = Fate::new(strikes.clone(), self.clock.clone(), COUNTED_FROM_MS);
            self.lives.begin(Life { server: number, owner: owner.clone(), fate: Arc::clone(&fate) });
            let seams = self.outage.seams(Arc::clone(self.store), own, seed);
            let seams = behind(seams, Gate::Fate(Arc::clone(&fate)));
            let (policy, no_fence) = (Policy::default(), BTreeSet::new());
            let clock = seams.clock.clone();
            let sightings = move |host: &HostName| {
                let says = if hears(self.outage, host) { Says::Alive } else { Says::Dead };
                vec![Sighting { witness: Witness::Agent, says, at: clock.now() }]
            };
            let silent = || {
                let all = self.hosts.iter().map(|host| HostName::new(host.name.as_str()));
                all.filter(|host| !hears(self.outage, host)).collect()
            };
            let site = Site {
                seams: &seams,
                cloud: "c",
                policy: &policy,
                owner: &owner,
                compute_process: "nova-compute",
                no_fence: &no_fence,
                sightings: &sightings,
                silent: &silent,
                released: &BTreeSet::new,
                gone: &|_| false,
                observer: &|_, _| {},
                tell: &|_| {},
            };
            tokio::select! {
                biased;
                () = fate.end() => {}
                () = attend(&site) => {}
            }
            tokio::time::sleep(RESTART).await;
        }
    }
}

/// What a storm came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Stories told.
    pub stories: u64,
    /// How their outages ended, by word.
    pub ends: BTreeMap<&'static str, u64>,
    /// What the servers asked.
    pub asked: u64,
    /// Seeds whose story broke a rule, with the first rule and what happened.
    pub broken: Vec<(u64, &'static str, String)>,
}

impl Report {
    /// Adds what other stories came to.
    pub fn join(&mut self, other: Report) {
        self.stories += other.stories;
        self.asked += other.asked;
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        self.broken.extend(other.broken);
        self.broken.sort_unstable();
    }
}

/// Tells the stories of these seeds, and stops after so many that break a rule.
pub fn storm(seeds: std::ops::Range<u64>, most: usize) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let told = tell(&Story::of(seed));
        report.stories += 1;
        report.asked += told.asked;
        for end in told.ends {
            *report.ends.entry(end).or_default() += 1;
        }
        if let Some(breach) = told.breaches.first() {
            report.broken.push((seed, breach.rule, breach.what.clone()));
            if report.broken.len() >= most {
                break;
            }
        }
    }
    report
}
