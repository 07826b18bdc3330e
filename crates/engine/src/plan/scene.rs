//! What a planner looks at: the declared cloud, the catalogue, what was seen, and how long things took before.
//!
//! It condenses an inventory to what planning a service needs, and refuses to guess where something is missing.

use super::Refused;
use ostler_model::catalogue::{Catalogue, Installed, Service, sorted, upstream_version};
use ostler_model::cloud::{Cloud, Role};
use ostler_model::event::Why;
use ostler_model::ids::{HostName, ServiceName};
use ostler_model::inventory::{Inventory, Seen};
use ostler_model::plan::hex;
use ostler_model::release::Series;
use ostler_model::step::Through;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a planner may look at.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The cloud as declared.
    pub cloud: &'a Cloud,
    /// What is known.
    pub catalogue: &'a Catalogue,
    /// What was seen.
    pub seen: &'a Inventory,
    /// How long verbs took in earlier runs.
    pub estimates: &'a Estimates,
}

/// How long verbs took before, in milliseconds: the median of what journals tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimates(pub BTreeMap<String, u64>);

/// One service as seen on a cloud.
#[derive(Clone, Debug)]
pub struct ServiceSeen<'a> {
    /// Its page.
    pub service: &'a Service,
    /// How it is installed here.
    pub installed: &'a Installed,
    /// Nodes that have it, in order of name.
    pub hosts: Vec<HostName>,
    /// Upstream versions of its packages, by node.
    pub versions: BTreeMap<HostName, BTreeMap<String, String>>,
    /// The release of each node; none where the version is of no known release.
    pub releases: BTreeMap<HostName, Option<Series>>,
    /// The sorted heads of its database, where they could be read.
    pub heads: Option<Vec<String>>,
    /// Nodes with a load balancer.
    pub proxies: Vec<HostName>,
    /// Members of the database cluster.
    pub members: Vec<HostName>,
    /// Nodes with a cache.
    pub caches: Vec<HostName>,
}

impl ServiceSeen<'_> {
    /// The way in to one node's own server.
    pub fn backend(&self, host: &HostName) -> Through {
        Through::Backend { host: host.clone(), port: self.service.proxy.port }
    }

    /// The front door.
    pub fn front(&self) -> Through {
        Through::Front { port: self.service.proxy.port }
    }
}

/// Looks at one service. Refuses when a controller cannot be seen, or when the service is nowhere.
pub fn look_at<'a>(scene: &Scene<'a>, name: &ServiceName) -> Result<ServiceSeen<'a>, Refused> {
    look(scene, name, &mut |_, _| false)
}

/// Looks at one service for a way back: a controller that cannot be seen is left out, with a caution, unless the
/// run has touched it.
pub(super) fn look_at_for_rollback<'a>(
    scene: &Scene<'a>,
    name: &ServiceName,
    touched: &BTreeSet<HostName>,
) -> Result<(ServiceSeen<'a>, Vec<String>), Refused> {
    let mut cautions = Vec::new();
    let seen = look(scene, name, &mut |host, why| {
        let may_be_left_out = !touched.contains(host);
        if may_be_left_out {
            cautions.push(format!(
                "{host} cannot be seen ({why}); the run had not touched it, so it is left out"
            ));
        }
        may_be_left_out
    })?;
    Ok((seen, cautions))
}

fn look<'a>(
    scene: &Scene<'a>,
    name: &ServiceName,
    leave_out: &mut dyn FnMut(&HostName, &str) -> bool,
) -> Result<ServiceSeen<'a>, Refused> {
    let Some(service) = scene.catalogue.services.get(name) else {
        let known: Vec<&str> = scene.catalogue.services.keys().map(ServiceName::as_str).collect();
        return Err(Refused::usage(
            Why::new(format!("the catalogue has no service `{name}`"))
                .hint(format!("it has: {}", known.join(", "))),
        ));
    };
    let Some(installed) = service.flavours.get(&scene.cloud.flavour) else {
        return Err(Refused::usage(Why::new(format!(
            "the catalogue does not say how {name} is installed in the flavour of cloud {}",
            scene.cloud.name
        ))));
    };
    let controllers = scene.cloud.with_role(Role::Controller);
    let mut hosts = Vec::new();
    let (mut proxies, mut members, mut caches) = (Vec::new(), Vec::new(), Vec::new());
    let (mut versions, mut releases) = (BTreeMap::new(), BTreeMap::new());
    let mut heads = None;
    for host in &controllers {
        let node = match scene.seen.nodes.get(host) {
            Some(Seen::Fresh(node)) => node,
            Some(Seen::Stale { why, .. } | Seen::Unreachable { why }) => {
                if leave_out(host, why) {
                    continue;
                }
                return Err(Refused::guard("nodes-reachable", Why::new(format!("{host} cannot be seen: {why}")).hint(
                    "a controller that cannot be seen could still run old code, hold a load balancer or a database: bring it back first",
                )));
            }
            None => {
                return Err(Refused::guard(
                    "nodes-reachable",
                    Why::new(format!("{host} was not looked at")).hint("scan again: `ostler cloud scan`"),
                ));
            }
        };
        // A part that is installed but does not answer is still a part: it may come back at any moment.
        let has = |unit: &str| node.units.get(unit).is_some_and(|unit| unit.load == "loaded");
        if node.proxy.is_some() || has("haproxy.service") {
            proxies.push(host.clone());
        }
        if node.galera.is_some() || has("mariadb.service") {
            members.push(host.clone());
        }
        if node.cache.is_some() || has("memcached.service") {
            caches.push(host.clone());
        }
        if heads.is_none() {
            heads = node.schemas.get(&service.database.name).map(|heads| sorted(heads.iter().cloned()));
        }
        let here: BTreeMap<String, String> = installed
            .packages
            .iter()
            .filter_map(|name| {
                Some((name.clone(), upstream_version(&node.packages.get(name)?.version).to_owned()))
            })
            .collect();
        let Some(main) = installed.packages.first().and_then(|name| here.get(name)) else {
            continue;
        };
        releases.insert(host.clone(), service.series_of(main));
        versions.insert(host.clone(), here);
        hosts.push(host.clone());
    }
    if hosts.is_empty() {
        return Err(Refused::guard(
            "service-present",
            Why::new(format!("{name} was found on none of {}", join(&controllers)))
                .hint("is the package installed, and does its catalogue page name it?"),
        ));
    }
    Ok(ServiceSeen { service, installed, hosts, versions, releases, heads, proxies, members, caches })
}

/// A digest of the facts that a plan for this service rests on. Another digest at the time of approval means
/// that the cloud has changed since.
pub fn basis(scene: &Scene<'_>, seen: &ServiceSeen<'_>) -> String {
    let mut hash = Sha256::new();
    let mut say = |text: &str| {
        hash.update(text.as_bytes());
        hash.update([0]);
    };
    for host in &seen.hosts {
        say(host.as_str());
        for (package, version) in &seen.versions[host] {
            say(package);
            say(version);
        }
        let main = &seen.service.config.main;
        if let Some(file) = scene.seen.fresh(host).and_then(|node| node.files.get(main)) {
            say(&file.sha256);
        }
    }
    for group in [&seen.proxies, &seen.members, &seen.caches] {
        say("group");
        group.iter().for_each(|host| say(host.as_str()));
    }
    for head in seen.heads.iter().flatten() {
        say(head);
    }
    hex(&hash.finalize())
}

/// Names for a sentence.
pub(super) fn join(hosts: &[HostName]) -> String {
    hosts.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ")
}
