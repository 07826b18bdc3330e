//! Opens runs, drives them to their end, and says how they ended and what to do next.
//!
//! What may happen in a run is the engine's word; here are the lease, the questions to a person, and the words.

use crate::approval;
use crate::context::Context;
use crate::duration::words;
use crate::failure::{Failure, Kind};
use crate::planning::Offer;
use crate::progress::Progress;
use crate::view::{between, local, run as run_view};
use crate::wiring::Site;
use ostler_engine::run::{
    ControlError, DriveError, Ended, LeaseError, Run, RunState, approve, command, drive, load, open, take,
};
use ostler_engine::seam::{Lease, Store};
use ostler_model::event::{Actor, Event, Verdict, Why};
use ostler_model::ids::RunId;
use ostler_model::limits::INVENTORY_AGE_MAX_S;
use ostler_model::plan::Purpose;

/// Earlier runs that are looked at for unfinished ones.
const RUNS_LOOKED_AT: u32 = 200;

/// How a run stands when driving it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Every step was done.
    Finished,
    /// It is closed otherwise.
    Closed(Verdict),
    /// It is paused.
    Paused {
        /// By whom.
        who: Actor,
        /// Why.
        why: Why,
    },
}

/// Takes the lease on the cloud, and remembers to give it back.
pub async fn take_lease(context: &Context, site: &Site, run: Option<&Run>) -> Result<Lease, Failure> {
    take_named(context, site, &of_cloud(site), run).await
}

/// The name of the lease on a cloud.
fn of_cloud(site: &Site) -> String {
    format!("cloud/{}", site.cloud.cloud.name)
}

/// Takes a lease by its name, and remembers to give it back.
async fn take_named(context: &Context, site: &Site, name: &str, run: Option<&Run>) -> Result<Lease, Failure> {
    let (store, clock) = (site.seams.store.as_ref(), site.seams.clock.as_ref());
    let owner = context.lease_owner();
    match take(store, clock, name, &owner, context.is_gone().as_ref()).await {
        Ok(lease) => {
            context.hold(lease.clone(), run.map(|run| (run.id.clone(), has_way_back(run))));
            Ok(lease)
        }
        Err(LeaseError::Held { owner, until }) => Err(held(site, &owner, until)),
        Err(LeaseError::Store(error)) => Err(error.into()),
    }
}

fn held(site: &Site, owner: &str, until: jiff::Timestamp) -> Failure {
    let mut parts = owner.split('/');
    let who = match (parts.next(), parts.nth(1)) {
        (Some(host), Some(pid)) => format!("process {pid} on {host}"),
        _ => owner.to_owned(),
    };
    let cloud = &site.cloud.cloud.name;
    let what =
        format!("another ostler ({who}) is at work on cloud {cloud}, until {} or longer", local(until));
    Failure::new(Kind::Held, what)
        .hint("see what it does: `ostler run list`")
        .hint("wait for its end, or stop it first")
}

/// Refuses while another Ostler is at work: a look at a cloud that is being changed would show neither what was nor
/// what will be. The lease decides later; this only spares the wait.
pub async fn nobody_at_work(context: &Context, site: &Site) -> Result<(), Failure> {
    match site.seams.store.lease(&of_cloud(site)).await? {
        Some(lease)
            if lease.until > site.now()
                && lease.owner != context.lease_owner()
                && !context.is_gone()(&lease.owner) =>
        {
            Err(held(site, &lease.owner, lease.until))
        }
        _ => Ok(()),
    }
}

/// Whether an ostler is at work on a cloud.
pub async fn is_somebody_at_work(context: &Context, store: &dyn Store, cloud: &str) -> Result<bool, Failure> {
    let lease = store.lease(&format!("cloud/{cloud}")).await?;
    Ok(lease.is_some_and(|lease| lease.until > context.clock().now() && !context.is_gone()(&lease.owner)))
}

/// Refuses while another run of the same cloud is unfinished, or was opened after the plan's look at the cloud.
pub async fn no_other(site: &Site, except: &[&RunId], seen: Option<jiff::Timestamp>) -> Result<(), Failure> {
    let store = site.seams.store.as_ref();
    for id in store.runs(RUNS_LOOKED_AT).await? {
        if except.contains(&&id) {
            continue;
        }
        // A run that cannot be read must not keep a cloud from being repaired.
        let Ok(other) = load(store, &id).await else { continue };
        if other.plan.body.cloud != site.cloud.cloud.name {
            continue;
        }
        if !run_view::is_over(&other) {
            return Err(Failure::refused(
                "unfinished-run",
                format!("run {id} ({}) is not finished", other.plan.body.purpose),
            )
            .evidence(format!(
                "it is {}, {} of {} steps done",
                // Whoever asks has made sure that nobody is at work, or only wants a preview.
                run_view::state(&other, false),
                other.steps.len() - other.remaining,
                other.steps.len()
            ))
            .hint(format!("go on with it: `ostler run resume {id}`"))
            .maybe_hint(way_back(&other))
            .hint(format!("or leave things as they are: `ostler run abort {id} --because TEXT`")));
        }
        if seen.is_some_and(|seen| other.opened > seen) {
            return Err(Failure::new(
                Kind::Waiting,
                format!("run {id} changed the cloud after this plan was made; nothing was changed"),
            )
            .hint("plan again"));
        }
    }
    Ok(())
}

/// Opens a run for an approved offer, under the lease of the cloud.
pub async fn begin(context: &Context, site: &Site, offer: &Offer) -> Result<RunId, Failure> {
    let seconds = between(offer.seen.taken, site.now()) / 1000;
    if i64::try_from(seconds).unwrap_or(i64::MAX) > INVENTORY_AGE_MAX_S {
        return Err(Failure::new(Kind::Waiting, "the cloud was looked at too long ago; nothing was changed")
            .hint("plan again"));
    }
    site.credentials.clone()?;
    let parent = offer.plan.body.parent.clone();
    let (store, clock, dice) =
        (site.seams.store.as_ref(), site.seams.clock.as_ref(), site.seams.dice.as_ref());
    take_lease(context, site, None).await?;
    let opened = async {
        no_other(site, &parent.iter().collect::<Vec<_>>(), Some(offer.seen.taken)).await?;
        let run = open(store, clock, dice, &offer.plan, context.person()).await?;
        approve(store, clock, &run, &offer.plan.id, context.person()).await?;
        Ok(run)
    };
    let opened = opened.await;
    // Driving takes it again: a question to a person may lie between.
    context.let_go().await;
    opened
}

/// Says to a run that it goes on, under the lease of its cloud.
pub async fn resume(context: &Context, site: &Site, id: &RunId) -> Result<(), Failure> {
    take_lease(context, site, None).await?;
    let said = command(
        site.seams.store.as_ref(),
        site.seams.clock.as_ref(),
        id,
        Event::Resumed { who: context.person() },
    )
    .await;
    context.let_go().await;
    said?;
    Ok(())
}

/// Drives a run as far as it goes, asking at its gates.
pub async fn drive_on(context: &Context, site: &Site, id: &RunId, yes: bool) -> Result<End, Failure> {
    drive_under(context, site, id, yes, &of_cloud(site)).await
}

/// The same under another lease than the cloud's: what concerns one host only need not wait for an upgrade.
pub async fn drive_under(
    context: &Context,
    site: &Site,
    id: &RunId,
    yes: bool,
    lease: &str,
) -> Result<End, Failure> {
    site.credentials.clone()?;
    let store = site.seams.store.as_ref();
    let run = load(store, id).await?;
    let progress = Progress::new(context.printer, &run);
    context.show_live(progress.display());
    let end = drive_shown(context, site, &run, yes, lease, &progress).await;
    progress.end();
    context.show_live(None);
    end
}

/// Drives a run that is shown meanwhile.
async fn drive_shown(
    context: &Context,
    site: &Site,
    run: &Run,
    yes: bool,
    lease_name: &str,
    progress: &Progress,
) -> Result<End, Failure> {
    let (store, id) = (site.seams.store.as_ref(), &run.id);
    loop {
        let lease = take_named(context, site, lease_name, Some(run)).await?;
        let ended = drive(id, &site.seams, lease, &|run, entry| progress.hear(run, entry)).await;
        context.let_go().await;
        let (step, question) = match ended.map_err(|error| broken(id, error))? {
            Ended::Asking { step, question } => (step, question),
            Ended::Closed(Verdict::Finished) => {
                close_parent(site, id).await?;
                return Ok(End::Finished);
            }
            Ended::Closed(verdict) => return Ok(End::Closed(verdict)),
            Ended::Paused { who, why } => return Ok(End::Paused { who, why }),
            Ended::Unapproved => {
                return Err(Failure::new(Kind::Waiting, format!("the plan of run {id} waits for approval"))
                    .hint(format!("approve it: `ostler run approve {id}`")));
            }
        };
        let answer = progress.aside(approval::at_gate(context, &question, yes)).await;
        match answer {
            Some(true) => {
                let passed = Event::Passed { step, who: context.person() };
                match command(store, site.seams.clock.as_ref(), id, passed).await {
                    // Somebody else may have said it meanwhile; the driver sees what is so now.
                    Ok(_) | Err(ControlError::Impossible(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Some(false) | None => {
                return Err(Failure::new(Kind::Waiting, format!("run {id} waits before {step}: {question}"))
                    .hint(format!("go on: `ostler run approve {id} --resume`"))
                    .maybe_hint(way_back(run)));
            }
        }
    }
}

/// The driver stopped without an end; what it began is in doubt until the run is resumed.
fn broken(id: &RunId, error: DriveError) -> Failure {
    let resume = format!("go on: `ostler run resume {id}`; what is in doubt is asked of the nodes first");
    match error {
        DriveError::Superseded { .. } => Failure::new(Kind::Held, error.to_string())
            .hint(format!("see how it stands: `ostler run show {id}`")),
        DriveError::LeaseLost { .. } => Failure::new(Kind::Resumable, error.to_string()).hint(resume),
        DriveError::Store(error) | DriveError::Control(ControlError::Store(error)) => {
            let mut failure = Failure::from(error);
            failure.kind = Kind::Resumable;
            failure.error = format!("run {id} stopped: {}", failure.error);
            failure.hint(resume)
        }
        DriveError::Control(error) => error.into(),
    }
}

/// A run that took another one back closes it.
async fn close_parent(site: &Site, id: &RunId) -> Result<(), Failure> {
    let store = site.seams.store.as_ref();
    let run = load(store, id).await?;
    let Purpose::Rollback { of, .. } = &run.plan.body.purpose else { return Ok(()) };
    let verdict = Verdict::RolledBack { by: id.clone() };
    match command(store, site.seams.clock.as_ref(), of, Event::Closed { verdict }).await {
        // It was given up before, and stays so.
        Ok(_) | Err(ControlError::Impossible(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Says how a run ended, and what to do next.
pub async fn tell(context: &Context, site: &Site, id: &RunId, end: End) -> Result<(), Failure> {
    let store = site.seams.store.as_ref();
    let run = load(store, id).await?;
    let purpose = &run.plan.body.purpose;
    match end {
        End::Finished => {
            if !context.printer.is_json() {
                let took = words(between(run.opened, run.latest));
                let mut text = format!("\n{purpose}: finished in {took}, run {id}\n");
                if matches!(purpose, Purpose::Upgrade { .. }) {
                    text.push_str(&format!("  see its course: `ostler run show {id}`\n"));
                    text.push_str(&format!("  take it back:   `ostler run rollback {id}`\n"));
                }
                context.printer.text(&text)?;
            }
            Ok(())
        }
        End::Closed(verdict) => Err(Failure::failed(format!("run {id} ended otherwise: {verdict}"))
            .hint(format!("see how it stands: `ostler run show {id}`"))),
        End::Paused { who, why } => {
            if matches!(who, Actor::Rule(_)) && !run_view::may_have_changed(&run) {
                return Err(nothing_changed(site, &run, &why).await?);
            }
            Err(paused(&run, &why))
        }
    }
}

/// A run that failed before it changed anything is closed, so that it stands in nobody's way.
async fn nothing_changed(site: &Site, run: &Run, why: &Why) -> Result<Failure, Failure> {
    let who = Actor::Rule("nothing was changed".to_owned());
    let event = Event::Abandoned { who, why: why.what.clone() };
    command(site.seams.store.as_ref(), site.seams.clock.as_ref(), &run.id, event).await?;
    let guard = run.failed.first().map_or("the run", |at| run.step(*at).id.as_str());
    let lead = format!("step {guard} failed: ");
    let what = why.what.strip_prefix(&lead).unwrap_or(&why.what);
    Ok(Failure::refused(guard, what)
        .maybe_hint(why.hint.clone())
        .evidence("nothing was changed; the run is closed")
        .hint("mend that, then plan again; `ostler cloud check` looks at the same things"))
}

/// A run that is partly done and can be resumed.
pub fn paused(run: &Run, why: &Why) -> Failure {
    let id = &run.id;
    let done = run.steps.len() - run.remaining;
    let (by, go_on) = match &run.state {
        RunState::Paused { who: who @ Actor::Person(_), .. } => (format!(" by {who}"), "go on"),
        _ => (String::new(), "go on, once that is mended"),
    };
    let in_doubt = run.doing.iter().find(|at| run.needs_a_person(**at)).map(|at| &run.step(*at).id);
    Failure::new(Kind::Resumable, format!("run {id} is paused{by}: {}", why.what))
        .evidence(format!("{done} of {} steps are done; what serves goes on serving", run.steps.len()))
        .maybe_hint(why.hint.clone())
        .hint(format!("{go_on}: `ostler run resume {id}`"))
        .maybe_hint(in_doubt.map(|step| {
            format!("if you know that it is done: `ostler run resume {id} --skip {step} --because TEXT`")
        }))
        .maybe_hint(way_back(run))
        .hint(format!("see its course: `ostler run show {id}`"))
}

/// Whether a run can be taken back at all: a way back has none of its own.
fn has_way_back(run: &Run) -> bool {
    matches!(run.plan.body.purpose, Purpose::Upgrade { .. })
}

fn way_back(run: &Run) -> Option<String> {
    has_way_back(run).then(|| format!("take it back: `ostler run rollback {}`", run.id))
}

/// A run of another cloud than the one that is meant.
pub fn other_cloud(run: &Run, site: &Site) -> Failure {
    let cloud = &run.plan.body.cloud;
    Failure::usage(format!("run {} is on cloud {cloud}, not on {}", run.id, site.cloud.cloud.name))
        .hint(format!("name it: `--cloud {cloud}`"))
}

/// Every run, newest first, as far as it can be read.
pub async fn all(store: &dyn Store, limit: u32) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for id in store.runs(limit).await? {
        runs.push(load(store, &id).await?);
    }
    Ok(runs)
}
