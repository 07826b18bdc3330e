//! Lengths of time as people type and read them: `90s`, `10m`, `1h30m`; `3.9 s`, `2 min 5 s`, `3 h 10 min`.
//!
//! It never guesses a unit: a bare number is refused.

use std::fmt;
use std::str::FromStr;

/// Longest time that may be asked for: a week is a mistake, not a wish.
const SECONDS_MAX: u64 = 7 * 86_400;

/// A length of time in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u32);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a length of time; write `90s`, `10m`, `1h` or `1h30m`");
        let mut total: u64 = 0;
        let mut rest = text.trim();
        let mut last_unit = u64::MAX;
        if rest == "0" {
            return Ok(Seconds(0));
        }
        if rest.is_empty() {
            return Err(refuse());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
            let number: u64 = rest[..digits].parse().map_err(|_| refuse())?;
            let tail = rest[digits..].trim_start();
            let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let unit = match &tail[..letters] {
                "s" | "sec" => 1,
                "m" | "min" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return Err(refuse()),
            };
            if unit >= last_unit {
                return Err(refuse());
            }
            last_unit = unit;
            total = number.checked_mul(unit).and_then(|s| s.checked_add(total)).ok_or_else(refuse)?;
            rest = tail[letters..].trim_start();
        }
        if total > SECONDS_MAX {
            return Err(format!("`{text}` is longer than a week"));
        }
        u32::try_from(total).map(Seconds).map_err(|_| refuse())
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words(u64::from(self.0) * 1000))
    }
}

impl<'de> serde::Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Milliseconds for a person.
pub fn words(ms: u64) -> String {
    let seconds = ms.div_euclid(1000);
    match ms {
        0 => "0 s".to_owned(),
        1..10_000 => format!("{:.1} s", ms as f64 / 1000.0),
        10_000..60_000 => format!("{} s", (ms + 500) / 1000),
        60_000..3_600_000 => match seconds % 60 {
            0 => format!("{} min", seconds / 60),
            rest => format!("{} min {rest} s", seconds / 60),
        },
        _ if seconds < 2 * 86_400 => match seconds / 60 % 60 {
            0 => format!("{} h", seconds / 3600),
            rest => format!("{} h {rest} min", seconds / 3600),
        },
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read() {
        for (text, seconds) in [
            ("0", 0),
            ("5s", 5),
            ("10m", 600),
            ("1h", 3600),
            ("1h30m", 5400),
            ("1h 30m 5s", 5405),
            ("2 min", 120),
        ] {
            assert_eq!(text.parse::<Seconds>(), Ok(Seconds(seconds)), "{text}");
        }
    }

    #[test]
    fn what_has_no_unit_or_is_out_of_order_is_refused_by_name() {
        for text in
            ["", "10", "m", "10 parsecs", "-5s", "5s10m", "1m1m", "99999999999999999999s", "8d", "1.5h"]
        {
            assert!(text.parse::<Seconds>().unwrap_err().contains(text), "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_told_with_two_units_at_most() {
        let told = [0, 40, 3_940, 41_200, 125_000, 120_000, 11_400_000, 200_000_000].map(words);
        assert_eq!(told, ["0 s", "0.0 s", "3.9 s", "41 s", "2 min 5 s", "2 min", "3 h 10 min", "2 d"]);
    }
}
