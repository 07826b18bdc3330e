//! Takes away what nobody needs any more, from every table of the register.
//!
//! What hangs on a row goes before the row itself, so that an interrupted purge leaves nothing that no later one would
//! find. It must never take away what an open incident needs.

use super::super::link::{Column, Statement, Value};
use super::super::sql::{Engine, SqlStore};
use super::of_all;
use super::rows::Taken;
use ostler_engine::seam::StoreError;
use ostler_model::Timestamp;
use ostler_model::ha::Purged;

/// Rows whose names one statement carries.
const NAMES_PER_STATEMENT_MAX: usize = 500;

const INCIDENTS: &str =
    "SELECT id FROM ha_incident WHERE closed_mark > 0 AND closed < ? ORDER BY number LIMIT ?";

const NOTIFICATIONS: &str = "SELECT id FROM ha_notification WHERE status IN ('finished', 'failed', 'ignored') \
                             AND COALESCE(updated, created) < ? AND NOT EXISTS (SELECT 1 FROM ha_incident \
                             WHERE ha_incident.id = ha_notification.incident AND ha_incident.closed_mark = 0) \
                             ORDER BY number LIMIT ?";

const HOSTS: &str = "SELECT id FROM ha_host WHERE deleted > 0 AND deleted_at < ? ORDER BY number LIMIT ?";

const SEGMENTS: &str =
    "SELECT id FROM ha_segment WHERE deleted > 0 AND deleted_at < ? ORDER BY number LIMIT ?";

impl<E: Engine> SqlStore<E> {
    pub(super) async fn purge_all(&self, before: Timestamp, rows: u32) -> Result<Purged, StoreError> {
        let mut purged = Purged::default();
        let incidents = self.old(INCIDENTS, before, rows).await?;
        purged.joined = self.take_away("DELETE FROM ha_joined WHERE incident IN", &incidents).await?;
        purged.incidents = self.take_away("DELETE FROM ha_incident WHERE id IN", &incidents).await?;
        let notifications = self.old(NOTIFICATIONS, before, rows).await?;
        purged.moves = self.take_away("DELETE FROM ha_move WHERE notification IN", &notifications).await?;
        purged.progress =
            self.take_away("DELETE FROM ha_progress WHERE notification IN", &notifications).await?;
        purged.notifications =
            self.take_away("DELETE FROM ha_notification WHERE id IN", &notifications).await?;
        let hosts = self.old(HOSTS, before, rows).await?;
        purged.hosts = self.take_away("DELETE FROM ha_host WHERE id IN", &hosts).await?;
        let segments = self.old(SEGMENTS, before, rows).await?;
        purged.segments = self.take_away("DELETE FROM ha_segment WHERE id IN", &segments).await?;
        Ok(purged)
    }

    async fn old(&self, sql: &'static str, before: Timestamp, rows: u32) -> Result<Vec<String>, StoreError> {
        let values = vec![before.as_microsecond().into(), i64::from(rows).into()];
        let found = self.rows(Statement::new(sql, values).giving(&[Column::Bytes])).await?;
        found.into_iter().map(|cells| Taken::new(self, "a row's name", cells).text()).collect()
    }

    async fn take_away(&self, sql: &'static str, names: &[String]) -> Result<u64, StoreError> {
        let mut gone = 0;
        for part in names.chunks(NAMES_PER_STATEMENT_MAX) {
            let values: Vec<Value<'_>> = part.iter().map(|name| name.as_str().into()).collect();
            gone += self.change(of_all(sql, values)).await?;
        }
        Ok(gone)
    }
}
