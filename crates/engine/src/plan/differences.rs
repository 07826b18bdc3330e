//! What distinguishes two plans, in words: shown when a plan was approved and the cloud has changed since.
//!
//! It compares steps by name; a step with another content is a changed step.

use ostler_model::plan::Plan;
use std::collections::BTreeMap;

/// Differences shown at most; the rest is counted.
const SHOWN_MAX: usize = 40;

/// What the new plan has, has not, or has otherwise.
pub fn differences(old: &Plan, new: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    if old.body.purpose != new.body.purpose {
        lines.push(format!("purpose: {} -> {}", old.body.purpose, new.body.purpose));
    }
    let before: BTreeMap<_, _> = old.body.steps.iter().map(|step| (&step.id, step)).collect();
    let after: BTreeMap<_, _> = new.body.steps.iter().map(|step| (&step.id, step)).collect();
    for (id, step) in &before {
        match after.get(id) {
            None => lines.push(format!("- {id}: {}", step.title)),
            Some(now) if now.does != step.does || now.undo != step.undo || now.guard != step.guard => {
                if now.title == step.title {
                    lines.push(format!("~ {id}: {} (with other details)", now.title));
                } else {
                    lines.push(format!("~ {id}: {} -> {}", step.title, now.title));
                }
            }
            Some(_) => {}
        }
    }
    for (id, step) in &after {
        if !before.contains_key(id) {
            lines.push(format!("+ {id}: {}", step.title));
        }
    }
    for caution in new.body.cautions.iter().filter(|caution| !old.body.cautions.contains(caution)) {
        lines.push(format!("! {caution}"));
    }
    if lines.is_empty() && old.body.basis != new.body.basis {
        lines.push("the steps are the same, but files or versions that they rest on have changed".into());
    }
    if lines.len() > SHOWN_MAX {
        let more = lines.len() - SHOWN_MAX;
        lines.truncate(SHOWN_MAX);
        lines.push(format!("and {more} more"));
    }
    lines
}
