//! The judgement of each check.
//!
//! A finding names what was found on which host, and what to do. It never depends on anything but the inventory.

use ostler_model::catalogue::upstream_version;
use ostler_model::check::{Check, Finding, Severity};
use ostler_model::ids::HostName;
use ostler_model::inventory::{Inventory, Node, Seen, ServerSeen};
use std::collections::{BTreeMap, HashMap};

/// Galera's number for a member that has all the data and takes part.
const SYNCED: u32 = 4;

/// Write-sets that may wait on a healthy member: more means that it cannot keep up.
const RECV_QUEUE_MAX: u32 = 100;

/// Doubt about a clock above which nothing can be said.
const CLOCK_DOUBT_MAX_MS: i64 = 2_000;

/// Judges one check over what was seen.
pub fn judge(check: &Check, seen: &Inventory) -> Finding {
    let problems = match check {
        Check::Reachable { nodes } => each(seen, nodes, |_| Ok(())),
        Check::GaleraWhole { nodes, size } => galera(seen, nodes, *size),
        Check::AllServe { backend, servers, proxies } => each_proxy(seen, proxies, backend, |all| {
            let mut known: HashMap<&str, (bool, &ServerSeen)> = HashMap::with_capacity(all.len());
            for server in all {
                known.entry(&server.server).or_insert((false, server)).0 |= server.serves();
            }
            let missing: Vec<String> = servers
                .iter()
                .filter_map(|name| match known.get(name.as_str()) {
                    Some((true, _)) => None,
                    Some((false, server)) => Some(format!("{name} is {}", condition(server))),
                    None => Some(format!("{name} is not in it")),
                })
                .collect();
            if missing.is_empty() { Ok(()) } else { Err(missing.join(", ")) }
        }),
        Check::OthersServe { backend, server, proxies } => each_proxy(seen, proxies, backend, |all| {
            let others = all.iter().filter(|other| other.server != *server && other.serves()).count();
            if others > 0 { Ok(()) } else { Err(format!("{server} is the last server that takes requests")) }
        }),
        Check::OutOfService { backend, server, proxies } => {
            each_proxy(seen, proxies, backend, |all| {
                match all.iter().find(|other| other.server == *server && other.serves()) {
                    Some(_) => Err(format!("{server} still takes requests")),
                    None => Ok(()),
                }
            })
        }
        Check::CacheAnswers { nodes } => each(seen, nodes, |node| match &node.cache {
            Some(cache) if cache.answers => Ok(()),
            Some(_) => Err("memcached does not answer".into()),
            None => Err("memcached was not seen".into()),
        }),
        Check::DiskFree { nodes, directory, mib } => {
            each(seen, nodes, |node| match node.disks.get(directory) {
                Some(disk) if disk.free_mib >= *mib => Ok(()),
                Some(disk) => Err(format!("{} MiB free in {directory}, {mib} MiB needed", disk.free_mib)),
                None => Err(format!("the space in {directory} was not seen")),
            })
        }
        Check::ClocksAgree { nodes, within_ms } => clocks(seen, nodes, *within_ms),
        Check::SameFiles { nodes, path } => same_files(seen, nodes, path),
        Check::HeadsAre { database, nodes, any_of } => heads(seen, database, nodes, any_of),
        Check::UnitsActive { nodes, units } => each(seen, nodes, |node| units_active(node, units)),
        Check::Runs { nodes, package, version, units } => {
            each(seen, nodes, |node| runs(node, package, version, units))
        }
        Check::PowerIsOff { node } => vec![format!("{node}: only its power controller can say")],
        Check::PackagesSettled { nodes } => each(seen, nodes, |node| {
            let half: Vec<String> = node
                .packages
                .iter()
                .filter(|(_, package)| package.status != "ii" && !package.status.starts_with('h'))
                .map(|(name, package)| format!("{name} is {}", package.status))
                .collect();
            if half.is_empty() { Ok(()) } else { Err(half.join(", ")) }
        }),
    };
    finding(check, problems)
}

fn finding(check: &Check, problems: Vec<String>) -> Finding {
    let (good, bad, hint) = words(check);
    let is_good = problems.is_empty();
    Finding {
        check: check.name().to_owned(),
        severity: if is_good { Severity::Ok } else { Severity::Error },
        summary: if is_good { good } else { bad },
        evidence: problems,
        hint: if is_good { None } else { Some(hint) },
    }
}

/// What to say when it is well, when it is not, and what to do then.
fn words(check: &Check) -> (String, String, String) {
    let (good, bad, hint) = match check {
        Check::Reachable { .. } => (
            "every node answers",
            "a node does not answer",
            "bring the node back, or take it out of ostler.toml if it is gone for good",
        ),
        Check::GaleraWhole { .. } => (
            "Galera is whole",
            "Galera is not whole",
            "`SHOW STATUS LIKE 'wsrep_%'` on the node says more; wait until every member is Synced",
        ),
        Check::AllServe { backend, .. } => {
            return (
                format!("every load balancer sends requests to every server of {backend}"),
                format!("not every server of {backend} takes requests"),
                "look at the server's service, then `set server BACKEND/SERVER state ready` at HAProxy's socket".into(),
            );
        }
        Check::OthersServe { backend, server, .. } => {
            return (
                format!("{backend} has other servers than {server}"),
                format!("{server} may not be taken out of {backend}"),
                "bring another server of the backend into service first".into(),
            );
        }
        Check::OutOfService { backend, server, .. } => {
            return (
                format!("{server} takes no requests of {backend}"),
                format!("{server} is still in service in {backend}"),
                "drain it first".into(),
            );
        }
        Check::CacheAnswers { .. } => (
            "the caches answer",
            "a cache does not answer",
            "look at `systemctl status memcached` on the node",
        ),
        Check::DiskFree { .. } => (
            "there is room",
            "there is not enough room",
            "free space there, or name another directory in ostler.toml (backup.directory)",
        ),
        Check::ClocksAgree { .. } => (
            "the clocks agree",
            "the clocks disagree",
            "set the clock (chrony or systemd-timesyncd): tokens of a node whose clock is ahead are refused by the others",
        ),
        Check::SameFiles { path, .. } => {
            return (
                format!("{path} is the same on every node"),
                format!("{path} differs between nodes"),
                "copy it from the node that is right: with different keys, a token of one node is refused by another".into(),
            );
        }
        Check::HeadsAre { database, .. } => {
            return (
                format!("the schema of {database} is where it should be"),
                format!("the schema of {database} is not where it should be"),
                "an earlier migration may have stopped half-way, or a newer release has been there: `ostler cloud show` names the heads".into(),
            );
        }
        Check::UnitsActive { .. } => (
            "the units run",
            "a unit does not run",
            "look at `systemctl status` and the unit's journal on the node",
        ),
        Check::Runs { package, version, .. } => {
            return (
                format!("every node runs {package} {version}"),
                format!("not every node runs {package} {version}"),
                "finish or take back the change on that node first".into(),
            );
        }
        Check::PowerIsOff { .. } => (
            "the node has no power",
            "it is not known that the node has no power",
            "a survey of nodes cannot tell: the power controller is asked",
        ),
        Check::PackagesSettled { .. } => (
            "no package is half-way",
            "a package is half-way",
            "`dpkg --configure -a` on the node finishes it",
        ),
    };
    (good.to_owned(), bad.to_owned(), hint.to_owned())
}

/// The node, or why there is nothing to judge.
fn node<'a>(seen: &'a Inventory, host: &HostName) -> Result<&'a Node, String> {
    match seen.nodes.get(host) {
        Some(Seen::Fresh(node)) => Ok(node),
        Some(Seen::Stale { why, .. } | Seen::Unreachable { why }) => Err(why.clone()),
        None => Err("it was not looked at".into()),
    }
}

fn each(seen: &Inventory, hosts: &[HostName], test: impl Fn(&Node) -> Result<(), String>) -> Vec<String> {
    let judged = hosts.iter().map(|host| match node(seen, host) {
        Ok(node) => test(node).map_err(|problem| format!("{host}: {problem}")),
        // Why a node cannot be seen may name it already.
        Err(why) if why.starts_with(host.as_str()) => Err(why),
        Err(why) => Err(format!("{host}: {why}")),
    });
    judged.filter_map(Result::err).collect()
}

fn each_proxy(
    seen: &Inventory,
    proxies: &[HostName],
    backend: &str,
    test: impl Fn(&[&ServerSeen]) -> Result<(), String>,
) -> Vec<String> {
    each(seen, proxies, |node| {
        let Some(servers) = &node.proxy else {
            return Err("its HAProxy does not answer".into());
        };
        let servers: Vec<&ServerSeen> = servers.iter().filter(|server| server.backend == backend).collect();
        if servers.is_empty() {
            return Err(format!("its HAProxy has no backend {backend}"));
        }
        test(&servers)
    })
}

fn condition(server: &ServerSeen) -> String {
    let health = if server.up { "up" } else { "down" };
    match server.admin {
        ostler_model::inventory::ServerAdmin::Ready => health.to_owned(),
        ostler_model::inventory::ServerAdmin::Drain => format!("drained ({health})"),
        ostler_model::inventory::ServerAdmin::Maint => "in maintenance".to_owned(),
    }
}

fn galera(seen: &Inventory, hosts: &[HostName], size: u32) -> Vec<String> {
    let mut problems = each(seen, hosts, |node| {
        let Some(galera) = &node.galera else {
            return Err("its database does not answer".into());
        };
        let mut wrong = Vec::new();
        if galera.cluster_status != "Primary" {
            wrong.push(format!("it is {}", galera.cluster_status));
        }
        if galera.cluster_size != size {
            wrong.push(format!("it sees {} of {size} members", galera.cluster_size));
        }
        if galera.local_state != SYNCED {
            wrong.push(format!("its state is {} ({})", galera.local_state, state_name(galera.local_state)));
        }
        if !galera.ready {
            wrong.push("it is not ready".into());
        }
        if galera.recv_queue > RECV_QUEUE_MAX {
            wrong.push(format!("{} write-sets wait to be applied", galera.recv_queue));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join(", ")) }
    });
    let clusters: BTreeMap<&str, &HostName> = hosts
        .iter()
        .filter_map(|host| Some((node(seen, host).ok()?.galera.as_ref()?.cluster_uuid.as_str(), host)))
        .collect();
    if clusters.len() > 1 {
        problems.push("the members belong to different clusters".into());
    }
    problems
}

fn state_name(state: u32) -> &'static str {
    match state {
        1 => "joining",
        2 => "donor or desynced",
        3 => "joined",
        SYNCED => "synced",
        _ => "not started",
    }
}

fn clocks(seen: &Inventory, hosts: &[HostName], within_ms: i64) -> Vec<String> {
    let mut problems = each(seen, hosts, |node| match node.clock {
        Some(clock) if clock.doubt_ms <= CLOCK_DOUBT_MAX_MS => Ok(()),
        Some(clock) => Err(format!("it took {} ms to read its clock", clock.doubt_ms * 2)),
        None => Err("its clock was not read".into()),
    });
    let read: Vec<_> = hosts.iter().filter_map(|host| Some((host, node(seen, host).ok()?.clock?))).collect();
    let first = read.iter().min_by_key(|(_, clock)| clock.offset_ms);
    let last = read.iter().max_by_key(|(_, clock)| clock.offset_ms);
    if let (Some((slow, a)), Some((fast, b))) = (first, last) {
        // Each reading is within its doubt of the truth: only a difference beyond both doubts is proven.
        let apart = b.offset_ms - a.offset_ms - a.doubt_ms - b.doubt_ms;
        if apart > within_ms {
            problems.push(format!("{fast} is at least {apart} ms ahead of {slow}"));
        }
    }
    problems
}

fn same_files(seen: &Inventory, hosts: &[HostName], path: &str) -> Vec<String> {
    let problems = each(seen, hosts, |node| match node.files.get(path) {
        Some(_) => Ok(()),
        None => Err("it is missing or could not be read".into()),
    });
    if !problems.is_empty() {
        return problems;
    }
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for host in hosts {
        if let Some(file) = node(seen, host).ok().and_then(|node| node.files.get(path)) {
            groups.entry(&file.sha256).or_default().push(host.as_str());
        }
    }
    if groups.len() < 2 {
        return Vec::new();
    }
    groups
        .iter()
        .map(|(digest, hosts)| format!("{}: {}", hosts.join(", "), digest.get(..12).unwrap_or(digest)))
        .collect()
}

fn heads(seen: &Inventory, database: &str, hosts: &[HostName], any_of: &[Vec<String>]) -> Vec<String> {
    let known = hosts.iter().find_map(|host| Some((host, node(seen, host).ok()?.schemas.get(database)?)));
    let Some((host, heads)) = known else {
        return vec![format!("no node could read the heads of {database}")];
    };
    let mut heads = heads.clone();
    heads.sort();
    if any_of.contains(&heads) {
        return Vec::new();
    }
    let wanted: Vec<String> = any_of.iter().map(|set| set.join(" + ")).collect();
    let found = if heads.is_empty() { "none".to_owned() } else { heads.join(" + ") };
    vec![format!("{host}: the heads are {found}, expected {}", wanted.join(" or "))]
}

fn units_active(node: &Node, units: &[String]) -> Result<(), String> {
    let idle: Vec<String> = units
        .iter()
        .filter_map(|name| match node.units.get(name) {
            Some(unit) if unit.active == "active" => None,
            Some(unit) => Some(format!("{name} is {}", unit.active)),
            None => Some(format!("{name} was not seen")),
        })
        .collect();
    if idle.is_empty() { Ok(()) } else { Err(idle.join(", ")) }
}

fn runs(node: &Node, package: &str, version: &str, units: &[String]) -> Result<(), String> {
    let Some(seen) = node.packages.get(package) else {
        return Err(format!("package {package} was not seen"));
    };
    if seen.status != "ii" {
        return Err(format!("package {package} is half-way ({})", seen.status));
    }
    let installed = upstream_version(&seen.version);
    if installed != version {
        return Err(format!("{package} is {installed}"));
    }
    units_active(node, units)?;
    let old: Vec<&str> = units
        .iter()
        .filter(|name| {
            node.units.get(*name).is_some_and(|unit| unit.started > 0 && unit.started < seen.unpacked)
        })
        .map(String::as_str)
        .collect();
    if old.is_empty() {
        Ok(())
    } else {
        Err(format!("{} runs since before the package changed", old.join(", ")))
    }
}
