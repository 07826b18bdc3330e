//! Lines that are one JSON object, and `journalctl -o export`.
//!
//! Keys of the outermost object are walked without building it: most lines are passed by. It must never take a key of a
//! nested object, or of a text inside a text, for the line's own.

use super::{Form, Head, Severity, When, severity_of, severity_of_priority, stamp};
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// Keys that one object is read for; a log line with more is read no further.
const KEYS_MAX: usize = 200;

/// Calls back with each key of the outermost object and its value as it is written. False: it is no object.
pub(crate) fn fields<'a>(line: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8])) -> bool {
    let Some(mut rest) = line.trim_ascii().strip_prefix(b"{") else {
        return false;
    };
    for _ in 0..KEYS_MAX {
        rest = rest.trim_ascii_start();
        let Some(inside) = rest.strip_prefix(b"\"") else {
            return rest.starts_with(b"}");
        };
        let Some(end) = quote_end(inside) else {
            return false;
        };
        let key = &inside[..end];
        let Some(after) = inside[end + 1..].trim_ascii_start().strip_prefix(b":") else {
            return false;
        };
        let after = after.trim_ascii_start();
        let Some(length) = value_length(after) else {
            return false;
        };
        each(key, &after[..length]);
        rest = after[length..].trim_ascii_start();
        match rest.first() {
            Some(b',') => rest = &rest[1..],
            Some(b'}') => return true,
            _ => return false,
        }
    }
    true
}

/// Where the text that began before `text` ends.
fn quote_end(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', text.get(from..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        from = at + 2;
    }
}

fn value_length(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => Some(quote_end(&text[1..])? + 2),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0usize, 0);
            loop {
                at += text.get(at..)?.iter().position(|c| matches!(c, b'"' | b'{' | b'}' | b'[' | b']'))?;
                match text[at] {
                    b'"' => at += quote_end(&text[at + 1..])? + 1,
                    b'{' | b'[' => depth += 1,
                    _ => depth -= 1,
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => text.iter().position(|c| matches!(c, b',' | b'}')).map(|end| text[..end].trim_ascii_end().len()),
    }
}

/// A value without its quotes.
pub(crate) fn bare(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// A line that is one JSON object.
pub(super) fn head<'a>(line: &'a [u8], depth: usize) -> Option<Head<'a>> {
    let mut head = Head { rest: line, ..Head::new(Form::Json, Severity::Info, When::Never) };
    let (mut log, mut message, mut priority) = (None, false, None);
    let mut is_journal = false;
    let is_object = fields(line, |key, value| match key {
        b"levelname" | b"level" | b"severity" | b"log_level" | b"LOGGER_LEVEL" => {
            if let Some(found) = severity_of(bare(value)) {
                head.severity = found;
            }
        }
        b"asctime" | b"time" | b"timestamp" | b"Timestamp" | b"ts" if head.when == When::Never => {
            let text = bare(value);
            let length = stamp::iso_length(text);
            if length == Some(text.len()) {
                head.when = When::Iso(text);
            } else if text.first().is_some_and(u8::is_ascii_digit) && length.is_none() {
                head.when = When::Seconds(text);
            }
        }
        // Never less exact than `asctime`, and free of zones.
        b"created" => head.when = When::Seconds(bare(value)),
        b"name" | b"python_module" | b"SYSLOG_IDENTIFIER" | b"logger" | b"programname"
            if head.program.is_empty() =>
        {
            head.program = bare(value)
        }
        b"process" | b"pid" | b"_PID" | b"Pid" if head.pid.is_empty() => head.pid = bare(value),
        b"hostname" | b"_HOSTNAME" | b"Hostname" => head.host = bare(value),
        b"__REALTIME_TIMESTAMP" => {
            is_journal = true;
            head.when = When::Epoch(bare(value));
        }
        b"PRIORITY" => priority = stamp::number(bare(value)),
        b"MESSAGE" => {
            message = true;
            log.get_or_insert(value);
        }
        b"message" | b"msg" | b"Payload" => message = true,
        b"log" => log = Some(value),
        _ => {}
    });
    if !is_object {
        return None;
    }
    if is_journal {
        head.form = Form::JournalJson;
        if let Some(found) = priority.and_then(|found| u32::try_from(found).ok()) {
            head.severity = severity_of_priority(found);
        }
    }
    match log {
        // What a container or a service said, inside: looked at without undoing its quotes; `details` undoes them.
        Some(inner) if is_journal || !message => {
            let text = bare(inner);
            let text = text.strip_suffix(b"\\n").unwrap_or(text);
            let form = if is_journal { Form::JournalJson } else { Form::Container };
            let outer = head;
            let head = Head { rest: text, form, ..outer }.around(depth);
            let mut head = Head { is_partial: !is_journal && !inner.ends_with(b"\\n\""), ..head };
            if head.has_inner && is_journal {
                // A service that writes to its journal by itself knows its level better than its standard error does.
                head.severity = head.severity.max(if head.form == Form::Syslog {
                    outer.severity
                } else {
                    Severity::Debug
                });
            }
            Some(head)
        }
        _ if message || head.when != When::Never => Some(head),
        _ => None,
    }
}

/// Where the next record begins; made once, as records are many.
static NEXT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\n__CURSOR="));

/// Bytes of one record of `journalctl -o export` below its first line.
pub(crate) fn export_length(below: &[u8]) -> usize {
    if below.starts_with(b"__CURSOR=") {
        return 0;
    }
    NEXT.find(below).map_or(below.len(), |at| at + 1)
}

/// `__CURSOR=…` and the lines below it, until the next.
pub(super) fn export<'a>(line: &'a [u8], below: &'a [u8], depth: usize) -> Option<Head<'a>> {
    let end = export_length(below);
    let mut head = Head { rest: b"", ..Head::new(Form::JournalExport, Severity::Info, When::Never) };
    let _ = line;
    each_field(&below[..end], |key, value| match key {
        b"__REALTIME_TIMESTAMP" => head.when = When::Epoch(value),
        b"_HOSTNAME" => head.host = value,
        b"SYSLOG_IDENTIFIER" => head.program = value,
        b"_PID" => head.pid = value,
        b"PRIORITY" => {
            if let Some(found) = stamp::number(value).and_then(|found| u32::try_from(found).ok()) {
                head.severity = severity_of_priority(found);
            }
        }
        b"MESSAGE" => head.rest = value,
        _ => {}
    });
    // A journal's message may hold many lines; its first one says what it is.
    let whole = head.rest;
    let first = whole.split(|c| *c == b'\n').next().unwrap_or_default();
    let inner = Head { rest: first, ..head }.around(depth);
    Some(if inner.has_inner { inner } else { Head { rest: whole, is_wrapped: true, ..head } })
}

/// Calls back with each field of one record of `journalctl -o export`.
pub(crate) fn each_field<'a>(text: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8])) {
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        let next = rest.get(end + 1..).unwrap_or_default();
        if let Some(equals) = memchr::memchr(b'=', line) {
            each(&line[..equals], &line[equals + 1..]);
            rest = next;
        } else if !line.is_empty()
            && line.iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == b'_')
        {
            // A value that is no plain line: its length in eight bytes, then the value.
            let Some(length) = next.get(..8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
            else {
                return;
            };
            let Some(value) =
                usize::try_from(length).ok().and_then(|length| next.get(8..8usize.checked_add(length)?))
            else {
                return;
            };
            each(line, value);
            rest = next.get(8 + value.len() + 1..).unwrap_or_default();
        } else {
            rest = next;
        }
    }
}
