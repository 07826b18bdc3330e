//! `ostler matrix`: which services answer at which addresses, live and kept.
//!
//! What it asks is catalogue data; what the answers come to is the engine's to say.

mod show;
mod watch;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::availability as view;
use clap::{Subcommand, ValueEnum};
use ostler_engine::availability::{Availability, Figures};
use ostler_model::function::Asked;

/// See which services answer at which addresses.
#[derive(Debug, Subcommand)]
pub enum Matrix {
    /// Ask every service at every address for a while, then show the table.
    Run(watch::Run),
    /// Ask until interrupted, and keep what was found.
    Watch(watch::Watch),
    /// Show what was found earlier.
    Show(show::Show),
}

/// How the table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Table {
    /// For reading here.
    #[default]
    Text,
    /// For a report.
    Markdown,
    /// For a spreadsheet.
    Csv,
}

pub(super) async fn speak(context: &Context, verb: Matrix) -> Result<Exit, Failure> {
    match verb {
        Matrix::Run(typed) => watch::run(context, typed).await,
        Matrix::Watch(typed) => watch::watch(context, typed).await,
        Matrix::Show(typed) => show::show(context, typed).await,
    }
}

/// Prints the table, and says by the exit code how it is.
fn tell(
    context: &Context,
    cloud: &str,
    found: &Availability,
    every_ms: Option<u64>,
    table: Table,
) -> Result<Exit, Failure> {
    match (context.printer.is_json(), table) {
        (true, _) => context.printer.json(&view::to_json(cloud, found))?,
        (false, Table::Text) => context.printer.text(&view::page(cloud, found, every_ms))?,
        (false, Table::Markdown) => context.printer.text(&view::markdown(cloud, found))?,
        (false, Table::Csv) => context.printer.text(&view::csv(found))?,
    }
    let is_whole = |figures: &Figures| figures.up == figures.counted();
    let clients =
        found.rows.iter().flat_map(|row| row.cells.get(&Asked::Virtual).into_iter().chain([&row.any]));
    let mut servers = found.rows.iter().flat_map(|row| row.cells.values());
    Ok(match () {
        () if !clients.into_iter().all(is_whole) => Exit::Errors,
        () if !servers.all(|figures| is_whole(figures) && figures.unknown == 0) => Exit::Warnings,
        () => Exit::Done,
    })
}
