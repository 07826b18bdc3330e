//! An Ostler that dies: at its n-th question to the world, before it was heard or after.
//!
//! What it began goes on without it. It must never answer once it is dead.

use ostler_engine::seam::{Called, Cloud, Fut, Lease, Nodes, Power, PowerReading, Seams, Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::canary::{Act, Acted, NotActed};
use ostler_model::compute::{Compute, Scope};
use ostler_model::event::{Entry, Outcome, Why};
use ostler_model::function::{LogError, LogGate, Offer, Question, Sample};
use ostler_model::ids::{HostName, PlanId, RunId};
use ostler_model::inventory::{Fact, Inventory};
use ostler_model::plan::Plan;
use ostler_model::record::{Record, RecordQuery};
use ostler_model::step::{Call, Job, Through};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// When it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// At which question, from 1; 0: never.
    pub at: u64,
    /// Whether that question is still heard.
    pub after: bool,
}

/// One that dies.
pub struct Mortal {
    pub(super) inner: Seams,
    death: Death,
    questions: AtomicU64,
    is_dead: AtomicBool,
    died: Notify,
}

impl Mortal {
    /// One life.
    pub fn new(inner: Seams, death: Death) -> Arc<Mortal> {
        let (questions, is_dead) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Mortal { inner, death, questions, is_dead, died: Notify::new() })
    }

    /// Its seams.
    pub fn seams(self: &Arc<Self>) -> Seams {
        Seams {
            cloud: self.clone(),
            nodes: self.clone(),
            power: self.clone(),
            store: self.clone(),
            clock: self.inner.clock.clone(),
            dice: self.inner.dice.clone(),
        }
    }

    /// Waits for its end.
    pub async fn end(&self) {
        while !self.is_dead.load(Ordering::Relaxed) {
            self.died.notified().await;
        }
    }

    /// How much it has asked.
    pub fn asked(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    async fn die<T>(&self) -> T {
        self.is_dead.store(true, Ordering::Relaxed);
        self.died.notify_one();
        std::future::pending().await
    }

    pub(super) async fn pass<T>(&self, question: impl Future<Output = T>) -> T {
        if self.is_dead.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        let number = self.questions.fetch_add(1, Ordering::Relaxed) + 1;
        if number == self.death.at && !self.death.after {
            return self.die().await;
        }
        let answer = question.await;
        if number == self.death.at || self.is_dead.load(Ordering::Relaxed) {
            return self.die().await;
        }
        answer
    }
}

impl Cloud for Mortal {
    fn call<'a>(&'a self, through: &'a Through, calls: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        Box::pin(self.pass(self.inner.cloud.call(through, calls)))
    }

    fn offers(&self) -> Fut<'_, Result<Vec<Offer>, Why>> {
        Box::pin(self.pass(self.inner.cloud.offers()))
    }

    fn sample<'a>(&'a self, question: &'a Question) -> Fut<'a, Sample> {
        Box::pin(self.pass(self.inner.cloud.sample(question)))
    }

    fn act<'a>(&'a self, act: &'a Act) -> Fut<'a, Result<Acted, NotActed>> {
        Box::pin(self.pass(self.inner.cloud.act(act)))
    }

    fn look<'a>(&'a self, scope: &'a Scope) -> Fut<'a, Result<Compute, Why>> {
        Box::pin(self.pass(self.inner.cloud.look(scope)))
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(self.pass(self.inner.cloud.begin(job)))
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(self.pass(self.inner.cloud.settle(job)))
    }
}

impl Nodes for Mortal {
    fn survey<'a>(&'a self, hosts: &'a [HostName], facts: &'a [Fact]) -> Fut<'a, Inventory> {
        Box::pin(self.pass(self.inner.nodes.survey(hosts, facts)))
    }

    fn available<'a>(
        &'a self,
        host: &'a HostName,
        source: &'a str,
        packages: &'a [String],
    ) -> Fut<'a, Result<BTreeMap<String, Vec<String>>, Why>> {
        Box::pin(self.pass(self.inner.nodes.available(host, source, packages)))
    }

    fn new_errors<'a>(&'a self, gate: &'a LogGate, since: Timestamp) -> Fut<'a, Result<Vec<LogError>, Why>> {
        Box::pin(self.pass(self.inner.nodes.new_errors(gate, since)))
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(self.pass(self.inner.nodes.begin(job)))
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(self.pass(self.inner.nodes.settle(job)))
    }
}

impl Power for Mortal {
    fn state<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<PowerReading, Why>> {
        Box::pin(self.pass(self.inner.power.state(host)))
    }

    fn off<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(self.pass(self.inner.power.off(host)))
    }

    fn on<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(self.pass(self.inner.power.on(host)))
    }
}

impl Store for Mortal {
    fn keep_plan<'a>(&'a self, plan: &'a Plan) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.pass(self.inner.store.keep_plan(plan)))
    }

    fn plan<'a>(&'a self, id: &'a PlanId) -> Fut<'a, Result<Option<std::sync::Arc<Plan>>, StoreError>> {
        Box::pin(self.pass(self.inner.store.plan(id)))
    }

    fn plans(&self, limit: u32) -> Fut<'_, Result<Vec<(PlanId, Timestamp)>, StoreError>> {
        Box::pin(self.pass(self.inner.store.plans(limit)))
    }

    fn keep_inventory<'a>(&'a self, inventory: &'a Inventory) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.pass(self.inner.store.keep_inventory(inventory)))
    }

    fn inventory<'a>(&'a self, cloud: &'a str) -> Fut<'a, Result<Option<Inventory>, StoreError>> {
        Box::pin(self.pass(self.inner.store.inventory(cloud)))
    }

    fn keep_note<'a>(
        &'a self,
        subject: &'a str,
        kind: &'a str,
        body: &'a str,
    ) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.pass(self.inner.store.keep_note(subject, kind, body)))
    }

    fn note<'a>(&'a self, subject: &'a str, kind: &'a str) -> Fut<'a, Result<Option<String>, StoreError>> {
        Box::pin(self.pass(self.inner.store.note(subject, kind)))
    }

    fn keep_record<'a>(&'a self, record: &'a Record) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.pass(self.inner.store.keep_record(record)))
    }

    fn records<'a>(&'a self, query: &'a RecordQuery) -> Fut<'a, Result<Vec<Record>, StoreError>> {
        Box::pin(self.pass(self.inner.store.records(query)))
    }

    fn drop_record<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        name: &'a str,
    ) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.pass(self.inner.store.drop_record(kind, subject, name)))
    }

    fn purge_records<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        before: Timestamp,
        rows: u32,
    ) -> Fut<'a, Result<u64, StoreError>> {
        Box::pin(self.pass(self.inner.store.purge_records(kind, subject, before, rows)))
    }

    fn append<'a>(&'a self, entries: &'a [Entry]) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.pass(self.inner.store.append(entries)))
    }

    fn entries<'a>(&'a self, run: &'a RunId, from: u64) -> Fut<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(self.pass(self.inner.store.entries(run, from)))
    }

    fn runs(&self, limit: u32) -> Fut<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(self.pass(self.inner.store.runs(limit)))
    }

    fn lease<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Option<Lease>, StoreError>> {
        Box::pin(self.pass(self.inner.store.lease(name)))
    }

    fn swap_lease<'a>(
        &'a self,
        name: &'a str,
        term: u64,
        owner: &'a str,
        until: Timestamp,
    ) -> Fut<'a, Result<Lease, StoreError>> {
        Box::pin(self.pass(self.inner.store.swap_lease(name, term, owner, until)))
    }

    fn renew_lease<'a>(&'a self, lease: &'a Lease, until: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.pass(self.inner.store.renew_lease(lease, until)))
    }
}
