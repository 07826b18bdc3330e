//! Requests as services and web servers write them down: who asked what, how it ended, how long it took.
//!
//! It reads one line. It never decodes an address, and never keeps the values of a query: they hold names and secrets.

use super::{Details, Form, Head, Severity, When, stamp};

/// Bytes of a line in which the time of an access log must begin.
const TIME_WITHIN: usize = 160;

/// A request that somebody answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request<'a> {
    /// The verb.
    pub method: &'a [u8],
    /// The path with its query.
    pub path: &'a [u8],
    /// The status; 0 where nothing was answered.
    pub status: u16,
    /// How long it took, where it is said.
    pub micros: Option<u64>,
    /// The backend that answered, where a load balancer writes.
    pub backend: &'a [u8],
}

/// `10.0.0.7 - - [10/Feb/2022:16:09:19 +0000] "GET /v3 HTTP/1.1" 200 …`
pub(super) fn head(line: &[u8]) -> Option<Head<'_>> {
    let first = *line.first()?;
    if !(first.is_ascii_alphanumeric() || matches!(first, b'-' | b':' | b'<')) {
        return None;
    }
    let open = memchr::memchr(b'[', &line[..line.len().min(TIME_WITHIN)])?;
    let close = open + memchr::memchr(b']', line.get(open..(open + 40).min(line.len()))?)?;
    let time = &line[open + 1..close];
    line.get(close + 1..)?.starts_with(b" \"").then_some(())?;
    stamp::web(time)?;
    // The client is no host of the cloud, so it is not named as one.
    Some(Head { rest: line, ..Head::new(Form::Access, Severity::Info, When::Web(time)) })
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    stamp::number(text.get(..digits)?).and_then(|n| u64::try_from(n).ok())
}

/// The number behind a word.
fn after<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(text, word)?;
    Some(text[at + word.len()..].trim_ascii_start())
}

/// Seconds with a fraction, in microseconds.
fn seconds(text: &[u8]) -> Option<u64> {
    let whole = number(text)?;
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let mut micros = whole.checked_mul(1_000_000)?;
    if text.get(digits) == Some(&b'.') {
        let fraction = &text[digits + 1..];
        let count = fraction.iter().take_while(|c| c.is_ascii_digit()).count().min(6);
        if count > 0 {
            micros += number(&fraction[..count])? * 10u64.pow(6 - count as u32);
        }
    }
    Some(micros)
}

/// The request that a record tells of, if it tells of one.
pub fn request<'a>(head: &Head<'a>, details: &'a Details<'a>) -> Option<Request<'a>> {
    match head.form {
        Form::Access => web(head.rest),
        Form::Uwsgi => uwsgi(&details.message),
        Form::Syslog => haproxy(&details.message),
        Form::Oslo | Form::OsloShort | Form::Json | Form::JournalJson | Form::JournalExport => {
            served(&details.message)
        }
        _ => None,
    }
}

/// `10.0.0.7 "GET /v2.1/servers HTTP/1.1" status: 200  len: 1234 time: 0.1234567`, and glance's kin of it.
fn served(message: &[u8]) -> Option<Request<'_>> {
    let quote = memchr::memchr(b'"', &message[..message.len().min(200)])?;
    if quote == 0
        || message.first().is_some_and(|c| !(c.is_ascii_hexdigit() || matches!(c, b'<' | b':' | b'-')))
    {
        return None;
    }
    let (method, path, rest) = quoted(&message[quote..])?;
    let rest = rest.strip_prefix(b"status: ").unwrap_or(rest);
    let status = status(rest)?;
    let micros = match after(rest, b"time: ") {
        Some(text) => seconds(text),
        // "200 1234 0.012": the last word.
        None => rest.rsplit(|c| *c == b' ').next().filter(|word| word.contains(&b'.')).and_then(seconds),
    };
    Some(Request { method, path, status, micros, backend: b"" })
}

/// The method and path in quotes at the beginning, and what follows them.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', text)?;
    let mut words = text[..end].split(|c| *c == b' ');
    let (method, path) = (words.next()?, words.next()?);
    let is_method = (3..=8).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase);
    is_method.then_some((method, path, text[end + 1..].trim_ascii_start()))
}

fn status(text: &[u8]) -> Option<u16> {
    let found = number(text).and_then(|n| u16::try_from(n).ok())?;
    (100..=599).contains(&found).then_some(found)
}

/// Common and combined, with microseconds behind the size or at the end.
fn web(line: &[u8]) -> Option<Request<'_>> {
    let quote = memchr::memmem::find(line, b"] \"")? + 2;
    let (method, path, rest) = quoted(&line[quote..])?;
    let found = status(rest)?;
    let mut words = rest.split(|c| *c == b' ').skip(2);
    let micros = match words.next() {
        Some(word) if word.first().is_some_and(u8::is_ascii_digit) => number(word),
        _ => rest.rsplit(|c| *c == b' ').next().and_then(|word| word.strip_suffix(b"(us)")).and_then(number),
    };
    Some(Request { method, path, status: found, micros, backend: b"" })
}

/// `… GET /v3 => generated 342 bytes in 12 msecs (HTTP/1.1 200) …`
fn uwsgi(message: &[u8]) -> Option<Request<'_>> {
    let at = memchr::memmem::find(message, b" => generated ")?;
    let mut words = message[..at].rsplit(|c| *c == b' ');
    let (path, method) = (words.next()?, words.next()?);
    let rest = &message[at..];
    let micros = after(rest, b" bytes in ").and_then(number).map(|ms| ms * 1000);
    let answered =
        after(rest, b"(HTTP/").and_then(|text| text.split(|c| *c == b' ').nth(1)).and_then(status)?;
    Some(Request { method, path, status: answered, micros, backend: b"" })
}

/// `10.0.0.7:51234 [10/Feb/2022:16:09:19.414] keystone keystone/ctl1 0/0/0/12/12 200 342 - - ---- 1/1/0/0/0 0/0 "GET /v3 HTTP/1.1"`
fn haproxy(message: &[u8]) -> Option<Request<'_>> {
    let close = memchr::memmem::find(message, b"] ")?;
    let open = memchr::memchr(b'[', message).filter(|open| *open < close)?;
    stamp::web(message.get(open + 1..close)?)?;
    let mut words = message[close + 2..].split(|c| *c == b' ');
    let (_frontend, backend, times, answered) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let quote = memchr::memchr(b'"', message)?;
    let (method, path, _) = quoted(&message[quote..])?;
    let total = times.rsplit(|c| *c == b'/').next()?;
    let total = total.strip_prefix(b"+").unwrap_or(total);
    let status = status(answered).unwrap_or(0);
    Some(Request { method, path, status, micros: number(total).map(|ms| ms * 1000), backend })
}

/// The route of a path: ids and numbers become places, the query's values go.
pub fn route(path: &[u8]) -> String {
    let (path, _) = match memchr::memchr(b'?', path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, b"" as &[u8]),
    };
    let mut route = String::with_capacity(path.len().min(128));
    let path = match memchr::memmem::find(path, b"://") {
        // A proxy writes the whole address.
        Some(at) => {
            let rest = &path[at + 3..];
            memchr::memchr(b'/', rest).map_or(b"/" as &[u8], |slash| &rest[slash..])
        }
        None => path,
    };
    for (at, part) in path.split(|c| *c == b'/').enumerate().take(16) {
        if at > 0 {
            route.push('/');
        }
        let is_hex = part.iter().all(|c| c.is_ascii_hexdigit() || *c == b'-');
        if part.len() >= 32 && is_hex {
            route.push_str("{id}");
        } else if !part.is_empty() && part.iter().all(u8::is_ascii_digit) {
            route.push_str("{n}");
        } else if part.len() > 64 {
            route.push_str("{…}");
        } else {
            route.push_str(&String::from_utf8_lossy(part));
        }
    }
    if route.is_empty() { "/".to_owned() } else { route }
}
