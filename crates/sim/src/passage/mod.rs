//! The six seams as one Ostler sees them: every question passes a gate before and after it reaches the pretended world.
//!
//! A gate may kill, delay or refuse. It must never change what is asked, nor let anybody hear an answer after its end.

mod fate;
mod register;

pub use fate::{Blow, Fate, Strike};

use crate::clock::SimClock;
use crate::storm::{Life, StoreIll, Weather};
use ostler_engine::seam::{
    Called, Clock, Cloud, Fut, Lease, Nodes, Power, PowerReading, Seams, Store, StoreError,
};
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

/// What stands between an Ostler and its world.
pub(crate) enum Gate {
    /// A weather that is shared with others, and a life and a clock of one's own.
    Weather {
        /// The weather.
        weather: Arc<Weather>,
        /// The life.
        life: Arc<Life>,
        /// The clock.
        own: SimClock,
    },
    /// What was ordered for this one.
    Fate(Arc<Fate>),
}

impl Gate {
    /// Asks a question, if it is still to be asked, and answers, if anybody is still to hear it.
    async fn through<T>(&self, question: impl Future<Output = T>) -> T {
        match self {
            Gate::Fate(fate) => fate.through(question).await,
            Gate::Weather { weather, life, own } => {
                weather.tick(life, own).await;
                let answer = question.await;
                if life.is_dying() {
                    life.end();
                }
                if life.is_over() {
                    return std::future::pending().await;
                }
                answer
            }
        }
    }

    /// How the API answers instead of what was asked for; 0: not at all.
    fn refused(&self) -> Option<u16> {
        match self {
            Gate::Weather { weather, .. } => weather.api(),
            Gate::Fate(_) => None,
        }
    }

    fn begins(&self, verb: &'static str) {
        if let Gate::Weather { weather, .. } = self {
            weather.begins(verb);
        }
    }

    fn store(&self) -> Option<StoreIll> {
        match self {
            Gate::Weather { weather, .. } => weather.store(),
            Gate::Fate(_) => None,
        }
    }
}

/// The world behind a gate.
pub(crate) struct Passage {
    inner: Seams,
    gate: Gate,
}

/// The seams behind a gate.
pub(crate) fn behind(inner: Seams, gate: Gate) -> Seams {
    let dice = inner.dice.clone();
    let passage = Arc::new(Passage { inner, gate });
    Seams {
        cloud: passage.clone(),
        nodes: passage.clone(),
        power: passage.clone(),
        store: passage.clone(),
        clock: passage,
        dice,
    }
}

impl Passage {
    async fn through<T>(&self, question: impl Future<Output = T>) -> T {
        self.gate.through(question).await
    }

    /// The same for the store, which may be ill.
    async fn stored<T>(
        &self,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let unavailable =
            || StoreError::Unavailable { what: "the state database is gone".into(), hint: None };
        self.through(async {
            match self.gate.store() {
                Some(StoreIll::Refuses) => Err(unavailable()),
                Some(StoreIll::Late(ms)) => {
                    self.inner.clock.sleep(ms).await;
                    question.await
                }
                Some(StoreIll::Silent) => question.await.and(Err(unavailable())),
                None => question.await,
            }
        })
        .await
    }
}

impl Clock for Passage {
    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn sleep(&self, ms: u64) -> Fut<'_, ()> {
        Box::pin(async move {
            self.inner.clock.sleep(ms).await;
            if let Gate::Fate(fate) = &self.gate {
                fate.awake().await;
            }
        })
    }
}

impl Cloud for Passage {
    fn call<'a>(&'a self, through: &'a Through, calls: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        Box::pin(self.through(async move {
            match self.gate.refused() {
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

impl Nodes for Passage {
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
        self.gate.begins(job.does.name());
        Box::pin(self.through(self.inner.nodes.begin(job)))
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(self.through(self.inner.nodes.settle(job)))
    }
}

impl Power for Passage {
    fn state<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<PowerReading, Why>> {
        Box::pin(self.through(self.inner.power.state(host)))
    }

    fn off<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(self.through(self.inner.power.off(host)))
    }

    fn on<'a>(&'a self, host: &'a HostName) -> Fut<'a, Result<(), Why>> {
        Box::pin(self.through(self.inner.power.on(host)))
    }
}

impl Store for Passage {
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
