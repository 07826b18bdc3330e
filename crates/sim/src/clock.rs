//! Time of a pretended cloud: tokio's, so a paused runtime makes hours pass at once.
//!
//! Nothing here reads the clock of the machine. A driver's own clock may run apart from the world's.

use ostler_engine::seam::{Clock, Fut};
use ostler_model::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A clock, told as a time of day.
#[derive(Clone, Debug)]
pub struct SimClock {
    began: tokio::time::Instant,
    first: Timestamp,
    /// How far this clock is ahead of the world's.
    ahead_ms: Arc<AtomicI64>,
}

impl Default for SimClock {
    fn default() -> Self {
        SimClock::beginning(Timestamp::UNIX_EPOCH)
    }
}

impl SimClock {
    /// A clock that shows this time now.
    pub fn beginning(first: Timestamp) -> SimClock {
        SimClock { began: tokio::time::Instant::now(), first, ahead_ms: Arc::default() }
    }

    /// A clock of one's own that can be set apart from this one.
    pub fn apart(&self) -> SimClock {
        SimClock { began: self.began, first: self.first, ahead_ms: Arc::default() }
    }

    /// Sets it ahead of the world by so much, or behind.
    pub fn step(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// How long the world has lasted.
    pub fn elapsed_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let ahead = jiff::SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed));
        let now = self.first.checked_add(self.began.elapsed()).unwrap_or(Timestamp::MAX);
        now.checked_add(ahead).unwrap_or(now)
    }

    fn sleep(&self, ms: u64) -> Fut<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }
}
