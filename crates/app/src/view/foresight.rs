//! What would come back if hosts failed: one host in detail, and all of them.
//!
//! It shows what the engine foresees and nothing else.

use super::{count, table};
use crate::failure::Exit;
use crate::printer::{Ink, Printer};
use ostler_engine::ha::{End, Foreseen, Foresight};
use ostler_model::step::Wanted;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Instances that are named beside one reason; of more only the number is said.
const NAMED_MAX: usize = 8;

/// How it looks, as an exit code.
pub fn exit(found: &[Foresight]) -> Exit {
    let is_bare = |one: &Foresight| !one.is_protected() && !one.instances.is_empty();
    let is_whole = |one: &Foresight| one.gaps.is_empty() && one.counts().1 == 0 && one.counts().2 == 0;
    match (found.iter().any(is_bare), found.iter().all(is_whole)) {
        (true, _) => Exit::Errors,
        (false, true) => Exit::Done,
        (false, false) => Exit::Warnings,
    }
}

fn wanted(state: Option<Wanted>) -> &'static str {
    match state {
        Some(Wanted::Active) => "active",
        Some(Wanted::Stopped) => "stopped",
        Some(Wanted::Error) => "in error",
        None => "-",
    }
}

/// One host.
pub fn one(printer: &Printer, foresight: &Foresight) -> String {
    let (back, doubtful, stay) = foresight.counts();
    let all = back + doubtful + stay;
    let what = match (all, foresight.is_protected()) {
        (0, _) => "no instance is on it".to_owned(),
        (_, true) => format!("{back} of {} would come back", count(all, "instance")),
        (_, false) => format!("none of {} would come back by itself", count(all, "instance")),
    };
    let mut text =
        format!("{}\n", printer.ink(Ink::Heading, &format!("if {} failed now: {what}", foresight.host)));
    let reserved = if foresight.reserved { ", kept in reserve" } else { "" };
    match &foresight.segment {
        Some(segment) => text.push_str(&format!("  segment {segment}{reserved}\n")),
        None => text.push_str("  in no segment\n"),
    }
    for gap in &foresight.gaps {
        let (ink, word) = match gap.is_unprotected() {
            true => (Ink::Bad, "not protected"),
            false => (Ink::Care, "mind"),
        };
        text.push_str(&format!("  {}: {gap}\n", printer.ink(ink, word)));
    }
    if !foresight.is_protected() && back > 0 {
        text.push_str("  with that mended it would be so:\n");
    }
    let moved: Vec<Vec<String>> = foresight.instances.iter().filter_map(moved_row).collect();
    if !moved.is_empty() {
        text.push('\n');
        text.push_str(&table(&["INSTANCE", "ID", "MARKED", "PRIORITY", "BECOMES", "TO"], moved));
    }
    let stays = foresight.instances.iter().filter_map(|instance| match &instance.end {
        End::Stays { why } => Some((why.as_str(), instance)),
        _ => None,
    });
    text.push_str(&grouped(printer, Ink::Bad, "Would not come back", stays));
    let doubts = foresight.instances.iter().filter_map(|instance| match &instance.end {
        End::Doubtful { why } => Some((why.as_str(), instance)),
        _ => None,
    });
    text.push_str(&grouped(printer, Ink::Care, "In doubt", doubts));
    let cautions = foresight.instances.iter().filter_map(|one| Some((one.caution.as_deref()?, one)));
    text.push_str(&grouped(printer, Ink::Care, "Mind", cautions));
    text
}

fn moved_row(instance: &Foreseen) -> Option<Vec<String>> {
    let to = match &instance.end {
        End::Back { to, reserved: true } => format!("{to} (reserved)"),
        End::Back { to, reserved: false } => to.to_string(),
        End::Doubtful { .. } => "wherever the scheduler finds room".to_owned(),
        End::Stays { .. } => return None,
    };
    Some(vec![
        instance.name.clone(),
        short(instance.id.as_str()).to_owned(),
        if instance.marked { "yes" } else { "no" }.to_owned(),
        instance.priority.to_string(),
        wanted(instance.becomes).to_owned(),
        to,
    ])
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Reasons, each with the instances that it is about.
fn grouped<'a>(
    printer: &Printer,
    ink: Ink,
    title: &str,
    all: impl Iterator<Item = (&'a str, &'a Foreseen)>,
) -> String {
    let mut by_reason: BTreeMap<&str, Vec<&Foreseen>> = BTreeMap::new();
    for (why, instance) in all {
        by_reason.entry(why).or_default().push(instance);
    }
    if by_reason.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", printer.ink(ink, title));
    for (why, instances) in by_reason {
        let names: Vec<String> = instances.iter().take(NAMED_MAX).map(|one| one.name.clone()).collect();
        let more = instances.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("  {}{more}: {why}\n", names.join(", ")));
    }
    text
}

/// All hosts.
pub fn coverage(printer: &Printer, found: &[Foresight], every_instance: bool) -> String {
    let mut rows = Vec::with_capacity(found.len());
    let (mut all, mut safe) = (0, 0);
    for host in found {
        let (back, doubtful, stay) = host.counts();
        all += host.instances.len();
        safe += if host.is_protected() { back } else { 0 };
        let state = match (host.is_protected(), host.gaps.is_empty(), host.instances.is_empty()) {
            (false, _, false) => printer.ink(Ink::Bad, "not protected"),
            (false, _, true) => printer.ink(Ink::Care, "not protected"),
            (true, false, _) => printer.ink(Ink::Care, "mind"),
            (true, true, _) => printer.ink(Ink::Good, "protected"),
        };
        let why: Vec<String> = host.gaps.iter().map(ToString::to_string).collect();
        rows.push(vec![
            host.host.to_string(),
            host.segment.clone().unwrap_or_else(|| "-".to_owned()),
            state,
            host.instances.len().to_string(),
            back.to_string(),
            doubtful.to_string(),
            stay.to_string(),
            why.join("; "),
        ]);
    }
    let heading = format!("{safe} of {} would come back if their host failed", count(all, "instance"));
    let mut text = format!("{}\n\n", printer.ink(Ink::Heading, &heading));
    let columns = ["HOST", "SEGMENT", "STATE", "INSTANCES", "BACK", "IN DOUBT", "STAY", "WHY"];
    text.push_str(&table(&columns, rows));
    let mut lines = Vec::new();
    for host in found {
        for instance in &host.instances {
            let what = match &instance.end {
                _ if !host.is_protected() => "its host is not protected".to_owned(),
                End::Back { to, .. } if every_instance => format!("comes back on {to}"),
                End::Back { .. } => continue,
                End::Doubtful { why } | End::Stays { why } => why.clone(),
            };
            if host.is_protected() || every_instance {
                let (name, id) = (instance.name.clone(), short(instance.id.as_str()).to_owned());
                lines.push(vec![name, id, host.host.to_string(), what]);
            }
        }
    }
    if !lines.is_empty() {
        text.push('\n');
        text.push_str(&table(&["INSTANCE", "ID", "HOST", "WHAT"], lines));
    }
    let cautions = found.iter().flat_map(|host| &host.instances);
    let cautions = cautions.filter_map(|one| Some((one.caution.as_deref()?, one)));
    text.push_str(&grouped(printer, Ink::Care, "Mind", cautions));
    text
}

/// All hosts, for programs.
pub fn coverage_json(found: &[Foresight]) -> Value {
    let hosts: Vec<Value> = found
        .iter()
        .map(|host| {
            let (back, doubtful, stay) = host.counts();
            let why: Vec<String> = host.gaps.iter().map(ToString::to_string).collect();
            json!({
                "host": host.host,
                "segment": host.segment,
                "reserved": host.reserved,
                "protected": host.is_protected(),
                "gaps": host.gaps,
                "why": why,
                "back": back,
                "in_doubt": doubtful,
                "stay": stay,
                "instances": host.instances,
            })
        })
        .collect();
    json!({ "hosts": hosts })
}
