//! Errors grouped by what they have in common: how often, where, first and last.
//!
//! One pass over each log, logs side by side. Memory depends on the number of kinds of errors, never on the size of the logs.

use crate::clock::Moment;
use crate::known::{Known, known};
use crate::line::{Form, Head, Severity};
use crate::mask::{mask, without_secrets};
use crate::place::{Source, Unread};
use crate::read::Blocks;
use crate::record::{Line, OPEN_MAX, Walk};
use memchr::memmem::Finder;
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// Kinds of errors that are kept apart; a log that has more has lines that differ in a way that no mask knows.
pub const GROUPS_MAX: usize = 50_000;

/// Bytes of a sample that are kept.
const SAMPLE_BYTES_MAX: usize = 600;

/// Letters of a group's name.
const NAME_LETTERS: usize = 12;

/// Which records count.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The least severity.
    pub least: Severity,
    /// From when on.
    pub since: Option<Moment>,
    /// Until when.
    pub until: Option<Moment>,
    /// What is counted apart from before.
    pub mark: Option<Moment>,
}

/// What errors have in common.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Its name: the same for the same error, whenever and wherever.
    pub id: String,
    /// How bad.
    pub severity: Severity,
    /// The service.
    pub service: String,
    /// The logger, module or program.
    pub program: String,
    /// The message without what differs.
    pub message: String,
    /// The class of the exception that came last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub exception: String,
    /// The deepest place in the traceback.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub frame: String,
    /// One of the messages as it was, without secrets.
    pub sample: String,
    /// How often.
    pub count: u64,
    /// How often since the mark.
    pub count_since_mark: u64,
    /// How often on each host.
    pub hosts: BTreeMap<String, u64>,
    /// When first; none if no line had a time.
    #[serde(serialize_with = "as_text")]
    pub first: Option<Moment>,
    /// When last.
    #[serde(serialize_with = "as_text")]
    pub last: Option<Moment>,
    /// When first since the mark.
    #[serde(serialize_with = "as_text")]
    pub first_since_mark: Option<Moment>,
    /// What is known of its cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<&'static Known>,
}

fn as_text<S: serde::Serializer>(moment: &Option<Moment>, to: S) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => to.serialize_some(&crate::clock::text(*moment)),
        None => to.serialize_none(),
    }
}

/// All that was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Groups {
    /// The groups, the most frequent first.
    pub groups: Vec<Group>,
    /// Logs that were read.
    pub files: u64,
    /// Bytes that were read, unpacked.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
    /// Records.
    pub records: u64,
    /// Lines that say that lines are missing.
    pub holes: u64,
    /// What was not read.
    pub unread: Vec<Unread>,
}

#[derive(Default)]
struct Counted {
    severity: Option<Severity>,
    service: String,
    program: String,
    message: String,
    exception: String,
    frame: String,
    sample: String,
    count: u64,
    count_since_mark: u64,
    hosts: HashMap<Box<str>, u64>,
    first: Option<Moment>,
    last: Option<Moment>,
    first_since_mark: Option<Moment>,
}

#[derive(Default)]
struct Part {
    groups: HashMap<Box<[u8]>, Counted>,
    files: u64,
    bytes: u64,
    lines: u64,
    records: u64,
    holes: u64,
    over: u64,
    unread: Vec<Unread>,
}

/// Reads logs and groups their errors.
pub fn group(sources: &[Source], wanted: Wanted) -> Groups {
    let mut order: Vec<&Source> = sources.iter().collect();
    // The biggest first: the last one to end decides how long it takes.
    order.sort_by_key(|source| std::cmp::Reverse(source.bytes));
    let part = order
        .par_iter()
        .with_max_len(1)
        .fold(Part::default, |part, source| read(source, wanted, part))
        .reduce(Part::default, join);
    finish(part)
}

/// A record that is still being read.
#[derive(Default)]
struct Pending {
    record: u64,
    severity: Option<Severity>,
    at: Option<Moment>,
    service: Vec<u8>,
    program: Vec<u8>,
    host: Vec<u8>,
    mask: Vec<u8>,
    sample: Vec<u8>,
    in_traceback: bool,
    exception: Vec<u8>,
    frame: Vec<u8>,
}

fn read(source: &Source, wanted: Wanted, mut part: Part) -> Part {
    let mut blocks = match Blocks::open(&source.path) {
        Ok(blocks) => blocks,
        Err(error) => {
            part.unread.push(Unread { what: source.name.clone(), why: error.to_string() });
            return part;
        }
    };
    part.files += 1;
    let mut walk: Option<Walk> = None;
    let mut reader =
        Reader { source, wanted, clock: source.clock.clone(), pending: Vec::new(), spare: Vec::new() };
    loop {
        let is_export = blocks.is_export();
        let Some(block) = blocks.next_block() else { break };
        let walk = walk.get_or_insert_with(|| {
            let walk = Walk::new(is_export || block.starts_with(b"__CURSOR="));
            if wanted.least >= Severity::Warning { walk.passing_ordinary() } else { walk }
        });
        let mut lines = 0;
        let mut oldest = reader.pending.first().map_or(u64::MAX, |pending| pending.record);
        walk.block(block, |line| {
            lines += 1;
            let is_wanted = line.begins && line.head.is_some_and(|head| head.severity >= wanted.least);
            if is_wanted {
                reader.begin(&line, &mut part);
                oldest = reader.pending.first().map_or(u64::MAX, |pending| pending.record);
            } else if !line.begins && line.record >= oldest {
                reader.go_on(&line);
            } else if let Some(head) = line.head
                && head.severity == Severity::Warning
                && is_hole(head.rest)
            {
                part.holes += 1;
            }
        });
        part.lines += lines;
    }
    for pending in std::mem::take(&mut reader.pending) {
        reader.count(&pending, &mut part);
    }
    part.lines += walk.as_ref().map_or(0, Walk::passed);
    part.records += walk.map_or(0, |walk| walk.records());
    part.bytes += blocks.bytes();
    if let Err(error) = blocks.ending() {
        part.unread.push(Unread { what: source.name.clone(), why: error.to_string() });
    }
    part
}

/// Whether a line says that lines before it were left out.
pub(crate) fn is_hole(rest: &[u8]) -> bool {
    /// Made once: warnings are many.
    static LIMIT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("Logging rate limit: drop after"));
    (rest.starts_with(b"Dropped ") && memchr::memmem::find(rest, b" log messages in last ").is_some())
        || LIMIT.find(rest).is_some()
}

/// The service that a record is of: its wrapper's tag, its file's name, or its own.
pub(crate) fn service_of<'a>(head: &Head<'a>, source: &'a Source) -> &'a [u8] {
    match head.form {
        _ if !head.speaker.is_empty() && head.form != Form::ApacheError && head.speaker != b"wsgi" => {
            head.speaker
        }
        Form::Syslog | Form::JournalExport | Form::JournalJson | Form::Pacemaker
            if !head.program.is_empty() =>
        {
            head.program
        }
        _ => source.service.as_bytes(),
    }
}

struct Reader<'a> {
    source: &'a Source,
    wanted: Wanted,
    clock: crate::clock::Clock,
    pending: Vec<Pending>,
    spare: Vec<Pending>,
}

impl Reader<'_> {
    #[inline(never)]
    fn begin(&mut self, line: &Line<'_>, part: &mut Part) {
        let Some(head) = line.head else { return };
        let at = head.when.stamp().map(|stamp| self.clock.moment(stamp));
        let is_outside = at.is_some_and(|at| {
            self.wanted.since.is_some_and(|since| at < since)
                || self.wanted.until.is_some_and(|until| at > until)
        });
        if is_outside {
            return;
        }
        while self.pending.len() >= OPEN_MAX {
            let done = self.pending.remove(0);
            self.count(&done, part);
            self.spare.push(done);
        }
        let mut new = self.spare.pop().unwrap_or_default();
        for text in [
            &mut new.service,
            &mut new.program,
            &mut new.host,
            &mut new.mask,
            &mut new.sample,
            &mut new.exception,
            &mut new.frame,
        ] {
            text.clear();
        }
        new.record = line.record;
        new.severity = Some(head.severity);
        new.at = at;
        new.in_traceback = false;
        new.service.extend_from_slice(service_of(&head, self.source));
        new.program.extend_from_slice(head.program);
        new.host.extend_from_slice(if head.host.is_empty() {
            self.source.host.as_bytes()
        } else {
            head.host
        });
        let details = head.details();
        let message = details.message.as_ref();
        mask(message, &mut new.mask);
        new.sample.extend_from_slice(&message[..message.len().min(SAMPLE_BYTES_MAX)]);
        if let Some(exception) = &details.exception {
            new.exception.extend_from_slice(class_of(exception).unwrap_or_default());
        }
        if head.is_bare {
            trace(&mut new, message);
        }
        // A message of several lines (a journal's, JSON's) may carry its traceback in itself.
        for line in message.split(|c| *c == b'\n').skip(1).take(400) {
            trace(&mut new, line);
        }
        self.pending.push(new);
    }

    #[inline(never)]
    fn go_on(&mut self, line: &Line<'_>) {
        let Some(pending) = self.pending.iter_mut().rev().find(|pending| pending.record == line.record)
        else {
            return;
        };
        match &line.head {
            Some(head) => {
                let details = head.details();
                trace(pending, &details.message);
            }
            None => trace(pending, line.text),
        }
    }

    fn count(&self, pending: &Pending, part: &mut Part) {
        let mut key = Vec::with_capacity(pending.mask.len() + 120);
        for piece in [&pending.service, &pending.program, &pending.mask, &pending.exception, &pending.frame] {
            key.extend_from_slice(piece);
            key.push(0);
        }
        key.push(pending.severity.map_or(b'?', |severity| severity.word().as_bytes()[0]));
        if !part.groups.contains_key(key.as_slice()) {
            if part.groups.len() >= GROUPS_MAX {
                part.over += 1;
                return;
            }
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let new = Counted {
                severity: pending.severity,
                service: text(&pending.service),
                program: text(&pending.program),
                message: text(&pending.mask),
                exception: text(&pending.exception),
                frame: text(&pending.frame),
                sample: text(&without_secrets(&pending.sample)),
                ..Counted::default()
            };
            part.groups.insert(key.clone().into_boxed_slice(), new);
        }
        let Some(group) = part.groups.get_mut(key.as_slice()) else { return };
        group.count += 1;
        let host = String::from_utf8_lossy(&pending.host);
        match group.hosts.get_mut(host.as_ref()) {
            Some(count) => *count += 1,
            None => drop(group.hosts.insert(host.into(), 1)),
        }
        // What has no time cannot be said to be older than the mark.
        let is_since = self.wanted.mark.is_some_and(|mark| pending.at.is_none_or(|at| at >= mark));
        group.count_since_mark += u64::from(is_since);
        if let Some(at) = pending.at {
            group.first = Some(group.first.map_or(at, |first| first.min(at)));
            group.last = Some(group.last.map_or(at, |last| last.max(at)));
            if is_since {
                group.first_since_mark = Some(group.first_since_mark.map_or(at, |first| first.min(at)));
            }
        }
    }
}

/// Takes what a line of a traceback tells: the deepest place, and in the end the exception.
fn trace(pending: &mut Pending, line: &[u8]) {
    if line.starts_with(b"Traceback (most recent call last)") {
        pending.in_traceback = true;
        return;
    }
    if !pending.in_traceback {
        return;
    }
    if let Some(place) = line.trim_ascii_start().strip_prefix(b"File \"") {
        let Some(end) = memchr::memchr(b'"', place) else { return };
        let function =
            memchr::memmem::find(&place[end..], b", in ").map(|at| place[end + at + 5..].trim_ascii());
        let file = &place[..end];
        let module = memchr::memmem::rfind(file, b"-packages/").map(|at| &file[at + 10..]);
        if let (Some(module), Some(function)) = (module, function)
            && is_own(module, &pending.program)
        {
            pending.frame.clear();
            let module = module.strip_suffix(b".py").unwrap_or(module);
            pending.frame.extend(module.iter().map(|c| if *c == b'/' { b'.' } else { *c }));
            pending.frame.push(b':');
            pending.frame.extend_from_slice(function);
        }
    } else if let Some(class) = class_of(line) {
        pending.exception.clear();
        pending.exception.extend_from_slice(class);
    }
}

/// Whether a module is of the same project as the logger.
fn is_own(module: &[u8], logger: &[u8]) -> bool {
    let project = logger.split(|c| *c == b'.').next().unwrap_or_default();
    let own = module.split(|c| *c == b'/').next().unwrap_or_default();
    project == own || project.is_empty()
}

/// The class at the beginning of a traceback's last line: `nova.exception.NoValidHost: No valid host was found.`
fn class_of(line: &[u8]) -> Option<&[u8]> {
    let end = line
        .iter()
        .position(|c| !(c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_')))
        .unwrap_or(line.len());
    let class = &line[..end];
    let is_ended = line.get(end).is_none_or(|c| *c == b':');
    let last = class.rsplit(|c| *c == b'.').next().unwrap_or_default();
    let is_class = is_ended && class.len() >= 4 && last.first().is_some_and(u8::is_ascii_uppercase);
    is_class.then_some(class)
}

fn join(mut a: Part, mut b: Part) -> Part {
    if a.groups.len() < b.groups.len() {
        std::mem::swap(&mut a, &mut b);
    }
    for (key, more) in b.groups {
        match a.groups.get_mut(&key) {
            None => drop(a.groups.insert(key, more)),
            Some(group) => {
                group.count += more.count;
                group.count_since_mark += more.count_since_mark;
                for (host, count) in more.hosts {
                    *group.hosts.entry(host).or_default() += count;
                }
                let least = |a: Option<Moment>, b: Option<Moment>| a.into_iter().chain(b).min();
                if more.first.is_some_and(|first| group.first.is_none_or(|own| first < own)) {
                    group.sample = more.sample;
                }
                group.first = least(group.first, more.first);
                group.first_since_mark = least(group.first_since_mark, more.first_since_mark);
                group.last = group.last.into_iter().chain(more.last).max();
            }
        }
    }
    a.files += b.files;
    a.bytes += b.bytes;
    a.lines += b.lines;
    a.records += b.records;
    a.holes += b.holes;
    a.over += b.over;
    a.unread.extend(b.unread);
    a
}

fn finish(part: Part) -> Groups {
    let mut unread = part.unread;
    if part.over > 0 {
        unread.push(Unread {
            what: format!("{} errors", part.over),
            why: format!("they are of more than {GROUPS_MAX} kinds"),
        });
    }
    let mut groups: Vec<Group> = part
        .groups
        .into_iter()
        .map(|(key, counted)| {
            let name: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
            let told = format!("{} {} {}", counted.sample, counted.exception, counted.frame);
            Group {
                id: name[..NAME_LETTERS].to_owned(),
                severity: counted.severity.unwrap_or(Severity::Error),
                known: known(told.as_bytes()),
                service: counted.service,
                program: counted.program,
                message: counted.message,
                exception: counted.exception,
                frame: counted.frame,
                sample: counted.sample,
                count: counted.count,
                count_since_mark: counted.count_since_mark,
                hosts: counted.hosts.into_iter().map(|(host, count)| (host.into(), count)).collect(),
                first: counted.first,
                last: counted.last,
                first_since_mark: counted.first_since_mark,
            }
        })
        .collect();
    groups.sort_by(|a, b| b.severity.cmp(&a.severity).then(b.count.cmp(&a.count)).then(a.id.cmp(&b.id)));
    unread.sort();
    Groups {
        groups,
        files: part.files,
        bytes: part.bytes,
        lines: part.lines,
        records: part.records,
        holes: part.holes,
        unread,
    }
}
