//! The register of instance HA in memory, with the promises of the real ones: numbers never repeat, names are unique
//! among what is there, an incident is open once for a key.
//!
//! It must never order or cut a list by rules of its own: those are the model's.

use crate::store::{Kept, MemoryStore};
use ostler_engine::seam::{Fut, Register, StoreError};
use ostler_model::Timestamp;
use ostler_model::ha::list::{Query, ROWS_MAX, Row};
use ostler_model::ha::{
    Host, HostChange, Incident, IncidentBody, Joined, Move, Named, Notification, Progress, Purged, Report,
    Reported, Segment, SegmentChange, Stage, Status, Written,
};
use ostler_model::ids::{HostId, IncidentId, NotificationId, SegmentId};

/// What the register holds.
#[derive(Debug, Default)]
pub(crate) struct Books {
    last_number: i64,
    segments: Vec<(Segment, Option<Timestamp>)>,
    hosts: Vec<(Host, Option<Timestamp>)>,
    notifications: Vec<Notification>,
    moves: Vec<Move>,
    progress: Vec<Progress>,
    incidents: Vec<Incident>,
    joined: Vec<Joined>,
}

impl Books {
    fn next(&mut self) -> i64 {
        self.last_number += 1;
        self.last_number
    }

    /// The sum of all incidents' versions.
    pub(crate) fn versions(&self) -> u64 {
        self.incidents.iter().map(|incident| incident.version).sum()
    }

    fn live_segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|(_, deleted)| deleted.is_none()).map(|(segment, _)| segment)
    }

    fn live_hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|(_, deleted)| deleted.is_none()).map(|(host, _)| host)
    }

    fn report(&mut self, report: &Report) -> Reported {
        let taken = &report.notification;
        if let Some(kept) = self.notifications.iter().find(|kept| kept.id == taken.id) {
            return Reported::Kept(kept.clone());
        }
        if let Some(opening) = &report.opening {
            let open = self.incidents.iter().find(|known| known.key == opening.key && known.closed.is_none());
            if let Some(open) = open.cloned() {
                let is_same = |known: &&Joined| known.incident == open.id && known.payload == taken.payload;
                if self.joined.iter().find(is_same).is_none() {
                    self.joined.push(Joined {
                        incident: open.id.clone(),
                        reporter: taken.reporter.clone(),
                        payload: taken.payload.clone(),
                        generated: taken.generated,
                        at: taken.created,
                    });
                }
                return Reported::Joined(open);
            }
            self.incidents.push(Incident {
                id: opening.id.clone(),
                key: opening.key.clone(),
                host: taken.host.clone(),
                segment: taken.segment.clone(),
                notification: taken.id.clone(),
                opened: taken.created,
                closed: None,
                stage: Stage::Open,
                why: String::new(),
                at_work_until: opening.at_work_until,
                version: 1,
                body: IncidentBody::default(),
            });
        }
        let incident = report.opening.as_ref().map(|opening| opening.id.clone());
        let kept = Notification { number: self.next(), incident, updated: None, ..taken.clone() };
        self.notifications.push(kept.clone());
        Reported::Kept(kept)
    }

    fn purge(&mut self, before: Timestamp, rows: u32) -> Purged {
        let rows = rows as usize;
        let mut purged = Purged::default();
        let is_old = |deleted: &Option<Timestamp>| deleted.is_some_and(|at| at < before);
        purged.incidents = take(&mut self.incidents, rows, |known| is_old(&known.closed)).len() as u64;
        let (incidents, before_joined) = (&self.incidents, self.joined.len());
        self.joined.retain(|joined| incidents.iter().any(|known| known.id == joined.incident));
        purged.joined = (before_joined - self.joined.len()) as u64;
        let is_over = |known: &Notification| {
            matches!(known.status, Status::Finished | Status::Failed | Status::Ignored)
                && known.updated.unwrap_or(known.created) < before
                && !incidents
                    .iter()
                    .any(|open| known.incident.as_ref() == Some(&open.id) && open.closed.is_none())
        };
        let gone = take(&mut self.notifications, rows, is_over);
        purged.notifications = gone.len() as u64;
        let is_of_gone = |id: &NotificationId| gone.iter().any(|known| known.id == *id);
        purged.moves =
            take(&mut self.moves, usize::MAX, |moved| is_of_gone(&moved.notification)).len() as u64;
        purged.progress =
            take(&mut self.progress, usize::MAX, |step| is_of_gone(&step.notification)).len() as u64;
        purged.hosts = take(&mut self.hosts, rows, |(_, deleted)| is_old(deleted)).len() as u64;
        purged.segments = take(&mut self.segments, rows, |(_, deleted)| is_old(deleted)).len() as u64;
        purged
    }
}

/// Takes away and answers at most so many.
fn take<T>(from: &mut Vec<T>, most: usize, is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
    let mut taken = Vec::new();
    let mut kept = Vec::with_capacity(from.len());
    for one in from.drain(..) {
        match taken.len() < most && is_wanted(&one) {
            true => taken.push(one),
            false => kept.push(one),
        }
    }
    *from = kept;
    taken
}

fn is_named<R: Row>(row: &R, named: &Named) -> bool {
    use ostler_model::ha::list::{Field, Value};
    match named {
        Named::Id(id) => row.field(Field::Id) == Some(Value::from(id.as_str())),
        Named::Number(number) => row.number() == *number,
        Named::Name(name) => row.field(Field::Name) == Some(Value::from(name.as_str())),
    }
}

fn cut(query: &Query) -> Query {
    Query { limit: query.limit.min(ROWS_MAX), ..query.clone() }
}

impl MemoryStore {
    /// Answers from what is kept.
    fn books<'a, T: Send + 'a>(
        &'a self,
        work: impl FnOnce(&mut Books) -> T + Send + 'a,
    ) -> Fut<'a, Result<T, StoreError>> {
        Box::pin(async move {
            let mut kept = self.kept();
            let Kept { books, .. } = &mut *kept;
            Ok(work(books))
        })
    }
}

impl Register for MemoryStore {
    fn segments<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Segment>, StoreError>> {
        self.books(|books| cut(query).of(books.live_segments().cloned()))
    }

    fn segment<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Segment>, StoreError>> {
        self.books(|books| books.live_segments().find(|row| is_named(*row, named)).cloned())
    }

    fn add_segment<'a>(&'a self, segment: &'a Segment) -> Fut<'a, Result<Written<Segment>, StoreError>> {
        self.books(|books| {
            if let Some(there) = books.live_segments().find(|row| row.id == segment.id) {
                return Written::Done(there.clone());
            }
            if books.live_segments().any(|row| row.name == segment.name) {
                return Written::NameTaken;
            }
            let segment = Segment { number: books.next(), updated: None, ..segment.clone() };
            books.segments.push((segment.clone(), None));
            Written::Done(segment)
        })
    }

    fn change_segment<'a>(
        &'a self,
        id: &'a SegmentId,
        change: &'a SegmentChange,
        at: Timestamp,
    ) -> Fut<'a, Result<Written<Segment>, StoreError>> {
        self.books(move |books| {
            let is_taken =
                |name: &String| books.live_segments().any(|row| row.name == *name && row.id != *id);
            if change.name.as_ref().is_some_and(is_taken) {
                return Written::NameTaken;
            }
            let found = books.segments.iter_mut().find(|(row, deleted)| row.id == *id && deleted.is_none());
            let Some((segment, _)) = found else { return Written::Gone };
            set(&mut segment.name, &change.name);
            set(&mut segment.service_type, &change.service_type);
            set(&mut segment.enabled, &change.enabled);
            set(&mut segment.description, &change.description);
            set(&mut segment.recovery_method, &change.recovery_method);
            segment.updated = Some(at);
            Written::Done(segment.clone())
        })
    }

    fn delete_segment<'a>(&'a self, id: &'a SegmentId, at: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        self.books(move |books| {
            for (host, deleted) in &mut books.hosts {
                if host.segment == *id && deleted.is_none() {
                    *deleted = Some(at);
                }
            }
            let found = books.segments.iter_mut().find(|(row, deleted)| row.id == *id && deleted.is_none());
            found.map(|(_, deleted)| *deleted = Some(at)).is_some()
        })
    }

    fn hosts<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Host>, StoreError>> {
        self.books(|books| cut(query).of(books.live_hosts().cloned()))
    }

    fn host<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Host>, StoreError>> {
        self.books(|books| books.live_hosts().find(|row| is_named(*row, named)).cloned())
    }

    fn add_host<'a>(&'a self, host: &'a Host) -> Fut<'a, Result<Written<Host>, StoreError>> {
        self.books(|books| {
            if let Some(there) = books.live_hosts().find(|row| row.id == host.id) {
                return Written::Done(there.clone());
            }
            if books.live_hosts().any(|row| row.name == host.name) {
                return Written::NameTaken;
            }
            if !books.live_segments().any(|row| row.id == host.segment) {
                return Written::Gone;
            }
            let host = Host { number: books.next(), updated: None, ..host.clone() };
            books.hosts.push((host.clone(), None));
            Written::Done(host)
        })
    }

    fn change_host<'a>(
        &'a self,
        id: &'a HostId,
        change: &'a HostChange,
        at: Timestamp,
    ) -> Fut<'a, Result<Written<Host>, StoreError>> {
        self.books(move |books| {
            let is_taken = |name: &String| books.live_hosts().any(|row| row.name == *name && row.id != *id);
            if change.name.as_ref().is_some_and(is_taken) {
                return Written::NameTaken;
            }
            let found = books.hosts.iter_mut().find(|(row, deleted)| row.id == *id && deleted.is_none());
            let Some((host, _)) = found else { return Written::Gone };
            set(&mut host.name, &change.name);
            set(&mut host.kind, &change.kind);
            set(&mut host.control_attributes, &change.control_attributes);
            set(&mut host.reserved, &change.reserved);
            set(&mut host.on_maintenance, &change.on_maintenance);
            set(&mut host.under_recovery, &change.under_recovery);
            set(&mut host.quarantined, &change.quarantined);
            host.updated = Some(at);
            Written::Done(host.clone())
        })
    }

    fn delete_host<'a>(&'a self, id: &'a HostId, at: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        self.books(move |books| {
            let found = books.hosts.iter_mut().find(|(row, deleted)| row.id == *id && deleted.is_none());
            found.map(|(_, deleted)| *deleted = Some(at)).is_some()
        })
    }

    fn notifications<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Notification>, StoreError>> {
        self.books(|books| cut(query).of(books.notifications.iter().cloned()))
    }

    fn notification<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Notification>, StoreError>> {
        self.books(|books| books.notifications.iter().find(|row| is_named(*row, named)).cloned())
    }

    fn report<'a>(&'a self, report: &'a Report) -> Fut<'a, Result<Reported, StoreError>> {
        self.books(|books| books.report(report))
    }

    fn set_status<'a>(
        &'a self,
        id: &'a NotificationId,
        from: Status,
        to: Status,
        message: Option<&'a str>,
        at: Timestamp,
    ) -> Fut<'a, Result<bool, StoreError>> {
        self.books(move |books| {
            let found = books.notifications.iter_mut().find(|row| row.id == *id && row.status == from);
            let Some(notification) = found else { return false };
            notification.status = to;
            notification.message = message.map(str::to_owned);
            notification.updated = Some(at);
            true
        })
    }

    fn moves<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Move>, StoreError>> {
        self.books(|books| cut(query).of(books.moves.iter().cloned()))
    }

    fn a_move<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Move>, StoreError>> {
        self.books(|books| books.moves.iter().find(|row| is_named(*row, named)).cloned())
    }

    fn keep_moves<'a>(&'a self, moves: &'a [Move]) -> Fut<'a, Result<(), StoreError>> {
        self.books(move |books| {
            for moved in moves {
                match books.moves.iter_mut().find(|row| row.id == moved.id) {
                    Some(there) => {
                        *there = Move { number: there.number, created: there.created, ..moved.clone() };
                    }
                    None => {
                        let number = books.next();
                        books.moves.push(Move { number, ..moved.clone() });
                    }
                }
            }
        })
    }

    fn append_progress<'a>(&'a self, steps: &'a [Progress]) -> Fut<'a, Result<(), StoreError>> {
        self.books(move |books| {
            for step in steps {
                let is_same = |row: &Progress| row.notification == step.notification && row.mark == step.mark;
                if !books.progress.iter().any(is_same) {
                    books.progress.push(step.clone());
                }
            }
        })
    }

    fn progress<'a>(&'a self, id: &'a NotificationId) -> Fut<'a, Result<Vec<Progress>, StoreError>> {
        self.books(move |books| {
            books.progress.iter().filter(|step| step.notification == *id).cloned().collect()
        })
    }

    fn open_incidents(&self) -> Fut<'_, Result<Vec<Incident>, StoreError>> {
        self.books(|books| books.incidents.iter().filter(|row| row.closed.is_none()).cloned().collect())
    }

    fn incidents(&self, limit: u32) -> Fut<'_, Result<Vec<Incident>, StoreError>> {
        self.books(move |books| books.incidents.iter().rev().take(limit as usize).cloned().collect())
    }

    fn incident<'a>(&'a self, id: &'a IncidentId) -> Fut<'a, Result<Option<Incident>, StoreError>> {
        self.books(move |books| books.incidents.iter().find(|row| row.id == *id).cloned())
    }

    fn save_incident<'a>(&'a self, incident: &'a Incident) -> Fut<'a, Result<Option<Incident>, StoreError>> {
        self.books(move |books| {
            let is_same = |row: &&mut Incident| {
                row.id == incident.id && row.version == incident.version && row.closed.is_none()
            };
            let there = books.incidents.iter_mut().find(is_same)?;
            // What it is found by stays, as in a database.
            *there = Incident {
                version: there.version + 1,
                stage: incident.stage,
                why: incident.why.clone(),
                at_work_until: incident.at_work_until,
                closed: incident.closed,
                body: incident.body.clone(),
                ..there.clone()
            };
            Some(there.clone())
        })
    }

    fn hold_incident<'a>(
        &'a self,
        id: &'a IncidentId,
        until: Timestamp,
    ) -> Fut<'a, Result<bool, StoreError>> {
        self.books(move |books| {
            let there = books.incidents.iter_mut().find(|row| row.id == *id && row.closed.is_none());
            there.map(|there| there.at_work_until = until).is_some()
        })
    }

    fn joined<'a>(&'a self, id: &'a IncidentId) -> Fut<'a, Result<Vec<Joined>, StoreError>> {
        self.books(move |books| books.joined.iter().filter(|row| row.incident == *id).cloned().collect())
    }

    fn purge(&self, before: Timestamp, rows: u32) -> Fut<'_, Result<Purged, StoreError>> {
        self.books(move |books| books.purge(before, rows))
    }
}

fn set<T: Clone>(field: &mut T, change: &Option<T>) {
    if let Some(value) = change {
        *field = value.clone();
    }
}
