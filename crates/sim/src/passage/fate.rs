//! What befalls one Ostler: at its n-th question to the world it is killed, or stopped for a while, before it was heard or
//! after.
//!
//! What it began goes on without it. One that is stopped goes on later as if no time had passed. It must never answer one
//! that is dead.

use crate::clock::SimClock;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// A blow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// It ends.
    Kill,
    /// It stands still, all of it, and then goes on.
    Stop {
        /// For how long.
        ms: u64,
    },
}

/// A blow and its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// At which question, from 1; 0: never.
    pub at: u64,
    /// Whether that question is still heard.
    pub after: bool,
    /// What happens.
    pub blow: Blow,
}

/// One life.
pub struct Fate {
    strikes: Vec<Strike>,
    clock: SimClock,
    from_ms: u64,
    questions: AtomicU64,
    is_dead: AtomicBool,
    asleep_until_ms: AtomicU64,
    struck_ms: AtomicU64,
    died: Notify,
}

impl Fate {
    /// A life with these blows, on the world's clock; questions before this time are not counted.
    pub fn new(strikes: Vec<Strike>, clock: SimClock, from_ms: u64) -> Arc<Fate> {
        let (questions, is_dead) = (AtomicU64::new(0), AtomicBool::new(false));
        let (asleep_until_ms, struck_ms) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Fate {
            strikes,
            clock,
            from_ms,
            questions,
            is_dead,
            asleep_until_ms,
            struck_ms,
            died: Notify::new(),
        })
    }

    /// Waits for its end.
    pub async fn end(&self) {
        while !self.is_dead() {
            self.died.notified().await;
        }
    }

    /// How much it has asked.
    pub fn asked(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    /// Whether it has ended.
    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// Until when it stands still, or stood.
    pub fn asleep_until_ms(&self) -> u64 {
        self.asleep_until_ms.load(Ordering::Relaxed)
    }

    /// When it was struck last.
    pub fn struck_ms(&self) -> u64 {
        self.struck_ms.load(Ordering::Relaxed)
    }

    /// Waits until it is awake; for ever if it is dead.
    pub(super) async fn awake(&self) {
        loop {
            if self.is_dead() {
                return std::future::pending().await;
            }
            let (until, now) = (self.asleep_until_ms(), self.clock.elapsed_ms());
            if until <= now {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(until - now)).await;
        }
    }

    fn befall(&self, blow: Blow) {
        self.struck_ms.store(self.clock.elapsed_ms(), Ordering::Relaxed);
        match blow {
            Blow::Kill => {
                self.is_dead.store(true, Ordering::Relaxed);
                self.died.notify_one();
            }
            Blow::Stop { ms } => {
                self.asleep_until_ms.fetch_max(self.clock.elapsed_ms() + ms, Ordering::Relaxed);
            }
        }
    }

    pub(super) async fn through<T>(&self, question: impl Future<Output = T>) -> T {
        self.awake().await;
        if self.clock.elapsed_ms() < self.from_ms {
            return question.await;
        }
        let number = self.questions.fetch_add(1, Ordering::Relaxed) + 1;
        let strike = self.strikes.iter().find(|strike| strike.at == number);
        if let Some(strike) = strike.filter(|strike| !strike.after) {
            self.befall(strike.blow);
            self.awake().await;
        }
        let answer = question.await;
        if let Some(strike) = strike.filter(|strike| strike.after) {
            self.befall(strike.blow);
        }
        self.awake().await;
        answer
    }
}
