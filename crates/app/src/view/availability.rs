//! The function-check matrix as a page, as Markdown, as CSV and for programs.
//!
//! A share below the whole is never shown as the whole. Times of Markdown and CSV are UTC: they travel.

use super::{count, local, table, time_of_day};
use crate::duration::words;
use ostler_engine::availability::{Availability, Figures, Gap, Row};
use ostler_model::function::Asked;
use serde_json::{Value, json};

/// Failures that a page tells in words.
const TOLD_MAX: usize = 12;

/// Letters of a failure in words.
const TOLD_LETTERS: usize = 160;

/// The page.
pub fn page(cloud: &str, found: &Availability, every_ms: Option<u64>) -> String {
    let (Some(from), Some(until)) = (found.from, found.until) else {
        return format!("nothing of {cloud} was watched in that time\n");
    };
    let every = every_ms.map(|ms| format!(", every {}", words(ms))).unwrap_or_default();
    let mut text = format!(
        "{cloud}: {} to {} ({}){every}\n\n",
        local(from),
        time_of_day(until),
        words(super::between(from, until))
    );
    let mut heading = vec!["SERVICE".to_owned()];
    heading.extend(found.asked.iter().map(|asked| asked.to_string().to_uppercase()));
    heading.extend(["ANY", "P95", "LONGEST GAP"].map(str::to_owned));
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    text.push_str(&table(&heading, found.rows.iter().map(|row| cells(found, row)).collect()));
    let told = told(found);
    if !told.is_empty() {
        text.push('\n');
    }
    for line in told.iter().take(TOLD_MAX) {
        text.push_str(&format!("{line}\n"));
    }
    if told.len() > TOLD_MAX {
        text.push_str(&format!("… and {} more\n", told.len() - TOLD_MAX));
    }
    let unknown: u64 = found.rows.iter().flat_map(|row| row.cells.values()).map(|one| one.unknown).sum();
    if unknown > 0 {
        text.push_str(&format!(
            "{} of which nobody can tell {} in no share\n",
            count(usize::try_from(unknown).unwrap_or(usize::MAX), "answer"),
            if unknown == 1 { "is" } else { "are" }
        ));
    }
    text
}

fn cells(found: &Availability, row: &Row) -> Vec<String> {
    let mut cells = vec![row.service.to_string()];
    cells.extend(
        found.asked.iter().map(|asked| row.cells.get(asked).map_or("-".to_owned(), Figures::percent)),
    );
    cells.push(row.any.percent());
    cells.push(p95(row));
    cells.push(match longest(row) {
        None => "-".to_owned(),
        Some((asked, gap)) => format!("{} {asked}", words(gap.ms())),
    });
    cells
}

/// The time at the virtual address, else the worst of the servers'.
fn p95(row: &Row) -> String {
    let virtual_ms = row.cells.get(&Asked::Virtual).and_then(|figures| figures.p95_ms);
    let ms = virtual_ms.or_else(|| row.cells.values().filter_map(|figures| figures.p95_ms).max());
    ms.map_or("-".to_owned(), |ms| format!("{ms} ms"))
}

fn longest(row: &Row) -> Option<(&Asked, &Gap)> {
    let gaps = row.cells.iter().filter_map(|(asked, figures)| Some((asked, figures.longest.as_ref()?)));
    gaps.max_by_key(|(_, gap)| gap.ms())
}

/// The longest gap of each cell that has one, in words.
fn told(found: &Availability) -> Vec<String> {
    let mut lines = Vec::new();
    for row in &found.rows {
        for (asked, figures) in &row.cells {
            let Some(gap) = &figures.longest else { continue };
            let more = match figures.gaps {
                1 => String::new(),
                gaps => format!(", the longest of {gaps} gaps"),
            };
            let lived = match figures.refused {
                0 => String::new(),
                times => format!(", lived {times} times"),
            };
            let what: String =
                gap.what.as_deref().unwrap_or("no reason was kept").chars().take(TOLD_LETTERS).collect();
            lines.push(format!(
                "{} at {asked}: {} from {}{more}{lived}: {what}",
                row.service,
                words(gap.ms()),
                time_of_day(gap.from)
            ));
        }
    }
    lines
}

/// A table that pastes into a report.
pub fn markdown(cloud: &str, found: &Availability) -> String {
    let mut heading = vec!["service".to_owned()];
    heading.extend(found.asked.iter().map(ToString::to_string));
    heading.extend(["any", "p95", "longest gap"].map(str::to_owned));
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | ").replace('\n', " "));
    let mut text = String::new();
    if let (Some(from), Some(until)) = (found.from, found.until) {
        text.push_str(&format!(
            "{cloud}, {} to {}\n\n",
            from.strftime("%Y-%m-%d %H:%M:%S UTC"),
            until.strftime("%Y-%m-%d %H:%M:%S UTC")
        ));
    }
    text.push_str(&line(&heading));
    text.push_str(&line(&vec!["---".to_owned(); heading.len()]));
    for row in &found.rows {
        text.push_str(&line(&cells(found, row)));
    }
    text
}

/// One line for each service and address: spreadsheets make their own tables of it.
pub fn csv(found: &Availability) -> String {
    let mut text =
        "service,asked,percent,up,refused,down,unknown,gaps,longest_gap_ms,longest_gap_from,p95_ms\n"
            .to_owned();
    for row in &found.rows {
        let any = [("any".to_owned(), &row.any)];
        let all = row.cells.iter().map(|(asked, figures)| (asked.to_string(), figures)).chain(any);
        for (asked, figures) in all {
            let longest = figures.longest.as_ref();
            let share =
                figures.share().map_or(String::new(), |share| format!("{}.{:02}", share / 100, share % 100));
            text.push_str(&format!(
                "{},{asked},{share},{},{},{},{},{},{},{},{}\n",
                row.service,
                figures.up,
                figures.refused,
                figures.down,
                figures.unknown,
                figures.gaps,
                longest.map_or(0, Gap::ms),
                longest.map_or(String::new(), |gap| gap.from.to_string()),
                figures.p95_ms.map_or(String::new(), |ms| ms.to_string()),
            ));
        }
    }
    text
}

/// For programs.
pub fn to_json(cloud: &str, found: &Availability) -> Value {
    let rows: Vec<Value> = found
        .rows
        .iter()
        .map(|row| {
            let cells: Vec<Value> = row
                .cells
                .iter()
                .map(|(asked, figures)| {
                    let mut cell = figures_json(figures);
                    cell["asked"] = json!(asked.to_string());
                    cell
                })
                .collect();
            json!({ "service": row.service, "cells": cells, "any": figures_json(&row.any) })
        })
        .collect();
    json!({ "cloud": cloud, "from": found.from, "until": found.until, "services": rows })
}

fn figures_json(figures: &Figures) -> Value {
    let gap = |gap: &Gap| json!({ "from": gap.from, "until": gap.until, "ms": gap.ms(), "what": gap.what });
    json!({
        "percent": figures.share().map(|share| share as f64 / 100.0),
        "up": figures.up, "refused": figures.refused, "down": figures.down, "unknown": figures.unknown,
        "gaps": figures.gaps, "longest": figures.longest.as_ref().map(gap), "p95-ms": figures.p95_ms,
    })
}
