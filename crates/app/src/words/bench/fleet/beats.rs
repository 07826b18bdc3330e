//! The heartbeats of many hosts from one process, by the code that `ostler monitor host` sends them with.
//!
//! Each host has a socket, a key and a moment of its own, and all share a thread of their own: whatever else this process does,
//! no beat is late for it. It must never send for a host that was told to fall silent.

use crate::failure::Failure;
use ostler_engine::ha::heartbeat::{Storage, Word};
use ostler_engine::seam::Dice;
use ostler_model::ids::HostName;
use ostler_world::monitor::heartbeat::Sender;
use ostler_world::monitor::keys::ServerKeys;
use ostler_world::system::SystemDice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// The network that they come over.
const NETWORK: &str = "management";

/// Hosts that beat, until this is dropped.
pub(super) struct Beats {
    is_first_silent: Arc<AtomicBool>,
    _ends: oneshot::Sender<()>,
}

impl Beats {
    /// Begins: each host once in every period, spread over it.
    pub async fn begin(
        names: &[HostName],
        keys: &ServerKeys,
        server: &str,
        every: Duration,
    ) -> Result<Beats, Failure> {
        let is_first_silent = Arc::new(AtomicBool::new(false));
        let (ends, ended) = oneshot::channel();
        let (told, opened) = oneshot::channel();
        let (names, keys, server) = (names.to_vec(), keys.clone(), server.to_owned());
        let silent = Arc::clone(&is_first_silent);
        super::beside(move || async move {
            // Whoever waited for it may be gone.
            match open(&names, &keys, &server).await {
                Ok(senders) => {
                    let _ = told.send(Ok(()));
                    let _all = begin(senders, every, &silent);
                    let _ = ended.await;
                }
                Err(failure) => drop(told.send(Err(failure))),
            }
        })?;
        opened.await.map_err(|_| Failure::failed("the heartbeats ended before they began"))??;
        Ok(Beats { is_first_silent, _ends: ends })
    }

    /// The first host falls silent.
    pub fn silence_first(&self) {
        self.is_first_silent.store(true, Ordering::Relaxed);
    }
}

async fn open(names: &[HostName], keys: &ServerKeys, server: &str) -> Result<Vec<Sender>, Failure> {
    let mut senders = Vec::with_capacity(names.len());
    for name in names {
        let Some(key) = keys.of(name.as_str()).next() else { continue };
        let servers = vec![server.to_owned()];
        let opened = Sender::open(NETWORK, None, servers, name.as_str(), key, SystemDice.roll()).await;
        senders.push(opened.map_err(|error| {
            Failure::failed(format!("cannot send heartbeats as {name}: {error}"))
                .hint("each host has a socket: `ulimit -n` must be larger than the number of hosts")
        })?);
    }
    Ok(senders)
}

fn begin(senders: Vec<Sender>, every: Duration, is_first_silent: &Arc<AtomicBool>) -> JoinSet<()> {
    let mut all = JoinSet::new();
    let count = u32::try_from(senders.len()).unwrap_or(u32::MAX).max(1);
    for (at, sender) in (0..).zip(senders) {
        let is_silent = (at == 0).then(|| Arc::clone(is_first_silent));
        let begins = every * at / count;
        all.spawn(async move {
            tokio::time::sleep(begins).await;
            let mut turns = interval(every);
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                turns.tick().await;
                if is_silent.as_ref().is_some_and(|silent| silent.load(Ordering::Relaxed)) {
                    return;
                }
                // One that cannot be sent is one that is lost.
                let _ = sender.beat(Word::Alive, Storage::NotWatched, SystemDice.roll()).await;
            }
        });
    }
    all
}
