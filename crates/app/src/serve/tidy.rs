//! What a server does beside answering: settles reports that ask for no recovery, and takes away what is over.
//!
//! Several servers do this at once; each change is made by one of them. It must never touch a report whose incident
//! somebody has to work on.

use crate::masakari::{Api, DISABLED};
use ostler_engine::seam::StoreError;
use ostler_engine::triage::{Asks, asks};
use ostler_model::Timestamp;
use ostler_model::ha::list::{Field, Query, ROWS_MAX};
use ostler_model::ha::{Notification, Stage, Status};
use ostler_model::ids::SegmentId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often is looked for reports that were left over: by a server that died between taking and settling one.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How often what is over is taken away.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);

/// Rows of each kind that one purge takes away at most: a state that was never purged is done in portions.
const PURGE_ROWS: u32 = 5_000;

/// Pages of new reports that are looked through at a time.
const PAGES_MAX: u32 = 20;

/// Settles and purges for as long as the server lives.
pub async fn tidy(api: Arc<Api>, keep_s: u32) {
    let mut purge_at = Instant::now();
    loop {
        if let Err(error) = settle(&api).await {
            (api.complain)(&format!("reports cannot be settled: {error}"));
        }
        if Instant::now() >= purge_at {
            purge_at = Instant::now() + PURGE_EVERY;
            let before = api.clock.now() - jiff::SignedDuration::from_secs(i64::from(keep_s));
            if let Err(error) = api.store.purge(before, PURGE_ROWS).await {
                (api.complain)(&format!("what is over cannot be taken away: {error}"));
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Settles what asks for no recovery: notes, other events, and whatever comes from a segment that is disabled.
pub async fn settle(api: &Api) -> Result<(), StoreError> {
    let off = Query::default().filter(Field::Enabled, false);
    let off: BTreeSet<SegmentId> = api.store.segments(&off).await?.into_iter().map(|one| one.id).collect();
    let mut query = Query::of_status(Status::New, ROWS_MAX);
    for _ in 0..PAGES_MAX {
        let new = api.store.notifications(&query).await?;
        let Some(last) = new.last() else { break };
        query.after = Some(query.place_of(last));
        for notification in new {
            if notification.segment.as_ref().is_some_and(|segment| off.contains(segment)) {
                dismiss(api, &notification, DISABLED).await?;
                continue;
            }
            let (status, why) = match asks(&notification.host, &notification.payload) {
                Asks::Recovery(_) => continue,
                Asks::Note(why) => (Status::Finished, why),
                Asks::Nothing(why) => (Status::Ignored, why),
            };
            api.store.set_status(&notification.id, Status::New, status, Some(why), now(api)).await?;
        }
    }
    Ok(())
}

/// Closes the incident of a report, if it has one that nobody has begun to work on, and ignores the report.
async fn dismiss(api: &Api, notification: &Notification, why: &str) -> Result<(), StoreError> {
    if let Some(id) = &notification.incident
        && let Some(mut incident) = api.store.incident(id).await?
        && incident.closed.is_none()
    {
        if incident.stage != Stage::Open {
            return Ok(());
        }
        incident.stage = Stage::Dismissed;
        incident.why = why.to_owned();
        incident.closed = Some(now(api));
        if api.store.save_incident(&incident).await?.is_none() {
            return Ok(());
        }
    }
    api.store.set_status(&notification.id, Status::New, Status::Ignored, Some(why), now(api)).await?;
    Ok(())
}

fn now(api: &Api) -> Timestamp {
    api.clock.now()
}
