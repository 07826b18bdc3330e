//! Takes over the database of an existing Masakari: segments, hosts, notifications, moves and what its engine told of
//! them, with their identities and numbers, which clients use as markers.
//!
//! It must never change the other database, never overwrite what the register holds, and never take a report for one that
//! is still to be worked on: what was under way there is over.

mod read;

pub use read::{Found, read};

use super::fault::Fault;
use super::link::{Column, Statement, Value};
use super::place::Place;
use super::sql::{Engine, SqlStore};
use super::{galera, sqlite};
use ostler_engine::seam::{Register, StoreError};
use ostler_model::Timestamp;
use ostler_model::ha::{Host, Move, Notification, Segment};

/// Rows that are written in one transaction.
const ROWS_AT_ONCE: usize = 200;

/// What was taken of one kind of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Found there, and fit to be taken.
    pub found: usize,
    /// Taken.
    pub taken: usize,
    /// Taken with another number, since its own was given to another row.
    pub renumbered: usize,
    /// Taken by an earlier import.
    pub there: usize,
}

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Segments.
    pub segments: Tally,
    /// Hosts.
    pub hosts: Tally,
    /// Notifications.
    pub notifications: Tally,
    /// Moves.
    pub moves: Tally,
    /// What the engine told of its work.
    pub steps: Tally,
    /// What the register would not take, and why.
    pub not_taken: Vec<String>,
}

/// What came of one row.
enum Put {
    Taken,
    Renumbered,
    There,
    NameTaken,
}

/// A row that is to be written.
struct Line<'a> {
    table: &'static str,
    columns: &'static str,
    values: Vec<Value<'a>>,
    number: i64,
    id: &'a str,
    /// Its name, where no two may have the same.
    name: Option<&'a str>,
    what: &'static str,
}

/// Writes what was found into the register at `state`; with `dry_run` it only says what it would write.
pub async fn import(state: &str, found: &Found, dry_run: bool) -> Result<Imported, StoreError> {
    match Place::parse(state)? {
        Place::File(path) => SqlStore::new(sqlite::Sqlite::open(path).await?).import(found, dry_run).await,
        Place::Servers(servers) => {
            SqlStore::new(galera::Galera::open(servers).await?).import(found, dry_run).await
        }
    }
}

impl<E: Engine> SqlStore<E> {
    async fn import(&self, found: &Found, dry_run: bool) -> Result<Imported, StoreError> {
        let mut imported = Imported::default();
        let mut not_taken = Vec::new();
        let lines: Vec<Line<'_>> = found.segments.iter().map(segment_line).collect();
        imported.segments = self.put_all(&lines, dry_run, &mut not_taken).await?;
        let lines: Vec<Line<'_>> = found.hosts.iter().map(host_line).collect();
        imported.hosts = self.put_all(&lines, dry_run, &mut not_taken).await?;
        let mut payloads = Vec::with_capacity(found.notifications.len());
        for notification in &found.notifications {
            payloads.push(self.body("a notification", &notification.payload)?);
        }
        let both = found.notifications.iter().zip(&payloads);
        let lines: Vec<Line<'_>> = both.map(|(one, payload)| notification_line(one, payload)).collect();
        imported.notifications = self.put_all(&lines, dry_run, &mut not_taken).await?;
        let lines: Vec<Line<'_>> = found.moves.iter().map(move_line).collect();
        imported.moves = self.put_all(&lines, dry_run, &mut not_taken).await?;
        imported.steps.found = found.steps.len();
        imported.steps.taken = found.steps.len();
        if !dry_run {
            // The same step twice is one.
            self.append_progress(&found.steps).await?;
        }
        imported.not_taken = not_taken;
        Ok(imported)
    }

    async fn put_all(
        &self,
        lines: &[Line<'_>],
        dry_run: bool,
        not_taken: &mut Vec<String>,
    ) -> Result<Tally, StoreError> {
        let mut tally = Tally { found: lines.len(), ..Tally::default() };
        for part in lines.chunks(ROWS_AT_ONCE) {
            if !dry_run {
                let statements: Vec<Statement<'_>> = part.iter().map(|line| insertion(line, true)).collect();
                match self.engine.change(&statements).await {
                    Ok(_) => {
                        tally.taken += part.len();
                        continue;
                    }
                    Err(Fault::Failed(error)) => return Err(error),
                    // One of them is there already: one by one.
                    Err(Fault::Duplicate) => {}
                }
            }
            for line in part {
                match self.put(line, dry_run).await? {
                    Put::Taken => tally.taken += 1,
                    Put::Renumbered => {
                        tally.taken += 1;
                        tally.renumbered += 1;
                    }
                    Put::There => tally.there += 1,
                    Put::NameTaken => not_taken.push(format!(
                        "{} {} ({}): another one of that name is registered",
                        line.what,
                        line.name.unwrap_or_default(),
                        line.id
                    )),
                }
            }
        }
        Ok(tally)
    }

    async fn put(&self, line: &Line<'_>, dry_run: bool) -> Result<Put, StoreError> {
        let table = line.table;
        if self.has(format!("SELECT number FROM {table} WHERE id = ?"), line.id.into()).await? {
            return Ok(Put::There);
        }
        if let Some(name) = line.name {
            let sql = format!("SELECT number FROM {table} WHERE name = ? AND deleted = 0");
            if self.has(sql, name.into()).await? {
                return Ok(Put::NameTaken);
            }
        }
        let is_free =
            !self.has(format!("SELECT number FROM {table} WHERE number = ?"), line.number.into()).await?;
        if !dry_run {
            match self.engine.change(&[insertion(line, is_free)]).await {
                Ok(_) => {}
                Err(Fault::Failed(error)) => return Err(error),
                // Somebody wrote meanwhile: what is there now decides.
                Err(Fault::Duplicate) => return Ok(Put::There),
            }
        }
        Ok(if is_free { Put::Taken } else { Put::Renumbered })
    }

    async fn has(&self, sql: String, value: Value<'_>) -> Result<bool, StoreError> {
        Ok(self.one(Statement::built(sql, vec![value]).giving(&[Column::Integer])).await?.is_some())
    }
}

/// The insertion of a row, with its own number or with the next one.
fn insertion<'a>(line: &'a Line<'a>, with_number: bool) -> Statement<'a> {
    let mut values: Vec<Value<'a>> = line
        .values
        .iter()
        .map(|value| match value {
            Value::Integer(number) => Value::Integer(*number),
            Value::Text(text) => Value::from(text.as_ref()),
            Value::Null => Value::Null,
        })
        .collect();
    let marks = vec!["?"; values.len()].join(", ");
    let (table, columns) = (line.table, line.columns);
    let sql = match with_number {
        true => format!("INSERT INTO {table} ({columns}, number) VALUES ({marks}, ?)"),
        false => format!("INSERT INTO {table} ({columns}) VALUES ({marks})"),
    };
    values.extend(with_number.then_some(Value::Integer(line.number)));
    Statement::built(sql, values)
}

fn time(at: Timestamp) -> Value<'static> {
    at.as_microsecond().into()
}

fn maybe_time(at: Option<Timestamp>) -> Value<'static> {
    at.map_or(Value::Null, time)
}

fn segment_line(segment: &Segment) -> Line<'_> {
    Line {
        table: "ha_segment",
        columns: "id, name, service_type, enabled, description, recovery_method, created, updated",
        values: vec![
            segment.id.as_str().into(),
            segment.name.as_str().into(),
            segment.service_type.as_str().into(),
            segment.enabled.into(),
            segment.description.as_deref().into(),
            segment.recovery_method.word().into(),
            time(segment.created),
            maybe_time(segment.updated),
        ],
        number: segment.number,
        id: segment.id.as_str(),
        name: Some(&segment.name),
        what: "segment",
    }
}

fn host_line(host: &Host) -> Line<'_> {
    Line {
        table: "ha_host",
        columns: "id, name, segment, kind, control_attributes, reserved, on_maintenance, under_recovery, \
                  quarantined, created, updated",
        values: vec![
            host.id.as_str().into(),
            host.name.as_str().into(),
            host.segment.as_str().into(),
            host.kind.as_str().into(),
            host.control_attributes.as_str().into(),
            host.reserved.into(),
            host.on_maintenance.into(),
            host.under_recovery.into(),
            host.quarantined.into(),
            time(host.created),
            maybe_time(host.updated),
        ],
        number: host.number,
        id: host.id.as_str(),
        name: Some(&host.name),
        what: "host",
    }
}

fn notification_line<'a>(taken: &'a Notification, payload: &'a str) -> Line<'a> {
    Line {
        table: "ha_notification",
        columns: "id, generated_at, host, kind, payload, status, segment, message, reporter, created, updated",
        values: vec![
            taken.id.as_str().into(),
            time(taken.generated),
            taken.host.as_str().into(),
            taken.payload.kind().word().into(),
            payload.into(),
            taken.status.word().into(),
            taken.segment.as_ref().map(|id| id.as_str()).into(),
            taken.message.as_deref().into(),
            taken.reporter.as_str().into(),
            time(taken.created),
            maybe_time(taken.updated),
        ],
        number: taken.number,
        id: taken.id.as_str(),
        name: None,
        what: "notification",
    }
}

fn move_line(moved: &Move) -> Line<'_> {
    Line {
        table: "ha_move",
        columns: "id, notification, instance, instance_name, source, destination, started, ended, kind, status, \
                  message, created, updated",
        values: vec![
            moved.id.as_str().into(),
            moved.notification.as_str().into(),
            moved.instance.as_str().into(),
            moved.instance_name.as_str().into(),
            moved.source.as_deref().into(),
            moved.destination.as_deref().into(),
            maybe_time(moved.started),
            maybe_time(moved.ended),
            moved.kind.word().into(),
            moved.status.word().into(),
            moved.message.as_deref().into(),
            time(moved.created),
            maybe_time(moved.updated),
        ],
        number: moved.number,
        id: moved.id.as_str(),
        name: None,
        what: "move",
    }
}
