//! What a node's hypervisor itself has, whatever Nova believes: so that one guest on two nodes is seen.
//!
//! Must never ask Nova, nor take a guest for running on a node that has no power.

use crate::error::LabError;
use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long asking a hypervisor may take.
const ASK_LIMIT: Duration = Duration::from_secs(20);
/// Where the pretended hypervisor keeps its guests on the node.
const FILE: &str = "var/lib/nova/guests.json";
/// Prints which boot this is, then the file, which is empty before there was a guest.
const ASK: &str = "cat /proc/sys/kernel/random/boot_id; cat /var/lib/nova/guests.json 2>/dev/null || true";
const CRASH: &str = include_str!("../data/cloud/lab/crash-guest.py");

/// What a node's hypervisor has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hypervisor {
    /// The node.
    pub node: String,
    /// Whether the node has power; without it nothing runs.
    pub running: bool,
    /// Its guests, by name.
    pub guests: Vec<Guest>,
}

/// A guest as its hypervisor knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guest {
    /// Nova's uuid of the instance.
    pub uuid: String,
    /// The name that the hypervisor knows.
    pub name: String,
    /// `running`, `paused`, `suspended`, `shutoff`, `crashed`; `no-power` where the node is off.
    pub state: String,
}

#[derive(Deserialize)]
struct Kept {
    /// The node's boot in which it was written.
    boot: String,
    guests: BTreeMap<String, KeptGuest>,
}

#[derive(Deserialize)]
struct KeptGuest {
    name: String,
    state: String,
}

/// Asks a node's hypervisor.
pub(crate) async fn ask(machine: &Machine) -> Result<Hypervisor, LabError> {
    let running = machine.power().is_some();
    let (boot, text) = match running {
        true => {
            let said = machine.run("asking the hypervisor", ASK, ASK_LIMIT).await?;
            let (boot, text) = said.split_once('\n').unwrap_or((said.as_str(), ""));
            (boot.to_owned(), text.to_owned())
        }
        // What the disk of a node without power remembers.
        false => (String::new(), std::fs::read_to_string(machine.root().join(FILE)).unwrap_or_default()),
    };
    let mut guests = if text.is_empty() { Vec::new() } else { kept(&text, &boot, &machine.node)? };
    if !running {
        for guest in &mut guests {
            guest.state = "no-power".to_owned();
        }
    }
    guests.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Hypervisor { node: machine.node.clone(), running, guests })
}

/// Lets a guest die, as if its process had crashed. Nobody is told.
pub(crate) async fn crash(machine: &Machine, guest: &str) -> Result<(), LabError> {
    if guest.is_empty() || !guest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(LabError::refused(
            format!("`{guest}` is no guest's name or uuid"),
            "see them with `ostler lab hypervisor NODE`",
        ));
    }
    let script = format!("python3 - {guest} <<'PYTHON'\n{CRASH}PYTHON\n");
    machine.run("letting a guest die", &script, ASK_LIMIT).await.map(drop)
}

/// What was running before the node booted anew is shut off now.
fn kept(text: &str, boot: &str, node: &str) -> Result<Vec<Guest>, LabError> {
    let kept: Kept = serde_json::from_str(text).map_err(|error| LabError::Service {
        what: format!("reading the guests of {node}"),
        why: error.to_string(),
    })?;
    let survived = kept.boot == boot;
    let guest = |(uuid, guest): (String, KeptGuest)| Guest {
        uuid,
        name: guest.name,
        state: if survived { guest.state } else { "shutoff".to_owned() },
    };
    Ok(kept.guests.into_iter().map(guest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_run_until_their_node_boots_anew() {
        let text = r#"{"boot": "x", "guests": {"u-1": {"name": "instance-1", "state": "running"}}}"#;
        let guest = Guest { uuid: "u-1".into(), name: "instance-1".into(), state: "running".into() };
        assert_eq!(kept(text, "x", "cmp1").unwrap(), [guest]);
        assert_eq!(kept(text, "y", "cmp1").unwrap()[0].state, "shutoff");
        assert!(kept("{", "x", "cmp1").unwrap_err().to_string().contains("guests of cmp1"));
    }
}
