//! Brings a run to its end: forward, or back when that was ordered or asked for.
//!
//! Whether there is a way back, which, and at what cost is the engine's word; nothing here begins without approval.

use crate::approval;
use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use crate::planning::{self, Offer};
use crate::running::{self, End};
use crate::view::{plan as plan_view, run as run_view};
use crate::wiring::Site;
use clap::ValueEnum;
use ostler_engine::plan::Choice;
use ostler_engine::run::{Run, RunState, command, load};
use ostler_model::event::{Actor, Event, Why};
use ostler_model::ids::RunId;

/// What to do when a step fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    /// Pause: a person decides.
    #[default]
    Stop,
    /// Take everything back, where that loses nothing.
    Rollback,
}

/// Drives a run to its end and says how it ended; takes it back if it failed and that was ordered.
pub async fn to_the_end(
    context: &Context,
    site: &Site,
    run: &RunId,
    yes: bool,
    on_failure: OnFailure,
) -> Result<Exit, Failure> {
    let end = running::drive_on(context, site, run, yes).await?;
    if on_failure == OnFailure::Rollback && is_failure(site, run, &end).await? {
        return Err(rolled_back(context, site, run).await?);
    }
    running::tell(context, site, run, end).await?;
    Ok(Exit::Done)
}

/// Whether a run stopped because something failed, after it had changed something.
async fn is_failure(site: &Site, run: &RunId, end: &End) -> Result<bool, Failure> {
    let by_rule = matches!(end, End::Paused { who: Actor::Rule(_), .. });
    Ok(by_rule && run_view::may_have_changed(&load(site.seams.store.as_ref(), run).await?))
}

/// Takes a failed run back, as was ordered beforehand.
async fn rolled_back(context: &Context, site: &Site, run: &RunId) -> Result<Failure, Failure> {
    let failed = load(site.seams.store.as_ref(), run).await?;
    let why = match &failed.state {
        RunState::Paused { why, .. } => why.clone(),
        _ => Why::new("it stopped"),
    };
    context.printer.note(&format!("run {run} failed: {}; taking it back", why.what));
    let how = TakeBack { choice: Choice::default(), yes: true, dry_run: false };
    match take_back(context, site, run, how).await {
        Ok(by) => {
            let by = by.map_or_else(String::new, |by| format!(" by run {by}"));
            Ok(Failure::new(
                Kind::RolledBack,
                format!("run {run} failed and was rolled back{by}: {}", why.what),
            )
            .maybe_hint(why.hint)
            .hint(format!("see its course: `ostler run show {run}`")))
        }
        Err(failure) if failure.kind == Kind::Nothing => Ok(Failure::new(
            Kind::RolledBack,
            format!("run {run} failed and had changed nothing; it is closed: {}", why.what),
        )
        .maybe_hint(why.hint)
        .hint(format!("see its course: `ostler run show {run}`"))),
        Err(failure) => {
            let mut paused = running::paused(&failed, &why);
            paused.evidence.push(format!("it was to be rolled back: {}", failure.error));
            paused.hints.extend(failure.hints);
            Ok(paused)
        }
    }
}

/// How a run is taken back.
#[derive(Clone, Copy, Debug)]
pub struct TakeBack {
    /// By which way, at which cost.
    pub choice: Choice,
    /// Approved beforehand.
    pub yes: bool,
    /// Only the preview.
    pub dry_run: bool,
}

/// Plans the way back from a run, has it approved, and goes it. None: it was only shown.
pub async fn take_back(
    context: &Context,
    site: &Site,
    id: &RunId,
    how: TakeBack,
) -> Result<Option<RunId>, Failure> {
    let mut parent = load(site.seams.store.as_ref(), id).await?;
    if parent.plan.body.cloud != site.cloud.cloud.name {
        return Err(running::other_cloud(&parent, site));
    }
    if !how.dry_run {
        running::nobody_at_work(context, site).await?;
    }
    running::no_other(site, &[id], None).await?;
    if !how.dry_run {
        parent = settled(context, site, parent).await?;
    }
    let offer = planning::rollback(site, &parent, &how.choice).await;
    let costs_data = |failure: &Failure| failure.kind == Kind::Refused("data-loss".to_owned());
    if how.dry_run && offer.as_ref().is_err_and(costs_data) {
        // A preview loses nothing.
        let accepting = Choice { accept_loss: true, ..how.choice };
        show(context, &planning::rollback(site, &parent, &accepting).await?, how.dry_run)?;
        if let Err(failure) = offer {
            let would = failure.to_string().replacen("error: refused", "it would be refused", 1);
            context.printer.note(would.trim_end());
        }
        return Ok(None);
    }
    let offer = match offer {
        Err(failure) if failure.kind == Kind::Nothing && !how.dry_run && !run_view::is_over(&parent) => {
            return Err(nothing_to_take_back(site, &parent, failure).await?);
        }
        offer => offer?,
    };
    show(context, &offer, how.dry_run)?;
    if how.dry_run {
        context.printer.note(&format!("do it: ostler run rollback {id}"));
        return Ok(None);
    }
    offer.may_run()?;
    approval::of_plan(context, &offer.plan, how.yes, &format!("ostler run rollback {id} --yes")).await?;
    let run = running::begin(context, site, &offer).await?;
    context.printer.note(&format!("run {run}"));
    let end = running::drive_on(context, site, &run, how.yes).await?;
    running::tell(context, site, &run, end).await?;
    Ok(Some(run))
}

fn show(context: &Context, offer: &Offer, dry_run: bool) -> Result<(), Failure> {
    match (context.printer.is_json(), dry_run) {
        (true, true) => context.printer.json(&plan_view::to_json(offer)),
        (true, false) => Ok(()),
        (false, _) => context.printer.text(&plan_view::page(&context.printer, offer)),
    }
}

/// A run whose steps are all either done or not done: a paused run begins nothing, and what is in doubt is asked.
async fn settled(context: &Context, site: &Site, run: Run) -> Result<Run, Failure> {
    let (store, clock) = (site.seams.store.as_ref(), site.seams.clock.as_ref());
    let mut run = run;
    if run.state == RunState::Running {
        running::take_lease(context, site, None).await?;
        let why = Why::new("it is about to be taken back");
        let paused = command(store, clock, &run.id, Event::Paused { who: context.person(), why }).await;
        context.let_go().await;
        run = paused?;
    }
    if !run.doing.is_empty() && matches!(run.state, RunState::Paused { .. }) {
        let id = run.id.clone();
        running::drive_on(context, site, &id, false).await?;
        run = load(store, &id).await?;
    }
    match run.doing.first() {
        Some(at) if matches!(run.state, RunState::Paused { .. }) => {
            let step = run.step(*at).id.clone();
            let why = run.steps[*at].why.as_ref();
            let hint = why.and_then(|why| why.hint.clone());
            Err(Failure::refused(
                "step-in-doubt",
                format!("it is not known what came of step {step} of run {}", run.id),
            )
            .evidence(why.map_or("nobody answers", |why| why.what.as_str()))
            .hint(hint.unwrap_or("bring the node back, or end there what hangs; then try again".to_owned()))
            .hint(format!(
                "or say so yourself: `ostler run resume {} --skip {step} --because TEXT` vouches for it",
                run.id
            )))
        }
        _ => Ok(run),
    }
}

/// A run that has changed nothing is closed instead of being taken back.
async fn nothing_to_take_back(site: &Site, run: &Run, failure: Failure) -> Result<Failure, Failure> {
    let who = Actor::Rule("nothing to take back".to_owned());
    let event = Event::Abandoned { who, why: failure.error.clone() };
    command(site.seams.store.as_ref(), site.seams.clock.as_ref(), &run.id, event).await?;
    Ok(Failure::new(Kind::Nothing, failure.error).evidence(format!("run {} is closed", run.id)))
}
