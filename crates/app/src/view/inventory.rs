//! What was seen of a cloud: a table of nodes, the schema heads and the releases they belong to, and the holes.
//!
//! A node that did not answer is in the table as such, with what is remembered of it.

use super::{age, count, local, table};
use crate::printer::{Ink, Printer};
use ostler_engine::plan::fitting_heads;
use ostler_model::Timestamp;
use ostler_model::catalogue::{Catalogue, Service, sorted, upstream_version};
use ostler_model::ids::HostName;
use ostler_model::inventory::{Inventory, Node, Seen};

/// Galera's number for a member that has all the data and takes part.
const SYNCED: u32 = 4;

/// Everything that was seen, in short.
pub fn page(printer: &Printer, seen: &Inventory, catalogue: &Catalogue, now: Timestamp) -> String {
    let services: Vec<&Service> =
        catalogue.services.values().filter(|service| is_there(service, seen)).collect();
    let title = format!("cloud {}, seen {} ({})", seen.cloud, local(seen.taken), age(seen.taken, now));
    let mut text = format!("{}\n\n", printer.ink(Ink::Heading, &title));

    let titles: Vec<String> = services.iter().map(|service| service.name.as_str().to_uppercase()).collect();
    let mut heading = vec!["NODE", "SYSTEM"];
    heading.extend(titles.iter().map(String::as_str));
    heading.extend(["UNITS", "GALERA", "HAPROXY", "CACHE"]);
    let rows = seen.nodes.iter().map(|(host, node)| {
        let mut row = vec![host.to_string()];
        match node {
            Seen::Fresh(node) => row.extend(cells(node, &services)),
            Seen::Stale { last, .. } => {
                row.extend(cells(last, &services));
                row[0] = format!("{host} (down)");
            }
            Seen::Unreachable { .. } => {
                row[0] = format!("{host} (down)");
                row.resize(heading.len(), "?".to_owned());
            }
        }
        row
    });
    text.push_str(&table(&heading, rows.collect()));
    text.push_str(&schemas(seen, catalogue, &services));
    text.push_str(&holes(printer, seen, now));
    text
}

fn is_there(service: &Service, seen: &Inventory) -> bool {
    let packages: Vec<&String> =
        service.flavours.values().flat_map(|installed| &installed.packages).collect();
    seen.nodes
        .values()
        .filter_map(known)
        .any(|node| packages.iter().any(|name| node.packages.contains_key(*name)))
}

fn known(seen: &Seen) -> Option<&Node> {
    match seen {
        Seen::Fresh(node) | Seen::Stale { last: node, .. } => Some(node),
        Seen::Unreachable { .. } => None,
    }
}

fn cells(node: &Node, services: &[&Service]) -> Vec<String> {
    let mut cells = vec![node.os.split(" (").next().unwrap_or_default().replace("GNU/Linux ", "")];
    cells.extend(services.iter().map(|service| version(node, service)));
    cells.push(units(node, services));
    cells.push(match &node.galera {
        None => "-".to_owned(),
        Some(galera) => {
            let state = match (galera.cluster_status.as_str(), galera.local_state) {
                ("Primary", SYNCED) if galera.ready => "Synced".to_owned(),
                ("Primary", state) => format!("Primary, state {state}"),
                (status, _) => status.to_owned(),
            };
            format!("{state}, {}", count(galera.cluster_size as usize, "member"))
        }
    });
    cells.push(match &node.proxy {
        None => "-".to_owned(),
        Some(servers) => {
            format!("{} of {} serve", servers.iter().filter(|server| server.serves()).count(), servers.len())
        }
    });
    cells.push(match &node.cache {
        None => "-".to_owned(),
        Some(cache) if cache.answers => format!("memcached {}", cache.version),
        Some(_) => "does not answer".to_owned(),
    });
    cells
}

fn version(node: &Node, service: &Service) -> String {
    let packages = service.flavours.values().flat_map(|installed| installed.packages.first());
    let Some(package) = packages.filter_map(|name| node.packages.get(name)).next() else {
        return "-".to_owned();
    };
    let release =
        service.series_of(&package.version).map_or("unknown release".to_owned(), |series| series.to_string());
    let half = if package.status == "ii" { String::new() } else { format!(", {}", package.status) };
    format!("{release} ({}{half})", upstream_version(&package.version))
}

fn units(node: &Node, services: &[&Service]) -> String {
    let wanted =
        services.iter().flat_map(|service| service.flavours.values().flat_map(|installed| &installed.units));
    let there: Vec<_> = wanted.filter_map(|name| Some((name, node.units.get(name)?))).collect();
    let bad: Vec<String> = there
        .iter()
        .filter(|(_, unit)| unit.active != "active")
        .map(|(name, unit)| format!("{} {}", name.trim_end_matches(".service"), unit.active))
        .collect();
    match (there.len(), bad.is_empty()) {
        (0, _) => "-".to_owned(),
        (number, true) => format!("{number} active"),
        (_, false) => bad.join(", "),
    }
}

fn schemas(seen: &Inventory, catalogue: &Catalogue, services: &[&Service]) -> String {
    let mut text = String::new();
    for service in services {
        let database = &service.database.name;
        let Some(heads) = seen.nodes.values().filter_map(known).find_map(|node| node.schemas.get(database))
        else {
            continue;
        };
        let heads = sorted(heads.iter().cloned());
        let releases: Vec<String> = service
            .releases
            .iter()
            .filter(|release| release.any_heads().contains(&heads))
            .map(|release| release.series.to_string())
            .collect();
        let owner = match releases.as_slice() {
            [] => service
                .releases
                .iter()
                .find(|release| fitting_heads(catalogue, service, release.series).contains(&heads))
                .map_or("no release that is known".to_owned(), |release| {
                    format!("{}, expanded for a later release", release.series)
                }),
            [one] => one.clone(),
            [first, .., last] => format!("{first} to {last}"),
        };
        let heads = if heads.is_empty() { "no version table".to_owned() } else { heads.join(" + ") };
        text.push_str(&format!("\nschema of {database}: {heads} ({owner})\n"));
    }
    text
}

/// A reason, with its host where it does not name it itself.
fn named(host: &HostName, why: &str) -> String {
    if why.starts_with(&format!("{host} ")) { why.to_owned() } else { format!("{host}: {why}") }
}

fn holes(printer: &Printer, seen: &Inventory, now: Timestamp) -> String {
    let mut lines = Vec::new();
    for (host, node) in &seen.nodes {
        match node {
            Seen::Fresh(_) => {}
            Seen::Stale { since, why, .. } => {
                lines.push(format!("{}; it is shown as it was {}", named(host, why), age(*since, now)));
            }
            Seen::Unreachable { why } => lines.push(named(host, why)),
        }
    }
    lines.extend(seen.gaps.iter().map(|gap| format!("{} {}: {}", gap.host, gap.what, gap.why)));
    if lines.is_empty() {
        return String::new();
    }
    let title = format!("not seen ({}):", lines.len());
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("\n{}\n{lines}", printer.ink(Ink::Care, &title))
}
