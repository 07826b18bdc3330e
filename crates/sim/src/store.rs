//! A store in memory that keeps the same promises as the real ones.
//!
//! What it has acknowledged survives every pretended crash; nothing else does.

use crate::register::Books;
use ostler_engine::seam::{Fut, Lease, Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::event::Entry;
use ostler_model::ids::{PlanId, RunId};
use ostler_model::inventory::Inventory;
use ostler_model::plan::Plan;
use ostler_model::record::{RECORDS_MAX, Record, RecordQuery};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The longest name of a run: as long as the real stores' column.
const RUN_BYTES_MAX: usize = 255;

#[derive(Debug, Default)]
pub(crate) struct Kept {
    plans: BTreeMap<PlanId, Arc<Plan>>,
    /// In the order in which they were kept first.
    order: Vec<PlanId>,
    inventories: BTreeMap<String, Inventory>,
    notes: BTreeMap<(String, String), String>,
    records: BTreeMap<(String, String, String), Record>,
    entries: BTreeMap<(RunId, u64), Entry>,
    leases: BTreeMap<String, Lease>,
    pub(crate) books: Books,
}

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    kept: Mutex<Kept>,
}

impl MemoryStore {
    /// Every lease as it was last granted or renewed.
    pub fn leases(&self) -> Vec<Lease> {
        self.kept().leases.values().cloned().collect()
    }

    /// How much has been written: one number that grows with every entry and every version of an incident.
    pub fn written(&self) -> u64 {
        let kept = self.kept();
        kept.entries.len() as u64 + kept.books.versions()
    }

    /// A run's whole journal.
    pub fn all(&self, run: &RunId) -> Vec<Entry> {
        let range = (run.clone(), 0)..=(run.clone(), u64::MAX);
        self.kept().entries.range(range).map(|(_, entry)| entry.clone()).collect()
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn keep_plan<'a>(&'a self, plan: &'a Plan) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut kept = self.kept();
            if kept.plans.insert(plan.id.clone(), Arc::new(plan.clone())).is_none() {
                kept.order.push(plan.id.clone());
            }
            Ok(())
        })
    }

    fn plan<'a>(&'a self, id: &'a PlanId) -> Fut<'a, Result<Option<Arc<Plan>>, StoreError>> {
        Box::pin(async move { Ok(self.kept().plans.get(id).cloned()) })
    }

    fn plans(&self, limit: u32) -> Fut<'_, Result<Vec<(PlanId, Timestamp)>, StoreError>> {
        Box::pin(async move {
            let kept = self.kept();
            let newest = kept.order.iter().rev().filter_map(|id| kept.plans.get(id));
            Ok(newest.take(limit as usize).map(|plan| (plan.id.clone(), plan.body.seen)).collect())
        })
    }

    fn keep_inventory<'a>(&'a self, inventory: &'a Inventory) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.kept().inventories.insert(inventory.cloud.clone(), inventory.clone());
            Ok(())
        })
    }

    fn inventory<'a>(&'a self, cloud: &'a str) -> Fut<'a, Result<Option<Inventory>, StoreError>> {
        Box::pin(async move { Ok(self.kept().inventories.get(cloud).cloned()) })
    }

    fn keep_note<'a>(
        &'a self,
        subject: &'a str,
        kind: &'a str,
        body: &'a str,
    ) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.kept().notes.insert((subject.to_owned(), kind.to_owned()), body.to_owned());
            Ok(())
        })
    }

    fn note<'a>(&'a self, subject: &'a str, kind: &'a str) -> Fut<'a, Result<Option<String>, StoreError>> {
        Box::pin(async move { Ok(self.kept().notes.get(&(subject.to_owned(), kind.to_owned())).cloned()) })
    }

    fn keep_record<'a>(&'a self, record: &'a Record) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let key = (record.kind.clone(), record.subject.clone(), record.name.clone());
            self.kept().records.insert(key, record.clone());
            Ok(())
        })
    }

    fn records<'a>(&'a self, query: &'a RecordQuery) -> Fut<'a, Result<Vec<Record>, StoreError>> {
        Box::pin(async move {
            let kept = self.kept();
            let is_meant = |record: &&Record| {
                (record.kind == query.kind && record.subject == query.subject)
                    && (record.at >= query.from && record.at < query.until)
            };
            let mut found: Vec<Record> = kept.records.values().filter(is_meant).cloned().collect();
            found.sort_by(|a, b| (b.at, &b.name).cmp(&(a.at, &a.name)));
            found.truncate(query.limit.min(RECORDS_MAX) as usize);
            Ok(found)
        })
    }

    fn drop_record<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        name: &'a str,
    ) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let key = (kind.to_owned(), subject.to_owned(), name.to_owned());
            Ok(self.kept().records.remove(&key).is_some())
        })
    }

    fn purge_records<'a>(
        &'a self,
        kind: &'a str,
        subject: &'a str,
        before: Timestamp,
        rows: u32,
    ) -> Fut<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut kept = self.kept();
            let mut old: Vec<(Timestamp, (String, String, String))> = kept
                .records
                .iter()
                .filter(|((k, s, _), record)| k == kind && s == subject && record.at < before)
                .map(|(key, record)| (record.at, key.clone()))
                .collect();
            old.sort();
            old.truncate(rows as usize);
            old.iter().for_each(|(_, key)| drop(kept.records.remove(key)));
            Ok(old.len() as u64)
        })
    }

    fn append<'a>(&'a self, entries: &'a [Entry]) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut kept = self.kept();
            let mut places = BTreeSet::new();
            for entry in entries {
                if entry.run.as_str().len() > RUN_BYTES_MAX || !places.insert((&entry.run, entry.seq)) {
                    let what = format!("entry {} of run {} cannot be stored", entry.seq, entry.run);
                    return Err(StoreError::Unavailable { what, hint: None });
                }
                match kept.entries.get(&(entry.run.clone(), entry.seq)) {
                    Some(there) if there != entry => {
                        return Err(StoreError::Taken { run: entry.run.clone(), seq: entry.seq });
                    }
                    _ => {}
                }
            }
            for entry in entries {
                kept.entries.insert((entry.run.clone(), entry.seq), entry.clone());
            }
            Ok(())
        })
    }

    fn entries<'a>(&'a self, run: &'a RunId, from: u64) -> Fut<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(async move {
            let kept = self.kept();
            let range = (run.clone(), from)..=(run.clone(), u64::MAX);
            Ok(kept.entries.range(range).map(|(_, entry)| entry.clone()).collect())
        })
    }

    fn runs(&self, limit: u32) -> Fut<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(async move {
            let kept = self.kept();
            let mut runs: Vec<_> = kept.entries.values().filter(|entry| entry.seq == 0).collect();
            runs.sort_by_key(|entry| std::cmp::Reverse(entry.at));
            Ok(runs.into_iter().take(limit as usize).map(|entry| entry.run.clone()).collect())
        })
    }

    fn lease<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Option<Lease>, StoreError>> {
        Box::pin(async move { Ok(self.kept().leases.get(name).cloned()) })
    }

    fn swap_lease<'a>(
        &'a self,
        name: &'a str,
        term: u64,
        owner: &'a str,
        until: Timestamp,
    ) -> Fut<'a, Result<Lease, StoreError>> {
        Box::pin(async move {
            let mut kept = self.kept();
            let now = kept.leases.get(name).map_or(0, |lease| lease.term);
            if now == term {
                let lease = Lease { name: name.into(), owner: owner.into(), term: term + 1, until };
                kept.leases.insert(name.into(), lease.clone());
                return Ok(lease);
            }
            kept.leases.get(name).cloned().ok_or_else(|| StoreError::Corrupt {
                what: format!("the lease {name} was never granted, yet term {term} was expected"),
                hint: None,
            })
        })
    }

    fn renew_lease<'a>(&'a self, lease: &'a Lease, until: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let mut kept = self.kept();
            match kept.leases.get_mut(&lease.name) {
                Some(held) if held.term == lease.term && held.owner == lease.owner => {
                    held.until = until;
                    Ok(true)
                }
                _ => Ok(false),
            }
        })
    }
}
