//! OpenStack releases: their names, their order, and which of them may be skipped.
//!
//! This module says what the calendar says; whether a jump is allowed is decided by the planner.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A release series such as `2024.1`: year and number within the year. Ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The year of the release.
    pub year: u16,
    /// First or second release of the year.
    pub number: u8,
}

/// Why a text is not a release series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a release series; a series looks like `2024.1`")]
pub struct NotASeries {
    /// What was given.
    pub text: String,
}

impl Series {
    /// The series of a year and its number.
    pub const fn new(year: u16, number: u8) -> Self {
        Self { year, number }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.year, self.number))
    }
}

impl FromStr for Series {
    type Err = NotASeries;

    fn from_str(text: &str) -> Result<Self, NotASeries> {
        let refuse = || NotASeries { text: text.to_owned() };
        let (year, number) = text.split_once('.').ok_or_else(refuse)?;
        let year: u16 = year.parse().map_err(|_| refuse())?;
        let number: u8 = number.parse().map_err(|_| refuse())?;
        if !(2010..2100).contains(&year) || !(1..=2).contains(&number) {
            return Err(refuse());
        }
        Ok(Self { year, number })
    }
}

impl Serialize for Series {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Series {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// One release of OpenStack, as the project's calendar has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Release {
    /// The series.
    pub series: Series,
    /// The release's name.
    pub name: String,
    /// The day of the release.
    pub date: String,
    /// Whether one may upgrade from the previous such release without stopping between.
    pub slurp: bool,
    /// Operating systems that the release was tested on.
    pub tested_on: Vec<String>,
    /// Python versions that the release was tested with.
    pub python: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_read_and_ordered_by_time() {
        let a: Series = "2024.2".parse().unwrap();
        let b: Series = "2025.1".parse().unwrap();
        assert!(a < b);
        assert_eq!(b.to_string(), "2025.1");
    }

    #[test]
    fn what_is_not_a_series_is_refused_by_name() {
        for text in ["", "2024", "2024.3", "caracal", "2024.0", "1999.1", "2024.1.1"] {
            let error = text.parse::<Series>().unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
