//! Finds records that hold one of some ids: whole logs at the speed of reading, or only the part around known times.
//!
//! Blocks without a hit are never taken apart. It follows nothing by itself.

use super::{By, Step};
use crate::clock::{Clock, Moment};
use crate::group::service_of;
use crate::line::{Severity, head};
use crate::mask::{is_uuid, without_secrets};
use crate::place::{Source, Unread};
use crate::read::{Blocks, is_packed_file};
use crate::record::Walk;
use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes that are read to learn what time it is at a place of a log.
const PROBE_BYTES: usize = 64 << 10;

/// A part of a log that is not worth another halving.
const CLOSE_ENOUGH_BYTES: u64 = 256 << 10;

/// Bytes of a message that are kept.
const MESSAGE_BYTES_MAX: usize = 2_000;

/// What logs say when lines were left out.
pub(super) const HOLES: &[&str] = &["Logging rate limit: drop after", " log messages in last "];

/// What is looked for.
pub(super) struct Needles {
    one: Option<memmem::Finder<'static>>,
    many: AhoCorasick,
    ids: usize,
}

impl Needles {
    pub(super) fn new(ids: &[String], holes: &[&str]) -> Option<Needles> {
        let all: Vec<&str> = ids.iter().map(String::as_str).chain(holes.iter().copied()).collect();
        let many = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(&all).ok()?;
        let one = match all.as_slice() {
            [only] => Some(memmem::Finder::new(only.as_bytes()).into_owned()),
            _ => None,
        };
        Some(Needles { one, many, ids: ids.len() })
    }

    fn first(&self, text: &[u8]) -> Option<usize> {
        match &self.one {
            Some(one) => one.find(text),
            None => self.many.find(text).map(|found| found.start()),
        }
    }

    /// Whether an id, and not only a hole's words, is in the text.
    fn has_id(&self, text: &[u8]) -> bool {
        match &self.one {
            Some(one) => self.ids > 0 && one.find(text).is_some(),
            None => self.many.find_iter(text).any(|found| found.pattern().as_usize() < self.ids),
        }
    }
}

/// A record as it is found.
pub(super) struct Seen {
    pub source: usize,
    pub place: u64,
    pub by: By,
    pub step: Raw,
}

/// What a record says, with what only the search needs.
#[derive(Default)]
pub(super) struct Raw {
    pub at: Option<Moment>,
    pub host: String,
    pub service: String,
    pub program: String,
    pub severity: Option<Severity>,
    pub message: String,
    pub exception: String,
    pub request: String,
    pub global: String,
    pub user: String,
    pub instance: String,
}

impl Seen {
    pub(super) fn into_step(self) -> Step {
        let raw = self.step;
        Step {
            at: raw.at.unwrap_or(0),
            host: raw.host,
            service: raw.service,
            program: raw.program,
            severity: raw.severity.unwrap_or(Severity::Info),
            message: raw.message,
            exception: raw.exception,
            request: raw.request,
            global: raw.global,
            by: self.by,
        }
    }
}

#[derive(Default)]
pub(super) struct Found {
    pub seen: Vec<Seen>,
    pub holes: BTreeMap<String, u64>,
    pub bytes: u64,
    pub unread: Vec<Unread>,
}

/// Looks through one log, or its parts around given times.
pub(super) fn search(
    number: usize,
    source: &Source,
    needles: &Needles,
    windows: Option<&[(Moment, Moment)]>,
    by: By,
) -> Found {
    let mut found = Found::default();
    let unread = |why: String| Unread { what: source.name.clone(), why };
    let parts: Vec<(u64, Option<u64>)> = match windows {
        None => vec![(0, None)],
        // A packed log has no middle to begin in.
        Some(_) if is_packed_file(&source.path) => vec![(0, None)],
        Some(windows) => match parts_of(source, windows) {
            Ok(parts) => parts,
            Err(error) => {
                found.unread.push(unread(error.to_string()));
                return found;
            }
        },
    };
    for (from, to) in parts {
        let opened = match to {
            None => Blocks::open(&source.path),
            Some(to) => Blocks::part(&source.path, from, to),
        };
        let mut blocks = match opened {
            Ok(blocks) => blocks,
            Err(error) => {
                found.unread.push(unread(error.to_string()));
                return found;
            }
        };
        let mut clock = source.clock.clone();
        let mut place = from;
        while let Some(block) = blocks.next_block() {
            if let Some(first) = needles.first(block) {
                let is_export = block.starts_with(b"__CURSOR=");
                let pass = Pass { number, source, needles, windows, by, place, is_export };
                pass.take(block, first, &mut clock, &mut found);
            }
            place += block.len() as u64;
        }
        found.bytes += blocks.bytes();
        if let Err(error) = blocks.ending() {
            found.unread.push(unread(error.to_string()));
        }
    }
    found
}

struct Pass<'a> {
    number: usize,
    source: &'a Source,
    needles: &'a Needles,
    windows: Option<&'a [(Moment, Moment)]>,
    by: By,
    place: u64,
    is_export: bool,
}

impl Pass<'_> {
    /// Takes the records with a hit out of a block.
    fn take(&self, block: &[u8], first: usize, clock: &mut Clock, found: &mut Found) {
        // Where the record of the first hit begins: what is before it needs no look.
        let from = record_before(block, first, self.is_export);
        let mut walk = Walk::new(self.is_export);
        let mut open: Vec<(u64, Seen)> = Vec::new();
        // Heads of the records whose later lines may hold the id.
        let mut recent: Vec<(u64, usize)> = Vec::new();
        let text = &block[from..];
        walk.block(text, |line| {
            if line.begins {
                if recent.len() == crate::record::OPEN_MAX + 1 {
                    recent.remove(0);
                }
                recent.push((line.record, line.at));
            }
            let known = open.iter().rposition(|(record, _)| *record == line.record);
            if let Some(known) = known {
                // The last line of a traceback that begins with a name is the exception.
                let said = match &line.head {
                    Some(head) => head.details().message.into_owned(),
                    None => line.text.to_vec(),
                };
                if !said.is_empty() && !said.starts_with(b" ") && !said.starts_with(b"Traceback") {
                    let seen = &mut open[known].1;
                    seen.step.exception = shown(&said);
                }
                return;
            }
            let has_hit = if self.is_export && line.begins {
                let end =
                    memmem::find(&text[line.at..], b"\n__CURSOR=").map_or(text.len(), |at| line.at + at);
                self.needles.first(&text[line.at..end]).is_some()
            } else {
                self.needles.first(line.text).is_some()
            };
            if !has_hit {
                return;
            }
            let begin =
                recent.iter().rev().find(|(record, _)| *record == line.record).map_or(line.at, |(_, at)| *at);
            if let Some(seen) = self.seen(text, begin, line.text, clock, found, from) {
                open.push((line.record, seen));
                if open.len() > 64 {
                    found.seen.push(open.remove(0).1);
                }
            }
        });
        found.seen.extend(open.into_iter().map(|(_, seen)| seen));
    }

    fn seen(
        &self,
        text: &[u8],
        begin: usize,
        hit: &[u8],
        clock: &mut Clock,
        found: &mut Found,
        from: usize,
    ) -> Option<Seen> {
        let end = memchr::memchr(b'\n', &text[begin..]).map_or(text.len(), |length| begin + length);
        let below = text.get(end + 1..).unwrap_or_default();
        let head = head(&text[begin..end], below)?;
        let at = head.when.stamp().map(|stamp| clock.moment(stamp));
        if let (Some(windows), Some(at)) = (self.windows, at)
            && !windows.iter().any(|(from, to)| (*from..=*to).contains(&at))
        {
            return None;
        }
        if !self.is_export && !self.needles.has_id(hit) {
            *found.holes.entry(self.source.name.clone()).or_default() += 1;
            return None;
        }
        let details = head.details();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let step = Raw {
            at,
            host: if head.host.is_empty() { self.source.host.clone() } else { text(head.host) },
            service: text(service_of(&head, self.source)),
            program: text(head.program),
            severity: Some(head.severity),
            message: shown(&details.message),
            exception: details.exception.as_ref().map(|said| shown(said)).unwrap_or_default(),
            request: text(details.request),
            global: text(details.global),
            user: text(details.user),
            instance: text(details.instance),
        };
        Some(Seen { source: self.number, place: self.place + (from + begin) as u64, by: self.by, step })
    }
}

fn shown(message: &[u8]) -> String {
    let kept = &message[..message.len().min(MESSAGE_BYTES_MAX)];
    String::from_utf8_lossy(&without_secrets(kept)).into_owned()
}

/// Where the record begins that holds a byte of the block.
fn record_before(block: &[u8], at: usize, is_export: bool) -> usize {
    if is_export {
        return memmem::rfind(&block[..at], b"\n__CURSOR=").map_or(0, |at| at + 1);
    }
    let mut begin = memchr::memrchr(b'\n', &block[..at]).map_or(0, |at| at + 1);
    loop {
        let end = memchr::memchr(b'\n', &block[begin..]).map_or(block.len(), |length| begin + length);
        if begin == 0 || head(&block[begin..end], b"").is_some_and(|head| !head.is_bare && !head.is_wrapped) {
            return begin;
        }
        begin = memchr::memrchr(b'\n', &block[..begin - 1]).map_or(0, |at| at + 1);
    }
}

/// The parts of a log that hold given times. Its lines are taken to be in order, give or take the windows' own width.
fn parts_of(source: &Source, windows: &[(Moment, Moment)]) -> std::io::Result<Vec<(u64, Option<u64>)>> {
    let file = File::open(&source.path)?;
    let length = file.metadata()?.len();
    let mut parts: Vec<(u64, Option<u64>)> = Vec::new();
    for (from, to) in windows {
        let begin = offset_of(&file, source, length, *from)?;
        let end = (offset_of(&file, source, length, *to)? + 2 * CLOSE_ENOUGH_BYTES).min(length);
        match parts.last_mut() {
            Some((_, Some(last))) if begin <= *last => *last = end.max(*last),
            _ if end > begin => parts.push((begin, Some(end))),
            _ => {}
        }
    }
    Ok(parts)
}

/// A place in a log before which all is older, at the beginning of a record.
fn offset_of(file: &File, source: &Source, length: u64, moment: Moment) -> std::io::Result<u64> {
    let (mut low, mut high) = (0, length);
    let mut probe = vec![0u8; PROBE_BYTES];
    while high - low > CLOSE_ENOUGH_BYTES {
        let middle = low + (high - low) / 2;
        match record_at(file, source, middle, &mut probe)? {
            Some((_, at)) if at < moment => low = middle,
            _ => high = middle,
        }
    }
    if low == 0 {
        return Ok(0);
    }
    Ok(record_at(file, source, low, &mut probe)?.map_or(low, |(place, _)| place))
}

/// The first record with a time behind a place, and its time.
fn record_at(
    file: &File,
    source: &Source,
    place: u64,
    probe: &mut [u8],
) -> std::io::Result<Option<(u64, Moment)>> {
    let length = file.read_at(probe, place)?;
    let text = &probe[..length];
    let Some(mut at) = memchr::memchr(b'\n', text).map(|at| at + 1) else { return Ok(None) };
    let mut clock = source.clock.clone();
    while let Some(end) = memchr::memchr(b'\n', &text[at..]).map(|length| at + length) {
        let found = head(&text[at..end], &text[end + 1..]).filter(|head| !head.is_bare);
        if let Some(stamp) = found.and_then(|head| head.when.stamp()) {
            return Ok(Some((place + at as u64, clock.moment(stamp))));
        }
        at = end + 1;
    }
    Ok(None)
}

/// Ports and volumes that a message names: a uuid with such a word shortly before it.
pub(super) fn resources_in(message: &[u8]) -> Vec<(&'static str, String)> {
    const WORD_WITHIN: usize = 28;
    let mut found = Vec::new();
    let mut at = 0;
    while at + 36 <= message.len() {
        let is_begin = at == 0 || !message[at - 1].is_ascii_alphanumeric();
        if !(is_begin && message[at].is_ascii_hexdigit() && is_uuid(&message[at..])) {
            at += 1;
            continue;
        }
        let before: Vec<u8> = message[at.saturating_sub(WORD_WITHIN)..at].to_ascii_lowercase();
        let place = |word: &[u8]| memmem::rfind(&before, word);
        // The nearest word counts: "port X of network Y".
        let kinds: [(&'static str, Option<usize>); 7] = [
            ("port", place(b"port").max(place(b"vif-plugged")).max(place(b"lport"))),
            ("volume", place(b"volume")),
            ("network", place(b"network ").max(place(b"networks/"))),
            ("image", place(b"image")),
            ("instance", place(b"instance").max(place(b"server"))),
            ("provider", place(b"provider").max(place(b"node"))),
            ("request", place(b"req-")),
        ];
        if let Some((kind, _)) = kinds.iter().filter(|(_, at)| at.is_some()).max_by_key(|(_, at)| *at)
            && matches!(*kind, "port" | "volume")
        {
            found.push((*kind, String::from_utf8_lossy(&message[at..at + 36]).into_owned()));
        }
        at += 36;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_volumes_are_known_by_the_word_before_them() {
        let id = "3871bf29-1111-4222-8333-444455556666";
        let kinds = |text: &str| {
            let text = text.replace('X', id);
            resources_in(text.as_bytes()).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds("Successfully created port: X"), ["port"]);
        assert_eq!(kinds("Creating event network-vif-plugged:X for instance X"), ["port"]);
        assert_eq!(kinds("PUT /v2.0/ports/X HTTP/1.1"), ["port"]);
        assert_eq!(kinds("Booting with volume X at /dev/vda"), ["volume"]);
        assert_eq!(kinds("image X, instance X, req-X, network X"), Vec::<&str>::new());
    }
}
