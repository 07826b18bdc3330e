//! The register of instance HA in a database: segments, hosts, notifications, moves, steps, incidents.
//!
//! As everywhere in the store, each write can be sent a second time after its acknowledgement was lost: an insertion
//! carries its own identity, a change carries its own time or version, and both are looked for before "no" is said.
//!
//! It must never decide what a report asks for, and never give a number twice. It is long because the seam has many
//! questions, each of which is handed on at its end.

mod open;
mod purge;
mod question;
mod rows;

use super::fault::{Fault, unavailable};
use super::link::{Cell, Column, Statement, Value};
use super::sql::{Engine, SqlStore, number};
pub(super) use open::Known;
use ostler_engine::seam::{Fut, Register, StoreError};
use ostler_model::Timestamp;
use ostler_model::ha::list::Query;
use ostler_model::ha::{
    Host, HostChange, Incident, IncidentBody, Joined, Move, Named, Notification, Payload, Progress, Purged,
    Report, Reported, Segment, SegmentChange, Stage, Status, Written,
};
use ostler_model::ids::{HostId, IncidentId, NotificationId, SegmentId};
use rows::{Table, Taken};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// How often a report looks for an incident that was open a moment ago and is closed now.
const REPORT_ROUNDS_MAX: u32 = 20;

/// How often rows are sent of which another writer keeps adding some.
const ADD_ROUNDS_MAX: u32 = 20;

/// Open incidents that are read at once: as many as hosts in the largest cloud.
const OPEN_INCIDENTS_MAX: i64 = 10_000;

/// Steps of one notification that are read: fifty for each of two thousand instances.
const PROGRESS_MAX: i64 = 100_000;

/// Different reports that are kept of one incident: more witnesses would not make it clearer.
const JOINED_MAX: i64 = 1_000;

/// Rows that one statement of several carries; their parameters stay far below the 32,766 of SQLite.
const ROWS_PER_STATEMENT_MAX: usize = 500;

impl<E: Engine> SqlStore<E> {
    async fn list<T: Table>(&self, query: &Query) -> Result<Vec<T>, StoreError> {
        let rows = self.rows(question::question::<T>(query)).await?;
        rows.into_iter().map(|cells| T::read(self, &mut Taken::new(self, T::WHAT, cells))).collect()
    }

    async fn named<T: Table>(&self, named: &Named) -> Result<Option<T>, StoreError> {
        let (column, value) = match named {
            Named::Id(id) => (Some("id"), id.as_str().into()),
            Named::Number(number) => (Some("number"), Value::Integer(*number)),
            Named::Name(name) => (T::expression(ostler_model::ha::list::Field::Name), name.as_str().into()),
        };
        let Some(column) = column else { return Ok(None) };
        let sql = format!("{}{} AND {column} = ?", T::SELECT, T::LIVE);
        let row = self.one(Statement::built(sql, vec![value]).giving(T::COLUMNS)).await?;
        row.map(|cells| T::read(self, &mut Taken::new(self, T::WHAT, cells))).transpose()
    }

    /// What was written, read back: it has its number now.
    async fn written<T: Table>(
        &self,
        id: &str,
        outcome: Result<u64, Fault>,
    ) -> Result<Written<T>, StoreError> {
        match outcome {
            Ok(0) => return Ok(Written::Gone),
            Ok(_) => {}
            Err(Fault::Failed(error)) => return Err(error),
            // Another one has the name; or this one is there already, and its acknowledgement was lost.
            Err(Fault::Duplicate) => {
                return Ok(match self.named::<T>(&Named::Id(id.to_owned())).await? {
                    Some(row) => Written::Done(row),
                    None => Written::NameTaken,
                });
            }
        }
        Ok(match self.named::<T>(&Named::Id(id.to_owned())).await? {
            Some(row) => Written::Done(row),
            None => Written::Gone,
        })
    }

    async fn change_row<T: Table>(
        &self,
        table: &'static str,
        id: &str,
        mut set: Vec<(&'static str, Value<'_>)>,
        at: Timestamp,
    ) -> Result<Written<T>, StoreError> {
        set.push(("updated", at.as_microsecond().into()));
        let columns: Vec<String> = set.iter().map(|(column, _)| format!("{column} = ?")).collect();
        let sql = format!("UPDATE {table} SET {} WHERE id = ? AND deleted = 0", columns.join(", "));
        let mut values: Vec<Value<'_>> = set.into_iter().map(|(_, value)| value).collect();
        values.push(id.into());
        match self.engine.change(&[Statement::built(sql, values)]).await {
            // The row is there, so the name is another's.
            Err(Fault::Duplicate) => Ok(Written::NameTaken),
            outcome => self.written(id, outcome).await,
        }
    }

    /// Whether a row is gone because of this very deletion.
    async fn is_deleted_by(&self, sql: &'static str, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        let row = self.one(Statement::new(sql, vec![id.into()]).giving(&[Column::Integer])).await?;
        Ok(matches!(row.as_deref(), Some([Cell::Integer(deleted)]) if *deleted == at.as_microsecond()))
    }

    async fn insert_segment(&self, segment: &Segment) -> Result<Written<Segment>, StoreError> {
        const SQL: &str = "INSERT INTO ha_segment (id, name, service_type, enabled, description, recovery_method, \
                           created) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let values = vec![
            segment.id.as_str().into(),
            segment.name.as_str().into(),
            segment.service_type.as_str().into(),
            segment.enabled.into(),
            segment.description.as_deref().into(),
            segment.recovery_method.word().into(),
            segment.created.as_microsecond().into(),
        ];
        let outcome = self.engine.change(&[Statement::new(SQL, values)]).await;
        self.written(segment.id.as_str(), outcome).await
    }

    async fn update_segment(
        &self,
        id: &SegmentId,
        change: &SegmentChange,
        at: Timestamp,
    ) -> Result<Written<Segment>, StoreError> {
        let mut set: Vec<(&'static str, Value<'_>)> = Vec::new();
        set.extend(change.name.as_deref().map(|name| ("name", name.into())));
        set.extend(change.service_type.as_deref().map(|text| ("service_type", text.into())));
        set.extend(change.enabled.map(|enabled| ("enabled", enabled.into())));
        set.extend(change.description.as_ref().map(|text| ("description", text.as_deref().into())));
        set.extend(change.recovery_method.map(|method| ("recovery_method", method.word().into())));
        self.change_row("ha_segment", id.as_str(), set, at).await
    }

    async fn remove_segment(&self, id: &SegmentId, at: Timestamp) -> Result<bool, StoreError> {
        const HOSTS: &str =
            "UPDATE ha_host SET deleted = number, deleted_at = ? WHERE segment = ? AND deleted = 0";
        const SEGMENT: &str =
            "UPDATE ha_segment SET deleted = number, deleted_at = ? WHERE id = ? AND deleted = 0";
        let values = || vec![at.as_microsecond().into(), id.as_str().into()];
        let statements = [Statement::new(HOSTS, values()), Statement::new(SEGMENT, values())];
        let matched = self.engine.change(&statements).await.map_err(|fault| self.no_duplicate(fault))?;
        Ok(matched > 0
            || self.is_deleted_by("SELECT deleted_at FROM ha_segment WHERE id = ?", id.as_str(), at).await?)
    }

    async fn insert_host(&self, host: &Host) -> Result<Written<Host>, StoreError> {
        // Only into a segment that is there: it may be deleted at this very moment.
        const SQL: &str = "INSERT INTO ha_host (id, name, segment, kind, control_attributes, reserved, \
                           on_maintenance, under_recovery, quarantined, created) \
                           SELECT ?, ?, id, ?, ?, ?, ?, ?, ?, ? FROM ha_segment WHERE id = ? AND deleted = 0";
        let values = vec![
            host.id.as_str().into(),
            host.name.as_str().into(),
            host.kind.as_str().into(),
            host.control_attributes.as_str().into(),
            host.reserved.into(),
            host.on_maintenance.into(),
            host.under_recovery.into(),
            host.quarantined.into(),
            host.created.as_microsecond().into(),
            host.segment.as_str().into(),
        ];
        let insertion = [Statement::new(SQL, values)];
        let mut outcome = self.engine.change(&insertion).await;
        // Insertions do not wait for what a neighbour has acknowledged; a read does, and then its node has it.
        if matches!(outcome, Ok(0))
            && self.named::<Segment>(&Named::Id(host.segment.to_string())).await?.is_some()
        {
            outcome = self.engine.change(&insertion).await;
        }
        self.written(host.id.as_str(), outcome).await
    }

    async fn update_host(
        &self,
        id: &HostId,
        change: &HostChange,
        at: Timestamp,
    ) -> Result<Written<Host>, StoreError> {
        let mut set: Vec<(&'static str, Value<'_>)> = Vec::new();
        set.extend(change.name.as_deref().map(|name| ("name", name.into())));
        set.extend(change.kind.as_deref().map(|kind| ("kind", kind.into())));
        set.extend(change.control_attributes.as_deref().map(|text| ("control_attributes", text.into())));
        let flags = [
            ("reserved", change.reserved),
            ("on_maintenance", change.on_maintenance),
            ("under_recovery", change.under_recovery),
            ("quarantined", change.quarantined),
        ];
        set.extend(flags.into_iter().filter_map(|(column, flag)| Some((column, Value::from(flag?)))));
        self.change_row("ha_host", id.as_str(), set, at).await
    }

    async fn remove_host(&self, id: &HostId, at: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE ha_host SET deleted = number, deleted_at = ? WHERE id = ? AND deleted = 0";
        let values = vec![at.as_microsecond().into(), id.as_str().into()];
        Ok(self.change(Statement::new(SQL, values)).await? > 0
            || self.is_deleted_by("SELECT deleted_at FROM ha_host WHERE id = ?", id.as_str(), at).await?)
    }

    async fn keep_report(&self, report: &Report) -> Result<Reported, StoreError> {
        let taken = &report.notification;
        let payload = self.body("a notification", &taken.payload)?;
        let body = self.body("an incident", &IncidentBody::default())?;
        for _ in 0..REPORT_ROUNDS_MAX {
            let mut statements = Vec::with_capacity(2);
            if let Some(opening) = &report.opening {
                // First: its key is what decides between two reports at the same moment.
                const SQL: &str = "INSERT INTO ha_incident (id, about, host, segment, notification, opened, stage, \
                                   why, at_work_until, version, body) VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, 1, ?)";
                let values = vec![
                    opening.id.as_str().into(),
                    opening.key.as_str().into(),
                    taken.host.as_str().into(),
                    taken.segment.as_ref().map(|id| id.as_str()).into(),
                    taken.id.as_str().into(),
                    taken.created.as_microsecond().into(),
                    Stage::Open.word().into(),
                    opening.at_work_until.as_microsecond().into(),
                    body.as_str().into(),
                ];
                statements.push(Statement::new(SQL, values));
            }
            statements.push(self.insertion(taken, &payload, report));
            match self.engine.change(&statements).await {
                Ok(_) => return self.kept(&taken.id).await,
                Err(Fault::Failed(error)) => return Err(error),
                Err(Fault::Duplicate) => {}
            }
            let Some(opening) = &report.opening else { return self.kept(&taken.id).await };
            const OPEN: &str = "about = ? AND closed_mark = 0";
            let values = vec![opening.key.as_str().into()];
            match self.incidents_where(OPEN, values).await?.into_iter().next() {
                // Ours: the acknowledgement was lost.
                Some(open) if open.id == opening.id => return self.kept(&taken.id).await,
                Some(open) => {
                    self.join(&open.id, taken, &payload).await?;
                    return Ok(Reported::Joined(open));
                }
                // It was closed a moment ago; or ours was, after a lost acknowledgement.
                None => {
                    if let Some(kept) = self.named::<Notification>(&Named::Id(taken.id.to_string())).await? {
                        return Ok(Reported::Kept(kept));
                    }
                }
            }
        }
        Err(unavailable(
            format!("incidents come and go too fast in {}", self.engine.place()),
            "Nothing was stored. Report again.",
        ))
    }

    fn insertion<'a>(&self, taken: &'a Notification, payload: &'a str, report: &'a Report) -> Statement<'a> {
        const SQL: &str = "INSERT INTO ha_notification (id, generated_at, host, kind, payload, status, segment, \
                           message, incident, reporter, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = vec![
            taken.id.as_str().into(),
            taken.generated.as_microsecond().into(),
            taken.host.as_str().into(),
            taken.payload.kind().word().into(),
            payload.into(),
            taken.status.word().into(),
            taken.segment.as_ref().map(|id| id.as_str()).into(),
            taken.message.as_deref().into(),
            report.opening.as_ref().map(|opening| opening.id.as_str()).into(),
            taken.reporter.as_str().into(),
            taken.created.as_microsecond().into(),
        ];
        Statement::new(SQL, values)
    }

    async fn kept(&self, id: &NotificationId) -> Result<Reported, StoreError> {
        let kept = self.named::<Notification>(&Named::Id(id.to_string())).await?;
        kept.map(Reported::Kept).ok_or_else(|| self.damaged("a notification that was just stored is gone"))
    }

    async fn join(&self, id: &IncidentId, taken: &Notification, payload: &str) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO ha_joined (incident, payload_digest, payload, reporter, generated_at, at) \
                           VALUES (?, ?, ?, ?, ?, ?)";
        let values = vec![
            id.as_str().into(),
            digest(&taken.payload, payload).into(),
            payload.into(),
            taken.reporter.as_str().into(),
            taken.generated.as_microsecond().into(),
            taken.created.as_microsecond().into(),
        ];
        match self.engine.change(&[Statement::new(SQL, values)]).await {
            Ok(_) | Err(Fault::Duplicate) => Ok(()),
            Err(Fault::Failed(error)) => Err(error),
        }
    }

    async fn swap_status(
        &self,
        id: &NotificationId,
        from: Status,
        to: Status,
        message: Option<&str>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str =
            "UPDATE ha_notification SET status = ?, message = ?, updated = ? WHERE id = ? AND status = ?";
        let values = vec![
            to.word().into(),
            message.into(),
            at.as_microsecond().into(),
            id.as_str().into(),
            from.word().into(),
        ];
        if self.change(Statement::new(SQL, values)).await? > 0 {
            return Ok(true);
        }
        // Another was faster, or this very change was made and its acknowledgement lost.
        let now = self.named::<Notification>(&Named::Id(id.to_string())).await?;
        Ok(now.is_some_and(|now| {
            let stored = now.updated.map(Timestamp::as_microsecond);
            now.status == to && stored == Some(at.as_microsecond()) && now.message.as_deref() == message
        }))
    }

    async fn write_moves(&self, moves: &[Move]) -> Result<(), StoreError> {
        for part in moves.chunks(ROWS_PER_STATEMENT_MAX) {
            self.write_some_moves(part).await?;
        }
        Ok(())
    }

    async fn write_some_moves(&self, moves: &[Move]) -> Result<(), StoreError> {
        for _ in 0..ADD_ROUNDS_MAX {
            let there = self.there("SELECT id FROM ha_move WHERE id IN", moves.iter().map(|m| m.id.as_str()));
            let there = there.await?;
            let statements = moves.iter().map(|moved| match there.contains(moved.id.as_str()) {
                true => move_update(moved),
                false => move_insertion(moved),
            });
            match self.engine.change(&statements.collect::<Vec<_>>()).await {
                Ok(_) => return Ok(()),
                Err(Fault::Failed(error)) => return Err(error),
                Err(Fault::Duplicate) => {}
            }
        }
        Err(self.contended("moves"))
    }

    async fn add_progress(&self, steps: &[Progress]) -> Result<(), StoreError> {
        for part in steps.chunks(ROWS_PER_STATEMENT_MAX) {
            self.add_some_progress(part).await?;
        }
        Ok(())
    }

    async fn add_some_progress(&self, steps: &[Progress]) -> Result<(), StoreError> {
        for step in steps {
            self.check_key("step of a recovery", &step.mark)?;
            self.check_key("task of a recovery", &step.task)?;
        }
        let mut left: Vec<&Progress> = steps.iter().collect();
        for _ in 0..ADD_ROUNDS_MAX {
            if left.is_empty() {
                return Ok(());
            }
            let statements: Vec<Statement<'_>> = left.iter().map(|step| step_insertion(step)).collect();
            match self.engine.change(&statements).await {
                Ok(_) => return Ok(()),
                Err(Fault::Failed(error)) => return Err(error),
                Err(Fault::Duplicate) => {}
            }
            let mut there = BTreeSet::new();
            for step in &left {
                const SQL: &str = "SELECT mark FROM ha_progress WHERE notification = ? AND mark = ?";
                let values = vec![step.notification.as_str().into(), step.mark.as_str().into()];
                if self.one(Statement::new(SQL, values).giving(&[Column::Bytes])).await?.is_some() {
                    there.insert((step.notification.clone(), step.mark.clone()));
                }
            }
            // What is there already, and what would be there twice.
            left.retain(|step| there.insert((step.notification.clone(), step.mark.clone())));
        }
        Err(self.contended("steps of a recovery"))
    }

    /// Which of these are there.
    async fn there<'a>(
        &self,
        sql: &'static str,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let values: Vec<Value<'_>> = ids.map(Value::from).collect();
        let rows = self.rows(of_all(sql, values).giving(&[Column::Bytes])).await?;
        rows.into_iter().map(|cells| Taken::new(self, "a row's name", cells).text()).collect()
    }

    fn contended(&self, what: &str) -> StoreError {
        unavailable(
            format!("another program keeps adding the same {what} in {}", self.engine.place()),
            "Nothing was stored. See which other Ostler works on the same incident.",
        )
    }

    async fn incidents_where(
        &self,
        condition: &'static str,
        values: Vec<Value<'_>>,
    ) -> Result<Vec<Incident>, StoreError> {
        let sql = format!("{}{condition}", rows::INCIDENTS);
        let found = self.rows(Statement::built(sql, values).giving(rows::INCIDENT_COLUMNS)).await?;
        found.into_iter().map(|cells| rows::incident(self, cells)).collect()
    }

    async fn incident_of(&self, id: &IncidentId) -> Result<Option<Incident>, StoreError> {
        Ok(self.incidents_where("id = ?", vec![id.as_str().into()]).await?.into_iter().next())
    }

    async fn replace_incident(&self, incident: &Incident) -> Result<Option<Incident>, StoreError> {
        const SQL: &str = "UPDATE ha_incident SET stage = ?, why = ?, at_work_until = ?, closed = ?, \
                           closed_mark = CASE WHEN ? = 1 THEN number ELSE 0 END, version = version + 1, body = ? \
                           WHERE id = ? AND version = ? AND closed_mark = 0";
        let body = self.body("an incident", &incident.body)?;
        let closed = incident.closed.map(Timestamp::as_microsecond);
        let values = vec![
            incident.stage.word().into(),
            incident.why.as_str().into(),
            incident.at_work_until.as_microsecond().into(),
            closed.map_or(Value::Null, Value::Integer),
            incident.closed.is_some().into(),
            body.into(),
            incident.id.as_str().into(),
            Value::Integer(number(incident.version)),
        ];
        let matched = self.change(Statement::new(SQL, values)).await?;
        let micro = |time: Timestamp| Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time);
        let saved = Incident {
            version: incident.version + 1,
            closed: incident.closed.map(micro),
            at_work_until: micro(incident.at_work_until),
            ..incident.clone()
        };
        if matched > 0 {
            return Ok(Some(saved));
        }
        // Another was faster, or this very version was stored and its acknowledgement lost.
        let now = self.incident_of(&incident.id).await?;
        let is_ours = |now: &Incident| {
            (now.version, &now.stage, &now.why, &now.closed, &now.body)
                == (saved.version, &saved.stage, &saved.why, &saved.closed, &saved.body)
        };
        Ok(now.filter(is_ours))
    }

    async fn hold(&self, id: &IncidentId, until: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE ha_incident SET at_work_until = ? WHERE id = ? AND closed_mark = 0";
        let values = vec![until.as_microsecond().into(), id.as_str().into()];
        Ok(self.change(Statement::new(SQL, values)).await? > 0)
    }

    async fn progress_of(&self, id: &NotificationId) -> Result<Vec<Progress>, StoreError> {
        let values = vec![id.as_str().into(), PROGRESS_MAX.into()];
        let found = self.rows(Statement::new(rows::PROGRESS, values).giving(rows::PROGRESS_COLUMNS)).await?;
        found.into_iter().map(|cells| rows::progress(self, cells)).collect()
    }

    async fn joined_to(&self, id: &IncidentId) -> Result<Vec<Joined>, StoreError> {
        let values = vec![id.as_str().into(), JOINED_MAX.into()];
        let found = self.rows(Statement::new(rows::JOINED, values).giving(rows::JOINED_COLUMNS)).await?;
        found.into_iter().map(|cells| rows::joined(self, cells)).collect()
    }
}

/// Tells reports apart by what they say.
fn digest(payload: &Payload, text: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(payload.kind().word());
    hash.update(text);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A statement that ends in `IN`, with its list.
fn of_all<'a>(sql: &'static str, values: Vec<Value<'a>>) -> Statement<'a> {
    let places = vec!["?"; values.len().max(1)].join(", ");
    let values = if values.is_empty() { vec![Value::Null] } else { values };
    Statement::of_rows(format!("{sql} ({places})"), values)
}

fn maybe_time(time: Option<Timestamp>) -> Value<'static> {
    time.map_or(Value::Null, |time| Value::Integer(time.as_microsecond()))
}

fn move_insertion(moved: &Move) -> Statement<'_> {
    const SQL: &str = "INSERT INTO ha_move (notification, instance, instance_name, source, destination, started, \
                       ended, kind, status, message, updated, created, id) \
                       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let mut values = move_values(moved);
    values.push(moved.created.as_microsecond().into());
    values.push(moved.id.as_str().into());
    Statement::new(SQL, values)
}

fn move_update(moved: &Move) -> Statement<'_> {
    const SQL: &str = "UPDATE ha_move SET notification = ?, instance = ?, instance_name = ?, source = ?, \
                       destination = ?, started = ?, ended = ?, kind = ?, status = ?, message = ?, updated = ? \
                       WHERE id = ?";
    let mut values = move_values(moved);
    values.push(moved.id.as_str().into());
    Statement::new(SQL, values)
}

fn move_values(moved: &Move) -> Vec<Value<'_>> {
    vec![
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
        maybe_time(moved.updated),
    ]
}

fn step_insertion(step: &Progress) -> Statement<'_> {
    const SQL: &str = "INSERT INTO ha_progress (notification, mark, task, state, permille, at, message) \
                       VALUES (?, ?, ?, ?, ?, ?, ?)";
    let values = vec![
        step.notification.as_str().into(),
        step.mark.as_str().into(),
        step.task.as_str().into(),
        step.state.word().into(),
        i64::from(step.permille).into(),
        step.at.as_microsecond().into(),
        step.message.as_str().into(),
    ];
    Statement::new(SQL, values)
}

impl<E: Engine> Register for SqlStore<E> {
    fn segments<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Segment>, StoreError>> {
        Box::pin(self.list(query))
    }

    fn segment<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Segment>, StoreError>> {
        Box::pin(self.named(named))
    }

    fn add_segment<'a>(&'a self, segment: &'a Segment) -> Fut<'a, Result<Written<Segment>, StoreError>> {
        Box::pin(self.insert_segment(segment))
    }

    fn change_segment<'a>(
        &'a self,
        id: &'a SegmentId,
        change: &'a SegmentChange,
        at: Timestamp,
    ) -> Fut<'a, Result<Written<Segment>, StoreError>> {
        Box::pin(self.update_segment(id, change, at))
    }

    fn delete_segment<'a>(&'a self, id: &'a SegmentId, at: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.remove_segment(id, at))
    }

    fn hosts<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Host>, StoreError>> {
        Box::pin(self.list(query))
    }

    fn host<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Host>, StoreError>> {
        Box::pin(self.named(named))
    }

    fn add_host<'a>(&'a self, host: &'a Host) -> Fut<'a, Result<Written<Host>, StoreError>> {
        Box::pin(self.insert_host(host))
    }

    fn change_host<'a>(
        &'a self,
        id: &'a HostId,
        change: &'a HostChange,
        at: Timestamp,
    ) -> Fut<'a, Result<Written<Host>, StoreError>> {
        Box::pin(self.update_host(id, change, at))
    }

    fn delete_host<'a>(&'a self, id: &'a HostId, at: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.remove_host(id, at))
    }

    fn notifications<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Notification>, StoreError>> {
        Box::pin(self.list(query))
    }

    fn notification<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Notification>, StoreError>> {
        Box::pin(self.named(named))
    }

    fn report<'a>(&'a self, report: &'a Report) -> Fut<'a, Result<Reported, StoreError>> {
        Box::pin(self.keep_report(report))
    }

    fn set_status<'a>(
        &'a self,
        id: &'a NotificationId,
        from: Status,
        to: Status,
        message: Option<&'a str>,
        at: Timestamp,
    ) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.swap_status(id, from, to, message, at))
    }

    fn moves<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Move>, StoreError>> {
        Box::pin(self.list(query))
    }

    fn a_move<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Move>, StoreError>> {
        Box::pin(self.named(named))
    }

    fn keep_moves<'a>(&'a self, moves: &'a [Move]) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.write_moves(moves))
    }

    fn append_progress<'a>(&'a self, steps: &'a [Progress]) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.add_progress(steps))
    }

    fn progress<'a>(&'a self, id: &'a NotificationId) -> Fut<'a, Result<Vec<Progress>, StoreError>> {
        Box::pin(self.progress_of(id))
    }

    fn open_incidents(&self) -> Fut<'_, Result<Vec<Incident>, StoreError>> {
        Box::pin(self.all_open())
    }

    fn incidents(&self, limit: u32) -> Fut<'_, Result<Vec<Incident>, StoreError>> {
        Box::pin(
            self.incidents_where("number > 0 ORDER BY number DESC LIMIT ?", vec![i64::from(limit).into()]),
        )
    }

    fn incident<'a>(&'a self, id: &'a IncidentId) -> Fut<'a, Result<Option<Incident>, StoreError>> {
        Box::pin(self.incident_of(id))
    }

    fn save_incident<'a>(&'a self, incident: &'a Incident) -> Fut<'a, Result<Option<Incident>, StoreError>> {
        Box::pin(self.replace_incident(incident))
    }

    fn hold_incident<'a>(
        &'a self,
        id: &'a IncidentId,
        until: Timestamp,
    ) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.hold(id, until))
    }

    fn joined<'a>(&'a self, id: &'a IncidentId) -> Fut<'a, Result<Vec<Joined>, StoreError>> {
        Box::pin(self.joined_to(id))
    }

    fn purge(&self, before: Timestamp, rows: u32) -> Fut<'_, Result<Purged, StoreError>> {
        Box::pin(self.purge_all(before, rows))
    }
}
