//! A node as this machine sees it: an overlay as its disk, systemd-nspawn as its power.
//!
//! Nothing is remembered about running nodes: they are found by their names among the processes, so that any later process
//! can go on. Must never touch a process or mount that is not of the lab that was named.

use crate::command::Command;
use crate::error::LabError;
use crate::host::{control_groups, has_systemd};
use crate::wait::{Seen, until};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Memory that must be available before the disks of nodes are kept in it: three nodes write about 2 GB in a day of tests.
const MEMORY_FOR_DISKS_MIB: u64 = 8 << 10;
/// A node's disk in memory: more than any node needs, less than would starve the machine.
const DISK_IN_MEMORY: &str = "size=3g,mode=755";
/// How long a mount may take.
const MOUNT_LIMIT: Duration = Duration::from_secs(30);
/// How long a change of a link may take.
const LINK_LIMIT: Duration = Duration::from_secs(10);
/// How long the first process of a node may take to appear.
const POWER_LIMIT: Duration = Duration::from_secs(20);
/// How long processes may take to vanish after SIGKILL.
const VANISH_LIMIT: Duration = Duration::from_secs(20);

/// Enters the groups, then becomes systemd-nspawn.
const LAUNCH: &str = "groups=$1; shift; for group in $groups; do mkdir -p \"$group\"; echo $$ > \"$group/cgroup.procs\"; done; \
                      exec systemd-nspawn \"$@\"";
/// A script comes in by the input, out of everybody's sight; what it runs must not read on in it.
const SCRIPT_FROM_INPUT: &str = "script=$(cat); exec </dev/null; eval \"$script\"";
/// How often to look whether they have.
const VANISH_ASK_EVERY: Duration = Duration::from_millis(20);

/// A node of a lab.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The node's name, `ctl1`.
    pub(crate) node: String,
    /// The machine's name, `<lab>-ctl1`.
    pub(crate) name: String,
    /// The folder with its disk.
    pub(crate) folder: PathBuf,
    /// The link of this machine that leads to its second network, if it has one.
    pub(crate) storage_link: Option<String>,
}

/// What a node is plugged into when it is switched on.
#[derive(Clone, Debug)]
pub(crate) struct Sockets {
    /// The bridge of the first network.
    pub(crate) bridge: String,
    /// The bridge of the second network, for nodes that have one.
    pub(crate) storage_bridge: String,
    /// Folders of this machine that the node sees, read-only if the flag is set: folder, place on the node.
    pub(crate) shares: Vec<(PathBuf, &'static str, bool)>,
}

/// The node's own name for its link to the second network.
pub(crate) const STORAGE_DEVICE: &str = "host1";

/// The processes of a running node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Power {
    /// systemd-nspawn.
    pub(crate) supervisor: u32,
    /// The node's init.
    pub(crate) init: u32,
}

impl Machine {
    /// What the node sees as `/`.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Puts the node's disk over the image. It is written with `volatile`: a crash of *this* machine ends the lab anyway.
    /// For the same reason what the node writes stays in memory where there is enough: a package of ten thousand
    /// files is then unpacked in half the time.
    pub(crate) async fn mount(&self, lowers: &[PathBuf]) -> Result<(), LabError> {
        if memory_available_mib() >= MEMORY_FOR_DISKS_MIB {
            std::fs::create_dir_all(&self.folder).map_err(LabError::file("creating", &self.folder))?;
            Command::new(format!("mounting the disk of {}", self.node), "mount", MOUNT_LIMIT)
                .args(["-t", "tmpfs", "-o", DISK_IN_MEMORY, "tmpfs"])
                .arg(self.folder.to_string_lossy())
                .run()
                .await?;
        }
        for name in ["upper", "work", "root"] {
            let path = self.folder.join(name);
            std::fs::create_dir_all(&path).map_err(LabError::file("creating", &path))?;
        }
        let lowers: Vec<String> = lowers.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let folder = self.folder.to_string_lossy();
        Command::new(format!("mounting the disk of {}", self.node), "mount", MOUNT_LIMIT)
            .args(["-t", "overlay", "overlay", "-o"])
            .arg(format!("lowerdir={},upperdir={folder}/upper,workdir={folder}/work,volatile", lowers.join(":")))
            .arg(self.root().to_string_lossy())
            .todo("an overlay cannot stand on another overlay: put the lab's folder on a plain file system (OSTLER_LAB_DIR)")
            .run()
            .await
            .map(drop)
    }

    /// Whether the disk is there.
    pub(crate) fn is_mounted(&self) -> bool {
        mounts_under(&self.folder).contains(&self.root())
    }

    /// Switches the node on. It outlives this process. Returns when its init is there, long before its services are.
    pub(crate) async fn power_on(&self, sockets: &Sockets) -> Result<Power, LabError> {
        self.tidy().await?;
        let console = self.folder.join("console.log");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&console)
            .map_err(LabError::file("opening", &console))?;
        let errors = log.try_clone().map_err(LabError::file("opening", &console))?;
        let layout = control_groups();
        // Where systemd is init, nspawn asks it for a scope. Elsewhere the node gets groups of its own: two inits in one would
        // take each other's processes for their own.
        let groups = if has_systemd() { String::new() } else { words(&self.control_groups()) };
        let mut command = tokio::process::Command::new("setsid");
        command.args(["--fork", "/bin/sh", "-euc", LAUNCH, "launch"]).arg(&groups);
        command.args(["--quiet", "--settings=no", "--register=no"]);
        if !groups.is_empty() {
            command.arg("--keep-unit");
        }
        if !layout.unified {
            command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "0");
        }
        command
            .arg(format!("--directory={}", self.root().display()))
            .arg(format!("--machine={}", self.name))
            .arg(format!("--hostname={}", self.node))
            .arg(format!("--network-bridge={}", sockets.bridge))
            .args(["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only"]);
        if let Some(link) = &self.storage_link {
            command.arg(format!("--network-veth-extra={link}:{STORAGE_DEVICE}"));
        }
        for (folder, place, read_only) in &sockets.shares {
            let verb = if *read_only { "--bind-ro" } else { "--bind" };
            command.arg(format!("{verb}={}:{place}", folder.display()));
        }
        command.arg("--boot").current_dir("/").stdin(Stdio::null()).stdout(log).stderr(errors);
        let started =
            command.status().await.map_err(LabError::file("starting systemd-nspawn for", self.root()))?;
        if !started.success() {
            return Err(LabError::Command {
                doing: format!("switching {} on", self.node),
                status: started.to_string(),
                output: tail(&console),
                todo: "see whether `systemd-nspawn --version` works here".to_owned(),
            });
        }
        let todo = format!("read {}", console.display());
        let power =
            until(format!("power of {}", self.node), &todo, POWER_LIMIT, async || match self.power() {
                Some(power) => Seen::Holds(power),
                None => Seen::NotYet(format!("no init yet; the console says: {}", tail(&console))),
            })
            .await?;
        if let Some(link) = &self.storage_link {
            crate::bridge::join(link, &sockets.storage_bridge).await?;
        }
        Ok(power)
    }

    /// The node's processes, if it runs.
    pub(crate) fn power(&self) -> Option<Power> {
        let supervisor = self.supervisors().into_iter().next()?;
        let children =
            std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).ok()?;
        let init = children.split_whitespace().filter_map(|id| id.parse().ok()).find(|id| is_init(*id))?;
        Some(Power { supervisor, init })
    }

    fn supervisors(&self) -> Vec<u32> {
        let named = format!("--machine={}", self.name);
        processes().filter(|id| is_supervisor(*id, |argument| argument == named)).collect()
    }

    /// Takes the power away: SIGKILL to systemd-nspawn and to the node's init, which takes everything inside with it.
    pub(crate) async fn power_off(&self) -> Result<(), LabError> {
        let todo = "look for processes in uninterruptible sleep with `ps`";
        let mut victims = std::collections::BTreeSet::new();
        let begun = tokio::time::Instant::now();
        loop {
            for supervisor in self.supervisors() {
                let children =
                    std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"));
                victims.insert(supervisor);
                victims.extend(
                    children.unwrap_or_default().split_whitespace().filter_map(|id| id.parse::<u32>().ok()),
                );
            }
            // An init is gone only after all processes of its node are.
            victims.retain(|id| is_alive(*id));
            if victims.is_empty() {
                return self.tidy().await;
            }
            if begun.elapsed() >= VANISH_LIMIT {
                return Err(LabError::TooLate {
                    what: format!("the end of {}", self.node),
                    limit: VANISH_LIMIT,
                    seen: format!("processes {victims:?} are still there"),
                    todo: todo.to_owned(),
                });
            }
            let ids = victims.iter().map(u32::to_string);
            // One that has just ended by itself makes `kill` fail; the next look tells.
            let _ = Command::new("switching off", "kill", POWER_LIMIT).arg("-KILL").args(ids).run().await;
            tokio::time::sleep(VANISH_ASK_EVERY).await;
        }
    }

    /// The control groups that are the node's own where this machine has no systemd.
    fn control_groups(&self) -> Vec<PathBuf> {
        control_groups()
            .hierarchies
            .iter()
            .map(|hierarchy| hierarchy.join(format!("ostler-lab-{}", self.name)))
            .collect()
    }

    /// Removes what a node without power leaves on this machine: its control groups, and its link, which the kernel takes down
    /// with the node's network at its own time.
    async fn tidy(&self) -> Result<(), LabError> {
        let todo = "see which processes are in its control groups (`cgroup.procs`), and whether `ip link` still shows its link";
        // A long name is not the link's own but one that nspawn gave it besides.
        let links = [Some(format!("vb-{}", self.name)), self.storage_link.clone()];
        let ip = |verb: &str, link: &str| {
            Command::new("removing a link", "ip", LINK_LIMIT).args(["link", verb, "dev"]).arg(link)
        };
        until(format!("the end of the traces of {}", self.node), todo, VANISH_LIMIT, async || {
            if let Some(error) = self.control_groups().iter().find_map(|group| remove_group(group).err()) {
                return Seen::NotYet(error.to_string());
            }
            for link in links.iter().flatten() {
                if ip("show", link).run().await.is_ok() {
                    let deleted = ip("delete", link).run().await;
                    return Seen::NotYet(
                        deleted.err().map_or("its link was there".to_owned(), |error| error.to_string()),
                    );
                }
            }
            Seen::Holds(())
        })
        .await?;
        // What nspawn keeps for programs that mount something into a running machine. Another lab's is left alone.
        let nspawn = Path::new("/run/systemd/nspawn");
        let _ = std::fs::remove_dir(nspawn.join("propagate").join(&self.name));
        if let Ok(root) = self.root().metadata() {
            let _ = std::fs::remove_file(nspawn.join(format!("locks/inode-{}:{}", root.dev(), root.ino())));
        }
        Ok(())
    }

    /// Runs a script inside the node as root, whatever the state of its network and its sshd.
    pub(crate) async fn run(&self, doing: &str, script: &str, limit: Duration) -> Result<String, LabError> {
        let power = self.power().ok_or_else(|| LabError::NodeIsOff { node: self.node.clone() })?;
        Command::new(format!("{doing} on {}", self.node), "nsenter", limit)
            .arg(format!("--target={}", power.init))
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--"])
            .args(["/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
            .args(["HOME=/root", "LANG=C.UTF-8", "/bin/sh", "-euc", SCRIPT_FROM_INPUT])
            .input(script)
            .todo(format!("look at the node with `ostler lab ssh {}`", self.node))
            .run()
            .await
    }

    /// The link on this machine that leads to the node.
    pub(crate) fn link(&self) -> Option<String> {
        let init = self.power()?.init;
        let peer = std::fs::read_to_string(format!("/proc/{init}/root/sys/class/net/host0/iflink")).ok()?;
        std::fs::read_dir("/sys/class/net").ok()?.flatten().find_map(|entry| {
            let index = std::fs::read_to_string(entry.path().join("ifindex")).ok()?;
            (index.trim() == peer.trim()).then(|| entry.file_name().to_string_lossy().into_owned())
        })
    }
}

/// Removes a control group and those in it.
fn remove_group(group: &Path) -> std::io::Result<()> {
    if !group.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_group(&entry.path())?;
        }
    }
    std::fs::remove_dir(group)
}

fn words(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The ids of all processes.
pub(crate) fn processes() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
}

fn is_supervisor(id: u32, wanted: impl Fn(&str) -> bool) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{id}/cmdline")) else { return false };
    let line = String::from_utf8_lossy(&line);
    let mut arguments = line.split('\0');
    arguments.next().is_some_and(|program| program.ends_with("systemd-nspawn")) && arguments.any(wanted)
}

/// A child of systemd-nspawn that has become the node's init: before that it is still systemd-nspawn itself.
fn is_init(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "systemd")
}

fn is_alive(id: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { return false };
    // The state follows the name, which is in brackets and may hold anything.
    !status
        .rsplit_once(')')
        .is_some_and(|(_, rest)| matches!(rest.trim_start().chars().next(), Some('Z' | 'X')))
}

fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

/// The names of the machines of a lab that run, whatever its state on disk says.
pub(crate) fn running_machines(lab: &str) -> Vec<String> {
    let prefixes = [format!("--machine={lab}-ctl"), format!("--machine={lab}-cmp")];
    let mut found = Vec::new();
    for id in processes() {
        let Ok(line) = std::fs::read(format!("/proc/{id}/cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line);
        let mut arguments = line.split('\0');
        if !arguments.next().is_some_and(|program| program.ends_with("systemd-nspawn")) {
            continue;
        }
        let numbered = |argument: &&str| {
            prefixes
                .iter()
                .find_map(|prefix| argument.strip_prefix(prefix))
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        found.extend(
            arguments
                .find(numbered)
                .and_then(|argument| argument.strip_prefix("--machine="))
                .map(str::to_owned),
        );
    }
    found
}

/// Mount points in a folder, inner ones first.
pub(crate) fn mounts_under(folder: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|place| place.starts_with(folder))
        .collect();
    found.sort();
    found.reverse();
    found
}

/// Memory that programs could have, as the kernel estimates it; 0 if it does not say.
fn memory_available_mib() -> u64 {
    let table = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or_default() >> 10
}

/// Unmounts everything in a folder.
pub(crate) async fn unmount_all(folder: &Path) -> Result<(), LabError> {
    for place in mounts_under(folder) {
        Command::new(format!("unmounting {}", place.display()), "umount", MOUNT_LIMIT)
            .arg("--lazy")
            .arg(place.to_string_lossy())
            .run()
            .await?;
    }
    Ok(())
}
