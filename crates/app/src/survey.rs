//! Looks at a cloud: all facts of all nodes, together with what is remembered of nodes that do not answer now.
//!
//! It judges nothing itself; the engine's checks do.

use crate::failure::Failure;
use crate::wiring::Site;
use ostler_engine::check::judge;
use ostler_engine::plan::{Estimates, RefusedKind, Scene, fitting_heads, look_at, preflight};
use ostler_model::check::{Check, Finding, Severity};
use ostler_model::cloud::Cloud;
use ostler_model::ids::HostName;
use ostler_model::inventory::{Fact, Inventory, Seen};
use std::collections::BTreeSet;

/// Looks at everything anew and keeps it as what was seen last.
pub async fn fresh(site: &Site) -> Result<Inventory, Failure> {
    let before = site.seams.store.inventory(&site.cloud.cloud.name).await?;
    let hosts: Vec<HostName> = site.cloud.cloud.nodes.keys().cloned().collect();
    let mut seen = site.seams.nodes.survey(&hosts, &Fact::ALL).await;
    if let Some(before) = before {
        remember(&before, &mut seen);
    }
    site.seams.store.keep_inventory(&seen).await?;
    Ok(seen)
}

/// Puts what is remembered in the place of nodes that did not answer this time.
fn remember(before: &Inventory, seen: &mut Inventory) {
    for (host, node) in &mut seen.nodes {
        let Seen::Unreachable { why } = node else { continue };
        let why = std::mem::take(why);
        *node = match before.nodes.get(host) {
            Some(Seen::Fresh(last)) => Seen::Stale { last: last.clone(), since: before.taken, why },
            Some(Seen::Stale { last, since, .. }) => Seen::Stale { last: last.clone(), since: *since, why },
            Some(Seen::Unreachable { .. }) | None => Seen::Unreachable { why },
        };
    }
}

/// What the engine's checks say of every service of the catalogue that is there.
pub fn judged(site: &Site, seen: &Inventory) -> Result<Vec<Finding>, Failure> {
    // Which checks there are follows from all that is known; what they say follows from what was seen now.
    let (cloud, known) = as_last_known(&site.cloud.cloud, seen);
    let all: Vec<HostName> = site.cloud.cloud.nodes.keys().cloned().collect();
    let mut checks = vec![Check::Reachable { nodes: all }];
    let mut found = Vec::new();
    let estimates = Estimates::default();
    if known.nodes.is_empty() {
        return Ok(checks.iter().map(|check| judge(check, seen)).collect());
    }
    let answered: BTreeSet<&HostName> = seen.all_fresh().map(|(host, _)| host).collect();
    let scene = Scene { cloud: &cloud, catalogue: &site.catalogue, seen: &known, estimates: &estimates };
    for (name, service) in &site.catalogue.services {
        let there = match look_at(&scene, name) {
            Ok(there) => there,
            Err(refused) => {
                let check = match refused.kind {
                    RefusedKind::Guard(guard) => guard,
                    RefusedKind::Usage | RefusedKind::Nothing => "service-known",
                };
                found.push(Finding {
                    check: check.to_owned(),
                    severity: Severity::Error,
                    summary: refused.why.what,
                    evidence: Vec::new(),
                    hint: refused.why.hint,
                });
                continue;
            }
        };
        let releases: BTreeSet<_> = there.releases.values().flatten().copied().collect();
        let fits = |series: &_| fitting_heads(&site.catalogue, service, *series);
        let heads: Vec<Vec<String>> = releases.iter().flat_map(fits).collect();
        // That a node is down is said once; of the others is said what was seen.
        let rest = preflight(&cloud, &there, &heads)
            .into_iter()
            .filter(|check| !matches!(check, Check::Reachable { .. }));
        checks.extend(rest.filter_map(|check| among(check, &answered)));
    }
    found.splice(0..0, checks.iter().map(|check| judge(check, seen)));
    Ok(found)
}

/// The same question, put to nodes that answered only. None: there are none left to ask.
fn among(mut check: Check, answered: &BTreeSet<&HostName>) -> Option<Check> {
    let asked = match &mut check {
        Check::Reachable { nodes }
        | Check::GaleraWhole { nodes, .. }
        | Check::CacheAnswers { nodes }
        | Check::DiskFree { nodes, .. }
        | Check::ClocksAgree { nodes, .. }
        | Check::SameFiles { nodes, .. }
        | Check::HeadsAre { nodes, .. }
        | Check::UnitsActive { nodes, .. }
        | Check::Runs { nodes, .. }
        | Check::PackagesSettled { nodes } => nodes,
        Check::AllServe { proxies, .. }
        | Check::OthersServe { proxies, .. }
        | Check::OutOfService { proxies, .. } => proxies,
        Check::PowerIsOff { .. } => return None,
    };
    asked.retain(|host| answered.contains(host));
    (!asked.is_empty()).then_some(check)
}

/// The cloud without nodes that nothing is known of, and the inventory as if every other node had just answered.
fn as_last_known(cloud: &Cloud, seen: &Inventory) -> (Cloud, Inventory) {
    let (mut cloud, mut known) = (cloud.clone(), seen.clone());
    known.nodes.retain(|_, node| !matches!(node, Seen::Unreachable { .. }));
    for node in known.nodes.values_mut() {
        if let Seen::Stale { last, .. } = node {
            *node = Seen::Fresh(last.clone());
        }
    }
    cloud.nodes.retain(|host, _| known.nodes.contains_key(host));
    (cloud, known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::Timestamp;
    use ostler_model::inventory::{INVENTORY_FORMAT, Node};

    fn inventory(second: i64, nodes: &[(&str, Seen)]) -> Inventory {
        Inventory {
            format: INVENTORY_FORMAT,
            cloud: "lab".into(),
            taken: Timestamp::from_second(second).unwrap(),
            nodes: nodes.iter().map(|(host, seen)| (HostName::new(*host), seen.clone())).collect(),
            gaps: Vec::new(),
        }
    }

    fn down() -> Seen {
        Seen::Unreachable { why: "no route".into() }
    }

    fn up() -> Seen {
        Seen::Fresh(Box::new(Node { os: "Debian".into(), ..Node::default() }))
    }

    #[test]
    fn a_node_that_is_down_keeps_its_last_answer_and_the_time_of_it() {
        let first = inventory(10, &[("a", up()), ("b", down())]);
        let mut second = inventory(20, &[("a", down()), ("b", down())]);
        remember(&first, &mut second);
        let mut third = inventory(30, &[("a", down()), ("b", down()), ("c", down())]);
        remember(&second, &mut third);
        let Seen::Stale { last, since, why } = &third.nodes[&HostName::new("a")] else { panic!("{third:?}") };
        assert_eq!((last.os.as_str(), since.as_second(), why.as_str()), ("Debian", 10, "no route"));
        assert_eq!(third.nodes[&HostName::new("b")], down());
        assert_eq!(third.nodes[&HostName::new("c")], down());
    }

    #[test]
    fn a_node_that_is_back_is_fresh() {
        let first = inventory(10, &[("a", down())]);
        let mut second = inventory(20, &[("a", up())]);
        remember(&first, &mut second);
        assert_eq!(second.nodes[&HostName::new("a")], up());
    }
}
