//! The releases that a lab can install, and the exact versions that belong to each.
//!
//! Must never resolve versions at run time: the pins are part of the program.

use crate::error::LabError;

/// A release with its pins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release {
    /// For example `2024.1`.
    pub(crate) series: &'static str,
    /// One `name==version` a line.
    pub(crate) pins: &'static str,
}

const RELEASES: [Release; 7] = [
    Release { series: "2023.1", pins: include_str!("../data/pins/keystone-2023.1.txt") },
    Release { series: "2024.1", pins: include_str!("../data/pins/keystone-2024.1.txt") },
    Release { series: "2024.2", pins: include_str!("../data/pins/keystone-2024.2.txt") },
    Release { series: "2025.1", pins: include_str!("../data/pins/keystone-2025.1.txt") },
    Release { series: "2025.2", pins: include_str!("../data/pins/keystone-2025.2.txt") },
    Release { series: "2026.1", pins: include_str!("../data/pins/keystone-2026.1.txt") },
    Release { series: "2026.2", pins: include_str!("../data/pins/keystone-2026.2.txt") },
];

/// Projects that are published as source only and hold C code.
const NEED_A_COMPILER: [&str; 2] = ["netifaces", "scrypt"];

impl Release {
    /// Looks a release up.
    pub(crate) fn named(series: &str) -> Result<Self, LabError> {
        RELEASES.into_iter().find(|release| release.series == series).ok_or_else(|| {
            LabError::refused(
                format!("the lab has no release `{series}`"),
                format!("take one of {}", RELEASES.map(|release| release.series).join(", ")),
            )
        })
    }

    fn version_of(&self, project: &str) -> Option<&'static str> {
        self.pins.lines().find_map(|line| line.strip_prefix(project)?.strip_prefix("==")).map(str::trim)
    }

    /// The upstream version of keystone.
    pub(crate) fn upstream(&self) -> &'static str {
        self.version_of("keystone").unwrap_or("0")
    }

    /// The version of the package, in Debian's manner: its epoch, and a suffix that a real Debian package outranks.
    pub(crate) fn package_version(&self) -> String {
        format!("2:{}-1~ostler12+1", self.upstream())
    }

    /// How keystone speaks to memcached. The choice stays in the configuration when a node is upgraded: later releases know both.
    pub(crate) fn cache_backend(&self) -> &'static str {
        if WITHOUT_CACHE_POOL.contains(&self.series) {
            "dogpile.cache.memcached"
        } else {
            "oslo_cache.memcache_pool"
        }
    }

    /// Whether a C compiler is needed to build the environment.
    pub(crate) fn needs_compiler(&self) -> bool {
        NEED_A_COMPILER.iter().any(|project| self.version_of(project).is_some())
    }
}

/// The releases whose `oslo_cache.memcache_pool` needs a module that the pins do not have.
const WITHOUT_CACHE_POOL: [&str; 1] = ["2023.1"];

/// The releases that a lab can install, oldest first.
pub fn releases() -> impl Iterator<Item = &'static str> {
    RELEASES.into_iter().map(|release| release.series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_pins_keystone_and_its_server_and_versions_grow() {
        let mut before = 0;
        for release in RELEASES {
            let major: u32 = release.upstream().split('.').next().unwrap().parse().unwrap();
            assert!(major > before, "{}", release.series);
            before = major;
            for project in ["gunicorn", "pymysql", "python-memcached"] {
                assert!(release.version_of(project).is_some(), "{} lacks {project}", release.series);
            }
        }
        assert!(Release::named("2024.1").unwrap().needs_compiler());
        assert!(!Release::named("2026.1").unwrap().needs_compiler());
        assert_eq!(Release::named("2024.1").unwrap().package_version(), "2:25.0.0-1~ostler12+1");
        assert!(Release::named("2024.3").unwrap_err().to_string().contains("2025.1"));
    }
}
