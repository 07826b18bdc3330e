//! `ostler ha move-back`: brings home, while they run, the instances that the last recovery took away from a host.
//!
//! It goes by the register's moves and by where Nova says that they are now. It must never move what somebody has moved since.

use super::back::{is_in_use, no_outage};
use super::coverage::look;
use super::host_plan::{agreed, carried_out, show};
use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use crate::instance_ha::host_named;
use crate::planning::Offer;
use crate::running::{self, End};
use crate::view::{count, local};
use crate::wiring::Site;
use clap::Args;
use ostler_engine::ha::move_back as plan_of;
use ostler_engine::run::{Run, Status, load};
use ostler_engine::seam::Store;
use ostler_model::compute::Scope;
use ostler_model::event::Verdict;
use ostler_model::ha::Move;
use ostler_model::ha::list::{Field, Query, ROWS_MAX};
use ostler_model::ids::HostName;

/// Pages of moves that are read: more than the instances of a host, several rounds each.
const PAGES_MAX: usize = 10;

/// Move back to a host, while it runs, what a recovery took away from it.
#[derive(Debug, Args)]
#[command(
    after_help = "The host has to be in use again (`ostler ha return`). It is about what its last recovery moved: what
runs, and still is where that brought it, comes back; the rest is named with its reason.
Exit code 6: some could not be moved.

Examples:
  ostler ha move-back cmp3 --dry-run
  ostler ha move-back cmp3"
)]
pub struct MoveBack {
    /// The host.
    host: String,
    /// Approve the plan without asking.
    #[arg(long)]
    yes: bool,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn move_back(context: &Context, typed: MoveBack) -> Result<Exit, Failure> {
    let site = Site::open(context).await?;
    let store = site.seams.store.as_ref();
    let registered = host_named(store, &typed.host).await?;
    let host = HostName::new(registered.name.as_str());
    no_outage(&site, &registered).await?;
    let moves = taken_away(store, &host).await?;
    if moves.is_empty() {
        return Err(Failure::new(Kind::Nothing, format!("no recovery has moved anything away from {host}")));
    }
    let mut those: Vec<_> = moves.iter().map(|moved| moved.instance.clone()).collect();
    those.sort();
    those.dedup();
    let seen = look(&site, &Scope { those, ..Scope::default() }).await?;
    if !is_in_use(&registered, &seen, &host) {
        return Err(Failure::refused(
            "host-in-use",
            format!("{host} is not in use: nothing can come back to it"),
        )
        .hint(format!("take it into use again first: `ostler ha return {host}`")));
    }
    let mut planned = plan_of(&site.cloud.cloud.name, &host, &moves, &seen)
        .map_err(|error| Failure::failed(error.to_string()))?;
    if planned.plan.body.steps.is_empty() {
        let held = planned.report.held_back.iter().map(|held| format!("{}: {}", held.what, held.why));
        return Err(
            Failure::new(Kind::Nothing, format!("nothing is to be moved back to {host}")).evidences(held)
        );
    }
    if let Some(last) = moves.first() {
        let of = format!("of what the recovery of {} moved away", local(last.created));
        planned.report.decisions.push(of);
    }
    let offer = Offer::of_compute(planned, seen.taken);
    show(context, &offer, typed.dry_run)?;
    if typed.dry_run {
        return Ok(Exit::Done);
    }
    agreed(context, &offer, typed.yes, &format!("ostler ha move-back {host} --yes")).await?;
    // Not the lease of the host's outages: should it fail again meanwhile, it is recovered from at once.
    let lease = format!("move-back/{host}");
    let (run, end) = carried_out(context, &site, &offer, &lease, typed.yes).await?;
    if end != End::Closed(Verdict::PartlyDone) {
        running::tell(context, &site, &run, end).await?;
        return Ok(Exit::Done);
    }
    Err(partly(&load(store, &run).await?, &host))
}

/// Says what stayed where it was, and why.
fn partly(run: &Run, host: &HostName) -> Failure {
    let left: Vec<String> = run
        .steps
        .iter()
        .enumerate()
        .filter(|(_, state)| state.status == Status::GivenUp)
        .map(|(at, state)| {
            let why = state.why.as_ref().map_or("it was not begun", |why| why.what.as_str());
            format!("{}: {why}", run.step(at).title)
        })
        .collect();
    let all = count(run.steps.len(), "instance");
    Failure::new(
        Kind::Resumable,
        format!("{} of {all} could not be moved; they run where they were", left.len()),
    )
    .evidences(left)
    .hint(format!("mend that, then try again: `ostler ha move-back {host}`"))
    .hint(format!("see its course: `ostler run show {}`", run.id))
}

/// What the last recovery from a host moved, the newest first.
pub(super) async fn taken_away(store: &dyn Store, host: &HostName) -> Result<Vec<Move>, Failure> {
    let from = Query::default().filter(Field::Source, host.as_str());
    let Some(last) = store.moves(&Query { limit: 1, ..from.clone() }).await?.into_iter().next() else {
        return Ok(Vec::new());
    };
    let mut query = from.filter(Field::Notification, last.notification.as_str());
    let mut moves = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = store.moves(&query).await?;
        query.after = page.last().map(|last| query.place_of(last));
        let is_last = page.len() < ROWS_MAX as usize;
        moves.extend(page);
        if is_last {
            break;
        }
    }
    Ok(moves)
}
