//! Which lines make up one record: every line belongs to exactly one.
//!
//! A line with a head begins one; a line without continues the one above it. Lines of a traceback, and of a wrapped
//! service's output, carry heads of their own and may be mixed with those of other threads: they go to the record of the same
//! speaker. It keeps a few open records and never a text.

use crate::line::{Head, Severity, export_length, head, is_ordinary};
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// Records whose tracebacks may be open at the same time in one file: one for each of a service's busy threads.
pub const OPEN_MAX: usize = 16;

/// How long after its last line a record may still be continued by a line with a head of its own.
const PAUSE_US: i64 = 2_000_000;

/// A line and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The record, counted from 0 in each log.
    pub record: u64,
    /// Whether it begins that record.
    pub begins: bool,
    /// Its head, where it has one; a record may begin without one at the top of a log.
    pub head: Option<Head<'a>>,
    /// The line without its end.
    pub text: &'a [u8],
    /// Where it begins in the block.
    pub at: usize,
}

struct Open {
    key: u64,
    record: u64,
    last_us: i64,
    is_traceback: bool,
}

/// Goes through the blocks of one log.
pub struct Walk {
    next: u64,
    last: Option<u64>,
    open: Vec<Open>,
    partial: Option<u64>,
    is_export: bool,
    passes_ordinary: bool,
    passed: u64,
}

impl Walk {
    /// From the beginning of a log. `is_export`: it is the output of `journalctl -o export`.
    pub fn new(is_export: bool) -> Walk {
        Walk {
            next: 0,
            last: None,
            open: Vec::with_capacity(OPEN_MAX),
            partial: None,
            is_export,
            passes_ordinary: false,
            passed: 0,
        }
    }

    /// The same for a reader who wants no heads below a warning of the most common form: they are counted and passed by.
    pub fn passing_ordinary(self) -> Walk {
        Walk { passes_ordinary: true, ..self }
    }

    /// Lines that were passed by.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Records begun so far.
    pub fn records(&self) -> u64 {
        self.next
    }

    /// Calls back with each line of a block.
    #[inline]
    pub fn block<'a>(&mut self, block: &'a [u8], mut each: impl FnMut(Line<'a>)) {
        let mut at = 0;
        while at < block.len() {
            let end = memchr::memchr(b'\n', &block[at..]).map_or(block.len(), |length| at + length);
            let text = &block[at..end];
            if self.passes_ordinary && self.partial.is_none() && is_ordinary(text) && !self.is_export {
                self.last = Some(self.begin());
                self.passed += 1;
                at = end + 1;
                continue;
            }
            let below = block.get(end + 1..).unwrap_or_default();
            let found =
                if self.is_export && !text.starts_with(b"__CURSOR=") { None } else { head(text, below) };
            let (record, begins) = match found {
                None => match self.last {
                    Some(record) => (record, false),
                    None => (self.begin(), true),
                },
                Some(head) if head.is_bare || head.is_wrapped || self.partial.is_some() => self.place(&head),
                Some(head) => {
                    if head.severity >= Severity::Warning {
                        self.remember(&head, self.next);
                    }
                    (self.begin(), true)
                }
            };
            self.last = Some(record);
            if self.passes_ordinary
                && self.is_export
                && begins
                && found.is_some_and(|head| head.severity < Severity::Warning)
            {
                let after = (end + 1).min(block.len()) + export_length(below);
                self.passed += count_lines(&block[at..after]);
                at = after;
                continue;
            }
            each(Line { record, begins, head: found, text, at });
            at = end + 1;
        }
    }

    fn begin(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// A line that may belong to a record which is not the one above it.
    #[inline(never)]
    fn place(&mut self, head: &Head<'_>) -> (u64, bool) {
        let speaker = head.is_wrapped.then(|| key(b"wrapped", head.speaker, head.speaker_pid));
        if let Some(speaker) = speaker
            && self.partial.take_if(|open| *open == speaker).is_some()
        {
            // The rest of a line that a container's runtime had cut.
            self.partial = head.is_partial.then_some(speaker);
            if let Some(open) = self.open.iter().rev().find(|open| open.key == speaker) {
                return (open.record, false);
            }
        }
        if head.is_partial {
            self.partial = speaker;
        }
        let own = if head.is_bare {
            Some(key(b"logger", head.program, head.pid))
        } else {
            speaker.filter(|_| !head.has_inner)
        };
        if let Some(own) = own
            && let Some(open) = self.open.iter_mut().rev().find(|open| open.key == own)
        {
            let at = head.when.stamp().map_or(open.last_us, |stamp| stamp.civil_us);
            let begins_traceback = head.is_bare && is_traceback(head.rest);
            let goes_on = !head.is_bare || open.is_traceback || begins_traceback;
            if goes_on && (at - open.last_us).abs() <= PAUSE_US {
                open.last_us = at;
                open.is_traceback |= begins_traceback;
                return (open.record, false);
            }
        }
        let record = self.begin();
        // What goes on by its logger's name is a traceback: below a warning there is none.
        if head.severity >= Severity::Warning {
            self.remember(head, record);
        }
        if head.is_bare
            && let Some(open) = self.open.last_mut()
        {
            open.is_traceback = is_traceback(head.rest);
        }
        if let Some(speaker) = speaker
            && (head.has_inner || head.is_partial)
        {
            self.put(speaker, head, record);
        }
        (record, true)
    }

    fn remember(&mut self, head: &Head<'_>, record: u64) {
        if !head.is_wrapped || head.has_inner {
            self.put(key(b"logger", head.program, head.pid), head, record);
        }
    }

    fn put(&mut self, key: u64, head: &Head<'_>, record: u64) {
        self.open.retain(|open| open.key != key);
        if self.open.len() == OPEN_MAX {
            self.open.remove(0);
        }
        let last_us = head.when.stamp().map_or(0, |stamp| stamp.civil_us);
        self.open.push(Open { key, record, last_us, is_traceback: false });
    }
}

/// Whether a line with a head of its own, but no context, begins a traceback or stands inside one.
fn is_traceback(rest: &[u8]) -> bool {
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let rest = match rest.strip_prefix(b"[instance: ") {
        Some(after) => after.get(38..).unwrap_or_default(),
        None => rest,
    };
    rest.is_empty() || rest.starts_with(b"Traceback (most recent call last)") || rest.starts_with(b"  ")
}

/// Lines of a text; the last one may have no end.
fn count_lines(text: &[u8]) -> u64 {
    let ends = memchr::memchr_iter(b'\n', text).count();
    (ends + usize::from(!text.is_empty() && !text.ends_with(b"\n"))) as u64
}

fn key(kind: &[u8], name: &[u8], pid: &[u8]) -> u64 {
    FixedState::default().hash_one((kind, name, pid))
}
