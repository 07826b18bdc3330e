//! Offline: stop everything, back up, change everything, start everything.
//!
//! The outage is announced by the plan. Nothing of the schema changes before the backup is proved.

use super::steps::Maker;
use super::turn;
use super::upgrade::Hop;
use ostler_model::plan::{HeldBack, Report};
use ostler_model::step::{Does, Target, Undo};

pub(super) fn lay_out(hop: &Hop<'_>, maker: &mut Maker<'_>, report: &mut Report) {
    let first = [turn::preflight(hop, maker)];
    maker.wave("Prepare");
    let mut ready = turn::back_up_files(hop, maker, &first);
    ready.extend(turn::stage(hop, maker, &first));
    let ready = maker.gather("all-prepared", ready);

    maker.wave("Stop the service everywhere");
    let mut stopped = Vec::new();
    for host in &hop.seen.hosts {
        let drained = turn::drain(hop, maker, host, true, &ready);
        stopped.push(turn::stop(hop, maker, host, &[drained]));
    }
    // With the service stopped nothing is written any more: this dump loses nothing.
    let proved = turn::back_up_database(hop, maker, &stopped);

    maker.wave(format!("Change every node to {}", hop.to.series));
    let after = if proved.is_empty() { maker.gather("all-stopped", stopped) } else { proved };
    let mut switched = Vec::new();
    for host in &hop.seen.hosts {
        switched.push(turn::switch(hop, maker, host, &after));
    }
    let mut ready = switched;
    if let Some(host) = hop.seen.hosts.first() {
        ready = turn::advise(hop, maker, host, &ready);
        if hop.changes_schema() {
            let does = sync(hop);
            let title = format!("bring the schema to {}", hop.to.series);
            ready = vec![maker.on(host, "sync", title, does, Undo::Nothing, &ready)];
        } else {
            report.held_back.push(HeldBack {
                what: "no schema change".into(),
                why: format!("the schema of {} is that of {} (read by SQL)", hop.from.series, hop.to.series),
            });
        }
    }

    maker.wave("Start the service everywhere");
    let mut done = Vec::new();
    for host in &hop.seen.hosts {
        let started = turn::start(hop, maker, host, &ready);
        done.push(turn::return_to_service(hop, maker, host, &[started]));
    }
    let done = turn::function_check(hop, maker, &Target::Cloud, &hop.seen.hosts, done);
    let done = vec![turn::soak(hop, maker, &done)];
    turn::final_check(hop, maker, &done);
}

/// Expand and contract together, for a stopped service.
pub(super) fn sync(hop: &Hop<'_>) -> Does {
    Does::Schema {
        phase: "sync".into(),
        argv: hop.seen.service.schema.sync.clone(),
        user: hop.seen.installed.user.clone(),
        database: hop.seen.service.database.name.clone(),
        before: hop.heads.clone(),
        after: hop.to.heads(),
    }
}
