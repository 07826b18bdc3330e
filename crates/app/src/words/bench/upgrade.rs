//! `ostler bench upgrade`: upgrades under load, and the same load for the same time without an upgrade.
//!
//! A failed request is counted, never explained away.

use super::{Ground, Scratch, child, under_load};
use crate::context::Context;
use crate::duration::words;
use crate::failure::{Exit, Failure};
use crate::view::table;
use clap::Args;
use ostler_lab::{LoadOptions, LoadReport};
use serde::Serialize;
use std::time::Duration;

/// Upgrade under load; count what failed and how long nothing was answered.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0: no request failed in a zero-downtime upgrade; 4: some did.

Examples:
  ostler bench upgrade --from 2023.1 --to 2024.1 --strategy zero-downtime --runs 10
  ostler bench upgrade --to 2025.1                 on the lab that is up")]
pub struct Upgrade {
    #[command(flatten)]
    ground: Ground,
    /// Leave out the equal time without an upgrade.
    #[arg(long)]
    no_comparison: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    cost: child::Cost,
    load: LoadReport,
    comparison: Option<LoadReport>,
}

pub(super) async fn upgrade(context: &Context, typed: Upgrade) -> Result<Exit, Failure> {
    let ground = &typed.ground;
    let (lab, printer) = (ground.lab()?, context.printer);
    let mut rows: Vec<Row> = Vec::new();
    let mut from = String::new();
    for number in 1..=ground.runs {
        ground.prepare(&lab, printer).await?;
        from = lab.status().await.map_err(crate::words::lab::failure)?.release;
        let scratch = Scratch::new(&lab);
        let store = scratch.store();
        let typed_words = ground.upgrade_words();
        let work = child::run(&lab, &store, &typed_words, printer.is_json());
        let (cost, load) = under_load(&lab, ground.rate, work).await?;
        let comparison = if typed.no_comparison {
            None
        } else {
            let duration = Some(Duration::from_secs_f64(cost.seconds));
            let options = LoadOptions { rate: ground.rate, duration };
            Some(
                lab.load(options, std::future::pending(), |_| {})
                    .await
                    .map_err(crate::words::lab::failure)?,
            )
        };
        printer.note(&format!("run {number} of {}: {}", ground.runs, line(&load, &cost)));
        if load.failed > 0 {
            printer.note(&crate::words::lab::failed_requests(&load));
        }
        rows.push(Row { cost, load, comparison });
        drop(scratch);
        ground.clean(&lab).await?;
    }
    let failed: u64 = rows.iter().map(|row| row.load.failed).sum();
    if printer.is_json() {
        printer.json(&rows)?;
    } else {
        if rows.len() > 1 || !typed.no_comparison {
            printer.text(&page(&rows))?;
        }
        let requests: u64 = rows.iter().map(|row| row.load.requests).sum();
        let gap = rows.iter().map(|row| row.load.longest_gap_ms).max().unwrap_or_default();
        let slowest = rows.iter().map(|row| row.cost.seconds).fold(0.0, f64::max);
        printer.text(&format!(
            "{} {from} -> {}: {requests} requests, {failed} failed, longest gap {}, took {}",
            ground.only,
            ground.to,
            words(gap),
            words((slowest * 1000.0) as u64)
        ))?;
    }
    let announced = ground.strategy.as_deref().is_some_and(|strategy| strategy != "zero-downtime");
    Ok(if failed == 0 || announced { Exit::Done } else { Exit::Errors })
}

fn line(load: &LoadReport, cost: &child::Cost) -> String {
    format!(
        "{} requests, {} failed, longest gap {}, took {}",
        load.requests,
        load.failed,
        words(load.longest_gap_ms),
        words((cost.seconds * 1000.0) as u64)
    )
}

fn page(rows: &[Row]) -> String {
    let cells = rows.iter().enumerate().map(|(number, row)| {
        let other = row.comparison.as_ref();
        vec![
            (number + 1).to_string(),
            row.load.requests.to_string(),
            row.load.failed.to_string(),
            words(row.load.longest_gap_ms),
            other.map_or("-".into(), |load| words(load.longest_gap_ms)),
            words((row.cost.seconds * 1000.0) as u64),
            format!(
                "{:.2} s ({:.1} %)",
                row.cost.cpu_seconds,
                100.0 * row.cost.cpu_seconds / row.cost.seconds.max(0.001)
            ),
            format!("{:.0} MiB", row.cost.resident_mib),
        ]
    });
    let head = [
        "RUN",
        "REQUESTS",
        "FAILED",
        "LONGEST GAP",
        "WITHOUT UPGRADE",
        "TOOK",
        "OSTLER'S CPU",
        "OSTLER'S MEMORY",
    ];
    table(&head, cells.collect())
}
