//! What a report asks for: a recovery, a note, or nothing.
//!
//! Decided once, when the report is taken, from what it says alone. It must never forget a host that is said to be gone:
//! a monitor that could not find out whether the host is off asks for a recovery too, which then waits for its proof.

use ostler_model::ha::{IncidentKey, Payload, Turn};
use ostler_model::ids::HostId;

/// What a hypervisor saw of an instance that has failed: the kind of event, and its detail.
const FAILURES: &[(&str, &str)] = &[
    ("LIFECYCLE", "STOPPED_FAILED"),
    ("IO_ERROR", "IO_ERROR_REPORT"),
    ("QEMU_GUEST_AGENT_ERROR", "STOPPED_FAILED"),
];

/// What a report asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// That something is brought back. The key says what; all reports with one key are one outage.
    Recovery(IncidentKey),
    /// That it is known. Nothing has to be done.
    Note(&'static str),
    /// Nothing.
    Nothing(&'static str),
}

/// What a report about a host asks for.
pub fn asks(host: &HostId, payload: &Payload) -> Asks {
    match payload {
        Payload::Host { event: Turn::Started, .. } => {
            Asks::Note("the host is up; it is returned to service by its operator")
        }
        Payload::Host { event: Turn::Stopped, .. } => Asks::Recovery(IncidentKey::host(host)),
        Payload::Process { event: Turn::Started, .. } => Asks::Note("the process runs again"),
        Payload::Process { event: Turn::Stopped, process_name } => {
            Asks::Recovery(IncidentKey::process(host, process_name))
        }
        Payload::Instance { event, vir_domain_event, instance_uuid } => {
            match FAILURES.contains(&(event.as_str(), vir_domain_event.as_str())) {
                true => Asks::Recovery(IncidentKey::instance(instance_uuid.as_str())),
                false => Asks::Nothing("this event of an instance is no failure"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::ha::HostStatus;

    fn host(event: Turn, host_status: Option<HostStatus>) -> Payload {
        Payload::Host { event, cluster_status: None, host_status }
    }

    fn instance(event: &str, vir_domain_event: &str) -> Payload {
        Payload::Instance {
            event: event.into(),
            instance_uuid: "9d3a".into(),
            vir_domain_event: vir_domain_event.into(),
        }
    }

    #[test]
    fn a_host_that_is_said_to_be_gone_is_never_forgotten() {
        let id = HostId::new("h");
        for status in [Some(HostStatus::Normal), Some(HostStatus::Unknown), None] {
            assert_eq!(asks(&id, &host(Turn::Stopped, status)), Asks::Recovery(IncidentKey::new("host/h")));
            assert!(matches!(asks(&id, &host(Turn::Started, status)), Asks::Note(_)));
        }
    }

    #[test]
    fn only_failures_of_instances_are_recovered() {
        let id = HostId::new("h");
        for (event, detail) in FAILURES {
            assert_eq!(asks(&id, &instance(event, detail)), Asks::Recovery(IncidentKey::new("vm/9d3a")));
        }
        for (event, detail) in [("LIFECYCLE", "STOPPED_SHUTDOWN"), ("REBOOT", "UNKNOWN"), ("IO_ERROR", "X")] {
            assert!(matches!(asks(&id, &instance(event, detail)), Asks::Nothing(_)), "{event} {detail}");
        }
    }
}
