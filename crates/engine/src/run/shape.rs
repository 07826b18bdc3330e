//! What follows from a plan alone: where its steps stand, which of them wait for which, and on what they draw.
//!
//! It is worked out once when a run is opened, and never changes; nothing in it depends on the journal.

use super::fold::Impossible;
use ostler_model::ids::{BudgetName, StepId};
use ostler_model::plan::Plan;
use std::collections::HashMap;

/// The shape of a plan. Steps and budgets are named by their place in the plan.
#[derive(Debug)]
pub(super) struct Shape {
    /// The place of each step.
    pub(super) index: HashMap<StepId, usize>,
    /// Steps that wait for a step.
    pub(super) followers: Vec<Vec<usize>>,
    /// The lane of each step: steps of one lane draw on the same budgets.
    pub(super) lane: Vec<usize>,
    /// The budgets of each lane. There are as many lanes as kinds of work, however many steps do it.
    pub(super) lanes: Vec<Vec<usize>>,
    /// How many may draw on each budget at once.
    pub(super) widths: Vec<u32>,
}

impl Shape {
    pub(super) fn of(plan: &Plan) -> Result<Shape, Impossible> {
        let steps = &plan.body.steps;
        let mut index = HashMap::with_capacity(steps.len());
        for (at, step) in steps.iter().enumerate() {
            if index.insert(step.id.clone(), at).is_some() {
                return Err(Impossible::Malformed { what: format!("two steps are called {}", step.id) });
            }
        }
        let mut places: HashMap<&BudgetName, usize> = HashMap::new();
        for (at, budget) in plan.body.budgets.iter().enumerate() {
            places.entry(&budget.name).or_insert(at);
        }
        let mut followers = vec![Vec::new(); steps.len()];
        let mut lane = Vec::with_capacity(steps.len());
        let mut lanes = Vec::new();
        let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
        for (at, step) in steps.iter().enumerate() {
            for before in &step.after {
                let place = index.get(before).ok_or_else(|| Impossible::Malformed {
                    what: format!("step {} comes after {before}, which does not exist", step.id),
                })?;
                followers[*place].push(at);
            }
            let mut budgets = Vec::with_capacity(step.draws.len());
            for name in &step.draws {
                let place = places.get(name).ok_or_else(|| Impossible::Malformed {
                    what: format!("step {} draws on {name}, which does not exist", step.id),
                })?;
                budgets.push(*place);
            }
            lane.push(match known.get(&budgets) {
                Some(number) => *number,
                None => {
                    lanes.push(budgets.clone());
                    known.insert(budgets, lanes.len() - 1);
                    lanes.len() - 1
                }
            });
        }
        let widths = plan.body.budgets.iter().map(|budget| budget.width).collect();
        Ok(Shape { index, followers, lane, lanes, widths })
    }

    /// The budgets that a step draws on, in the order in which it names them.
    pub(super) fn draws(&self, at: usize) -> &[usize] {
        &self.lanes[self.lane[at]]
    }
}
