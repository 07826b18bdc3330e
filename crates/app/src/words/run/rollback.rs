//! `ostler run rollback`: takes a run back by a plan of its own, previewed and approved like any other.
//!
//! Which ways there are and what each costs is the engine's word.

use super::with_site;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::going::{self, TakeBack};
use clap::{Args, ValueEnum};
use ostler_engine::plan::Choice;
use ostler_model::plan::RollbackWay;

/// Take a run back.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --way the one that loses least is chosen. A way that loses data needs --accept-loss.

Examples:
  ostler run rollback last --dry-run
  ostler run rollback last
  ostler run rollback last --way isolated-cluster --accept-loss"
)]
pub struct Rollback {
    /// The run: its name, the beginning or end of it, or `last`.
    run: String,
    /// By which way.
    #[arg(long, value_enum, value_name = "WAY")]
    way: Option<Way>,
    /// Accept what the way loses.
    #[arg(long)]
    accept_loss: bool,
    /// Approve the plan without asking.
    #[arg(long)]
    yes: bool,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// A way as typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    /// Each step's own undo, in reverse; the data stay.
    Undo,
    /// One database from the node that was set aside; other services keep their writes.
    IsolatedSchema,
    /// The whole database cluster from the node that was set aside.
    IsolatedCluster,
    /// One database from the backup.
    RestoreSchema,
}

impl From<Way> for RollbackWay {
    fn from(way: Way) -> RollbackWay {
        match way {
            Way::Undo => RollbackWay::Undo,
            Way::IsolatedSchema => RollbackWay::IsolatedSchema,
            Way::IsolatedCluster => RollbackWay::IsolatedCluster,
            Way::RestoreSchema => RollbackWay::RestoreSchema,
        }
    }
}

pub(super) async fn rollback(context: &Context, typed: Rollback) -> Result<Exit, Failure> {
    let (run, site) = with_site(context, &typed.run).await?;
    let choice = Choice { way: typed.way.map(RollbackWay::from), accept_loss: typed.accept_loss };
    let how = TakeBack { choice, yes: typed.yes, dry_run: typed.dry_run };
    going::take_back(context, &site, &run.id, how).await?;
    Ok(Exit::Done)
}
