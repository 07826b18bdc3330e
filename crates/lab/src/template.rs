//! Fills `{{name}}` places in embedded texts, and sets options in INI texts.
//!
//! Must never leave a place unfilled without saying so.

use crate::error::LabError;

/// Fills all places of a text.
pub(crate) fn fill(text: &str, values: &[(&str, &str)]) -> Result<String, LabError> {
    let mut filled = text.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("{{{{{name}}}}}"), value);
    }
    match filled.split_once("{{") {
        None => Ok(filled),
        Some((_, rest)) => {
            let place: String = rest.chars().take_while(|letter| *letter != '}').collect();
            Err(LabError::refused(
                format!("nothing was given for `{place}` in an embedded text"),
                "report this as a bug of ostler",
            ))
        }
    }
}

/// Sets one option in an INI text, in its section, in front of everything that stands there; an older value goes.
pub(crate) fn set_option(text: &str, section: &str, key: &str, value: &str) -> String {
    let header = format!("[{section}]");
    let mut result = String::with_capacity(text.len() + value.len() + key.len() + 8);
    let (mut inside, mut done) = (false, false);
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            inside = trimmed == header;
        } else if inside && trimmed.split_once('=').is_some_and(|(name, _)| name.trim() == key) {
            continue;
        }
        result.push_str(line);
        result.push('\n');
        if inside && !done && trimmed == header {
            result.push_str(&format!("{key} = {value}\n"));
            done = true;
        }
    }
    if !done {
        result.push_str(&format!("\n{header}\n{key} = {value}\n"));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_filled_or_named() {
        assert_eq!(fill("a {{x}} {{y}} {{x}}", &[("x", "1"), ("y", "2")]).unwrap(), "a 1 2 1");
        assert!(fill("a {{x}}", &[]).unwrap_err().to_string().contains("`x`"));
    }

    #[test]
    fn an_option_is_set_once_and_in_its_section() {
        let text = "[a]\n#k = 0\nk = 1\n[b]\nk = 2\n";
        assert_eq!(set_option(text, "a", "k", "9"), "[a]\nk = 9\n#k = 0\n[b]\nk = 2\n");
        assert_eq!(set_option(text, "c", "k", "3"), "[a]\n#k = 0\nk = 1\n[b]\nk = 2\n\n[c]\nk = 3\n");
    }
}
