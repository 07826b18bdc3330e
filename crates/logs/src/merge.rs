//! Many logs as one stream in true order of time.
//!
//! Each log is read block by block; a heap of their next times says whose turn it is. Memory depends on the number of logs
//! that overlap, never on their size. It writes nothing itself: each record is handed on.

use crate::clock::{Clock, Moment};
use crate::line::{Severity, head};
use crate::mask::{suspects, without_secrets};
use crate::place::{Source, Unread};
use crate::read::Blocks;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Logs that may be open at the same time. With blocks of `CROWDED_BLOCK_BYTES` they hold some 60 MB.
pub const OPEN_MAX: usize = 512;

/// Logs up to which each gets big blocks.
const FEW: usize = 48;

/// Bytes of a block where many logs are open.
const CROWDED_BLOCK_BYTES: usize = 48 << 10;

/// Bytes at the beginning of a log in which its first time must be.
const FIRST_WITHIN: usize = 64 << 10;

/// Lines of one log that are out of order by less are put in order; busy processes write so. More is a clock that was set back.
const SHUFFLED_US: i64 = 5_000_000;

/// What came of it.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Merged {
    /// Logs that were read.
    pub files: u64,
    /// Records that were handed on.
    pub records: u64,
    /// Bytes that were read, unpacked.
    pub bytes: u64,
    /// Times that jump back within a log, by its name.
    pub jumps: Vec<(String, u64)>,
    /// What was not read.
    pub unread: Vec<Unread>,
}

/// A record in its place.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Which log, by its place in the list.
    pub source: usize,
    /// When.
    pub at: Moment,
    /// All its lines, with the end of the last one.
    pub text: &'a [u8],
    /// Whether it holds a word near which secrets stand.
    pub is_suspect: bool,
}

struct Stream {
    blocks: Blocks,
    clock: Clock,
    /// Time, begin, end of each record of the block, and whether it may hold a secret.
    index: Vec<(Moment, u32, u32, bool)>,
    next: usize,
    last: Moment,
    jumps: u64,
}

impl Stream {
    /// The time of the next record; none: the log has ended.
    fn peek(&mut self) -> Option<Moment> {
        while self.next >= self.index.len() {
            self.blocks.next_block()?;
            self.lay_out();
        }
        Some(self.index[self.next].0)
    }

    /// Finds the records of the block and puts them in order.
    fn lay_out(&mut self) {
        self.index.clear();
        self.next = 0;
        let block = self.blocks.current();
        let mut suspects = suspects(block).peekable();
        let is_export = self.blocks.is_export();
        let (mut at, mut is_sorted, mut highest) = (0, true, self.last);
        while at < block.len() {
            let end = memchr::memchr(b'\n', &block[at..]).map_or(block.len(), |length| at + length + 1);
            let text = &block[at..end];
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            let is_inside = is_export && !text.starts_with(b"__CURSOR=");
            let found = if is_inside { None } else { head(text, &block[end..]) };
            let mut is_suspect = false;
            while suspects.next_if(|suspect| *suspect < end).is_some() {
                is_suspect = true;
            }
            match (found, self.index.last_mut()) {
                (None, Some(last)) => {
                    last.2 = end as u32;
                    last.3 |= is_suspect;
                }
                (found, _) => {
                    let stamp = found.and_then(|head| head.when.stamp());
                    let mut moment = stamp.map_or(highest, |stamp| self.clock.moment(stamp));
                    if moment < highest {
                        if moment < highest.saturating_sub(SHUFFLED_US) {
                            // The clock was set back: what was written later stays later.
                            self.jumps += 1;
                            moment = highest;
                        } else {
                            is_sorted = false;
                        }
                    }
                    highest = highest.max(moment);
                    self.index.push((moment, at as u32, end as u32, is_suspect));
                }
            }
            at = end;
        }
        if !is_sorted {
            self.index.sort_by_key(|(moment, ..)| *moment);
        }
        self.last = highest;
    }
}

/// The first time in a log; none where none is found near its beginning.
fn first_moment(source: &Source) -> Result<Option<Moment>, String> {
    let mut blocks =
        Blocks::open(&source.path).map_err(|error| error.to_string())?.in_blocks_of(FIRST_WITHIN);
    let mut clock = source.clock.clone();
    let Some(block) = blocks.next_block() else {
        return blocks.ending().map(|()| None).map_err(|error| error.to_string());
    };
    let mut rest = block;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let below = rest.get(end + 1..).unwrap_or_default();
        if let Some(stamp) = head(&rest[..end], below).and_then(|head| head.when.stamp()) {
            return Ok(Some(clock.moment(stamp)));
        }
        rest = below;
    }
    Ok(None)
}

/// Hands on every record of the logs in order of time. `hand_on` answers false to stop.
pub fn merge(
    sources: &[Source],
    since: Option<Moment>,
    until: Option<Moment>,
    mut hand_on: impl FnMut(Placed<'_>) -> bool,
) -> Merged {
    let mut merged = Merged::default();
    // The logs in the order in which they begin: a log is opened when its time has come.
    let mut waiting: Vec<(Moment, usize)> = Vec::with_capacity(sources.len());
    for (number, source) in sources.iter().enumerate() {
        match first_moment(source) {
            Ok(first) => waiting.push((first.unwrap_or(Moment::MIN), number)),
            Err(why) => merged.unread.push(Unread { what: source.name.clone(), why }),
        }
    }
    waiting.sort_unstable_by_key(|entry| Reverse(*entry));
    let is_crowded = sources.len() > FEW;
    let mut streams: Vec<Option<Stream>> = Vec::new();
    streams.resize_with(sources.len(), || None);
    let mut open = 0;
    // Time, whether it is only waiting, number.
    let mut heap: BinaryHeap<Reverse<(Moment, usize)>> = BinaryHeap::new();
    'all: loop {
        // Whoever begins before the next record is opened first.
        while let Some((first, number)) = waiting.last().copied() {
            if heap.peek().is_some_and(|Reverse((next, _))| *next < first) {
                break;
            }
            waiting.pop();
            let source = &sources[number];
            if open >= OPEN_MAX {
                let why = format!("more than {OPEN_MAX} logs overlap in time; merge fewer at once");
                merged.unread.push(Unread { what: source.name.clone(), why });
                continue;
            }
            let blocks = match Blocks::open(&source.path) {
                Ok(blocks) if is_crowded => blocks.in_blocks_of(CROWDED_BLOCK_BYTES),
                Ok(blocks) => blocks,
                Err(error) => {
                    merged.unread.push(Unread { what: source.name.clone(), why: error.to_string() });
                    continue;
                }
            };
            merged.files += 1;
            let mut stream = Stream {
                blocks,
                clock: source.clock.clone(),
                index: Vec::new(),
                next: 0,
                last: Moment::MIN,
                jumps: 0,
            };
            match stream.peek() {
                Some(at) => {
                    heap.push(Reverse((at, number)));
                    streams[number] = Some(stream);
                    open += 1;
                }
                None => close(&mut merged, source, stream),
            }
        }
        let Some(Reverse((_, number))) = heap.pop() else { break };
        let bound = heap.peek().map_or(Moment::MAX, |Reverse((at, _))| *at);
        let bound = waiting.last().map_or(bound, |(at, _)| bound.min(*at));
        let Some(stream) = streams[number].as_mut() else { continue };
        loop {
            let Some(at) = stream.peek() else {
                if let Some(stream) = streams[number].take() {
                    open -= 1;
                    close(&mut merged, &sources[number], stream);
                }
                break;
            };
            if at > bound {
                heap.push(Reverse((at, number)));
                break;
            }
            let (_, begin, end, is_suspect) = stream.index[stream.next];
            stream.next += 1;
            if since.is_some_and(|since| at < since) {
                continue;
            }
            if until.is_some_and(|until| at > until) {
                break 'all;
            }
            merged.records += 1;
            let text = &stream.blocks.current()[begin as usize..end as usize];
            if !hand_on(Placed { source: number, at, text, is_suspect }) {
                break 'all;
            }
        }
    }
    for (number, stream) in streams.into_iter().enumerate() {
        if let Some(stream) = stream {
            close(&mut merged, &sources[number], stream);
        }
    }
    merged.unread.sort();
    merged
}

fn close(merged: &mut Merged, source: &Source, mut stream: Stream) {
    merged.bytes += stream.blocks.bytes();
    if stream.jumps > 0 {
        merged.jumps.push((source.name.clone(), stream.jumps));
    }
    if let Err(error) = stream.blocks.ending() {
        merged.unread.push(Unread { what: source.name.clone(), why: error.to_string() });
    }
}

/// How a merge is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Each line with its moment, host and log.
    Told,
    /// Lines as they are.
    Plain,
    /// One JSON object for each record.
    Json,
}

/// Bytes that are handed on at once.
const PIECE_BYTES: usize = 1 << 18;

/// Writes every record of the logs in order of time, without secrets. `take` answers false to stop.
pub fn write(
    sources: &[Source],
    since: Option<Moment>,
    until: Option<Moment>,
    style: Style,
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Merged {
    let mut out: Vec<u8> = Vec::with_capacity(2 * PIECE_BYTES);
    let mut prefix = Prefix { at: Moment::MIN, text: Vec::new() };
    let merged = merge(sources, since, until, |placed| {
        let text = if placed.is_suspect { without_secrets(placed.text) } else { placed.text.into() };
        let source = &sources[placed.source];
        match style {
            Style::Plain => {
                out.extend_from_slice(&text);
                if !text.ends_with(b"\n") {
                    out.push(b'\n');
                }
            }
            Style::Told => {
                let time = prefix.of(placed.at);
                let mut rest = text.strip_suffix(b"\n").unwrap_or(&text);
                loop {
                    let end = memchr::memchr(b'\n', rest);
                    out.extend_from_slice(time);
                    out.extend_from_slice(source.name.as_bytes());
                    out.push(b' ');
                    out.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
                    out.push(b'\n');
                    let Some(end) = end else { break };
                    rest = &rest[end + 1..];
                }
            }
            Style::Json => {
                let first = memchr::memchr(b'\n', placed.text).map_or(placed.text, |end| &placed.text[..end]);
                let severity = head(first, b"").map_or(Severity::Info, |head| head.severity);
                let line = serde_json::json!({
                    "at": crate::clock::text(placed.at), "host": source.host, "log": source.name, "severity": severity,
                    "text": String::from_utf8_lossy(&text).trim_end_matches('\n'),
                });
                out.extend_from_slice(line.to_string().as_bytes());
                out.push(b'\n');
            }
        }
        if out.len() < PIECE_BYTES {
            return true;
        }
        let goes_on = take(&out);
        out.clear();
        goes_on
    });
    take(&out);
    merged
}

/// A moment in front of a line; the next one mostly differs in its last digits only.
struct Prefix {
    at: Moment,
    text: Vec<u8>,
}

impl Prefix {
    fn of(&mut self, at: Moment) -> &[u8] {
        /// Where the microseconds stand in `2026-11-21T18:40:02.114123Z `.
        const FRACTION: usize = 20;
        if at != self.at {
            if at.div_euclid(1_000_000) == self.at.div_euclid(1_000_000) && self.text.len() > FRACTION + 6 {
                let mut rest = at.rem_euclid(1_000_000);
                for place in (FRACTION..FRACTION + 6).rev() {
                    self.text[place] = b'0' + (rest % 10) as u8;
                    rest /= 10;
                }
            } else {
                self.text.clear();
                crate::clock::write(at, &mut self.text);
                self.text.push(b' ');
            }
            self.at = at;
        }
        &self.text
    }
}
