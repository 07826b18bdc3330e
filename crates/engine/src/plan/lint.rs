//! A linter for plans: what no plan may do, whoever made it.
//!
//! It looks at the plan alone and trusts no planner. A plan with an error is never run.

use ostler_model::check::{Check, Finding, Severity};
use ostler_model::ids::HostName;
use ostler_model::limits::{PLAN_STEPS_MAX, STEP_TRIES_MAX};
use ostler_model::plan::{Plan, Purpose};
use ostler_model::step::{Does, Gate, Step, Undo};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};

/// Drains that are named when the last server of a backend could be taken out: each names every other server of the
/// backend, and a plan with one of them is not run, so that more of them tell nothing more.
const LAST_SERVERS_MAX: usize = 20;

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
    rule("fenced-first", "an instance moves before its host is proved to be off", unfenced(steps, &order));
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
    /// Steps so that each comes behind all that it waits for, as near to the plan's order as that allows.
    line: Vec<usize>,
    /// The place of each step in that line.
    rank: Vec<usize>,
}

impl Order {
    fn of(steps: &[Step]) -> Result<Order, Vec<String>> {
        let mut problems = Vec::new();
        let mut index = HashMap::with_capacity(steps.len());
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
        let line = in_line(&before);
        if problems.is_empty() && line.len() < steps.len() {
            problems.push("steps wait for each other in a circle".into());
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut rank = vec![0; line.len()];
        line.iter().enumerate().for_each(|(number, at)| rank[*at] = number);
        Ok(Order { before, line, rank })
    }

    /// Every step that is certain to be done before this one begins.
    fn all_before(&self, at: usize) -> Vec<bool> {
        let mut seen = vec![false; self.before.len()];
        let mut stack = self.before[at].clone();
        while let Some(place) = stack.pop() {
            if !std::mem::replace(&mut seen[place], true) {
                stack.extend(&self.before[place]);
            }
        }
        seen
    }

    /// Whether `first` is certain to be done before `then` begins. Looks only at what lies between them.
    fn leads_to(&self, first: usize, then: usize) -> bool {
        let mut seen = HashSet::new();
        let mut stack = vec![then];
        while let Some(place) = stack.pop() {
            for before in &self.before[place] {
                if *before == first {
                    return true;
                }
                // What stands before `first` in the line cannot come behind it.
                if self.rank[*before] > self.rank[first] && seen.insert(*before) {
                    stack.push(*before);
                }
            }
        }
        false
    }

    /// For each step whether one of these is certain to be done before it begins.
    fn behind_any(&self, is_one: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut behind = vec![false; self.before.len()];
        for at in &self.line {
            behind[*at] = self.before[*at].iter().any(|place| behind[*place] || is_one(*place));
        }
        behind
    }
}

/// Steps in an order in which they could be done; those that wait in a circle are missing.
fn in_line(before: &[Vec<usize>]) -> Vec<usize> {
    let mut waits: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut followers = vec![Vec::new(); before.len()];
    for (at, places) in before.iter().enumerate() {
        places.iter().for_each(|place| followers[*place].push(at));
    }
    let mut free: BinaryHeap<Reverse<usize>> =
        (0..waits.len()).filter(|at| waits[*at] == 0).map(Reverse).collect();
    let mut line = Vec::with_capacity(before.len());
    while let Some(Reverse(at)) = free.pop() {
        line.push(at);
        for follower in &followers[at] {
            waits[*follower] -= 1;
            if waits[*follower] == 0 {
                free.push(Reverse(*follower));
            }
        }
    }
    line
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

/// What a plan does to the servers of one backend.
#[derive(Default)]
struct Backend<'a> {
    servers: BTreeSet<&'a str>,
    /// Drains that leave others to serve, as the line has them.
    drains: Vec<(usize, &'a str)>,
    /// Every drain of a server.
    drained: BTreeMap<&'a str, Vec<usize>>,
    enabled: BTreeMap<&'a str, Vec<usize>>,
}

impl Backend<'_> {
    /// Whether a server may be out while step `at` takes another one out. It counts as out unless it was put back
    /// before, or is drained only afterwards.
    fn may_be_out(&self, server: &str, at: usize, order: &Order) -> bool {
        let enabled = self.enabled.get(server).map_or(&[][..], Vec::as_slice);
        let drained = self.drained.get(server).map_or(&[][..], Vec::as_slice);
        drained.iter().any(|drain| {
            let is_back =
                || enabled.iter().any(|put| order.leads_to(*put, at) && order.leads_to(*drain, *put));
            // A drain that waits for this one is judged when its own turn comes.
            !order.leads_to(at, *drain) && !is_back()
        })
    }
}

fn last_server(steps: &[Step], order: &Order) -> Vec<String> {
    let mut backends: BTreeMap<&str, Backend<'_>> = BTreeMap::new();
    for at in &order.line {
        match &steps[*at].does {
            Does::Drain { backend, server, last, .. } => {
                let backend = backends.entry(backend).or_default();
                backend.servers.insert(server);
                backend.drained.entry(server).or_default().push(*at);
                if !last {
                    backend.drains.push((*at, server));
                }
            }
            Does::Enable { backend, server, .. } => {
                let backend = backends.entry(backend).or_default();
                backend.servers.insert(server);
                backend.enabled.entry(server).or_default().push(*at);
            }
            Does::Check { checks } => {
                for check in checks {
                    if let Check::AllServe { backend, servers, .. } = check {
                        let backend = backends.entry(backend).or_default();
                        backend.servers.extend(servers.iter().map(String::as_str));
                    }
                }
            }
            _ => {}
        }
    }
    let mut problems = Vec::new();
    'all: for backend in backends.values().filter(|backend| backend.servers.len() > 1) {
        for (number, (at, server)) in backend.drains.iter().enumerate() {
            // One other server that is certain to serve is enough. It is looked for ever farther away in the line:
            // neighbours may be out together, and what lies far away is dear to compare.
            let distances = (0..usize::BITS).map(|power| 1 << power);
            let distances = distances.take_while(|distance| *distance < backend.drains.len());
            let near = distances.flat_map(|distance| [number.checked_sub(distance), Some(number + distance)]);
            let likely = near.flatten().filter_map(|near| backend.drains.get(near)).map(|(_, other)| other);
            let mut others = likely.chain(&backend.servers).filter(|other| *other != server);
            if others.any(|other| !backend.may_be_out(other, *at, order)) {
                continue;
            }
            let out: Vec<&str> = backend.servers.iter().filter(|other| *other != server).copied().collect();
            problems.push((*at, format!("{} while {} may be out", steps[*at].id, out.join(", "))));
            if problems.len() >= LAST_SERVERS_MAX {
                break 'all;
            }
        }
    }
    problems.sort();
    problems.into_iter().map(|(_, problem)| problem).collect()
}

fn stopped_undrained(steps: &[Step], order: &Order) -> Vec<String> {
    let mut drains: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        if let Does::Drain { server, .. } = &step.does {
            drains.entry(server).or_default().push(at);
        }
    }
    let has_proxy = !drains.is_empty();
    let stops = steps.iter().enumerate().filter(|(_, step)| matches!(step.does, Does::StopUnits { .. }));
    stops
        .filter(|(at, step)| {
            let guarded = step.guard.iter().any(|check| matches!(check, Check::OutOfService { .. }));
            let drains = step.on.node().and_then(|host| drains.get(host.as_str()));
            let drained =
                || drains.is_some_and(|drains| drains.iter().any(|drain| order.leads_to(*drain, *at)));
            has_proxy && !guarded && !drained()
        })
        .map(|(_, step)| format!("{} without a drain before it", step.id))
        .collect()
}

fn unproved(steps: &[Step], order: &Order) -> Vec<String> {
    let proved = order.behind_any(|at| matches!(steps[at].does, Does::ProveBackup { .. }));
    let schemas = steps.iter().enumerate().filter(|(_, step)| matches!(step.does, Does::Schema { .. }));
    schemas
        .filter(|(at, _)| !proved[*at])
        .map(|(_, step)| format!("{} without a proved backup before it", step.id))
        .collect()
}

/// Evacuations, and declarations that let anybody evacuate, without a fence of the same node that is certain to have
/// succeeded before: one that may fail proves nothing.
fn unfenced(steps: &[Step], order: &Order) -> Vec<String> {
    let mut fenced: BTreeMap<&HostName, Vec<bool>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let source = match &step.does {
            Does::Evacuate { source, .. } => Some(source),
            Does::ForceDown {} => step.on.node(),
            _ => continue,
        };
        let Some(source) = source else {
            problems.push(format!("{} names no node", step.id));
            continue;
        };
        let behind = fenced.entry(source).or_insert_with(|| {
            order.behind_any(|at| {
                let step = &steps[at];
                let certain = !step.may_fail && step.after.is_empty();
                matches!(step.does, Does::Fence { .. }) && step.on.node() == Some(source) && certain
            })
        });
        if !behind[at] || step.regardless {
            problems.push(format!("{} without a fence of {source} before it", step.id));
        }
        let guards = |check: &Check| matches!(check, Check::PowerIsOff { node } if node == source);
        if matches!(step.does, Does::Evacuate { .. }) && !step.guard.iter().any(guards) {
            problems.push(format!("{} without a look at the power of {source}", step.id));
        }
    }
    problems
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
    let quiet = order.behind_any(|at| matches!(steps[at].gate, Some(Gate::Quiet { .. })));
    for (at, step) in steps.iter().enumerate() {
        if !matches!(step.undo, Undo::Impossible { .. }) {
            continue;
        }
        if !quiet[at] && !matches!(step.gate, Some(Gate::Quiet { .. })) {
            problems.push(format!("{} without a quiet time before it", step.id));
        }
        if let Does::Schema { .. } = &step.does {
            if !step.guard.iter().any(|check| matches!(check, Check::Runs { .. })) {
                problems.push(format!("{} without a guard against old processes", step.id));
            }
            let before = order.all_before(at);
            let late = steps.iter().enumerate().filter(|(other, other_step)| {
                matches!(other_step.does, Does::Install { .. } | Does::StartUnits { .. }) && !before[*other]
            });
            problems.extend(late.map(|(_, other)| format!("{} may come before {}", step.id, other.id)));
        }
    }
    problems
}
