//! Asks a person: for the approval of a plan by its hash, and for a word at a gate.
//!
//! It never takes silence for a yes: without a terminal and without `--yes` it says how to approve.

use crate::context::Context;
use crate::failure::{Failure, Kind};
use ostler_model::plan::Plan;
use std::io::BufRead;
use tokio::sync::oneshot;

/// Characters of the hash that must be typed: enough to have looked at it.
const HASH_CHARACTERS_MIN: usize = 6;

/// How often a wrong answer is asked again.
const ANSWERS_MAX: usize = 3;

/// Gets the approval of a plan. `otherwise` is the command that approves it later.
pub async fn of_plan(context: &Context, plan: &Plan, yes: bool, otherwise: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let short = plan.id.short();
    let waiting = |what: &str| {
        Failure::new(Kind::Waiting, format!("{what}; nothing was changed"))
            .hint(format!("approve and run it: `{otherwise}`"))
    };
    if !context.can_ask() {
        return Err(waiting(&format!("plan {short} waits for approval")));
    }
    for _ in 0..ANSWERS_MAX {
        context.printer.prompt(&format!(
            "To approve, type the first {HASH_CHARACTERS_MIN} characters of {short} (empty: no):"
        ));
        let answer = read_line(context).await.unwrap_or_default();
        let answer = answer.trim().to_lowercase();
        if answer.is_empty() || answer == "no" || answer == "n" {
            return Err(waiting(&format!("plan {short} was not approved")));
        }
        if answer.len() >= HASH_CHARACTERS_MIN && plan.id.as_str().starts_with(&answer) {
            return Ok(());
        }
        context.printer.note(&format!("That is not how {short} begins."));
    }
    Err(waiting(&format!("plan {short} was not approved")))
}

/// Gets a person's word at a gate: true is yes. None: nobody can be asked.
pub async fn at_gate(context: &Context, question: &str, yes: bool) -> Option<bool> {
    if yes {
        return Some(true);
    }
    if !context.can_ask() {
        return None;
    }
    for _ in 0..ANSWERS_MAX {
        context.printer.prompt(&format!("{question} [yes/no]"));
        match read_line(context).await?.trim().to_lowercase().as_str() {
            "yes" | "y" => return Some(true),
            "no" | "n" => return Some(false),
            _ => {}
        }
    }
    Some(false)
}

/// One line that a person types; none at the end of input. The program stays responsive meanwhile.
async fn read_line(context: &Context) -> Option<String> {
    if let Ok(answer) = context.given_answer().await {
        return answer;
    }
    let (answer, answered) = oneshot::channel();
    // A plain thread: the runtime would wait for one of its own when the program is interrupted.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let _ = answer.send(read.ok().filter(|read| *read > 0).map(|_| line));
    });
    answered.await.ok().flatten()
}
