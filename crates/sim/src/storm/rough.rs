//! The six seams in rough weather: every question passes through it before and after it reaches the pretended world.
//!
//! It adds trouble and takes nothing away: what is asked and answered otherwise is the world's own.

use super::weather::{Life, StoreIll, Weather};
use crate::clock::SimClock;
use ostler_engine::seam::{Called, Clock, Cloud, Fut, Lease, Nodes, Seams, Store, StoreError};
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

/// What one Ostler sees of the world.
#[derive(Clone)]
pub(super) struct Rough {
    pub(super) inner: Seams,
    weather: Arc<Weather>,
    life: Arc<Life>,
    own: SimClock,
}

impl Rough {
    /// Lets the weather come, asks, and lets an Ostler that was to die after this die.
    async fn through<T>(&self, question: impl Future<Output = T>) -> T {
        self.weather.tick(&self.life, &self.own).await;
        let answer = question.await;
        if self.life.is_dying() {
            self.life.end();
        }
        if self.life.is_over() {
            return std::future::pending().await;
        }
        answer
    }

    /// The same for the store, which has weather of its own.
    pub(super) async fn stored<T>(
        &self,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let unavailable =
            || StoreError::Unavailable { what: "the state database is gone".into(), hint: None };
        self.through(async {
            match self.weather.store() {
                Some(StoreIll::Refuses) => Err(unavailable()),
                Some(StoreIll::Late(ms)) => {
                    self.own.sleep(ms).await;
                    question.await
                }
                Some(StoreIll::Silent) => question.await.and(Err(unavailable())),
                None => question.await,
            }
        })
        .await
    }
}

/// The seams of one Ostler in this weather, on a clock of its own.
pub(super) fn rough(inner: &Seams, weather: &Arc<Weather>, life: &Arc<Life>, own: &SimClock) -> Seams {
    let rough = Arc::new(Rough {
        inner: inner.clone(),
        weather: Arc::clone(weather),
        life: Arc::clone(life),
        own: own.clone(),
    });
    Seams {
        cloud: rough.clone(),
        nodes: rough.clone(),
        power: inner.power.clone(),
        store: rough,
        clock: Arc::new(own.clone()),
        dice: inner.dice.clone(),
    }
}

impl Cloud for Rough {
    fn call<'a>(&'a self, through: &'a Through, calls: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        Box::pin(self.through(async move {
            match self.weather.api() {
                Some(0) => Err(Why::new("the connection was cut")),
                Some(status) => Err(Why::new(format!("the API answered {status}"))),
                None => self.inner.cloud.call(through, calls).await,
            }
        }))
    }

    fn offers(&self) -> Fut<'_, Result<Vec<Offer>, Why>> {
        Box::pin(self.through(self.inner.cloud.offers()))
    }

    fn sample<'a>(&'a self, question: &'a Question) -> Fut<'a, Sample> {
        Box::pin(self.through(self.inner.cloud.sample(question)))
    }

    fn act<'a>(&'a self, act: &'a Act) -> Fut<'a, Result<Acted, NotActed>> {
        Box::pin(self.through(self.inner.cloud.act(act)))
    }

    fn look<'a>(&'a self, scope: &'a Scope) -> Fut<'a, Result<Compute, Why>> {
        Box::pin(self.through(self.inner.cloud.look(scope)))
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(self.through(self.inner.cloud.begin(job)))
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(self.through(self.inner.cloud.settle(job)))
    }
}

impl Nodes for Rough {
    fn survey<'a>(&'a self, hosts: &'a [HostName], facts: &'a [Fact]) -> Fut<'a, Inventory> {
        Box::pin(self.through(self.inner.nodes.survey(hosts, facts)))
    }

    fn available<'a>(
        &'a self,
        host: &'a HostName,
        source: &'a str,
        packages: &'a [String],
    ) -> Fut<'a, Result<BTreeMap<String, Vec<String>>, Why>> {
        Box::pin(self.through(self.inner.nodes.available(host, source, packages)))
    }

    fn new_errors<'a>(&'a self, gate: &'a LogGate, since: Timestamp) -> Fut<'a, Result<Vec<LogError>, Why>> {
        Box::pin(self.through(self.inner.nodes.new_errors(gate, since)))
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        self.weather.begins(job.does.name());
        Box::pin(self.through(self.inner.nodes.begin(job)))
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(self.through(self.inner.nodes.settle(job)))
    }
}

impl Store for Rough {
    fn keep_plan<'a>(&'a self, plan: &'a Plan) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.stored(self.inner.store.keep_plan(plan)))
    }

    fn plan<'a>(&'a self, id: &'a PlanId) -> Fut<'a, Result<Option<Arc<Plan>>, StoreError>> {
        Box::pin(self.stored(self.inner.store.plan(id)))
    }

    fn plans(&self, limit: u32) -> Fut<'_, Result<Vec<(PlanId, Timestamp)>, StoreError>> {
        Box::pin(self.stored(self.inner.store.plans(limit)))
    }

    fn keep_inventory<'a>(&'a self, inventory: &'a Inventory) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.stored(self.inner.store.keep_inventory(inventory)))
    }

    fn inventory<'a>(&'a self, cloud: &'a str) -> Fut<'a, Result<Option<Inventory>, StoreError>> {
        Box::pin(self.stored(self.inner.store.inventory(cloud)))
    }

    fn keep_note<'a>(
        &'a self,
        subject: &'a str,
        kind: &'a str,
        body: &'a str,
    ) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.stored(self.inner.store.keep_note(subject, kind, body)))
    }

    fn note<'a>(&'a self, subject: &'a str, kind: &'a str) -> Fut<'a, Result<Option<String>, StoreError>> {
        Box::pin(self.stored(self.inner.store.note(subject, kind)))
    }

    fn keep_record<'a>(&'a self, record: &'a Record) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.stored(self.inner.store.keep_record(record)))
    }

    fn records<'a>(&'a self, query: &'a RecordQuery) -> Fut<'a, Result<Vec<Record>, StoreError>> {
        Box::pin(self.stored(self.inner.store.records(query)))
    }

    fn drop_record<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        name: &'a str,
    ) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.stored(self.inner.store.drop_record(kind, subject, name)))
    }

    fn purge_records<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        before: Timestamp,
        rows: u32,
    ) -> Fut<'a, Result<u64, StoreError>> {
        Box::pin(self.stored(self.inner.store.purge_records(kind, subject, before, rows)))
    }

    fn append<'a>(&'a self, entries: &'a [Entry]) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.stored(self.inner.store.append(entries)))
    }

    fn entries<'a>(&'a self, run: &'a RunId, from: u64) -> Fut<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(self.stored(self.inner.store.entries(run, from)))
    }

    fn runs(&self, limit: u32) -> Fut<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(self.stored(self.inner.store.runs(limit)))
    }

    fn lease<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Option<Lease>, StoreError>> {
        Box::pin(self.stored(self.inner.store.lease(name)))
    }

    fn swap_lease<'a>(
        &'a self,
        name: &'a str,
        term: u64,
        owner: &'a str,
        until: Timestamp,
    ) -> Fut<'a, Result<Lease, StoreError>> {
        Box::pin(self.stored(self.inner.store.swap_lease(name, term, owner, until)))
    }

    fn renew_lease<'a>(&'a self, lease: &'a Lease, until: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.stored(self.inner.store.renew_lease(lease, until)))
    }
}
