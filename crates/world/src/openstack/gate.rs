//! How many requests to one service may be under way: many while it is well, few when it says that it has too much.
//!
//! It must never let a request wait for ever, and never speed up because of one good answer.

use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Requests to one service that may be under way at once: more only queue in its workers.
const WIDTH_MAX: usize = 16;

/// How long a service is left alone that says it has too much and does not say for how long.
const PAUSE_DEFAULT: Duration = Duration::from_secs(1);

/// Longest time that a service may ask to be left alone: instances are down meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The gate before one service.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    width: usize,
    under_way: usize,
    /// Good answers since the width changed.
    good: usize,
    closed_until: Option<Instant>,
}

/// A place in the gate: given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a Gate);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.under_way = state.under_way.saturating_sub(1));
        self.0.changed.notify_waiters();
    }
}

impl Gate {
    pub(super) fn new() -> Self {
        let state = State { width: WIDTH_MAX, under_way: 0, good: 0, closed_until: None };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        // A panic elsewhere cannot leave these counters half changed.
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        look(&mut state)
    }

    /// Waits for a place.
    pub(super) async fn enter(&self) -> Place<'_> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let closed_until = self.with(|state| {
                let closed = state.closed_until.filter(|until| *until > Instant::now());
                if closed.is_none() && state.under_way < state.width {
                    state.under_way += 1;
                    return Err(());
                }
                Ok(closed)
            });
            match closed_until {
                Err(()) => return Place(self),
                Ok(Some(until)) => tokio::time::sleep_until(until).await,
                Ok(None) => changed.await,
            }
        }
    }

    /// The service answered and did not complain.
    pub(super) fn was_good(&self) {
        self.with(|state| {
            state.good += 1;
            if state.good >= state.width && state.width < WIDTH_MAX {
                state.width += 1;
                state.good = 0;
            }
        });
    }

    /// The service said that it has too much.
    pub(super) fn was_too_much(&self, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or(PAUSE_DEFAULT).min(PAUSE_MAX);
        self.with(|state| {
            let now = Instant::now();
            // Requests that were under way together complain together: that is one complaint.
            if state.closed_until.is_none_or(|until| until <= now) {
                state.width = (state.width / 2).max(1);
                state.good = 0;
            }
            state.closed_until = state.closed_until.max(Some(now + pause));
        });
        self.changed.notify_waiters();
    }

    #[cfg(test)]
    fn width(&self) -> usize {
        self.with(|state| state.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_complaint_halves_the_width_and_good_answers_bring_it_back_slowly() {
        let gate = Gate::new();
        gate.was_too_much(None);
        gate.was_too_much(None);
        assert_eq!(gate.width(), 8);
        for _ in 0..8 {
            gate.was_good();
        }
        assert_eq!(gate.width(), 9);
        for _ in 0..10 {
            tokio::time::advance(PAUSE_MAX).await;
            gate.was_too_much(None);
        }
        assert_eq!(gate.width(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_asks_to_be_left_alone_is_left_alone_but_not_for_ever() {
        let gate = Gate::new();
        let begun = Instant::now();
        gate.was_too_much(Some(Duration::from_secs(7)));
        drop(gate.enter().await);
        assert_eq!(begun.elapsed().as_secs(), 7);
        gate.was_too_much(Some(Duration::from_secs(86_400)));
        drop(gate.enter().await);
        assert_eq!(begun.elapsed(), Duration::from_secs(7) + PAUSE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_width_are_let_in_and_each_who_leaves_lets_one_in() {
        let gate = Gate::new();
        let mut inside = Vec::new();
        for _ in 0..WIDTH_MAX {
            inside.push(gate.enter().await);
        }
        let waits = tokio::time::timeout(Duration::from_secs(60), gate.enter()).await;
        assert!(waits.is_err());
        inside.pop();
        gate.enter().await;
    }
}
