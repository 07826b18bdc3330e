//! Microversions: which one a call is made with is chosen for each cloud when it is asked, from what the service
//! announces, so that one program serves a cloud in the middle of its upgrade.
//!
//! It must never be guessed: a service that announces nothing speaks its oldest version.

use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// A microversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Microversion(pub u16, pub u16);

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for Microversion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.trim().split_once('.').ok_or(())?;
        Ok(Self(major.parse().map_err(|_| ())?, minor.parse().map_err(|_| ())?))
    }
}

/// The versions that a call is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The oldest that has what is needed.
    pub floor: Microversion,
    /// The newest whose meaning is known.
    pub ceiling: Microversion,
}

impl Range {
    /// From one to another, both included.
    pub const fn new(floor: Microversion, ceiling: Microversion) -> Self {
        Self { floor, ceiling }
    }

    /// The newest version that both sides speak.
    pub fn choose(self, least: Microversion, most: Microversion) -> Option<Microversion> {
        let chosen = self.ceiling.min(most);
        (chosen >= self.floor && chosen >= least).then_some(chosen)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.floor == self.ceiling {
            return write!(f, "{}", self.floor);
        }
        write!(f, "{} to {}", self.floor, self.ceiling)
    }
}

/// What a service's version document announces for one major version: the oldest and the newest microversion.
/// Both shapes are read: one version, or a list of them.
pub(super) fn announced(document: &Value, major: u16) -> Option<(Microversion, Microversion)> {
    let one = document.get("version").filter(|version| version.is_object());
    let listed = document.get("versions").and_then(Value::as_array).into_iter().flatten();
    one.into_iter().chain(listed).find_map(|version| {
        let version_text =
            |key: &str| version.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let most = version_text("max_version").or_else(|| version_text("version"))?.parse().ok()?;
        let least = version_text("min_version")?.parse().ok()?;
        let Microversion(of, _) = least;
        (of == major && least <= most).then_some((least, most))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const V: fn(u16, u16) -> Microversion = Microversion;

    #[test]
    fn the_newest_that_both_speak_is_chosen() {
        let range = Range::new(V(2, 14), V(2, 94));
        assert_eq!(range.choose(V(2, 1), V(2, 100)), Some(V(2, 94)));
        assert_eq!(range.choose(V(2, 1), V(2, 60)), Some(V(2, 60)));
        assert_eq!(range.choose(V(2, 1), V(2, 13)), None);
        assert_eq!(range.choose(V(2, 95), V(2, 100)), None);
    }

    #[test]
    fn both_shapes_of_announcements_are_read_and_nothing_else() {
        let one = json!({"version": {"id": "v2.1", "version": "2.100", "min_version": "2.1"}});
        let many = json!({"versions": [
            {"id": "v2.0", "version": "", "min_version": ""},
            {"id": "v2.1", "version": "2.100", "min_version": "2.1"},
        ]});
        let placement = json!({"versions": [{"id": "v1.0", "max_version": "1.39", "min_version": "1.0"}]});
        assert_eq!(announced(&one, 2), Some((V(2, 1), V(2, 100))));
        assert_eq!(announced(&many, 2), Some((V(2, 1), V(2, 100))));
        assert_eq!(announced(&placement, 1), Some((V(1, 0), V(1, 39))));
        for odd in [
            json!(null),
            json!([]),
            json!({"versions": 3}),
            json!({"version": {"version": 2.1, "min_version": "x"}}),
            json!({"version": {"version": "2.1", "min_version": "2.99999999"}}),
            json!({"version": {"version": "2.1", "min_version": "2.9"}}),
        ] {
            assert_eq!(announced(&odd, 2), None, "{odd}");
        }
    }
}
