//! What a node's hypervisor itself has, whatever Nova believes: so that one guest on two nodes is seen.
//!
//! Must never ask Nova, nor take a guest for running on a node that has no power.

use crate::cloud::emulator::Virt;
use crate::error::LabError;
use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long asking a hypervisor may take.
const ASK_LIMIT: Duration = Duration::from_secs(20);
/// How long libvirt may take, which finds out what qemu can do before it answers for the first time.
const LIBVIRT_LIMIT: Duration = Duration::from_secs(120);
/// Where the pretended hypervisor keeps its guests on the node.
const FILE: &str = "var/lib/nova/guests.json";
/// Prints which boot this is, then the file, which is empty before there was a guest.
const ASK: &str = "cat /proc/sys/kernel/random/boot_id; cat /var/lib/nova/guests.json 2>/dev/null || true";
/// Where libvirt keeps what it knows of its guests on the node's disk.
const DEFINITIONS: &str = "etc/libvirt/qemu";
const ASK_LIBVIRT: &str = include_str!("../data/qemu/ask.sh");
const CRASH_PROCESS: &str = include_str!("../data/qemu/crash.sh");
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
    /// `running`, `paused`, `suspended`, `shutoff`, `crashed`; `no-power` where the node is off. libvirt also has `in shutdown`.
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
pub(crate) async fn ask(machine: &Machine, virt: Virt) -> Result<Hypervisor, LabError> {
    let running = machine.power().is_some();
    let mut guests = match (virt, running) {
        (Virt::Fake, _) => pretended(machine, running).await?,
        (Virt::Qemu, true) => {
            listed(&machine.run("asking libvirt", ASK_LIBVIRT, LIBVIRT_LIMIT).await?, &machine.node)?
        }
        (Virt::Qemu, false) => defined(machine)?,
    };
    if !running {
        for guest in &mut guests {
            guest.state = "no-power".to_owned();
        }
    }
    guests.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Hypervisor { node: machine.node.clone(), running, guests })
}

/// The guests of the pretended hypervisor.
async fn pretended(machine: &Machine, running: bool) -> Result<Vec<Guest>, LabError> {
    let (boot, text) = match running {
        true => {
            let said = machine.run("asking the hypervisor", ASK, ASK_LIMIT).await?;
            let (boot, text) = said.split_once('\n').unwrap_or((said.as_str(), ""));
            (boot.to_owned(), text.to_owned())
        }
        // What the disk of a node without power remembers.
        false => (String::new(), std::fs::read_to_string(machine.root().join(FILE)).unwrap_or_default()),
    };
    if text.is_empty() { Ok(Vec::new()) } else { kept(&text, &boot, &machine.node) }
}

/// The guests that libvirt lists, each with its state.
fn listed(said: &str, node: &str) -> Result<Vec<Guest>, LabError> {
    let strange = |why: String| LabError::Service { what: format!("reading the guests of {node}"), why };
    let (names, states) =
        said.split_once("--\n").ok_or_else(|| strange("libvirt's list has no end".to_owned()))?;
    let mut guests = Vec::new();
    for line in names.lines().filter(|line| !line.trim().is_empty()) {
        let (uuid, name) =
            line.trim().split_once(' ').ok_or_else(|| strange(format!("`{line}` is no guest")))?;
        let name = name.trim();
        let heading = format!("Domain: '{name}'");
        let about = states.lines().skip_while(|line| line.trim() != heading).skip(1);
        let about = about.map(str::trim).take_while(|line| !line.starts_with("Domain:"));
        let number = |key: &str| about.clone().find_map(|line| line.strip_prefix(key));
        let state = state_of(number("state.state="), number("state.reason="));
        guests.push(Guest { uuid: uuid.to_owned(), name: name.to_owned(), state: state.to_owned() });
    }
    Ok(guests)
}

/// libvirt's numbers for states, in the words of `virsh`.
fn state_of(state: Option<&str>, reason: Option<&str>) -> &'static str {
    match (state, reason) {
        (Some("1" | "2"), _) => "running",
        (Some("3"), _) => "paused",
        (Some("4"), _) => "in shutdown",
        // Its process ended without having been asked to.
        (Some("5"), Some("3")) | (Some("6"), _) => "crashed",
        (Some("5"), _) => "shutoff",
        (Some("7"), _) => "suspended",
        // It went between the two questions.
        _ => "unknown",
    }
}

/// The guests that a node without power has on its disk.
fn defined(machine: &Machine) -> Result<Vec<Guest>, LabError> {
    let folder = machine.root().join(DEFINITIONS);
    let mut guests = Vec::new();
    let entries = match std::fs::read_dir(&folder) {
        // There was no guest yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(guests),
        Err(error) => return Err(LabError::file("reading", &folder)(error)),
        Ok(entries) => entries,
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|end| end != "xml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(LabError::file("reading", &path))?;
        if let (Some(uuid), Some(name)) = (element(&text, "uuid"), element(&text, "name")) {
            guests.push(Guest { uuid, name, state: String::new() });
        }
    }
    Ok(guests)
}

/// The text of the first element of this name, as libvirt writes it: on a line of its own.
fn element(text: &str, name: &str) -> Option<String> {
    let (opening, closing) = (format!("<{name}>"), format!("</{name}>"));
    text.lines()
        .find_map(|line| line.trim().strip_prefix(opening.as_str())?.strip_suffix(closing.as_str()))
        .map(str::to_owned)
}

/// Lets a guest die, as if its process had crashed. Nobody is told.
pub(crate) async fn crash(machine: &Machine, virt: Virt, guest: &str) -> Result<(), LabError> {
    if guest.is_empty() || !guest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(LabError::refused(
            format!("`{guest}` is no guest's name or uuid"),
            "see them with `ostler lab hypervisor NODE`",
        ));
    }
    let (script, limit) = match virt {
        Virt::Fake => (format!("python3 - {guest} <<'PYTHON'\n{CRASH}PYTHON\n"), ASK_LIMIT),
        Virt::Qemu => (format!("guest={guest}\n{CRASH_PROCESS}"), LIBVIRT_LIMIT),
    };
    machine.run("letting a guest die", &script, limit).await.map(drop)
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
    fn libvirt_s_guests_are_read_with_their_states() {
        let said = "u-1 instance-00000001\nu-2 instance-00000002  \nu-3 instance-00000003\n\n--\n\
                    Domain: 'instance-00000001'\n  state.state=1\n  state.reason=1\n\n\
                    Domain: 'instance-00000002'\n  state.state=5\n  state.reason=3\n\n";
        let found = listed(said, "cmp1").unwrap();
        let states: Vec<(&str, &str)> =
            found.iter().map(|guest| (guest.uuid.as_str(), guest.state.as_str())).collect();
        assert_eq!(states, [("u-1", "running"), ("u-2", "crashed"), ("u-3", "unknown")]);
        assert!(listed("\n--\n", "cmp1").unwrap().is_empty());
        assert!(listed("error", "cmp1").is_err());
        assert_eq!(state_of(Some("5"), Some("0")), "shutoff", "after the node booted anew");
        assert_eq!(element("<domain>\n  <uuid>u-1</uuid>\n", "uuid").as_deref(), Some("u-1"));
    }

    #[test]
    fn guests_run_until_their_node_boots_anew() {
        let text = r#"{"boot": "x", "guests": {"u-1": {"name": "instance-1", "state": "running"}}}"#;
        let guest = Guest { uuid: "u-1".into(), name: "instance-1".into(), state: "running".into() };
        assert_eq!(kept(text, "x", "cmp1").unwrap(), [guest]);
        assert_eq!(kept(text, "y", "cmp1").unwrap()[0].state, "shutoff");
        assert!(kept("{", "x", "cmp1").unwrap_err().to_string().contains("guests of cmp1"));
    }
}
