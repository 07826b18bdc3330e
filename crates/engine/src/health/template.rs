//! Sentences with holes: `{expression}` or `{expression|format}`.
//!
//! A hole that cannot be filled is a question mark; it must never keep a finding from being told.

use super::expr::{Expr, SyntaxError, read};
use super::value::{Eye, Scene};
use ostler_model::health::Value;

/// A sentence.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Words(String),
    Hole(Expr, Format),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Plain,
    Time,
    Bytes,
    Tenths,
    Whole,
}

impl Template {
    /// Reads a sentence.
    pub fn read(text: &str) -> Result<Template, SyntaxError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(begin) = rest.find('{') {
            pieces.push(Piece::Words(rest[..begin].to_owned()));
            let Some(length) = rest[begin..].find('}') else {
                let at = text.chars().count() - rest[begin..].chars().count();
                return Err(SyntaxError {
                    text: text.to_owned(),
                    at,
                    what: "this hole has no end".to_owned(),
                });
            };
            let hole = &rest[begin + 1..begin + length];
            let (expr, format) = match hole.rsplit_once('|') {
                None => (hole, Format::Plain),
                Some((expr, "time")) => (expr, Format::Time),
                Some((expr, "bytes")) => (expr, Format::Bytes),
                Some((expr, "tenths")) => (expr, Format::Tenths),
                Some((expr, "whole")) => (expr, Format::Whole),
                Some((expr, other)) => {
                    let what = format!("there is no format `{other}`; there are time, bytes, tenths, whole");
                    return Err(SyntaxError { text: hole.to_owned(), at: expr.chars().count() + 1, what });
                }
            };
            pieces.push(Piece::Hole(read(expr)?, format));
            rest = &rest[begin + length + 1..];
        }
        pieces.push(Piece::Words(rest.to_owned()));
        Ok(Template(pieces))
    }

    /// The sentence over what is seen.
    pub fn fill(&self, scene: &Scene<'_>, eye: &Eye<'_>) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Words(words) => text.push_str(words),
                Piece::Hole(expr, format) => match scene.value(expr, eye) {
                    Ok(value) => text.push_str(&shown(&value, *format)),
                    Err(_) => text.push('?'),
                },
            }
        }
        text
    }
}

fn shown(value: &Value, format: Format) -> String {
    let Some(number) = value.number() else { return value.to_string() };
    match format {
        Format::Plain => value.to_string(),
        Format::Tenths => format!("{number:.1}"),
        Format::Whole => format!("{number:.0}"),
        Format::Time => time(number),
        Format::Bytes => bytes(number),
    }
}

/// Seconds for a person: two units at most.
pub(super) fn time(seconds: f64) -> String {
    let whole = seconds.abs().round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match whole {
        0..120 => format!("{whole} s"),
        120..7_200 => format!("{} min", whole / 60),
        7_200..172_800 if minutes == 0 => format!("{} h", whole / 3_600),
        7_200..172_800 => format!("{} h {minutes} min", whole / 3_600),
        _ if days > 13 || hours == 0 => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

fn bytes(number: f64) -> String {
    let mut rest = number;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if rest.abs() < 1024.0 {
            return if unit == "B" { format!("{rest:.0} B") } else { format!("{rest:.1} {unit}") };
        }
        rest /= 1024.0;
    }
    format!("{rest:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_their_unit() {
        assert_eq!(
            [59.0, 3_600.0, 7_260.0, 90_000.0, 200_000.0, 2_000_000.0].map(time),
            ["59 s", "60 min", "2 h 1 min", "25 h", "2 d 7 h", "23 d"]
        );
        assert_eq!([12.0, 2_048.0, 5e9, 5e15].map(bytes), ["12 B", "2.0 KiB", "4.7 GiB", "4547.5 TiB"]);
    }

    #[test]
    fn a_hole_without_an_end_or_with_an_odd_format_is_refused() {
        assert_eq!(Template::read("ab {c").unwrap_err().at, 3);
        assert!(Template::read("{c|furlong}").unwrap_err().what.contains("there are time"));
    }
}
