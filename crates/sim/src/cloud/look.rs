//! What a survey of a pretended cloud sees.
//!
//! It tells what is, in the same words as a real node, and nothing of what was ordered for later.

use super::{SimCloud, SimNode, State, galera};
use ostler_model::Timestamp;
use ostler_model::ids::HostName;
use ostler_model::inventory::{
    CacheSeen, ClockSeen, DiskSeen, Fact, FileSeen, GaleraSeen, INVENTORY_FORMAT, Inventory, Node,
    PackageSeen, Seen, ServerSeen, UnitSeen,
};
use std::collections::BTreeMap;

/// The database's unit.
const DATABASE_UNIT: &str = "mariadb.service";

/// The load balancer's unit.
const BALANCER_UNIT: &str = "haproxy.service";

impl SimCloud {
    /// What a survey of these hosts sees, of everything.
    pub fn look(&self, hosts: &[HostName], now: Timestamp) -> Inventory {
        self.look_at(hosts, &Fact::ALL, now)
    }

    /// What a survey of these hosts sees, of these facts.
    pub fn look_at(&self, hosts: &[HostName], facts: &[Fact], now: Timestamp) -> Inventory {
        let mut guard = self.state();
        let state = &mut *guard;
        self.advance(state, now);
        let mut nodes = BTreeMap::new();
        for host in hosts {
            let seen = match state.nodes.get(host) {
                Some(node) if node.answers() => Seen::Fresh(Box::new(self.seen(state, host, node, facts))),
                _ => Seen::Unreachable { why: "it does not answer on port 22: timed out".into() },
            };
            nodes.insert(host.clone(), seen);
        }
        let cloud = self.declared.name.clone();
        Inventory { format: INVENTORY_FORMAT, cloud, taken: now, nodes, gaps: Vec::new() }
    }

    fn seen(&self, state: &State, host: &HostName, node: &SimNode, facts: &[Fact]) -> Node {
        let wants = |fact: Fact| facts.contains(&fact);
        let mut seen = Node { os: "simulated".into(), boot_id: node.boot.to_string(), ..Node::default() };
        let has_service = !node.version.is_empty();
        if wants(Fact::System) {
            seen.clock = Some(ClockSeen { offset_ms: node.ahead_ms, doubt_ms: 1 });
            let disk = DiskSeen { free_mib: node.free_mib, size_mib: 100_000 };
            seen.disks = BTreeMap::from([(self.declared.backup_directory.clone(), disk)]);
        }
        if wants(Fact::Packages) && has_service {
            let status = if node.settled { "ii" } else { "iF" }.to_owned();
            let package = PackageSeen { version: node.version.clone(), status, unpacked: node.unpacked };
            seen.packages = BTreeMap::from([(self.package.clone(), package)]);
        }
        if wants(Fact::Units) {
            let unit = |active: bool, started: i64| UnitSeen {
                load: "loaded".into(),
                active: if active { "active" } else { "inactive" }.into(),
                started,
                ..UnitSeen::default()
            };
            if has_service {
                seen.units.insert(self.unit.clone(), unit(node.service, node.started));
            }
            if node.member {
                seen.units.insert(DATABASE_UNIT.into(), unit(node.database, 1));
            }
            if node.balances {
                seen.units.insert(BALANCER_UNIT.into(), unit(true, 1));
            }
        }
        if wants(Fact::Files) && has_service {
            for (place, name) in self.files.iter().enumerate() {
                let sha256 = if place == 0 { node.config.clone() } else { node.keys.clone() };
                seen.files.insert(name.clone(), FileSeen { sha256, changed_by_hand: None });
            }
        }
        if wants(Fact::Galera) && node.member && node.database {
            let ready = galera::ready(state, host);
            let size = if ready { state.cluster.view.len() } else { 1 } as u32;
            let donates = state.cluster.donor.as_ref() == Some(host);
            seen.galera = Some(GaleraSeen {
                cluster_status: if ready { "Primary" } else { "non-Primary" }.into(),
                cluster_size: size,
                local_state: if donates { 2 } else { 4 },
                ready,
                cluster_uuid: format!("sim-{}", state.cluster.number),
                ..GaleraSeen::default()
            });
        }
        if wants(Fact::Schemas) && galera::ready(state, host) {
            seen.schemas = BTreeMap::from([(self.database.clone(), node.heads.clone())]);
        }
        if wants(Fact::Proxy) && node.balances {
            let servers = node.proxy.iter().map(|(server, admin)| {
                let target = state.nodes.get(&HostName::new(server.as_str()));
                ServerSeen {
                    backend: self.backend.clone(),
                    server: server.clone(),
                    address: String::new(),
                    up: target.is_some_and(|target| target.reachable() && target.service),
                    admin: *admin,
                    sessions: 0,
                    backup: false,
                }
            });
            seen.proxy = Some(servers.collect());
        }
        if wants(Fact::Cache) && has_service {
            seen.cache = Some(CacheSeen { answers: node.cache, version: "1".into() });
        }
        seen
    }
}
