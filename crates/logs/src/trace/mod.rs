//! One request, server, port or volume followed through every log: who touched it, in which order, and where it first went wrong.
//!
//! Ids lead to records, records to further ids: requests that were made on its behalf, then its ports and volumes. Ids of
//! periodic work are never followed: they live for hours and touch everything. It says what it could not see.

mod phase;
mod search;

pub use phase::{Anomaly, Phase};

use crate::clock::Moment;
use crate::line::Severity;
use crate::mask::is_uuid;
use crate::place::{Source, Unread};
use rayon::prelude::*;
use search::{Needles, Seen, search};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Requests that one trace follows.
pub const REQUESTS_MAX: usize = 200;

/// Ports and volumes that one trace follows.
const RESOURCES_MAX: usize = 16;

/// Rounds of new ids: a call makes a call makes a call.
const ROUNDS_MAX: usize = 4;

/// Records of one trace.
pub const STEPS_MAX: usize = 20_000;

/// How long before and after a record of the trace others are looked for.
const AROUND_US: i64 = 300_000_000;

/// A record of the trace.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// When; none where the line has no time.
    #[serde(serialize_with = "as_text")]
    pub at: Moment,
    /// Where.
    pub host: String,
    /// Which service.
    pub service: String,
    /// Which logger, module or program.
    pub program: String,
    /// How bad.
    pub severity: Severity,
    /// What is said, without secrets.
    pub message: String,
    /// The last line of the traceback.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub exception: String,
    /// The request's own id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// The id that the caller gave.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub global: String,
    /// How it belongs to the trace.
    pub by: By,
}

fn as_text<S: serde::Serializer>(moment: &Moment, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&crate::clock::text(*moment))
}

/// How a record belongs to a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// It names what is traced.
    Id,
    /// It is of a request on its behalf.
    Request,
    /// It names one of its ports or volumes.
    Resource,
}

/// A request of the trace.
#[derive(Clone, Debug, Serialize)]
pub struct Followed {
    /// Its id.
    pub id: String,
    /// The one that caused it, where that is known.
    pub caused_by: Option<String>,
    /// The services that speak of it.
    pub services: BTreeSet<String>,
}

/// A port or volume of the trace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Resource {
    /// `port` or `volume`.
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It came to its end.
    Done,
    /// It failed.
    Failed,
    /// No end is seen.
    Open,
    /// Nothing of it was seen.
    Unseen,
}

/// A trace.
#[derive(Clone, Debug, Serialize)]
pub struct Trace {
    /// What was asked for.
    pub id: String,
    /// `request`, `server`, `port`, `volume` or `id`.
    pub kind: String,
    /// What became of it.
    pub verdict: Verdict,
    /// How long it took until it was over; records that speak of it later do not count.
    pub seconds: f64,
    /// Its phases.
    pub phases: Vec<Phase>,
    /// What first went wrong.
    pub anomaly: Option<Anomaly>,
    /// The requests that were followed.
    pub requests: Vec<Followed>,
    /// Its ports and volumes.
    pub resources: Vec<Resource>,
    /// All records in order of time.
    pub steps: Vec<Step>,
    /// What could not be seen.
    pub holes: Vec<String>,
    /// Logs that were searched.
    pub files: u64,
    /// Bytes that were read, unpacked.
    pub bytes: u64,
    /// What was not read.
    pub unread: Vec<Unread>,
}

/// Whether a text can be traced: a request's id, or a uuid.
pub fn is_traceable(id: &str) -> bool {
    is_uuid(id.strip_prefix("req-").unwrap_or(id).as_bytes()) && id.len() <= 40
}

/// Follows an id, and requests that are known to be of it.
pub fn trace(sources: &[Source], id: &str, actions: &[String]) -> Trace {
    let mut work = Work {
        sources,
        steps: BTreeMap::new(),
        files: 0,
        bytes: 0,
        unread: BTreeSet::new(),
        holes: BTreeMap::new(),
    };
    let is_request = id.starts_with("req-");
    let mut asked: Vec<String> = actions.iter().filter(|action| is_traceable(action)).cloned().collect();
    asked.insert(0, id.to_owned());
    work.look(&asked, &[], None, By::Id);
    work.files = sources.len() as u64 - work.unread.len() as u64;

    // Requests on its behalf, and requests of those.
    let mut requests: BTreeMap<String, Option<String>> =
        actions.iter().map(|id| (id.clone(), None)).collect();
    if is_request {
        requests.insert(id.to_owned(), None);
    }
    let mut searched: HashSet<String> = asked.iter().cloned().collect();
    for _ in 0..ROUNDS_MAX {
        let found: Vec<(String, Option<String>)> =
            work.steps.values().filter_map(|seen| caused(seen, id, &requests)).collect();
        for (request, caused_by) in found {
            if requests.len() < REQUESTS_MAX {
                requests.entry(request).or_insert(caused_by);
            }
        }
        let new: Vec<String> = requests.keys().filter(|id| !searched.contains(*id)).cloned().collect();
        if new.is_empty() {
            break;
        }
        searched.extend(new.iter().cloned());
        let windows = work.windows();
        work.look(&new, &[], Some(&windows), By::Request);
    }

    // What its ports and volumes went through without a request's id.
    let resources: Vec<Resource> = work.resources(id, &requests);
    let mut names: Vec<String> = resources.iter().map(|resource| resource.id.clone()).collect();
    let devices: Vec<String> = resources
        .iter()
        .filter(|resource| resource.kind == "port")
        .map(|resource| format!("tap{}", &resource.id[..11]))
        .collect();
    names.extend(devices);
    if !work.steps.is_empty() {
        let windows = work.windows();
        work.look(&names, search::HOLES, Some(&windows), By::Resource);
    }
    work.finish(id, requests, resources)
}

/// The request of a record, if it is one that is to be followed, and what caused it.
fn caused(
    seen: &Seen,
    id: &str,
    known: &BTreeMap<String, Option<String>>,
) -> Option<(String, Option<String>)> {
    let is_background = seen.step.user.is_empty() && seen.step.global.is_empty();
    if seen.step.request.is_empty() || is_background {
        return None;
    }
    let is_of_known = known.contains_key(&seen.step.global);
    let names_it = seen.by == By::Id && (seen.step.instance == id || seen.step.instance.is_empty());
    if !(is_of_known || names_it || known.contains_key(&seen.step.request)) {
        return None;
    }
    let caused_by = Some(seen.step.global.clone()).filter(|_| is_of_known);
    Some((seen.step.request.clone(), caused_by))
}

struct Work<'a> {
    sources: &'a [Source],
    /// By log and place in it: each record once, however often it is found.
    steps: BTreeMap<(usize, u64), Seen>,
    files: u64,
    bytes: u64,
    unread: BTreeSet<Unread>,
    holes: BTreeMap<String, u64>,
}

impl Work<'_> {
    fn look(&mut self, ids: &[String], holes: &[&str], windows: Option<&[(Moment, Moment)]>, by: By) {
        if ids.is_empty() && holes.is_empty() {
            return;
        }
        let Some(needles) = Needles::new(ids, holes) else { return };
        let mut order: Vec<usize> = (0..self.sources.len()).collect();
        order.sort_by_key(|number| std::cmp::Reverse(self.sources[*number].bytes));
        let found: Vec<search::Found> = order
            .par_iter()
            .with_max_len(1)
            .map(|number| search(*number, &self.sources[*number], &needles, windows, by))
            .collect();
        for found in found {
            self.bytes += found.bytes;
            self.unread.extend(found.unread);
            for seen in found.seen {
                if self.steps.len() >= STEPS_MAX {
                    let why = format!("more than {STEPS_MAX} records speak of it");
                    self.unread.insert(Unread { what: "the rest of the trace".to_owned(), why });
                    break;
                }
                self.steps.entry((seen.source, seen.place)).or_insert(seen);
            }
            for (log, count) in found.holes {
                *self.holes.entry(log).or_default() += count;
            }
        }
    }

    /// The times around what is known so far.
    fn windows(&self) -> Vec<(Moment, Moment)> {
        let mut times: Vec<Moment> = self.steps.values().filter_map(|seen| seen.step.at).collect();
        times.sort_unstable();
        let mut windows: Vec<(Moment, Moment)> = Vec::new();
        for at in times {
            match windows.last_mut() {
                Some((_, end)) if at - AROUND_US <= *end => *end = at + AROUND_US,
                _ => windows.push((at - AROUND_US, at + AROUND_US)),
            }
        }
        windows
    }

    fn resources(&self, id: &str, requests: &BTreeMap<String, Option<String>>) -> Vec<Resource> {
        let mut found: BTreeMap<Resource, u32> = BTreeMap::new();
        for seen in self.steps.values() {
            let is_own = seen.by == By::Id
                || requests.contains_key(&seen.step.request)
                || requests.contains_key(&seen.step.global);
            if !is_own {
                continue;
            }
            for (kind, other) in search::resources_in(seen.step.message.as_bytes()) {
                if other != id {
                    *found.entry(Resource { kind: kind.to_owned(), id: other }).or_default() += 1;
                }
            }
        }
        let mut found: Vec<(Resource, u32)> = found.into_iter().collect();
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut kept: Vec<Resource> =
            found.into_iter().take(RESOURCES_MAX).map(|(resource, _)| resource).collect();
        kept.sort();
        kept
    }

    fn finish(self, id: &str, requests: BTreeMap<String, Option<String>>, resources: Vec<Resource>) -> Trace {
        let kind = match () {
            () if id.starts_with("req-") => "request",
            () if self.steps.values().any(|seen| seen.step.instance == id) => "server",
            () => self
                .steps
                .values()
                .flat_map(|seen| search::resources_in(seen.step.message.as_bytes()))
                .find(|(_, found)| found == id)
                .map_or("id", |(kind, _)| kind),
        };
        let mut steps: Vec<Step> = Vec::with_capacity(self.steps.len());
        let mut seen: Vec<Seen> = self.steps.into_values().collect();
        // Records without a time follow the one before them in their log.
        let mut last = (usize::MAX, Moment::MIN);
        for one in &mut seen {
            if one.step.at.is_none() && last.0 == one.source {
                one.step.at = Some(last.1);
            }
            if let Some(at) = one.step.at {
                last = (one.source, at);
            }
        }
        seen.retain(|one| one.step.at.is_some());
        seen.sort_by_key(|one| (one.step.at, one.source, one.place));
        let mut services: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for one in seen {
            for request in [&one.step.request, &one.step.global] {
                if requests.contains_key(request) {
                    services.entry(request.clone()).or_default().insert(one.step.service.clone());
                }
            }
            steps.push(one.into_step());
        }
        let told = phase::tell(&steps);
        let mut holes: Vec<String> = self
            .holes
            .iter()
            .map(|(log, count)| format!("{log}: {count} lines say that lines are missing"))
            .collect();
        if kind == "server" || kind == "request" {
            holes.extend(phase::missing(self.sources, &steps));
        }
        let over = told.over.or(steps.last().map(|step| step.at));
        let seconds = match (steps.first(), over) {
            (Some(first), Some(over)) => (over - first.at) as f64 / 1e6,
            _ => 0.0,
        };
        let verdict = if steps.is_empty() { Verdict::Unseen } else { told.verdict };
        let requests = requests
            .into_iter()
            .map(|(id, caused_by)| Followed {
                services: services.remove(&id).unwrap_or_default(),
                id,
                caused_by,
            })
            .collect();
        Trace {
            id: id.to_owned(),
            kind: kind.to_owned(),
            verdict,
            seconds,
            phases: told.phases,
            anomaly: told.anomaly,
            requests,
            resources,
            steps,
            holes,
            files: self.files,
            bytes: self.bytes,
            unread: self.unread.into_iter().collect(),
        }
    }
}
