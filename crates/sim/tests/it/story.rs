//! What the tests share: a cloud, a plan, a driver that can be killed at any entry of its journal.

use ostler_engine::plan::{Estimates, Planned, Scene, Wish, upgrade};
use ostler_engine::run::{self, Ended, Run};
use ostler_engine::seam::{Fut, Lease, Seams, Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::canary::Suite;
use ostler_model::catalogue::Catalogue;
use ostler_model::event::{Actor, Entry, Event};
use ostler_model::ids::{HostName, PlanId, RunId};
use ostler_model::inventory::Inventory;
use ostler_model::plan::{Plan, Strategy};
use ostler_model::record::{Record, RecordQuery};
use ostler_sim::cloud::SimService;
use ostler_sim::{MemoryStore, SimCloud};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use tokio::sync::Notify;

pub const OLD: &str = "23.0.2";
pub const NEW: &str = "25.0.0";

/// Read once: hundreds of stories share it.
pub static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::embedded().unwrap());

/// Runs a test on a clock that jumps.
pub fn simulated<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

pub fn cloud(controllers: usize) -> Arc<SimCloud> {
    let service = SimService {
        backend: "keystone".into(),
        package: "keystone".into(),
        unit: "keystone.service".into(),
        database: "keystone".into(),
        files: ["keystone.conf", "fernet-keys", "credential-keys"]
            .map(|name| format!("/etc/keystone/{name}"))
            .into(),
        version: OLD.into(),
        offered: vec![NEW.into(), OLD.into()],
        heads: vec!["29e87d24a316".into(), "e25ffa003242".into()],
    };
    Arc::new(SimCloud::new(controllers, service))
}

pub fn look(cloud: &SimCloud, seams: &Seams) -> Inventory {
    let hosts: Vec<HostName> = cloud.declared.nodes.keys().cloned().collect();
    cloud.look(&hosts, seams.clock.now())
}

pub fn plan(cloud: &SimCloud, seams: &Seams, strategy: Strategy) -> Planned {
    planned(cloud, seams, strategy, false, None)
}

/// The same with the check of functions after each change.
pub fn checked(cloud: &SimCloud, seams: &Seams, strategy: Strategy) -> Planned {
    planned(cloud, seams, strategy, true, None)
}

/// The same with a canary.
pub fn tried(cloud: &SimCloud, seams: &Seams, strategy: Strategy) -> Planned {
    planned(cloud, seams, strategy, false, Some(Suite::Basic))
}

fn planned(
    cloud: &SimCloud,
    seams: &Seams,
    strategy: Strategy,
    function_check: bool,
    canary: Option<Suite>,
) -> Planned {
    let seen = look(cloud, seams);
    let estimates = Estimates::default();
    let scene = Scene { cloud: &cloud.declared, catalogue: &CATALOGUE, seen: &seen, estimates: &estimates };
    let wish = Wish {
        service: "keystone".into(),
        to: "2024.1".parse().unwrap(),
        strategy: Some(strategy),
        soak_s: 3,
        packages: BTreeMap::from([("keystone".into(), NEW.into())]),
        ask_before_final: false,
        function_check,
        canary,
    };
    upgrade(&wish, &scene).unwrap()
}

pub async fn open(seams: &Seams, plan: &Plan) -> RunId {
    let who = Actor::Person("tester".into());
    let run = run::open(seams.store.as_ref(), seams.clock.as_ref(), seams.dice.as_ref(), plan, who.clone())
        .await
        .unwrap();
    run::approve(seams.store.as_ref(), seams.clock.as_ref(), &run, &plan.id, who).await.unwrap();
    run
}

/// Drives under a lease taken from whoever had it.
pub async fn drive(seams: &Seams, run: &RunId) -> Result<Ended, run::DriveError> {
    let owner = format!("driver {}", seams.dice.roll());
    let lease =
        run::take(seams.store.as_ref(), seams.clock.as_ref(), "cloud/sim", &owner, &|_| true).await.unwrap();
    run::drive(run, seams, lease, &|_, _| {}).await
}

pub async fn resume(seams: &Seams, run: &RunId) -> Result<Ended, run::DriveError> {
    let event = Event::Resumed { who: Actor::Person("tester".into()) };
    run::command(seams.store.as_ref(), seams.clock.as_ref(), run, event).await.unwrap();
    drive(seams, run).await
}

pub async fn load(seams: &Seams, run: &RunId) -> Run {
    run::load(seams.store.as_ref(), run).await.unwrap()
}

/// When a driver dies, relative to an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dies {
    /// The entry never reaches the store.
    Before,
    /// The entry is durable, the driver never learns of it.
    After,
}

/// A store whose n-th append is the last thing that a driver does.
pub struct DeadlyStore {
    pub inner: Arc<MemoryStore>,
    left: AtomicI64,
    dies: Dies,
    killed: Arc<Notify>,
}

impl DeadlyStore {
    pub fn new(inner: Arc<MemoryStore>, appends: i64, dies: Dies) -> (Arc<DeadlyStore>, Arc<Notify>) {
        let killed = Arc::new(Notify::new());
        let store = DeadlyStore { inner, left: AtomicI64::new(appends), dies, killed: Arc::clone(&killed) };
        (Arc::new(store), killed)
    }
}

impl Store for DeadlyStore {
    fn keep_plan<'a>(&'a self, plan: &'a Plan) -> Fut<'a, Result<(), StoreError>> {
        self.inner.keep_plan(plan)
    }
    fn plan<'a>(&'a self, id: &'a PlanId) -> Fut<'a, Result<Option<Arc<Plan>>, StoreError>> {
        self.inner.plan(id)
    }
    fn plans(&self, limit: u32) -> Fut<'_, Result<Vec<(PlanId, Timestamp)>, StoreError>> {
        self.inner.plans(limit)
    }
    fn keep_inventory<'a>(&'a self, inventory: &'a Inventory) -> Fut<'a, Result<(), StoreError>> {
        self.inner.keep_inventory(inventory)
    }
    fn inventory<'a>(&'a self, cloud: &'a str) -> Fut<'a, Result<Option<Inventory>, StoreError>> {
        self.inner.inventory(cloud)
    }
    fn keep_note<'a>(
        &'a self,
        subject: &'a str,
        kind: &'a str,
        body: &'a str,
    ) -> Fut<'a, Result<(), StoreError>> {
        self.inner.keep_note(subject, kind, body)
    }

    fn note<'a>(&'a self, subject: &'a str, kind: &'a str) -> Fut<'a, Result<Option<String>, StoreError>> {
        self.inner.note(subject, kind)
    }

    fn keep_record<'a>(&'a self, record: &'a Record) -> Fut<'a, Result<(), StoreError>> {
        self.inner.keep_record(record)
    }

    fn records<'a>(&'a self, query: &'a RecordQuery) -> Fut<'a, Result<Vec<Record>, StoreError>> {
        self.inner.records(query)
    }

    fn drop_record<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        name: &'a str,
    ) -> Fut<'a, Result<bool, StoreError>> {
        self.inner.drop_record(kind, subject, name)
    }

    fn purge_records<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        before: Timestamp,
        rows: u32,
    ) -> Fut<'a, Result<u64, StoreError>> {
        self.inner.purge_records(kind, subject, before, rows)
    }

    fn append<'a>(&'a self, entries: &'a [Entry]) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
                return self.inner.append(entries).await;
            }
            if self.dies == Dies::After {
                self.inner.append(entries).await?;
            }
            self.killed.notify_one();
            std::future::pending().await
        })
    }
    fn entries<'a>(&'a self, run: &'a RunId, from: u64) -> Fut<'a, Result<Vec<Entry>, StoreError>> {
        self.inner.entries(run, from)
    }
    fn runs(&self, limit: u32) -> Fut<'_, Result<Vec<RunId>, StoreError>> {
        self.inner.runs(limit)
    }
    fn lease<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Option<Lease>, StoreError>> {
        self.inner.lease(name)
    }
    fn swap_lease<'a>(
        &'a self,
        name: &'a str,
        term: u64,
        owner: &'a str,
        until: Timestamp,
    ) -> Fut<'a, Result<Lease, StoreError>> {
        self.inner.swap_lease(name, term, owner, until)
    }
    fn renew_lease<'a>(&'a self, lease: &'a Lease, until: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        self.inner.renew_lease(lease, until)
    }
}

/// Drives until the n-th append kills the driver; none if the run ended before.
pub async fn drive_and_die(
    seams: &Seams,
    store: &Arc<MemoryStore>,
    run: &RunId,
    n: i64,
    dies: Dies,
) -> Option<Ended> {
    let (deadly, killed) = DeadlyStore::new(Arc::clone(store), n, dies);
    let mut doomed = seams.clone();
    doomed.store = deadly;
    tokio::select! {
        biased;
        () = killed.notified() => None,
        ended = drive(&doomed, run) => Some(ended.unwrap()),
    }
}

/// Every node runs this version, every server is in service, and the heads are these.
pub fn assert_all(cloud: &SimCloud, version: &str, heads: &[&str], story: &str) {
    for host in cloud.declared.nodes.keys() {
        let node = cloud.node(host.as_str()).unwrap();
        assert_eq!(node.version, version, "{story}: {host}");
        assert!(node.service && node.database && node.up, "{story}: {host} does not run");
        assert_eq!(node.heads, heads, "{story}: {host}");
        for (server, admin) in &node.proxy {
            let ready = ostler_model::inventory::ServerAdmin::Ready;
            assert_eq!(*admin, ready, "{story}: {server} at the load balancer of {host}");
        }
    }
}

/// No step of one run had its effect twice.
pub fn assert_nothing_twice(cloud: &SimCloud, story: &str) {
    let mut seen = BTreeMap::new();
    for effect in cloud.effects() {
        if let Some(before) = seen.insert((effect.run.clone(), effect.step.clone()), effect.clone()) {
            panic!("{story}: {} was done twice: {before:?}, {effect:?}", effect.step);
        }
    }
}

pub const NEW_HEADS: &[&str] = &["47147121", "c88cdce8f248"];
pub const OLD_HEADS: &[&str] = &["29e87d24a316", "e25ffa003242"];
