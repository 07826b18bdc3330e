//! Lines that say no more than that something happened, known by a few bytes: most lines are, and few readers want them.
//!
//! What is called ordinary here must be a head for `head`, too, and less than a warning. In doubt it says no: it may be slow
//! about a line, never wrong.

use super::oslo::PID_DIGITS_MAX;

/// Bytes that a line must have; what is shorter is left to `head`.
const BYTES_MIN: usize = 40;

/// Bytes in which a module or a process of another program must end.
const NAMED_WITHIN: usize = 64;

/// Whether a line is such a head of oslo.log, Open vSwitch, RabbitMQ, MariaDB or libvirt.
#[inline]
pub(crate) fn is_ordinary(line: &[u8]) -> bool {
    let Some(b) = line.first_chunk::<BYTES_MIN>() else { return false };
    let is_timed = b[0] == b'2'
        && b[3].is_ascii_digit()
        && b[4] == b'-'
        && b[7] == b'-'
        && b[13] == b':'
        && b[16] == b':'
        && b[18].is_ascii_digit();
    if !is_timed {
        return false;
    }
    if b[10] == b' ' && b[19] == b'.' && b[23] == b' ' {
        return is_oslo(b);
    }
    let named = &line[..line.len().min(NAMED_WITHIN)];
    match (b[10], b[19], b[23]) {
        (b' ', b' ', _) => is_mariadb(b),
        (b' ', b'.', b'+') => is_libvirt(b, named),
        (b' ', b'.', _) => is_rabbit(b, named),
        (b'T', b'.', b'Z') => is_ovs(b, named),
        _ => false,
    }
}

/// Where the digits end that begin at a place; the same place where there are none.
#[inline]
fn digits(line: &[u8], from: usize) -> usize {
    from + line[from..].iter().take(PID_DIGITS_MAX).take_while(|c| c.is_ascii_digit()).count()
}

/// `2026-11-21 18:40:02.114 4711 INFO nova.compute.manager …`
#[inline]
fn is_oslo(b: &[u8; BYTES_MIN]) -> bool {
    let end = digits(b, 24);
    b[20..23].iter().all(u8::is_ascii_digit)
        && end > 24
        && (b[end..].starts_with(b" INFO ") || b[end..].starts_with(b" DEBUG "))
}

/// `2026-11-21 18:40:02 139855 [Note] …`
fn is_mariadb(b: &[u8; BYTES_MIN]) -> bool {
    let end = digits(b, 20);
    end > 20 && b[end..].starts_with(b" [Note] ")
}

/// `2026-11-21 18:40:02.114+0000: 4711: info : …`
fn is_libvirt(b: &[u8; BYTES_MIN], named: &[u8]) -> bool {
    let end = digits(b, 30);
    let is_zoned = digits(b, 20) == 23 && digits(b, 24) == 28 && b[28..30] == *b": ";
    is_zoned
        && end > 30
        && (named[end..].starts_with(b": info : ") || named[end..].starts_with(b": debug : "))
}

/// `2026-11-21 18:40:02.114123+00:00 [info] <0.8.0> …`
fn is_rabbit(b: &[u8; BYTES_MIN], named: &[u8]) -> bool {
    let is_zoned = digits(b, 20) == 26
        && b[26] == b'+'
        && digits(b, 27) == 29
        && b[29] == b':'
        && digits(b, 30) == 32
        && b[32] == b' ';
    let after = if b[33..].starts_with(b"[info]") { 39 } else { 40 };
    is_zoned
        && (after == 39 || b[33..].starts_with(b"[debug]"))
        && named[after..].starts_with(b" <")
        && named[after..].contains(&b'>')
}

/// `2026-11-21T18:40:02.114Z|00118|bridge|INFO|…`
fn is_ovs(b: &[u8; BYTES_MIN], named: &[u8]) -> bool {
    let end = digits(b, 25);
    if digits(b, 20) != 23 || b[24] != b'|' || end == 25 || b[end] != b'|' {
        return false;
    }
    let module = &named[end + 1..];
    module
        .iter()
        .position(|c| *c == b'|')
        .is_some_and(|bar| module[bar + 1..].starts_with(b"INFO|") || module[bar + 1..].starts_with(b"DBG|"))
}
