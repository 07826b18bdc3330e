//! Counts requests: how many, how many failed and how, how long they took, how long nothing succeeded.
//!
//! Must never read a clock: times are told to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A token for a password.
    Issue,
    /// The validation of a token.
    Validate,
}

/// Failures that are kept one by one; more of them tell nothing more.
const TOLD_MAX: usize = 20;

/// One request that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRequest {
    /// When it had failed.
    pub at: Timestamp,
    /// `issue` or `validate`.
    pub kind: String,
    /// The HTTP status, or the word for its failure.
    pub failure: String,
    /// How long its client waited.
    pub took_ms: u64,
    /// The name under which the server's log has it, if the server gave one.
    pub request_id: Option<String>,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The HTTP status, or a word.
    pub(crate) word: String,
    /// The server's name for the request.
    pub(crate) request_id: Option<String>,
}

impl From<&str> for Failed {
    fn from(word: &str) -> Self {
        Self { word: word.to_owned(), request_id: None }
    }
}

/// What load found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// When the first request was made.
    pub from: Timestamp,
    /// When the last answer was in.
    pub to: Timestamp,
    /// Requests a second that were asked for.
    pub rate: f64,
    /// Requests made.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Failures by HTTP status, or `connect`, `timeout`, `cut`, or `crowded` (not sent: too many were waiting already).
    pub failures: BTreeMap<String, u64>,
    /// The first failures, one by one.
    #[serde(default)]
    pub failed_requests: Vec<FailedRequest>,
    /// When the first failure was seen.
    pub first_failure: Option<Timestamp>,
    /// When the last failure was seen.
    pub last_failure: Option<Timestamp>,
    /// The longest time between two successes that follow each other, of any kind. Beginning and end of the load count as successes,
    /// so that a service that never answers has a gap as long as the load.
    pub longest_gap_ms: u64,
    /// Token issues.
    pub issue: KindReport,
    /// Validations.
    pub validate: KindReport,
}

/// What load found out about one kind of request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KindReport {
    /// Requests made.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Failures by HTTP status or word.
    pub failures: BTreeMap<String, u64>,
    /// Half of the successes took no longer, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 successes took no longer.
    pub p99_ms: f64,
    /// The slowest success.
    pub max_ms: f64,
    /// The longest time between two successes of this kind.
    pub longest_gap_ms: u64,
}

#[derive(Debug, Default)]
struct KindTally {
    requests: u64,
    failures: BTreeMap<String, u64>,
    latencies: Vec<Duration>,
    last_success: Duration,
    longest_gap: Duration,
}

impl KindTally {
    fn succeed(&mut self, at: Duration) {
        self.longest_gap = self.longest_gap.max(at.saturating_sub(self.last_success));
        self.last_success = self.last_success.max(at);
    }

    fn report(&self, end: Duration) -> KindReport {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        KindReport {
            requests: self.requests,
            failed: self.failures.values().sum(),
            failures: self.failures.clone(),
            p50_ms: milliseconds(percentile(&sorted, 50)),
            p99_ms: milliseconds(percentile(&sorted, 99)),
            max_ms: milliseconds(percentile(&sorted, 100)),
            longest_gap_ms: whole_milliseconds(self.gap(end)),
        }
    }

    fn gap(&self, end: Duration) -> Duration {
        self.longest_gap.max(end.saturating_sub(self.last_success))
    }
}

/// A running count. All times are since the beginning of the load; results come in the order in which they completed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    all: KindTally,
    issue: KindTally,
    validate: KindTally,
    told: Vec<(Duration, FailedRequest)>,
    first_failure: Option<Duration>,
    last_failure: Option<Duration>,
}

impl Tally {
    /// Counts one request that ended `at` after `took`, well or not.
    pub(crate) fn count(&mut self, kind: Kind, at: Duration, took: Duration, result: Result<(), Failed>) {
        let of_kind = match kind {
            Kind::Issue => &mut self.issue,
            Kind::Validate => &mut self.validate,
        };
        self.all.requests += 1;
        of_kind.requests += 1;
        match result {
            Ok(()) => {
                self.all.succeed(at);
                of_kind.succeed(at);
                of_kind.latencies.push(took);
            }
            Err(Failed { word, request_id }) => {
                if self.told.len() < TOLD_MAX {
                    let kind = match kind {
                        Kind::Issue => "issue",
                        Kind::Validate => "validate",
                    };
                    let failed = FailedRequest {
                        at: Timestamp::UNIX_EPOCH,
                        kind: kind.to_owned(),
                        failure: word.clone(),
                        took_ms: whole_milliseconds(took),
                        request_id,
                    };
                    self.told.push((at, failed));
                }
                self.first_failure.get_or_insert(at);
                self.last_failure = Some(at);
                *self.all.failures.entry(word.clone()).or_default() += 1;
                *of_kind.failures.entry(word).or_default() += 1;
            }
        }
    }

    /// What is known at `now`.
    pub(crate) fn report(&self, begun: Timestamp, rate: f64, now: Duration) -> LoadReport {
        let time = |after: Duration| begun.checked_add(after).unwrap_or(begun);
        LoadReport {
            from: begun,
            to: time(now),
            rate,
            requests: self.all.requests,
            failed: self.all.failures.values().sum(),
            failures: self.all.failures.clone(),
            failed_requests: self
                .told
                .iter()
                .map(|(after, failed)| FailedRequest { at: time(*after), ..failed.clone() })
                .collect(),
            first_failure: self.first_failure.map(time),
            last_failure: self.last_failure.map(time),
            longest_gap_ms: whole_milliseconds(self.all.gap(now)),
            issue: self.issue.report(now),
            validate: self.validate.report(now),
        }
    }
}

/// The smallest value that `percent` of 100 values do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

fn whole_milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<Duration> = (1..=200).map(ms).collect();
        assert_eq!(percentile(&sorted, 50), ms(100));
        assert_eq!(percentile(&sorted, 99), ms(198));
        assert_eq!(percentile(&sorted, 100), ms(200));
        assert_eq!(percentile(&[ms(3)], 50), ms(3));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }

    #[test]
    fn gaps_are_between_successes_and_count_the_ends() {
        let mut tally = Tally::default();
        tally.count(Kind::Issue, ms(100), ms(10), Ok(()));
        tally.count(Kind::Validate, ms(200), ms(1), Err("503".into()));
        tally.count(Kind::Validate, ms(900), ms(20), Ok(()));
        tally.count(Kind::Issue, ms(1000), ms(30), Ok(()));
        let report = tally.report(Timestamp::UNIX_EPOCH, 5.0, ms(1200));
        assert_eq!((report.requests, report.failed, report.failures["503"]), (4, 1, 1));
        assert_eq!(report.longest_gap_ms, 800);
        assert_eq!(report.issue.longest_gap_ms, 900);
        assert_eq!(report.validate.longest_gap_ms, 900, "from the beginning to the first success");
        assert_eq!((report.issue.p50_ms, report.issue.max_ms), (10.0, 30.0));
        assert_eq!(report.first_failure.unwrap().as_millisecond(), 200);
        assert_eq!(report.failed_requests.len(), 1);
        assert_eq!(report.failed_requests[0].at.as_millisecond(), 200);
        let dead = Tally::default().report(Timestamp::UNIX_EPOCH, 5.0, ms(5000));
        assert_eq!((dead.longest_gap_ms, dead.issue.longest_gap_ms), (5000, 5000));
    }

    #[test]
    fn a_report_is_read_back_as_it_was() {
        let mut tally = Tally::default();
        tally.count(Kind::Issue, ms(5), ms(1), Err("cut".into()));
        let report = tally.report(Timestamp::UNIX_EPOCH, 15.0, ms(10));
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<LoadReport>(&text).unwrap(), report);
    }
}
