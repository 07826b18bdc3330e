//! How often, and how soon again.
//!
//! Pure arithmetic over times that others keep. It must never give up for good: that is for a person.

use super::policy::Policy;
use crate::run::later;
use ostler_model::Timestamp;

/// Pause before a recovery that needs somebody is tried again for the first time.
const RESUME_FIRST_MS: u64 = 2_000;

/// The longest such pause: a host that nobody can prove dead is asked about once a minute, for as long as it takes.
const RESUME_MAX_MS: u64 = 60_000;

/// Whether an instance may be restarted again; if not, when.
pub fn may_restart(earlier: &[Timestamp], now: Timestamp, policy: &Policy) -> Result<(), Timestamp> {
    let window_ms = i64::from(policy.restart_window_s) * 1000;
    let mut within: Vec<Timestamp> =
        earlier.iter().copied().filter(|at| later(*at, window_ms) > now).collect();
    within.sort_unstable();
    let most = policy.restarts as usize;
    if within.len() < most {
        return Ok(());
    }
    Err(within.get(within.len() - most).map_or(now, |oldest| later(*oldest, window_ms)))
}

/// The pause before a recovery that stopped is tried again, doubled each time.
pub fn pause_before_resume_ms(resumes: u32) -> u64 {
    RESUME_FIRST_MS.saturating_mul(1 << resumes.min(16)).min(RESUME_MAX_MS)
}
