//! Plans the way back from a run: a new plan made from what the run did, in reverse.
//!
//! It stops at what cannot be taken back and then offers the ways that remain, each with its cost. It never
//! guesses what was done: a step that was attempted counts as done, and undoing what was not done does nothing.

use super::scene::{Scene, ServiceSeen, basis, look_at_for_rollback};
use super::steps::Maker;
use super::{Planned, Refused, RefusedKind};
use crate::run::{Run, RunState, Status};
use ostler_model::catalogue::sorted;
use ostler_model::check::Check;
use ostler_model::event::{Verdict, Why};
use ostler_model::ids::{HostName, StepId};
use ostler_model::plan::{PLAN_FORMAT_FIRST, Plan, PlanBody, Purpose, Report, RollbackWay};
use ostler_model::step::{Does, Target, Undo};
use std::collections::{BTreeMap, BTreeSet};

mod ways;

/// What a person chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// By which way; none lets the planner choose the one that loses least.
    pub way: Option<RollbackWay>,
    /// Whether the loss that the way costs is accepted.
    pub accept_loss: bool,
}

/// What a run did, as far as a way back needs it.
pub(super) struct Past<'a> {
    pub(super) run: &'a Run,
    pub(super) scene: Scene<'a>,
    pub(super) seen: &'a ServiceSeen<'a>,
    /// Places of steps that were attempted and may have changed something, in the plan's order.
    pub(super) touched: Vec<usize>,
    /// Of these, the places that switched packages or files of a node, by node.
    pub(super) switches: BTreeMap<&'a HostName, Vec<usize>>,
    /// Heads of the database before the run.
    pub(super) old_heads: Vec<String>,
    /// The node whose database was set aside and still is.
    pub(super) aside: Option<HostName>,
    /// The node whose database may still be missing from the cluster.
    pub(super) absent: Option<HostName>,
    /// The node and directory that hold the dump of this run's backup.
    pub(super) dump: Option<(HostName, String)>,
}

impl Past<'_> {
    /// Whether any attempted step satisfies this.
    pub(super) fn did(&self, test: impl Fn(&Does, &Target) -> bool) -> bool {
        self.touched.iter().any(|at| test(&self.run.step(*at).does, &self.run.step(*at).on))
    }

    /// What takes a node's packages and files back, if the run touched them.
    pub(super) fn switch_back(&self, host: &HostName) -> Vec<Does> {
        let mut back = Vec::new();
        for at in self.switches.get(host).into_iter().flatten().rev() {
            if let Undo::Steps(undo) = &self.run.step(*at).undo {
                back.extend(undo.iter().map(|does| self.of_run(does)));
            }
        }
        back
    }

    /// A verb of the run's plan as it reads from another run: its backup is named.
    pub(super) fn of_run(&self, does: &Does) -> Does {
        match does {
            Does::RestoreFiles { from: None, directory, files } => Does::RestoreFiles {
                from: Some(self.run.id.clone()),
                directory: directory.clone(),
                files: files.clone(),
            },
            other => other.clone(),
        }
    }
}

/// Plans the way back from a run.
pub fn rollback(run: &Run, choice: &Choice, scene: &Scene<'_>) -> Result<Planned, Refused> {
    let Purpose::Upgrade { service, from, to, .. } = &run.plan.body.purpose else {
        return Err(Refused::usage(
            Why::new(format!("run {} is itself a rollback", run.id))
                .hint("resume it, or plan the upgrade again"),
        ));
    };
    if let RunState::Closed(Verdict::RolledBack { by }) = &run.state {
        let why = Why::new(format!("run {} was already rolled back by run {by}", run.id));
        return Err(Refused { kind: RefusedKind::Nothing, why });
    }
    let touched: Vec<usize> = (0..run.steps.len())
        .filter(|at| {
            let state = &run.steps[*at];
            (state.attempt > 0 || state.status == Status::Skipped) && !run.step(*at).does.only_looks()
        })
        .collect();
    let undoable = touched.iter().any(|at| !matches!(run.step(*at).undo, Undo::Nothing));
    let changed_schema = touched.iter().any(|at| matches!(run.step(*at).does, Does::Schema { .. }));
    if !undoable && !changed_schema {
        let why = Why::new(format!("run {} has changed nothing that would have to be taken back", run.id))
            .hint(format!("`ostler run abort {} --because …` closes it", run.id));
        return Err(Refused { kind: RefusedKind::Nothing, why });
    }
    let touched_hosts: BTreeSet<HostName> =
        touched.iter().filter_map(|at| run.step(*at).on.node().cloned()).collect();
    let (seen, cautions) = look_at_for_rollback(scene, service, &touched_hosts)?;
    let old = seen.service.release(*from);
    let new = seen.service.release(*to);
    let (Some(old), Some(new)) = (old, new) else {
        return Err(Refused::usage(Why::new(format!("the catalogue no longer knows {from} and {to}"))));
    };
    let old_heads = touched
        .iter()
        .find_map(|at| match &run.step(*at).does {
            Does::Schema { before, .. } => Some(before.clone()),
            _ => None,
        })
        .unwrap_or_else(|| seen.heads.clone().unwrap_or_else(|| old.heads()));
    let rejoin = |possible: &[Status]| {
        let mut steps = run.plan.body.steps.iter().zip(&run.steps);
        steps.any(|(step, state)| {
            matches!(step.does, Does::RejoinDatabase { .. }) && possible.contains(&state.status)
        })
    };
    let isolated = touched.iter().find_map(|at| match run.step(*at).does {
        Does::IsolateDatabase { .. } => run.step(*at).on.node().cloned(),
        _ => None,
    });
    // An attempt that is known to have failed set nothing aside, though the database may be gone.
    let was_set_aside = run.plan.body.steps.iter().zip(&run.steps).any(|(step, state)| {
        let may_be = matches!(state.status, Status::Done | Status::Doing | Status::Skipped);
        matches!(step.does, Does::IsolateDatabase { .. }) && may_be
    });
    // A rejoin that was attempted may have begun to take the new data, also where it is known not to be done.
    let gave_up = touched.iter().any(|at| matches!(run.step(*at).does, Does::RejoinDatabase { .. }));
    let aside = isolated.clone().filter(|_| was_set_aside && !gave_up);
    let absent = isolated.filter(|_| !rejoin(&[Status::Done]));
    let dump = run.plan.body.steps.iter().zip(&run.steps).find_map(|(step, state)| match &step.does {
        Does::ProveBackup { set } if state.status == Status::Done => {
            Some((step.on.node()?.clone(), set.directory.clone()))
        }
        _ => None,
    });
    let expanded = sorted([new.expand.clone(), old.contract.clone()]);
    let fits = seen.heads.as_ref().is_some_and(|heads| old.any_heads().contains(heads) || *heads == expanded);
    let mut switches: BTreeMap<&HostName, Vec<usize>> = BTreeMap::new();
    for at in &touched {
        let step = run.step(*at);
        if let (Does::Install { .. } | Does::ApplyConfig { .. }, Some(host)) = (&step.does, step.on.node()) {
            switches.entry(host).or_default().push(*at);
        }
    }
    let past = Past { run, scene: *scene, seen: &seen, touched, switches, old_heads, aside, absent, dump };
    let way = choose(&past, choice, fits)?;

    let mut maker = Maker::new(*scene, &seen);
    let mut report = Report { nodes: seen.hosts.clone(), ..Report::default() };
    let heads_after = match way {
        RollbackWay::Undo => seen.heads.iter().cloned().collect(),
        _ => vec![past.old_heads.clone()],
    };
    let last = match way {
        RollbackWay::Undo => ways::undo(&past, &mut maker),
        RollbackWay::IsolatedSchema => ways::isolated_schema(&past, &mut maker),
        RollbackWay::IsolatedCluster => ways::isolated_cluster(&past, &mut maker),
        RollbackWay::RestoreSchema => ways::restore_schema(&past, &mut maker),
    };
    final_check(&past, &mut maker, &last, heads_after);
    report.decisions.push(format!("{way}: {}", cost(&past, way)));
    let mut cautions = cautions;
    cautions.push(cost(&past, way));
    let body = PlanBody {
        format: PLAN_FORMAT_FIRST,
        parent: Some(run.id.clone()),
        cloud: scene.cloud.name.clone(),
        purpose: Purpose::Rollback { of: run.id.clone(), way },
        seen: scene.seen.taken,
        basis: basis(scene, &seen),
        budgets: maker.budgets(),
        waves: maker.waves,
        steps: maker.steps,
        cautions,
    };
    let plan = Plan::seal(body).map_err(|error| Refused::usage(Why::new(error.to_string())))?;
    Ok(Planned { plan, report })
}

fn choose(past: &Past<'_>, choice: &Choice, fits: bool) -> Result<RollbackWay, Refused> {
    let possible = |way: RollbackWay| -> Result<(), String> {
        match way {
            RollbackWay::Undo if !fits => {
                Err("the old release does not work on the schema as it is now".to_owned())
            }
            RollbackWay::IsolatedSchema | RollbackWay::IsolatedCluster if past.aside.is_none() => {
                Err("no database member is set aside with the old data".to_owned())
            }
            RollbackWay::RestoreSchema if past.dump.is_none() => {
                Err("the run has no proved backup of the database".to_owned())
            }
            _ => Ok(()),
        }
    };
    let order = [RollbackWay::Undo, RollbackWay::IsolatedSchema, RollbackWay::RestoreSchema];
    let way = match choice.way {
        Some(way) => way,
        None => order.into_iter().find(|way| possible(*way).is_ok()).unwrap_or(RollbackWay::Undo),
    };
    if let Err(because) = possible(way) {
        return Err(Refused::guard(
            "way-possible",
            Why::new(format!("rolling back {way} is not possible: {because}")).hint(format!(
                "go forward instead: `ostler run resume {}`; or choose another --way",
                past.run.id
            )),
        ));
    }
    if loses(past, way) && !choice.accept_loss {
        return Err(Refused::guard(
            "data-loss",
            Why::new(format!("rolling back {way} loses data: {}", cost(past, way))).hint(format!(
                "{}back all the same: `ostler run rollback {} --accept-loss`",
                forward(past.run),
                past.run.id
            )),
        ));
    }
    Ok(way)
}

/// The other way out, where there is one.
fn forward(run: &Run) -> String {
    match run.state {
        RunState::Closed(_) => "stay where you are: the run is over; ".to_owned(),
        _ => format!("forward: `ostler run resume {}` finishes the upgrade; ", run.id),
    }
}

/// Whether writes are lost. A service that was stopped before its backup and has not served since loses none.
fn loses(past: &Past<'_>, way: RollbackWay) -> bool {
    match way {
        RollbackWay::Undo => false,
        RollbackWay::IsolatedSchema | RollbackWay::IsolatedCluster => true,
        RollbackWay::RestoreSchema => {
            let stops_first = past
                .run
                .plan
                .body
                .steps
                .iter()
                .any(|step| matches!(step.does, Does::Drain { last: true, .. }));
            let served = past.did(|does, _| matches!(does, Does::Enable { .. }));
            served || !stops_first
        }
    }
}

/// What a way costs, in an operator's words.
fn cost(past: &Past<'_>, way: RollbackWay) -> String {
    let name = &past.seen.service.name;
    match way {
        RollbackWay::Undo => format!("nothing is lost; {name}'s schema may stay expanded, which the old release does not mind"),
        RollbackWay::IsolatedSchema => format!(
            "what was written to {name} since its database member was set aside is lost; the writes of other services stay"
        ),
        RollbackWay::IsolatedCluster => {
            "what any service wrote since the database member was set aside is lost; instances made since then are unknown to the cloud afterwards".to_owned()
        }
        RollbackWay::RestoreSchema if loses(past, way) => {
            format!("what was written to {name} since the run's backup is lost; the writes of other services stay")
        }
        RollbackWay::RestoreSchema => format!("nothing is lost: {name} has not served since the backup was made"),
    }
}

fn final_check(past: &Past<'_>, maker: &mut Maker<'_>, after: &[StepId], heads: Vec<Vec<String>>) {
    maker.wave("Final check");
    let hosts = past.seen.hosts.clone();
    let mut checks = super::preflight(past.scene.cloud, past.seen, &heads);
    let mut old_versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for step in &past.run.plan.body.steps {
        if let Undo::Steps(undo) = &step.undo {
            for does in undo {
                if let Does::Install { packages, .. } = does {
                    for (name, version) in packages {
                        old_versions.entry(name.clone()).or_default().insert(version.clone());
                    }
                }
            }
        }
    }
    if let Some(package) = past.seen.installed.packages.first()
        && let Some(versions) = old_versions.get(package)
        && let (Some(version), 1) = (versions.first(), versions.len())
    {
        let units = past.seen.installed.units.clone();
        checks.push(Check::Runs { nodes: hosts, package: package.clone(), version: version.clone(), units });
    }
    let title = "every node runs what it ran before";
    maker.add("final-check", title, Target::Cloud, Does::Check { checks }, Undo::Nothing, after);
}
