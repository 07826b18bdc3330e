//! What one line is: the head of a record with its form, severity, time and speaker, or a continuation of what stands above.
//!
//! A line is judged by positions and by itself alone. Nothing here allocates, keeps state, or knows more of OpenStack than
//! how its lines look; what needs two lines is decided in `record`.

mod access;
mod details;
mod foreign;
mod json;
mod ordinary;
mod oslo;
pub(crate) mod stamp;
mod syslog;
#[cfg(test)]
mod tests;

pub use access::{Request, request, route};
pub use details::Details;
pub(crate) use json::export_length;
pub(crate) use ordinary::is_ordinary;
pub use stamp::{Stamp, Zone};

use std::fmt;

/// Wrappers that may stand around a line (a container's, around syslog's, around a web server's); more is no log.
const DEPTH_MAX: usize = 4;

/// How bad a record says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For developers.
    Debug,
    /// What happens.
    Info,
    /// May need care.
    Warning,
    /// Something failed.
    Error,
    /// Somebody must come.
    Critical,
}

impl Severity {
    /// As it is written in a table.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Debug => "debug",
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Who writes lines of this shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// oslo.log's text.
    Oslo,
    /// oslo.log's text without time and process, as services write it to a journal.
    OsloShort,
    /// One JSON object: oslo.log, RabbitMQ, fluentd.
    Json,
    /// `journalctl -o json`.
    JournalJson,
    /// `journalctl -o export`.
    JournalExport,
    /// Open vSwitch and OVN.
    Ovs,
    /// RabbitMQ since 3.7.
    Rabbit,
    /// RabbitMQ up to 3.6.
    RabbitReport,
    /// MariaDB, MySQL, Galera.
    MariaDb,
    /// libvirt's daemons.
    Libvirt,
    /// qemu's log of one domain.
    Qemu,
    /// uWSGI.
    Uwsgi,
    /// A web server's access log.
    Access,
    /// Apache's error log.
    ApacheError,
    /// syslog, in any of its forms.
    Syslog,
    /// Pacemaker's own log.
    Pacemaker,
    /// Ceph's daemons and its cluster log.
    Ceph,
    /// Juju.
    Juju,
    /// A container's line that holds nothing known.
    Container,
    /// A time, and then nothing known.
    Timed,
}

/// What a time is written like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When<'a> {
    /// `2022-02-10 16:09:19.414` and its kin.
    Iso(&'a [u8]),
    /// `Feb 10 16:09:19`.
    Bsd(&'a [u8]),
    /// `10/Feb/2022:16:09:19 +0000`.
    Web(&'a [u8]),
    /// `Thu Feb 10 16:09:19 2022`.
    Ctime(&'a [u8]),
    /// `10-Feb-2022::16:09:19`.
    Erlang(&'a [u8]),
    /// `220210 16:09:19`.
    Short(&'a [u8]),
    /// Microseconds since 1970.
    Epoch(&'a [u8]),
    /// Seconds since 1970, with a fraction.
    Seconds(&'a [u8]),
    /// None is written.
    Never,
}

impl When<'_> {
    /// Reads the time; none where it is none.
    pub fn stamp(self) -> Option<Stamp> {
        match self {
            When::Iso(text) => stamp::iso(text),
            When::Bsd(text) => stamp::bsd(text),
            When::Web(text) => stamp::web(text),
            When::Ctime(text) => stamp::ctime(text),
            When::Erlang(text) => stamp::erlang(text),
            When::Short(text) => stamp::short(text),
            When::Epoch(text) => stamp::epoch_us(text),
            When::Seconds(text) => {
                let seconds: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
                let is_time = (0.0..1e11).contains(&seconds);
                is_time.then_some(Stamp { civil_us: (seconds * 1e6) as i64, zone: Zone::Stated })
            }
            When::Never => None,
        }
    }
}

/// The head of a record, as far as it is needed to judge it.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Who writes so.
    pub form: Form,
    /// How bad it says it is.
    pub severity: Severity,
    /// Its time, unread.
    pub when: When<'a>,
    /// The host, where the line names one.
    pub host: &'a [u8],
    /// Logger, syslog tag or module.
    pub program: &'a [u8],
    /// The process, where the line names one.
    pub pid: &'a [u8],
    /// What follows, unread.
    pub rest: &'a [u8],
    /// Whether it is a line of a traceback, which oslo.log gives a head of its own.
    pub is_bare: bool,
    /// What is wrapped: the tag that the wrapper gives it.
    pub speaker: &'a [u8],
    /// Its process, as the wrapper says.
    pub speaker_pid: &'a [u8],
    /// Whether something (syslog, a container, a web server) stands around it.
    pub is_wrapped: bool,
    /// Whether what is wrapped has a head of its own.
    pub has_inner: bool,
    /// Whether the container's line goes on in the next one.
    pub is_partial: bool,
}

impl<'a> Head<'a> {
    pub(crate) fn new(form: Form, severity: Severity, when: When<'a>) -> Head<'a> {
        Head {
            form,
            severity,
            when,
            host: b"",
            program: b"",
            pid: b"",
            rest: b"",
            speaker: b"",
            speaker_pid: b"",
            is_bare: false,
            is_wrapped: false,
            has_inner: false,
            is_partial: false,
        }
    }

    /// The same around what it wraps: the inner head counts, the outer one lends what the inner lacks.
    pub(crate) fn around(self, depth: usize) -> Head<'a> {
        let outer = Head { is_wrapped: true, speaker: self.program, speaker_pid: self.pid, ..self };
        let Some(inner) = parse(self.rest, b"", depth + 1) else {
            return outer;
        };
        if inner.form == Form::Timed {
            return outer;
        }
        let or = |own: &'a [u8], lent: &'a [u8]| if own.is_empty() { lent } else { own };
        // The wrapper's time is taken where it says its zone and the inner one does not.
        let when = match (self.when, inner.when) {
            (outer, When::Never) => outer,
            (When::Iso(outer), When::Iso(_)) if outer.len() > 26 || outer.ends_with(b"Z") => When::Iso(outer),
            (When::Epoch(outer), _) => When::Epoch(outer),
            (_, inner) => inner,
        };
        Head {
            when,
            host: or(inner.host, self.host),
            pid: or(inner.pid, self.pid),
            program: or(inner.program, self.program),
            speaker: self.program,
            speaker_pid: self.pid,
            is_wrapped: true,
            has_inner: true,
            is_partial: self.is_partial,
            ..inner
        }
    }
}

/// The head that a line is, or none: then it continues what stands above. `below` is what follows the line in the
/// same block; only `journalctl -o export`, which spreads a record over lines, looks at it.
#[inline]
pub fn head<'a>(line: &'a [u8], below: &'a [u8]) -> Option<Head<'a>> {
    parse(line, below, 0)
}

#[inline]
fn parse<'a>(line: &'a [u8], below: &'a [u8], depth: usize) -> Option<Head<'a>> {
    match line.first()? {
        // The two that make up nearly every line of an OpenStack log.
        b'2' => match oslo::head(line) {
            Some(head) => Some(head),
            None => other(line, below, depth),
        },
        b' ' | b'\t' => None,
        _ => other(line, below, depth),
    }
}

fn other<'a>(line: &'a [u8], below: &'a [u8], depth: usize) -> Option<Head<'a>> {
    if depth > DEPTH_MAX {
        return None;
    }
    let line = plain(line);
    match line.first()? {
        b'0'..=b'9' => match stamp::iso_length(line) {
            Some(length) => timed(line, length, depth),
            None => {
                foreign::short_dated(line).or_else(|| access::head(line)).or_else(|| prefixed(line, depth))
            }
        },
        b'[' => foreign::bracketed(line, depth),
        b'{' => json::head(line, depth),
        b'<' => syslog::numbered(line, depth),
        b'=' => foreign::rabbit_report(line),
        b'_' if line.starts_with(b"__CURSOR=") => json::export(line, below, depth),
        b'*' | b'-' | b's' | b'D' | b'W' | b'S' | b'I' | b'E' | b'C' | b'T' | b'A'
            if depth == 0 || line[0] != b'*' =>
        {
            foreign::spoken(line).or_else(|| oslo::short(line, depth)).or_else(|| named(line, depth))
        }
        _ => named(line, depth),
    }
}

/// Lines that begin with a name: syslog's month, a web client, a file's name in front of the line.
fn named<'a>(line: &'a [u8], depth: usize) -> Option<Head<'a>> {
    syslog::bsd(line, depth).or_else(|| access::head(line)).or_else(|| prefixed(line, depth))
}

/// Lines that begin with a time as ISO 8601 writes it.
fn timed<'a>(line: &'a [u8], length: usize, depth: usize) -> Option<Head<'a>> {
    let (time, rest) = line.split_at(length);
    let when = When::Iso(time);
    match rest.first() {
        None => None,
        Some(b'|') => foreign::ovs(when, &rest[1..]),
        Some(b':') => foreign::libvirt(when, &rest[1..]),
        Some(b' ') => {
            let rest = &rest[1..];
            if rest.starts_with(b"std")
                && let Some(head) = syslog::container(when, rest, depth)
            {
                return Some(head);
            }
            oslo::after_time(when, rest)
                .or_else(|| foreign::after_time(when, rest))
                .or_else(|| syslog::container(when, rest, depth))
                .or_else(|| syslog::precise(when, rest, depth))
                .or_else(|| {
                    // A web server's time in front of what the service said.
                    Some(Head { rest, ..Head::new(Form::Timed, Severity::Info, when) }.around(depth))
                })
        }
        Some(_) => None,
    }
}

/// `nova-api.log.1.2017-05-16_13:53:08 2017-05-16 …`: the file's name, when logs were put together.
fn prefixed<'a>(line: &'a [u8], depth: usize) -> Option<Head<'a>> {
    let end = memchr::memchr(b' ', line.get(..line.len().min(200))?)?;
    let (name, rest) = (&line[..end], &line[end + 1..]);
    memchr::memchr_iter(b'.', name).find(|at| name[*at..].starts_with(b".log"))?;
    let head = parse(rest, b"", depth + 1)?;
    (head.form == Form::Oslo).then_some(head)
}

/// The line without colours in front of it.
fn plain(line: &[u8]) -> &[u8] {
    let mut line = line;
    while line.starts_with(b"\x1b[") {
        match memchr::memchr(b'm', &line[..line.len().min(16)]) {
            Some(end) => line = &line[end + 1..],
            None => return line,
        }
    }
    line
}

/// The severity that a word names, in whatever spelling.
pub(crate) fn severity_of(word: &[u8]) -> Option<Severity> {
    const NAMES: [(&[u8], Severity); 23] = [
        (b"INFO", Severity::Info),
        (b"DEBUG", Severity::Debug),
        (b"NOTE", Severity::Info),
        (b"WARNING", Severity::Warning),
        (b"WARN", Severity::Warning),
        (b"ERROR", Severity::Error),
        (b"ERR", Severity::Error),
        (b"NOTICE", Severity::Info),
        (b"CRITICAL", Severity::Critical),
        (b"CRIT", Severity::Critical),
        (b"DBG", Severity::Debug),
        (b"TRACE8", Severity::Debug),
        (b"AUDIT", Severity::Info),
        (b"SYSTEM", Severity::Info),
        (b"INF", Severity::Info),
        (b"WRN", Severity::Warning),
        (b"TRACE", Severity::Error),
        (b"FATAL", Severity::Critical),
        (b"EMER", Severity::Critical),
        (b"EMERG", Severity::Critical),
        (b"ALERT", Severity::Critical),
        (b"SEC", Severity::Critical),
        (b"PANIC", Severity::Critical),
    ];
    // The frequent ones first.
    NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, severity)| *severity)
}

/// The severity of a syslog priority.
pub(crate) fn severity_of_priority(priority: u32) -> Severity {
    match priority % 8 {
        0..=2 => Severity::Critical,
        3 => Severity::Error,
        4 => Severity::Warning,
        5 | 6 => Severity::Info,
        _ => Severity::Debug,
    }
}
