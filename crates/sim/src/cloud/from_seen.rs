//! Rebuilds a cloud as it was seen: a copy of a real cloud on which a plan can be rehearsed.
//!
//! What was not seen is taken to be well, and is said: a rehearsal must not be better than the look that it rests on
//! without telling so.

use super::{Cluster, SimCloud, SimNode, SimService, Size, galera};
use ostler_model::catalogue::{Service, upstream_version};
use ostler_model::cloud::Cloud;
use ostler_model::ids::HostName;
use ostler_model::inventory::{Inventory, Node};
use std::collections::BTreeSet;

impl SimCloud {
    /// A pretended copy of a cloud as declared and seen, with one service; and what had to be assumed.
    pub fn as_seen(declared: &Cloud, seen: &Inventory, service: &Service) -> Option<(SimCloud, Vec<String>)> {
        let installed = service.flavours.get(&declared.flavour)?;
        let (package, unit) = (installed.packages.first()?.clone(), installed.units.first()?.clone());
        let mut files = vec![service.config.main.clone()];
        files.extend(service.config.shared_keys.iter().cloned());
        let database = service.database.name.clone();
        let any =
            |find: &dyn Fn(&Node) -> Option<Vec<String>>| seen.all_fresh().find_map(|(_, node)| find(node));
        let heads = any(&|node| node.schemas.get(&database).cloned()).unwrap_or_default();
        let version =
            any(&|node| Some(vec![upstream_version(&node.packages.get(&package)?.version).to_owned()]))
                .and_then(|found| found.into_iter().next())
                .unwrap_or_default();
        let pretended = SimService {
            backend: service.proxy.backend.clone(),
            package: package.clone(),
            unit: unit.clone(),
            database,
            files: files.clone(),
            version: version.clone(),
            offered: vec![version],
            heads,
        };
        let size = Size { controllers: 0, balancers: 0, members: 0, computes: 0 };
        let cloud = SimCloud::declared(declared.clone(), size, pretended);
        let mut assumed = Vec::new();
        {
            let mut guard = cloud.state();
            let state = &mut *guard;
            let mut members = BTreeSet::new();
            for (host, node) in &mut state.nodes {
                let Some(real) = seen.fresh(host) else {
                    assumed.push(format!("{host} was not seen: it is taken for a node without the service"));
                    node.version.clear();
                    node.service = false;
                    continue;
                };
                copy(node, real, &service.proxy.backend, &package, &unit, &files);
                if real.units.contains_key("mariadb.service") || real.galera.is_some() {
                    members.insert(host.clone());
                    node.member = true;
                    node.database = real.galera.is_some();
                    node.clean = !node.database;
                }
            }
            state.cluster = Cluster::of(members);
            galera::count(state);
        }
        Some((cloud, assumed))
    }
}

fn copy(node: &mut SimNode, real: &Node, backend: &str, package: &str, unit: &str, files: &[String]) {
    let installed = real.packages.get(package);
    node.version = installed.map(|package| upstream_version(&package.version).to_owned()).unwrap_or_default();
    node.running.clone_from(&node.version);
    node.settled = installed.is_none_or(|package| package.status == "ii");
    node.service = real.units.get(unit).is_some_and(|unit| unit.active == "active");
    if let Some(servers) = &real.proxy {
        node.balances = true;
        let servers = servers.iter().filter(|server| server.backend == backend);
        node.proxy = servers.map(|server| (server.server.clone(), server.admin)).collect();
    } else {
        node.balances = false;
        node.proxy.clear();
    }
    node.cache = real.cache.as_ref().is_none_or(|cache| cache.answers);
    // Everything of a digest that matters here is whether it is the same elsewhere.
    let digest =
        |path: Option<&String>| path.and_then(|path| real.files.get(path)).map(|file| file.sha256.clone());
    node.config = digest(files.first()).unwrap_or_else(|| node.config.clone());
    node.keys = files.iter().skip(1).filter_map(|path| digest(Some(path))).collect::<Vec<_>>().join(" ");
    node.ahead_ms = 0;
}

/// The nodes of a copy, for those who order troubles over it.
impl SimCloud {
    /// Names of the nodes that have the service.
    pub fn with_service(&self) -> Vec<HostName> {
        let state = self.state();
        state
            .nodes
            .iter()
            .filter(|(_, node)| !node.version.is_empty())
            .map(|(host, _)| host.clone())
            .collect()
    }
}
