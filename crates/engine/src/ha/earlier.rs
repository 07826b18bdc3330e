//! What an earlier outage knows of instances that it has not given their state back yet.
//!
//! A host that takes an instance over may fail in its turn, before the instance is as it was. What is seen there then is what the
//! recovery has left behind: a stopped one runs, one is locked. It must never be written down as the state before.

use super::incident::{Incident, settled};
use super::kept;
use crate::run::{self, ControlError, Run};
use crate::seam::{Store, StoreError};
use ostler_model::compute::Instance;
use ostler_model::ha::Named;
use ostler_model::ids::{HostName, InstanceId};
use std::collections::BTreeMap;

/// Puts what the oldest open outage knows in place of what is seen of an instance that it has not given its state back.
pub(super) async fn remember(
    store: &dyn Store,
    own: &HostName,
    seen: &mut BTreeMap<InstanceId, Instance>,
) -> Result<(), ControlError> {
    if seen.is_empty() {
        return Ok(());
    }
    for earlier in open(store, own).await? {
        let mut runs: Vec<Run> = Vec::with_capacity(earlier.runs.len());
        for id in &earlier.runs {
            runs.push(run::load(store, id).await?);
        }
        let settled = settled(&runs.iter().collect::<Vec<_>>(), &earlier.host);
        for (id, before) in earlier.before.iter().flatten() {
            if let Some(now) = seen.get_mut(id).filter(|_| !settled.contains(id)) {
                *now = Instance { host: now.host.clone(), ..before.clone() };
            }
        }
    }
    Ok(())
}

/// The open outages of other hosts, the oldest last: what it knows counts.
async fn open(store: &dyn Store, own: &HostName) -> Result<Vec<Incident>, StoreError> {
    let mut found = Vec::new();
    for record in store.open_incidents().await? {
        // Only outages of hosts keep instances; and one that cannot be read is held for a newer ostler.
        let Some(host) = store.host(&Named::Id(record.host.to_string())).await? else { continue };
        let host = HostName::new(host.name.as_str());
        if host != *own
            && let Ok(incident) = kept::read(&record, &host)
        {
            found.push(incident);
        }
    }
    found.sort_by_key(|incident| std::cmp::Reverse(incident.opened));
    Ok(found)
}
