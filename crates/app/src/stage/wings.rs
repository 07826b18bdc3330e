//! Stands between the commands and the pretended cloud: gives cues, holds everything up until the world has
//! changed, and shows what the pretended cloud itself cannot pretend.
//!
//! Every call across a seam waits here while a cue is being carried out, so that a script has one course and no
//! other. It changes no answer but those that a script has ordered.

use super::event::Moment;
use ostler_engine::seam::{
    Called, Clock, Cloud, Fut, Lease, Nodes, Power, PowerReading, Seams, Store, StoreError,
};
use ostler_model::Timestamp;
use ostler_model::canary::{Act, Acted, NotActed};
use ostler_model::compute::{Compute, Scope};
use ostler_model::event::{Entry, Event, Outcome, Why};
use ostler_model::function::{LogError, LogGate, Offer, Question, Sample};
use ostler_model::ids::{HostName, PlanId, RunId, StepId};
use ostler_model::inventory::{Fact, Inventory, Node, Seen, UnitSeen};
use ostler_model::plan::Plan;
use ostler_model::record::{Record, RecordQuery};
use ostler_model::release::Series;
use ostler_model::step::{Call, Job, Through};
use ostler_sim::{MemoryStore, SimCloud, seams};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// When every script begins: a Saturday night, as upgrades do.
const CURTAIN: &str = "2026-04-11T01:30:00Z";

/// The dice of every script.
const SEED: u64 = 7;

/// While work is shown at a pace for reading: how much faster pretended time goes than the reader's, and the
/// shortest and longest rest after an entry of a journal.
const FASTER: u32 = 16;
const REST: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_millis(450);

/// What the pretended cloud itself cannot pretend.
#[derive(Debug, Default)]
pub struct Marks {
    /// Load balancers that do not answer.
    pub silent: BTreeSet<HostName>,
    /// Files that are not like those on the other nodes.
    pub changed: BTreeSet<(HostName, String)>,
    /// Releases that the package source lacks.
    pub withdrawn: BTreeSet<Series>,
}

#[derive(Debug, Default)]
struct Behind {
    marks: Marks,
    /// Cues that are waited for, by their number.
    moments: BTreeMap<usize, Moment>,
    /// Cues that were given and not yet taken; each is given once, so there are never more than the script has.
    given: VecDeque<usize>,
    plans: Vec<PlanId>,
    steps: BTreeSet<StepId>,
    runs: Vec<RunId>,
    last_entry: Option<Timestamp>,
}

/// What stands between the commands and the pretended cloud.
pub struct Wings {
    /// The pretended cloud.
    pub cloud: Arc<SimCloud>,
    pub(super) inner: Seams,
    curtain: Timestamp,
    behind: Mutex<Behind>,
    called: Notify,
    /// Cues that were given and not yet carried out.
    pending: watch::Sender<usize>,
    is_for_reading: bool,
}

impl Wings {
    /// Around a pretended cloud with an empty store. `is_for_reading`: work takes time, so that it can be watched.
    pub fn new(cloud: &Arc<SimCloud>, is_for_reading: bool) -> Arc<Wings> {
        Arc::new(Wings {
            cloud: Arc::clone(cloud),
            inner: seams(cloud, Arc::new(MemoryStore::default()), SEED),
            curtain: CURTAIN.parse().unwrap_or(Timestamp::UNIX_EPOCH),
            behind: Mutex::default(),
            called: Notify::new(),
            pending: watch::Sender::new(0),
            is_for_reading,
        })
    }

    /// The seams that commands get.
    pub fn seams(self: &Arc<Self>) -> Seams {
        Seams {
            cloud: Arc::new(Front(Arc::clone(self))),
            nodes: Arc::new(Front(Arc::clone(self))),
            power: Arc::new(Front(Arc::clone(self))),
            store: Arc::new(Front(Arc::clone(self))),
            clock: Arc::new(Front(Arc::clone(self))),
            dice: Arc::clone(&self.inner.dice),
        }
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what the pretended cloud itself cannot pretend.
    pub fn mark(&self, change: impl FnOnce(&mut Marks)) {
        change(&mut self.behind().marks);
    }

    /// From now on a cue is given when its moment comes, once.
    pub fn wait_for(&self, cue: usize, moment: Moment) {
        self.behind().moments.insert(cue, moment);
    }

    /// Cues whose moment has not come.
    pub fn never_given(&self) -> BTreeMap<usize, Moment> {
        self.behind().moments.clone()
    }

    /// Waits until a cue may have been given.
    pub async fn called(&self) {
        self.called.notified().await;
    }

    /// Takes the next cue that was given; whoever takes it lets nobody else go on before it is carried out.
    pub fn take_cue(&self) -> Option<usize> {
        let cue = self.behind().given.pop_front()?;
        self.pending.send_modify(|pending| *pending = pending.saturating_sub(1));
        Some(cue)
    }

    /// The plan that was kept last.
    pub fn last_plan(&self) -> Option<PlanId> {
        self.behind().plans.last().cloned()
    }

    /// Runs in the order in which they were opened.
    pub fn runs(&self) -> Vec<RunId> {
        self.behind().runs.clone()
    }

    /// Every step of every plan.
    pub fn steps(&self) -> BTreeSet<StepId> {
        self.behind().steps.clone()
    }

    fn hear_of(&self, plan: &Plan) {
        let mut behind = self.behind();
        behind.plans.push(plan.id.clone());
        behind.steps.extend(plan.body.steps.iter().map(|step| step.id.clone()));
    }

    async fn until_free(&self) {
        // The sender lives as long as this: waiting cannot fail.
        let _ = self.pending.subscribe().wait_for(|pending| *pending == 0).await;
    }

    fn give_cues(&self, entry: &Entry) {
        let mut behind = self.behind();
        if matches!(entry.event, Event::Opened { .. }) {
            behind.runs.push(entry.run.clone());
        }
        let now: Vec<usize> =
            behind.moments.iter().filter(|(_, moment)| moment.is(entry)).map(|(cue, _)| *cue).collect();
        for cue in &now {
            behind.moments.remove(cue);
            behind.given.push_back(*cue);
        }
        drop(behind);
        if !now.is_empty() {
            self.pending.send_modify(|pending| *pending += now.len());
            self.called.notify_one();
        }
    }

    /// Rests as long as a reader needs for the time that has passed since the last entry.
    async fn rest(&self, at: Timestamp) {
        if !self.is_for_reading {
            return;
        }
        let before = self.behind().last_entry.replace(at).unwrap_or(at);
        let passed = Duration::try_from(at.duration_since(before)).unwrap_or_default();
        rest((passed / FASTER).clamp(*REST.start(), *REST.end())).await;
    }

    fn shown(&self, mut seen: Inventory) -> Inventory {
        seen.taken = self.told(seen.taken);
        let behind = self.behind();
        for (host, node) in &mut seen.nodes {
            if let Seen::Fresh(node) = node {
                show(&behind.marks, host, node);
            }
        }
        seen
    }

    /// A time of the pretended cloud as the script tells it.
    fn told(&self, at: Timestamp) -> Timestamp {
        self.curtain.checked_add(at.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or(Timestamp::MAX)
    }
}

/// Rests in the reader's time; the paused clock does not go on meanwhile, because the runtime has a thread at work.
pub async fn rest(time: Duration) {
    let _ = tokio::task::spawn_blocking(move || std::thread::sleep(time)).await;
}

fn show(marks: &Marks, host: &HostName, node: &mut Node) {
    // That it is installed is seen although it does not answer.
    if marks.silent.contains(host) {
        node.proxy = None;
    }
    let load_balancer = UnitSeen { load: "loaded".into(), ..UnitSeen::default() };
    node.units.entry("haproxy.service".into()).or_insert(load_balancer);
    for (path, file) in &mut node.files {
        let other = if marks.changed.contains(&(host.clone(), path.clone())) { host.as_str() } else { "" };
        file.sha256 = digest(&[path, &file.sha256, other]);
    }
}

/// What stands for a file's digest: FNV-1a, wide enough to look like one.
fn digest(parts: &[&str]) -> String {
    let bytes = parts.iter().flat_map(|part| part.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// What commands see of the wings.
pub(super) struct Front(pub(super) Arc<Wings>);

impl Clock for Front {
    fn now(&self) -> Timestamp {
        self.0.told(self.0.inner.clock.now())
    }

    fn sleep(&self, ms: u64) -> Fut<'_, ()> {
        self.0.inner.clock.sleep(ms)
    }
}

impl Cloud for Front {
    fn call<'a>(&'a self, through: &'a Through, calls: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.cloud.call(through, calls).await
        })
    }

    fn offers(&self) -> Fut<'_, Result<Vec<Offer>, Why>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.cloud.offers().await
        })
    }

    fn sample<'a>(&'a self, question: &'a Question) -> Fut<'a, Sample> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.cloud.sample(question).await
        })
    }

    fn act<'a>(&'a self, act: &'a Act) -> Fut<'a, Result<Acted, NotActed>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.cloud.act(act).await
        })
    }

    fn look<'a>(&'a self, scope: &'a Scope) -> Fut<'a, Result<Compute, Why>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.cloud.look(scope).await
        })
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.cloud.begin(job).await
        })
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.cloud.settle(job).await
        })
    }
}

impl Nodes for Front {
    fn survey<'a>(&'a self, hosts: &'a [HostName], facts: &'a [Fact]) -> Fut<'a, Inventory> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.shown(self.0.inner.nodes.survey(hosts, facts).await)
        })
    }

    fn available<'a>(
        &'a self,
        host: &'a HostName,
        source: &'a str,
        packages: &'a [String],
    ) -> Fut<'a, Result<BTreeMap<String, Vec<String>>, Why>> {
        Box::pin(async move {
            self.0.until_free().await;
            let withdrawn = self.0.behind().marks.withdrawn.clone();
            if withdrawn.iter().any(|series| source.contains(&series.to_string())) {
                return Ok(BTreeMap::new());
            }
            self.0.inner.nodes.available(host, source, packages).await
        })
    }

    fn new_errors<'a>(&'a self, gate: &'a LogGate, since: Timestamp) -> Fut<'a, Result<Vec<LogError>, Why>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.nodes.new_errors(gate, since).await
        })
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.nodes.begin(job).await
        })
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.nodes.settle(job).await
        })
    }
}

impl Power for Front {
    fn state<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<PowerReading, Why>> {
        self.0.inner.power.state(host)
    }

    fn off<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        self.0.inner.power.off(host)
    }

    fn on<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        self.0.inner.power.on(host)
    }
}

impl Store for Front {
    fn keep_plan<'a>(&'a self, plan: &'a Plan) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.hear_of(plan);
            self.0.inner.store.keep_plan(plan).await
        })
    }

    fn plan<'a>(&'a self, id: &'a PlanId) -> Fut<'a, Result<Option<Arc<Plan>>, StoreError>> {
        self.0.inner.store.plan(id)
    }

    fn plans(&self, limit: u32) -> Fut<'_, Result<Vec<(PlanId, Timestamp)>, StoreError>> {
        self.0.inner.store.plans(limit)
    }

    fn keep_inventory<'a>(&'a self, inventory: &'a Inventory) -> Fut<'a, Result<(), StoreError>> {
        self.0.inner.store.keep_inventory(inventory)
    }

    fn inventory<'a>(&'a self, cloud: &'a str) -> Fut<'a, Result<Option<Inventory>, StoreError>> {
        self.0.inner.store.inventory(cloud)
    }

    fn keep_note<'a>(
        &'a self,
        subject: &'a str,
        kind: &'a str,
        body: &'a str,
    ) -> Fut<'a, Result<(), StoreError>> {
        self.0.inner.store.keep_note(subject, kind, body)
    }

    fn note<'a>(&'a self, subject: &'a str, kind: &'a str) -> Fut<'a, Result<Option<String>, StoreError>> {
        self.0.inner.store.note(subject, kind)
    }

    fn keep_record<'a>(&'a self, record: &'a Record) -> Fut<'a, Result<(), StoreError>> {
        self.0.inner.store.keep_record(record)
    }

    fn records<'a>(&'a self, query: &'a RecordQuery) -> Fut<'a, Result<Vec<Record>, StoreError>> {
        self.0.inner.store.records(query)
    }

    fn drop_record<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        name: &'a str,
    ) -> Fut<'a, Result<bool, StoreError>> {
        self.0.inner.store.drop_record(kind, subject, name)
    }

    fn purge_records<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        before: Timestamp,
        rows: u32,
    ) -> Fut<'a, Result<u64, StoreError>> {
        self.0.inner.store.purge_records(kind, subject, before, rows)
    }

    fn append<'a>(&'a self, entries: &'a [Entry]) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.store.append(entries).await?;
            for entry in entries {
                self.0.rest(entry.at).await;
                self.0.give_cues(entry);
            }
            Ok(())
        })
    }

    fn entries<'a>(&'a self, run: &'a RunId, from: u64) -> Fut<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.store.entries(run, from).await
        })
    }

    fn runs(&self, limit: u32) -> Fut<'_, Result<Vec<RunId>, StoreError>> {
        self.0.inner.store.runs(limit)
    }

    fn lease<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Option<Lease>, StoreError>> {
        self.0.inner.store.lease(name)
    }

    fn swap_lease<'a>(
        &'a self,
        name: &'a str,
        term: u64,
        owner: &'a str,
        until: Timestamp,
    ) -> Fut<'a, Result<Lease, StoreError>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.store.swap_lease(name, term, owner, until).await
        })
    }

    fn renew_lease<'a>(&'a self, lease: &'a Lease, until: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            self.0.until_free().await;
            self.0.inner.store.renew_lease(lease, until).await
        })
    }
}
