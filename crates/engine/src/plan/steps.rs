//! Makes steps: names, titles, limits, tries and expectations that every plan shares.
//!
//! It knows verbs, never strategies.

use super::scene::{Scene, ServiceSeen};
use ostler_model::check::Check;
use ostler_model::ids::{BudgetName, HostName, StepId};
use ostler_model::plan::Budget;
use ostler_model::step::{Does, Gate, Step, Target, Undo};

/// Tries of a step that changes something: once more may help against a passing fault, a third time rarely.
const TRIES: u16 = 2;

/// Time for a step that has no limit of its own.
const LIMIT_S: u32 = 120;

/// Time for packages, dumps and transfers.
const LONG_LIMIT_S: u32 = 900;

/// What a verb takes when neither its page nor a journal says.
const EXPECT_MS: u64 = 1_000;

/// Nodes that are copied from, dumped or downloaded to at once.
const PREPARATIONS_WIDTH: u32 = 8;

/// Nodes that install packages at once.
const INSTALLS_WIDTH: u32 = 4;

/// Steps that other steps may all wait for without a step between: when many wait for many, every pair of them
/// would stand in the plan.
const AWAITED_MAX: usize = 100;

/// The name of the budget for preparations.
const PREPARATIONS: &str = "preparations";

/// The name of the budget for installations.
const INSTALLS: &str = "installations";

/// Collects the steps of a plan.
pub(super) struct Maker<'a> {
    scene: Scene<'a>,
    seen: &'a ServiceSeen<'a>,
    pub(super) waves: Vec<String>,
    pub(super) steps: Vec<Step>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(scene: Scene<'a>, seen: &'a ServiceSeen<'a>) -> Maker<'a> {
        Maker { scene, seen, waves: Vec::new(), steps: Vec::new() }
    }

    /// Opens a wave; steps that follow belong to it.
    pub(super) fn wave(&mut self, title: impl Into<String>) {
        self.waves.push(title.into());
    }

    /// Adds a step and answers its name.
    pub(super) fn add(
        &mut self,
        name: &str,
        title: impl Into<String>,
        on: Target,
        does: Does,
        undo: Undo,
        after: &[StepId],
    ) -> StepId {
        let id = StepId::new(match &on {
            Target::Node(host) => format!("{host}-{name}"),
            Target::Cloud => name.to_owned(),
        });
        let expect_ms = self.expect(&does);
        let mut after = after.to_vec();
        after.sort();
        after.dedup();
        self.steps.push(Step {
            id: id.clone(),
            title: title.into(),
            wave: self.waves.len().saturating_sub(1) as u16,
            // A breach is for a person to see, and not to pass by.
            tries: match does {
                Does::Check { .. } | Does::FunctionCheck { .. } | Does::Canary { .. } => 1,
                _ => TRIES,
            },
            limit_s: limit(&does, self.seen.service.schema.limit_s),
            draws: draws(&does),
            does,
            on,
            after,
            guard: Vec::new(),
            gate: None,
            expect_ms,
            undo,
            may_fail: false,
            regardless: false,
        });
        id
    }

    /// Adds a step on a node.
    pub(super) fn on(
        &mut self,
        host: &HostName,
        name: &str,
        title: impl Into<String>,
        does: Does,
        undo: Undo,
        after: &[StepId],
    ) -> StepId {
        self.add(name, title, Target::Node(host.clone()), does, undo, after)
    }

    /// What several steps wait for: these, or when they are many, one step that comes after them all.
    pub(super) fn gather(&mut self, name: &str, after: Vec<StepId>) -> Vec<StepId> {
        if after.len() <= AWAITED_MAX {
            return after;
        }
        let title = format!("wait until {} steps are done", after.len());
        let does = Does::Check { checks: Vec::new() };
        vec![self.add(name, title, Target::Cloud, does, Undo::Nothing, &after)]
    }

    /// Gives the step that was added last its guards.
    pub(super) fn guarded(&mut self, guard: Vec<Check>) {
        if let Some(step) = self.steps.last_mut() {
            step.guard = guard;
        }
    }

    /// Gives the step that was added last its gate.
    pub(super) fn gated(&mut self, gate: Gate) {
        if let Some(step) = self.steps.last_mut() {
            if let Gate::Quiet { for_s, .. } = &gate {
                step.expect_ms += u64::from(*for_s) * 1000;
            }
            step.gate = Some(gate);
        }
    }

    /// The budgets that the steps draw on.
    pub(super) fn budgets(&self) -> Vec<Budget> {
        [(PREPARATIONS, PREPARATIONS_WIDTH), (INSTALLS, INSTALLS_WIDTH)]
            .into_iter()
            .filter(|(name, _)| {
                self.steps.iter().any(|step| step.draws.iter().any(|draw| draw.as_str() == *name))
            })
            .map(|(name, width)| Budget { name: name.into(), width })
            .collect()
    }

    fn expect(&self, does: &Does) -> u64 {
        let verb = does.name();
        let before = self.scene.estimates.0.get(verb);
        before.or_else(|| self.seen.service.expect_ms.get(verb)).copied().unwrap_or(EXPECT_MS)
    }
}

fn limit(does: &Does, schema_s: u32) -> u32 {
    match does {
        Does::Schema { .. } => schema_s,
        Does::BackUp { .. }
        | Does::ProveBackup { .. }
        | Does::Fetch { .. }
        | Does::Install { .. }
        | Does::RejoinDatabase { .. }
        | Does::ExtractSchema { .. }
        | Does::LoadSchema { .. }
        | Does::RestoreSchema { .. } => LONG_LIMIT_S,
        _ => LIMIT_S,
    }
}

fn draws(does: &Does) -> Vec<BudgetName> {
    match does {
        Does::BackUp { .. } | Does::Fetch { .. } => vec![PREPARATIONS.into()],
        Does::Install { .. } => vec![INSTALLS.into()],
        _ => Vec::new(),
    }
}
