//! Hosts of a segment: list, show, create, update, delete.
//!
//! It must never show or change a host by way of a segment that is not its own, and never change one while somebody is
//! at work in its segment.

use super::body::HostBody;
use super::fault::{Fault, shown};
use super::input;
use super::paging::{Words, named};
use super::segments::{found as segment_of, is_free};
use super::{Answer, Api, Request, created, gone, ok};
use ostler_model::ha::list::Field;
use ostler_model::ha::{Host, HostChange, Named, Segment, Written};
use ostler_model::ids::HostId;
use serde::Serialize;

/// What hosts can be ordered by.
const FIELDS: &[(&str, Option<Field>)] = &[
    ("id", Some(Field::Number)),
    ("uuid", Some(Field::Id)),
    ("name", Some(Field::Name)),
    ("failover_segment_id", Some(Field::Segment)),
    ("type", Some(Field::Kind)),
    ("control_attributes", Some(Field::ControlAttributes)),
    ("reserved", Some(Field::Reserved)),
    ("on_maintenance", Some(Field::Out)),
    ("created_at", Some(Field::Created)),
    ("updated_at", Some(Field::Updated)),
    ("deleted_at", None),
    ("deleted", None),
];

#[derive(Serialize)]
struct Many<'a> {
    hosts: Vec<HostBody<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    host: HostBody<'a>,
}

/// `GET /segments/{segment}/hosts`
pub async fn list(api: &Api, request: &Request<'_>, segment: &str) -> Answer {
    let segment = segment_of(api, segment).await?;
    let words = Words::of(request.query)?;
    let query = words.order(FIELDS)?.filter(Field::Segment, segment.id.as_str());
    let query = words.text(query, "failover_segment_id", Field::Segment);
    let query = words.text(query, "name", Field::Name);
    let query = words.text(query, "control_attributes", Field::ControlAttributes);
    let query = words.text(query, "type", Field::Kind);
    let query = words.truth(query, "on_maintenance", Field::Out)?;
    let query = words.truth(query, "reserved", Field::Reserved)?;
    let find = |marker: Named| async move { api.store.host(&marker).await };
    let query = words.after(query, find).await?;
    let hosts = api.store.hosts(&query).await?;
    ok(&Many { hosts: hosts.iter().map(|host| HostBody::of(host, &segment)).collect() })
}

/// `POST /segments/{segment}/hosts`
pub async fn create(api: &Api, request: &Request<'_>, segment: &str) -> Answer {
    let mut body = input::body(request.headers, request.body, "host")?;
    let mut host = Host {
        number: 0,
        id: HostId::new(api.identity()),
        name: input::required(&mut body, "name", input::name)?,
        segment: "".into(),
        kind: input::required(&mut body, "type", input::letters)?,
        control_attributes: input::required(&mut body, "control_attributes", input::words)?,
        reserved: input::optional(&mut body, "reserved", input::truth)?.unwrap_or(false),
        on_maintenance: input::optional(&mut body, "on_maintenance", input::truth)?.unwrap_or(false),
        under_recovery: false,
        quarantined: false,
        created: api.now(),
        updated: None,
    };
    input::nothing_else(&body)?;
    let parent = segment_of(api, segment).await?;
    host.segment = parent.id.clone();
    is_compute_host(api, &host.name).await?;
    match api.store.add_host(&host).await? {
        Written::Done(host) => created(&One { host: HostBody::of(&host, &parent) }),
        Written::NameTaken => Err(name_taken(&host.name)),
        Written::Gone => Err(Fault::missing("Segment", segment)),
    }
}

/// `GET /segments/{segment}/hosts/{id}`
pub async fn show(api: &Api, segment: &str, id: &str) -> Answer {
    let (segment, host) = found(api, segment, id).await?;
    ok(&One { host: HostBody::of(&host, &segment) })
}

/// `PUT /segments/{segment}/hosts/{id}`
pub async fn update(api: &Api, request: &Request<'_>, segment: &str, id: &str) -> Answer {
    let mut body = input::body(request.headers, request.body, "host")?;
    if body.is_empty() {
        return Err(Fault::bad("Invalid input for field host: it does not have enough properties"));
    }
    let mut change = HostChange {
        name: input::optional(&mut body, "name", input::name)?,
        kind: input::optional(&mut body, "type", input::letters)?,
        control_attributes: input::optional(&mut body, "control_attributes", input::words)?,
        reserved: input::optional(&mut body, "reserved", input::truth)?,
        on_maintenance: input::optional(&mut body, "on_maintenance", input::truth)?,
        ..HostChange::default()
    };
    input::nothing_else(&body)?;
    if change.on_maintenance == Some(false) {
        // Clients know one flag: whoever clears it means every reason for which it was shown.
        change.under_recovery = Some(false);
        change.quarantined = Some(false);
    }
    let (parent, host) = found(api, segment, id).await?;
    is_free(api, &parent.id).await?;
    if let Some(name) = &change.name {
        is_compute_host(api, name).await?;
    }
    match api.store.change_host(&host.id, &change, api.now()).await? {
        Written::Done(host) => ok(&One { host: HostBody::of(&host, &parent) }),
        Written::NameTaken => Err(name_taken(change.name.as_deref().unwrap_or(&host.name))),
        Written::Gone => Err(Fault::missing("Host", id)),
    }
}

/// `DELETE /segments/{segment}/hosts/{id}`
pub async fn delete(api: &Api, segment: &str, id: &str) -> Answer {
    let (parent, host) = found(api, segment, id).await?;
    is_free(api, &parent.id).await?;
    match api.store.delete_host(&host.id, api.now()).await? {
        true => Ok(gone()),
        false => Err(Fault::missing("Host", id)),
    }
}

/// The host that a path names, if it belongs to the segment that the path names.
async fn found(api: &Api, segment: &str, id: &str) -> Result<(Segment, Host), Fault> {
    let segment = segment_of(api, segment).await?;
    let host = api.store.host(&named(id)).await?.filter(|host| host.segment == segment.id);
    Ok((segment, host.ok_or_else(|| Fault::missing("Host", id))?))
}

/// Refuses a host that the compute service does not know: nothing could ever be evacuated from it.
async fn is_compute_host(api: &Api, name: &str) -> Result<(), Fault> {
    let Some(is_known) = &api.is_compute_host else { return Ok(()) };
    match is_known(name.to_owned()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::bad(format!(
            "Hypervisor host {} could not be found: no nova-compute service has this name. It has to be the service's host as `openstack compute service list` shows it.",
            shown(name)
        ))),
        Err(why) => Err(Fault::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            format!("The compute service cannot be asked whether it knows host {}: {why}", shown(name)),
        )),
    }
}

fn name_taken(name: &str) -> Fault {
    Fault::conflict(format!("Host with name {} already exists.", shown(name)))
}
