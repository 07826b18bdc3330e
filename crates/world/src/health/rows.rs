//! The tables that a look fills, by many hands at once.
//!
//! Every text goes through the mask on its way in.

use crate::node::redact::redact;
use ostler_model::health::{Cost, Evidence, Row, Value};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Characters of one text that are kept.
const TEXT_CHARS_MAX: usize = 500;

/// The tables.
#[derive(Debug)]
pub(super) struct Tables(Mutex<Evidence>);

impl Tables {
    pub fn new(evidence: Evidence) -> Self {
        Self(Mutex::new(evidence))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Evidence) -> T) -> T {
        // A panic elsewhere cannot leave a table half changed.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a row, masked.
    pub fn add(&self, table: &str, row: Row) {
        let row = row.into_iter().map(|(name, value)| (name, masked(value))).collect();
        self.with(|evidence| evidence.add(table, row));
    }

    /// Says that a table was looked at, if nothing is in it.
    pub fn seen(&self, table: &str) {
        self.with(|evidence| {
            evidence.table(table);
        });
    }

    /// Says that something could not be seen.
    pub fn gap(&self, table: &str, host: Option<&str>, why: &str) {
        let why = short(&redact(why));
        self.with(|evidence| evidence.gap(table, host, why));
    }

    /// What a part cost.
    pub fn cost(&self, part: &str, requests: u64, bytes: u64, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.with(|evidence| evidence.cost.push(Cost { part: part.to_owned(), requests, bytes, ms }));
    }

    /// A copy of a table's rows.
    pub fn rows(&self, table: &str) -> Vec<Row> {
        self.with(|evidence| evidence.rows(table).to_vec())
    }

    /// Whether a table was looked at and nothing of it is missing.
    pub fn is_whole(&self, table: &str) -> bool {
        self.with(|evidence| evidence.tables.get(table).is_some_and(|table| table.gaps.is_empty()))
    }

    pub fn into_evidence(self) -> Evidence {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

fn masked(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(short(&redact(&text))),
        Value::List(items) => Value::List(items.into_iter().map(masked).collect()),
        other => other,
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A row of these columns.
pub(super) fn row<const N: usize>(columns: [(&str, Value); N]) -> Row {
    columns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::Timestamp;

    #[test]
    fn no_secret_gets_in() {
        let tables = Tables::new(Evidence::new("c", Timestamp::UNIX_EPOCH));
        let secret = "rabbit://openstack:hunter2@192.0.2.1:5672/ password=hunter2";
        tables.add("t", row([("a", secret.into()), ("b", Value::List(vec![secret.into()]))]));
        tables.gap("t", None, secret);
        let json = serde_json::to_string(&tables.into_evidence()).unwrap();
        assert!(!json.contains("hunter2"), "{json}");
    }
}
