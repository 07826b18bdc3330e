//! syslog in its forms, what containers put in front of lines, and Pacemaker's own log.
//!
//! What stands inside is looked at with the same eyes as a line of its own. The severity of programs that print none is told
//! by a short list of sayings; it must never grow into guessing.

use super::{Form, Head, Severity, When, severity_of, severity_of_priority, stamp};
use aho_corasick::{AhoCorasick, MatchKind};
use std::sync::LazyLock;

/// What the kernel, HAProxy, keepalived and dnsmasq say when something is wrong; they print no level.
const SAYINGS: &[(&str, Severity)] = &[
    ("has no server available!", Severity::Critical),
    (" is DOWN, reason: ", Severity::Error),
    (" is DOWN (", Severity::Error),
    ("Entering FAULT STATE", Severity::Error),
    ("Out of memory: Kill", Severity::Critical),
    ("oom-kill:", Severity::Error),
    ("Killed process ", Severity::Error),
    ("nf_conntrack: table full", Severity::Error),
    (" blocked for more than ", Severity::Error),
    ("EXT4-fs error", Severity::Error),
    ("I/O error, dev ", Severity::Error),
    (" segfault at ", Severity::Error),
    ("soft lockup", Severity::Critical),
    ("NETDEV WATCHDOG", Severity::Error),
    ("[Hardware Error]", Severity::Critical),
    ("Kernel panic", Severity::Critical),
    ("DHCPNAK(", Severity::Warning),
    ("no address available", Severity::Warning),
    ("Main process exited, code=", Severity::Warning),
    ("Failed with result '", Severity::Error),
];

static SAID: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .build(SAYINGS.iter().map(|(saying, _)| saying))
        .ok()
});

fn said(message: &[u8]) -> Severity {
    let found = SAID.as_ref().and_then(|sayings| sayings.find(message));
    found.map_or(Severity::Info, |found| SAYINGS[found.pattern().as_usize()].1)
}

/// `Feb 10 00:00:01 host prog[pid]: msg`
pub(super) fn bsd<'a>(line: &'a [u8], depth: usize) -> Option<Head<'a>> {
    let time = line.get(..15)?;
    stamp::bsd(time)?;
    let rest = line.get(15..)?.strip_prefix(b" ")?;
    let when = When::Bsd(time);
    pacemaker(when, rest).or_else(|| tagged(when, rest, None, depth))
}

/// `2025-05-14T07:08:13.674123+00:00 host prog[pid]: msg`
pub(super) fn precise<'a>(when: When<'a>, rest: &'a [u8], depth: usize) -> Option<Head<'a>> {
    // Without the zone it is some other line that happens to have a time.
    let When::Iso(time) = when else { return None };
    let has_zone = time.len() > 19
        && (time.ends_with(b"Z")
            || matches!(time[time.len() - 6..][..2], [b'+' | b'-', _])
            || matches!(time[time.len() - 5], b'+' | b'-'));
    if has_zone { tagged(when, rest, None, depth) } else { None }
}

/// `<183>1 2017-04-03T21:48:21.781459-03:30 host app pid msgid - msg`, and `<34>Feb 10 …`.
pub(super) fn numbered<'a>(line: &'a [u8], depth: usize) -> Option<Head<'a>> {
    let close = memchr::memchr(b'>', &line[..line.len().min(5)])?;
    let priority = u32::try_from(stamp::number(line.get(1..close)?)?).ok().filter(|found| *found <= 191)?;
    let severity = severity_of_priority(priority);
    let rest = &line[close + 1..];
    let Some(rest) = rest.strip_prefix(b"1 ") else {
        let time = rest.get(..15)?;
        stamp::bsd(time)?;
        return tagged(When::Bsd(time), rest.get(16..)?, Some(severity), depth);
    };
    let mut words = rest.splitn(7, |c| *c == b' ');
    let (time, host, app, pid, _id) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let (data, message) = (words.next()?, words.next().unwrap_or_default());
    let when = if time == b"-" {
        When::Never
    } else {
        stamp::iso_length(time).filter(|length| *length == time.len())?;
        When::Iso(time)
    };
    // Structured data may hold blanks; what it says is not needed.
    let rest = match data.first() {
        Some(b'[') if !data.ends_with(b"]") => {
            memchr::memmem::find(message, b"] ").map_or(message, |end| &message[end + 2..])
        }
        _ => message,
    };
    let value = |word: &'a [u8]| if word == b"-" { b"" as &[u8] } else { word };
    let rest = rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(rest);
    let (host, program, pid) = (value(host), value(app), value(pid));
    Some(Head { host, program, pid, rest, ..Head::new(Form::Syslog, severity, when) }.around(depth))
}

/// `host prog[pid]: msg`
fn tagged<'a>(when: When<'a>, rest: &'a [u8], severity: Option<Severity>, depth: usize) -> Option<Head<'a>> {
    let is_of_host = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b':');
    let host_end = rest.iter().take(80).position(|c| !is_of_host(c))?;
    let (host, rest) = (&rest[..host_end], rest[host_end..].strip_prefix(b" ")?);
    let end = memchr::memchr(b':', &rest[..rest.len().min(200)])?;
    let tag = &rest[..end];
    let is_tag = |tag: &[u8]| {
        !tag.is_empty() && tag.iter().all(|c| c.is_ascii_graphic() && !matches!(c, b'"' | b'=' | b','))
    };
    let (program, pid) = match memchr::memchr(b'[', tag).filter(|_| tag.ends_with(b"]")) {
        Some(open) => (&tag[..open], &tag[open + 1..tag.len() - 1]),
        None => (tag, b"" as &[u8]),
    };
    let program = program.trim_ascii_end();
    if host.is_empty() || !is_tag(program) {
        return None;
    }
    let message = &rest[end + 1..];
    let message = message.strip_prefix(b" ").unwrap_or(message);
    let severity = severity.unwrap_or_else(|| said(message));
    Some(Head { host, program, pid, rest: message, ..Head::new(Form::Syslog, severity, when) }.around(depth))
}

/// `host pacemakerd          [12750] (crm_log_init) <TAB>info: …`
fn pacemaker<'a>(when: When<'a>, rest: &'a [u8]) -> Option<Head<'a>> {
    let open = memchr::memchr(b'[', &rest[..rest.len().min(80)])?;
    let close = open + rest.get(open..(open + 16).min(rest.len()))?.iter().position(|c| *c == b']')?;
    let after = rest[close + 1..].strip_prefix(b" (")?;
    let pid = &rest[open + 1..close];
    stamp::number(pid)?;
    let mut words = rest[..open].split(|c| *c == b' ').filter(|word| !word.is_empty());
    let (host, program) = (words.next()?, words.next()?);
    if words.next().is_some() || program.ends_with(b":") {
        return None;
    }
    let end = memchr::memchr(b')', after)?;
    let message = after[end + 1..].trim_ascii_start();
    let colon = memchr::memchr(b':', &message[..message.len().min(10)])?;
    let severity = severity_of(&message[..colon])?;
    let rest = message[colon + 1..].trim_ascii_start();
    Some(Head { host, program, pid, rest, ..Head::new(Form::Pacemaker, severity, when) })
}

/// `stdout F <line>` of a container runtime, and `[wsgi-nova-api] <line>` of Pebble.
pub(super) fn container<'a>(when: When<'a>, rest: &'a [u8], depth: usize) -> Option<Head<'a>> {
    let found = Head::new(Form::Container, Severity::Info, when);
    if let Some(after) = rest.strip_prefix(b"stdout ").or_else(|| rest.strip_prefix(b"stderr ")) {
        let (flag, rest) = (after.first()?, after.get(1..)?);
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let is_partial = *flag == b'P';
        return matches!(flag, b'F' | b'P').then(|| {
            let found = Head { rest, is_partial, ..found }.around(depth);
            Head { is_partial, ..found }
        });
    }
    let inside = rest.strip_prefix(b"[")?;
    let close = memchr::memchr(b']', &inside[..inside.len().min(60)])?;
    let (program, rest) = (&inside[..close], inside.get(close + 1..)?.strip_prefix(b" ")?);
    let is_name = program.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
    if !is_name || severity_of(program).is_some() {
        return None;
    }
    Some(Head { program, rest, ..found }.around(depth))
}
