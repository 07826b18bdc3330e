//! Requests counted: by service, route and status, how long they took, and how many in each minute.
//!
//! One pass over each log, logs side by side. Times are kept in buckets that grow by a thirty-second, so that no request is
//! kept; a percentile is right to three per cent.

use crate::clock::Moment;
use crate::group::service_of;
use crate::line::{Details, Form, request, route};
use crate::place::{Source, Unread};
use crate::read::Blocks;
use crate::record::Walk;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Routes that are kept apart; what comes after goes to one called "…".
pub const ROUTES_MAX: usize = 5_000;

/// Minutes that are kept apart for each service: a month.
pub const MINUTES_MAX: usize = 31 * 24 * 60;

/// Parts of each power of two.
const PARTS: u64 = 32;

/// Microseconds in a minute.
const MINUTE_US: i64 = 60_000_000;

/// Lengths of time in buckets.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    buckets: Vec<u32>,
    count: u64,
}

impl Histogram {
    fn bucket(micros: u64) -> usize {
        if micros < PARTS {
            return micros as usize;
        }
        let power = 63 - micros.leading_zeros() as u64;
        let part = (micros >> (power - 5)) - PARTS;
        ((power - 4) * PARTS + part) as usize
    }

    fn middle(bucket: usize) -> u64 {
        let bucket = bucket as u64;
        if bucket < PARTS {
            return bucket;
        }
        let (power, part) = (bucket / PARTS + 4, bucket % PARTS);
        let low = (PARTS + part) << (power - 5);
        low + (1u64 << (power - 5)) / 2
    }

    /// Counts one.
    pub fn add(&mut self, micros: u64) {
        let bucket = Histogram::bucket(micros);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] = self.buckets[bucket].saturating_add(1);
        self.count += 1;
    }

    /// Adds another one's.
    pub fn join(&mut self, other: &Histogram) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (own, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *own = own.saturating_add(*more);
        }
        self.count += other.count;
    }

    /// The time within which so many of a hundred were done, in microseconds.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return Some(Histogram::middle(bucket));
            }
        }
        None
    }
}

/// Requests of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct Route {
    /// Who answered.
    pub service: String,
    /// The verb.
    pub method: String,
    /// The path without ids.
    pub route: String,
    /// The status; 0: none.
    pub status: u16,
    /// How many.
    pub count: u64,
    /// Half of them took at most so many microseconds.
    pub p50_us: Option<u64>,
    /// 95 of a hundred.
    pub p95_us: Option<u64>,
    /// 99 of a hundred.
    pub p99_us: Option<u64>,
}

/// Requests of one service in one minute.
#[derive(Clone, Debug, Serialize)]
pub struct Minute {
    /// When it begins.
    pub at: String,
    /// Who answered.
    pub service: String,
    /// How many.
    pub count: u64,
    /// How many with a status of 500 and more, or without any.
    pub failed: u64,
    /// Half of them took at most so many microseconds.
    pub p50_us: Option<u64>,
    /// 95 of a hundred.
    pub p95_us: Option<u64>,
    /// 99 of a hundred.
    pub p99_us: Option<u64>,
}

/// All that was counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rates {
    /// By route, the most frequent first.
    pub routes: Vec<Route>,
    /// By minute.
    pub minutes: Vec<Minute>,
    /// Requests.
    pub requests: u64,
    /// Logs that were read.
    pub files: u64,
    /// Bytes that were read, unpacked.
    pub bytes: u64,
    /// What was not read.
    pub unread: Vec<Unread>,
}

#[derive(Default)]
struct Spell {
    count: u64,
    failed: u64,
    times: Histogram,
}

type RouteKey = (Box<str>, Box<str>, Box<str>, u16);

#[derive(Default)]
struct Part {
    routes: HashMap<RouteKey, Histogram>,
    counts: HashMap<RouteKey, u64>,
    minutes: BTreeMap<(i64, Box<str>), Spell>,
    requests: u64,
    late: u64,
    files: u64,
    bytes: u64,
    unread: Vec<Unread>,
}

/// Reads logs and counts their requests.
pub fn rate(sources: &[Source], since: Option<Moment>, until: Option<Moment>) -> Rates {
    let mut order: Vec<&Source> = sources.iter().collect();
    order.sort_by_key(|source| std::cmp::Reverse(source.bytes));
    let part = order
        .par_iter()
        .with_max_len(1)
        .fold(Part::default, |part, source| read(source, since, until, part))
        .reduce(Part::default, join);
    finish(part)
}

fn read(source: &Source, since: Option<Moment>, until: Option<Moment>, mut part: Part) -> Part {
    let mut blocks = match Blocks::open(&source.path) {
        Ok(blocks) => blocks,
        Err(error) => {
            part.unread.push(Unread { what: source.name.clone(), why: error.to_string() });
            return part;
        }
    };
    part.files += 1;
    let mut clock = source.clock.clone();
    let mut walk: Option<Walk> = None;
    while let Some(block) = blocks.next_block() {
        let walk = walk.get_or_insert_with(|| Walk::new(block.starts_with(b"__CURSOR=")));
        walk.block(block, |line| {
            let Some(head) = line.head.filter(|head| line.begins && may_be_request(head.form, line.text))
            else {
                return;
            };
            let details: Details<'_> = head.details();
            let Some(found) = request(&head, &details) else { return };
            let at = head.when.stamp().map(|stamp| clock.moment(stamp));
            let is_outside = at.is_some_and(|at| {
                since.is_some_and(|since| at < since) || until.is_some_and(|until| at > until)
            });
            if is_outside {
                return;
            }
            part.requests += 1;
            let service = match found.backend.split(|c| *c == b'/').next() {
                Some(backend) if !backend.is_empty() => String::from_utf8_lossy(backend).into_owned(),
                _ => String::from_utf8_lossy(service_of(&head, source)).into_owned(),
            };
            let mut key: RouteKey = (
                service.as_str().into(),
                String::from_utf8_lossy(found.method).into(),
                route(found.path).into(),
                found.status,
            );
            if part.counts.len() >= ROUTES_MAX && !part.counts.contains_key(&key) {
                key.2 = "…".into();
            }
            if let Some(micros) = found.micros {
                part.routes.entry(key.clone()).or_default().add(micros);
            }
            *part.counts.entry(key).or_default() += 1;
            if let Some(at) = at {
                let minute = (at.div_euclid(MINUTE_US), service.into_boxed_str());
                if part.minutes.len() >= MINUTES_MAX && !part.minutes.contains_key(&minute) {
                    part.late += 1;
                    return;
                }
                let spell = part.minutes.entry(minute).or_default();
                spell.count += 1;
                spell.failed += u64::from(found.status >= 500 || found.status == 0);
                if let Some(micros) = found.micros {
                    spell.times.add(micros);
                }
            }
        });
    }
    part.bytes += blocks.bytes();
    if let Err(error) = blocks.ending() {
        part.unread.push(Unread { what: source.name.clone(), why: error.to_string() });
    }
    part
}

/// Whether a closer look may pay: every shape of a request but uWSGI's has its address in quotes.
fn may_be_request(form: Form, text: &[u8]) -> bool {
    match form {
        Form::Access | Form::Uwsgi => true,
        Form::Oslo
        | Form::OsloShort
        | Form::Json
        | Form::JournalJson
        | Form::JournalExport
        | Form::Syslog => {
            memchr::memmem::find(text, b" HTTP/").is_some()
                || memchr::memmem::find(text, b"status: ").is_some()
        }
        _ => false,
    }
}

fn join(mut a: Part, b: Part) -> Part {
    for (key, more) in b.routes {
        a.routes.entry(key).or_default().join(&more);
    }
    for (key, more) in b.counts {
        *a.counts.entry(key).or_default() += more;
    }
    for (key, more) in b.minutes {
        let spell = a.minutes.entry(key).or_default();
        spell.count += more.count;
        spell.failed += more.failed;
        spell.times.join(&more.times);
    }
    a.requests += b.requests;
    a.late += b.late;
    a.files += b.files;
    a.bytes += b.bytes;
    a.unread.extend(b.unread);
    a
}

fn finish(part: Part) -> Rates {
    let mut unread = part.unread;
    if part.late > 0 {
        let why = format!("more than {MINUTES_MAX} minutes are not told apart");
        unread.push(Unread { what: format!("the minutes of {} requests", part.late), why });
    }
    unread.sort();
    let none = Histogram::default();
    let mut routes: Vec<Route> = part
        .counts
        .into_iter()
        .map(|(key, count)| {
            let times = part.routes.get(&key).unwrap_or(&none);
            let (service, method, route, status) = key.clone();
            Route {
                service: service.into(),
                method: method.into(),
                route: route.into(),
                status,
                count,
                p50_us: times.percentile(50),
                p95_us: times.percentile(95),
                p99_us: times.percentile(99),
            }
        })
        .collect();
    routes.sort_by(|a, b| {
        let name =
            |route: &Route| (route.service.clone(), route.route.clone(), route.method.clone(), route.status);
        b.count.cmp(&a.count).then_with(|| name(a).cmp(&name(b)))
    });
    let minutes = part
        .minutes
        .into_iter()
        .map(|((minute, service), spell)| Minute {
            at: crate::clock::text(minute * MINUTE_US)[..16].to_owned() + "Z",
            service: service.into(),
            count: spell.count,
            failed: spell.failed,
            p50_us: spell.times.percentile(50),
            p95_us: spell.times.percentile(95),
            p99_us: spell.times.percentile(99),
        })
        .collect();
    Rates { routes, minutes, requests: part.requests, files: part.files, bytes: part.bytes, unread }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_right_to_three_per_cent() {
        let mut times = Histogram::default();
        for micros in 1..=100_000 {
            times.add(micros);
        }
        for percent in [1, 50, 95, 99] {
            let found = times.percentile(percent).unwrap() as f64;
            let right = 1_000.0 * percent as f64;
            assert!((found - right).abs() <= right * 0.03, "{percent}: {found}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_found_near_its_bucket(micros in 0u64..u64::MAX / 4) {
            let middle = Histogram::middle(Histogram::bucket(micros));
            prop_assert!(middle.abs_diff(micros) <= micros / 32 + 1, "{} is kept as {}", micros, middle);
        }
    }
}
