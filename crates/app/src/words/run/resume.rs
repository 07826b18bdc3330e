//! `ostler run resume`: goes on with a run that was interrupted or paused.
//!
//! Nothing is repeated before the world has said what came of it. A step is skipped only on a person's word.

use super::{say, step_of, with_site};
use crate::approval;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::going::{self, OnFailure};
use crate::running;
use crate::view::{count, run as view};
use crate::wiring::Site;
use clap::Args;
use ostler_engine::run::RunState;
use ostler_model::event::{Event, Verdict};
use ostler_model::ids::RunId;
use ostler_model::plan::Purpose;

/// Go on with a run that was interrupted or paused.
#[derive(Debug, Args)]
#[command(
    after_help = "What was under way is asked of the nodes first; a step that failed gets all its tries again.

Examples:
  ostler run resume last
  ostler run resume last --skip ctl1-advise --because 'checked by hand, ticket 4711'"
)]
pub struct Resume {
    /// The run: its name, the beginning or end of it, or `last`.
    run: String,
    /// Vouch for a step: it counts as done.
    #[arg(long, value_name = "STEP", requires = "because")]
    skip: Option<String>,
    /// Why the step may be skipped.
    #[arg(long, value_name = "TEXT", requires = "skip")]
    because: Option<String>,
    /// Pass gates without asking.
    #[arg(long)]
    yes: bool,
    /// What to do when a step fails.
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    on_failure: OnFailure,
    /// Only say what would come next.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn resume(context: &Context, typed: Resume) -> Result<Exit, Failure> {
    let (run, site) = with_site(context, &typed.run).await?;
    let id = run.id.clone();
    match &run.state {
        RunState::Closed(Verdict::Finished) => {
            return Err(Failure::usage(format!("run {id} is finished; there is nothing to go on with")));
        }
        RunState::Closed(verdict) => {
            return Err(Failure::usage(format!("run {id} is closed: {verdict}")).hint("plan anew"));
        }
        RunState::Opened => {
            let otherwise = format!("ostler run approve {id} --resume");
            approval::of_plan(context, &run.plan, typed.yes, &otherwise).await?;
            let hash = run.plan.id.clone();
            say(context, &id, Event::Approved { hash, who: context.person() }, typed.dry_run).await?;
        }
        RunState::Running | RunState::Paused { .. } => {}
    }
    if let (Some(step), Some(why)) = (&typed.skip, &typed.because) {
        let (step, who) = (step_of(&run, step)?, context.person());
        let event = Event::Skipped { step: step.clone(), who: who.clone(), why: why.clone() };
        say(context, &id, event, typed.dry_run).await?;
        let counts = if typed.dry_run { "would count" } else { "counts" };
        context.printer.note(&format!("run {id}: step {step} {counts} as done, by the word of {who}: {why}"));
    }
    if typed.dry_run {
        return foresee(context, &site, &run).await;
    }
    let parent: Option<&RunId> = match &run.plan.body.purpose {
        Purpose::Rollback { of, .. } => Some(of),
        Purpose::Upgrade { .. }
        | Purpose::Recover { .. }
        | Purpose::Return { .. }
        | Purpose::MoveBack { .. }
        | Purpose::Maintain { .. } => None,
    };
    running::no_other(&site, &parent.into_iter().chain([&id]).collect::<Vec<_>>(), None).await?;
    running::resume(context, &site, &id).await?;
    going::to_the_end(context, &site, &id, typed.yes, typed.on_failure).await
}

async fn foresee(context: &Context, site: &Site, run: &ostler_engine::run::Run) -> Result<Exit, Failure> {
    let (store, cloud) = (site.seams.store.as_ref(), &run.plan.body.cloud);
    let is_driven = running::is_somebody_at_work(context, store, cloud).await?;
    let names = |places: &std::collections::BTreeSet<usize>| {
        places.iter().map(|at| run.step(*at).id.to_string()).collect::<Vec<_>>().join(", ")
    };
    let mut text =
        format!("run {}: {}, {} left\n", run.id, view::state(run, is_driven), count(run.remaining, "step"));
    for (what, places) in [
        ("in doubt, to be asked of the nodes", &run.doing),
        ("failed, to be tried again", &run.failed),
        ("next", &run.ready),
    ] {
        if !places.is_empty() {
            text.push_str(&format!("  {what}: {}\n", names(places)));
        }
    }
    context.printer.text(&text)?;
    Ok(Exit::Done)
}
