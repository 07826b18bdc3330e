//! A token bucket: how many requests a look may send in one second, with a short burst at its beginning.
//!
//! It must never let anybody overtake: who comes first goes first.

use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The slowest and the fastest that makes sense.
const RATE_RANGE: std::ops::RangeInclusive<u32> = 1..=1_000;

/// The bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// So many requests in a second; as many at once at the beginning.
    pub fn new(rate: u32) -> Self {
        let rate = f64::from(rate.clamp(*RATE_RANGE.start(), *RATE_RANGE.end()));
        Self { rate, state: Mutex::new((rate, Instant::now())) }
    }

    /// Waits until one more request may go.
    pub async fn take(&self) {
        // The lock is held while waiting: tokio's locks are given in the order in which they are asked for.
        let mut state = self.state.lock().await;
        let now = Instant::now();
        let (left, since) = *state;
        let left = (left + now.duration_since(since).as_secs_f64() * self.rate).min(self.rate);
        if left < 1.0 {
            let wait = Duration::from_secs_f64((1.0 - left) / self.rate);
            tokio::time::sleep(wait).await;
            *state = (0.0, Instant::now());
        } else {
            *state = (left - 1.0, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_go_than_the_rate_after_the_first_burst() {
        let bucket = Bucket::new(10);
        let begun = Instant::now();
        for _ in 0..30 {
            bucket.take().await;
        }
        let took = begun.elapsed().as_millis();
        assert!((1_990..=2_200).contains(&took), "{took} ms for 20 beyond the burst");
    }
}
