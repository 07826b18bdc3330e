//! What clients are shown of the register: the objects of the API, field by field in the order in which they have
//! always been sent.
//!
//! It must never leave out a field that clients know, nor add one that is not meant for them.

use ostler_model::Timestamp;
use ostler_model::ha::{Host, Move, Notification, Payload, Progress, Segment};
use serde::{Serialize, Serializer};

/// A time as clients read it: no zone, and always six zeros.
fn time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%S.000000"))
}

fn maybe_time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(at) => self::time(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// What every object ends with. What is deleted is never shown.
#[derive(Serialize)]
struct Ends {
    #[serde(serialize_with = "time")]
    created_at: Timestamp,
    #[serde(serialize_with = "maybe_time")]
    updated_at: Option<Timestamp>,
    deleted_at: Option<()>,
    deleted: bool,
}

impl Ends {
    fn of(created: Timestamp, updated: Option<Timestamp>) -> Self {
        Self { created_at: created, updated_at: updated, deleted_at: None, deleted: false }
    }
}

/// A segment.
#[derive(Serialize)]
pub struct SegmentBody<'a> {
    id: i64,
    uuid: &'a str,
    name: &'a str,
    service_type: &'a str,
    enabled: bool,
    description: Option<&'a str>,
    recovery_method: &'static str,
    #[serde(flatten)]
    ends: Ends,
}

impl<'a> From<&'a Segment> for SegmentBody<'a> {
    fn from(segment: &'a Segment) -> Self {
        Self {
            id: segment.number,
            uuid: segment.id.as_str(),
            name: &segment.name,
            service_type: &segment.service_type,
            enabled: segment.enabled,
            description: segment.description.as_deref(),
            recovery_method: segment.recovery_method.word(),
            ends: Ends::of(segment.created, segment.updated),
        }
    }
}

/// A host, with its segment in it.
#[derive(Serialize)]
pub struct HostBody<'a> {
    id: i64,
    uuid: &'a str,
    name: &'a str,
    failover_segment_id: &'a str,
    failover_segment: SegmentBody<'a>,
    #[serde(rename = "type")]
    kind: &'a str,
    reserved: bool,
    control_attributes: &'a str,
    on_maintenance: bool,
    #[serde(flatten)]
    ends: Ends,
}

impl<'a> HostBody<'a> {
    /// A host of a segment.
    pub fn of(host: &'a Host, segment: &'a Segment) -> Self {
        Self {
            id: host.number,
            uuid: host.id.as_str(),
            name: &host.name,
            failover_segment_id: host.segment.as_str(),
            failover_segment: segment.into(),
            kind: &host.kind,
            reserved: host.reserved,
            control_attributes: &host.control_attributes,
            on_maintenance: host.is_out(),
            ends: Ends::of(host.created, host.updated),
        }
    }
}

/// A notification.
#[derive(Serialize)]
pub struct NotificationBody<'a> {
    id: i64,
    notification_uuid: &'a str,
    #[serde(serialize_with = "time")]
    generated_time: Timestamp,
    source_host_uuid: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    payload: &'a Payload,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_workflow_details: Option<Vec<TaskBody>>,
    failover_segment_uuid: Option<&'a str>,
    message: Option<&'a str>,
    #[serde(flatten)]
    ends: Ends,
}

impl<'a> NotificationBody<'a> {
    /// A notification, with the tasks of its recovery where they are asked for.
    pub fn of(notification: &'a Notification, tasks: Option<Vec<TaskBody>>) -> Self {
        Self {
            id: notification.number,
            notification_uuid: notification.id.as_str(),
            generated_time: notification.generated,
            source_host_uuid: notification.host.as_str(),
            kind: notification.payload.kind().word(),
            payload: &notification.payload,
            status: notification.status.word(),
            recovery_workflow_details: tasks,
            failover_segment_uuid: notification.segment.as_ref().map(|segment| segment.as_str()),
            message: notification.message.as_deref(),
            ends: Ends::of(notification.created, notification.updated),
        }
    }
}

/// A task of a recovery, with its steps.
#[derive(Serialize)]
pub struct TaskBody {
    name: String,
    progress: f64,
    state: &'static str,
    progress_details: Vec<StepBody>,
}

/// A step of a task. The progress is text here and a number in the task: clients expect both.
#[derive(Serialize)]
struct StepBody {
    timestamp: String,
    progress: String,
    message: String,
}

impl TaskBody {
    /// Tasks from their steps, in the order of their first steps.
    pub fn of(steps: Vec<Progress>) -> Vec<TaskBody> {
        let mut tasks: Vec<TaskBody> = Vec::new();
        for step in steps {
            let progress = f64::from(step.permille) / 1_000.0;
            let index = match tasks.iter().position(|task| task.name == step.task) {
                Some(index) => index,
                None => {
                    let (name, state) = (step.task, step.state.word());
                    tasks.push(TaskBody { name, progress, state, progress_details: Vec::new() });
                    tasks.len() - 1
                }
            };
            if let Some(task) = tasks.get_mut(index) {
                task.progress = progress;
                task.state = step.state.word();
                task.progress_details.push(StepBody {
                    timestamp: step.at.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string(),
                    progress: format!("{progress:?}"),
                    message: step.message,
                });
            }
        }
        tasks
    }
}

/// A move of an instance.
#[derive(Serialize)]
pub struct MoveBody<'a> {
    id: i64,
    uuid: &'a str,
    notification_uuid: &'a str,
    instance_uuid: &'a str,
    instance_name: &'a str,
    source_host: Option<&'a str>,
    dest_host: Option<&'a str>,
    #[serde(serialize_with = "maybe_time")]
    start_time: Option<Timestamp>,
    #[serde(serialize_with = "maybe_time")]
    end_time: Option<Timestamp>,
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    message: Option<&'a str>,
    #[serde(flatten)]
    ends: Ends,
}

impl<'a> From<&'a Move> for MoveBody<'a> {
    fn from(moved: &'a Move) -> Self {
        Self {
            id: moved.number,
            uuid: moved.id.as_str(),
            notification_uuid: moved.notification.as_str(),
            instance_uuid: moved.instance.as_str(),
            instance_name: &moved.instance_name,
            source_host: moved.source.as_deref(),
            dest_host: moved.destination.as_deref(),
            start_time: moved.started,
            end_time: moved.ended,
            kind: moved.kind.word(),
            status: moved.status.word(),
            message: moved.message.as_deref(),
            ends: Ends::of(moved.created, moved.updated),
        }
    }
}
