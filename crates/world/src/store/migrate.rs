//! The state's schema: which version a database holds, and the numbered steps from one version to the next.
//!
//! A step must only ever add: while replicas are upgraded one after the other, the older Ostler works on with the
//! newer schema. A step that an older Ostler could not live with raises `reader`, and that Ostler then refuses the
//! state. A step for MySQL must be repeatable, because definitions are not part of any transaction there.
//!
//! It must never create its tables beside somebody else's.

use super::fault::{corrupt, too_new, unavailable};
use super::link::{Cell, Column, Link, Statement};
use ostler_engine::seam::StoreError;

/// What the two engines differ in.
pub(super) struct Dialect {
    /// The steps: the first makes version 1.
    steps: &'static [&'static str],
    /// The tables that are there.
    tables: &'static str,
    /// What makes all steps one change, where definitions can be part of a transaction.
    transaction: Option<(&'static str, &'static str)>,
}

/// SQLite.
pub(super) const SQLITE: Dialect = Dialect {
    steps: &[
        include_str!("migrations/sqlite-0001.sql"),
        include_str!("migrations/sqlite-0002.sql"),
        include_str!("migrations/sqlite-0003.sql"),
        include_str!("migrations/sqlite-0004.sql"),
    ],
    tables: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'",
    transaction: Some(("BEGIN IMMEDIATE", "COMMIT")),
};

/// MySQL and MariaDB.
pub(super) const MYSQL: Dialect = Dialect {
    steps: &[
        include_str!("migrations/mysql-0001.sql"),
        include_str!("migrations/mysql-0002.sql"),
        include_str!("migrations/mysql-0003.sql"),
        include_str!("migrations/mysql-0004.sql"),
    ],
    tables: "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
    transaction: None,
};

/// Every table of the newest version.
const OURS: [&str; 14] = [
    "ostler_schema",
    "entry",
    "plan",
    "inventory",
    "lease",
    "note",
    "record",
    "ha_segment",
    "ha_host",
    "ha_notification",
    "ha_move",
    "ha_progress",
    "ha_incident",
    "ha_joined",
];

const VERSION: &str = "SELECT version, reader FROM ostler_schema WHERE one = 1";

/// Why a state could not be brought to the newest version.
#[derive(Debug)]
pub(super) enum Unmigrated {
    /// The database failed.
    Sql(sqlx::Error),
    /// It is not ours to use.
    Refused(StoreError),
}

impl From<sqlx::Error> for Unmigrated {
    fn from(error: sqlx::Error) -> Self {
        Unmigrated::Sql(error)
    }
}

/// Brings a state to the newest version that this program knows; one that is there already costs one small read.
pub(super) async fn migrate(link: &mut dyn Link, dialect: &Dialect, place: &str) -> Result<(), Unmigrated> {
    let newest = i64::try_from(dialect.steps.len()).unwrap_or(i64::MAX);
    let version = match version(link).await {
        Ok(found) => check(found, newest, place)?,
        Err(error) if is_missing_table(&error) => 0,
        Err(error) => return Err(error.into()),
    };
    if version >= newest {
        return Ok(());
    }
    if let Some((begin, _)) = dialect.transaction {
        link.script(begin).await?;
    }
    let tables = link.read(&Statement::new(dialect.tables, vec![]).giving(&[Column::Bytes])).await?;
    let tables: Vec<String> = tables.into_iter().flatten().filter_map(text).collect();
    if let Some(theirs) = tables.iter().find(|table| !OURS.contains(&table.as_str())) {
        return Err(Unmigrated::Refused(unavailable(
            format!("{place} holds another program's data (table {theirs}), so Ostler keeps nothing there"),
            "Nothing was changed. Give Ostler a file or a database of its own with --state.",
        )));
    }
    // Another Ostler may have been faster; within the transaction the answer stands.
    let version = match tables.iter().any(|table| table == "ostler_schema") {
        true => version_again(link, newest, place).await?,
        false => 0,
    };
    for step in dialect.steps.iter().skip(usize::try_from(version).unwrap_or(0)) {
        link.script(step).await?;
    }
    if let Some((_, commit)) = dialect.transaction {
        link.script(commit).await?;
    }
    match version_again(link, newest, place).await? {
        0 => Err(Unmigrated::Refused(corrupt(
            format!("{place} holds tables of an Ostler but no version of them"),
            "Nothing was lost by this start. Restore the state from a copy, or choose another place with --state.",
        ))),
        _ => Ok(()),
    }
}

async fn version(link: &mut dyn Link) -> sqlx::Result<Option<(i64, i64)>> {
    let rows =
        link.read(&Statement::new(VERSION, vec![]).giving(&[Column::Integer, Column::Integer])).await?;
    Ok(match rows.first().map(Vec::as_slice) {
        Some([Cell::Integer(version), Cell::Integer(reader)]) => Some((*version, *reader)),
        _ => None,
    })
}

async fn version_again(link: &mut dyn Link, newest: i64, place: &str) -> Result<i64, Unmigrated> {
    check(version(link).await?, newest, place)
}

/// The version, unless it needs a newer program. A table without a row is a first step that stopped half-way.
fn check(found: Option<(i64, i64)>, newest: i64, place: &str) -> Result<i64, Unmigrated> {
    match found {
        Some((_, reader)) if reader > newest => {
            Err(Unmigrated::Refused(too_new(format!("the state in {place}"), reader, newest)))
        }
        Some((version, _)) => Ok(version.max(0)),
        None => Ok(0),
    }
}

/// Whether a read failed for want of the table: 1146 of MySQL; SQLite has only its general code, 1.
fn is_missing_table(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    match error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        Some(error) => error.number() == 1146,
        None => error.code().is_some_and(|code| code == "1"),
    }
}

fn text(cell: Cell) -> Option<String> {
    match cell {
        Cell::Bytes(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}
