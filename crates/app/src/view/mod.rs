//! Turns nouns into pages of text: inventories, findings, plans, runs.
//!
//! A view looks only at what it is given; it fetches nothing and decides nothing.

pub mod availability;
pub mod canary;
pub mod findings;
pub mod foresight;
pub mod health;
pub mod incident;
pub mod inventory;
pub mod plan;
pub mod run;

use crate::duration::words;
use comfy_table::{ContentArrangement, Table, presets};
use jiff::tz::TimeZone;
use ostler_model::Timestamp;

/// A table without lines: a heading and rows, columns two spaces apart.
pub fn table(heading: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heading.to_vec());
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// `3 nodes`, `1 node`.
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// A time in the reader's own zone.
pub fn local(at: Timestamp) -> String {
    at.to_zoned(zone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The time of day in the reader's own zone.
pub fn time_of_day(at: Timestamp) -> String {
    at.to_zoned(zone()).strftime("%H:%M:%S").to_string()
}

/// The reader's zone; stories are told in one zone everywhere.
fn zone() -> TimeZone {
    if cfg!(test) { TimeZone::UTC } else { TimeZone::system() }
}

/// Milliseconds from one time to another; none are negative.
pub fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

/// How long ago.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    match between(then, now) {
        0..1_000 => "just now".to_owned(),
        ms => format!("{} ago", words(ms)),
    }
}

/// A place in the course of a plan: `1:05`.
pub fn offset(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..3_600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_no_lines_and_no_trailing_space() {
        let rows = vec![vec!["ctl1".into(), "up".into()], vec!["controller2".into(), String::new()]];
        assert_eq!(table(&["NODE", "STATE"], rows), "NODE         STATE\nctl1         up\ncontroller2\n");
    }

    #[test]
    fn offsets_read_like_a_clock() {
        assert_eq!([0, 65_000, 3_725_000].map(offset), ["0:00", "1:05", "1:02:05"]);
    }
}
