//! Zero downtime: expand the schema, change node after node while the others serve, contract when no old
//! process is left.
//!
//! Never two servers out of service at once, never a contract before the last node has changed.

use super::steps::Maker;
use super::turn;
use super::upgrade::Hop;
use ostler_model::check::Check;
use ostler_model::plan::{HeldBack, Report};
use ostler_model::step::{Does, Gate, Target, Undo};

pub(super) fn lay_out(hop: &Hop<'_>, maker: &mut Maker<'_>, report: &mut Report) {
    let preflight = turn::preflight(hop, maker);
    maker.wave("Back up and prepare");
    let first = [preflight];
    let mut done = turn::back_up_files(hop, maker, &first);
    done.extend(turn::back_up_database(hop, maker, &first));
    done.extend(turn::stage(hop, maker, &first));

    let schema = &hop.seen.service.schema;
    for (number, host) in hop.seen.hosts.iter().enumerate() {
        maker.wave(format!("Change {host} while the others serve"));
        let drained = turn::drain(hop, maker, host, false, &done);
        let stopped = turn::stop(hop, maker, host, &[drained]);
        let mut ready = vec![turn::switch(hop, maker, host, &[stopped])];
        if number == 0 {
            // The expand only adds, and the old release goes on with it: it need not wait for advice, the start does.
            let advised = turn::advise(hop, maker, host, &ready);
            if hop.needs_expand() {
                let does = Does::Schema {
                    phase: "expand".into(),
                    argv: schema.expand.clone(),
                    user: hop.seen.installed.user.clone(),
                    database: hop.seen.service.database.name.clone(),
                    before: hop.heads.clone(),
                    after: hop.expanded(),
                };
                let title = format!(
                    "add what {} needs to the schema; {} goes on with it",
                    hop.to.series, hop.from.series
                );
                // Servers of the release before work on the expanded schema by design, so it may stay.
                ready = vec![maker.on(host, "expand", title, does, Undo::Nothing, &ready)];
            } else {
                report.held_back.push(HeldBack {
                    what: "no expand".into(),
                    why: format!("the schema already has what {} needs (read by SQL)", hop.to.series),
                });
            }
            ready.extend(advised);
        }
        let started = turn::start(hop, maker, host, &ready);
        let back = turn::return_to_service(hop, maker, host, &[started]);
        let on = Target::Node(host.clone());
        done = turn::function_check(hop, maker, &on, &hop.seen.hosts, vec![back]);
    }

    maker.wave(if hop.needs_contract() { "Soak and contract" } else { "Soak" });
    done = vec![turn::soak(hop, maker, &done)];
    if hop.needs_contract() {
        if let Some(host) = hop.seen.hosts.first() {
            let does = Does::Schema {
                phase: "contract".into(),
                argv: schema.contract.clone(),
                user: hop.seen.installed.user.clone(),
                database: hop.seen.service.database.name.clone(),
                before: hop.expanded(),
                after: hop.to.heads(),
            };
            let undo = Undo::Impossible { because: schema.contract_is_final.clone() };
            let title = format!("remove from the schema what only {} needed", hop.from.series);
            done = vec![maker.on(host, "contract", title, does, undo, &done)];
            maker.guarded(vec![
                turn::runs_target(hop),
                Check::Reachable { nodes: hop.seen.hosts.clone() },
                Check::HeadsAre {
                    database: hop.seen.service.database.name.clone(),
                    nodes: hop.seen.members.clone(),
                    any_of: vec![hop.expanded()],
                },
            ]);
            if hop.wish.ask_before_final {
                let question = format!(
                    "All nodes run {}. After the contract only a restore leads back to {}. Contract now?",
                    hop.to.series, hop.from.series
                );
                maker.gated(Gate::Operator { question });
            }
        }
    } else {
        report.held_back.push(HeldBack {
            what: "no contract".into(),
            why: format!(
                "{} has nothing to remove from the schema, so every step can be taken back",
                hop.to.series
            ),
        });
    }
    turn::final_check(hop, maker, &done);
}
