//! Tells of a mistake in a file that a person wrote: the place, the line, a caret, and what was probably meant.
//!
//! It never shows more than the one line that is wrong.

use crate::failure::Failure;
use std::ops::Range;
use std::path::Path;

/// How alike two names must be for one to be suggested for the other (0 to 1).
const ALIKE_MIN: f64 = 0.7;

/// The known name that is most like a given one, if any is like it at all.
pub fn closest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&given, &name.to_lowercase()), name))
        .filter(|(alike, _)| *alike >= ALIKE_MIN)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// A mistake at a place of a file.
pub fn at(path: &Path, text: &str, span: Option<Range<usize>>, what: &str) -> Failure {
    let Some(span) = span.filter(|span| span.start <= text.len() && text.is_char_boundary(span.start)) else {
        return Failure::usage(format!("{}: {what}", path.display()));
    };
    let before = &text[..span.start];
    let line_number = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let column = before[line_start..].chars().count() + 1;
    let end = span.end.clamp(span.start, line_start + line.len()).max(span.start);
    let carets = text.get(span.start..end).map_or(1, |marked| marked.chars().count()).max(1);
    let margin = " ".repeat(line_number.to_string().len());
    Failure::usage(format!("{}:{line_number}:{column}: {what}", path.display()))
        .evidence(format!("{margin} |"))
        .evidence(format!("{line_number} | {line}"))
        .evidence(format!("{margin} | {}{}", " ".repeat(column - 1), "^".repeat(carets)))
}

/// What the reader of a file said, in our words.
pub fn from_reader(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let message = error.message();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (given, known) = quoted.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
    let what = if message.starts_with("unknown field") {
        format!("there is no key `{given}` here")
    } else if message.starts_with("unknown variant") {
        format!("`{given}` is not possible here")
    } else if message.starts_with("missing field") {
        format!("the key `{given}` is missing here")
    } else {
        message.lines().collect::<Vec<_>>().join(", ")
    };
    let failure = at(path, text, error.span(), &what);
    if !message.starts_with("unknown ") {
        return failure;
    }
    match closest(given, known.iter().copied()) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure.hint(format!("possible are: {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_marked() {
        let text = "a = 1\n  bcd = 2\n";
        let failure = at(Path::new("x.toml"), text, Some(8..11), "wrong");
        assert_eq!(failure.to_string(), "error: x.toml:2:3: wrong\n    |\n  2 |   bcd = 2\n    |   ^^^\n");
    }

    #[test]
    fn a_place_outside_the_file_is_left_out() {
        for span in [None, Some(99..100)] {
            assert_eq!(at(Path::new("x.toml"), "ä", span, "wrong").error, "x.toml: wrong");
        }
        assert_eq!(at(Path::new("x.toml"), "ä", Some(1..2), "wrong").error, "x.toml: wrong");
        assert_eq!(at(Path::new("x.toml"), "ab", Some(1..1), "wrong").evidence[2], "  |  ^");
    }

    #[test]
    fn likeness_has_a_floor() {
        let known = ["known-hosts", "user", "key"];
        assert_eq!(closest("known_host", known), Some("known-hosts"));
        assert_eq!(closest("zzz", known), None);
    }
}
