//! Waits for a state of the world to hold, by asking again and again within a bound.
//!
//! Must never wait without a bound, nor for an event that may have happened before anyone looked.

use crate::error::LabError;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often a state is asked for.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What a look at the world found.
pub(crate) enum Seen<T> {
    /// The state holds.
    Holds(T),
    /// It does not; this is there instead.
    NotYet(String),
}

/// Asks until the state holds. `what` and `todo` are for the message when it does not.
pub(crate) async fn until<T, F, Ask>(
    what: impl Into<String>,
    todo: &str,
    limit: Duration,
    mut ask: F,
) -> Result<T, LabError>
where
    F: FnMut() -> Ask,
    Ask: Future<Output = Seen<T>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            Seen::Holds(value) => return Ok(value),
            Seen::NotYet(seen) if begun.elapsed() >= limit => {
                return Err(LabError::TooLate { what: what.into(), limit, seen, todo: todo.to_owned() });
            }
            Seen::NotYet(_) => sleep(ASK_EVERY).await,
        }
    }
}
