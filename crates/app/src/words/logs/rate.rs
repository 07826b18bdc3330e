//! `ostler logs rate`: requests by service, route and status, how long they took, and how many in each minute.
//!
//! It shows what was counted and judges nothing: 0, or 6 where something could not be read.

use super::place::{Logs, footer};
use super::{beside, exit, say_unread};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::view::table;
use clap::Args;
use ostler_world::node::Lines;
use serde_json::json;
use std::time::Instant;

/// Rows that a page shows when nobody says.
const SHOWN: usize = 40;

/// Count requests by service, route and status, and how long they took.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0: counted; 6: something could not be read.

Examples:
  ostler logs rate node: --since 1h
  ostler logs rate /var/log/apache2 /var/log/haproxy.log --per-minute
  ostler logs rate node:ctl1 --service nova-api --failed")]
pub struct Rate {
    #[command(flatten)]
    logs: Logs,
    /// By minute instead of by route.
    #[arg(long)]
    per_minute: bool,
    /// Only services whose name holds this.
    #[arg(long, value_name = "TEXT")]
    service: Option<String>,
    /// Only what failed: a status of 500 and more, or none.
    #[arg(long)]
    failed: bool,
    /// How many rows are shown.
    #[arg(long, default_value_t = SHOWN, value_name = "NUMBER")]
    limit: usize,
}

fn ms(us: Option<u64>) -> String {
    match us {
        None => "-".to_owned(),
        Some(us) if us < 10_000 => format!("{:.1}", us as f64 / 1e3),
        Some(us) => format!("{:.0}", us as f64 / 1e3),
    }
}

pub(super) async fn rate(context: &Context, typed: Rate) -> Result<Exit, Failure> {
    let began = Instant::now();
    let mut opened = typed.logs.open(context, &Lines::All).await?;
    let (sources, since, until) = (opened.sources.clone(), opened.since, opened.until);
    let mut rates = beside(move || ostler_logs::rate::rate(&sources, since, until)).await?;
    rates.unread.extend(std::mem::take(&mut opened.unread));
    rates.unread.sort();
    let is_meant = |service: &str| typed.service.as_deref().is_none_or(|wanted| service.contains(wanted));
    rates.routes.retain(|route| {
        is_meant(&route.service) && (!typed.failed || route.status >= 500 || route.status == 0)
    });
    rates.minutes.retain(|minute| is_meant(&minute.service) && (!typed.failed || minute.failed > 0));
    if context.printer.is_json() {
        context.printer.json(&json!(rates))?;
        return Ok(exit(&rates.unread, Exit::Done));
    }
    let (text, rows) = if typed.per_minute {
        let rows = rates.minutes.iter().take(typed.limit).map(|minute| {
            vec![
                minute.at.clone(),
                minute.service.clone(),
                minute.count.to_string(),
                minute.failed.to_string(),
                ms(minute.p50_us),
                ms(minute.p95_us),
                ms(minute.p99_us),
            ]
        });
        let heading = ["MINUTE", "SERVICE", "REQUESTS", "FAILED", "P50 MS", "P95 MS", "P99 MS"];
        (table(&heading, rows.collect()), rates.minutes.len())
    } else {
        let rows = rates.routes.iter().take(typed.limit).map(|route| {
            vec![
                route.service.clone(),
                route.method.clone(),
                route.route.clone(),
                route.status.to_string(),
                route.count.to_string(),
                ms(route.p50_us),
                ms(route.p95_us),
                ms(route.p99_us),
            ]
        });
        let heading = ["SERVICE", "METHOD", "ROUTE", "STATUS", "REQUESTS", "P50 MS", "P95 MS", "P99 MS"];
        (table(&heading, rows.collect()), rates.routes.len())
    };
    let more = if rows > typed.limit {
        format!("… and {} more rows: `--limit {rows}`\n", rows - typed.limit)
    } else {
        String::new()
    };
    let seconds = began.elapsed().as_secs_f64();
    let requests = crate::view::count(rates.requests as usize, "request");
    context
        .printer
        .text(&format!("{text}{more}{requests}\n{}", footer(&opened, rates.files, rates.bytes, seconds)))?;
    say_unread(context, &rates.unread);
    Ok(exit(&rates.unread, Exit::Done))
}
