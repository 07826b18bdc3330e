//! `ostler bench rollback`: takes an upgrade back under load, and measures when the service is back.
//!
//! The upgrade is interrupted as a kill would do it; the way back is an operator's command.

use super::{Ground, Scratch, child, under_load};
use crate::context::Context;
use crate::duration::words;
use crate::failure::{Exit, Failure};
use crate::view::table;
use clap::Args;
use ostler_lab::LoadReport;
use serde::Serialize;

/// Upgrade until a step, then roll back under load; measure when the service is back.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ostler bench rollback --from 2025.1 --to 2026.1 --strategy minimal-downtime \\
      --until ctl2-enable --way isolated-cluster")]
pub struct Rollback {
    #[command(flatten)]
    ground: Ground,
    /// The upgrade goes on until this step is done.
    #[arg(long, value_name = "STEP")]
    until: String,
    /// The way back; without it the one that loses least.
    #[arg(long, value_name = "WAY")]
    way: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    cost: child::Cost,
    load: LoadReport,
}

pub(super) async fn rollback(context: &Context, typed: Rollback) -> Result<Exit, Failure> {
    let ground = &typed.ground;
    let (lab, printer) = (ground.lab()?, context.printer);
    let mut rows = Vec::new();
    for _ in 0..ground.runs {
        ground.prepare(&lab, printer).await?;
        let scratch = Scratch::new(&lab);
        let store = scratch.store();
        child::run_until(&lab, &store, &ground.upgrade_words(), &typed.until).await?;
        let mut back: Vec<String> =
            ["run", "rollback", "last", "--accept-loss", "--yes"].map(str::to_owned).into();
        if let Some(way) = &typed.way {
            back.extend(["--way".to_owned(), way.clone()]);
        }
        let work = child::run(&lab, &store, &back, printer.is_json());
        let (cost, load) = under_load(&lab, ground.rate, work).await?;
        rows.push(Row { cost, load });
        drop(scratch);
        ground.clean(&lab).await?;
    }
    if printer.is_json() {
        printer.json(&rows)?;
    } else {
        let cells = rows.iter().enumerate().map(|(number, row)| {
            vec![
                (number + 1).to_string(),
                words(row.load.longest_gap_ms),
                words((row.cost.seconds * 1000.0) as u64),
                row.load.requests.to_string(),
                row.load.failed.to_string(),
            ]
        });
        printer.text(&table(
            &["RUN", "SERVICE BACK AFTER", "WHOLE AFTER", "REQUESTS", "FAILED"],
            cells.collect(),
        ))?;
    }
    Ok(Exit::Done)
}
