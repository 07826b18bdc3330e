//! What many wait for is looked up once: the servers on a host and the evacuations from it, shared by all who ask at
//! the same time, so that moving a server costs a handful of requests however many move with it.
//!
//! It must never hand out a view that is older than what the one who asks knows already.

use super::super::client::OpenStack;
use super::super::error::ApiError;
use super::super::nova::{ComputeService, Migration, Server};
use ostler_model::ids::{HostName, InstanceId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex as Held, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Shortest pause between two looks at the same thing.
const PAUSE: Duration = Duration::from_secs(2);

/// Longest pause between two looks at the same evacuations: a place that is free for another one is seen within it.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Pause between two looks at servers that have moved: they run already, and no place is kept from another one, so they wait
/// for company.
const GATHER: Duration = Duration::from_secs(10);

/// Locked servers that are worth a look at all of them: what one recovery locks, and a few that users locked.
const LOCKED_MAX: usize = 200;

/// Evacuations whose time is remembered: enough to know what is usual now, few enough to forget what was.
const TOOK_MAX: usize = 16;

/// The longest that nobody asks after an evacuation because those before it took as long.
const NOT_BEFORE_MAX: Duration = Duration::from_secs(60);

/// Hosts whose views are kept: as many as can fail or be targets in one recovery.
const HOSTS_MAX: usize = 1_000;

/// Servers whose last request is remembered: those of the largest host, a few times.
const SENT_MAX: usize = 100_000;

/// A list and when it was asked for.
struct Taken<T> {
    asked: Instant,
    found: Arc<Vec<T>>,
}

/// One list that is shared.
struct Shared<T> {
    last: Held<Option<Taken<T>>>,
    /// Held while it is fetched: who needs a newer one meanwhile waits for the same answer.
    fetching: Mutex<()>,
}

impl<T> Shared<T> {
    fn new() -> Self {
        Self { last: Held::new(None), fetching: Mutex::new(()) }
    }

    fn last(&self) -> MutexGuard<'_, Option<Taken<T>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn good(&self, since: Instant) -> Option<Arc<Vec<T>>> {
        self.last().as_ref().filter(|taken| taken.asked >= since).map(|taken| Arc::clone(&taken.found))
    }

    /// The list as it was at `since` or later.
    async fn get<Q>(
        &self,
        since: Instant,
        pause: Duration,
        fetch: impl FnOnce() -> Q,
    ) -> Result<Arc<Vec<T>>, ApiError>
    where
        Q: Future<Output = Result<Vec<T>, ApiError>>,
    {
        if let Some(found) = self.good(since) {
            return Ok(found);
        }
        let _one = self.fetching.lock().await;
        if let Some(found) = self.good(since) {
            return Ok(found);
        }
        let before = self.last().as_ref().map(|taken| taken.asked);
        if let Some(before) = before {
            sleep_until(before + pause).await;
        }
        let asked = Instant::now();
        let found = Arc::new(fetch().await?);
        *self.last() = Some(Taken { asked, found: Arc::clone(&found) });
        Ok(found)
    }
}

/// Views by host.
pub(super) struct Views {
    /// By how much every pause is shorter than its name says.
    haste: u32,
    /// How long the last evacuations took, from their request to the look that found them done.
    took: Held<VecDeque<Duration>>,
    born: Instant,
    servers: Held<BTreeMap<HostName, Arc<Shared<Server>>>>,
    evacuations: Held<BTreeMap<HostName, Arc<Shared<Migration>>>>,
    sent: Held<BTreeMap<InstanceId, Sent>>,
    answered: Held<BTreeMap<HostName, (Instant, ComputeService)>>,
    restored: Held<BTreeMap<InstanceId, String>>,
    locked: Shared<Server>,
    /// There is no list of locked servers, or it is too long to be asked for again and again.
    locked_is_of_no_use: AtomicBool,
}

/// The last request about a server that this process sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// When.
    pub at: Instant,
    /// The highest number of a record of it that was there before.
    pub before: u64,
    /// Whether an evacuation was accepted. Then there is a record of it.
    pub is_accepted: bool,
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views").finish_non_exhaustive()
    }
}

fn of<T>(all: &Held<BTreeMap<HostName, Arc<Shared<T>>>>, host: &HostName) -> Arc<Shared<T>> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= HOSTS_MAX && !all.contains_key(host) {
        all.clear();
    }
    // A view that nobody asked for in a long time belongs to an earlier recovery.
    let shared = all.entry(host.clone()).or_insert_with(|| Arc::new(Shared::new()));
    Arc::clone(shared)
}

impl Views {
    /// None yet, with pauses that are so many times shorter.
    pub(super) fn new(haste: u32) -> Self {
        Self {
            haste: haste.max(1),
            took: Held::default(),
            born: Instant::now(),
            servers: Held::default(),
            evacuations: Held::default(),
            sent: Held::default(),
            answered: Held::default(),
            restored: Held::default(),
            locked: Shared::new(),
            locked_is_of_no_use: AtomicBool::new(false),
        }
    }

    /// A pause.
    pub(super) fn pause(&self, by_name: Duration) -> Duration {
        by_name / self.haste
    }

    /// Before any view was taken: whoever asks for one of then takes what there is.
    pub(super) fn born(&self) -> Instant {
        self.born
    }

    /// Remembers how long an evacuation took.
    pub(super) fn took(&self, time: Duration) {
        let mut took = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        if took.len() >= TOOK_MAX {
            took.pop_front();
        }
        took.push_back(time);
    }

    /// How long after its request an evacuation need not be asked after: four fifths of what the fastest of the last
    /// ones took.
    pub(super) fn not_before(&self) -> Duration {
        (self.fastest() * 4 / 5).min(NOT_BEFORE_MAX)
    }

    fn fastest(&self) -> Duration {
        let took = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        took.iter().min().copied().unwrap_or_default()
    }

    /// The pause between two looks at evacuations: four fifths of what the fastest of the last ones took.
    fn pace(&self) -> Duration {
        (self.fastest() * 4 / 5).clamp(self.pause(PAUSE), self.pause(PAUSE_MAX))
    }

    /// The last list of evacuations from a host, if it is of `since` or later; nobody is asked.
    pub(super) fn last_evacuations(&self, host: &HostName, since: Instant) -> Option<Arc<Vec<Migration>>> {
        of(&self.evacuations, host).good(since)
    }

    /// The servers on a host.
    pub(super) async fn servers(
        &self,
        api: &OpenStack,
        host: &HostName,
        since: Instant,
    ) -> Result<Arc<Vec<Server>>, ApiError> {
        let pause = self.pause(PAUSE);
        of(&self.servers, host).get(since, pause, || api.servers_on(host.as_str())).await
    }

    /// A server that has moved and is still locked, with all others of that kind on whatever hosts they are. None: it is
    /// not among them, or there is no such list.
    pub(super) async fn locked(
        &self,
        api: &OpenStack,
        id: &str,
        since: Instant,
    ) -> Result<Option<Server>, ApiError> {
        if self.locked_is_of_no_use.load(Relaxed) {
            return Ok(None);
        }
        let found = self
            .locked
            .get(since, self.pause(GATHER), async || {
                // Found out while this one waited for its turn.
                if self.locked_is_of_no_use.load(Relaxed) {
                    return Ok(Vec::new());
                }
                let found = api.locked_servers(LOCKED_MAX).await?;
                let is_short = found.as_ref().is_some_and(|found| found.len() <= LOCKED_MAX);
                self.locked_is_of_no_use.store(!is_short, Relaxed);
                Ok(found.unwrap_or_default())
            })
            .await?;
        Ok(found.iter().find(|server| server.id == id).cloned())
    }

    /// What a look has seen on a host need not be asked for again.
    pub(super) fn saw_servers(&self, host: &HostName, asked: Instant, found: &[Server]) {
        let shared = of(&self.servers, host);
        let mut last = shared.last();
        if last.as_ref().is_none_or(|taken| taken.asked < asked) {
            *last = Some(Taken { asked, found: Arc::new(found.to_vec()) });
        }
    }

    /// The evacuations from a host, newest first.
    pub(super) async fn evacuations(
        &self,
        api: &OpenStack,
        host: &HostName,
        since: Instant,
    ) -> Result<Arc<Vec<Migration>>, ApiError> {
        let pause = self.pace();
        of(&self.evacuations, host).get(since, pause, || api.evacuations_from(host.as_str())).await
    }

    /// Remembers what Nova has answered to a change of a host's service; none: the answer was lost, or it refused.
    pub(super) fn answered(&self, host: &HostName, service: Option<&ComputeService>) {
        let mut all = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(host);
        if all.len() >= HOSTS_MAX {
            all.clear();
        }
        all.extend(service.map(|service| (host.clone(), (Instant::now(), service.clone()))));
    }

    /// What Nova has answered to the last change of a host's service, if that is not longer ago.
    pub(super) fn last_answer(&self, host: &HostName, age: Duration) -> Option<ComputeService> {
        let all = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, service) = all.get(host)?;
        (at.elapsed() < age).then(|| service.clone())
    }

    /// Remembers a request.
    pub(super) fn sent(&self, instance: &InstanceId, sent: Sent) {
        let mut all = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= SENT_MAX {
            all.clear();
        }
        all.insert(instance.clone(), sent);
    }

    /// The last request about a server that this process sent.
    pub(super) fn last_sent(&self, instance: &InstanceId) -> Option<Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).get(instance).copied()
    }

    /// Remembers that a server was seen on its new host in the state that it is to have, and has no lock of ours any more.
    pub(super) fn restored(&self, instance: &InstanceId, host: String) {
        let mut all = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= SENT_MAX {
            all.clear();
        }
        all.insert(instance.clone(), host);
    }

    /// The host on which a server was seen restored; said once.
    pub(super) fn take_restored(&self, instance: &InstanceId) -> Option<String> {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner).remove(instance)
    }
}
