//! Instruments that are left on a node for a while: debug logging of a service, as a lease with an end.
//!
//! What takes it back lies on the node and is due before anything is changed there: it needs neither Ostler nor a connection.
//! It must never leave an instrument without an end, nor restart what was not to be restarted.

use crate::node::Connections;
use crate::node::shell::Script;
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a node may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Longest time that a lease may last: who wants it for longer writes it into the configuration.
pub const DEBUG_S_MAX: u32 = 24 * 3_600;

const SCRIPT: &str = include_str!("../data/instrument/debug.sh");

/// Services that read `debug` anew when they get a SIGHUP: processes that oslo.service launches, which all do, and by which
/// theirs is an option that may change while they run. Behind a web server nobody hears the signal.
const HEARS_SIGNAL: [&str; 12] = [
    "nova-compute",
    "nova-conductor",
    "nova-scheduler",
    "neutron-openvswitch-agent",
    "neutron-l3-agent",
    "neutron-dhcp-agent",
    "neutron-metadata-agent",
    "neutron-rpc-server",
    "cinder-volume",
    "cinder-scheduler",
    "cinder-backup",
    "heat-engine",
];

/// Debug logging of one service on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugLease {
    /// The node.
    pub host: HostName,
    /// The service's unit.
    pub unit: String,
    /// The file that says so.
    pub file: String,
    /// When it ends, by the node's clock.
    pub until: String,
    /// Who wanted it.
    pub who: String,
    /// Whether the same process runs on: it was told by a signal.
    pub stayed: Option<bool>,
}

/// Why it was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DebugError {
    /// Nothing was changed, or it was taken back.
    Refused {
        /// Which guard, in one word.
        guard: String,
        /// What it says.
        what: String,
    },
    /// The node was not reached, or what it did is not known.
    Failed(Why),
}

/// Whether a service reads its configuration anew without a restart.
pub fn hears_signal(unit: &str) -> bool {
    HEARS_SIGNAL.contains(&unit.trim_start_matches("openstack-"))
}

/// Switches debug logging on until so many seconds from now.
pub async fn debug_on(
    nodes: &Connections,
    host: &HostName,
    unit: &str,
    seconds: u32,
    who: &str,
    by_restart: bool,
) -> Result<DebugLease, DebugError> {
    // It becomes part of a shell comment and of names of files.
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '@'))
    };
    if !is_name(unit) || unit.starts_with(['-', '.']) {
        return Err(DebugError::Refused {
            guard: "name".into(),
            what: format!("`{unit}` is no name of a unit"),
        });
    }
    let who: String = who.chars().filter(|letter| is_name(&letter.to_string())).collect();
    let way = if by_restart { "restart" } else { "signal" };
    let words = ["on", unit, &seconds.to_string(), &who, way].map(str::to_owned);
    let mut leases = ask(nodes, host, words.into()).await?;
    leases.pop().ok_or_else(|| DebugError::Failed(Why::new(format!("{host} did not say what it did"))))
}

/// Switches it off now. Answers the lease that ends.
pub async fn debug_off(nodes: &Connections, host: &HostName, unit: &str) -> Result<DebugLease, DebugError> {
    let mut leases = ask(nodes, host, vec!["off".to_owned(), unit.to_owned()]).await?;
    leases.pop().ok_or_else(|| DebugError::Failed(Why::new(format!("{host} did not say what it did"))))
}

/// What is on.
pub async fn debug_status(nodes: &Connections, host: &HostName) -> Result<Vec<DebugLease>, DebugError> {
    ask(nodes, host, vec!["status".to_owned()]).await
}

async fn ask(
    nodes: &Connections,
    host: &HostName,
    arguments: Vec<String>,
) -> Result<Vec<DebugLease>, DebugError> {
    let text = format!("{SCRIPT}\ndebug \"$@\" < /dev/null\n");
    let script = Script { doing: "switching debug logging", text, arguments, limit: LIMIT };
    let answer = nodes.run(host, script).await.map_err(|error| DebugError::Failed(error.why()))?;
    read(host, &answer.text())
}

/// Reads what the script said.
fn read(host: &HostName, text: &str) -> Result<Vec<DebugLease>, DebugError> {
    let mut leases = Vec::new();
    for line in text.lines() {
        let mut parts = line.split('\t');
        match parts.next() {
            Some("refused") => {
                let (guard, what) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let what = format!("{host}: {what}");
                return Err(DebugError::Refused { guard: guard.to_owned(), what });
            }
            Some("row") => {
                let columns: BTreeMap<&str, &str> = parts.filter_map(|part| part.split_once('=')).collect();
                let text = |name: &str| columns.get(name).copied().unwrap_or_default().to_owned();
                leases.push(DebugLease {
                    host: host.clone(),
                    unit: text("unit"),
                    file: text("file"),
                    until: text("until"),
                    who: text("who"),
                    stayed: columns.get("stayed?").map(|text| *text == "true"),
                });
            }
            _ => {}
        }
    }
    match text.lines().last() {
        Some("end\t1") => Ok(leases),
        _ => Err(DebugError::Failed(Why::new(format!("{host} broke off")))),
    }
}

#[cfg(test)]
mod tests;
