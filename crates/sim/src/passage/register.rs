//! The register of instance HA as one Ostler sees it: every question passes through the store's gate, as all others do.
//!
//! It must never ask or answer otherwise than the register itself.

use super::Passage;
use ostler_engine::seam::{Fut, Register, StoreError};
use ostler_model::Timestamp;
use ostler_model::ha::list::Query;
use ostler_model::ha::{
    Host, HostChange, Incident, Joined, Move, Named, Notification, Progress, Purged, Report, Reported,
    Segment, SegmentChange, Status, Written,
};
use ostler_model::ids::{HostId, IncidentId, NotificationId, SegmentId};

impl Register for Passage {
    fn segments<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Segment>, StoreError>> {
        Box::pin(self.stored(self.inner.store.segments(query)))
    }

    fn segment<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Segment>, StoreError>> {
        Box::pin(self.stored(self.inner.store.segment(named)))
    }

    fn add_segment<'a>(&'a self, segment: &'a Segment) -> Fut<'a, Result<Written<Segment>, StoreError>> {
        Box::pin(self.stored(self.inner.store.add_segment(segment)))
    }

    fn change_segment<'a>(
        &'a self,
        id: &'a SegmentId,
        change: &'a SegmentChange,
        at: Timestamp,
    ) -> Fut<'a, Result<Written<Segment>, StoreError>> {
        Box::pin(self.stored(self.inner.store.change_segment(id, change, at)))
    }

    fn delete_segment<'a>(&'a self, id: &'a SegmentId, at: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.stored(self.inner.store.delete_segment(id, at)))
    }

    fn hosts<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Host>, StoreError>> {
        Box::pin(self.stored(self.inner.store.hosts(query)))
    }

    fn host<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Host>, StoreError>> {
        Box::pin(self.stored(self.inner.store.host(named)))
    }

    fn add_host<'a>(&'a self, host: &'a Host) -> Fut<'a, Result<Written<Host>, StoreError>> {
        Box::pin(self.stored(self.inner.store.add_host(host)))
    }

    fn change_host<'a>(
        &'a self,
        id: &'a HostId,
        change: &'a HostChange,
        at: Timestamp,
    ) -> Fut<'a, Result<Written<Host>, StoreError>> {
        Box::pin(self.stored(self.inner.store.change_host(id, change, at)))
    }

    fn delete_host<'a>(&'a self, id: &'a HostId, at: Timestamp) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.stored(self.inner.store.delete_host(id, at)))
    }

    fn notifications<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Notification>, StoreError>> {
        Box::pin(self.stored(self.inner.store.notifications(query)))
    }

    fn notification<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Notification>, StoreError>> {
        Box::pin(self.stored(self.inner.store.notification(named)))
    }

    fn report<'a>(&'a self, report: &'a Report) -> Fut<'a, Result<Reported, StoreError>> {
        Box::pin(self.stored(self.inner.store.report(report)))
    }

    fn set_status<'a>(
        &'a self,
        id: &'a NotificationId,
        from: Status,
        to: Status,
        message: Option<&'a str>,
        at: Timestamp,
    ) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.stored(self.inner.store.set_status(id, from, to, message, at)))
    }

    fn moves<'a>(&'a self, query: &'a Query) -> Fut<'a, Result<Vec<Move>, StoreError>> {
        Box::pin(self.stored(self.inner.store.moves(query)))
    }

    fn a_move<'a>(&'a self, named: &'a Named) -> Fut<'a, Result<Option<Move>, StoreError>> {
        Box::pin(self.stored(self.inner.store.a_move(named)))
    }

    fn keep_moves<'a>(&'a self, moves: &'a [Move]) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.stored(self.inner.store.keep_moves(moves)))
    }

    fn append_progress<'a>(&'a self, steps: &'a [Progress]) -> Fut<'a, Result<(), StoreError>> {
        Box::pin(self.stored(self.inner.store.append_progress(steps)))
    }

    fn progress<'a>(&'a self, id: &'a NotificationId) -> Fut<'a, Result<Vec<Progress>, StoreError>> {
        Box::pin(self.stored(self.inner.store.progress(id)))
    }

    fn open_incidents(&self) -> Fut<'_, Result<Vec<Incident>, StoreError>> {
        Box::pin(self.stored(self.inner.store.open_incidents()))
    }

    fn incidents(&self, limit: u32) -> Fut<'_, Result<Vec<Incident>, StoreError>> {
        Box::pin(self.stored(self.inner.store.incidents(limit)))
    }

    fn incident<'a>(&'a self, id: &'a IncidentId) -> Fut<'a, Result<Option<Incident>, StoreError>> {
        Box::pin(self.stored(self.inner.store.incident(id)))
    }

    fn save_incident<'a>(&'a self, incident: &'a Incident) -> Fut<'a, Result<Option<Incident>, StoreError>> {
        Box::pin(self.stored(self.inner.store.save_incident(incident)))
    }

    fn hold_incident<'a>(
        &'a self,
        id: &'a IncidentId,
        until: Timestamp,
    ) -> Fut<'a, Result<bool, StoreError>> {
        Box::pin(self.stored(self.inner.store.hold_incident(id, until)))
    }

    fn joined<'a>(&'a self, id: &'a IncidentId) -> Fut<'a, Result<Vec<Joined>, StoreError>> {
        Box::pin(self.stored(self.inner.store.joined(id)))
    }

    fn purge(&self, before: Timestamp, rows: u32) -> Fut<'_, Result<Purged, StoreError>> {
        Box::pin(self.stored(self.inner.store.purge(before, rows)))
    }
}
