//! How an outage changes hands: who is at it, and when what somebody has left behind is another one's.
//!
//! It must never take a lease from a server that renews it.

use super::Site;
use crate::run::{self, LeaseError, later};
use crate::seam::Lease;
use ostler_model::Timestamp;
use ostler_model::limits::OUTAGE_LEASE_S;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Leases that are remembered; when there are more the memory begins anew, which costs one takeover some seconds.
const LEASES_MAX: usize = 4_096;

/// How this server has seen the leases of others, and since when by its own clock. The end that is written in a lease is
/// by its owner's clock, which may be minutes ahead; one that nobody renews has ended, whatever is written there.
#[derive(Default)]
pub(super) struct Watched(Mutex<BTreeMap<String, (Lease, Timestamp)>>);

impl Watched {
    /// Whether a lease has not been renewed for as long as it lasts.
    fn is_stale(&self, lease: &Lease, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= LEASES_MAX {
            seen.clear();
        }
        match seen.get(&lease.name) {
            Some((same, since)) if same == lease => later(*since, OUTAGE_LEASE_S * 1000) <= now,
            _ => {
                seen.insert(lease.name.clone(), (lease.clone(), now));
                false
            }
        }
    }

    /// Answers when nobody else is at it; what somebody has left behind is nobody's from then on. This comes before anything
    /// that may take its time, above all a question to Nova: a takeover must not wait for an API that is ill.
    pub(super) async fn until_free(&self, site: &Site<'_>, name: &str) -> Result<(), LeaseError> {
        let (store, clock) = (site.seams.store.as_ref(), site.seams.clock.as_ref());
        let Some(held) = store.lease(name).await? else { return Ok(()) };
        if held.owner == site.owner || held.until == Timestamp::UNIX_EPOCH {
            return Ok(());
        }
        let is_stale = self.is_stale(&held, clock.now());
        let gone = |owner: &str| (is_stale && owner == held.owner) || (site.gone)(owner);
        let lease = run::take(store, clock, name, site.owner, &gone).await?;
        Ok(run::give_back(store, &lease).await?)
    }
}
