//! Packages: downloading a release's packages without touching the node, and installing exactly the planned versions.
//!
//! It must never let a package start, restart or migrate anything by itself.

use super::redact::redact;
use super::shell::Script;
use super::ssh::Connections;
use super::unit::Work;
use super::words;
use ostler_model::catalogue::upstream_version;
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a source may take to say what it offers: an index of some megabytes over a slow line.
const INDEX_LIMIT: Duration = Duration::from_secs(60);

const AVAILABLE: &str = include_str!("../../data/node/available.sh");

const FETCH: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/lib-apt.sh"),
    include_str!("../../data/node/fetch.sh"),
    include_str!("../../data/node/dispatch.sh")
);

const INSTALL: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/lib-apt.sh"),
    include_str!("../../data/node/install.sh"),
    include_str!("../../data/node/dispatch.sh")
);

fn check(source: &str, packages: &BTreeMap<String, String>) -> Result<Vec<String>, Why> {
    words::line("a package source", source)?;
    words::each(packages.keys(), words::package)?;
    words::each(packages.values(), words::version)?;
    Ok(packages.iter().map(|(name, version)| format!("{name}={version}")).collect())
}

/// Downloads packages.
pub(crate) fn fetch(host: &HostName, source: &str, packages: &BTreeMap<String, String>) -> Result<Work, Why> {
    let packages = check(source, packages)?;
    Ok(Work::on(host, FETCH.to_owned()).value("source", source).list("packages", packages))
}

/// Installs packages.
pub(crate) fn install(
    host: &HostName,
    source: &str,
    packages: &BTreeMap<String, String>,
    presets: &[String],
) -> Result<Work, Why> {
    let packages = check(source, packages)?;
    words::each(presets, |preset| words::line("an answer to a package's question", preset))?;
    Ok(Work::on(host, INSTALL.to_owned())
        .value("source", source)
        .list("packages", packages)
        .list("presets", presets))
}

/// Upstream versions of packages that a source offers, newest first, as a node sees it.
pub(crate) async fn available(
    connections: &Connections,
    host: &HostName,
    source: &str,
    packages: &[String],
) -> Result<BTreeMap<String, Vec<String>>, Why> {
    words::line("a package source", source)?;
    words::each(packages, words::package)?;
    let text = format!("{AVAILABLE}\navailable \"$@\" < /dev/null\n");
    let arguments = std::iter::once(source.to_owned()).chain(packages.iter().cloned()).collect();
    let script = Script { doing: "reading a package source", text, arguments, limit: INDEX_LIMIT };
    let answer = connections.run(host, script).await.map_err(|error| error.why())?.text();
    let unreadable = |said: &str| {
        Why::new(format!("{host} cannot read the package source `{source}`: {}", redact(said)))
            .hint("correct the source in the settings, or see to the way from the node to it")
    };
    if let Some(said) = answer.lines().find_map(|line| line.strip_prefix("refused\t")) {
        return Err(unreadable(said));
    }
    if !answer.lines().any(|line| line == "end\t1") {
        return Err(unreadable("the answer broke off"));
    }
    Ok(versions(&answer))
}

fn versions(answer: &str) -> BTreeMap<String, Vec<String>> {
    let mut offered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in answer.lines() {
        if let Some((package, version)) =
            line.strip_prefix("version\t").and_then(|line| line.split_once('\t'))
        {
            let versions = offered.entry(package.to_owned()).or_default();
            let version = upstream_version(version).to_owned();
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
    }
    offered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_upstream_versions_in_the_order_of_the_source() {
        let answer = "version\tkeystone\t2:27.1.0-1~ostler12+1\nversion\tkeystone\t2:27.1.0-1~ostler12+0\nversion\tkeystone\t2:27.0.0-1\nend\t1\n";
        assert_eq!(
            versions(answer),
            BTreeMap::from([("keystone".to_owned(), vec!["27.1.0".to_owned(), "27.0.0".to_owned()])])
        );
    }
}
