//! Watches that an outage changes hands: when its server has died, or stands still, another one has it within ten seconds.
//!
//! It looks at leases and at who is awake, at nothing that a server says. It must never speak to any of them.

use super::Breach;
use crate::clock::SimClock;
use crate::passage::Fate;
use crate::store::MemoryStore;
use ostler_engine::run::OUTAGE;
use ostler_engine::seam::Register;
use ostler_model::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a takeover may take.
const TAKEOVER_MS: u64 = 10_000;

/// How often it is looked at: the rule is that much stricter or milder for some.
const LOOK: Duration = Duration::from_millis(250);

/// One life of one server.
pub(super) struct Life {
    pub(super) server: usize,
    pub(super) owner: String,
    pub(super) fate: Arc<Fate>,
}

impl Life {
    fn is_awake(&self, now: u64) -> bool {
        !self.fate.is_dead() && self.fate.asleep_until_ms() <= now
    }
}

/// All lives of a story, and what was seen of them.
#[derive(Default)]
pub(super) struct Lives {
    all: Mutex<Vec<Life>>,
    breaches: Mutex<Vec<Breach>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lives {
    pub(super) fn begin(&self, life: Life) {
        held(&self.all).push(life);
    }

    /// How much all of them asked.
    pub(super) fn asked(&self) -> u64 {
        held(&self.all).iter().map(|life| life.fate.asked()).sum()
    }

    pub(super) fn breaches(&self) -> Vec<Breach> {
        held(&self.breaches).clone()
    }

    /// Watches for ever.
    pub(super) async fn watch(
        &self,
        store: &MemoryStore,
        clock: &SimClock,
        hosts: &BTreeMap<String, String>,
    ) {
        let mut up_since: BTreeMap<usize, u64> = BTreeMap::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = clock.elapsed_ms();
            let mut awake = Vec::new();
            let mut down_since: BTreeMap<String, u64> = BTreeMap::new();
            for life in held(&self.all).iter() {
                if life.is_awake(now) {
                    awake.push(life.server);
                } else {
                    // Not when it was seen to be down: it may have been awake for a moment since the last look.
                    down_since.insert(life.owner.clone(), life.fate.struck_ms());
                }
            }
            up_since.retain(|server, _| awake.contains(server));
            for server in awake {
                up_since.entry(server).or_insert(now);
            }
            let Some(since) = up_since.values().min().copied() else { continue };
            let late = |owner: &String| {
                down_since.get(owner).is_some_and(|down| now - (*down).max(since) > TAKEOVER_MS)
            };
            let leases = store.leases();
            let stuck =
                leases.iter().filter(|lease| late(&lease.owner) && lease.until != Timestamp::UNIX_EPOCH);
            for lease in stuck {
                let Some(host) = lease.name.strip_prefix(OUTAGE) else { continue };
                let open = store.open_incidents().await.unwrap_or_default();
                if open
                    .iter()
                    .any(|incident| hosts.get(incident.host.as_str()).is_some_and(|name| name == host))
                {
                    let what = format!("{} still belongs to {} at {now}", lease.name, lease.owner);
                    held(&self.breaches).push(Breach { rule: "taken-over", what });
                    return;
                }
            }
        }
    }
}
