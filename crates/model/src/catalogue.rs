//! The catalogue: what is known of OpenStack's services and releases, as data.
//!
//! One file per release and one per service are embedded; a site can add or override files. A page that
//! contradicts itself is refused when it is loaded, with its name and what is wrong. The catalogue holds facts
//! and argument lists; it decides nothing.

use crate::cloud::Flavour;
use crate::function::{Function, LogAllowance};
use crate::ids::ServiceName;
use crate::release::{Release, Series};
use crate::step::{Call, ConfigEdit, Reading};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// Releases in order of time.
    pub releases: BTreeMap<Series, Release>,
    /// Services by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// What is asked of a service to see that it works, by its name.
    pub functions: BTreeMap<ServiceName, Function>,
}

/// One service's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// What people call it.
    pub title: String,
    /// How it is installed, by deployment flavour.
    pub flavours: BTreeMap<Flavour, Installed>,
    /// Its configuration.
    pub config: Config,
    /// Its database.
    pub database: Database,
    /// Its place behind the load balancer.
    pub proxy: Proxy,
    /// Commands that change the schema.
    pub schema: Schema,
    /// Its own checking commands.
    #[serde(default)]
    pub advisers: Vec<Adviser>,
    /// Real calls that prove that it works.
    pub verify: Vec<Call>,
    /// Real calls that a server must have answered before clients may reach it.
    pub warm_up: WarmUp,
    /// Where its logs are, and what they may say while it is changed.
    #[serde(default)]
    pub logs: Option<Logs>,
    /// How long its verbs take, in milliseconds, until runs of one's own say better.
    pub expect_ms: BTreeMap<String, u64>,
    /// What each release changes.
    pub releases: Vec<ServiceRelease>,
}

/// How a service is installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Installed {
    /// Packages; the first one carries the service's version.
    pub packages: Vec<String>,
    /// Units that run its code.
    pub units: Vec<String>,
    /// The account that its commands run under.
    pub user: String,
    /// Answers to the packages' questions that keep them from acting on their own.
    #[serde(default)]
    pub presets: Vec<String>,
}

/// A service's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The main file, in oslo's dialect.
    pub main: String,
    /// Everything that a backup must hold: files and directories.
    pub keep: Vec<String>,
    /// Key directories, which must be equal on all nodes.
    pub shared_keys: Vec<String>,
}

/// A service's database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Database {
    /// Its name, unless the site says otherwise.
    pub name: String,
    /// The table that holds the heads.
    pub version_table: String,
}

/// A service's place behind the load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Proxy {
    /// The backend's name.
    pub backend: String,
    /// The port of its servers and of the front door.
    pub port: u16,
    /// How long running sessions may take when a server is drained.
    pub patience_s: u32,
}

/// Commands that change the schema. A command is missing where the service has no such phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schema {
    /// Adds what the new code needs; the old code goes on.
    pub expand: Vec<String>,
    /// Removes what only the old code needed.
    pub contract: Vec<String>,
    /// Everything at once, for a stopped service.
    pub sync: Vec<String>,
    /// How long one phase may take.
    pub limit_s: u32,
    /// Why a contracted schema cannot be taken back.
    pub contract_is_final: String,
}

/// A checking command of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Adviser {
    /// Its name.
    pub name: String,
    /// The command.
    pub argv: Vec<String>,
    /// How its answer is read.
    pub reading: Reading,
}

/// A service's logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Logs {
    /// Files and directories.
    pub paths: Vec<String>,
    /// Errors that a change brings along.
    #[serde(default)]
    pub allow: Vec<LogAllowance>,
}

/// What a server must have answered before clients may reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WarmUp {
    /// Full rounds in a row.
    pub rounds: u16,
    /// The calls of one round.
    pub calls: Vec<Call>,
}

/// What one release is for one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServiceRelease {
    /// The release.
    pub series: Series,
    /// Major version of the service in it.
    pub major: u32,
    /// Head of the expand branch.
    pub expand: String,
    /// Other heads of the expand branch that point releases of this series have left behind.
    #[serde(default)]
    pub expand_also: Vec<String>,
    /// Head of the contract branch.
    pub contract: String,
    /// Whether the expand branch breaks servers of the release before.
    #[serde(default)]
    pub expand_is_destructive: bool,
    /// Changes in the configuration that come with it.
    #[serde(default)]
    pub config: Vec<ConfigEdit>,
    /// What an operator should know before going there.
    #[serde(default)]
    pub cautions: Vec<String>,
}

impl ServiceRelease {
    /// The sorted heads of a database of this release.
    pub fn heads(&self) -> Vec<String> {
        sorted([self.expand.clone(), self.contract.clone()])
    }

    /// Every sorted set of heads that a database of this release may have.
    pub fn any_heads(&self) -> Vec<Vec<String>> {
        let also = self.expand_also.iter().map(|expand| sorted([expand.clone(), self.contract.clone()]));
        std::iter::once(self.heads()).chain(also).collect()
    }
}

/// Heads in the order in which they are compared.
pub fn sorted(heads: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut heads: Vec<String> = heads.into_iter().collect();
    heads.sort();
    heads.dedup();
    heads
}

impl Service {
    /// What one release is for this service.
    pub fn release(&self, series: Series) -> Option<&ServiceRelease> {
        self.releases.iter().find(|release| release.series == series)
    }

    /// The release that a package version belongs to. Epoch and packaging suffix do not matter.
    pub fn series_of(&self, package_version: &str) -> Option<Series> {
        let major: u32 = upstream_version(package_version).split('.').next()?.parse().ok()?;
        self.releases.iter().find(|release| release.major == major).map(|release| release.series)
    }
}

/// The upstream part of a package version: `2:25.0.0-1` is `25.0.0`.
pub fn upstream_version(package_version: &str) -> &str {
    let without_epoch = package_version.split_once(':').map_or(package_version, |(_, rest)| rest);
    let end = without_epoch.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(without_epoch.len());
    without_epoch[..end].trim_end_matches('.')
}

/// What is wrong with a page.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It is not what a page looks like.
    #[error("catalogue page {page}: {error}")]
    Unreadable {
        /// Which page.
        page: String,
        /// What the reader said, with the place.
        error: Box<toml::de::Error>,
    },
    /// It contradicts itself or another page.
    #[error("catalogue page {page}: {what}")]
    Wrong {
        /// Which page.
        page: String,
        /// What is wrong.
        what: String,
    },
}

const RELEASES: &[(&str, &str)] = &[
    ("releases/2023.1.toml", include_str!("../data/releases/2023.1.toml")),
    ("releases/2023.2.toml", include_str!("../data/releases/2023.2.toml")),
    ("releases/2024.1.toml", include_str!("../data/releases/2024.1.toml")),
    ("releases/2024.2.toml", include_str!("../data/releases/2024.2.toml")),
    ("releases/2025.1.toml", include_str!("../data/releases/2025.1.toml")),
    ("releases/2025.2.toml", include_str!("../data/releases/2025.2.toml")),
    ("releases/2026.1.toml", include_str!("../data/releases/2026.1.toml")),
    ("releases/2026.2.toml", include_str!("../data/releases/2026.2.toml")),
];

const SERVICES: &[(&str, &str)] =
    &[("services/keystone.toml", include_str!("../data/services/keystone.toml"))];

const FUNCTIONS: &[(&str, &str)] = &[
    ("functions/barbican.toml", include_str!("../data/functions/barbican.toml")),
    ("functions/cinder.toml", include_str!("../data/functions/cinder.toml")),
    ("functions/designate.toml", include_str!("../data/functions/designate.toml")),
    ("functions/glance.toml", include_str!("../data/functions/glance.toml")),
    ("functions/heat.toml", include_str!("../data/functions/heat.toml")),
    ("functions/keystone.toml", include_str!("../data/functions/keystone.toml")),
    ("functions/masakari.toml", include_str!("../data/functions/masakari.toml")),
    ("functions/neutron.toml", include_str!("../data/functions/neutron.toml")),
    ("functions/nova.toml", include_str!("../data/functions/nova.toml")),
    ("functions/octavia.toml", include_str!("../data/functions/octavia.toml")),
    ("functions/placement.toml", include_str!("../data/functions/placement.toml")),
    ("functions/swift.toml", include_str!("../data/functions/swift.toml")),
];

impl Catalogue {
    /// The embedded pages.
    pub fn embedded() -> Result<Catalogue, CatalogueError> {
        Self::with_site(&[])
    }

    /// The embedded pages and a site's own, `(name, text)`. A site's page replaces the embedded one of the same
    /// release or service; names say which kind a page is (`releases/…`, `services/…` or `functions/…`).
    pub fn with_site(site: &[(String, String)]) -> Result<Catalogue, CatalogueError> {
        let mut catalogue =
            Catalogue { releases: BTreeMap::new(), services: BTreeMap::new(), functions: BTreeMap::new() };
        let embedded = RELEASES.iter().chain(SERVICES).chain(FUNCTIONS).map(|(page, text)| (*page, *text));
        let own = site.iter().map(|(page, text)| (page.as_str(), text.as_str()));
        for (page, text) in embedded.chain(own) {
            if page.starts_with("releases/") {
                let release: Release = read(page, text)?;
                catalogue.releases.insert(release.series, release);
            } else if page.starts_with("services/") {
                let service: Service = read(page, text)?;
                catalogue.services.insert(service.name.clone(), service);
            } else if page.starts_with("functions/") {
                let function: Function = read(page, text)?;
                if function.kinds.is_empty() || function.live.ok.is_empty() {
                    return Err(wrong(page, "`kinds` and `live.ok` need at least one entry"));
                }
                catalogue.functions.insert(function.name.clone(), function);
            } else {
                return Err(wrong(page, "a page lies in `releases/`, `services/` or `functions/`"));
            }
        }
        catalogue.lint()?;
        Ok(catalogue)
    }

    fn lint(&self) -> Result<(), CatalogueError> {
        for (name, service) in &self.services {
            let page = format!("services/{name}.toml");
            let refuse = |what: String| Err(wrong(&page, &what));
            if service.flavours.is_empty() {
                return refuse("no deployment flavour says how it is installed".into());
            }
            for (flavour, installed) in &service.flavours {
                if installed.packages.is_empty() || installed.units.is_empty() {
                    return refuse(format!("flavour {flavour:?} needs at least one package and one unit"));
                }
            }
            if service.verify.is_empty() || service.warm_up.calls.is_empty() || service.warm_up.rounds == 0 {
                return refuse("`verify` and `warm-up` need at least one call and one round".into());
            }
            for argv in [&service.schema.expand, &service.schema.contract, &service.schema.sync] {
                if argv.is_empty() {
                    return refuse("a schema command is empty".into());
                }
            }
            let mut last: Option<&ServiceRelease> = None;
            for release in &service.releases {
                if !self.releases.contains_key(&release.series) {
                    return refuse(format!("release {} has no page of its own", release.series));
                }
                if let Some(before) = last
                    && (before.series >= release.series || before.major >= release.major)
                {
                    return refuse(format!("release {} is out of order", release.series));
                }
                last = Some(release);
            }
            if last.is_none() {
                return refuse("it has no release".into());
            }
        }
        Ok(())
    }

    /// The releases that one may go to from here: the next one, and the next SLURP from a SLURP.
    pub fn next_releases(&self, from: Series) -> Vec<Series> {
        let Some(here) = self.releases.get(&from) else {
            return Vec::new();
        };
        let later = || self.releases.values().filter(|release| release.series > from);
        let next = later().next().map(|release| release.series);
        let slurp =
            later().find(|release| release.slurp).filter(|_| here.slurp).map(|release| release.series);
        let mut hops: Vec<Series> = next.into_iter().chain(slurp).collect();
        hops.dedup();
        hops
    }

    /// The shortest sequence of hops from one release to another, `from` excluded.
    pub fn path(&self, from: Series, to: Series) -> Option<Vec<Series>> {
        let mut path = Vec::new();
        let mut here = from;
        while here < to {
            // Hops only go forward, so the farthest that does not overshoot is on a shortest path.
            here = self.next_releases(here).into_iter().filter(|next| *next <= to).max()?;
            path.push(here);
        }
        (here == to).then_some(path)
    }
}

fn read<T: serde::de::DeserializeOwned>(page: &str, text: &str) -> Result<T, CatalogueError> {
    toml::from_str(text)
        .map_err(|error| CatalogueError::Unreadable { page: page.to_owned(), error: Box::new(error) })
}

fn wrong(page: &str, what: &str) -> CatalogueError {
    CatalogueError::Wrong { page: page.to_owned(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        Catalogue::embedded().unwrap()
    }

    fn series(text: &str) -> Series {
        text.parse().unwrap()
    }

    #[test]
    fn every_embedded_service_knows_every_release_from_2023_1_to_2026_2() {
        let catalogue = catalogue();
        assert_eq!(catalogue.releases.len(), 8);
        for service in catalogue.services.values() {
            for release in catalogue.releases.keys() {
                assert!(service.release(*release).is_some(), "{} lacks {release}", service.name);
            }
        }
    }

    #[test]
    fn hops_are_the_next_release_or_from_slurp_to_slurp() {
        let catalogue = catalogue();
        assert_eq!(catalogue.next_releases(series("2024.1")), [series("2024.2"), series("2025.1")]);
        assert_eq!(catalogue.next_releases(series("2024.2")), [series("2025.1")]);
        assert_eq!(catalogue.next_releases(series("2026.1")), [series("2026.2")]);
        assert!(catalogue.next_releases(series("2026.2")).is_empty());
    }

    #[test]
    fn a_path_takes_the_fewest_hops() {
        let catalogue = catalogue();
        let path = catalogue.path(series("2023.2"), series("2026.2")).unwrap();
        assert_eq!(path, ["2024.1", "2025.1", "2026.1", "2026.2"].map(series));
        assert_eq!(catalogue.path(series("2025.1"), series("2024.1")), None);
    }

    #[test]
    fn package_versions_lead_to_their_release() {
        let catalogue = catalogue();
        let keystone = &catalogue.services[&ServiceName::new("keystone")];
        assert_eq!(keystone.series_of("2:25.0.0-1~bpo12+1"), Some(series("2024.1")));
        assert_eq!(keystone.series_of("29.1.0"), Some(series("2026.1")));
        assert_eq!(keystone.series_of("99.0.0"), None);
        assert_eq!(upstream_version("2:27.1.0+dfsg-3"), "27.1.0");
    }

    #[test]
    fn a_damaged_page_is_named() {
        let site = [("services/odd.toml".to_owned(), "name = \"odd\"\nnaem = 3\n".to_owned())];
        let error = Catalogue::with_site(&site).unwrap_err().to_string();
        assert!(error.contains("services/odd.toml"), "{error}");
    }
}
