//! Minimal downtime: one database member is set aside with the old data, the service stops once for the schema
//! change, and until the member rejoins yesterday can be had back in seconds.
//!
//! Everything that can be done before the stop is done before it: the first new server is installed, started and
//! imported while it is out of service, so that the outage is the schema change and little else.

use super::offline::sync;
use super::steps::Maker;
use super::turn;
use super::upgrade::Hop;
use ostler_model::check::Check;
use ostler_model::ids::HostName;
use ostler_model::plan::{HeldBack, Report};
use ostler_model::step::{Does, Gate, Target, Undo};

/// Which node is set aside, which changes first, and which others keep serving until the stop.
pub(super) fn parts(hop: &Hop<'_>) -> Option<(HostName, HostName, Vec<HostName>)> {
    let aside = turn::dump_host(hop)?;
    let mut rest: Vec<HostName> = hop.seen.hosts.iter().filter(|host| **host != aside).cloned().collect();
    if rest.is_empty() {
        return None;
    }
    let first = rest.remove(0);
    Some((aside, first, rest))
}

pub(super) fn lay_out(hop: &Hop<'_>, maker: &mut Maker<'_>, report: &mut Report) {
    let Some((aside, first, others)) = parts(hop) else {
        return;
    };
    let preflight = [turn::preflight(hop, maker)];
    maker.wave("Back up and prepare");
    let mut ready = turn::back_up_files(hop, maker, &preflight);
    ready.extend(turn::back_up_database(hop, maker, &preflight));
    ready.extend(turn::stage(hop, maker, &preflight));

    maker.wave(format!("Set {aside} aside with the data as they are"));
    let members = hop.seen.members.clone();
    let aside_drained = turn::drain(hop, maker, &aside, false, &ready);
    let isolate = Does::IsolateDatabase { members: members.clone() };
    let undo = Undo::Steps(vec![Does::RejoinDatabase { members: members.clone() }]);
    let title = "stop its database: it keeps the data of this moment";
    let isolated = maker.on(&aside, "isolate", title, isolate, undo, &[aside_drained]);
    maker.guarded(vec![Check::GaleraWhole { nodes: members.clone(), size: members.len() as u32 }]);

    maker.wave(format!("Prepare {first}; the service goes on"));
    // With only two nodes the first one is also the last that serves: it can stop only when the outage begins.
    let alone = others.is_empty();
    let mut before_stop = vec![isolated];
    if !alone {
        let drained = turn::drain(hop, maker, &first, false, &before_stop);
        let stopped = turn::stop(hop, maker, &first, &[drained]);
        let switched = turn::switch(hop, maker, &first, &[stopped]);
        before_stop = turn::advise(hop, maker, &first, &[switched]);
        // A started server out of service touches no data; what takes its time is importing its code.
        before_stop = vec![turn::start(hop, maker, &first, &before_stop)];
    }

    maker.wave("Outage: change the schema");
    let mut stopped = Vec::new();
    let serving: Vec<HostName> = if alone { vec![first.clone()] } else { others.clone() };
    for host in &serving {
        let drained = turn::drain(hop, maker, host, true, &before_stop);
        stopped.push(turn::stop(hop, maker, host, &[drained]));
    }
    if alone {
        let switched = turn::switch(hop, maker, &first, &stopped);
        stopped = turn::advise(hop, maker, &first, &[switched]);
    }
    let mut ready = stopped;
    if hop.changes_schema() {
        let title = format!("bring the schema to {}", hop.to.series);
        ready = vec![maker.on(&first, "sync", title, sync(hop), Undo::Nothing, &ready)];
        maker.guarded(old_servers_out(hop, &first));
    } else {
        report.held_back.push(HeldBack {
            what: "no schema change".into(),
            why: format!("the schema of {} is that of {} (read by SQL)", hop.from.series, hop.to.series),
        });
    }
    if alone {
        ready = vec![turn::start(hop, maker, &first, &ready)];
    }
    let back = turn::return_to_service(hop, maker, &first, &ready);
    let mut serving = vec![first.clone()];
    let on = Target::Node(first.clone());
    let mut done = turn::function_check(hop, maker, &on, &serving, vec![back]);

    for host in &others {
        maker.wave(format!("Change {host}; the service is back"));
        let switched = turn::switch(hop, maker, host, &done);
        let started = turn::start(hop, maker, host, &[switched]);
        let back = turn::return_to_service(hop, maker, host, &[started]);
        serving.push(host.clone());
        let on = Target::Node(host.clone());
        done = turn::function_check(hop, maker, &on, &serving, vec![back]);
    }

    maker.wave(format!("Soak, then bring {aside} back with the new data"));
    done = vec![turn::soak(hop, maker, &done)];
    let rejoin = Does::RejoinDatabase { members: members.clone() };
    let undo = if hop.needs_contract() {
        Undo::Impossible {
            because: format!(
                "{aside} gives up the old data when it rejoins; from then on only the backup holds them"
            ),
        }
    } else {
        Undo::Nothing
    };
    let rejoined =
        maker.on(&aside, "rejoin", "let its database catch up with the cluster", rejoin, undo, &done);
    if hop.wish.ask_before_final && hop.needs_contract() {
        maker.gated(Gate::Operator {
            question: format!(
                "The service runs {}. When {aside} rejoins, the quick way back to {} is gone. Let it rejoin?",
                hop.to.series, hop.from.series
            ),
        });
    }
    let stopped = turn::stop(hop, maker, &aside, &[rejoined]);
    let switched = turn::switch(hop, maker, &aside, &[stopped]);
    let started = turn::start(hop, maker, &aside, &[switched]);
    let back = turn::return_to_service(hop, maker, &aside, &[started]);
    let on = Target::Node(aside.clone());
    let done = turn::function_check(hop, maker, &on, &hop.seen.hosts, vec![back]);
    report.decisions.push(format!(
        "{aside} is set aside: writes made after that are lost if the whole cluster is taken back from it, only those of {} if one database is",
        hop.seen.service.name
    ));
    turn::final_check(hop, maker, &done);
}

/// No load balancer sends anything to a server of the old release.
fn old_servers_out(hop: &Hop<'_>, first: &HostName) -> Vec<Check> {
    let old = hop.seen.hosts.iter().filter(|host| *host != first);
    old.map(|host| Check::OutOfService {
        backend: hop.seen.service.proxy.backend.clone(),
        server: host.to_string(),
        proxies: hop.seen.proxies.clone(),
    })
    .collect()
}
