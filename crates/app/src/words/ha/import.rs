//! `ostler ha import`: takes segments, hosts and history over from an existing Masakari's database.
//!
//! It changes nothing there, and says what it does not take.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::{count, table};
use clap::Args;
use ostler_world::oslo_ini::Ini;
use ostler_world::store::masakari::{Found, Imported, Tally, import as take, read};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Lines of each kind of remark that are shown to a person; programs get all.
const LINES_MAX: usize = 20;

/// Take segments, hosts and history over from Masakari's database.
#[derive(Debug, Args)]
#[command(
    after_help = "Identities and numbers stay as they are, so clients notice nothing. What was under way there is taken as failed:
nothing is recovered because of an import. It can be repeated; what was taken already is left as it is.

Examples:
  ostler ha import --conf /etc/masakari/masakari.conf --dry-run
  ostler ha import --from mysql://masakari:PASSWORD@10.0.0.10/masakari"
)]
pub struct Import {
    /// Masakari's database: mysql://USER:PASSWORD@HOST/DATABASE.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "conf", conflicts_with = "conf")]
    from: Option<String>,
    /// The masakari.conf that names it: no password on the command line.
    #[arg(long, value_name = "FILE")]
    conf: Option<PathBuf>,
    /// The database with what its engine told of its work, if it is another one.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "conf")]
    taskflow: Option<String>,
    /// Only say what would be taken.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn import(context: &Context, typed: Import) -> Result<Exit, Failure> {
    let (from, taskflow) = match (&typed.conf, typed.from) {
        (Some(conf), _) => of_conf(conf)?,
        (None, Some(from)) => (from, typed.taskflow),
        (None, None) => return Err(Failure::usage("neither `--from` nor `--conf` says where from")),
    };
    let found = read(&from, taskflow.as_deref()).await?;
    let state = context.state_location()?;
    let imported = take(&state, &found, typed.dry_run).await?;
    if context.printer.is_json() {
        context.printer.json(&to_json(&found, &imported, typed.dry_run))?;
    } else {
        context.printer.text(&page(&found, &imported, typed.dry_run))?;
    }
    match found.left.is_empty() && imported.not_taken.is_empty() {
        true => Ok(Exit::Done),
        false => Ok(Exit::Warnings),
    }
}

/// The addresses that a masakari.conf names.
fn of_conf(path: &Path) -> Result<(String, Option<String>), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    let conf = Ini::read(&text);
    let last = |section: &str| conf.values(section, "connection").last().map(|text| (*text).to_owned());
    let database = last("database").ok_or_else(|| {
        Failure::usage(format!("{} names no `connection` below `[database]`", path.display()))
            .hint("name the database itself: `--from mysql://USER:PASSWORD@HOST/DATABASE`")
    })?;
    let taskflow = last("taskflow").filter(|other| *other != database);
    Ok((database, taskflow))
}

fn kinds(imported: &Imported) -> [(&'static str, Tally); 5] {
    [
        ("segments", imported.segments),
        ("hosts", imported.hosts),
        ("notifications", imported.notifications),
        ("moves", imported.moves),
        ("steps", imported.steps),
    ]
}

fn page(found: &Found, imported: &Imported, dry_run: bool) -> String {
    let mut text = format!("Masakari's database {}, schema {}\n\n", found.place, found.schema);
    let rows = kinds(imported).map(|(kind, tally)| {
        vec![kind.to_owned(), tally.found.to_string(), tally.taken.to_string(), tally.there.to_string()]
    });
    let taken = if dry_run { "WOULD BE TAKEN" } else { "TAKEN" };
    text.push_str(&table(&["", "FOUND", taken, "THERE ALREADY"], rows.into()));
    let renumbered: usize = kinds(imported).iter().map(|(_, tally)| tally.renumbered).sum();
    if renumbered > 0 {
        text.push_str(&format!(
            "\n{} with another number: the register had given theirs away already\n",
            count(renumbered, "row")
        ));
    }
    let left: Vec<&String> = found.left.iter().chain(&imported.not_taken).collect();
    text.push_str(&lines("Not taken", &left));
    text.push_str(&lines("Mind", &found.mind.iter().collect::<Vec<_>>()));
    if dry_run {
        text.push_str("\nnothing was written; do it: the same without `--dry-run`\n");
    }
    text
}

fn lines(title: &str, all: &[&String]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{title}\n");
    all.iter().take(LINES_MAX).for_each(|line| text.push_str(&format!("  {line}\n")));
    if all.len() > LINES_MAX {
        text.push_str(&format!("  and {} more: `--format json` has all\n", all.len() - LINES_MAX));
    }
    text
}

fn to_json(found: &Found, imported: &Imported, dry_run: bool) -> Value {
    let mut tallies = serde_json::Map::new();
    for (kind, tally) in kinds(imported) {
        let (taken, there) = (tally.taken, tally.there);
        let tally =
            json!({ "found": tally.found, "taken": taken, "there": there, "renumbered": tally.renumbered });
        tallies.insert(kind.to_owned(), tally);
    }
    let left: Vec<&String> = found.left.iter().chain(&imported.not_taken).collect();
    json!({
        "from": found.place,
        "schema": found.schema,
        "dry_run": dry_run,
        "rows": tallies,
        "not_taken": left,
        "mind": found.mind,
    })
}
