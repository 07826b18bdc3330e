//! What a server does beside answering: settles reports that ask for no recovery, and takes away what is over.
//!
//! Several servers do this at once; each change is made by one of them. It must never touch a report whose incident
//! somebody has to work on.

use crate::masakari::Api;
use ostler_engine::seam::StoreError;
use ostler_engine::triage::{Asks, asks};
use ostler_model::Timestamp;
use ostler_model::ha::list::Query;
use ostler_model::ha::{Named, Notification, Stage, Status};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often is looked for reports, unless one is taken here: another server may have taken some.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often what is over is taken away.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);

/// Rows of each kind that one purge takes away at most: a state that was never purged is done in portions.
const PURGE_ROWS: u32 = 5_000;

/// Reports that are settled at a time.
const REPORTS_AT_ONCE: u32 = 200;

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
        // Whichever comes first.
        let _ = tokio::time::timeout(LOOK_EVERY, api.reported.notified()).await;
    }
}

/// Settles what asks for no recovery: notes, other events, and whatever comes from a segment that is disabled.
pub async fn settle(api: &Api) -> Result<(), StoreError> {
    let new = api.store.notifications(&Query::of_status(Status::New, REPORTS_AT_ONCE)).await?;
    for notification in new {
        if is_disabled(api, &notification).await? {
            dismiss(api, &notification, "instance HA is disabled for the segment").await?;
            continue;
        }
        let (status, why) = match asks(&notification.host, &notification.payload) {
            Asks::Recovery(_) => continue,
            Asks::Note(why) => (Status::Finished, why),
            Asks::Nothing(why) => (Status::Ignored, why),
        };
        api.store.set_status(&notification.id, Status::New, status, Some(why), now(api)).await?;
    }
    Ok(())
}

async fn is_disabled(api: &Api, notification: &Notification) -> Result<bool, StoreError> {
    let Some(segment) = &notification.segment else { return Ok(false) };
    let segment = api.store.segment(&Named::Id(segment.to_string())).await?;
    Ok(segment.is_some_and(|segment| !segment.enabled))
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
