//! Open incidents. Every server looks at all of them several times a second, and few change: what has not changed since the
//! last look is not read again.
//!
//! A row changes with its version, or with the time until which somebody is at work on it; whoever changes it otherwise
//! breaks this. It must never answer with an incident that the database did not hold as open during the look.

use super::super::link::{Column, Statement};
use super::super::sql::{Engine, SqlStore};
use super::rows::{self, Taken};
use super::{OPEN_INCIDENTS_MAX, ROWS_PER_STATEMENT_MAX};
use ostler_engine::seam::StoreError;
use ostler_model::Timestamp;
use ostler_model::ha::Incident;
use ostler_model::ids::IncidentId;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What tells an incident from an older form of it.
const HEADS: &str =
    "SELECT id, version, at_work_until FROM ha_incident WHERE closed_mark = 0 ORDER BY number LIMIT ?";

/// How to take it.
const HEAD_COLUMNS: &[Column] = &[Column::Bytes, Column::Integer, Column::Integer];

/// Open incidents as they were read last, as many as are read at once.
#[derive(Debug, Default)]
pub(in super::super) struct Known(Mutex<BTreeMap<IncidentId, Incident>>);

impl Known {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<IncidentId, Incident>> {
        // Whoever died with it in hand left whole incidents behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Head {
    id: IncidentId,
    version: u64,
    at_work_until: Timestamp,
}

impl Head {
    fn is_of(&self, incident: &Incident) -> bool {
        (incident.version, incident.at_work_until) == (self.version, self.at_work_until)
    }
}

impl<E: Engine> SqlStore<E> {
    /// The open incidents, the oldest first.
    pub(super) async fn all_open(&self) -> Result<Vec<Incident>, StoreError> {
        let statement = Statement::new(HEADS, vec![OPEN_INCIDENTS_MAX.into()]).giving(HEAD_COLUMNS);
        let heads: Vec<Head> = self
            .rows(statement)
            .await?
            .into_iter()
            .map(|cells| {
                let mut row = Taken::new(self, "an incident", cells);
                Ok(Head {
                    id: row.text()?.as_str().into(),
                    version: row.number()?.unsigned_abs(),
                    at_work_until: row.time()?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        let changed: Vec<&Head> = {
            let known = self.open.lock();
            let is_known = |head: &&Head| known.get(&head.id).is_some_and(|incident| head.is_of(incident));
            heads.iter().filter(|head| !is_known(head)).collect()
        };
        let mut read: BTreeMap<IncidentId, Incident> = BTreeMap::new();
        for part in changed.chunks(ROWS_PER_STATEMENT_MAX) {
            let places = vec!["?"; part.len()].join(", ");
            let sql = format!("{}closed_mark = 0 AND id IN ({places})", rows::INCIDENTS);
            let values = part.iter().map(|head| head.id.as_str().into()).collect();
            let found = self.rows(Statement::of_rows(sql, values).giving(rows::INCIDENT_COLUMNS)).await?;
            for cells in found {
                let incident = rows::incident(self, cells)?;
                read.insert(incident.id.clone(), incident);
            }
        }
        let mut known = self.open.lock();
        let mut before = std::mem::take(&mut *known);
        for head in &heads {
            let kept = || before.remove(&head.id).filter(|incident| head.is_of(incident));
            // What is neither was closed since its head was read.
            if let Some(incident) = read.remove(&head.id).or_else(kept) {
                known.insert(head.id.clone(), incident);
            }
        }
        Ok(heads.iter().filter_map(|head| known.get(&head.id)).cloned().collect())
    }
}
