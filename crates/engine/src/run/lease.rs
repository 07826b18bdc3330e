//! Who may drive: one driver per cloud, and one per outage of a host, by a fenced lease in the store.
//!
//! The lease avoids wasted races; safety does not rest on it but on the journal's key. A lease is taken from its
//! owner only when it has ended, or when the owner is known to be gone.

use super::fold::later;
use crate::seam::{Clock, Lease, Store, StoreError};
use ostler_model::Timestamp;
use ostler_model::limits::{LEASE_RENEW_S, LEASE_S, OUTAGE_LEASE_RENEW_S, OUTAGE_LEASE_S};

/// What the name of a lease on an outage begins with.
pub const OUTAGE: &str = "ha/";

/// How long a lease lasts, and how often it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// Without renewal.
    pub lasts_ms: i64,
    /// Between two renewals.
    pub renewed_ms: u64,
}

impl Tenure {
    /// That of a lease with this name. An upgrade is driven by one process, and must outlast a database that changes
    /// hands; an outage is attended by several, and nobody may wait for the one that died.
    pub fn of(name: &str) -> Tenure {
        let (lasts_s, renewed_s) = match name.starts_with(OUTAGE) {
            true => (OUTAGE_LEASE_S, OUTAGE_LEASE_RENEW_S),
            false => (LEASE_S, LEASE_RENEW_S),
        };
        Tenure { lasts_ms: lasts_s * 1000, renewed_ms: renewed_s.unsigned_abs() * 1000 }
    }
}

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
    let until = later(now, Tenure::of(name).lasts_ms);
    let lease = store.swap_lease(name, term, owner, until).await?;
    if lease.owner == owner && lease.term == term + 1 {
        Ok(lease)
    } else {
        Err(LeaseError::Held { owner: lease.owner, until: lease.until })
    }
}

/// Waits for something that may take longer than a lease lasts, and renews the lease meanwhile. What it came to is told
/// only to whom the lease still belongs.
pub async fn keeping<T>(
    store: &dyn Store,
    clock: &dyn Clock,
    lease: &mut Lease,
    work: impl Future<Output = T>,
) -> Result<T, LeaseError> {
    let tenure = Tenure::of(&lease.name);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = clock.sleep(tenure.renewed_ms) => {}
        }
        let until = later(clock.now(), tenure.lasts_ms);
        match store.renew_lease(lease, until).await {
            Ok(true) => lease.until = until,
            Ok(false) => {
                let held = store.lease(&lease.name).await?;
                let (owner, until) = held.map_or_else(
                    || ("somebody else".to_owned(), lease.until),
                    |held| (held.owner, held.until),
                );
                return Err(LeaseError::Held { owner, until });
            }
            // The lease still has time left; the next renewal may succeed.
            Err(StoreError::Unavailable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives a lease back, so that the next driver need not wait: not even one whose clock is behind.
pub async fn give_back(store: &dyn Store, lease: &Lease) -> Result<(), StoreError> {
    store.renew_lease(lease, Timestamp::UNIX_EPOCH).await.map(|_| ())
}
