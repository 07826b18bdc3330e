//! Moves of the instances of a notification: list and show.
//!
//! It must never show a move by way of a notification that it does not belong to.

use super::body::MoveBody;
use super::fault::Fault;
use super::notifications::found as notification_of;
use super::paging::{Words, named};
use super::{Answer, Api, Request, ok};
use ostler_model::ha::list::Field;
use ostler_model::ha::{Kind, Named, Notification};
use serde::Serialize;

/// What moves can be ordered by.
const FIELDS: &[(&str, Option<Field>)] = &[
    ("id", Some(Field::Number)),
    ("uuid", Some(Field::Id)),
    ("notification_uuid", Some(Field::Notification)),
    ("instance_uuid", Some(Field::Instance)),
    ("instance_name", Some(Field::Name)),
    ("source_host", Some(Field::Source)),
    ("dest_host", Some(Field::Destination)),
    ("start_time", Some(Field::Started)),
    ("end_time", Some(Field::Ended)),
    ("type", Some(Field::Kind)),
    ("status", Some(Field::Status)),
    ("message", Some(Field::Message)),
    ("created_at", Some(Field::Created)),
    ("updated_at", Some(Field::Updated)),
    ("deleted_at", None),
    ("deleted", None),
];

#[derive(Serialize)]
struct Many<'a> {
    vmoves: Vec<MoveBody<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    vmove: MoveBody<'a>,
}

/// `GET /notifications/{notification}/vmoves`
pub async fn list(api: &Api, request: &Request<'_>, notification: &str) -> Answer {
    let notification = of_a_host(api, notification).await?;
    let words = Words::of(request.query)?;
    let query = words.order(FIELDS)?.filter(Field::Notification, notification.id.as_str());
    let query = words.text(query, "type", Field::Kind);
    let query = words.text(query, "status", Field::Status);
    let find = |marker: Named| async move { api.store.a_move(&marker).await };
    let query = words.after(query, find).await?;
    let moves = api.store.moves(&query).await?;
    ok(&Many { vmoves: moves.iter().map(MoveBody::from).collect() })
}

/// `GET /notifications/{notification}/vmoves/{id}`
pub async fn show(api: &Api, notification: &str, id: &str) -> Answer {
    let notification = of_a_host(api, notification).await?;
    let found = api.store.a_move(&named(id)).await?.filter(|found| found.notification == notification.id);
    let found = found.ok_or_else(|| Fault::missing("VMove", id))?;
    ok(&One { vmove: (&found).into() })
}

/// Only the failure of a host moves instances.
async fn of_a_host(api: &Api, id: &str) -> Result<Notification, Fault> {
    let notification = notification_of(api, id).await?;
    match notification.payload.kind() {
        Kind::Host => Ok(notification),
        kind => Err(Fault::bad(format!(
            "Notification {} is of type {kind}: only those of type COMPUTE_HOST move instances.",
            notification.id
        ))),
    }
}
