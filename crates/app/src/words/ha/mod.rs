//! `ostler ha`: see and steer instance HA.
//!
//! What a person says is a word in the register; the servers act by it. What is shown is what a recovery would go by.

mod back;
mod confirm_down;
mod coverage;
mod host_plan;
mod import;
mod maintain;
mod move_back;
mod segment;
mod show;
mod simulate;
mod status;
mod words;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::Subcommand;

/// See and steer instance HA.
#[derive(Debug, Subcommand)]
pub enum Ha {
    /// How segments, hosts and incidents stand, and what waits for a person.
    Status(status::Status),
    /// The course of one incident: how long what took, and each instance.
    Show(show::Show),
    /// Which hosts and instances are protected, and why others are not.
    Coverage(coverage::Coverage),
    /// What would come back if a host failed now, where to, and what would not.
    Simulate(simulate::Simulate),
    /// Have an incident tried again.
    Retry(words::Retry),
    /// Stop an incident: what is under way is finished, nothing more is moved.
    Cancel(words::Cancel),
    /// Leave what is not back as it is, and close the incident.
    Acknowledge(words::Acknowledge),
    /// Let a host be fenced although the storm guard holds it.
    Release(words::Release),
    /// Say that a host is off: you have looked at it.
    ConfirmDown(confirm_down::ConfirmDown),
    /// Work on a host: nothing new comes to it, and it is not fenced while it is down.
    Maintain(maintain::Maintain),
    /// Take a host into use again after it was recovered from, or worked on.
    Return(back::Return),
    /// Move back to a host, while it runs, what a recovery took away from it.
    MoveBack(move_back::MoveBack),
    /// Switch instance HA off for a segment, at once.
    Pause(segment::Pause),
    /// Switch it on again.
    Resume(segment::Resume),
    /// Take segments, hosts and history over from Masakari's database.
    Import(import::Import),
}

pub(super) async fn speak(context: &Context, verb: Ha) -> Result<Exit, Failure> {
    match verb {
        Ha::Status(typed) => status::status(context, typed).await,
        Ha::Show(typed) => show::show(context, typed).await,
        Ha::Coverage(typed) => coverage::coverage(context, typed).await,
        Ha::Simulate(typed) => simulate::simulate(context, typed).await,
        Ha::Retry(typed) => words::retry(context, typed).await,
        Ha::Cancel(typed) => words::cancel(context, typed).await,
        Ha::Acknowledge(typed) => words::acknowledge(context, typed).await,
        Ha::Release(typed) => words::release(context, typed).await,
        Ha::ConfirmDown(typed) => confirm_down::confirm_down(context, typed).await,
        Ha::Maintain(typed) => maintain::maintain(context, typed).await,
        Ha::MoveBack(typed) => move_back::move_back(context, typed).await,
        Ha::Return(typed) => back::back(context, typed).await,
        Ha::Pause(typed) => segment::pause(context, typed).await,
        Ha::Resume(typed) => segment::resume(context, typed).await,
        Ha::Import(typed) => import::import(context, typed).await,
    }
}
