//! One means, one machine: read, order, read back until it is so, within a limit.
//!
//! It must never believe an order, and never a single reading: some controllers read `off` for a moment while the
//! machine restarts.

use ostler_engine::seam::PowerState;
use ostler_model::Timestamp;
use ostler_model::event::Why;
use std::fmt;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Pause between two readings.
const READ_PAUSE: Duration = Duration::from_millis(500);

/// Time that a question needs: with less of it left nothing more is asked.
const QUESTION_MIN: Duration = Duration::from_millis(500);

/// Readings in a row that must agree before a machine counts as off.
const READINGS: u32 = 2;

/// How often an order is given, over the limit: controllers lose orders, and one that is given twice does no harm.
const ORDERS_MAX: u32 = 3;

/// What was read back, when, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// When it was read.
    pub at: Timestamp,
    /// The means, by its name in the settings.
    pub means: String,
    /// What was done and read, in words.
    pub what: String,
    /// Whether the power was read back, or a person vouches for it. False: nobody looked (`none`).
    pub is_proof: bool,
    /// How long it took.
    pub took_ms: u64,
}

/// Why a machine cannot be said to be off (or on).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What happened with each means, in order.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Refusal {
    /// As a reason.
    pub fn why(self) -> Why {
        Why { what: self.what, hint: self.hint }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Why one means did not do one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub what: String,
    pub hint: Option<String>,
    /// Whether the same means will say the same again: a wrong password stays wrong, and asking again may lock it.
    pub is_final: bool,
}

impl Trouble {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, is_final: false }
    }

    pub(super) fn final_(what: impl Into<String>) -> Self {
        Self { is_final: true, ..Self::new(what) }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A controller of one machine.
pub(super) trait Controller {
    /// Reads whether the machine has power.
    fn read(&self, deadline: Instant) -> impl Future<Output = Result<PowerState, Trouble>> + Send;
    /// Tells the controller to switch, and comes back when it has understood.
    fn order(
        &self,
        wanted: PowerState,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// How long one question may take when this much is left: a question that hangs must not eat all of it.
pub(super) fn share(deadline: Instant) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    now + (left / 2).max(left.min(Duration::from_secs(2)))
}

/// Switches a machine and waits until it reads back as wanted. Answers in words what was read.
pub(super) async fn bring(
    controller: &impl Controller,
    wanted: PowerState,
    limit: Duration,
) -> Result<String, Trouble> {
    let begun = Instant::now();
    let deadline = begun + limit;
    let mut agreed = 0;
    let mut orders = 0;
    let mut next_order = begun;
    let mut last = Trouble::new("nothing was read");
    // What was read against the wish, also if nothing more was read after it.
    let mut against: Option<String> = None;
    let mut accepted = false;
    loop {
        match controller.read(share(deadline)).await {
            Ok(state) if state == wanted => agreed += 1,
            Ok(state) => {
                agreed = 0;
                let what = match accepted {
                    true => format!("it took the order, but still reads `{}`", word(state)),
                    false => format!("it reads `{}`", word(state)),
                };
                against = Some(what.clone());
                last = Trouble::new(what);
            }
            Err(trouble) if trouble.is_final => return Err(trouble),
            Err(trouble) => {
                agreed = 0;
                last = trouble;
            }
        }
        if agreed >= READINGS {
            let orders_given = if orders == 0 { "it was so before" } else { "after the order" };
            return Ok(format!("read `{}` {READINGS} times, {orders_given}", word(wanted)));
        }
        if agreed == 0 && orders < ORDERS_MAX && Instant::now() >= next_order {
            orders += 1;
            next_order = begun + limit * orders / ORDERS_MAX;
            match controller.order(wanted, share(deadline)).await {
                Ok(()) => accepted = true,
                Err(trouble) if trouble.is_final => return Err(trouble),
                // The order may have been understood all the same: what is read decides.
                Err(trouble) => last = trouble,
            }
        }
        if Instant::now() + READ_PAUSE + QUESTION_MIN >= deadline {
            sleep_until(deadline).await;
            let before = against.filter(|against| *against != last.what);
            let before = before.map(|against| format!("{against}; then ")).unwrap_or_default();
            last.what = format!("{before}{} (given up after {} s)", last.what, limit.as_secs_f32());
            return Err(last);
        }
        sleep(READ_PAUSE).await;
    }
}

/// A state in the words of controllers.
pub(super) fn word(state: PowerState) -> &'static str {
    match state {
        PowerState::On => "on",
        PowerState::Off => "off",
    }
}

#[cfg(test)]
mod tests;
