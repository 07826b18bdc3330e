//! `ostler run approve`: approves a run's plan, or lets the run pass the gate it waits at.
//!
//! It is a word in the journal; whoever drives the run hears it. With `--resume` this ostler drives on itself.

use super::{named, say, step_of, with_site};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::going::{self, OnFailure};
use crate::running;
use clap::Args;
use ostler_engine::run::{Run, RunState, Status, load};
use ostler_model::event::{Actor, Event};
use ostler_model::ids::StepId;
use ostler_model::step::Gate;

/// Approve a run's plan, or let it pass the gate it waits at.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ostler run approve last                 a word to the ostler that drives the run
  ostler run approve last --resume        and drive it on from here")]
pub struct Approve {
    /// The run: its name, the beginning or end of it, or `last`.
    run: String,
    /// The step whose gate is meant, if the run waits at several.
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Drive the run on from here.
    #[arg(long)]
    resume: bool,
    /// Only say what would be approved.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn approve(context: &Context, typed: Approve) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let id = named(store.as_ref(), &typed.run).await?;
    let run = load(store.as_ref(), &id).await?;
    let (event, what) = word(&run, context.person(), typed.step.as_deref())?;
    say(context, &id, event, typed.dry_run).await?;
    let would = if typed.dry_run { "would be approved" } else { "approved" };
    context.printer.note(&format!("run {id}: {what}: {would}"));
    if !typed.resume || typed.dry_run {
        if !typed.resume && !typed.dry_run {
            context
                .printer
                .note(&format!("unless an ostler drives it already, go on with: `ostler run resume {id}`"));
        }
        return Ok(Exit::Done);
    }
    let (_, site) = with_site(context, id.as_str()).await?;
    running::resume(context, &site, &id).await?;
    going::to_the_end(context, &site, &id, false, OnFailure::Stop).await
}

/// What there is to approve.
fn word(run: &Run, who: Actor, step: Option<&str>) -> Result<(Event, String), Failure> {
    if run.state == RunState::Opened {
        let hash = run.plan.id.clone();
        return Ok((Event::Approved { hash: hash.clone(), who }, format!("plan {}", hash.short())));
    }
    if let Some(step) = step {
        return Ok((Event::Passed { step: step_of(run, step)?, who }, format!("the gate of {step}")));
    }
    let waiting: Vec<_> = run
        .plan
        .body
        .steps
        .iter()
        .zip(&run.steps)
        .filter(|(step, state)| {
            matches!(step.gate, Some(Gate::Operator { .. })) && state.status == Status::Ready && !state.passed
        })
        .map(|(step, _)| step.id.clone())
        .collect();
    match waiting.as_slice() {
        [one] => Ok((Event::Passed { step: one.clone(), who }, format!("the gate of {one}"))),
        [] => Err(Failure::usage(format!("run {} waits for nobody's word", run.id))
            .hint(format!("see how it stands: `ostler run show {}`", run.id))),
        several => {
            let names: Vec<&str> = several.iter().map(StepId::as_str).collect();
            Err(Failure::usage(format!("run {} waits at several gates", run.id))
                .hint(format!("name one with --step: {}", names.join(", "))))
        }
    }
}
