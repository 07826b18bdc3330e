//! `ostler logs trace`: one server, request, port or volume through every service, phase by phase, and what first went wrong.
//!
//! Nodes are asked again as ids lead to further ids, a bounded number of times.

use super::errors::{clocks, first_line};
use super::place::{Logs, footer};
use super::{beside, exit, say_unread};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::printer::{Ink, Printer};
use crate::view::table;
use clap::Args;
use ostler_logs::clock::text;
use ostler_logs::line::Severity;
use ostler_logs::trace::{By, REQUESTS_MAX, Trace as Told, Verdict, is_traceable};
use ostler_world::node::Lines;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Instant;

/// How often nodes are asked: the id, its requests, theirs, and what those touched.
const ROUNDS_MAX: usize = 4;

/// Follow one server, request, port or volume through every service.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: it ended well; 3: no end is seen, or nothing of it; 4: it failed; 6: something could not be read.

Examples:
  ostler logs trace 5b9c0f1e-… node: --since 2h
  ostler logs trace req-7c1a… /var/log --lines
  ostler logs trace 5b9c0f1e-… sosreport-*.tar.xz --request req-7c1a…"
)]
pub struct Trace {
    /// The server, port or volume by its uuid, or a request (`req-…`).
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    logs: Logs,
    /// A request that is known to be of it, as `openstack server event list` shows.
    #[arg(long, value_name = "REQUEST")]
    request: Vec<String>,
    /// Every record, too.
    #[arg(long)]
    lines: bool,
}

pub(super) async fn trace(context: &Context, typed: Trace) -> Result<Exit, Failure> {
    if let Some(wrong) = std::iter::once(&typed.id).chain(&typed.request).find(|id| !is_traceable(id)) {
        return Err(Failure::usage(format!("`{wrong}` cannot be traced"))
            .hint("give a uuid in full, or a request's id: `req-` and a uuid")
            .hint("a server's uuid: `openstack server show NAME -f value -c id`"));
    }
    let began = Instant::now();
    let over_nodes =
        typed.logs.places.is_empty() || typed.logs.places.iter().any(|place| place.starts_with("node:"));
    let mut asked: BTreeSet<String> =
        std::iter::once(typed.id.clone()).chain(typed.request.iter().cloned()).collect();
    let mut round = 0;
    let (opened, mut told) = loop {
        round += 1;
        let opened = typed.logs.open(context, &Lines::With(asked.iter().cloned().collect())).await?;
        let (sources, id, actions) = (opened.sources.clone(), typed.id.clone(), typed.request.clone());
        let told = beside(move || ostler_logs::trace::trace(&sources, &id, &actions)).await?;
        let mut next = asked.clone();
        next.extend(told.requests.iter().map(|request| request.id.clone()));
        for resource in &told.resources {
            next.insert(resource.id.clone());
            if resource.kind == "port" {
                next.insert(format!("tap{}", resource.id.get(..11).unwrap_or_default()));
            }
        }
        if !over_nodes || round == ROUNDS_MAX || next == asked || next.len() > REQUESTS_MAX {
            break (opened, told);
        }
        asked = next;
    };
    told.unread.extend(opened.unread.clone());
    told.unread.sort();
    if let (Some(since), Some(until)) = (opened.since.or(Some(i64::MIN)), opened.until.or(Some(i64::MAX))) {
        told.steps.retain(|step| (since..=until).contains(&step.at));
    }
    if context.printer.is_json() {
        let mut page = json!(told);
        page["clocks"] = clocks(&opened);
        context.printer.json(&page)?;
    } else {
        let mut page = page(&context.printer, &told, typed.lines);
        page.push_str(&footer(&opened, told.files, told.bytes, began.elapsed().as_secs_f64()));
        context.printer.text(&page)?;
        say_unread(context, &told.unread);
    }
    let found = match told.verdict {
        Verdict::Done if told.anomaly.is_none() => Exit::Done,
        Verdict::Done | Verdict::Open | Verdict::Unseen => Exit::Warnings,
        Verdict::Failed => Exit::Errors,
    };
    Ok(exit(&told.unread, found))
}

fn page(printer: &Printer, told: &Told, lines: bool) -> String {
    let mut page = String::new();
    let verdict = match told.verdict {
        Verdict::Done => printer.ink(Ink::Good, "done"),
        Verdict::Failed => printer.ink(Ink::Bad, "FAILED"),
        Verdict::Open => printer.ink(Ink::Care, "no end is seen"),
        Verdict::Unseen => {
            page.push_str(&format!("{} {}: no record names it\n", told.kind, told.id));
            for hole in &told.holes {
                page.push_str(&format!("hole: {hole}\n"));
            }
            return page;
        }
    };
    let begin = told.steps.first().map(|step| text(step.at)).unwrap_or_default();
    page.push_str(&format!(
        "{} {}  {verdict} after {:.1} s  from {begin}\n",
        told.kind,
        printer.ink(Ink::Heading, &told.id),
        told.seconds
    ));
    for request in &told.requests {
        let services: Vec<&str> = request.services.iter().map(String::as_str).collect();
        let because =
            request.caused_by.as_deref().map(|other| format!(" (caused by {other})")).unwrap_or_default();
        page.push_str(&format!("request {}{because}: {}\n", request.id, services.join(", ")));
    }
    for resource in &told.resources {
        page.push_str(&format!("{} {}\n", resource.kind, resource.id));
    }
    page.push('\n');
    if !told.phases.is_empty() {
        let rows = told.phases.iter().map(|phase| {
            vec![
                phase.phase.clone(),
                who(&phase.service, &phase.host),
                format!("+{:.3}", phase.start_s),
                format!("{:.3} s", phase.seconds),
                phase.status.to_owned(),
                short(&phase.note),
            ]
        });
        page.push_str(&table(&["PHASE", "WHO", "START", "TOOK", "STATUS", "SAID"], rows.collect()));
        page.push('\n');
    }
    if let Some(anomaly) = &told.anomaly {
        let phase = anomaly.phase.as_deref().map(|phase| format!(" in phase {phase}")).unwrap_or_default();
        let heading = printer.ink(Ink::Bad, "first anomaly");
        page.push_str(&format!(
            "{heading}: +{:.3} {}{phase}\n",
            anomaly.start_s,
            who(&anomaly.service, &anomaly.host)
        ));
        page.push_str(&format!("    {}\n", first_line(&anomaly.what)));
        if let Some(known) = anomaly.known {
            page.push_str(&format!(
                "cause: {} ({}; confidence {})\n",
                known.code, known.means, anomaly.confidence
            ));
            page.push_str(&format!("next: {}\n", known.next));
        }
        page.push('\n');
    }
    if lines {
        let begin = told.steps.first().map_or(0, |step| step.at);
        for step in &told.steps {
            let ink = match step.severity {
                Severity::Error | Severity::Critical => Ink::Bad,
                Severity::Warning => Ink::Care,
                _ => Ink::Faint,
            };
            let by = if step.by == By::Resource { " ~" } else { "" };
            let word = printer.ink(ink, step.severity.word());
            page.push_str(&format!(
                "+{:.3} {}{by} {word} {}\n",
                (step.at - begin) as f64 / 1e6,
                who(&step.service, &step.host),
                first_line(&step.message)
            ));
        }
        page.push('\n');
    }
    for hole in &told.holes {
        page.push_str(&format!("hole: {hole}\n"));
    }
    page.push_str(&crate::view::count(told.steps.len(), "record"));
    page.push('\n');
    page
}

fn who(service: &str, host: &str) -> String {
    if host.is_empty() { service.to_owned() } else { format!("{service}@{host}") }
}

fn short(note: &str) -> String {
    const LETTERS_MAX: usize = 60;
    let line = first_line(note);
    match line.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
