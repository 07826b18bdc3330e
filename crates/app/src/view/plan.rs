//! The preview of a plan: waves and steps with their expected times, what is down for how long, where the way
//! back ends, what is held back and why, and by which hash it is approved.
//!
//! It shows the plan and nothing but the plan: what is not in it will not be done.

use super::{count, findings, offset};
use crate::duration::words;
use crate::planning::Offer;
use crate::printer::{Ink, Printer};
use crate::rehearsed::Rehearsed;
use ostler_engine::plan::Outage;
use ostler_model::check::Severity;
use ostler_model::plan::{Plan, Purpose};
use ostler_model::step::{Gate, Step, Undo};
use serde_json::{Value, json};

/// The preview.
pub fn page(printer: &Printer, offer: &Offer) -> String {
    let plan = &offer.plan;
    let body = &plan.body;
    let total = words(offer.schedule.total_ms);
    let mut text =
        format!("{} on cloud {}\n", printer.ink(Ink::Heading, &body.purpose.to_string()), body.cloud);
    for decision in &offer.report.decisions {
        text.push_str(&format!("  {decision}\n"));
    }
    let (steps, waves) = (count(body.steps.len(), "step"), count(body.waves.len(), "wave"));
    text.push_str(&format!("  {steps} in {waves}, about {total}\n"));
    let places = Widths::of(plan);
    for (number, title) in body.waves.iter().enumerate() {
        text.push_str(&wave(printer, offer, number, title, places));
    }
    text.push_str(&down(printer, offer));
    text.push_str(&finals(printer, offer));
    let held: Vec<String> =
        offer.report.held_back.iter().map(|held| format!("{}: {}", held.what, held.why)).collect();
    text.push_str(&list(printer, Ink::Heading, "Held back", &held));
    text.push_str(&list(printer, Ink::Care, "Mind", &body.cautions));
    let rehearsed = offer.rehearsed.as_ref().map(Rehearsed::lines).unwrap_or_default();
    text.push_str(&list(printer, Ink::Heading, "Rehearsed", &rehearsed));
    text.push_str(&found(printer, offer));
    text.push_str(&format!("\nplan {}\n", plan.id));
    text
}

/// Everything, for programs.
pub fn to_json(offer: &Offer) -> Value {
    json!({
        "plan": offer.plan,
        "report": offer.report,
        "schedule": offer.schedule,
        "findings": offer.findings,
        "rehearsed": offer.rehearsed,
    })
}

/// The command that runs a plan.
pub fn command(plan: &Plan) -> String {
    match &plan.body.purpose {
        Purpose::Upgrade { .. } => format!("ostler upgrade run --plan {}", plan.id.short()),
        Purpose::Rollback { of, .. } => format!("ostler run rollback {of}"),
        Purpose::Recover { .. } => "ostler ha status".to_owned(),
        Purpose::Return { host } => format!("ostler ha return {host}"),
        Purpose::MoveBack { host } => format!("ostler ha move-back {host}"),
        Purpose::Maintain { host } => format!("ostler ha maintain {host}"),
    }
}

#[derive(Clone, Copy)]
struct Widths {
    id: usize,
    title: usize,
}

impl Widths {
    fn of(plan: &Plan) -> Widths {
        let widest = |text: fn(&Step) -> usize| plan.body.steps.iter().map(text).max().unwrap_or(0);
        Widths {
            id: widest(|step| step.id.as_str().chars().count()).min(32),
            title: widest(|step| step.title.chars().count()).min(64),
        }
    }
}

fn wave(printer: &Printer, offer: &Offer, number: usize, title: &str, widths: Widths) -> String {
    let time = offer.schedule.waves.get(number);
    let (from, length) = time.map_or((0, 0), |time| (time.from_ms, time.for_ms));
    let heading = format!("{}. {title}", number + 1);
    let mut text =
        format!("\n{}  ({}, from {})\n", printer.ink(Ink::Heading, &heading), words(length), offset(from));
    for step in offer.plan.body.steps.iter().filter(|step| usize::from(step.wave) == number) {
        if let Some(gate) = &step.gate {
            text.push_str(&format!("   {}\n", printer.ink(Ink::Care, &gate_words(gate))));
        }
        if let Undo::Impossible { because } = &step.undo {
            text.push_str(&format!(
                "{}\n   {because}\n",
                printer.ink(Ink::Bad, &rule(printer, "point of no return"))
            ));
        }
        let line = format!(
            "   {:<id$}  {:<title$}  {:>8}",
            step.id,
            step.title,
            words(step.expect_ms),
            id = widths.id,
            title = widths.title
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn gate_words(gate: &Gate) -> String {
    match gate {
        Gate::Operator { question } => format!("asks: {question}"),
        Gate::Quiet { for_s, .. } => {
            format!("waits until all has been quiet for {}", words(u64::from(*for_s) * 1000))
        }
        Gate::Window { from, to } => {
            format!("waits for the window {} to {}", super::local(*from), super::local(*to))
        }
    }
}

/// A line across the page with words in it.
pub fn rule(printer: &Printer, title: &str) -> String {
    let lead = format!("──── {title} ");
    let rest = printer.columns().saturating_sub(lead.chars().count());
    format!("{lead}{}", "─".repeat(rest))
}

fn down(printer: &Printer, offer: &Offer) -> String {
    let outages = &offer.schedule.outages;
    let purpose = &offer.plan.body.purpose;
    let is_of_host = matches!(
        purpose,
        Purpose::Recover { .. }
            | Purpose::Return { .. }
            | Purpose::MoveBack { .. }
            | Purpose::Maintain { .. }
    );
    if is_of_host && outages.is_empty() {
        // No service of the cloud is touched.
        return String::new();
    }
    let overlaps = |one: &Outage, other: &Outage| {
        one.from_ms < other.from_ms + other.for_ms && other.from_ms < one.from_ms + one.for_ms
    };
    let line = |outage: &Outage| {
        let meanwhile = match outage.total {
            true => " (requests fail)",
            false if outages.iter().any(|other| other.total && overlaps(outage, other)) => "",
            false => " (the others serve)",
        };
        format!("{}: {}, from {}{meanwhile}", outage.what, words(outage.for_ms), offset(outage.from_ms))
    };
    let mut lines: Vec<String> = outages.iter().map(line).collect();
    if !outages.iter().any(|outage| outage.total) {
        lines.push("no request fails: there is always a server that serves".to_owned());
    }
    list(printer, Ink::Heading, "Out of service", &lines)
}

fn finals(printer: &Printer, offer: &Offer) -> String {
    let finals: Vec<String> = offer
        .plan
        .body
        .steps
        .iter()
        .filter(|step| matches!(step.undo, Undo::Impossible { .. }))
        .map(|step| format!("from {} on, only forward or a restore ({})", step.id, step.title))
        .collect();
    match (finals.is_empty(), &offer.plan.body.purpose) {
        (false, _) => list(printer, Ink::Bad, "Way back", &finals),
        (true, Purpose::Upgrade { .. }) => {
            let none = "there is no point of no return; `ostler run rollback RUN --dry-run` says what the way back costs";
            list(printer, Ink::Heading, "Way back", &[none.to_owned()])
        }
        (true, _) => String::new(),
    }
}

fn found(printer: &Printer, offer: &Offer) -> String {
    let mut text = String::new();
    if !offer.report.findings.is_empty() {
        let title = format!("Preflight now: {}", findings::tally(&offer.report.findings));
        text.push_str(&format!("\n{}\n", printer.ink(Ink::Heading, &title)));
    }
    let all = offer.report.findings.iter().chain(&offer.findings);
    for finding in all.filter(|finding| finding.severity != Severity::Ok) {
        text.push_str(&findings::finding(printer, finding));
    }
    text
}

fn list(printer: &Printer, ink: Ink, title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("   {line}\n")).collect();
    format!("\n{}\n{lines}", printer.ink(ink, title))
}
