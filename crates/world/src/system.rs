//! The machine that Ostler runs on: its clock, its chance, and whether another Ostler on it is still alive.
//!
//! Nothing here waits for a network.

use ostler_engine::seam::{Clock, Dice, Fut};
use ostler_model::Timestamp;
use std::hash::{BuildHasher, Hasher};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, ms: u64) -> Fut<'_, ()> {
        Box::pin(tokio::time::sleep(std::time::Duration::from_millis(ms)))
    }
}

/// Chance from the operating system, by way of the standard library's randomly keyed hasher.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDice;

impl Dice for SystemDice {
    fn roll(&self) -> u64 {
        std::hash::RandomState::new().build_hasher().finish()
    }
}

/// The name under which this process takes leases: host, boot, process, and when the process started, so that
/// neither a restart nor a re-used process number can be mistaken for it.
pub fn lease_owner() -> String {
    let pid = std::process::id();
    format!("{}/{}/{pid}/{}", host(), boot_id(), started(pid).unwrap_or_default())
}

/// Whether the owner of a lease is *known* to be gone: it ran on this machine, and that process no longer
/// exists. An owner on another machine is never known to be gone; its lease has to end.
pub fn owner_is_gone(owner: &str) -> bool {
    let mut parts = owner.split('/');
    let (Some(their_host), Some(boot), Some(pid), Some(start)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    if their_host != host() {
        return false;
    }
    if boot != boot_id() {
        return true;
    }
    let Ok(pid) = pid.parse::<u32>() else { return false };
    match started(pid) {
        None => true,
        Some(now) => now != start,
    }
}

/// This machine's name.
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

/// The identity of this boot of the machine.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// When a process started, in clock ticks since boot; none if there is no such process, or only its remains.
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold spaces and brackets; the fields after the last bracket are plain.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let is_remains = matches!(fields.first(), Some(&"Z") | Some(&"X"));
    if is_remains { None } else { fields.get(19).map(|start| (*start).to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_not_gone() {
        assert!(!owner_is_gone(&lease_owner()));
    }

    #[test]
    fn a_process_that_ended_on_this_machine_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let owner = format!("{}/{}/{}/1", host(), boot_id(), child.id());
        child.wait().unwrap();
        assert!(owner_is_gone(&owner));
    }

    #[test]
    fn an_owner_on_another_machine_is_never_known_to_be_gone() {
        assert!(!owner_is_gone("elsewhere/boot/1/1"));
        assert!(!owner_is_gone("nonsense"));
    }
}
