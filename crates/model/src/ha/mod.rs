//! Instance HA: segments of hosts that stand in for each other, what monitors report, and what is moved because of it.
//!
//! How the register is used, by whoever takes a report and by whoever works on it (`Register` in the engine's seams):
//!
//! 1. `report(&Report)` keeps a notification and opens the incident that it asks for, in one atomic write, or says which
//!    open incident it joins. One incident is open for a key at a time; a closed one is in nobody's way. A joined
//!    report makes no notification; its payload is kept as a [`Joined`] of the incident, each different one once.
//! 2. `notifications` with [`list::Query::of_status`] is the queue: there is no message bus that could lose a report.
//! 3. `open_incidents` is the work. `save_incident` replaces an incident if nobody saved it since (its `version`), and
//!    closes it when `closed` is set. `hold_incident` says "I am at it until then" without a new version; a segment is
//!    "in use" for the API exactly while somebody is at work on one of its incidents.
//! 4. `set_status` moves a notification on, if its status is still the one that was seen.
//! 5. `keep_moves` writes moves as they are now (same id: replaced); `append_progress` adds steps, the same mark twice
//!    being one step; `change_host` sets the flags.
//!
//! These are nouns as they are kept, not as any client is told of them. This module must never know a route or a
//! status code.

mod incident;
pub mod list;

pub use incident::{
    Evidence, INCIDENT_FORMAT, Incident, IncidentBody, IncidentKey, Joined, Opening, Progress, Stage,
    TaskState,
};

use crate::ids::{HostId, IncidentId, InstanceId, MoveId, NotificationId, SegmentId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An enum whose every value is one fixed word.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$value_doc])* #[serde(rename = $word)] $value,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$value,)+];

            /// Its word.
            pub fn word(self) -> &'static str {
                match self {
                    $($name::$value => $word,)+
                }
            }

            /// The value of a word.
            pub fn of(word: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Where the instances of a failed host go.
    RecoveryMethod {
        /// Wherever the scheduler finds room.
        Auto = "auto",
        /// To a host that is kept free for this.
        ReservedHost = "reserved_host",
        /// Wherever there is room, else to a reserved host.
        AutoPriority = "auto_priority",
        /// To a reserved host, else wherever there is room.
        ReservedPriority = "rh_priority",
    }
}

words! {
    /// What a notification is about.
    Kind {
        /// A host.
        Host = "COMPUTE_HOST",
        /// An instance.
        Instance = "VM",
        /// A process on a host.
        Process = "PROCESS",
    }
}

words! {
    /// What became of a notification.
    Status {
        /// It was taken and waits for somebody who works on it.
        New = "new",
        /// It is worked on.
        Running = "running",
        /// It failed and will be tried again.
        Error = "error",
        /// It was given up.
        Failed = "failed",
        /// It asked for nothing.
        Ignored = "ignored",
        /// What it asked for is done.
        Finished = "finished",
    }
}

words! {
    /// Whether a host or process came or went.
    Turn {
        /// It came.
        Started = "STARTED",
        /// It went.
        Stopped = "STOPPED",
    }
}

words! {
    /// Whether a monitor vouches for what it says of a host.
    HostStatus {
        /// It does: the host is known to be off, or on.
        Normal = "NORMAL",
        /// It could not find out.
        Unknown = "UNKNOWN",
    }
}

words! {
    /// How a monitor's cluster sees a host.
    ClusterStatus {
        /// As a member.
        Online = "ONLINE",
        /// As gone.
        Offline = "OFFLINE",
    }
}

words! {
    /// How an instance is moved.
    MoveKind {
        /// Rebuilt from its disk elsewhere.
        Evacuation = "evacuation",
        /// Moved while it is off.
        Migration = "migration",
        /// Moved while it runs.
        LiveMigration = "live_migration",
    }
}

words! {
    /// How far a move is.
    MoveStatus {
        /// It is going to be asked for.
        Pending = "pending",
        /// It was asked for.
        Ongoing = "ongoing",
        /// It was not needed.
        Ignored = "ignored",
        /// It failed.
        Failed = "failed",
        /// The instance is there.
        Succeeded = "succeeded",
    }
}

/// What a monitor says happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Payload {
    /// To an instance.
    Instance {
        /// The kind of event, for example `LIFECYCLE`.
        event: String,
        /// Which instance.
        instance_uuid: InstanceId,
        /// What the hypervisor saw, for example `STOPPED_FAILED`.
        vir_domain_event: String,
    },
    /// To a process.
    Process {
        /// Whether it came or went.
        event: Turn,
        /// Its name.
        process_name: String,
    },
    /// To the host itself.
    Host {
        /// Whether it came or went.
        event: Turn,
        /// How the monitor's cluster sees it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster_status: Option<ClusterStatus>,
        /// Whether the monitor vouches for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host_status: Option<HostStatus>,
    },
}

impl Payload {
    /// What it is about.
    pub fn kind(&self) -> Kind {
        match self {
            Payload::Instance { .. } => Kind::Instance,
            Payload::Process { .. } => Kind::Process,
            Payload::Host { .. } => Kind::Host,
        }
    }
}

/// Hosts that stand in for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number, never used again; given by the store.
    pub number: i64,
    /// Its identity.
    pub id: SegmentId,
    /// Its name; no two segments have the same at a time.
    pub name: String,
    /// What its hosts are for, in free words.
    pub service_type: String,
    /// Whether anything is recovered in it.
    pub enabled: bool,
    /// What a person says of it.
    pub description: Option<String>,
    /// Where instances go.
    pub recovery_method: RecoveryMethod,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Option<Timestamp>,
}

/// A change to a segment; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentChange {
    /// Its name.
    pub name: Option<String>,
    /// What its hosts are for.
    pub service_type: Option<String>,
    /// Whether anything is recovered in it.
    pub enabled: Option<bool>,
    /// What a person says of it; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
    /// Where instances go.
    pub recovery_method: Option<RecoveryMethod>,
}

/// A compute host in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its number, never used again; given by the store.
    pub number: i64,
    /// Its identity.
    pub id: HostId,
    /// Its name as the compute service knows the service on it; no two hosts have the same at a time, in any segment.
    pub name: String,
    /// The segment that it belongs to, for good.
    pub segment: SegmentId,
    /// What it is, in one free word.
    pub kind: String,
    /// How it is controlled, in free words.
    pub control_attributes: String,
    /// Whether it is kept free for others' instances.
    pub reserved: bool,
    /// Whether an operator works on it.
    pub on_maintenance: bool,
    /// Whether its instances are being recovered, or were: until it is returned.
    pub under_recovery: bool,
    /// Whether it must get nothing new because something on it is broken.
    pub quarantined: bool,
    /// When it was registered.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Option<Timestamp>,
}

impl Host {
    /// Whether it counts as out of service, for whatever reason: clients know one flag only.
    pub fn is_out(&self) -> bool {
        self.on_maintenance || self.under_recovery || self.quarantined
    }
}

/// A change to a host; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostChange {
    /// Its name.
    pub name: Option<String>,
    /// What it is.
    pub kind: Option<String>,
    /// How it is controlled.
    pub control_attributes: Option<String>,
    /// Whether it is kept free.
    pub reserved: Option<bool>,
    /// Whether an operator works on it.
    pub on_maintenance: Option<bool>,
    /// Whether its instances are being recovered.
    pub under_recovery: Option<bool>,
    /// Whether it must get nothing new.
    pub quarantined: Option<bool>,
}

/// What was reported once, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its number, never used again; given by the store.
    pub number: i64,
    /// Its identity.
    pub id: NotificationId,
    /// When it happened, by the reporter's clock, to the second.
    pub generated: Timestamp,
    /// Where it happened.
    pub host: HostId,
    /// What happened.
    pub payload: Payload,
    /// What became of it.
    pub status: Status,
    /// The segment of the host, when it was reported.
    pub segment: Option<SegmentId>,
    /// Why it is as it is, for a person.
    pub message: Option<String>,
    /// The incident that it opened, if it asked for one.
    pub incident: Option<IncidentId>,
    /// Who reported it: an account and an address.
    pub reporter: String,
    /// When it was taken.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Option<Timestamp>,
}

/// A notification that is to be kept, and the incident that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The notification; its number is not looked at.
    pub notification: Notification,
    /// The incident to open or to join; none if nothing has to be done about it.
    pub opening: Option<Opening>,
}

/// What a report came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It was kept, with a number, and its incident was opened if it asks for one.
    Kept(Notification),
    /// It belongs to an incident that is open already.
    Joined(Incident),
}

/// One attempt to move one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Its number, never used again; given by the store.
    pub number: i64,
    /// Its identity.
    pub id: MoveId,
    /// Because of what.
    pub notification: NotificationId,
    /// Which instance.
    pub instance: InstanceId,
    /// Its name.
    pub instance_name: String,
    /// From where.
    pub source: Option<String>,
    /// To where.
    pub destination: Option<String>,
    /// When it was asked for.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// How.
    pub kind: MoveKind,
    /// How far it is.
    pub status: MoveStatus,
    /// Why it is as it is, for a person.
    pub message: Option<String>,
    /// When it was written down.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Option<Timestamp>,
}

/// What came of adding or changing something that has a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written<T> {
    /// It is as it was asked for.
    Done(T),
    /// Another one has that name.
    NameTaken,
    /// It is not there, or what it belongs to is not.
    Gone,
}

/// How something in the register is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By its identity.
    Id(String),
    /// By its number.
    Number(i64),
    /// By its name, where it has one.
    Name(String),
}

/// How many rows a purge took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Deleted segments.
    pub segments: u64,
    /// Deleted hosts.
    pub hosts: u64,
    /// Notifications that nobody works on any more.
    pub notifications: u64,
    /// Moves of those.
    pub moves: u64,
    /// Steps of those.
    pub progress: u64,
    /// Closed incidents.
    pub incidents: u64,
    /// What had joined those.
    pub joined: u64,
}

impl Purged {
    /// All of them.
    pub fn rows(&self) -> u64 {
        self.segments
            + self.hosts
            + self.notifications
            + self.moves
            + self.progress
            + self.incidents
            + self.joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_as_what_it_was_written_as() {
        let payloads = [
            Payload::Host {
                event: Turn::Stopped,
                cluster_status: None,
                host_status: Some(HostStatus::Normal),
            },
            Payload::Host {
                event: Turn::Started,
                cluster_status: Some(ClusterStatus::Online),
                host_status: None,
            },
            Payload::Process { event: Turn::Stopped, process_name: "nova-compute".into() },
            Payload::Instance {
                event: "LIFECYCLE".into(),
                instance_uuid: "9d3a".into(),
                vir_domain_event: "STOPPED_FAILED".into(),
            },
        ];
        for payload in payloads {
            let text = serde_json::to_string(&payload).unwrap();
            let read: Payload = serde_json::from_str(&text).unwrap();
            assert_eq!(read, payload, "{text}");
            assert_eq!(read.kind(), payload.kind());
        }
    }

    #[test]
    fn words_are_read_back() {
        for method in RecoveryMethod::ALL {
            assert_eq!(RecoveryMethod::of(method.word()), Some(*method));
        }
        assert_eq!(Status::of("New"), None, "words are exact");
    }
}
