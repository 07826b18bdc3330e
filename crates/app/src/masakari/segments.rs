//! Segments: list, show, create, update, delete.
//!
//! It must never change a segment while somebody is at work in it.

use super::body::SegmentBody;
use super::fault::Fault;
use super::input;
use super::microversion::Microversion;
use super::paging::{Words, named};
use super::{Answer, Api, Request, created, gone, ok};
use ostler_model::ha::list::Field;
use ostler_model::ha::{Named, RecoveryMethod, Segment, SegmentChange, Written};
use ostler_model::ids::SegmentId;
use serde::Serialize;

/// What segments can be ordered by.
const FIELDS: &[(&str, Option<Field>)] = &[
    ("id", Some(Field::Number)),
    ("uuid", Some(Field::Id)),
    ("name", Some(Field::Name)),
    ("service_type", Some(Field::ServiceType)),
    ("enabled", Some(Field::Enabled)),
    ("description", Some(Field::Description)),
    ("recovery_method", Some(Field::RecoveryMethod)),
    ("created_at", Some(Field::Created)),
    ("updated_at", Some(Field::Updated)),
    ("deleted_at", None),
    ("deleted", None),
];

const METHODS: &[&str] = &["auto", "reserved_host", "auto_priority", "rh_priority"];

#[derive(Serialize)]
struct Many<'a> {
    segments: Vec<SegmentBody<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    segment: SegmentBody<'a>,
}

/// `GET /segments`
pub async fn list(api: &Api, request: &Request<'_>) -> Answer {
    let words = Words::of(request.query)?;
    let query = words.order(FIELDS)?;
    let query = words.text(query, "recovery_method", Field::RecoveryMethod);
    let query = words.text(query, "service_type", Field::ServiceType);
    let query = words.truth(query, "enabled", Field::Enabled)?;
    let find = |marker: Named| async move { api.store.segment(&marker).await };
    let query = words.after(query, find).await?;
    let segments = api.store.segments(&query).await?;
    ok(&Many { segments: segments.iter().map(SegmentBody::from).collect() })
}

/// `POST /segments`
pub async fn create(api: &Api, request: &Request<'_>) -> Answer {
    let mut body = input::body(request.headers, request.body, "segment")?;
    let segment = Segment {
        number: 0,
        id: SegmentId::new(api.identity()),
        name: input::required(&mut body, "name", input::name)?,
        recovery_method: input::required(
            &mut body,
            "recovery_method",
            input::one_of(RecoveryMethod::of, METHODS),
        )?,
        service_type: input::required(&mut body, "service_type", input::name)?,
        description: input::optional(&mut body, "description", input::maybe_words)?.flatten(),
        enabled: enabled(&mut body, request.version)?.unwrap_or(true),
        created: api.now(),
        updated: None,
    };
    input::nothing_else(&body)?;
    match api.store.add_segment(&segment).await? {
        Written::Done(segment) => created(&One { segment: (&segment).into() }),
        _ => Err(name_taken(&segment.name)),
    }
}

/// `GET /segments/{id}`
pub async fn show(api: &Api, id: &str) -> Answer {
    ok(&One { segment: (&found(api, id).await?).into() })
}

/// `PUT /segments/{id}`
pub async fn update(api: &Api, request: &Request<'_>, id: &str) -> Answer {
    let mut body = input::body(request.headers, request.body, "segment")?;
    if body.is_empty() {
        return Err(Fault::bad("Invalid input for field segment: it does not have enough properties"));
    }
    let method = input::one_of(RecoveryMethod::of, METHODS);
    let change = SegmentChange {
        name: input::optional(&mut body, "name", input::name)?,
        description: input::optional(&mut body, "description", input::maybe_words)?,
        recovery_method: input::optional(&mut body, "recovery_method", method)?,
        service_type: input::optional(&mut body, "service_type", input::name)?,
        enabled: enabled(&mut body, request.version)?,
    };
    input::nothing_else(&body)?;
    let segment = found(api, id).await?;
    is_free(api, &segment.id).await?;
    match api.store.change_segment(&segment.id, &change, api.now()).await? {
        Written::Done(segment) => ok(&One { segment: (&segment).into() }),
        Written::NameTaken => Err(name_taken(change.name.as_deref().unwrap_or(&segment.name))),
        Written::Gone => Err(Fault::missing("Segment", id)),
    }
}

/// `DELETE /segments/{id}`
pub async fn delete(api: &Api, id: &str) -> Answer {
    let segment = found(api, id).await?;
    is_free(api, &segment.id).await?;
    match api.store.delete_segment(&segment.id, api.now()).await? {
        true => Ok(gone()),
        false => Err(Fault::missing("Segment", id)),
    }
}

/// The segment that a path names, by identity or number.
pub async fn found(api: &Api, id: &str) -> Result<Segment, Fault> {
    api.store.segment(&named(id)).await?.ok_or_else(|| Fault::missing("Segment", id))
}

/// Refuses while somebody is at work in a segment.
pub async fn is_free(api: &Api, segment: &SegmentId) -> Result<(), Fault> {
    let now = api.now();
    let open = api.store.open_incidents().await?;
    let at_work = open.iter().find(|known| known.segment.as_ref() == Some(segment) && known.is_at_work(now));
    match at_work {
        Some(incident) => Err(Fault::conflict(format!(
            "Segment {segment} is in use: the recovery of notification {} is under way in it. Try again when it is over.",
            incident.notification
        ))),
        None => Ok(()),
    }
}

/// Whether a segment is enabled may be said from a certain version on; before it nobody knows the word.
fn enabled(body: &mut input::Object, version: Microversion) -> Result<Option<bool>, Fault> {
    match version >= Microversion::ENABLED {
        true => input::optional(body, "enabled", input::truth),
        false => Ok(None),
    }
}

fn name_taken(name: &str) -> Fault {
    Fault::conflict(format!("Failover segment with name {} already exists.", super::fault::shown(name)))
}
