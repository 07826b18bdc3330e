//! Notifications: list, show, and take what monitors report.
//!
//! A report of something for which an incident is open is refused as a duplicate, after it was written down with that
//! incident: monitors then forget it. It must never refuse a report that nobody else has made.

use super::body::{NotificationBody, TaskBody};
use super::fault::{Fault, shown};
use super::input;
use super::microversion::Microversion;
use super::paging::{Words, named};
use super::{Answer, Api, Request, accepted, ok};
use axum::http::StatusCode;
use ostler_engine::triage::{Asks, asks};
use ostler_model::ha::list::{Field, Filter};
use ostler_model::ha::{
    ClusterStatus, Host, HostStatus, Kind, Named, Notification, Opening, Payload, Report, Reported, Status,
    Turn,
};
use ostler_model::ids::{IncidentId, InstanceId, NotificationId};
use serde::Serialize;

/// How long a new incident counts as worked on before somebody has come to it. Whoever is alive comes within seconds.
const PICKED_UP_WITHIN_S: i64 = 60;

/// Why a report from a segment that is disabled is ignored.
pub const DISABLED: &str = "instance HA is disabled for the segment";

/// What notifications can be ordered by.
const FIELDS: &[(&str, Option<Field>)] = &[
    ("id", Some(Field::Number)),
    ("notification_uuid", Some(Field::Id)),
    ("generated_time", Some(Field::Generated)),
    ("source_host_uuid", Some(Field::Host)),
    ("type", Some(Field::Kind)),
    ("payload", Some(Field::Payload)),
    ("status", Some(Field::Status)),
    ("failover_segment_uuid", Some(Field::Segment)),
    ("message", Some(Field::Message)),
    ("created_at", Some(Field::Created)),
    ("updated_at", Some(Field::Updated)),
    ("deleted_at", None),
    ("deleted", None),
];

#[derive(Serialize)]
struct Many<'a> {
    notifications: Vec<NotificationBody<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    notification: NotificationBody<'a>,
}

/// `GET /notifications`
pub async fn list(api: &Api, request: &Request<'_>) -> Answer {
    let words = Words::of(request.query)?;
    let query = words.order(FIELDS)?;
    let query = words.text(query, "type", Field::Kind);
    let query = words.text(query, "status", Field::Status);
    let mut query = words.text(query, "source_host_uuid", Field::Host);
    if let Some(since) = words.last("generated-since") {
        let time = input::time_of(since).ok_or_else(|| {
            Fault::bad(format!("Invalid generated-since value '{}': it is not a time.", shown(since)))
        })?;
        query.filters.push(Filter::From(Field::Generated, time.into()));
    }
    let find = |marker: Named| async move { api.store.notification(&marker).await };
    let query = words.after(query, find).await?;
    let found = api.store.notifications(&query).await?;
    ok(&Many { notifications: found.iter().map(|one| NotificationBody::of(one, None)).collect() })
}

/// `GET /notifications/{id}`
pub async fn show(api: &Api, request: &Request<'_>, id: &str) -> Answer {
    let notification = found(api, id).await?;
    let tasks = match request.version >= Microversion::WORKFLOW {
        true => Some(TaskBody::of(api.store.progress(&notification.id).await?)),
        false => None,
    };
    ok(&One { notification: NotificationBody::of(&notification, tasks) })
}

/// `POST /notifications`
pub async fn create(api: &Api, request: &Request<'_>) -> Answer {
    let mut body = input::body(request.headers, request.body, "notification")?;
    let kind =
        input::required(&mut body, "type", input::one_of(Kind::of, &["COMPUTE_HOST", "VM", "PROCESS"]))?;
    let hostname = input::required(&mut body, "hostname", input::hostname)?;
    let generated = input::required(&mut body, "generated_time", input::time)?;
    let payload = input::required(&mut body, "payload", |_, value| payload(kind, value))?;
    input::nothing_else(&body)?;
    // A host is a witness of other hosts, and of nothing else that happens there.
    if let Some(signer) = request.caller.host.as_ref().filter(|host| **host != hostname)
        && kind != Kind::Host
    {
        return Err(Fault::new(
            StatusCode::FORBIDDEN,
            format!("Host {} reports its own instances and processes only.", shown(signer)),
        ));
    }
    let host = api.store.host(&Named::Name(hostname.clone())).await?.ok_or_else(|| {
        Fault::bad(format!(
            "Host with name {} could not be found: it is in no segment. Add it with `openstack segment host create`.",
            shown(&hostname)
        ))
    })?;
    is_taken_from(&host, kind)?;
    let now = api.now();
    let segment = api.store.segment(&Named::Id(host.segment.to_string())).await?;
    let asked = match segment.is_some_and(|segment| !segment.enabled) {
        true => Asks::Nothing(DISABLED),
        false => asks(&host.id, &payload),
    };
    let (opening, settled) = match asked {
        Asks::Recovery(key) => {
            let at_work_until = now + jiff::SignedDuration::from_secs(PICKED_UP_WITHIN_S);
            (Some(Opening { id: IncidentId::new(api.identity()), key, at_work_until }), None)
        }
        Asks::Note(why) => (None, Some((Status::Finished, why))),
        Asks::Nothing(why) => (None, Some((Status::Ignored, why))),
    };
    let notification = Notification {
        number: 0,
        id: NotificationId::new(api.identity()),
        generated,
        host: host.id,
        payload,
        status: Status::New,
        segment: Some(host.segment),
        message: None,
        incident: None,
        reporter: request.caller.user.clone(),
        created: now,
        updated: None,
    };
    match api.store.report(&Report { notification, opening }).await? {
        Reported::Kept(notification) => {
            match settled {
                // It was taken in any case; what is left over is settled later.
                Some((status, why)) => drop(
                    api.store.set_status(&notification.id, Status::New, status, Some(why), api.now()).await,
                ),
                None => api.reported.notify_one(),
            }
            accepted(&One { notification: NotificationBody::of(&notification, None) })
        }
        Reported::Joined(incident) => Err(Fault::conflict(format!(
            "Notification received is duplicate of notification {}: what it reports is being taken care of.",
            incident.notification
        ))),
    }
}

/// The notification that a path names.
pub async fn found(api: &Api, id: &str) -> Result<Notification, Fault> {
    api.store.notification(&named(id)).await?.ok_or_else(|| Fault::missing("Notification", id))
}

/// Refuses a report about a host that is out of service. That a host is gone is heard also while it is only quarantined,
/// and while it is being recovered, where it joins the incident.
fn is_taken_from(host: &Host, kind: Kind) -> Result<(), Fault> {
    let is_heard = match kind {
        Kind::Host => !host.on_maintenance,
        Kind::Instance | Kind::Process => !host.is_out(),
    };
    match is_heard {
        true => Ok(()),
        false => Err(Fault::conflict(format!(
            "Host {} is on maintenance, so nothing is recovered from it. Clear it with `openstack segment host update --on_maintenance False`.",
            shown(&host.name)
        ))),
    }
}

/// What a notification of a kind may say.
fn payload(kind: Kind, value: serde_json::Value) -> Result<Payload, Fault> {
    let serde_json::Value::Object(mut object) = value else {
        return Err(Fault::bad("Invalid input for field payload: it is not an object"));
    };
    let turn = input::one_of(Turn::of, &["STARTED", "STOPPED"]);
    let payload = match kind {
        Kind::Host => Payload::Host {
            event: input::required(&mut object, "event", turn)?,
            cluster_status: input::optional(
                &mut object,
                "cluster_status",
                input::one_of(ClusterStatus::of, &["ONLINE", "OFFLINE"]),
            )?,
            host_status: input::optional(
                &mut object,
                "host_status",
                input::one_of(HostStatus::of, &["NORMAL", "UNKNOWN"]),
            )?,
        },
        Kind::Instance => Payload::Instance {
            event: input::required(&mut object, "event", input::short)?,
            instance_uuid: InstanceId::new(input::required(&mut object, "instance_uuid", input::instance)?),
            vir_domain_event: input::required(&mut object, "vir_domain_event", input::short)?,
        },
        Kind::Process => Payload::Process {
            event: input::required(&mut object, "event", turn)?,
            process_name: input::required(&mut object, "process_name", input::short)?,
        },
    };
    input::nothing_else(&object)?;
    Ok(payload)
}
