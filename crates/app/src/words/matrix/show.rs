//! `ostler matrix show`: what was found earlier.
//!
//! It looks at nothing but the state.

use super::{Table, tell};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::words::logs::moment;
use clap::Args;
use jiff::SignedDuration;
use ostler_engine::availability::{KIND, SPAN_MS, table};
use ostler_model::Timestamp;
use ostler_model::function::{SPAN_FORMAT, Span};
use ostler_model::record::{RECORDS_MAX, RecordQuery};

/// How far back is looked when nobody says.
const BACK_S: i64 = 24 * 3_600;

/// Show what was found earlier.
#[derive(Debug, Args)]
#[command(after_help = "What `ostler matrix run` and `watch` find is kept for a month.

Examples:
  ostler matrix show --since 12h
  ostler matrix show --since '2026-11-27 22:00' --until '2026-11-28 06:00' --table csv
  ostler matrix show --since 20261127-221738-a6fr      since a run was opened")]
pub struct Show {
    /// From when on: a moment, a length of time back (`12h`), or a run's name.
    #[arg(long, value_name = "MOMENT")]
    since: Option<String>,
    /// Until when.
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
    /// How the table is printed.
    #[arg(long, value_enum, default_value_t)]
    table: Table,
}

pub(super) async fn show(context: &Context, typed: Show) -> Result<Exit, Failure> {
    let now = context.clock().now();
    let at = |moment: i64| Timestamp::from_microsecond(moment).ok();
    let since = moment::typed(context, "--since", typed.since.as_deref()).await?.and_then(at);
    let until = moment::typed(context, "--until", typed.until.as_deref()).await?.and_then(at);
    let since = since.unwrap_or_else(|| now - SignedDuration::from_secs(BACK_S));
    let until = until.unwrap_or(now);
    let cloud = context.cloud()?.cloud.name.clone();
    let store = context.store().await?;
    // A span that began before may reach into the time.
    let span = SignedDuration::from_millis(i64::try_from(2 * SPAN_MS).unwrap_or(i64::MAX));
    let query = RecordQuery {
        kind: KIND.to_owned(),
        subject: cloud.clone(),
        from: since.checked_sub(span).unwrap_or(Timestamp::MIN),
        until,
        limit: RECORDS_MAX,
    };
    let records = store.records(&query).await?;
    let is_cut = records.len() >= RECORDS_MAX as usize;
    let mut spans: Vec<Span> = Vec::with_capacity(records.len());
    let mut unread = 0;
    for record in records {
        match serde_json::from_str::<Span>(&record.body) {
            Ok(span) if span.format <= SPAN_FORMAT => spans.push(span),
            _ => unread += 1,
        }
    }
    if is_cut {
        context.printer.note("only the newest part is shown: ask for less with `--since`");
    }
    let exit = tell(context, &cloud, &table(&spans, since, until), None, typed.table)?;
    if unread > 0 {
        context.printer.note(&format!("{unread} spans are damaged or of a newer ostler and were left out"));
        return Ok(Exit::Partly);
    }
    Ok(exit)
}
