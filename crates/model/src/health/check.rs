//! Checks as data: what is asked of the evidence, how bad a yes is, what it means and what to do.
//!
//! A page holds facts and expressions as text; the engine reads and judges them. It decides nothing.

use super::report::Severity;
use crate::catalogue::CatalogueError;
use serde::{Deserialize, Serialize};

/// A page of checks: one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CheckPage {
    /// What people call the group.
    pub title: String,
    /// Which groups are nearer to the root of trouble: lower comes first.
    pub rank: u16,
    /// The checks.
    #[serde(rename = "check")]
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Check {
    /// Its stable name.
    pub code: String,
    /// What a finding means, in a few words.
    pub title: String,
    /// The table whose rows are looked at.
    pub over: String,
    /// Which rows; none: all.
    #[serde(default)]
    pub only: Option<String>,
    /// Columns by whose values rows are taken together; none: every row by itself. An empty list: all rows.
    #[serde(default)]
    pub per: Option<Vec<String>>,
    /// When it is critical.
    #[serde(default)]
    pub critical: Option<String>,
    /// When it is an error.
    #[serde(default)]
    pub error: Option<String>,
    /// When it is a warning.
    #[serde(default)]
    pub warning: Option<String>,
    /// When it is worth a note.
    #[serde(default)]
    pub info: Option<String>,
    /// The name of what is affected, with `{expressions}`.
    pub object: String,
    /// The host that is affected, as an expression; none: the column `host`.
    #[serde(default)]
    pub host: Option<String>,
    /// What was seen, with `{expressions}`.
    pub says: String,
    /// Samples in a row that must be bad before it counts; 1: the first.
    #[serde(default = "one")]
    pub raise_after: u16,
    /// Samples in a row that must be good before it is over.
    #[serde(default = "one")]
    pub clear_after: u16,
    /// Codes that explain it: `CODE` for the whole cloud, `CODE@host` on the same host.
    #[serde(default)]
    pub after: Vec<Root>,
    /// Whether maintenance of the host explains it.
    #[serde(default = "yes")]
    pub maintenance: bool,
    /// Whether it explains that nothing else can be seen of the host.
    #[serde(default)]
    pub blinds: bool,
    /// Whether it is only asked for with `--deep`.
    #[serde(default)]
    pub deep: bool,
    /// Why it comes about.
    pub cause: String,
    /// How to see it by hand.
    pub verify: Vec<String>,
    /// What to do.
    pub fix: String,
    /// The next command, with `{expressions}` over the first affected row; none: `ostler explain CODE`.
    #[serde(default)]
    pub next: Option<String>,
}

impl CheckPage {
    /// Reads a page.
    pub fn read(page: &str, text: &str) -> Result<CheckPage, CatalogueError> {
        toml::from_str(text)
            .map_err(|error| CatalogueError::Unreadable { page: page.to_owned(), error: Box::new(error) })
    }
}

fn one() -> u16 {
    1
}

fn yes() -> bool {
    true
}

impl Check {
    /// The severities that it can have, the worst first, with their expressions.
    pub fn levels(&self) -> Vec<Level<'_>> {
        let all = [
            (Severity::Critical, &self.critical),
            (Severity::Error, &self.error),
            (Severity::Warning, &self.warning),
            (Severity::Info, &self.info),
        ];
        all.into_iter().filter_map(|(severity, when)| Some((severity, when.as_deref()?))).collect()
    }
}

/// A severity and when it is reached.
pub type Level<'a> = (Severity, &'a str);

/// A code that explains another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Root {
    /// The code.
    pub code: String,
    /// Only on the same host.
    pub on_host: bool,
}

impl TryFrom<String> for Root {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (code, on_host) = match text.split_once('@') {
            None => (text.as_str(), false),
            Some((code, "host")) => (code, true),
            Some((_, other)) => return Err(format!("`@{other}` is not known: write CODE or CODE@host")),
        };
        Ok(Root { code: code.to_owned(), on_host })
    }
}

impl From<Root> for String {
    fn from(root: Root) -> String {
        if root.on_host { format!("{}@host", root.code) } else { root.code }
    }
}

/// The embedded pages: name and text.
pub const PAGES: &[(&str, &str)] = &[
    ("health/hosts.toml", include_str!("../../data/health/hosts.toml")),
    ("health/time.toml", include_str!("../../data/health/time.toml")),
    ("health/database.toml", include_str!("../../data/health/database.toml")),
    ("health/queue.toml", include_str!("../../data/health/queue.toml")),
    ("health/cache.toml", include_str!("../../data/health/cache.toml")),
    ("health/balancer.toml", include_str!("../../data/health/balancer.toml")),
    ("health/certificates.toml", include_str!("../../data/health/certificates.toml")),
    ("health/units.toml", include_str!("../../data/health/units.toml")),
    ("health/api.toml", include_str!("../../data/health/api.toml")),
    ("health/drift.toml", include_str!("../../data/health/drift.toml")),
    ("health/compute.toml", include_str!("../../data/health/compute.toml")),
    ("health/servers.toml", include_str!("../../data/health/servers.toml")),
    ("health/placement.toml", include_str!("../../data/health/placement.toml")),
    ("health/network.toml", include_str!("../../data/health/network.toml")),
    ("health/storage.toml", include_str!("../../data/health/storage.toml")),
    ("health/quota.toml", include_str!("../../data/health/quota.toml")),
    ("health/keeping.toml", include_str!("../../data/health/keeping.toml")),
];

/// The embedded pages, read by nobody yet.
pub fn pages() -> Vec<(String, String)> {
    PAGES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_page_can_be_read() {
        for (name, text) in PAGES {
            let page = CheckPage::read(name, text);
            assert!(page.is_ok(), "{}", page.unwrap_err());
        }
    }

    #[test]
    fn a_root_is_a_code_everywhere_or_on_the_same_host() {
        let root = |text: &str| Root::try_from(text.to_owned());
        assert_eq!(root("A_B@host"), Ok(Root { code: "A_B".into(), on_host: true }));
        assert!(root("A_B@cell").is_err());
    }
}
