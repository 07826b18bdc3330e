//! `ostler health collect`: keeps what a look saw in a file, to be judged elsewhere or later.
//!
//! Secrets were masked where they were read. The file has its name only when it is whole.

use super::looking::{Looking, look};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Keep what is seen in a file, to be judged elsewhere.
#[derive(Debug, Args)]
#[command(after_help = "The file holds names, addresses, states and digests, but no password, token or key.

Example:
  ostler health collect --to tonight.json && ostler health detail --from tonight.json")]
pub struct Collect {
    /// The file.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    looking: Looking,
}

pub(super) async fn collect(context: &Context, typed: Collect) -> Result<Exit, Failure> {
    let evidence = look(context, &typed.looking).await?;
    let failed = |error: std::io::Error| {
        Failure::failed(format!("cannot write {}: {error}", typed.to.display()))
            .hint("name another file with `--to`")
    };
    let text = serde_json::to_string(&evidence).map_err(|error| Failure::failed(error.to_string()))?;
    let mut partial = typed.to.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, text).map_err(failed)?;
    std::fs::rename(&partial, &typed.to).map_err(failed)?;
    let rows: usize = evidence.tables.values().map(|table| table.rows.len()).sum();
    let gaps: usize = evidence.tables.values().map(|table| table.gaps.len()).sum();
    if context.printer.is_json() {
        context.printer.json(&json!({
            "file": typed.to, "tables": evidence.tables.len(), "rows": rows, "gaps": gaps, "cost": evidence.cost,
        }))?;
    } else {
        context.printer.note(&format!(
            "{}: {} tables, {rows} rows, {gaps} gaps",
            typed.to.display(),
            evidence.tables.len()
        ));
    }
    Ok(if gaps == 0 { Exit::Done } else { Exit::Partly })
}
