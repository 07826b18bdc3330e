//! Who may drive: one driver per cloud, by a fenced lease in the store.
//!
//! The lease avoids wasted races; safety does not rest on it but on the journal's key. A lease is taken from its
//! owner only when it has ended, or when the owner is known to be gone.

use super::fold::later;
use crate::seam::{Clock, Lease, Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::limits::LEASE_S;

/// Why a lease could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Somebody has it.
    #[error("{owner} is at work on it until {until} or longer")]
    Held {
        /// Who.
        owner: String,
        /// Until when at least.
        until: Timestamp,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes the lease of `name` for `owner`. `gone` says whether an owner is known to exist no more.
pub async fn take(
    store: &dyn Store,
    clock: &dyn Clock,
    name: &str,
    owner: &str,
    gone: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Lease, LeaseError> {
    let now = clock.now();
    let term = match store.lease(name).await? {
        None => 0,
        Some(held) if held.until <= now || held.owner == owner || gone(&held.owner) => held.term,
        Some(held) => {
            return Err(LeaseError::Held { owner: held.owner, until: held.until });
        }
    };
    let until = later(now, LEASE_S * 1000);
    let lease = store.swap_lease(name, term, owner, until).await?;
    if lease.owner == owner && lease.term == term + 1 {
        Ok(lease)
    } else {
        Err(LeaseError::Held { owner: lease.owner, until: lease.until })
    }
}

/// Gives a lease back, so that the next driver need not wait.
pub async fn give_back(store: &dyn Store, clock: &dyn Clock, lease: &Lease) -> Result<(), StoreError> {
    store.renew_lease(lease, clock.now()).await.map(|_| ())
}
