//! What a client may send: media types, JSON, and the rules for each value.
//!
//! No property is let through that is not known. It must never answer "server error" for what a client sent, however
//! odd, and never say back more of it than fits a line.

use super::fault::{Fault, shown};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use ostler_model::Timestamp;
use serde_json::{Map, Value};

/// Bytes of a body: what the service has always taken.
pub const BODY_BYTES_MAX: usize = 114_688;

/// Characters of a name, and of most other texts.
const TEXT_CHARS_MAX: usize = 255;

/// Members of a JSON object.
pub type Object = Map<String, Value>;

/// The object under the one key that a body has.
pub fn body(headers: &HeaderMap, bytes: &[u8], key: &str) -> Result<Object, Fault> {
    let kind = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let body = match kind.as_str() {
        "application/json" | "application/vnd.openstack.masakari+json" => {
            if bytes.is_empty() {
                return Err(Fault::bad(format!("The body is empty; it has to be an object with `{key}`.")));
            }
            serde_json::from_slice(bytes)
                .map_err(|error| Fault::bad(format!("Malformed request body: it is not JSON: {error}")))?
        }
        "" | "text/plain" => Value::Null,
        other => {
            return Err(Fault::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("Unsupported Content-Type {}; send application/json.", shown(other)),
            ));
        }
    };
    let Value::Object(mut body) = body else {
        return Err(Fault::bad(format!("The body is not an object; it has to be one with `{key}`.")));
    };
    let inner = body.remove(key).ok_or_else(|| Fault::bad(format!("'{key}' is a required property")))?;
    if let Some((other, _)) = body.iter().next() {
        return Err(additional(other));
    }
    match inner {
        Value::Object(object) => Ok(object),
        _ => Err(Fault::bad(format!("Invalid input for field {key}: it is not an object"))),
    }
}

fn additional(name: &str) -> Fault {
    Fault::bad(format!("Additional properties are not allowed ('{}' was unexpected)", shown(name)))
}

/// Refuses what nobody has asked for: after everything known was taken, nothing may be left.
pub fn nothing_else(object: &Object) -> Result<(), Fault> {
    object.keys().next().map_or(Ok(()), |name| Err(additional(name)))
}

/// A value that has to be there.
pub fn required<T>(
    object: &mut Object,
    name: &str,
    read: impl Fn(&str, Value) -> Result<T, Fault>,
) -> Result<T, Fault> {
    match object.remove(name) {
        Some(value) => read(name, value),
        None => Err(Fault::bad(format!("'{name}' is a required property"))),
    }
}

/// A value that may be there.
pub fn optional<T>(
    object: &mut Object,
    name: &str,
    read: impl Fn(&str, Value) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    object.remove(name).map(|value| read(name, value)).transpose()
}

fn invalid(name: &str, value: &Value, why: &str) -> Fault {
    Fault::bad(format!(
        "Invalid input for field/attribute {name}. Value: {}. {why}",
        shown(&value.to_string())
    ))
}

fn text(name: &str, value: Value) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(invalid(name, &other, "It is not of type 'string'")),
    }
}

fn length(name: &str, text: String, least: usize) -> Result<String, Fault> {
    let count = text.chars().count();
    if count < least || count > TEXT_CHARS_MAX {
        let why = format!("It has {count} characters; {least} to {TEXT_CHARS_MAX} are allowed");
        return Err(invalid(name, &Value::String(text), &why));
    }
    Ok(text)
}

/// A name: printable, and no white space at either end.
pub fn name(name: &str, value: Value) -> Result<String, Fault> {
    let text = length(name, text(name, value)?, 1)?;
    let has_edge = text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace);
    if has_edge || !text.chars().all(is_printable) {
        let why = "It must be printable characters without white space at either end";
        return Err(invalid(name, &Value::String(text), why));
    }
    Ok(text)
}

/// Free words of any length: printable characters and line feeds.
pub fn words(name: &str, value: Value) -> Result<String, Fault> {
    let text = text(name, value)?;
    match text.chars().all(|c| c == '\n' || is_printable(c)) {
        true => Ok(text),
        false => Err(invalid(name, &Value::String(text), "It must be printable characters and line feeds")),
    }
}

/// The same, or nothing.
pub fn maybe_words(name: &str, value: Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        value => words(name, value).map(Some),
    }
}

/// One word of letters and digits; it may be empty.
pub fn letters(name: &str, value: Value) -> Result<String, Fault> {
    let text = length(name, text(name, value)?, 0)?;
    match text.chars().all(|c| c.is_ascii_alphanumeric()) {
        true => Ok(text),
        false => Err(invalid(name, &Value::String(text), "It must be letters and digits")),
    }
}

/// The name of a host as a monitor sends it.
pub fn hostname(name: &str, value: Value) -> Result<String, Fault> {
    let text = length(name, text(name, value)?, 1)?;
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match text.chars().all(is_good) {
        true => Ok(text),
        false => Err(invalid(name, &Value::String(text), "It must be letters, digits, '-', '.' and '_'")),
    }
}

/// Any short text that is not empty.
pub fn short(name: &str, value: Value) -> Result<String, Fault> {
    length(name, text(name, value)?, 1)
}

/// One of some fixed words.
pub fn one_of<T: Copy>(
    of: impl Fn(&str) -> Option<T>,
    all: &[&str],
) -> impl Fn(&str, Value) -> Result<T, Fault> {
    move |name, value| {
        let found = value.as_str().and_then(&of);
        found.ok_or_else(|| invalid(name, &value, &format!("It is not one of {all:?}")))
    }
}

/// The words for yes.
const YES: &[&str] = &["True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes"];

/// The words for no.
const NO: &[&str] = &["False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no"];

/// Yes or no by its word.
pub fn truth_of(word: &str) -> Option<bool> {
    match (YES.contains(&word), NO.contains(&word)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// Yes or no, by a JSON boolean or its word.
pub fn truth(name: &str, value: Value) -> Result<bool, Fault> {
    let found = match &value {
        Value::Bool(truth) => Some(*truth),
        Value::String(word) => truth_of(word),
        _ => None,
    };
    found.ok_or_else(|| invalid(name, &value, &format!("It is neither a boolean nor one of {YES:?}, {NO:?}")))
}

/// The identity of an instance, dashes or not.
pub fn instance(name: &str, value: Value) -> Result<String, Fault> {
    let text = text(name, value)?;
    let digits: Vec<char> = text.chars().filter(|c| *c != '-').collect();
    let is_uuid = digits.len() == 32 && digits.iter().all(char::is_ascii_hexdigit) && text.len() <= 36;
    match is_uuid {
        true => Ok(text),
        false => Err(invalid(name, &Value::String(text), "It is not a 'uuid'")),
    }
}

/// A time, to the second.
pub fn time(name: &str, value: Value) -> Result<Timestamp, Fault> {
    let text = text(name, value)?;
    match time_of(&text) {
        Some(time) => Ok(time),
        None => Err(invalid(name, &Value::String(text), "It is not a 'date-time'")),
    }
}

/// A time by its text: with an offset, or in UTC where it has none. Fractions are left out.
pub fn time_of(text: &str) -> Option<Timestamp> {
    let time = text.parse::<Timestamp>().ok().or_else(|| {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        Some(local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    Timestamp::from_second(time.as_second()).ok()
}

/// Whether a character can be seen or is a space.
fn is_printable(c: char) -> bool {
    // Formats, separators of lines, private use, and what will never be a character: they are not control characters,
    // but a person would not see them in a name.
    let is_hidden = matches!(c,
        '\u{AD}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}' | '\u{180E}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
        | '\u{FFF0}'..='\u{FFFB}' | '\u{FFFE}'..='\u{FFFF}' | '\u{110BD}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E000}'..='\u{F8FF}' | '\u{E0000}'..='\u{E0FFF}' | '\u{F0000}'..='\u{10FFFF}');
    !c.is_control() && !is_hidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_printable_and_trimmed() {
        for good in ["rack-a", "ä ö", "机架", "🐎", &"n".repeat(255)] {
            assert_eq!(name("name", json!(good)).unwrap(), good);
        }
        for bad in ["", " a", "a ", "a\tb", "a\nb", "a\u{200B}b", "a\0", &"n".repeat(256)] {
            assert_eq!(name("name", json!(bad)).unwrap_err().status, StatusCode::BAD_REQUEST, "{bad:?}");
        }
        for bad in [json!(null), json!(1), json!(["a"]), json!({}), json!(true)] {
            assert!(name("name", bad).is_err());
        }
    }

    #[test]
    fn times_are_utc_and_without_fractions() {
        for text in [
            "2017-04-21 17:29:55",
            "2017-04-21T17:29:55.123456",
            "2017-04-21T17:29:55Z",
            "2017-04-21T19:29:55+02:00",
        ] {
            assert_eq!(time_of(text).unwrap().to_string(), "2017-04-21T17:29:55Z", "{text}");
        }
        for text in ["", "yesterday", "2017-13-01T00:00:00", "2017-04-21T17:29:55+99:00", "1"] {
            assert_eq!(time_of(text), None, "{text}");
        }
    }
}
