//! What a site wants of instance HA, and the failure domain that a host belongs to.
//!
//! Plain values with defaults that hurt least. It must never know where they are stored.

use ostler_model::ids::HostName;
use ostler_model::step::Wanted;
use serde::{Deserialize, Serialize};

/// How instances of a failed host find another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Wherever there is room.
    Auto,
    /// On reserved hosts only.
    ReservedHost,
    /// Wherever there is room; what fails there goes to reserved hosts.
    AutoPriority,
    /// On reserved hosts; what fails there goes wherever there is room.
    RhPriority,
}

/// A failure domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// How instances find another host.
    pub method: Method,
    /// False: nothing is recovered, nothing is fenced.
    pub enabled: bool,
    /// Its hosts, the newest first.
    pub hosts: Vec<Member>,
}

/// A host of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its service host name.
    pub host: HostName,
    /// Whether it is kept in reserve.
    pub reserved: bool,
    /// Whether somebody works on it.
    pub on_maintenance: bool,
    /// Whether it must not lose power by our hand, for example since it holds disks of others.
    pub no_fence: bool,
}

/// What becomes of instances whose root disk is on the dead host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalDisks {
    /// They wait for their host, or for a person.
    Leave,
    /// They are made anew from their image; what was on the disk is lost.
    Rebuild,
}

/// What a site wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Whether instances are moved that nobody marked.
    pub evacuate_all: bool,
    /// Whether instances are restarted that nobody marked.
    pub restart_all: bool,
    /// The metadata key that marks an instance.
    pub ha_key: String,
    /// Metadata keys with a priority from 1 to 1000, the first that is there counts; 500 where none is.
    pub priority_keys: Vec<String>,
    /// Whether each priority waits until those above it are back.
    pub one_priority_after_the_other: bool,
    /// Whether instances that were in error before are left alone.
    pub ignore_error: bool,
    /// What a paused, suspended or rescued instance is afterwards.
    pub paused_become: Wanted,
    /// What becomes of instances on local disks.
    pub local_disks: LocalDisks,
    /// Whether instances stay in their segment.
    pub within_segment: bool,
    /// Whether a reserved host joins the aggregates of the failed one.
    pub spares_join_aggregates: bool,
    /// Evacuations of one incident at once.
    pub at_once: u32,
    /// Evacuations to one host at once.
    pub to_one_host: u32,
    /// Attempts for each instance in one round.
    pub tries: u16,
    /// How often what is left is planned anew before a person is asked.
    pub rounds: u32,
    /// How long one evacuation may take.
    pub evacuation_limit_s: u32,
    /// How long one attempt to prove that a host is off may take.
    pub fence_limit_s: u32,
    /// Text beside a service that was disabled since its host failed.
    pub host_reason: String,
    /// Text beside a service that was disabled since a process failed.
    pub process_reason: String,
    /// Text beside a reserved host's service.
    pub spare_reason: String,
    /// Hosts that may be fenced within the storm interval, whatever their share is.
    pub storm_hosts: u32,
    /// The share of all hosts, in percent, that may be fenced within the storm interval.
    pub storm_percent: u32,
    /// The storm interval.
    pub storm_interval_s: u32,
    /// The share of one segment, in percent, that may be fenced within the storm interval.
    pub segment_percent: u32,
    /// How old a sighting may be.
    pub sighting_age_s: u32,
    /// Restarts of one instance within the restart window.
    pub restarts: u32,
    /// The restart window.
    pub restart_window_s: u32,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            evacuate_all: true,
            restart_all: false,
            ha_key: "HA_Enabled".into(),
            priority_keys: vec!["HA_Priority".into(), "instanceha:restart_priority".into()],
            one_priority_after_the_other: false,
            ignore_error: false,
            paused_become: Wanted::Stopped,
            local_disks: LocalDisks::Leave,
            within_segment: false,
            spares_join_aggregates: true,
            at_once: 16,
            to_one_host: 8,
            tries: 5,
            rounds: 5,
            evacuation_limit_s: 300,
            fence_limit_s: 30,
            host_reason: "the host failed; its instances are being recovered".into(),
            process_reason: "a process of the host failed".into(),
            spare_reason: "reserved for recoveries".into(),
            storm_hosts: 2,
            storm_percent: 10,
            storm_interval_s: 600,
            segment_percent: 50,
            sighting_age_s: 60,
            restarts: 3,
            restart_window_s: 3_600,
        }
    }
}
