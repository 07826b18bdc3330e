//! The tables of the register: their columns, and what a row means.
//!
//! It must never trust a row: a word that is not one of its kind is damage, and said to be.

use super::super::link::{Cell, Cells, Column};
use super::super::sql::{Engine, SqlStore};
use ostler_engine::seam::StoreError;
use ostler_model::Timestamp;
use ostler_model::ha::list::{Field, NO_TIME, Row};
use ostler_model::ha::{
    Host, INCIDENT_FORMAT, Incident, IncidentBody, IncidentKey, Joined, Move, MoveKind, MoveStatus,
    Notification, Progress, RecoveryMethod, Segment, Stage, Status, TaskState,
};

/// A table whose rows are listed.
pub(super) trait Table: Row {
    /// `SELECT` of all its columns, up to and without the first condition.
    const SELECT: &'static str;
    /// The condition that a row is there for everybody.
    const LIVE: &'static str;
    /// How to take its columns.
    const COLUMNS: &'static [Column];
    /// What an operator calls a row.
    const WHAT: &'static str;
    /// The expression of a field. Absent times and texts are made as [`Row::field`] has them.
    fn expression(field: Field) -> Option<&'static str>;
    /// What a row means.
    fn read<E: Engine>(store: &SqlStore<E>, cells: &mut Taken<'_, E>) -> Result<Self, StoreError>;
}

const I: Column = Column::Integer;
const B: Column = Column::Bytes;

/// The columns of a row, taken one after the other.
pub(super) struct Taken<'a, E> {
    store: &'a SqlStore<E>,
    what: &'static str,
    cells: std::vec::IntoIter<Cell>,
}

impl<'a, E: Engine> Taken<'a, E> {
    pub(super) fn new(store: &'a SqlStore<E>, what: &'static str, cells: Cells) -> Self {
        Self { store, what, cells: cells.into_iter() }
    }

    fn damaged(&self) -> StoreError {
        self.store.damaged(self.what)
    }

    pub(super) fn number(&mut self) -> Result<i64, StoreError> {
        match self.cells.next() {
            Some(Cell::Integer(number)) => Ok(number),
            _ => Err(self.damaged()),
        }
    }

    fn truth(&mut self) -> Result<bool, StoreError> {
        Ok(self.number()? != 0)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        let microsecond = self.number()?;
        Timestamp::from_microsecond(microsecond).map_err(|_| self.damaged())
    }

    pub(super) fn maybe_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        match self.cells.next() {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Integer(time)) => {
                Timestamp::from_microsecond(time).map(Some).map_err(|_| self.damaged())
            }
            _ => Err(self.damaged()),
        }
    }

    fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.cells.next() {
            Some(Cell::Bytes(bytes)) => Ok(bytes),
            _ => Err(self.damaged()),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        String::from_utf8(self.bytes()?).map_err(|_| self.damaged())
    }

    fn maybe_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.cells.next() {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Bytes(bytes)) => String::from_utf8(bytes).map(Some).map_err(|_| self.damaged()),
            _ => Err(self.damaged()),
        }
    }

    fn word<T>(&mut self, of: fn(&str) -> Option<T>) -> Result<T, StoreError> {
        of(&self.text()?).ok_or_else(|| self.damaged())
    }

    fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        serde_json::from_slice(&self.bytes()?).map_err(|_| self.damaged())
    }
}

impl Table for Segment {
    const SELECT: &'static str = "SELECT number, id, name, service_type, enabled, description, recovery_method, \
                                  created, updated FROM ha_segment WHERE ";
    const LIVE: &'static str = "deleted = 0";
    const COLUMNS: &'static [Column] = &[I, B, B, B, I, B, B, I, I];
    const WHAT: &'static str = "a segment";

    fn expression(field: Field) -> Option<&'static str> {
        Some(match field {
            Field::Number => "number",
            Field::Id => "id",
            Field::Name => "name",
            Field::Created => "created",
            Field::Updated => UPDATED,
            Field::ServiceType => "service_type",
            Field::Enabled => "enabled",
            Field::Description => "COALESCE(description, '')",
            Field::RecoveryMethod => "recovery_method",
            _ => return None,
        })
    }

    fn read<E: Engine>(_: &SqlStore<E>, row: &mut Taken<'_, E>) -> Result<Self, StoreError> {
        Ok(Segment {
            number: row.number()?,
            id: row.text()?.as_str().into(),
            name: row.text()?,
            service_type: row.text()?,
            enabled: row.truth()?,
            description: row.maybe_text()?,
            recovery_method: row.word(RecoveryMethod::of)?,
            created: row.time()?,
            updated: row.maybe_time()?,
        })
    }
}

impl Table for Host {
    const SELECT: &'static str = "SELECT number, id, name, segment, kind, control_attributes, reserved, \
                                  on_maintenance, under_recovery, quarantined, created, updated FROM ha_host WHERE ";
    const LIVE: &'static str = "deleted = 0";
    const COLUMNS: &'static [Column] = &[I, B, B, B, B, B, I, I, I, I, I, I];
    const WHAT: &'static str = "a host";

    fn expression(field: Field) -> Option<&'static str> {
        Some(match field {
            Field::Number => "number",
            Field::Id => "id",
            Field::Name => "name",
            Field::Created => "created",
            Field::Updated => UPDATED,
            Field::Segment => "segment",
            Field::Kind => "kind",
            Field::ControlAttributes => "control_attributes",
            Field::Reserved => "reserved",
            Field::Out => "CASE WHEN on_maintenance + under_recovery + quarantined > 0 THEN 1 ELSE 0 END",
            _ => return None,
        })
    }

    fn read<E: Engine>(_: &SqlStore<E>, row: &mut Taken<'_, E>) -> Result<Self, StoreError> {
        Ok(Host {
            number: row.number()?,
            id: row.text()?.as_str().into(),
            name: row.text()?,
            segment: row.text()?.as_str().into(),
            kind: row.text()?,
            control_attributes: row.text()?,
            reserved: row.truth()?,
            on_maintenance: row.truth()?,
            under_recovery: row.truth()?,
            quarantined: row.truth()?,
            created: row.time()?,
            updated: row.maybe_time()?,
        })
    }
}

impl Table for Notification {
    const SELECT: &'static str = "SELECT number, id, generated_at, host, payload, status, segment, message, incident, \
                                  reporter, created, updated FROM ha_notification WHERE ";
    const LIVE: &'static str = "number > 0";
    const COLUMNS: &'static [Column] = &[I, B, I, B, B, B, B, B, B, B, I, I];
    const WHAT: &'static str = "a notification";

    fn expression(field: Field) -> Option<&'static str> {
        Some(match field {
            Field::Number => "number",
            Field::Id => "id",
            Field::Created => "created",
            Field::Updated => UPDATED,
            Field::Generated => "generated_at",
            Field::Host => "host",
            Field::Kind => "kind",
            Field::Payload => "payload",
            Field::Status => "status",
            Field::Segment => "COALESCE(segment, '')",
            Field::Message => "COALESCE(message, '')",
            _ => return None,
        })
    }

    fn read<E: Engine>(_: &SqlStore<E>, row: &mut Taken<'_, E>) -> Result<Self, StoreError> {
        Ok(Notification {
            number: row.number()?,
            id: row.text()?.as_str().into(),
            generated: row.time()?,
            host: row.text()?.as_str().into(),
            payload: row.json()?,
            status: row.word(Status::of)?,
            segment: row.maybe_text()?.map(|id| id.as_str().into()),
            message: row.maybe_text()?,
            incident: row.maybe_text()?.map(|id| id.as_str().into()),
            reporter: row.text()?,
            created: row.time()?,
            updated: row.maybe_time()?,
        })
    }
}

impl Table for Move {
    const SELECT: &'static str = "SELECT number, id, notification, instance, instance_name, source, destination, \
                                  started, ended, kind, status, message, created, updated FROM ha_move WHERE ";
    const LIVE: &'static str = "number > 0";
    const COLUMNS: &'static [Column] = &[I, B, B, B, B, B, B, I, I, B, B, B, I, I];
    const WHAT: &'static str = "a move";

    fn expression(field: Field) -> Option<&'static str> {
        Some(match field {
            Field::Number => "number",
            Field::Id => "id",
            Field::Name => "instance_name",
            Field::Created => "created",
            Field::Updated => UPDATED,
            Field::Notification => "notification",
            Field::Instance => "instance",
            Field::Source => "COALESCE(source, '')",
            Field::Destination => "COALESCE(destination, '')",
            Field::Started => "COALESCE(started, -9000000000000000000)",
            Field::Ended => "COALESCE(ended, -9000000000000000000)",
            Field::Kind => "kind",
            Field::Status => "status",
            Field::Message => "COALESCE(message, '')",
            _ => return None,
        })
    }

    fn read<E: Engine>(_: &SqlStore<E>, row: &mut Taken<'_, E>) -> Result<Self, StoreError> {
        Ok(Move {
            number: row.number()?,
            id: row.text()?.as_str().into(),
            notification: row.text()?.as_str().into(),
            instance: row.text()?.as_str().into(),
            instance_name: row.text()?,
            source: row.maybe_text()?,
            destination: row.maybe_text()?,
            started: row.maybe_time()?,
            ended: row.maybe_time()?,
            kind: row.word(MoveKind::of)?,
            status: row.word(MoveStatus::of)?,
            message: row.maybe_text()?,
            created: row.time()?,
            updated: row.maybe_time()?,
        })
    }
}

const UPDATED: &str = "COALESCE(updated, -9000000000000000000)";
const _: () = assert!(NO_TIME == -9_000_000_000_000_000_000, "the literals above are this time");

/// Incidents, up to the first condition.
pub(super) const INCIDENTS: &str = "SELECT id, about, host, segment, notification, opened, closed, stage, why, \
                                    at_work_until, version, body FROM ha_incident WHERE ";

/// How to take them.
pub(super) const INCIDENT_COLUMNS: &[Column] = &[B, B, B, B, B, I, I, B, B, I, I, B];

/// What such a row means.
pub(super) fn incident<E: Engine>(store: &SqlStore<E>, cells: Cells) -> Result<Incident, StoreError> {
    let mut row = Taken::new(store, "an incident", cells);
    let mut incident = Incident {
        id: row.text()?.as_str().into(),
        key: IncidentKey::new(row.text()?),
        host: row.text()?.as_str().into(),
        segment: row.maybe_text()?.map(|id| id.as_str().into()),
        notification: row.text()?.as_str().into(),
        opened: row.time()?,
        closed: row.maybe_time()?,
        stage: row.word(Stage::of)?,
        why: row.text()?,
        at_work_until: row.time()?,
        version: row.number()?.unsigned_abs(),
        body: IncidentBody::default(),
    };
    let what = format!("incident {}", incident.id);
    let body = Cell::Bytes(row.bytes()?);
    incident.body = store.decode(&what, INCIDENT_FORMAT, &body, |body: &IncidentBody| body.format)?;
    Ok(incident)
}

/// Steps of a notification.
pub(super) const PROGRESS: &str = "SELECT notification, mark, task, state, permille, at, message FROM ha_progress \
                                   WHERE notification = ? ORDER BY number LIMIT ?";

/// How to take them.
pub(super) const PROGRESS_COLUMNS: &[Column] = &[B, B, B, B, I, I, B];

/// What such a row means.
pub(super) fn progress<E: Engine>(store: &SqlStore<E>, cells: Cells) -> Result<Progress, StoreError> {
    let mut row = Taken::new(store, "a step of a recovery", cells);
    Ok(Progress {
        notification: row.text()?.as_str().into(),
        mark: row.text()?,
        task: row.text()?,
        state: row.word(TaskState::of)?,
        permille: u16::try_from(row.number()?).map_err(|_| store.damaged("a step of a recovery"))?,
        at: row.time()?,
        message: row.text()?,
    })
}

/// What joined an incident.
pub(super) const JOINED: &str = "SELECT incident, reporter, payload, generated_at, at FROM ha_joined \
                                 WHERE incident = ? ORDER BY number LIMIT ?";

/// How to take it.
pub(super) const JOINED_COLUMNS: &[Column] = &[B, B, B, I, I];

/// What such a row means.
pub(super) fn joined<E: Engine>(store: &SqlStore<E>, cells: Cells) -> Result<Joined, StoreError> {
    let mut row = Taken::new(store, "a report", cells);
    Ok(Joined {
        incident: row.text()?.as_str().into(),
        reporter: row.text()?,
        payload: row.json()?,
        generated: row.time()?,
        at: row.time()?,
    })
}
