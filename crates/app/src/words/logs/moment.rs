//! Moments as people type them: `2026-11-21T18:40:02Z`, `'2026-11-21 18:40'`, `30m` for half an hour ago, `@1795286402`.
//!
//! A run's name is a moment, too: when it was opened. It guesses nothing: what it cannot read is refused.

use crate::context::Context;
use crate::duration::Seconds;
use crate::failure::Failure;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ostler_logs::clock::Moment;

/// Reads a moment; `now` is what lengths of time count back from.
pub fn moment(typed: &str, now: Timestamp) -> Option<Moment> {
    let typed = typed.trim();
    if let Ok(at) = typed.parse::<Timestamp>() {
        return Some(at.as_microsecond());
    }
    if let Some(seconds) = typed.strip_prefix('@') {
        return seconds.parse::<i64>().ok()?.checked_mul(1_000_000);
    }
    if let Ok(Seconds(back)) = typed.parse::<Seconds>() {
        return Some(now.as_microsecond() - i64::from(back) * 1_000_000);
    }
    let civil = typed.parse::<DateTime>().ok()?;
    Some(civil.to_zoned(TimeZone::system()).ok()?.timestamp().as_microsecond())
}

/// The same for what was typed, or the opening of a run.
pub async fn typed(context: &Context, option: &str, typed: Option<&str>) -> Result<Option<Moment>, Failure> {
    let Some(typed) = typed else { return Ok(None) };
    if let Some(at) = moment(typed, context.clock().now()) {
        return Ok(Some(at));
    }
    let refused = || {
        Failure::usage(format!("`{typed}` is no moment for {option}")).hint(
            "write `2026-11-21T18:40:02Z`, `'2026-11-21 18:40'` in your own zone, `30m` for half an hour ago, or a run's name",
        )
    };
    // Only what looks like a run's name is looked up: the store is opened for nothing else.
    if !typed.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(refused());
    }
    let store = context.store().await?;
    let run = crate::words::run::named(store.as_ref(), typed).await.map_err(|_| refused())?;
    let entries = store.entries(&run, 0).await?;
    Ok(entries.first().map(|entry| entry.at.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_type_them() {
        let now: Timestamp = "2026-11-21T18:40:02Z".parse().unwrap();
        let at =
            |typed: &str| moment(typed, now).map(|at| Timestamp::from_microsecond(at).unwrap().to_string());
        assert_eq!(at("2026-11-21T18:40:02Z").as_deref(), Some("2026-11-21T18:40:02Z"));
        assert_eq!(at("2026-11-21T18:40:02+01:00").as_deref(), Some("2026-11-21T17:40:02Z"));
        assert_eq!(at("30m").as_deref(), Some("2026-11-21T18:10:02Z"));
        assert_eq!(at("@1").as_deref(), Some("1970-01-01T00:00:01Z"));
        assert!(at("2026-11-21 18:40").is_some());
        assert_eq!(at("yesterday"), None);
    }
}
