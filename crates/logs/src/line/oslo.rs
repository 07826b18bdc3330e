//! oslo.log's text: `2026-11-21 18:40:02.114 4711 INFO nova.compute.manager [context] [instance: …] message`.
//!
//! The prefix is cut by position. The number of words in the context decides what they mean, never a release: hosts of one
//! cloud run different ones. Nothing here searches a pattern.

use super::{Form, Head, Severity, When, plain};

/// Characters of a process number; more is something else.
pub(super) const PID_DIGITS_MAX: usize = 10;

/// The usual line, judged by its punctuation.
#[inline]
pub(super) fn head(line: &[u8]) -> Option<Head<'_>> {
    // "2026-11-21 18:40:02.114 1 INFO x" is the shortest.
    let b = line.get(..32)?;
    if b[4] != b'-' || b[7] != b'-' || b[13] != b':' || b[16] != b':' || b[19] != b'.' || b[10] != b' ' {
        return None;
    }
    let time_end =
        if b[23] == b' ' { 23 } else { 20 + line[20..].iter().take(7).position(|c| *c == b' ')? };
    after_time(When::Iso(&line[..time_end]), &line[time_end + 1..])
}

/// What follows the time: process, level, logger.
#[inline]
pub(super) fn after_time<'a>(when: When<'a>, rest: &'a [u8]) -> Option<Head<'a>> {
    let digits = rest.iter().take(PID_DIGITS_MAX + 1).take_while(|c| c.is_ascii_digit()).count();
    if digits == 0 || digits > PID_DIGITS_MAX || rest.get(digits) != Some(&b' ') {
        return None;
    }
    let (pid, rest) = (&rest[..digits], plain(&rest[digits + 1..]));
    let (severity, length) = level(rest)?;
    let rest = rest.get(length + 1..)?;
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let (program, rest) = (&rest[..end], &rest[end..]);
    if program.is_empty()
        || !program.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
    {
        return None;
    }
    let is_bare = severity >= Severity::Error && !has_context(rest);
    Some(Head { pid, program, rest, is_bare, ..Head::new(Form::Oslo, severity, when) })
}

/// Whether a bracket with a request's context follows; an instance's does not count.
fn has_context(rest: &[u8]) -> bool {
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    plain(rest).starts_with(b"[") && !rest.starts_with(b"[instance: ")
}

/// The level at the beginning, with its length; a blank must follow.
#[inline]
fn level(rest: &[u8]) -> Option<(Severity, usize)> {
    let (severity, length) = match rest.first()? {
        b'I' if rest.starts_with(b"INFO") => (Severity::Info, 4),
        b'D' if rest.starts_with(b"DEBUG") => (Severity::Debug, 5),
        b'W' if rest.starts_with(b"WARNING") => (Severity::Warning, 7),
        b'E' if rest.starts_with(b"ERROR") => (Severity::Error, 5),
        b'C' if rest.starts_with(b"CRITICAL") => (Severity::Critical, 8),
        b'T' if rest.starts_with(b"TRACE") => (Severity::Error, 5),
        b'A' if rest.starts_with(b"AUDIT") => (Severity::Info, 5),
        _ => return None,
    };
    (rest.get(length) == Some(&b' ')).then_some((severity, length))
}

/// `INFO nova.compute.manager [None req-… admin admin] message`: a service's own words inside a journal. It needs its
/// bracket, or it would be any sentence that begins with such a word.
pub(super) fn short<'a>(line: &'a [u8], depth: usize) -> Option<Head<'a>> {
    if depth == 0 {
        return None;
    }
    let (severity, length) = level(line)?;
    let rest = line.get(length + 1..)?;
    let end = memchr::memchr(b' ', rest)?;
    let (program, rest) = (&rest[..end], &rest[end..]);
    let is_logger = program.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'));
    let speaks = is_logger && (has_context(rest) || memchr::memchr(b'.', program).is_some());
    if !speaks {
        return None;
    }
    let is_bare = severity >= Severity::Error && !has_context(rest);
    Some(Head { program, rest, is_bare, ..Head::new(Form::OsloShort, severity, When::Never) })
}

/// What a context and the message behind it say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    pub request: &'a [u8],
    pub global: &'a [u8],
    pub user: &'a [u8],
    pub project: &'a [u8],
    pub instance: &'a [u8],
    pub message: &'a [u8],
}

/// Reads what follows the logger.
pub(crate) fn told(rest: &[u8]) -> Told<'_> {
    let mut told = Told::default();
    let mut rest = plain(rest.strip_prefix(b" ").unwrap_or(rest));
    // The context itself; a message may begin with brackets as well, and is left alone then.
    if rest.first() == Some(&b'[')
        && !rest.starts_with(b"[instance: ")
        && let Some(end) = memchr::memchr(b']', &rest[..rest.len().min(600)])
        && context(plain(&rest[1..end]), &mut told)
    {
        rest = &rest[end + 1..];
        rest = rest.strip_prefix(b" ").unwrap_or(rest);
    }
    if let Some(after) = rest.strip_prefix(b"[instance: ")
        && let Some(end) = memchr::memchr(b']', &after[..after.len().min(64)])
    {
        told.instance = &after[..end];
        rest = &after[end + 1..];
        rest = rest.strip_prefix(b" ").unwrap_or(rest);
    }
    told.message = rest;
    told
}

fn context<'a>(text: &'a [u8], told: &mut Told<'a>) -> bool {
    if text == b"-" {
        return true;
    }
    let mut words: [&[u8]; 12] = [b""; 12];
    let mut count = 0;
    for word in text.split(|c| *c == b' ') {
        if count < words.len() {
            words[count] = word;
        }
        count += 1;
    }
    let is_request = |word: &[u8]| {
        let word = word.strip_prefix(b"g").unwrap_or(word);
        word.starts_with(b"req-") && word.len() >= 12
    };
    let value = |word: &'a [u8]| if word == b"-" || word == b"None" { b"" as &[u8] } else { word };
    let global = |word: &'a [u8]| {
        let word = word.strip_prefix(b"g").unwrap_or(word);
        value(if word == b"None" { b"" } else { word })
    };
    let first_is_global = is_request(words[0]) || words[0] == b"None" || words[0] == b"gNone";
    if first_is_global && is_request(words[1]) {
        told.global = global(words[0]);
        told.request = words[1];
        told.user = value(words[2]);
        told.project = value(words[3]);
        return true;
    }
    if is_request(words[0]) {
        told.request = words[0];
        told.user = value(words[1]);
        told.project = value(words[2]);
        return true;
    }
    // A context that a site made its own: it is one if it holds a request somewhere.
    match words.iter().find(|word| is_request(word)) {
        Some(word) => {
            told.request = word;
            true
        }
        None => {
            count == 1 && text.len() <= 40 && text.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'-')
        }
    }
}
