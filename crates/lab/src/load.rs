//! Real clients of the cloud, many of them: issues and validates tokens through the virtual address and counts.
//!
//! An open loop: requests go out by the clock, however slow the answers are. Must never repeat a request.

use crate::error::LabError;
use crate::http::{Answer, NoAnswer};
use crate::keystone::Keystone;
use crate::tally::{Failed, Kind, LoadReport, Tally};
use jiff::Timestamp;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep};

/// How long a client waits for an answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Requests that may wait for an answer at once; more are counted as failed without being made.
const IN_FLIGHT_LIMIT: usize = 400;
/// The most requests a second.
const RATE_LIMIT: f64 = 500.0;
/// One request of this many issues a token; the others validate.
const ISSUE_EVERY: u64 = 5;
/// How often the caller is told how it goes.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How long the load runs when nobody says.
const DEFAULT_DURATION: Duration = Duration::from_secs(60);
/// Requests a second when nobody says: what two shared cores bear with ease.
const DEFAULT_RATE: f64 = 15.0;

/// How much load, and how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadOptions {
    /// Requests a second in total; a fifth issue tokens, the others validate.
    pub rate: f64,
    /// How long, at most; without it until it is stopped.
    pub duration: Option<Duration>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { rate: DEFAULT_RATE, duration: Some(DEFAULT_DURATION) }
    }
}

struct Ended {
    kind: Kind,
    took: Duration,
    result: Result<Option<String>, Failed>,
}

/// Runs the load until its time is over or `stop` completes; what was counted either way.
pub(crate) async fn run(
    keystone: Keystone,
    options: LoadOptions,
    stop: impl Future<Output = ()>,
    mut progress: impl FnMut(&LoadReport),
) -> Result<LoadReport, LabError> {
    if !(options.rate > 0.0 && options.rate <= RATE_LIMIT) {
        return Err(LabError::refused(
            format!("a load of {} requests a second is not possible", options.rate),
            format!("ask for more than 0 and at most {RATE_LIMIT}"),
        ));
    }
    let old = first_token(&keystone).await?;
    let mut recent = old.clone();
    let (sender, mut ended) = unbounded_channel();
    let (begun, begun_at) = (Instant::now(), Timestamp::now());
    let mut tally = Tally::default();
    let (mut sent, mut in_flight) = (0_u64, 0_usize);
    let mut ticks = interval(Duration::from_secs_f64(1.0 / options.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut tell = interval_at(begun + TELL_EVERY, TELL_EVERY);
    let over = sleep_or_forever(options.duration);
    tokio::pin!(stop, over);
    let mut sending = true;
    while sending || in_flight > 0 {
        tokio::select! {
            biased;
            Some(one) = ended.recv() => {
                in_flight -= 1;
                count(&mut tally, begun.elapsed(), one, &mut recent);
            }
            () = &mut stop, if sending => sending = false,
            () = &mut over, if sending => sending = false,
            _ = ticks.tick(), if sending => {
                let kind = if sent.is_multiple_of(ISSUE_EVERY) { Kind::Issue } else { Kind::Validate };
                if in_flight >= IN_FLIGHT_LIMIT {
                    tally.count(kind, begun.elapsed(), Duration::ZERO, Err("crowded".into()));
                } else {
                    in_flight += 1;
                    let token = if sent.is_multiple_of(2) { &old } else { &recent };
                    tokio::spawn(one_request(keystone.clone(), kind, token.clone(), sender.clone()));
                }
                sent += 1;
            }
            _ = tell.tick() => progress(&tally.report(begun_at, options.rate, begun.elapsed())),
        }
    }
    Ok(tally.report(begun_at, options.rate, begun.elapsed()))
}

fn count(tally: &mut Tally, at: Duration, one: Ended, recent: &mut String) {
    let result = one.result.map(|token| {
        if let Some(token) = token {
            *recent = token;
        }
    });
    tally.count(one.kind, at, one.took, result);
}

async fn sleep_or_forever(duration: Option<Duration>) {
    match duration {
        Some(duration) => sleep(duration).await,
        None => std::future::pending().await,
    }
}

async fn one_request(keystone: Keystone, kind: Kind, token: String, sender: UnboundedSender<Ended>) {
    let begun = Instant::now();
    let (answer, wanted) = match kind {
        Kind::Issue => (keystone.issue(REQUEST_LIMIT).await, 201),
        Kind::Validate => (keystone.validate(&token, REQUEST_LIMIT).await, 200),
    };
    let result = judge(kind, answer, wanted);
    // Nobody listens any more when the load was dropped.
    let _ = sender.send(Ended { kind, took: begun.elapsed(), result });
}

/// A new token, if there is one, or the word for the failure.
fn judge(kind: Kind, answer: Result<Answer, NoAnswer>, wanted: u16) -> Result<Option<String>, Failed> {
    let answer = answer.map_err(|error| Failed::from(error.word()))?;
    let failed = |word: &str| Err(Failed { word: word.to_owned(), request_id: answer.request_id.clone() });
    match &answer.token {
        _ if answer.status != wanted => failed(&answer.status.to_string()),
        None if kind == Kind::Issue => failed("no token"),
        _ => Ok(answer.token.filter(|_| kind == Kind::Issue)),
    }
}

async fn first_token(keystone: &Keystone) -> Result<String, LabError> {
    let why = match keystone.issue(REQUEST_LIMIT).await {
        Ok(Answer { status: 201, token: Some(token), .. }) => return Ok(token),
        Ok(answer) => format!("HTTP {}", answer.status),
        Err(error) => error.word().to_owned(),
    };
    Err(LabError::Service { what: "no token could be had before the load began".to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_kind() {
        let answer = |status, token: Option<&str>| {
            Ok(Answer { status, token: token.map(str::to_owned), request_id: None })
        };
        assert_eq!(judge(Kind::Issue, answer(201, Some("t")), 201), Ok(Some("t".to_owned())));
        assert_eq!(judge(Kind::Issue, answer(201, None), 201), Err("no token".into()));
        assert_eq!(judge(Kind::Validate, answer(200, Some("t")), 200), Ok(None));
        assert_eq!(judge(Kind::Validate, answer(403, None), 200), Err("403".into()));
        assert_eq!(judge(Kind::Validate, Err(NoAnswer::Cut), 200), Err("cut".into()));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_impossible_rate_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, 501.0] {
            let keystone = Keystone::new(std::net::Ipv4Addr::LOCALHOST, "x");
            let options = LoadOptions { rate, duration: None };
            assert!(run(keystone, options, std::future::pending(), |_| ()).await.is_err());
        }
    }
}
