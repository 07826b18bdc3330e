//! What a record says beyond its head: message, request, user, project, instance.
//!
//! It is read for the few records that matter. It never reads other lines than the head's own.

use super::{Form, Head, json, oslo};
use std::borrow::Cow;

/// What a record says beyond its head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details<'a> {
    /// What is said.
    pub message: Cow<'a, [u8]>,
    /// The request's own id, `req-…`.
    pub request: &'a [u8],
    /// The id that the caller gave.
    pub global: &'a [u8],
    /// Who asked.
    pub user: &'a [u8],
    /// For which project.
    pub project: &'a [u8],
    /// The server that it is about.
    pub instance: &'a [u8],
    /// The last line of the traceback, where the record carries one in itself.
    pub exception: Option<Cow<'a, [u8]>>,
}

impl<'a> Head<'a> {
    /// Reads what the record says beyond its head.
    pub fn details(&self) -> Details<'a> {
        match self.form {
            Form::Oslo | Form::OsloShort => {
                let told = oslo::told(self.rest);
                Details {
                    message: without_colours(told.message),
                    request: told.request,
                    global: told.global,
                    user: told.user,
                    project: told.project,
                    instance: told.instance,
                    exception: None,
                }
            }
            Form::Json => object(self.rest),
            Form::JournalJson | Form::Container => Details { message: text(self.rest), ..Details::default() },
            _ => Details { message: Cow::Borrowed(self.rest), ..Details::default() },
        }
    }
}

fn object(line: &[u8]) -> Details<'_> {
    let mut details = Details::default();
    let mut summary: &[u8] = b"";
    json::fields(line, |key, value| match key {
        b"message" | b"MESSAGE" | b"Payload" => details.message = text(json::bare(value)),
        b"msg" if details.message.is_empty() => details.message = text(json::bare(value)),
        b"request_id" => details.request = known(value),
        b"global_request_id" => details.global = known(value),
        b"error_summary" => summary = json::bare(value),
        b"traceback" | b"exc_text" => {
            let last = text(value);
            let end = last.trim_ascii_end();
            let end = end.strip_suffix(b"]").unwrap_or(end);
            let line = end.rsplit(|c| *c == b'\n').map(<[u8]>::trim_ascii).find(|line| line.len() > 2);
            if value != b"null" {
                details.exception = line.map(|line| Cow::Owned(line.to_vec()));
            }
        }
        b"context" | b"extra" => {
            json::fields(value, |key, value| match key {
                b"request_id" => details.request = known(value),
                b"global_request_id" => details.global = known(value),
                b"user_id" | b"user" if details.user.is_empty() => details.user = known(value),
                b"project_id" | b"project" | b"tenant" if details.project.is_empty() => {
                    details.project = known(value)
                }
                b"instance" | b"resource_uuid" if details.instance.is_empty() => {
                    details.instance = uuid_of(json::bare(value))
                }
                _ => {}
            });
        }
        _ => {}
    });
    if details.exception.is_none() && !summary.is_empty() {
        details.exception = Some(text(summary));
    }
    details
}

fn known(value: &[u8]) -> &[u8] {
    let value = json::bare(value);
    if matches!(value, b"null" | b"None" | b"-") { b"" } else { value }
}

/// The uuid in `[instance: …] ` or by itself.
fn uuid_of(value: &[u8]) -> &[u8] {
    let value = value.strip_prefix(b"[instance: ").unwrap_or(value);
    let length = value.iter().take_while(|c| c.is_ascii_hexdigit() || **c == b'-').count();
    if length == 36 { &value[..36] } else { b"" }
}

/// A JSON text without its escapes; as it is where it has none.
fn text(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let escaped = rest.get(at + 1).copied();
        let mut used = 2;
        match escaped {
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(b'u') => {
                let code = rest.get(at + 2..at + 6).and_then(|hex| std::str::from_utf8(hex).ok());
                match code.and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
                    Some(code) => {
                        let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                        out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                        used = 6;
                    }
                    None => out.push(b'u'),
                }
            }
            Some(other) => out.push(other),
            None => used = 1,
        }
        rest = rest.get(at + used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

fn without_colours(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(0x1b, text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"\x1b[") {
        out.extend_from_slice(&rest[..at]);
        let after = &rest[at + 2..];
        let end = after.iter().take(12).position(u8::is_ascii_alphabetic).map_or(0, |end| end + 1);
        rest = &after[end..];
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}
