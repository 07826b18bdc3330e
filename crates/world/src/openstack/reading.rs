//! Reads what services answer: what is needed must be there, everything else may be missing or odd.
//!
//! It must never panic, and never fail on a field that nobody needs.

use serde_json::Value;

/// A text below a key.
pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A truth below a key; missing is false.
pub(super) fn truth(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// A whole number below a key; missing, negative or broken is 0.
pub(super) fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// A text that must be there.
pub(super) fn needed(value: &Value, key: &str) -> Result<String, String> {
    match value.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => Err(format!("something in it has no `{key}`")),
    }
}

/// Texts of an object's fields.
pub(super) fn texts(value: &Value, key: &str) -> std::collections::BTreeMap<String, String> {
    let fields = value.get(key).and_then(Value::as_object).into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// Texts of a list.
pub(super) fn listed(value: &Value, key: &str) -> Vec<String> {
    let items = value.get(key).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A text for the path or query of an address.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            quoted.push(char::from(byte));
        } else {
            quoted.push_str(&format!("%{byte:02X}"));
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_odd_is_nothing_and_what_is_needed_is_named() {
        let odd = json!({"a": 1, "b": null, "c": -1, "d": ["x", 1], "e": {"k": "v", "n": 2}, "f": ""});
        assert_eq!(
            (text(&odd, "a"), text(&odd, "f"), truth(&odd, "b"), number(&odd, "c")),
            (None, None, false, 0)
        );
        assert_eq!((listed(&odd, "d"), texts(&odd, "e").len()), (vec!["x".to_owned()], 1));
        assert_eq!(needed(&odd, "a").unwrap(), "1");
        assert_eq!(needed(&odd, "f").unwrap_err(), "something in it has no `f`");
        assert_eq!((text(&json!(3), "a"), listed(&json!([]), "a")), (None, vec![]));
    }

    #[test]
    fn nothing_leaves_its_place_in_an_address() {
        assert_eq!(quoted("cmp-1.a_b~"), "cmp-1.a_b~");
        assert_eq!(quoted("a/b?c&d=é"), "a%2Fb%3Fc%26d%3D%C3%A9");
    }
}
