//! A linter for plans: what no plan may do, whoever made it.
//!
//! It looks at the plan alone and trusts no planner. A plan with an error is never run.

use ostler_model::check::{Check, Finding, Severity};
use ostler_model::limits::{PLAN_STEPS_MAX, STEP_TRIES_MAX};
use ostler_model::plan::{Plan, Purpose};
use ostler_model::step::{Does, Gate, Step, Undo};
use std::collections::{BTreeSet, HashMap};

/// Everything that is wrong with a plan.
pub fn lint(plan: &Plan) -> Vec<Finding> {
    let mut found = Vec::new();
    let steps = &plan.body.steps;
    if !plan.is_intact() {
        found.push(error("plan-intact", "the plan is not what its hash says", Vec::new()));
    }
    if steps.is_empty() || steps.len() > PLAN_STEPS_MAX {
        found.push(error("plan-size", &format!("the plan has {} steps", steps.len()), Vec::new()));
    }
    let order = match Order::of(steps) {
        Ok(order) => order,
        Err(problems) => {
            found.push(error("plan-order", "the order of the steps is not one", problems));
            return found;
        }
    };
    let mut rule = |name: &str, summary: &str, problems: Vec<String>| {
        if !problems.is_empty() {
            found.push(error(name, summary, problems));
        }
    };
    rule("bounded-steps", "a step has no bound", unbounded(plan));
    rule("last-server", "the last server of a backend could be taken out", last_server(steps, &order));
    rule(
        "drained-first",
        "a server is stopped that could still get requests",
        stopped_undrained(steps, &order),
    );
    let upgrades = matches!(plan.body.purpose, Purpose::Upgrade { .. });
    if upgrades {
        rule("backup-first", "the schema changes before a backup was proved", unproved(steps, &order));
        rule("one-member", "more than one database member is taken away", members(steps));
        rule("final-last", "what cannot be taken back comes too early or unguarded", finals(steps, &order));
    }
    found
}

fn error(name: &str, summary: &str, evidence: Vec<String>) -> Finding {
    Finding {
        check: name.to_owned(),
        severity: Severity::Error,
        summary: summary.to_owned(),
        evidence,
        hint: Some(
            "this is a defect of the planner or of a site's catalogue page: do not run the plan".into(),
        ),
    }
}

/// What comes before what.
struct Order {
    before: Vec<Vec<usize>>,
}

impl Order {
    fn of(steps: &[Step]) -> Result<Order, Vec<String>> {
        let mut problems = Vec::new();
        let mut index = HashMap::new();
        for (at, step) in steps.iter().enumerate() {
            if index.insert(&step.id, at).is_some() {
                problems.push(format!("two steps are called {}", step.id));
            }
        }
        let mut before = Vec::with_capacity(steps.len());
        for step in steps {
            let mut places = Vec::with_capacity(step.after.len());
            for id in &step.after {
                match index.get(id) {
                    Some(place) => places.push(*place),
                    None => problems.push(format!("{} comes after {id}, which does not exist", step.id)),
                }
            }
            before.push(places);
        }
        let order = Order { before };
        if problems.is_empty() && order.has_a_circle() {
            problems.push("steps wait for each other in a circle".into());
        }
        if problems.is_empty() { Ok(order) } else { Err(problems) }
    }

    fn has_a_circle(&self) -> bool {
        let mut waits: Vec<usize> = self.before.iter().map(Vec::len).collect();
        let mut followers = vec![Vec::new(); self.before.len()];
        for (at, places) in self.before.iter().enumerate() {
            places.iter().for_each(|place| followers[*place].push(at));
        }
        let mut free: Vec<usize> = (0..waits.len()).filter(|at| waits[*at] == 0).collect();
        let mut seen = 0;
        while let Some(at) = free.pop() {
            seen += 1;
            for follower in &followers[at] {
                waits[*follower] -= 1;
                if waits[*follower] == 0 {
                    free.push(*follower);
                }
            }
        }
        seen != self.before.len()
    }

    /// Every step that is certain to be done before this one begins.
    fn all_before(&self, at: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut stack = self.before[at].clone();
        while let Some(place) = stack.pop() {
            if seen.insert(place) {
                stack.extend(&self.before[place]);
            }
        }
        seen
    }
}

fn unbounded(plan: &Plan) -> Vec<String> {
    let budgets = plan.body.budgets.iter().filter(|budget| budget.width == 0);
    let mut problems: Vec<String> =
        budgets.map(|budget| format!("budget {} lets nothing begin", budget.name)).collect();
    for step in &plan.body.steps {
        if step.tries == 0 || step.tries > STEP_TRIES_MAX {
            problems.push(format!("{} has {} tries, 1 to {STEP_TRIES_MAX} are allowed", step.id, step.tries));
        }
        if step.limit_s == 0 {
            problems.push(format!("{} has no time", step.id));
        }
    }
    problems
}

fn last_server(steps: &[Step], order: &Order) -> Vec<String> {
    let mut servers: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    let (mut drains, mut enables) = (Vec::new(), Vec::new());
    for (at, step) in steps.iter().enumerate() {
        match &step.does {
            Does::Drain { backend, server, last, .. } => {
                servers.entry(backend).or_default().insert(server);
                drains.push((at, backend.as_str(), server.as_str(), *last));
            }
            Does::Enable { backend, server, .. } => {
                servers.entry(backend).or_default().insert(server);
                enables.push((at, backend.as_str(), server.as_str()));
            }
            Does::Check { checks } => {
                for check in checks {
                    if let Check::AllServe { backend, servers: names, .. } = check {
                        servers.entry(backend).or_default().extend(names.iter().map(String::as_str));
                    }
                }
            }
            _ => {}
        }
    }
    let mut problems = Vec::new();
    for (at, backend, server, last) in &drains {
        if *last {
            continue;
        }
        let before = order.all_before(*at);
        // Another server counts as out unless it was put back before this drain, or is drained only after it.
        let mut out = BTreeSet::new();
        for (other_at, other_backend, other, _) in &drains {
            if other_backend != backend || other == server {
                continue;
            }
            let other_before = order.all_before(*other_at);
            let is_back = enables.iter().any(|(put, b, s)| {
                b == backend
                    && s == other
                    && before.contains(put)
                    && order.all_before(*put).contains(other_at)
            });
            // A drain that waits for this one is judged when its own turn comes.
            let comes_later = other_before.contains(at);
            if !is_back && !comes_later {
                out.insert(*other);
            }
        }
        let all = servers.get(backend).map_or(0, BTreeSet::len);
        if all > 1 && out.len() + 1 >= all {
            problems.push(format!(
                "{} while {} may be out",
                steps[*at].id,
                out.into_iter().collect::<Vec<_>>().join(", ")
            ));
        }
    }
    problems
}

fn stopped_undrained(steps: &[Step], order: &Order) -> Vec<String> {
    let has_proxy = steps.iter().any(|step| matches!(step.does, Does::Drain { .. }));
    let stops = steps.iter().enumerate().filter(|(_, step)| matches!(step.does, Does::StopUnits { .. }));
    stops
        .filter(|(at, step)| {
            let before = order.all_before(*at);
            let drained = before.iter().any(|place| match &steps[*place].does {
                Does::Drain { server, .. } => step.on.node().is_some_and(|host| host.as_str() == server),
                _ => false,
            });
            let guarded = step.guard.iter().any(|check| matches!(check, Check::OutOfService { .. }));
            has_proxy && !drained && !guarded
        })
        .map(|(_, step)| format!("{} without a drain before it", step.id))
        .collect()
}

fn unproved(steps: &[Step], order: &Order) -> Vec<String> {
    let schemas = steps.iter().enumerate().filter(|(_, step)| matches!(step.does, Does::Schema { .. }));
    schemas
        .filter(|(at, _)| {
            !order.all_before(*at).iter().any(|place| matches!(steps[*place].does, Does::ProveBackup { .. }))
        })
        .map(|(_, step)| format!("{} without a proved backup before it", step.id))
        .collect()
}

fn members(steps: &[Step]) -> Vec<String> {
    let taken: Vec<String> = steps
        .iter()
        .filter(|step| {
            matches!(
                step.does,
                Does::IsolateDatabase { .. } | Does::StopDatabase {} | Does::WipeDatabase { .. }
            )
        })
        .map(|step| step.id.to_string())
        .collect();
    if taken.len() > 1 { taken } else { Vec::new() }
}

fn finals(steps: &[Step], order: &Order) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if !matches!(step.undo, Undo::Impossible { .. }) {
            continue;
        }
        let before = order.all_before(at);
        let quiet = before.iter().any(|place| matches!(steps[*place].gate, Some(Gate::Quiet { .. })));
        if !quiet && !matches!(step.gate, Some(Gate::Quiet { .. })) {
            problems.push(format!("{} without a quiet time before it", step.id));
        }
        if let Does::Schema { .. } = &step.does {
            if !step.guard.iter().any(|check| matches!(check, Check::Runs { .. })) {
                problems.push(format!("{} without a guard against old processes", step.id));
            }
            let late = steps.iter().enumerate().filter(|(other, other_step)| {
                matches!(other_step.does, Does::Install { .. } | Does::StartUnits { .. })
                    && !before.contains(other)
            });
            problems.extend(late.map(|(_, other)| format!("{} may come before {}", step.id, other.id)));
        }
    }
    problems
}
