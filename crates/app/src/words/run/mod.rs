//! `ostler run`: see and steer what was begun.
//!
//! A run is named by its identity, by an unambiguous beginning or end of it, or by `last`.

mod abort;
mod approve;
mod list;
mod pause;
mod resume;
mod rollback;
mod show;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::settings::closest;
use crate::wiring::Site;
use clap::Subcommand;
use ostler_engine::run::{Run as Course, fold, load};
use ostler_engine::seam::Store;
use ostler_model::event::{Entry, Event};
use ostler_model::ids::{RunId, StepId};

/// Runs among which a shortened name is looked up.
const RUNS_SEARCHED: u32 = 1_000;

/// See and steer what was begun.
#[derive(Debug, Subcommand)]
pub enum Run {
    /// List runs, newest first.
    List(list::List),
    /// Show the course of one run, step by step.
    Show(show::Show),
    /// Go on with a run that was interrupted or paused.
    Resume(resume::Resume),
    /// Approve a run's plan, or let it pass the gate it waits at.
    Approve(approve::Approve),
    /// Let a run begin nothing more until it is resumed.
    Pause(pause::Pause),
    /// Give a run up; what was done stays done.
    Abort(abort::Abort),
    /// Take a run back.
    Rollback(rollback::Rollback),
}

pub(super) async fn speak(context: &Context, verb: Run) -> Result<Exit, Failure> {
    match verb {
        Run::List(typed) => list::list(context, typed).await,
        Run::Show(typed) => show::show(context, typed).await,
        Run::Resume(typed) => resume::resume(context, typed).await,
        Run::Approve(typed) => approve::approve(context, typed).await,
        Run::Pause(typed) => pause::pause(context, typed).await,
        Run::Abort(typed) => abort::abort(context, typed).await,
        Run::Rollback(typed) => rollback::rollback(context, typed).await,
    }
}

/// The run that was named.
pub(super) async fn named(store: &dyn Store, typed: &str) -> Result<RunId, Failure> {
    let mut runs = store.runs(RUNS_SEARCHED).await?;
    if typed == "last" {
        return runs.into_iter().next().ok_or_else(|| {
            Failure::usage("there is no run yet").hint("begin one: `ostler upgrade run --to RELEASE`")
        });
    }
    if let Some(exact) = runs.iter().find(|run| run.as_str() == typed) {
        return Ok(exact.clone());
    }
    let is_meant = |run: &RunId| run.as_str().starts_with(typed) || run.as_str().ends_with(typed);
    runs.retain(|run| !typed.is_empty() && is_meant(run));
    match runs.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::usage(format!("there is no run `{typed}`"))
            .maybe_hint(closest(typed, ["last"]).map(|meant| format!("did you mean `{meant}`?")))
            .hint("see which there are: `ostler run list`")),
        several => {
            let names: Vec<&str> = several.iter().take(5).map(RunId::as_str).collect();
            Err(Failure::usage(format!("`{typed}` fits {} runs", several.len()))
                .evidence(names.join(", "))
                .hint("type more of it"))
        }
    }
}

/// The step that was named.
fn step_of(run: &Course, typed: &str) -> Result<StepId, Failure> {
    let known = || run.plan.body.steps.iter().map(|step| step.id.as_str());
    if known().any(|step| step == typed) {
        return Ok(StepId::new(typed));
    }
    Err(Failure::usage(format!("run {} has no step `{typed}`", run.id))
        .maybe_hint(closest(typed, known()).map(|meant| format!("did you mean `{meant}`?")))
        .hint(format!("see its steps: `ostler run show {}`", run.id)))
}

/// The run that was named, and everything that is needed to work on its cloud. The cloud is the run's own unless
/// another was typed.
async fn with_site(context: &Context, typed: &str) -> Result<(Course, Site), Failure> {
    let store = context.store().await?;
    let run = load(store.as_ref(), &named(store.as_ref(), typed).await?).await?;
    let site = Site::open_named(context, &run.plan.body.cloud).await?;
    Ok((run, site))
}

/// Says one word to a run; with `dry_run` only whether it would fit.
async fn say(context: &Context, run: &RunId, event: Event, dry_run: bool) -> Result<Course, Failure> {
    let store = context.store().await?;
    let store = store.as_ref();
    if !dry_run {
        return Ok(ostler_engine::run::command(store, context.clock(), run, event).await?);
    }
    let now = load(store, run).await?;
    let entry = Entry { run: run.clone(), seq: now.seq, at: context.clock().now(), term: 0, event };
    fold(now, &entry).map_err(|impossible| ostler_engine::run::ControlError::from(impossible).into())
}
