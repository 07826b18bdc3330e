//! A host that is cut off: whether its storage answers, the guests' processes, and the watchdog device.
//!
//! It must never take a process for a guest because of a number in a file, and never touch a guest's disk.

use super::child;
use super::processes::base;
use ostler_engine::ha::heartbeat::Storage;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::path::Path;
use std::time::Duration;

/// How long storage may take to answer.
const STORAGE_LIMIT: Duration = Duration::from_secs(10);

/// Guests that are stopped at once: more than any host runs.
const GUESTS_MAX: usize = 4_096;

/// What the program of a guest is called.
const HYPERVISORS: &[&str] = &["qemu-system-", "qemu-kvm", "kvm"];

/// Whether a file system answers: writes a small file there, through to the storage behind it. It is done by a child,
/// because whoever waits for lost storage can wait for ever.
pub async fn storage(directory: &Path, host: &str) -> Storage {
    let file = directory.join(format!(".ostler-{host}"));
    let script = r#"set -e; date +%s%N > "$1.new"; sync "$1.new"; mv "$1.new" "$1""#;
    let path = file.display().to_string();
    match child::answer("/bin/sh", &["-c", script, "sh", &path], STORAGE_LIMIT).await {
        Ok(answer) if answer.is_ok => Storage::Works,
        _ => Storage::Lost,
    }
}

/// A guest's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The process.
    pub process: i32,
    /// The guest's name.
    pub guest: String,
}

/// The processes of guests on this host, found by their program and its `-name guest=…`.
pub fn running() -> std::io::Result<Vec<Running>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(process) = name.parse() else { continue };
        let Ok(bytes) = std::fs::read(entry.path().join("cmdline")) else { continue };
        if let Some(guest) = guest_of(&bytes)
            && found.len() < GUESTS_MAX
        {
            found.push(Running { process, guest });
        }
    }
    Ok(found)
}

fn guest_of(command_line: &[u8]) -> Option<String> {
    let words: Vec<String> = command_line
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let program = base(words.first()?);
    if !HYPERVISORS.iter().any(|name| program.starts_with(name)) {
        return None;
    }
    let place = words.iter().position(|word| word == "-name")?;
    let name = words.get(place + 1)?.split(',').find_map(|part| part.strip_prefix("guest="))?;
    Some(name.to_owned())
}

/// Ends guests' processes at once. Each is held on to and looked at again first, so that another process that got its
/// number meanwhile is safe. The guests that are ended, and what went wrong with others.
pub fn stop(guests: &[Running]) -> (Vec<String>, Vec<String>) {
    let (mut stopped, mut wrong) = (Vec::new(), Vec::new());
    for running in guests {
        match end(running) {
            Ok(true) => stopped.push(running.guest.clone()),
            Ok(false) => {}
            Err(error) => wrong.push(format!("{} (process {}): {error}", running.guest, running.process)),
        }
    }
    (stopped, wrong)
}

fn end(running: &Running) -> std::io::Result<bool> {
    let Some(process) = Pid::from_raw(running.process) else { return Ok(false) };
    let held = match pidfd_open(process, PidfdFlags::empty()) {
        Ok(held) => held,
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let bytes = std::fs::read(format!("/proc/{}/cmdline", running.process)).unwrap_or_default();
    if guest_of(&bytes).as_deref() != Some(&running.guest) {
        return Ok(false);
    }
    match pidfd_send_signal(&held, Signal::KILL) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A watchdog device: as long as it is fed the machine lives.
#[derive(Debug)]
pub struct Watchdog(std::fs::File);

impl Watchdog {
    /// Takes it. From now on the machine resets itself when nobody feeds it.
    pub fn take(device: &Path) -> std::io::Result<Watchdog> {
        std::fs::OpenOptions::new().write(true).open(device).map(Watchdog)
    }

    /// Feeds it.
    pub fn feed(&mut self) -> std::io::Result<()> {
        use std::io::Write;
        self.0.write_all(b".").and_then(|()| self.0.flush())
    }

    /// Gives it back, so that the machine lives on without us.
    pub fn give_back(mut self) -> std::io::Result<()> {
        use std::io::Write;
        // The letter that says that this is on purpose.
        self.0.write_all(b"V")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_known_by_its_program_and_name() {
        let line = |text: &str| text.replace(' ', "\0").into_bytes();
        let guest = line("/usr/bin/qemu-system-x86_64 -name guest=instance-1,debug-threads=on -S");
        assert_eq!(guest_of(&guest).as_deref(), Some("instance-1"));
        for other in ["vi -name guest=instance-1", "qemu-system-x86_64 -S", "grep guest=instance-1", ""] {
            assert_eq!(guest_of(&line(other)), None, "{other}");
        }
    }

    #[test]
    fn a_process_that_is_not_that_guest_is_left_alone() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let process = i32::try_from(child.id()).unwrap();
        let (stopped, wrong) = stop(&[Running { process, guest: "instance-1".into() }]);
        assert!(stopped.is_empty() && wrong.is_empty());
        assert!(child.try_wait().unwrap().is_none(), "it was ended");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn storage_that_cannot_be_written_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(storage(directory.path(), "cmp1").await, Storage::Works);
        assert_eq!(storage(&directory.path().join("gone"), "cmp1").await, Storage::Lost);
    }

    #[test]
    fn a_watchdog_is_fed_and_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("watchdog");
        std::fs::write(&device, "").unwrap();
        let mut watchdog = Watchdog::take(&device).unwrap();
        watchdog.feed().unwrap();
        watchdog.feed().unwrap();
        watchdog.give_back().unwrap();
        assert_eq!(std::fs::read_to_string(&device).unwrap(), "..V");
    }
}
