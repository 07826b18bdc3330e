//! Storms over instance HA: a cloud, what befalls it, one or two Ostlers that watch and die, and what must hold at the end,
//! all from one seed.
//!
//! The rules look at hypervisors, records and journals, never at what the engine believes. A story must be the same each
//! time it is told.

use super::compute::seen_as;
use super::{Breach, Death, Mortal, Outage, Trouble};
use crate::clock::SimClock;
use crate::dice::Rolls;
use crate::nova::{
    ApiFault, Disk, FaultKind, GuestState, GuestsAtBoot, HostSpec, Instance, InstanceId, MigrationKind,
    MigrationStatus, Resources, ServiceChange, Settings, Stage, VmState, WorkFault,
};
use crate::power::Fault;
use crate::store::MemoryStore;
use ostler_engine::ha::{
    Confirmed, Fate, Incident, LOCK_REASON, Member, Method, Policy, Says, Scale, Segment, Sighting, Went,
    Witness, confirm, fate, is_ha_enabled, spares_in_use, storm_guard, work,
};
use ostler_engine::run::{self, RunState};
use ostler_engine::seam::{Clock, Fut, Seams, StoreError};
use ostler_model::Timestamp;
use ostler_model::compute::{Instance as Seen, Scope};
use ostler_model::event::{Actor, Event};
use ostler_model::ids::HostName;
use ostler_model::plan::Purpose;
use ostler_model::step::{Does, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a story may last in the pretended world.
const HORIZON_MS: u64 = 3 * 3_600_000;

/// How long the compute record's silence counts as one: two reports missed and a bit.
const SILENT_MS: i128 = 25_000;

/// Rules, and what they say.
pub const RULES: &[(&str, &str)] = &[
    ("proof-before-move", "no evacuation without a reading of off, or a person's word"),
    (
        "never-twice",
        "no instance is alive on two hypervisors, unless a controller lied or a failed target kept its guest",
    ),
    ("none-forgotten", "an outage that is over has every instance that could be moved elsewhere, as it was"),
    ("moved-once", "no instance is moved away twice from one outage"),
    ("locks-opened", "no lock of a recovery is left behind when it is over"),
    ("leases-end", "every lease ends"),
    ("comes-to-an-end", "an outage is over, or says what it waits for"),
    ("spares-back", "a reserved host on which nothing landed is disabled again"),
    ("priority", "marked instances are planned before others"),
    ("own-trouble", "nothing is fenced when everything is silent"),
    ("never-unfit", "no plan is refused by the linter"),
];

/// A story.
#[derive(Clone, Debug)]
pub struct Story {
    /// Its seed.
    pub seed: u64,
    /// Hosts with instances.
    pub hosts: u64,
    /// Reserved hosts.
    pub reserved: u64,
    /// How instances find another host.
    pub method: Method,
    /// Memory of each host.
    pub ram_gb: u64,
    /// What befalls the cloud, and when.
    pub troubles: Vec<(u64, Trouble)>,
    /// How each Ostler ends, one after the other; the last one lives.
    pub deaths: Vec<Death>,
    /// Whether another Ostler is at work all the time.
    pub two: bool,
    /// How far the first Ostler's clock is off.
    pub ahead_ms: i64,
    /// Whether all hosts fall silent at once.
    pub all_silent: bool,
}

fn host(number: u64) -> HostName {
    HostName::new(format!("cmp{number}"))
}

fn spare(number: u64) -> HostName {
    HostName::new(format!("spare{number}"))
}

impl Story {
    /// The story of a seed.
    pub fn of(seed: u64) -> Story {
        let mut rolls = Rolls::new(seed);
        let hosts = rolls.between(3, 6);
        let reserved = rolls.below(3);
        let methods = [Method::Auto, Method::ReservedHost, Method::AutoPriority, Method::RhPriority];
        let method = rolls.one(&methods).copied().unwrap_or(Method::Auto);
        let mut troubles = Vec::new();
        let all_silent = rolls.chance(7);
        let first = rolls.between(1, hosts);
        let began = 60_000 + rolls.below(30_000);
        if all_silent {
            for number in 1..=hosts {
                troubles.push((began, Trouble::IsCut(host(number))));
            }
            for number in 1..=reserved {
                troubles.push((began, Trouble::IsCut(spare(number))));
            }
        } else {
            troubles.push((
                began,
                match rolls.below(4) {
                    0 => Trouble::IsCut(host(first)),
                    1 => Trouble::LosesMains(host(first)),
                    _ => Trouble::Dies(host(first)),
                },
            ));
            if rolls.chance(25) {
                let second = host(first % hosts + 1);
                let when = began + rolls.below(60_000);
                troubles.push((when, Trouble::Dies(second)));
            }
            Story::more(&mut rolls, &mut troubles, (hosts, reserved, first), began);
        }
        let deaths = match rolls.chance(60) {
            true => (0..rolls.between(1, 4))
                .map(|_| Death { at: rolls.between(20, 160), after: rolls.chance(50) })
                .collect(),
            false => Vec::new(),
        };
        Story {
            seed,
            hosts,
            reserved,
            method,
            ram_gb: if rolls.chance(20) { 24 } else { 256 },
            troubles,
            deaths,
            two: rolls.chance(30),
            ahead_ms: if rolls.chance(15) { rolls.between(0, 600_000) as i64 - 300_000 } else { 0 },
            all_silent,
        }
    }

    fn more(rolls: &mut Rolls, troubles: &mut Vec<(u64, Trouble)>, of: (u64, u64, u64), began: u64) {
        let (hosts, reserved, first) = of;
        let soon = |rolls: &mut Rolls| began + rolls.below(240_000);
        if rolls.chance(20) {
            troubles.push((soon(rolls), Trouble::Boots(host(first))));
        }
        if rolls.chance(35) {
            let fault = match rolls.below(5) {
                0 => Fault::Silent { after_ms: 10_000 },
                1 => Fault::Slow { ms: 8_000 },
                2 => Fault::Stuck,
                3 => Fault::Refuses,
                _ => Fault::Lies,
            };
            troubles.push((began, Trouble::Controller(host(first), fault)));
            troubles.push((began + rolls.between(60_000, 1_200_000), Trouble::Heals(host(first))));
        }
        if rolls.chance(20) && reserved > 0 {
            troubles.push((soon(rolls), Trouble::Dies(spare(rolls.between(1, reserved)))));
        }
        if rolls.chance(10) {
            troubles.push((soon(rolls), Trouble::Rejoins(host(rolls.between(1, hosts)))));
        }
        for _ in 0..rolls.below(4) {
            let kind = match rolls.below(4) {
                0 => FaultKind::Busy { retry_after_s: 1 },
                1 => FaultKind::Unavailable,
                2 => FaultKind::CutBefore,
                _ => FaultKind::CutAfter,
            };
            let fault = ApiFault { verb: None, instance: None, times: rolls.between(1, 12) as u32, kind };
            troubles.push((soon(rolls), Trouble::Api(fault)));
        }
        for _ in 0..rolls.below(4) {
            let stages = [Stage::Schedule, Stage::Rebuild, Stage::RebuildLate];
            let stage = rolls.one(&stages).copied().unwrap_or(Stage::Rebuild);
            let times = rolls.between(1, 4) as u32;
            let fault = WorkFault { stage, instance: None, host: None, times, why: "it failed".into() };
            troubles.push((soon(rolls), Trouble::Work(fault)));
        }
        if rolls.chance(10) {
            let at = soon(rolls);
            troubles.push((at, Trouble::Bus(false)));
            troubles.push((at + rolls.between(1_000, 60_000), Trouble::Bus(true)));
        }
    }
}

/// What all Ostlers of a story share besides the store: the register of outages.
struct Book {
    incidents: Mutex<BTreeMap<HostName, Incident>>,
    segment: Mutex<Segment>,
    fenced: Mutex<Vec<(HostName, Timestamp)>>,
    unfit: Mutex<Vec<String>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    fn incident(&self, host: &HostName) -> Option<Incident> {
        held(&self.incidents).get(host).cloned()
    }

    fn keep(&self, incident: &Incident) -> Result<(), StoreError> {
        let mut incidents = held(&self.incidents);
        if let Some(stored) = incidents.get(&incident.host)
            && (!incident.runs.starts_with(&stored.runs) || stored.over)
        {
            let what = format!("the outage of {} was changed meanwhile", incident.host);
            return Err(StoreError::Unavailable { what, hint: None });
        }
        incidents.insert(incident.host.clone(), incident.clone());
        Ok(())
    }
}

/// What came of a story.
#[derive(Clone, Debug)]
pub struct Told {
    /// What was done that must not be.
    pub breaches: Vec<Breach>,
    /// How its outages ended: a word for each.
    pub ends: Vec<&'static str>,
    /// How much the Ostlers asked.
    pub asked: u64,
    /// Every entry of every journal, one a line.
    pub trace: String,
}

/// Tells a story.
pub fn tell(story: &Story) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(told(story)),
        Err(error) => {
            let breaches = vec![Breach { rule: "comes-to-an-end", what: error.to_string() }];
            Told { breaches, ends: Vec::new(), asked: 0, trace: String::new() }
        }
    }
}

async fn told(story: &Story) -> Told {
    let clock = SimClock::default();
    let outage = Arc::new(Outage::new(Settings::default(), story.seed, clock.clone()));
    let segment = stage(story, &outage);
    let born: BTreeMap<InstanceId, Instance> =
        outage.ground().nova.instances().map(|born| (born.id, born.clone())).collect();
    let store = Arc::new(MemoryStore::default());
    let book = Arc::new(Book {
        incidents: Mutex::default(),
        segment: Mutex::new(segment),
        fenced: Mutex::default(),
        unfit: Mutex::default(),
    });
    let asked = Mutex::new(Vec::new());
    let first = lives(story, &outage, &store, &clock, &book, &asked);
    let second = async {
        match story.two {
            true => {
                let seams = outage.seams(store.clone(), clock.apart(), story.seed ^ 0xB0B);
                watch(seams, outage.clone(), book.clone(), "second".into()).await;
            }
            false => std::future::pending().await,
        }
    };
    let person = person(story, &outage, &store, &clock, &book);
    tokio::select! {
        biased;
        () = over(story, &clock, &book) => {}
        () = first => {}
        () = second => {}
        () = person => {}
    }
    // Whoever held a lease is gone: each must end by itself.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked = held(&asked).iter().map(|mortal| mortal.asked()).sum();
    judge(story, &outage, &store, &clock, (book.as_ref(), &born), asked).await
}

/// Waits until nothing more will happen, or the story's end.
async fn over(story: &Story, clock: &SimClock, book: &Book) {
    let last = story.troubles.iter().map(|(at, _)| *at).max().unwrap_or(0);
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let now = clock.elapsed_ms();
        let is_quiet = now > last + 240_000 && held(&book.incidents).values().all(|incident| incident.over);
        if is_quiet || now > HORIZON_MS {
            return;
        }
    }
}

async fn lives(
    story: &Story,
    outage: &Arc<Outage>,
    store: &Arc<MemoryStore>,
    clock: &SimClock,
    book: &Arc<Book>,
    lived: &Mutex<Vec<Arc<Mortal>>>,
) {
    let never = Death { at: 0, after: false };
    for (number, death) in story.deaths.iter().chain([&never]).enumerate() {
        let own = clock.apart();
        if number == 0 {
            own.step(story.ahead_ms);
        }
        let seams = outage.seams(store.clone(), own, story.seed + number as u64);
        let mortal = Mortal::new(seams, *death);
        held(lived).push(Arc::clone(&mortal));
        let watching = watch(mortal.seams(), outage.clone(), book.clone(), format!("ostler-{number}"));
        tokio::select! {
            biased;
            () = mortal.end() => {}
            () = watching => {}
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

/// Sets the stage, and lets the troubles wait.
fn stage(story: &Story, outage: &Outage) -> Segment {
    let mut rolls = Rolls::new(story.seed ^ 0x57A6E);
    let mut members = Vec::new();
    for number in 1..=story.hosts + story.reserved {
        let reserved = number > story.hosts;
        let name = if reserved { spare(number - story.hosts) } else { host(number) };
        let mut spec = HostSpec::new(name.as_str());
        spec.offer.total.ram_mb = story.ram_gb << 10;
        if rolls.chance(30) {
            spec.at_boot = GuestsAtBoot::Nova;
        }
        outage.add_host(spec);
        members.push(Member { host: name, reserved, on_maintenance: false, no_fence: false });
    }
    let mut ground = outage.ground();
    let by = Outage::by(&ground);
    for number in 1..=story.reserved {
        let Some(service) = ground.nova.host(&spare(number)).map(|host| host.service) else { continue };
        let off = ServiceChange {
            enabled: Some(false),
            reason: Some("reserved".into()),
            ..ServiceChange::default()
        };
        let _set_up = ground.nova.update_service(0, by, service, &off);
    }
    let _set_up = ground.nova.add_to_aggregate(0, by, "fast", &host(1));
    for number in 1..=story.hosts {
        for vm in 0..rolls.between(1, 5) {
            let instance = instance(&mut rolls, &format!("vm-{number}-{vm}"));
            ground.nova.place(0, instance, Some(&host(number)));
        }
    }
    for (at, trouble) in &story.troubles {
        ground.due.entry(*at).or_default().push(trouble.clone());
    }
    members.reverse();
    Segment { name: "s".into(), method: story.method, enabled: true, hosts: members }
}

fn instance(rolls: &mut Rolls, name: &str) -> Instance {
    let flavour = Resources { vcpus: 1, ram_mb: 1 << rolls.between(10, 12), disk_gb: 10 };
    let mut instance = Instance::new(name, flavour);
    instance.vm_state = match rolls.below(100) {
        0..60 => VmState::Active,
        60..75 => VmState::Stopped,
        75..80 => VmState::Error,
        80..85 => VmState::Paused,
        85..88 => VmState::Suspended,
        88..91 => VmState::Rescued,
        91..96 => VmState::Resized,
        _ => VmState::Building,
    };
    instance.disk = match rolls.below(100) {
        0..60 => Disk::Volume,
        60..95 => Disk::Shared,
        _ => Disk::Local,
    };
    if rolls.chance(40) {
        instance.metadata.insert("HA_Enabled".into(), "True".into());
    }
    if rolls.chance(30) {
        instance.metadata.insert("HA_Priority".into(), rolls.between(1, 1_000).to_string());
    }
    if rolls.chance(10) {
        (instance.locked, instance.lock_reason) = (true, Some("mine".into()));
    }
    instance
}

/// One Ostler: looks, confirms, guards, opens outages, and works off those that are open.
async fn watch(seams: Seams, outage: Arc<Outage>, book: Arc<Book>, name: String) {
    let policy = Policy::default();
    let mut at_work: JoinSet<HostName> = JoinSet::new();
    let mut in_hand: BTreeSet<HostName> = BTreeSet::new();
    loop {
        if let Ok(seen) = seams.cloud.look(&Scope::default()).await {
            let now = seams.clock.now();
            let segment = held(&book.segment).clone();
            let mut dead = Vec::new();
            let mut scale = Scale::default();
            for member in &segment.hosts {
                let Some(service) = seen.services.get(&member.host) else { continue };
                scale.watched.insert(member.host.clone());
                let hears = {
                    let ground = outage.ground();
                    ground.nova.host(&member.host).is_some_and(|host| host.power && host.link)
                };
                let says = |alive| if alive { Says::Alive } else { Says::Dead };
                let age =
                    service.heard.map_or(i128::MAX, |heard| seen.taken.duration_since(heard).as_millis());
                let sightings = [
                    Sighting { witness: Witness::Agent, says: says(hears), at: now },
                    Sighting { witness: Witness::Compute, says: says(age < SILENT_MS), at: now },
                ];
                // One witness is enough to be counted among the silent, and not enough for anything else.
                if !hears {
                    scale.silent.insert(member.host.clone());
                }
                if let Confirmed::Dead(_) = confirm(&member.host, &sightings, now, &policy) {
                    dead.push(member.host.clone());
                }
            }
            scale.fenced = held(&book.fenced).clone();
            for host in dead {
                let is_known = held(&book.incidents).contains_key(&host);
                if !is_known && storm_guard(&host, &segment, &scale, now, &policy).is_ok() {
                    held(&book.fenced).push((host.clone(), now));
                    held(&book.incidents).insert(host.clone(), Incident::open(host, now));
                }
            }
        }
        let open: Vec<HostName> = held(&book.incidents)
            .values()
            .filter(|incident| !incident.over)
            .map(|incident| incident.host.clone())
            .collect();
        while let Some(done) = at_work.try_join_next() {
            if let Ok(host) = done {
                in_hand.remove(&host);
            }
        }
        for host in open {
            if in_hand.insert(host.clone()) {
                at_work.spawn(work_off(seams.clone(), Arc::clone(&book), host, name.clone()));
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn work_off(seams: Seams, book: Arc<Book>, host: HostName, name: String) -> HostName {
    let policy = Policy::default();
    loop {
        let Some(mut incident) = book.incident(&host) else { return host };
        let segment = held(&book.segment).clone();
        let keep = |incident: &Incident| {
            let kept = book.keep(incident);
            let kept: Fut<'_, Result<(), StoreError>> = Box::pin(async move { kept });
            kept
        };
        let went =
            work(&seams, &mut incident, "c", &segment, &policy, (&name, &|_| false), &keep, &|_, _| {}).await;
        let pause_ms = match went {
            Ok(Went::On) => 0,
            Ok(Went::Later { ms, .. }) => ms,
            Ok(Went::Asks(_)) => 5_000,
            Ok(Went::Over(_)) => return host,
            Err(ostler_engine::ha::WorkError::Unfit { what, .. }) => {
                held(&book.unfit).push(what);
                60_000
            }
            Err(_) => 1_500,
        };
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

/// A person who is asked: looks after ten minutes, and vouches only for what is truly off.
async fn person(story: &Story, outage: &Outage, store: &Arc<MemoryStore>, clock: &SimClock, book: &Book) {
    let patience_ms = 600_000 + (story.seed % 7) * 60_000;
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let incidents: Vec<Incident> = held(&book.incidents).values().cloned().collect();
        for incident in incidents.into_iter().filter(|incident| !incident.over) {
            let waited = clock.now().duration_since(incident.opened).as_millis();
            if waited < i128::from(patience_ms) {
                continue;
            }
            for id in &incident.runs {
                let Ok(run) = run::load(store.as_ref(), id).await else { continue };
                if !matches!(run.state, RunState::Paused { .. } | RunState::Running) {
                    continue;
                }
                let step = ostler_model::ids::StepId::new(format!("{}-fence", incident.host));
                let vouch = {
                    let mut ground = outage.ground();
                    let is_off = ground.power.is_on(&incident.host) == Some(false);
                    if is_off {
                        ground.vouched.push(incident.host.clone());
                    }
                    is_off
                };
                if vouch {
                    let who = Actor::Person("night shift".into());
                    let event = Event::Skipped { step, who, why: "I stand before it".into() };
                    let _fits_or_not = run::command(store.as_ref(), clock, id, event).await;
                }
            }
        }
    }
}

struct Judge {
    breaches: Vec<Breach>,
}

impl Judge {
    fn must(&mut self, holds: bool, rule: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.breaches.push(Breach { rule, what: what() });
        }
    }
}

async fn judge(
    story: &Story,
    outage: &Outage,
    store: &Arc<MemoryStore>,
    clock: &SimClock,
    (book, born): (&Book, &BTreeMap<InstanceId, Instance>),
    asked: u64,
) -> Told {
    let policy = Policy::default();
    let incidents: Vec<Incident> = held(&book.incidents).values().cloned().collect();
    let mut runs = BTreeMap::new();
    let mut trace = String::new();
    for id in incidents.iter().flat_map(|incident| &incident.runs) {
        for entry in store.all(id) {
            trace.push_str(&format!("{} {} {} {:?}\n", entry.run, entry.seq, entry.at, entry.event));
        }
        if let Ok(run) = run::load(store.as_ref(), id).await {
            runs.insert(id.clone(), run);
        }
    }
    let ground = outage.ground();
    let mut judge = Judge { breaches: ground.breaches.clone() };
    for what in held(&book.unfit).iter() {
        judge.must(false, "never-unfit", || what.clone());
    }
    for twice in ground.nova.ever_active_twice() {
        let lied = twice.hosts.iter().any(|host| ground.lied.contains(host));
        let records: Vec<_> = ground
            .nova
            .instance(twice.instance)
            .into_iter()
            .flat_map(|instance| &instance.migrations)
            .filter_map(|record| ground.nova.migration(*record))
            .map(|record| (record.created, &record.source, &record.target, record.status))
            .collect();
        // Nova itself may leave a guest behind on a target that failed late, and nothing in its record says so.
        let left_behind = records.iter().any(|(_, _, target, status)| {
            *status == MigrationStatus::Failed
                && target.as_ref().is_some_and(|target| twice.hosts.contains(target))
        });
        judge.must(lied || left_behind, "never-twice", || format!("{twice:?}, {records:?}"));
    }
    for (name, until) in store.leases() {
        // A lease is as long as its owner's clock has it.
        let late_ms = until.duration_since(clock.now()).as_millis() - i128::from(story.ahead_ms.max(0));
        judge.must(late_ms <= 0, "leases-end", || format!("{name} until {until}"));
    }
    if story.all_silent {
        let orders: u32 = ground.nova.hosts().map(|(host, _)| ground.power.orders(host)).sum();
        judge.must(orders == 0, "own-trouble", || format!("{orders} orders were given"));
    }
    let mut ends = Vec::new();
    for incident in &incidents {
        let own: Vec<run::Run> = incident.runs.iter().filter_map(|id| runs.get(id).cloned()).collect();
        let paused = own.iter().any(|run| matches!(run.state, RunState::Paused { .. }));
        // A fence that is tried again and again is an outage that says what it waits for.
        let fencing = own.iter().any(|run| run.state == RunState::Running);
        judge.must(incident.over || incident.waits.is_some() || paused || fencing, "comes-to-an-end", || {
            format!("{} neither ends nor says why", incident.host)
        });
        ends.push(if incident.over { "over" } else { "waits" });
        by_plan(&mut judge, incident, &own, &policy);
        if incident.over {
            by_world(&mut judge, incident, &ground, &policy, (incidents.as_slice(), born));
            for host in spares_in_use(&own).keys() {
                let used = ground.nova.host(host).is_some_and(|host| !host.instances.is_empty());
                let enabled = ground.nova.host(host).is_some_and(|host| host.enabled);
                judge.must(used || !enabled, "spares-back", || format!("{host} is enabled and empty"));
            }
        }
    }
    judge.breaches.sort();
    judge.breaches.dedup();
    Told { breaches: judge.breaches, ends, asked, trace }
}

/// What the plans of an outage say about its order.
fn by_plan(judge: &mut Judge, incident: &Incident, runs: &[run::Run], policy: &Policy) {
    let before = incident.before.clone().unwrap_or_default();
    for run in runs.iter().filter(|run| matches!(run.plan.body.purpose, Purpose::Recover { .. })) {
        let marks: Vec<bool> = run
            .plan
            .body
            .steps
            .iter()
            .filter_map(|step| match &step.does {
                Does::Evacuate { instance, .. } => before.get(instance),
                _ => None,
            })
            .map(|instance| is_ha_enabled(instance, policy))
            .collect();
        judge.must(marks.windows(2).all(|pair| pair[0] >= pair[1]), "priority", || {
            format!("run {} plans unmarked instances before marked ones", run.id)
        });
    }
}

/// What hypervisors and records say about an outage that is over.
fn by_world(
    judge: &mut Judge,
    incident: &Incident,
    ground: &super::Ground,
    policy: &Policy,
    (incidents, born): (&[Incident], &BTreeMap<InstanceId, Instance>),
) {
    let others: Vec<&HostName> =
        incidents.iter().map(|other| &other.host).filter(|other| **other != incident.host).collect();
    // What the story itself set there counts, and of the rest what was seen first.
    let mut before: BTreeMap<InstanceId, Seen> = BTreeMap::new();
    for (id, seen) in incident.before.iter().flatten() {
        before.extend(InstanceId::parse(id.as_str()).map(|sim| (sim, seen.clone())));
    }
    let others_moved = |id: &InstanceId| {
        let records =
            ground.nova.instance(*id).map(|instance| instance.migrations.clone()).unwrap_or_default();
        let mut records = records.iter().filter_map(|record| ground.nova.migration(*record));
        records.any(|record| record.source != incident.host)
    };
    let own =
        born.iter().filter(|(id, born)| born.host.as_ref() == Some(&incident.host) && !others_moved(id));
    before.extend(own.map(|(id, born)| (*id, seen_as(born))));
    for (sim, before) in &before {
        let sim = *sim;
        let Some(now) = ground.nova.instance(sim) else { continue };
        judge.must(now.lock_reason.as_deref() != Some(LOCK_REASON), "locks-opened", || {
            format!("{} is still locked", now.name)
        });
        let Fate::Move { to, .. } = fate(before, policy) else { continue };
        let done = now
            .migrations
            .iter()
            .filter_map(|record| ground.nova.migration(*record))
            .filter(|record| record.kind == MigrationKind::Evacuation && record.source == incident.host)
            .filter(|record| matches!(record.status, MigrationStatus::Done | MigrationStatus::Completed))
            .count();
        judge.must(done <= 1, "moved-once", || format!("{} was moved {done} times", now.name));
        let place = now.host.clone();
        judge.must(place.as_ref() != Some(&incident.host), "none-forgotten", || {
            format!("{} is still on {}", now.name, incident.host)
        });
        // One whose new host failed, too, is that outage's affair.
        let Some(place) = place.filter(|place| !others.contains(&place)) else { continue };
        let Some(there) = ground.nova.host(&place).filter(|there| there.power && there.link) else {
            continue;
        };
        let guest = there.guests.get(&sim).map(|guest| guest.state);
        let as_wanted = match to {
            Wanted::Active => guest == Some(GuestState::Running),
            Wanted::Stopped | Wanted::Error => guest == Some(GuestState::Off),
        };
        judge.must(as_wanted, "none-forgotten", || {
            format!("{} on {place} is {guest:?}, and was to be {to:?}", now.name)
        });
    }
}

/// What a storm came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Stories told.
    pub stories: u64,
    /// How their outages ended, by word.
    pub ends: BTreeMap<&'static str, u64>,
    /// Seeds whose story broke a rule, with the first rule and what happened; at most so many.
    pub broken: Vec<(u64, &'static str, String)>,
}

/// Tells the stories of these seeds, and stops after so many that break a rule.
pub fn storm(seeds: std::ops::Range<u64>, most: usize) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let told = tell(&Story::of(seed));
        report.stories += 1;
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
