//! Records beside runs and plans: kept by name, asked for by time, taken away by age.
//!
//! It must never bring more than its bounds: a question for a month is answered in portions of rows, and a body that is
//! too long is said to be damaged.

use super::link::{Cell, Column, Statement};
use super::sql::{Engine, SqlStore, bound};
use ostler_engine::seam::StoreError;
use ostler_model::Timestamp;
use ostler_model::limits::STORED_BODY_BYTES_MAX;
use ostler_model::record::{RECORDS_MAX, Record, RecordQuery};

/// Bytes of the longest record that is taken: the spans and trials that there are stay far below it.
const RECORD_BYTES_MAX: usize = 4 << 20;

/// Names that one statement takes away.
const NAMES_PER_STATEMENT_MAX: usize = 500;

const _: () = assert!(RECORD_BYTES_MAX <= STORED_BODY_BYTES_MAX, "what is kept can be read");

impl<E: Engine> SqlStore<E> {
    pub(super) async fn record(&self, record: &Record) -> Result<(), StoreError> {
        self.check_key("record's kind", &record.kind)?;
        self.check_key("record's subject", &record.subject)?;
        self.check_key("record", &record.name)?;
        if record.body.len() > RECORD_BYTES_MAX {
            return Err(StoreError::Unavailable {
                what: format!(
                    "record {} has {} bytes; {} keeps {RECORD_BYTES_MAX} at most",
                    record.name,
                    record.body.len(),
                    self.engine.place()
                ),
                hint: Some("Nothing was stored. Watch fewer services at once.".to_owned()),
            });
        }
        const SQL: &str = "REPLACE INTO record (kind, subject, name, at, body) VALUES (?, ?, ?, ?, ?)";
        let values = vec![
            record.kind.as_str().into(),
            record.subject.as_str().into(),
            record.name.as_str().into(),
            record.at.as_microsecond().into(),
            record.body.as_str().into(),
        ];
        self.change(Statement::new(SQL, values)).await?;
        Ok(())
    }

    pub(super) async fn records_of(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        const SQL: &str = "SELECT name, at, CASE WHEN OCTET_LENGTH(body) <= ? THEN body END FROM record \
                           WHERE kind = ? AND subject = ? AND at >= ? AND at < ? \
                           ORDER BY at DESC, name DESC LIMIT ?";
        let values = vec![
            bound(),
            query.kind.as_str().into(),
            query.subject.as_str().into(),
            query.from.as_microsecond().into(),
            query.until.as_microsecond().into(),
            i64::from(query.limit.min(RECORDS_MAX)).into(),
        ];
        const COLUMNS: &[Column] = &[Column::Bytes, Column::Integer, Column::Bytes];
        let rows = self.rows(Statement::new(SQL, values).giving(COLUMNS)).await?;
        let row = |row: Vec<Cell>| match row.as_slice() {
            [name, at, body] => Ok(Record {
                kind: query.kind.clone(),
                subject: query.subject.clone(),
                name: self.text("a record's name", name)?,
                at: self.time("a record's time", at)?,
                body: self.text("a record", body)?,
            }),
            _ => Err(self.damaged("the list of records")),
        };
        rows.into_iter().map(row).collect()
    }

    pub(super) async fn forget_record(
        &self,
        kind: &str,
        subject: &str,
        name: &str,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM record WHERE kind = ? AND subject = ? AND name = ?";
        let values = vec![kind.into(), subject.into(), name.into()];
        Ok(self.change(Statement::new(SQL, values)).await? > 0)
    }

    pub(super) async fn forget_old_records(
        &self,
        kind: &str,
        subject: &str,
        before: Timestamp,
        rows: u32,
    ) -> Result<u64, StoreError> {
        const SQL: &str =
            "SELECT name FROM record WHERE kind = ? AND subject = ? AND at < ? ORDER BY at, name LIMIT ?";
        let values =
            vec![kind.into(), subject.into(), before.as_microsecond().into(), i64::from(rows).into()];
        let old = self.rows(Statement::new(SQL, values).giving(&[Column::Bytes])).await?;
        let names: Vec<String> =
            old.iter().flatten().map(|cell| self.text("a record's name", cell)).collect::<Result<_, _>>()?;
        let mut gone = 0;
        for part in names.chunks(NAMES_PER_STATEMENT_MAX) {
            let places = vec!["?"; part.len()].join(", ");
            let sql = format!("DELETE FROM record WHERE kind = ? AND subject = ? AND name IN ({places})");
            let mut values = vec![kind.into(), subject.into()];
            values.extend(part.iter().map(|name| name.as_str().into()));
            gone += self.change(Statement::of_rows(sql, values)).await?;
        }
        Ok(gone)
    }
}
