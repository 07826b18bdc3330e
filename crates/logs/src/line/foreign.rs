//! Lines of programs that are not Python: Open vSwitch, RabbitMQ, MariaDB, libvirt, qemu, uWSGI, Apache, Ceph, Juju.
//!
//! Each shape is judged by its fixed signs. A line that lacks one of them is not that program's, and is left to the next.

use super::{Form, Head, Severity, When, severity_of, stamp};

/// Open vSwitch and OVN: `|00118|bridge|INFO|bridge br-int: added interface tap… on port 9`.
pub(super) fn ovs<'a>(when: When<'a>, rest: &'a [u8]) -> Option<Head<'a>> {
    let mut bars = memchr::memchr_iter(b'|', &rest[..rest.len().min(120)]);
    let (first, second, third) = (bars.next()?, bars.next()?, bars.next()?);
    stamp::number(&rest[..first])?;
    let severity = severity_of(&rest[second + 1..third])?;
    // The thread stands in brackets behind the module: "timeval(handler12)".
    let module = rest[first + 1..second].split(|c| *c == b'(').next()?;
    Some(Head { program: module, rest: &rest[third + 1..], ..Head::new(Form::Ovs, severity, when) })
}

/// libvirt's daemons `: 1234: error : qemuMonitorIO:578 : …`, and a domain's beginning and end `: shutting down, reason=…`.
pub(super) fn libvirt<'a>(when: When<'a>, rest: &'a [u8]) -> Option<Head<'a>> {
    let rest = rest.strip_prefix(b" ")?;
    let digits = rest.iter().take_while(|c| c.is_ascii_digit()).count();
    if digits > 0 && rest.get(digits..digits + 2) == Some(b": ") {
        let said = &rest[digits + 2..];
        let end = memchr::memchr(b' ', &said[..said.len().min(14)])?;
        said[end..].starts_with(b" : ").then_some(())?;
        let severity = severity_of(&said[..end])?;
        return Some(Head {
            pid: &rest[..digits],
            rest: &said[end + 3..],
            ..Head::new(Form::Libvirt, severity, when)
        });
    }
    if rest.starts_with(b"starting up libvirt") || rest.starts_with(b"starting up ") {
        return Some(Head { rest, ..Head::new(Form::Qemu, Severity::Info, when) });
    }
    if rest.starts_with(b"shutting down") {
        let is_bad = rest.ends_with(b"reason=crashed") || rest.ends_with(b"reason=failed");
        let severity = if is_bad { Severity::Error } else { Severity::Info };
        return Some(Head { rest, ..Head::new(Form::Qemu, severity, when) });
    }
    None
}

/// What follows an ISO time and a blank, by what stands next.
pub(super) fn after_time<'a>(when: When<'a>, rest: &'a [u8]) -> Option<Head<'a>> {
    match rest.first()? {
        b'[' => rabbit(when, rest).or_else(|| mariadb_short(when, rest)),
        b'0'..=b'9' | b'a'..=b'f' => mariadb(when, rest)
            .or_else(|| ceph(when, rest))
            .or_else(|| if rest.starts_with(b"qemu-") { qemu(when, rest) } else { None }),
        b'q' => qemu(when, rest),
        b'I' | b'W' | b'E' | b'D' | b'C' | b'T' => juju(when, rest),
        _ => ceph(when, rest),
    }
}

/// `[info] <0.8.0> text`
fn rabbit<'a>(when: When<'a>, rest: &'a [u8]) -> Option<Head<'a>> {
    let close = memchr::memchr(b']', &rest[..rest.len().min(12)])?;
    let severity = severity_of(&rest[1..close])?;
    let rest = rest.get(close + 1..)?.strip_prefix(b" ")?;
    let end = memchr::memchr(b'>', &rest[..rest.len().min(40)]).filter(|_| rest.starts_with(b"<"))?;
    let said = &rest[end + 1..];
    Some(Head {
        program: b"rabbitmq",
        pid: &rest[..=end],
        rest: said.strip_prefix(b" ").unwrap_or(said),
        ..Head::new(Form::Rabbit, severity, when)
    })
}

/// `0 [Note] WSREP: …`, `139 [ERROR] [MY-010119] [Server] …`: a thread, then a level in brackets.
fn mariadb<'a>(when: When<'a>, rest: &'a [u8]) -> Option<Head<'a>> {
    let digits = rest.iter().take(20).take_while(|c| c.is_ascii_hexdigit()).count();
    let level = rest.get(digits..)?.strip_prefix(b" ")?;
    let head = mariadb_short(when, level)?;
    Some(Head { pid: &rest[..digits], ..head })
}

fn mariadb_short<'a>(when: When<'a>, rest: &'a [u8]) -> Option<Head<'a>> {
    let close = memchr::memchr(b']', &rest[..rest.len().min(12)]).filter(|_| rest.starts_with(b"["))?;
    let word = &rest[1..close];
    // Capital first: "[Note]", "[Warning]", "[ERROR]". Others write their levels small.
    let severity = word.first().filter(|c| c.is_ascii_uppercase()).and_then(|_| severity_of(word))?;
    let said = rest[close + 1..].strip_prefix(b" ").unwrap_or(&rest[close + 1..]);
    let program: &[u8] = if said.starts_with(b"WSREP") { b"wsrep" } else { b"mariadb" };
    Some(Head { program, rest: said, ..Head::new(Form::MariaDb, severity, when) })
}

/// `220210 16:09:19 mysqld_safe …` and `220210 16:09:19 [Note] …`.
pub(super) fn short_dated(line: &[u8]) -> Option<Head<'_>> {
    let time = line.get(..15)?;
    stamp::short(time)?;
    let rest = line.get(15..)?.strip_prefix(b" ")?;
    let when = When::Short(time);
    if let Some(head) = mariadb_short(when, rest) {
        return Some(head);
    }
    let said = rest.strip_prefix(b"mysqld_safe ").or_else(|| rest.strip_prefix(b"mariadbd-safe "))?;
    Some(Head { program: b"mysqld_safe", rest: said, ..Head::new(Form::MariaDb, Severity::Info, when) })
}

/// `7f0a1b2c3d4e -1 osd.3 …`; and the cluster log: `mon.a (mon.0) 123 : cluster [WRN] …`.
fn ceph<'a>(when: When<'a>, rest: &'a [u8]) -> Option<Head<'a>> {
    let hex = rest.iter().take(17).take_while(|c| c.is_ascii_hexdigit()).count();
    if (8..=16).contains(&hex) {
        let level = rest.get(hex..)?.strip_prefix(b" ")?;
        let level = level.trim_ascii_start();
        let end = memchr::memchr(b' ', &level[..level.len().min(4)])?;
        let severity = match &level[..end] {
            b"-1" => Severity::Error,
            word => {
                stamp::number(word)?;
                Severity::Info
            }
        };
        let said = &level[end + 1..];
        return Some(Head {
            program: b"ceph",
            pid: &rest[..hex],
            rest: said,
            ..Head::new(Form::Ceph, severity, when)
        });
    }
    let open = memchr::memchr_iter(b'[', &rest[..rest.len().min(120)])
        .find(|open| rest[..*open].ends_with(b" : cluster "))?;
    let word = rest.get(open + 1..)?;
    let close = memchr::memchr(b']', &word[..word.len().min(6)])?;
    let severity = severity_of(&word[..close])?;
    let said = word[close + 1..].strip_prefix(b" ").unwrap_or(&word[close + 1..]);
    Some(Head { program: b"ceph-cluster", rest: said, ..Head::new(Form::Ceph, severity, when) })
}

/// `qemu-kvm: terminating on signal 15 from pid …`
fn qemu<'a>(when: When<'a>, rest: &'a [u8]) -> Option<Head<'a>> {
    let end =
        memchr::memmem::find(&rest[..rest.len().min(40)], b": ").filter(|_| rest.starts_with(b"qemu"))?;
    let said = &rest[end + 2..];
    let is_warning = said.starts_with(b"warning:");
    let is_bad =
        memchr::memmem::find(said, b"rror").is_some() || said.starts_with(b"terminating on signal 9");
    let severity = match (is_warning, is_bad) {
        (true, _) => Severity::Warning,
        (false, true) => Severity::Error,
        _ => Severity::Info,
    };
    Some(Head { program: &rest[..end], rest: said, ..Head::new(Form::Qemu, severity, when) })
}

/// `INFO juju.worker.apicaller connect.go:158 [68a1f1] …`
fn juju<'a>(when: When<'a>, rest: &'a [u8]) -> Option<Head<'a>> {
    let end = memchr::memchr(b' ', &rest[..rest.len().min(10)])?;
    let severity = rest[..end].iter().all(u8::is_ascii_uppercase).then(|| severity_of(&rest[..end]))??;
    let said = &rest[end + 1..];
    let end = memchr::memchr(b' ', said).unwrap_or(said.len());
    let module = &said[..end];
    let is_module = memchr::memchr2(b'.', b'/', module).is_some() && module.iter().all(u8::is_ascii_graphic);
    is_module.then(|| Head { program: module, rest: &said[end..], ..Head::new(Form::Juju, severity, when) })
}

/// Lines that begin with a bracket: uWSGI's requests, Apache's error log, the kernel's own ring.
pub(super) fn bracketed<'a>(line: &'a [u8], depth: usize) -> Option<Head<'a>> {
    if let Some(rest) = line.strip_prefix(b"[pid: ") {
        let open = memchr::memmem::find(rest, b"} [")? + 3;
        let length = memchr::memchr(b']', rest.get(open..(open + 30).min(rest.len()))?)?;
        let pid = rest.split(|c| *c == b'|').next()?;
        return Some(Head {
            pid,
            program: b"uwsgi",
            rest: &rest[open + length + 1..],
            ..Head::new(Form::Uwsgi, Severity::Info, When::Ctime(&rest[open..open + length]))
        });
    }
    let close = memchr::memchr(b']', &line[..line.len().min(40)])?;
    let time = &line[1..close];
    stamp::ctime(time)?;
    let when = When::Ctime(time);
    // "[wsgi:error] [pid 1:tid 2] [client 10.0.0.7:1] text": each in brackets, in this order.
    let mut rest = line.get(close + 1..)?.strip_prefix(b" ")?;
    let (mut severity, mut pid, mut module) = (Severity::Info, b"" as &[u8], b"apache" as &[u8]);
    while let Some(inside) = rest.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', &inside[..inside.len().min(80)]) else { break };
        let word = &inside[..end];
        if let Some(at) = memchr::memchr(b':', word)
            && let Some(found) = severity_of(&word[at + 1..])
        {
            severity = found;
            module = if at > 0 { &word[..at] } else { module };
        } else if let Some(number) = word.strip_prefix(b"pid ") {
            pid = number.split(|c| *c == b':').next()?;
        } else if let Some(found) = severity_of(word) {
            severity = found;
        } else if !(word.starts_with(b"client ") || word.starts_with(b"remote ") || word.starts_with(b"tid "))
        {
            break;
        }
        rest = inside[end + 1..].strip_prefix(b" ").unwrap_or(&inside[end + 1..]);
    }
    Some(Head { pid, program: module, rest, ..Head::new(Form::ApacheError, severity, when) }.around(depth))
}

/// `=INFO REPORT==== 10-Feb-2022::16:09:19 ===`
pub(super) fn rabbit_report(line: &[u8]) -> Option<Head<'_>> {
    let rest = line.strip_prefix(b"=")?;
    let end = memchr::memmem::find(&rest[..rest.len().min(40)], b" REPORT==== ")?;
    let severity = match &rest[..end] {
        b"CRASH" | b"SUPERVISOR" => Severity::Error,
        word => severity_of(word).unwrap_or(Severity::Info),
    };
    let time = rest.get(end + 12..)?.split(|c| *c == b' ').next()?;
    stamp::erlang(time)?;
    Some(Head { program: b"rabbitmq", ..Head::new(Form::RabbitReport, severity, When::Erlang(time)) })
}

/// What uWSGI says of itself, without any time.
pub(super) fn spoken(line: &[u8]) -> Option<Head<'_>> {
    let (bad, well): (&[&[u8]], &[&[u8]]) = match line.first()? {
        b'*' => (
            &[b"*** uWSGI listen queue of socket", b"*** no app loaded", b"*** HARAKIRI"],
            &[b"*** Starting uWSGI", b"*** Operational MODE"],
        ),
        b'D' => (&[b"DAMN ! worker "], &[]),
        b'-' => (&[b"--- no python application found"], &[]),
        b's' => (&[], &[b"spawned uWSGI "]),
        b'W' => (&[], &[b"WSGI app "]),
        _ => return None,
    };
    let severity = match () {
        () if bad.iter().any(|begin| line.starts_with(begin)) => Severity::Error,
        () if well.iter().any(|begin| line.starts_with(begin)) => Severity::Info,
        () => return None,
    };
    Some(Head { program: b"uwsgi", rest: line, ..Head::new(Form::Uwsgi, severity, When::Never) })
}
