//! What stays of a message when everything that differs from case to case is taken out; and what must never be shown.
//!
//! It works on bytes, left to right, without patterns. Two messages that mean the same have the same mask; it must never make
//! two that differ in words look alike.

use aho_corasick::AhoCorasick;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Bytes of a masked message: enough to tell messages apart.
pub const MASK_BYTES_MAX: usize = 200;

/// Bytes of a message that are looked at for its mask.
const LOOKED_AT_MAX: usize = 600;

/// Longest text in quotes that is kept.
const QUOTED_MAX: usize = 40;

/// Devices of a port, before the first eleven characters of its id.
const DEVICES: [&[u8]; 9] = [b"tap", b"qvo", b"qvb", b"qbr", b"qr-", b"qg-", b"ha-", b"sg-", b"rfp-"];

/// Writes the mask of a message behind what `out` holds.
pub fn mask(message: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    let text = &message[..message.len().min(LOOKED_AT_MAX)];
    // Only the first line: what follows is evidence.
    let text = text.split(|c| *c == b'\n').next().unwrap_or_default();
    let mut at = 0;
    while at < text.len() && out.len() - begin < MASK_BYTES_MAX {
        let rest = &text[at..];
        let byte = rest[0];
        if byte == b'\'' || byte == b'"' {
            if let Some(length) = memchr::memchr(byte, &rest[1..])
                && length > QUOTED_MAX
            {
                out.extend_from_slice(&[byte, b'.', b'.', b'.', byte]);
                at += length + 2;
                continue;
            }
            out.push(byte);
            at += 1;
            continue;
        }
        if let Some(after) = rest.strip_prefix(b"/var/lib/nova/instances/") {
            let length = after
                .iter()
                .take_while(|c| c.is_ascii_graphic() && !matches!(c, b'\'' | b'"' | b','))
                .count();
            out.extend_from_slice(b"/var/lib/nova/instances/<path>");
            at += 24 + length;
            continue;
        }
        if is_word(byte) {
            at += word(rest, out);
            continue;
        }
        // "::1" and its kin begin without a letter.
        if byte == b':' && rest.starts_with(b"::") && rest.get(2).is_some_and(u8::is_ascii_hexdigit) {
            let length = address_length(rest);
            out.extend_from_slice(b"<ip>");
            at += length;
            continue;
        }
        out.push(if byte == b'\t' { b' ' } else { byte });
        at += 1;
    }
    let end = out.len().min(begin + MASK_BYTES_MAX);
    out.truncate(end);
    while out.len() > begin && out[out.len() - 1] == b' ' {
        out.pop();
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn address_length(text: &[u8]) -> usize {
    text.iter().take_while(|c| c.is_ascii_hexdigit() || matches!(c, b':' | b'.')).count()
}

/// Whether a uuid stands at the beginning.
pub(crate) fn is_uuid(text: &[u8]) -> bool {
    text.len() >= 36
        && text[..36].iter().enumerate().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => *c == b'-',
            _ => c.is_ascii_hexdigit(),
        })
        && !text.get(36).is_some_and(u8::is_ascii_alphanumeric)
}

/// Writes the mask of the word at the beginning; answers its length.
fn word(text: &[u8], out: &mut Vec<u8>) -> usize {
    if is_uuid(text) {
        out.extend_from_slice(b"<id>");
        return 36;
    }
    if text.starts_with(b"req-") && is_uuid(&text[4..]) {
        out.extend_from_slice(b"<request>");
        return 40;
    }
    for device in DEVICES {
        if let Some(after) = text.strip_prefix(device)
            && after.len() >= 11
            && after[..8].iter().all(u8::is_ascii_hexdigit)
            && after[8] == b'-'
            && after[9..11].iter().all(u8::is_ascii_hexdigit)
        {
            out.extend_from_slice(device);
            out.extend_from_slice(b"<port>");
            return device.len() + 11;
        }
    }
    let length = text.iter().take_while(|c| is_word(**c)).count();
    let found = &text[..length];
    let first = found[0];
    if first.is_ascii_hexdigit() {
        // Addresses of machines and networks hold colons.
        let reach = address_length(text);
        let reached = &text[..reach];
        let colons = memchr::memchr_iter(b':', reached).count();
        if colons >= 2 && !text.get(reach).is_some_and(|c| is_word(*c)) {
            let is_mac = colons == 5 && reach == 17;
            out.extend_from_slice(if is_mac { b"<mac>" } else { b"<ip>" });
            return reach;
        }
    }
    if first.is_ascii_digit() {
        if text.len() >= 19 && crate::line::stamp::iso_length(text).is_some() {
            out.extend_from_slice(b"<time>");
            return crate::line::stamp::iso_length(text).unwrap_or(19);
        }
        let reach = text.iter().take_while(|c| c.is_ascii_digit() || **c == b'.').count();
        let dots = memchr::memchr_iter(b'.', &text[..reach]).count();
        if dots == 3 && !text[..reach].ends_with(b".") {
            out.extend_from_slice(b"<ip>");
            return reach;
        }
        if found.starts_with(b"0x") {
            out.extend_from_slice(b"<hex>");
            return length;
        }
        if found.iter().all(u8::is_ascii_digit) {
            out.extend_from_slice(b"<n>");
            // A fraction belongs to its number; the end of a sentence does not.
            return if dots >= 1 && !text[..reach].ends_with(b".") { reach } else { length };
        }
    }
    let is_hex =
        length >= 8 && found.iter().all(u8::is_ascii_hexdigit) && found.iter().any(u8::is_ascii_digit);
    if is_hex {
        out.extend_from_slice(if length == 32 { b"<id>" } else { b"<hex>" });
        return length;
    }
    // "ctl1" and "cmp17" are the same kind of thing.
    let mut at = 0;
    while at < length {
        if found[at].is_ascii_digit() {
            out.extend_from_slice(b"<n>");
            at += found[at..].iter().take_while(|c| c.is_ascii_digit()).count();
        } else {
            out.push(found[at]);
            at += 1;
        }
    }
    length
}

/// Words near which a secret may stand.
const NEAR: &[&str] = &[
    "password",
    "passwd",
    "admin_pass",
    "adminPass",
    "secret",
    "X-Auth-Token",
    "X-Subject-Token",
    "X-Service-Token",
    "Set-Cookie",
    "user_data",
    "gAAAAA",
    "api_key",
    "auth_token",
    "://",
];

static NEARS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(aho_corasick::MatchKind::LeftmostFirst)
        .ascii_case_insensitive(false)
        .build(NEAR)
        .ok()
});

/// The text with its secrets starred out. Tokens that the service itself has hashed stay: they identify a session.
pub fn without_secrets(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(nears) = NEARS.as_ref() else { return Cow::Borrowed(text) };
    let mut out: Option<Vec<u8>> = None;
    let mut kept = 0;
    let mut from = 0;
    while let Some(found) = nears.find(&text[from..]) {
        let (begin, end) = (from + found.start(), from + found.end());
        from = end;
        let hidden = match NEAR[found.pattern().as_usize()] {
            "://" => credentials(text, end),
            "gAAAAA" => {
                let length = text[begin..]
                    .iter()
                    .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'='))
                    .count();
                (length >= 30).then_some((begin, begin + length))
            }
            _ => value(text, end),
        };
        if let Some((begin, end)) = hidden {
            let out = out.get_or_insert_with(Vec::new);
            out.extend_from_slice(&text[kept..begin]);
            out.extend_from_slice(b"***");
            kept = end;
            from = end.max(from);
        }
    }
    match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.extend_from_slice(&text[kept..]);
            Cow::Owned(out)
        }
    }
}

/// The password in `://user:password@host`.
fn credentials(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = text.get(at..)?;
    let end = rest
        .iter()
        .position(|c| c.is_ascii_whitespace() || matches!(c, b'/' | b'"' | b'\'' | b'?'))
        .unwrap_or(rest.len());
    let colon = memchr::memchr(b':', &rest[..end])?;
    let sign = memchr::memrchr(b'@', &rest[..end]).filter(|sign| *sign > colon)?;
    Some((at + colon + 1, at + sign))
}

/// The value behind a name: after `=`, `:`, and quotes.
fn value(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut begin = at;
    let name_end = text[begin..]
        .iter()
        .take(24)
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'))
        .count();
    begin += name_end;
    let mark = text[begin..]
        .iter()
        .take(8)
        .take_while(|c| matches!(c, b'=' | b':' | b' ' | b'"' | b'\'' | b'\\' | b'u'))
        .count();
    let marks = &text[begin..begin + mark];
    if !(marks.contains(&b'=') || marks.contains(&b':')) {
        return None;
    }
    // The mark may have eaten a letter of the value.
    let quote = marks.iter().rposition(|c| *c != b'u').map_or(0, |last| last + 1);
    begin += quote;
    let is_open = |c: u8| {
        !(c.is_ascii_whitespace() || matches!(c, b'"' | b'\'' | b',' | b'&' | b';' | b'}' | b')' | b'\\'))
    };
    let length = text[begin..].iter().take_while(|c| is_open(**c)).count();
    let said = &text[begin..begin + length];
    let is_hashed = said.starts_with(b"{SHA")
        || said.starts_with(b"***")
        || matches!(said, b"None" | b"null" | b"True" | b"False");
    (length > 0 && !is_hashed).then_some((begin, begin + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(text: &str) -> String {
        let mut out = Vec::new();
        mask(text.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn what_differs_from_case_to_case_is_taken_out() {
        for (text, mask) in [
            (
                "Failed to bind port 3871bf29-1111-4222-8333-444455556666 on host cmp17",
                "Failed to bind port <id> on host cmp<n>",
            ),
            (
                "Timed out waiting for a reply to message ID 54fadb412c4e40cdbaed9335e4c35a9e",
                "Timed out waiting for a reply to message ID <id>",
            ),
            (
                "AMQP server on 10.0.0.7:5672 is unreachable: [Errno 111] ECONNREFUSED. Trying again in 1.5 seconds.",
                "AMQP server on <ip>:<n> is unreachable: [Errno <n>] ECONNREFUSED. Trying again in <n> seconds.",
            ),
            ("Took 3.25 seconds.", "Took <n> seconds."),
            ("device tap3871bf29-ab not found in 0x7f00aa", "device tap<port> not found in <hex>"),
            ("fa:16:3e:11:22:33 at fe80::f816:3eff:fe11:2233 and ::1", "<mac> at <ip> and <ip>"),
            (
                "at 2026-11-21 18:40:02.114 in req-3871bf29-1111-4222-8333-444455556666",
                "at <time> in <request>",
            ),
            ("/var/lib/nova/instances/_base/abc is gone", "/var/lib/nova/instances/<path> is gone"),
            ("said 'a text that is longer than anything that anybody would compare by'", "said '...'"),
            ("qdhcp-3871bf29-1111-4222-8333-444455556666", "qdhcp-<id>"),
        ] {
            assert_eq!(masked(text), mask);
        }
    }

    #[test]
    fn secrets_are_starred_out_and_nothing_else() {
        let shown = |text: &str| String::from_utf8_lossy(&without_secrets(text.as_bytes())).into_owned();
        assert_eq!(
            shown("mysql+pymysql://nova:s3cr3t@10.0.0.1/nova"),
            "mysql+pymysql://nova:***@10.0.0.1/nova"
        );
        assert_eq!(shown("-H \"X-Auth-Token: abcdef\" -H x"), "-H \"X-Auth-Token: ***\" -H x");
        assert_eq!(shown("X-Auth-Token: {SHA256}abcdef"), "X-Auth-Token: {SHA256}abcdef");
        assert_eq!(shown("{'password': 'hush', 'a': 1}"), "{'password': '***', 'a': 1}");
        assert_eq!(shown("{u'password': u'hush'}"), "{u'password': u'***'}");
        assert_eq!(shown("password=hush, x"), "password=***, x");
        assert_eq!(shown("token gAAAAABk0123456789012345678901234567890_-= ok"), "token *** ok");
        assert_eq!(
            shown("see https://docs.openstack.org/x and a password is needed"),
            "see https://docs.openstack.org/x and a password is needed"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            mask(&text, &mut out);
            prop_assert!(out.len() <= MASK_BYTES_MAX);
            let _ = without_secrets(&text);
        }

        #[test]
        fn ids_do_not_matter(a in "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", n in 0u32..1_000_000) {
            let text = format!("port {a} failed after {n} s");
            prop_assert_eq!(masked(&text), "port <id> failed after <n> s");
        }

        #[test]
        fn a_password_never_survives(secret in "[a-tv-zA-Z0-9]{9,20}") {
            for text in [format!("password={secret} x"), format!("a://u:{secret}@h/d"), format!("'adminPass': '{secret}'"), format!("X-Subject-Token: {secret}")] {
                let shown = without_secrets(text.as_bytes()).into_owned();
                prop_assert!(!String::from_utf8_lossy(&shown).contains(&secret));
            }
        }
    }
}
