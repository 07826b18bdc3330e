//! The ways back, laid out as steps.
//!
//! Each ends with the old release serving on every node. What brings the service back comes first; what makes
//! the cloud whole again comes after.

use super::Past;
use crate::plan::steps::Maker;
use crate::run::Status;
use ostler_model::check::Check;
use ostler_model::ids::{HostName, StepId};
use ostler_model::step::{Does, Target, Undo};

/// Undoes each attempted step, in reverse. Node after node when servers are in service, so that each is whole again
/// before the next one is touched; side by side when the run had stopped them all.
pub(super) fn undo(past: &Past<'_>, maker: &mut Maker<'_>) -> Vec<StepId> {
    let first = vec![reachable(past, maker)];
    let in_service = past.did(|does, _| matches!(does, Does::Drain { last: false, .. }))
        || past.seen.hosts.iter().any(|host| returned(past, host));
    // The node that was touched last comes first.
    let mut hosts: Vec<Option<HostName>> = Vec::new();
    for at in past.touched.iter().rev() {
        let host = past.run.step(*at).on.node().cloned();
        if matches!(past.run.step(*at).undo, Undo::Steps(_)) && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    // A node that is out of service anyway comes before one whose leaving needs another that serves.
    hosts.sort_by_key(|host| host.as_ref().is_some_and(|host| returned(past, host)));
    if !in_service {
        maker.wave("Take every node back");
    }
    let mut last = Vec::new();
    let mut before = first.clone();
    for host in hosts {
        if in_service {
            maker.wave(
                host.as_ref().map_or("Take the cloud back".to_owned(), |host| format!("Take {host} back")),
            );
        }
        let chain = undo_node(past, maker, host.as_ref(), if in_service { &before } else { &first });
        if in_service {
            before.clone_from(&chain);
            last = chain;
        } else {
            last.extend(chain);
        }
    }
    if last.is_empty() { first } else { last }
}

/// Whether the run had brought a node's server back into service.
fn returned(past: &Past<'_>, host: &HostName) -> bool {
    past.run.plan.body.steps.iter().zip(&past.run.steps).any(|(step, state)| {
        let is_back = matches!(state.status, Status::Done | Status::Skipped);
        matches!(step.does, Does::Enable { .. }) && step.on.node() == Some(host) && is_back
    })
}

/// Undoes what the run did to one node, or to the cloud as a whole.
fn undo_node(
    past: &Past<'_>,
    maker: &mut Maker<'_>,
    host: Option<&HostName>,
    after: &[StepId],
) -> Vec<StepId> {
    let mut chain = after.to_vec();
    for at in past.touched.iter().rev() {
        let step = past.run.step(*at);
        let Undo::Steps(undo) = &step.undo else { continue };
        if step.on.node() != host {
            continue;
        }
        for (number, does) in undo.iter().enumerate() {
            let name = match host {
                Some(host) => {
                    let plain = step.id.as_str().trim_start_matches(host.as_str()).trim_start_matches('-');
                    format!("undo-{plain}-{number}")
                }
                None => format!("undo-{}-{number}", step.id),
            };
            let mut does = past.of_run(does);
            // Where there is only one server, its outage is what taking it back costs; one that had not come back
            // into service is not missed.
            if let Does::Drain { last, .. } = &mut does {
                *last = past.seen.hosts.len() < 2 || !host.is_some_and(|host| returned(past, host));
            }
            let title = words(&does);
            let guard = guards(past, &does, host);
            chain = vec![maker.add(&name, title, step.on.clone(), does, Undo::Nothing, &chain)];
            maker.guarded(guard);
        }
    }
    chain
}

/// One database from the node that was set aside; everything else keeps its writes.
pub(super) fn isolated_schema(past: &Past<'_>, maker: &mut Maker<'_>) -> Vec<StepId> {
    let first = vec![reachable(past, maker)];
    let Some(aside) = past.aside.clone() else {
        return first;
    };
    let others = others(past, &aside);
    let database = past.seen.service.database.name.clone();
    let directory = past.scene.cloud.backup_directory.clone();

    maker.wave(format!("Read the old data on {aside}; the service goes on"));
    let old_code = aside_ready(past, maker, &aside, &first);
    let extract = Does::ExtractSchema {
        database: database.clone(),
        directory: directory.clone(),
        heads: past.old_heads.clone(),
    };
    let title = format!("dump {database} from the isolated data");
    let extracted = maker.on(&aside, "extract", title, extract, Undo::Nothing, &old_code);

    maker.wave(format!("Outage: put the old data in place, {aside} serves"));
    let mut stopped = Vec::new();
    for host in &others {
        let drained = drain(past, maker, host, std::slice::from_ref(&extracted));
        stopped.push(stop(past, maker, host, &[drained]));
    }
    let mut loaded = stopped.clone();
    if let Some(member) = past.seen.members.iter().find(|member| **member != aside) {
        let load = Does::LoadSchema {
            database: database.clone(),
            from: aside.clone(),
            directory,
            heads: past.old_heads.clone(),
        };
        let title = format!("replace {database} in the running cluster");
        loaded = vec![maker.on(member, "load", title, load, Undo::Nothing, &stopped)];
    }
    let back = serve(past, maker, &aside, &loaded);

    let done = take_back_others(past, maker, &others, back);
    maker.wave(format!("Bring the database of {aside} back into the cluster"));
    let rejoin = Does::RejoinDatabase { members: past.seen.members.clone() };
    vec![maker.on(&aside, "rejoin", "let it catch up", rejoin, Undo::Nothing, &done)]
}

/// The whole database cluster from the node that was set aside.
pub(super) fn isolated_cluster(past: &Past<'_>, maker: &mut Maker<'_>) -> Vec<StepId> {
    let first = vec![reachable(past, maker)];
    let Some(aside) = past.aside.clone() else {
        return first;
    };
    let others = others(past, &aside);

    maker.wave(format!("Outage: {aside} becomes the cluster, with the old data"));
    let old_code = aside_ready(past, maker, &aside, &first);
    let mut stopped = Vec::new();
    for host in &others {
        let drained = drain(past, maker, host, &old_code);
        stopped.push(stop(past, maker, host, std::slice::from_ref(&drained)));
        if past.seen.members.contains(host) {
            let title = "stop the database that has the new data";
            stopped.push(maker.on(
                host,
                "stop-database",
                title,
                Does::StopDatabase {},
                Undo::Nothing,
                &[drained],
            ));
        }
    }
    for member in past.seen.members.iter().filter(|member| **member != aside && !others.contains(member)) {
        let title = "stop the database that has the new data";
        stopped.push(maker.on(
            member,
            "stop-database",
            title,
            Does::StopDatabase {},
            Undo::Nothing,
            &old_code,
        ));
    }
    let title = "start the database alone, with the data it has";
    let bootstrapped =
        maker.on(&aside, "bootstrap", title, Does::BootstrapDatabase {}, Undo::Nothing, &stopped);
    let mut done = serve(past, maker, &aside, &[bootstrapped]);

    for member in past.seen.members.iter().filter(|member| **member != aside) {
        maker.wave(format!("Give {member} the old data"));
        let members = past.seen.members.clone();
        let wipe = Does::WipeDatabase { members: members.clone() };
        let wiped = maker.on(member, "wipe", "forget the new data", wipe, Undo::Nothing, &done);
        let rejoin = Does::RejoinDatabase { members };
        let title = "take all data from the cluster";
        done = vec![maker.on(member, "rejoin", title, rejoin, Undo::Nothing, &[wiped])];
    }
    take_back_others(past, maker, &others, done)
}

/// One database from the backup, with the service stopped everywhere.
pub(super) fn restore_schema(past: &Past<'_>, maker: &mut Maker<'_>) -> Vec<StepId> {
    let first = vec![reachable(past, maker)];
    maker.wave("Outage: stop the service everywhere");
    let mut stopped = Vec::new();
    for host in &past.seen.hosts {
        let drained = drain(past, maker, host, &first);
        stopped.push(stop(past, maker, host, &[drained]));
    }
    let mut stopped = maker.gather("all-stopped", stopped);
    if let Some(absent) = &past.absent {
        // First of all: the dump may lie on this very node, and is loaded through its database.
        maker.wave(format!("Bring the database of {absent} back into the cluster"));
        let rejoin = Does::RejoinDatabase { members: past.seen.members.clone() };
        stopped = vec![maker.on(absent, "rejoin", "let it catch up", rejoin, Undo::Nothing, &stopped)];
    }
    maker.wave("Restore the backup and the old release");
    let mut restored = stopped.clone();
    if let Some((host, directory)) = &past.dump {
        let does = Does::RestoreSchema {
            database: past.seen.service.database.name.clone(),
            from: past.run.id.clone(),
            directory: directory.clone(),
            heads: past.old_heads.clone(),
        };
        let title = format!("restore the dump of run {}", past.run.id);
        restored = vec![maker.on(host, "restore", title, does, Undo::Nothing, &stopped)];
    }
    let mut switched = restored;
    for host in &past.seen.hosts {
        switched.extend(switch_back(past, maker, host, &stopped));
    }
    let switched = maker.gather("all-switched", switched);
    maker.wave("Start the service everywhere");
    let mut done = Vec::new();
    for host in &past.seen.hosts {
        let units = past.seen.installed.units.clone();
        let title = format!("start {}", units.join(", "));
        let started = maker.on(host, "start", title, start_verb(past), Undo::Nothing, &switched);
        done.extend(serve(past, maker, host, &[started]));
    }
    done
}

fn reachable(past: &Past<'_>, maker: &mut Maker<'_>) -> StepId {
    maker.wave("Preflight");
    let checks = vec![Check::Reachable { nodes: past.seen.hosts.clone() }];
    maker.add("preflight", "every node answers", Target::Cloud, Does::Check { checks }, Undo::Nothing, &[])
}

fn others(past: &Past<'_>, aside: &HostName) -> Vec<HostName> {
    past.seen.hosts.iter().filter(|host| *host != aside).cloned().collect()
}

/// The node that was set aside has the old code and its server runs; where the run had already begun to change
/// it, that is taken back first.
fn aside_ready(past: &Past<'_>, maker: &mut Maker<'_>, aside: &HostName, after: &[StepId]) -> Vec<StepId> {
    let changed = past.did(|does, on| {
        on.node() == Some(aside) && matches!(does, Does::StopUnits { .. } | Does::Install { .. })
    });
    let units = past.seen.installed.units.clone();
    let mut ready = after.to_vec();
    if changed {
        let drained = drain(past, maker, aside, after);
        let stopped = stop(past, maker, aside, &[drained]);
        ready = switch_back(past, maker, aside, &[stopped]);
    }
    let title = format!("{} runs the old release", units.join(", "));
    vec![maker.on(aside, "start", title, start_verb(past), Undo::Nothing, &ready)]
}

fn start_verb(past: &Past<'_>) -> Does {
    let installed = past.seen.installed;
    Does::StartUnits { units: installed.units.clone(), packages: installed.packages.clone() }
}

fn take_back_others(
    past: &Past<'_>,
    maker: &mut Maker<'_>,
    others: &[HostName],
    after: Vec<StepId>,
) -> Vec<StepId> {
    let mut done = after;
    for host in others {
        maker.wave(format!("Take {host} back; the service goes on"));
        let switched = switch_back(past, maker, host, &done);
        let units = past.seen.installed.units.clone();
        let title = format!("start {}", units.join(", "));
        let started = maker.on(host, "start", title, start_verb(past), Undo::Nothing, &switched);
        done = serve(past, maker, host, &[started]);
    }
    done
}

fn switch_back(past: &Past<'_>, maker: &mut Maker<'_>, host: &HostName, after: &[StepId]) -> Vec<StepId> {
    let mut last = after.to_vec();
    for (number, does) in past.switch_back(host).into_iter().enumerate() {
        let title = words(&does);
        last = vec![maker.on(host, &format!("switch-back-{number}"), title, does, Undo::Nothing, &last)];
    }
    last
}

fn drain(past: &Past<'_>, maker: &mut Maker<'_>, host: &HostName, after: &[StepId]) -> StepId {
    let proxy = &past.seen.service.proxy;
    let does = Does::Drain {
        backend: proxy.backend.clone(),
        server: host.to_string(),
        through: past.seen.proxies.clone(),
        patience_s: proxy.patience_s,
        last: true,
    };
    maker.on(host, "drain", "take it out of every load balancer", does, Undo::Nothing, after)
}

fn stop(past: &Past<'_>, maker: &mut Maker<'_>, host: &HostName, after: &[StepId]) -> StepId {
    let units = past.seen.installed.units.clone();
    let title = format!("stop {}", units.join(", "));
    let does = Does::StopUnits { units };
    // A load balancer that restarts in between forgets that the server was drained.
    let guard = guards(past, &does, Some(host));
    let id = maker.on(host, "stop", title, does, Undo::Nothing, after);
    maker.guarded(guard);
    id
}

/// Warms up, verifies and enables a server.
fn serve(past: &Past<'_>, maker: &mut Maker<'_>, host: &HostName, after: &[StepId]) -> Vec<StepId> {
    let service = past.seen.service;
    let (through, proxy) = (past.seen.backend(host), &service.proxy);
    let warm = Does::WarmUp {
        through: through.clone(),
        calls: service.warm_up.calls.clone(),
        rounds: service.warm_up.rounds,
    };
    let verify = Does::Verify { through, calls: service.verify.clone() };
    let enable = Does::Enable {
        backend: proxy.backend.clone(),
        server: host.to_string(),
        through: past.seen.proxies.clone(),
    };
    let mut last = after.to_vec();
    for (name, does) in [("warm-up", warm), ("verify", verify), ("enable", enable)] {
        let title = words(&does);
        last = vec![maker.on(host, name, title, does, Undo::Nothing, &last)];
    }
    last
}

fn guards(past: &Past<'_>, does: &Does, host: Option<&HostName>) -> Vec<Check> {
    match does {
        Does::Drain { backend, server, through, last: false, .. } => vec![Check::OthersServe {
            backend: backend.clone(),
            server: server.clone(),
            proxies: through.clone(),
        }],
        Does::StopUnits { .. } => vec![Check::OutOfService {
            backend: past.seen.service.proxy.backend.clone(),
            server: host.map(ToString::to_string).unwrap_or_default(),
            proxies: past.seen.proxies.clone(),
        }],
        Does::RejoinDatabase { .. } => vec![Check::Reachable { nodes: past.seen.members.clone() }],
        _ => Vec::new(),
    }
}

fn words(does: &Does) -> String {
    match does {
        Does::Install { packages, .. } => {
            let back: Vec<String> =
                packages.iter().map(|(name, version)| format!("{name} {version}")).collect();
            format!("install {} again", back.join(", "))
        }
        Does::RestoreFiles { files, .. } => format!("put {} back", files.join(", ")),
        Does::StartUnits { units, .. } => format!("start {}", units.join(", ")),
        Does::StopUnits { units } => format!("stop {}", units.join(", ")),
        Does::Drain { .. } => "take it out of every load balancer".into(),
        Does::Enable { .. } => "put it back into every load balancer".into(),
        Does::WarmUp { .. } => "make real calls, one after another, until they succeed".into(),
        Does::Verify { .. } => "issue and validate a token, list what there is".into(),
        Does::RejoinDatabase { .. } => "let its database catch up with the cluster".into(),
        other => other.name().replace('-', " "),
    }
}
