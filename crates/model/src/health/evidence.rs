//! What was seen of a cloud at one time, in tables of rows, with its holes.
//!
//! A value that is not there was not seen; `null` was seen to be nothing. A table that could not be read has a gap that
//! says why. It must never hold a secret: whoever collects masks at the source.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The format of stored evidence. A reader refuses a newer one.
pub const EVIDENCE_FORMAT: u16 = 1;

/// Rows of one table that are kept: ten times the ports of a cloud of ten thousand instances.
pub const ROWS_MAX: usize = 500_000;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Format of this record.
    pub format: u16,
    /// The cloud's name.
    pub cloud: String,
    /// When the look began.
    pub taken: Timestamp,
    /// Version of the program that looked.
    pub by: String,
    /// Tables by name. One that is absent was not looked at.
    pub tables: BTreeMap<String, Table>,
    /// What looking cost the cloud.
    #[serde(default)]
    pub cost: Vec<Cost>,
}

impl Evidence {
    /// Nothing yet.
    pub fn new(cloud: &str, taken: Timestamp) -> Self {
        Self {
            format: EVIDENCE_FORMAT,
            cloud: cloud.to_owned(),
            taken,
            by: env!("CARGO_PKG_VERSION").to_owned(),
            tables: BTreeMap::new(),
            cost: Vec::new(),
        }
    }

    /// A table; made, if it is not there yet.
    pub fn table(&mut self, name: &str) -> &mut Table {
        self.tables.entry(name.to_owned()).or_default()
    }

    /// Adds a row. Beyond the bound it becomes a gap.
    pub fn add(&mut self, table: &str, row: Row) {
        let table = self.table(table);
        if table.rows.len() < ROWS_MAX {
            table.rows.push(row);
        } else if !table.gaps.iter().any(|gap| gap.host.is_none()) {
            table.gaps.push(Gap { host: None, why: format!("it has more than {ROWS_MAX} rows") });
        }
    }

    /// Says that something could not be seen.
    pub fn gap(&mut self, table: &str, host: Option<&str>, why: impl Into<String>) {
        self.table(table).gaps.push(Gap { host: host.map(str::to_owned), why: why.into() });
    }

    /// Rows of a table; none, if it is not there.
    pub fn rows(&self, table: &str) -> &[Row] {
        self.tables.get(table).map_or(&[], |table| &table.rows)
    }
}

/// Rows of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The rows.
    #[serde(default)]
    pub rows: Vec<Row>,
    /// What of it could not be seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

/// Columns by name.
pub type Row = BTreeMap<String, Value>;

/// Something that could not be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// On which host; none: of the whole cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Why not.
    pub why: String,
}

/// What one part of the look cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The part: a host, or an API.
    pub part: String,
    /// Requests or commands.
    pub requests: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// How long it took.
    pub ms: u64,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Seen to be nothing.
    Null,
    /// A truth.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
}

impl Value {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("none"),
            Value::Bool(true) => f.write_str("yes"),
            Value::Bool(false) => f.write_str("no"),
            Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                write!(f, "{number:.0}")
            }
            Value::Number(number) => write!(f, "{number:.1}"),
            Value::Text(text) => f.write_str(text),
            Value::List(items) => {
                let texts: Vec<String> = items.iter().map(Value::to_string).collect();
                f.write_str(&texts.join(", "))
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Number(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        // Beyond 2^53 the last digits go: no count of anything here is so large.
        Value::Number(number as f64)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_grows_without_end_becomes_a_gap() {
        let mut evidence = Evidence::new("c", Timestamp::UNIX_EPOCH);
        for _ in 0..=ROWS_MAX + 1 {
            evidence.add("t", Row::new());
        }
        let table = &evidence.tables["t"];
        assert_eq!((table.rows.len(), table.gaps.len()), (ROWS_MAX, 1));
    }

    #[test]
    fn values_keep_their_kind_in_json() {
        let row: Row =
            serde_json::from_str(r#"{"a": null, "b": true, "c": 1.5, "d": "x", "e": ["y", 2]}"#).unwrap();
        let texts: Vec<String> = row.values().map(Value::to_string).collect();
        assert_eq!(texts, ["none", "yes", "1.5", "x", "y, 2"]);
        assert_eq!(serde_json::from_str::<Row>(&serde_json::to_string(&row).unwrap()).unwrap(), row);
    }
}
