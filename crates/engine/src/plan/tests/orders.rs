//! The rules of the lint that depend on the order of steps, compared with a plain look at every pair of steps; and
//! how plans grow with the cloud.

use super::*;
use ostler_model::check::Check;
use ostler_model::plan::{Plan, Strategy};
use ostler_model::step::{Gate, Step};
use proptest::prelude::*;
use std::collections::{BTreeSet, HashMap};

/// The steps that are certain to be done before each step.
fn all_before(steps: &[Step]) -> Vec<BTreeSet<usize>> {
    let index: HashMap<_, _> = steps.iter().enumerate().map(|(at, step)| (&step.id, at)).collect();
    let of = |at: usize| {
        let mut seen = BTreeSet::new();
        let mut stack = vec![at];
        while let Some(place) = stack.pop() {
            let before = steps[place].after.iter().map(|id| index[id]);
            stack.extend(before.filter(|before| seen.insert(*before)));
        }
        seen
    };
    (0..steps.len()).map(of).collect()
}

/// What the rules about servers, backups and finals find, by looking at every pair.
fn plainly(steps: &[Step]) -> Vec<(&'static str, Vec<String>)> {
    let before = all_before(steps);
    let has = |at: usize, test: &dyn Fn(&Step) -> bool| before[at].iter().any(|place| test(&steps[*place]));
    let mut servers: BTreeSet<&str> = BTreeSet::new();
    let (mut drains, mut enables) = (Vec::new(), Vec::new());
    for (at, step) in steps.iter().enumerate() {
        match &step.does {
            Does::Drain { server, last, .. } => drains.push((at, server.as_str(), *last)),
            Does::Enable { server, .. } => enables.push((at, server.as_str())),
            Does::Check { checks } => checks.iter().for_each(|check| {
                if let Check::AllServe { servers: names, .. } = check {
                    servers.extend(names.iter().map(String::as_str));
                }
            }),
            _ => {}
        }
    }
    servers.extend(drains.iter().map(|(_, server, _)| *server));
    let mut last_server = Vec::new();
    for (at, server, _) in drains.iter().filter(|(_, _, last)| !last) {
        let others = drains.iter().filter(|(_, other, _)| other != server);
        let out = others.filter(|(drain, other, _)| {
            let is_back = enables.iter().any(|(put, back)| {
                back == other && before[*at].contains(put) && before[*put].contains(drain)
            });
            !is_back && !before[*drain].contains(at)
        });
        let out: BTreeSet<&str> = out.map(|(_, other, _)| *other).collect();
        if servers.len() > 1 && out.len() + 1 >= servers.len() {
            let out = out.into_iter().collect::<Vec<_>>().join(", ");
            last_server.push(format!("{} while {out} may be out", steps[*at].id));
        }
    }
    let mut undrained = Vec::new();
    let mut unproved = Vec::new();
    let mut finals = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let host = step.on.node().map(HostName::as_str).unwrap_or_default();
        let drained = has(at, &|step| matches!(&step.does, Does::Drain { server, .. } if server == host));
        let guarded = step.guard.iter().any(|check| matches!(check, Check::OutOfService { .. }));
        if matches!(step.does, Does::StopUnits { .. }) && !drains.is_empty() && !drained && !guarded {
            undrained.push(format!("{} without a drain before it", step.id));
        }
        let proved = has(at, &|step| matches!(step.does, Does::ProveBackup { .. }));
        if matches!(step.does, Does::Schema { .. }) && !proved {
            unproved.push(format!("{} without a proved backup before it", step.id));
        }
        if matches!(step.undo, Undo::Impossible { .. }) {
            let is_quiet = |step: &Step| matches!(step.gate, Some(Gate::Quiet { .. }));
            if !has(at, &is_quiet) && !is_quiet(step) {
                finals.push(format!("{} without a quiet time before it", step.id));
            }
            if matches!(step.does, Does::Schema { .. }) {
                if !step.guard.iter().any(|check| matches!(check, Check::Runs { .. })) {
                    finals.push(format!("{} without a guard against old processes", step.id));
                }
                let changes =
                    |step: &Step| matches!(step.does, Does::Install { .. } | Does::StartUnits { .. });
                let late =
                    (0..steps.len()).filter(|other| changes(&steps[*other]) && !before[at].contains(other));
                finals.extend(late.map(|other| format!("{} may come before {}", step.id, steps[other].id)));
            }
        }
    }
    [
        ("last-server", last_server),
        ("drained-first", undrained),
        ("backup-first", unproved),
        ("final-last", finals),
    ]
    .into_iter()
    .filter(|(_, problems)| !problems.is_empty())
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Plans from which waits and guards were taken at random, and others put in their place.
    #[test]
    fn the_lint_finds_what_a_plain_look_finds(
        nodes in 3_usize..6,
        strategy in prop::sample::select(Strategy::ALL.to_vec()),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..4), 0..12),
    ) {
        let planned = plan_of(nodes, "2:23.0.2-1", HEADS_2023_1, &wish("2024.1", Some(strategy))).unwrap();
        let mut body = planned.plan.body;
        for (which, other, cut) in cuts {
            let at = which.index(body.steps.len());
            let earlier = body.steps[other.index(at.max(1))].id.clone();
            let step = &mut body.steps[at];
            match cut {
                0 => step.after.clear(),
                1 => step.after.truncate(1),
                2 => step.guard.clear(),
                _ if at > 0 && !step.after.contains(&earlier) => step.after = vec![earlier],
                _ => {}
            }
        }
        let expected = plainly(&body.steps);
        let found = lint(&Plan::seal(body).unwrap());
        let found: Vec<(&str, &[String])> =
            found.iter().map(|finding| (finding.check.as_str(), finding.evidence.as_slice())).collect();
        let expected: Vec<(&str, &[String])> =
            expected.iter().map(|(name, problems)| (*name, problems.as_slice())).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_plan_for_twice_the_nodes_has_twice_the_waits() {
    let nodes = 150;
    for strategy in Strategy::ALL {
        let waits = |nodes: usize| {
            let planned =
                plan_of(nodes, "2:23.0.2-1", HEADS_2023_1, &wish("2024.1", Some(strategy))).unwrap();
            assert_eq!(lint(&planned.plan), [], "{nodes} nodes, {strategy}");
            planned.plan.body.steps.iter().map(|step| step.after.len()).sum::<usize>()
        };
        let (once, twice) = (waits(nodes), waits(2 * nodes));
        assert!(
            twice < once * 9 / 4,
            "{strategy}: {once} waits for {nodes} nodes, {twice} for twice as many"
        );
    }
}
