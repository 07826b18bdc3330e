//! The guests of this host through `virsh`: events as they come, all guests with their states, a word from inside.
//!
//! It changes nothing, and says nothing about what an event is worth beyond what upstream's monitor would send.

use super::child::{self, ChildError, Lines};
use ostler_engine::monitor::guests::{Condition, Listed};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long `virsh` may take for a listing: a thousand guests on a busy host.
const LISTING_LIMIT: Duration = Duration::from_secs(60);

/// Seconds between signs of life of the connection that waits for events, and how many may be missed.
const KEEPALIVE: (&str, &str) = ("5", "3");

/// An event that the API knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestEvent {
    /// The guest's name on the hypervisor.
    pub name: String,
    /// How the guest is now, where the event says so.
    pub condition: Option<Condition>,
    /// What upstream's monitor sends for it: `event` and `vir_domain_event`.
    pub sends: Option<(&'static str, &'static str)>,
}

/// Waits for events of all guests.
pub fn events(connection: &str) -> Result<Lines, ChildError> {
    let (interval, count) = KEEPALIVE;
    Lines::of(
        "virsh",
        &["-r", "-c", connection, "-k", interval, "-K", count, "event", "--all", "--loop", "--timestamp"],
    )
}

/// Reads a line of `virsh event`.
pub fn read_event(line: &str) -> Option<GuestEvent> {
    let (_, rest) = line.split_once("event '")?;
    let (kind, rest) = rest.split_once('\'')?;
    let rest = rest.strip_prefix(" for domain ")?;
    // Older versions print the name without quotes.
    let (name, detail) = match rest.strip_prefix('\'') {
        Some(quoted) => match quoted.split_once("': ") {
            Some((name, detail)) => (name, detail),
            None => (quoted.trim_end().strip_suffix('\'')?, ""),
        },
        None => rest.split_once(": ").unwrap_or((rest.trim_end(), "")),
    };
    let detail = detail.trim();
    let (condition, sends) = match kind {
        "lifecycle" => lifecycle(detail),
        "reboot" => (None, Some(("REBOOT", "UNKNOWN"))),
        "watchdog" => {
            let sends = match detail {
                "none" => Some("WATCHDOG_NONE"),
                "pause" => Some("WATCHDOG_PAUSE"),
                "reset" => Some("WATCHDOG_RESET"),
                "poweroff" => Some("WATCHDOG_POWEROFF"),
                "shutdown" => Some("WATCHDOG_SHUTDOWN"),
                "debug" => Some("WATCHDOG_DEBUG"),
                _ => None,
            };
            (None, sends.map(|sends| ("WATCHDOG", sends)))
        }
        "io-error" => {
            // The path may hold blanks; the action is the last word.
            let sends = match detail.rsplit(' ').next() {
                Some("none") => Some("IO_ERROR_NONE"),
                Some("pause") => Some("IO_ERROR_PAUSE"),
                Some("report") => Some("IO_ERROR_REPORT"),
                _ => None,
            };
            (None, sends.map(|sends| ("IO_ERROR", sends)))
        }
        "io-error-reason" => (None, Some(("IO_ERROR_REASON", "UNKNOWN"))),
        "control-error" => (None, Some(("CONTROL_ERROR", "UNKNOWN"))),
        _ => (None, None),
    };
    Some(GuestEvent { name: name.to_owned(), condition, sends })
}

fn lifecycle(detail: &str) -> (Option<Condition>, Option<(&'static str, &'static str)>) {
    let (what, why) = detail.split_once(' ').unwrap_or((detail, ""));
    let (condition, sends) = match (what, why.trim()) {
        ("Suspended", "I/O Error") => (Some(Condition::HaltedByIo), Some("SUSPENDED_IOERROR")),
        ("Suspended", "Watchdog") => (Some(Condition::HaltedByWatchdog), Some("SUSPENDED_WATCHDOG")),
        ("Suspended", "API error") => (Some(Condition::HaltedByApi), Some("SUSPENDED_API_ERROR")),
        ("Stopped", "Shutdown") => (Some(Condition::Off), Some("STOPPED_SHUTDOWN")),
        ("Stopped", "Destroyed") => (Some(Condition::Off), Some("STOPPED_DESTROYED")),
        ("Stopped", "Failed") => (Some(Condition::Failed), Some("STOPPED_FAILED")),
        // What became of a guest that panicked is for the comparison to find.
        ("Stopped", "Crashed") => (None, None),
        ("Stopped", _) => (Some(Condition::Off), None),
        ("Shutdown", "Finished") => (None, Some("SHUTDOWN_FINISHED")),
        ("Started" | "Resumed" | "Suspended", _) => (Some(Condition::Runs), None),
        _ => (None, None),
    };
    (condition, sends.map(|sends| ("LIFECYCLE", sends)))
}

/// All guests that the hypervisor has, by identity. Two questions, however many there are.
pub async fn listing(connection: &str) -> Result<BTreeMap<String, Listed>, ChildError> {
    let names =
        child::output("virsh", &["-r", "-c", connection, "list", "--all", "--uuid", "--name"], LISTING_LIMIT)
            .await?;
    let states =
        child::output("virsh", &["-r", "-c", connection, "domstats", "--state"], LISTING_LIMIT).await?;
    Ok(read_listing(&names, &states))
}

/// A guest that came or went between the two questions is left for the next time.
fn read_listing(names: &str, states: &str) -> BTreeMap<String, Listed> {
    let mut conditions: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let mut name = "";
    for line in states.lines().map(str::trim) {
        if let Some(quoted) = line.strip_prefix("Domain: '") {
            name = quoted.strip_suffix('\'').unwrap_or(quoted);
        } else if let Some(number) = line.strip_prefix("state.state=").and_then(|text| text.parse().ok()) {
            conditions.entry(name).or_default().0 = number;
        } else if let Some(number) = line.strip_prefix("state.reason=").and_then(|text| text.parse().ok()) {
            conditions.entry(name).or_default().1 = number;
        }
    }
    names
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .filter_map(|(identity, name)| {
            let name = name.trim();
            let (state, reason) = conditions.get(name)?;
            let listed = Listed { name: name.to_owned(), condition: condition(*state, *reason) };
            Some((identity.to_owned(), listed))
        })
        .collect()
}

/// libvirt's numbers for a state and its reason.
fn condition(state: u32, reason: u32) -> Condition {
    match (state, reason) {
        (3, 5) => Condition::HaltedByIo,
        (3, 6) => Condition::HaltedByWatchdog,
        (3, 14) => Condition::HaltedByApi,
        // Shut off: unknown, crashed, failed, by the daemon that had lost it. And crashed, but kept.
        (5, 0 | 3 | 6 | 8) | (6, _) => Condition::Failed,
        (4 | 5, _) => Condition::Off,
        _ => Condition::Runs,
    }
}

/// Whether a guest's agent answers.
pub async fn agent_answers(connection: &str, name: &str, limit: Duration) -> bool {
    let seconds = limit.as_secs().max(1).to_string();
    let arguments = [
        "-c",
        connection,
        "qemu-agent-command",
        "--timeout",
        &seconds,
        "--domain",
        name,
        "--cmd",
        r#"{"execute":"guest-ping"}"#,
    ];
    // The program needs a moment for itself beside the agent's time.
    child::answer("virsh", &arguments, limit + Duration::from_secs(10)).await.is_ok_and(|answer| answer.is_ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(line: &str) -> String {
        match read_event(line) {
            None => "no event".to_owned(),
            Some(event) => {
                let (kind, detail) = event.sends.unwrap_or(("-", "-"));
                format!("{} {kind} {detail} {:?}", event.name, event.condition)
            }
        }
    }

    #[test]
    fn events_are_mapped_as_upstream_does() {
        let at = "2026-11-27 20:49:44.403+0000: ";
        let told: Vec<String> = [
            "event 'lifecycle' for domain 'i-1': Stopped Failed",
            "event 'lifecycle' for domain 'i-1': Stopped Destroyed",
            "event 'lifecycle' for domain 'i-1': Stopped Shutdown",
            "event 'lifecycle' for domain 'i-1': Stopped Migrated",
            "event 'lifecycle' for domain 'i-1': Stopped Crashed",
            "event 'lifecycle' for domain 'i-1': Suspended I/O Error",
            "event 'lifecycle' for domain 'i-1': Suspended Watchdog",
            "event 'lifecycle' for domain 'i-1': Suspended API error",
            "event 'lifecycle' for domain 'i-1': Suspended Paused",
            "event 'lifecycle' for domain 'i-1': Resumed Unpaused",
            "event 'lifecycle' for domain 'i-1': Started Booted",
            "event 'lifecycle' for domain 'i-1': Shutdown Finished",
            "event 'lifecycle' for domain 'i-1': Shutdown Finished after guest request",
            "event 'lifecycle' for domain 'i-1': Crashed Panicked",
            "event 'lifecycle' for domain 'i-1': Defined Added",
            "event 'reboot' for domain 'i-1'",
            "event 'watchdog' for domain 'i-1': poweroff",
            "event 'watchdog' for domain 'i-1': inject-nmi",
            "event 'io-error' for domain 'i-1': /var/lib/a disk (virtio-disk0) report",
            "event 'io-error' for domain 'i-1': /var/lib/a (virtio-disk0) pause",
            "event 'io-error-reason' for domain 'i-1': /a (virtio-disk0) report due to enospc",
            "event 'control-error' for domain 'i-1'",
            "event 'rtc-change' for domain 'i-1': 5",
            "event 'lifecycle' for domain i-2: Stopped Failed",
            "event 'reboot' for domain i-2",
        ]
        .iter()
        .map(|line| sent(&format!("{at}{line}")))
        .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        i-1 LIFECYCLE STOPPED_FAILED Some(Failed)
        i-1 LIFECYCLE STOPPED_DESTROYED Some(Off)
        i-1 LIFECYCLE STOPPED_SHUTDOWN Some(Off)
        i-1 - - Some(Off)
        i-1 - - None
        i-1 LIFECYCLE SUSPENDED_IOERROR Some(HaltedByIo)
        i-1 LIFECYCLE SUSPENDED_WATCHDOG Some(HaltedByWatchdog)
        i-1 LIFECYCLE SUSPENDED_API_ERROR Some(HaltedByApi)
        i-1 - - Some(Runs)
        i-1 - - Some(Runs)
        i-1 - - Some(Runs)
        i-1 LIFECYCLE SHUTDOWN_FINISHED None
        i-1 - - None
        i-1 - - None
        i-1 - - None
        i-1 REBOOT UNKNOWN None
        i-1 WATCHDOG WATCHDOG_POWEROFF None
        i-1 - - None
        i-1 IO_ERROR IO_ERROR_REPORT None
        i-1 IO_ERROR IO_ERROR_PAUSE None
        i-1 IO_ERROR_REASON UNKNOWN None
        i-1 CONTROL_ERROR UNKNOWN None
        i-1 - - None
        i-2 LIFECYCLE STOPPED_FAILED Some(Failed)
        i-2 REBOOT UNKNOWN None
        ");
    }

    #[test]
    fn what_is_no_event_is_none() {
        for line in
            ["", "events received: 1", "event 'lifecycle'", "event 'x' for domain 'y", "error: closed"]
        {
            assert_eq!(read_event(line), None, "{line}");
        }
    }

    #[test]
    fn a_listing_is_read() {
        let names = "6c6d9ac5-6a8e-4e2c-8f6e-0a3f5d3f0001 instance-00000001\n\
            6c6d9ac5-6a8e-4e2c-8f6e-0a3f5d3f0002 with a blank\n\
            6c6d9ac5-6a8e-4e2c-8f6e-0a3f5d3f0003 just-gone\n\n";
        let states = "Domain: 'instance-00000001'\n  state.state=5\n  state.reason=3\n\n\
            Domain: 'with a blank'\n  state.state=1\n  state.reason=1\n\n";
        let listing = read_listing(names, states);
        let conditions: Vec<(&str, Condition)> =
            listing.values().map(|listed| (listed.name.as_str(), listed.condition)).collect();
        assert_eq!(conditions, [("instance-00000001", Condition::Failed), ("with a blank", Condition::Runs)]);
    }
}
